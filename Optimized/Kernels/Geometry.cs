// Which work items does a configuration make, and what does each of them cover?
using S2Attn.Spec;

namespace S2Attn.Optimized.Kernels;

/// <summary>A forward work item of a sequence.</summary>
internal readonly record struct ForwardItem(int Head, QueryBlock Block);

/// <summary>A backward work item of a sequence.</summary>
internal readonly record struct BackwardItem(int KvHead, RunGroup Group);

/// <summary>
/// The numbering of the work items of all sequences, in closed form. Items stand in the order of their tokens, then of their heads: in the usual layout the rows of all heads
/// of a token share memory pages, and the pages of a few hundred tokens fit the processor's tables while those of a whole head do not. The blocks of a run stand with the last
/// one, which sees the most keys, first: what is left for the end is small, and no worker waits long for another.
/// </summary>
internal sealed class Geometry
{
    private const int TokensOfStore = 64;

    private readonly Sequences sequences;
    private readonly int batch;
    private readonly TokenRange<int> keys;
    private readonly int[] unshiftedHeads, shiftedHeads, unshiftedKvHeads, shiftedKvHeads;
    private readonly ItemStarts forward, unshifted, shifted;

    /// <summary>Numbers the work.</summary>
    /// <param name="config">Heads, D, mask and scale.</param>
    /// <param name="sequences">The sequences.</param>
    /// <param name="batch">B of the tensors.</param>
    /// <param name="keys">The tokens of k and v: [0, N), [0, the packed length), or the keys of a slice.</param>
    /// <param name="isSlice">Whether there may be keys that no query sees.</param>
    /// <param name="sizes">Block sizes.</param>
    public Geometry(S2Config config, Sequences sequences, int batch, TokenRange<int> keys, bool isSlice, BlockSizes sizes)
    {
        Config = config;
        this.sequences = sequences;
        this.batch = batch;
        this.keys = keys;
        IsSlice = isSlice;
        Sizes = sizes;
        unshiftedHeads = [.. Enumerable.Range(0, config.Heads).Where(head => !Shifts(head))];
        shiftedHeads = [.. Enumerable.Range(0, config.Heads).Where(Shifts)];
        unshiftedKvHeads = [.. Enumerable.Range(0, config.KvHeads).Where(kvHead => HasHeads(kvHead, shifted: false))];
        shiftedKvHeads = [.. Enumerable.Range(0, config.KvHeads).Where(kvHead => HasHeads(kvHead, shifted: true))];
        forward = new(sequences, ForwardItemsOf);
        unshifted = new(sequences, sequence => (long)RunsOf(sequence, shifted: false).Groups * unshiftedKvHeads.Length);
        shifted = new(sequences, sequence => (long)RunsOf(sequence, shifted: true).Groups * shiftedKvHeads.Length);
    }

    /// <summary>Heads, D, mask and scale; N, G and S are those of each sequence.</summary>
    public S2Config Config { get; }

    public BlockSizes Sizes { get; }

    /// <summary>Whether dk and dv are cleared in a pass of their own: each run clears its own keys where the runs make up all of them.</summary>
    public bool IsSlice { get; }

    public long ForwardItems => forward.Total;

    /// <summary>About how many floating-point operations a forward call makes: those of a causal mask.</summary>
    public double Work => 2.0 * batch * (keys.End - keys.Start) * Config.Heads * Config.HeadDim * Math.Min(Config.GroupSize, keys.End - keys.Start);

    /// <summary>Items that clear dk and dv, or round them to storage.</summary>
    public long StoreItems => keys.End == keys.Start ? 0 : batch * StoresOfBatch;

    private long StoresOfBatch => (keys.End - keys.Start - 1) / TokensOfStore + 1;

    /// <summary>
    /// The query heads of a kv head that do not shift are done in phase 0 and those that do in phase 1, so that each gradient row has one owner in each phase
    /// and one order of additions.
    /// </summary>
    public long BackwardItems(int phase) => phase == 0 ? unshifted.Total : shifted.Total;

    /// <summary>Whether a query head shifts.</summary>
    public bool Shifts(int head) => Config.ShiftedHeads.IsShifted(head, Config.Heads);

    /// <summary>Whether a kv head is read by a query head that shifts, or by one that does not.</summary>
    public bool HasHeads(int kvHead, bool shifted)
    {
        int share = Config.Heads / Config.KvHeads;
        for (int head = kvHead * share; head < (kvHead + 1) * share; head++)
            if (Shifts(head) == shifted)
                return true;
        return false;
    }

    /// <summary>The runs of a sequence's heads that shift, or of those that do not.</summary>
    public HeadRuns RunsOf(Sequence sequence, bool shifted) =>
        new(Config.Mask, sequence, shifted, Sizes.BlockQueries);

    /// <summary>A run of a query head.</summary>
    public QueryRun<int> Run(Sequence sequence, int head, int run) =>
        HeadRuns.Run(Config.Mask, sequence, Shifts(head), run);

    public (Sequence Sequence, ForwardItem Item) Forward(long item)
    {
        (int index, long rest) = forward.Find(item);
        Sequence sequence = sequences[index];
        HeadRuns of = RunsOf(sequence, shifted: false), ofShifted = RunsOf(sequence, shifted: true);
        int[] unshifted = unshiftedHeads, shifted = shiftedHeads;

        // Run k of the shifted heads starts before run k of the others, but for the first ones. Only the last runs are short: the step is found at once, or is the one after.
        long first = Before(1);
        int step = rest < first ? 0 : (int)Math.Min(1 + (rest - first) / (of.BlocksOfGroup * Config.Heads), int.MaxValue);
        if (rest >= Before(step + 1))
            step++;
        rest -= Before(step);
        long shiftedItems = ofShifted.Blocks(step) * shifted.Length;
        return rest < shiftedItems ? (sequence, ItemOf(ofShifted, shifted)) : (sequence, ItemOf(of, unshifted, shiftedItems));

        long Before(int step) => of.BlocksBefore(step) * unshifted.Length + ofShifted.BlocksBefore(step) * shifted.Length;

        ForwardItem ItemOf(HeadRuns runs, int[] heads, long before = 0) =>
            new(heads[(rest - before) % heads.Length], runs.BlockFromLast(step, (int)((rest - before) / heads.Length)));
    }

    public (Sequence Sequence, BackwardItem Item) Backward(int phase, long item)
    {
        (int index, long rest) = (phase == 0 ? unshifted : shifted).Find(item);
        int[] kvHeads = phase == 0 ? unshiftedKvHeads : shiftedKvHeads;
        Sequence sequence = sequences[index];
        return (sequence, new(kvHeads[rest % kvHeads.Length], RunsOf(sequence, phase == 1).Group((int)(rest / kvHeads.Length))));
    }

    /// <summary>The tokens whose dk and dv an item clears or rounds.</summary>
    public (int Batch, int First, int Count) Store(long item)
    {
        int first = keys.Start + (int)(item % StoresOfBatch) * TokensOfStore;
        return ((int)(item / StoresOfBatch), first, Math.Min(TokensOfStore, keys.End - first));
    }

    private long ForwardItemsOf(Sequence sequence)
    {
        HeadRuns of = RunsOf(sequence, shifted: false), ofShifted = RunsOf(sequence, shifted: true);
        return of.BlocksBefore(of.Count) * unshiftedHeads.Length + ofShifted.BlocksBefore(ofShifted.Count) * shiftedHeads.Length;
    }
}

/// <summary>Which sequence owns an item: a division where all are alike, else a search in the first items of each.</summary>
internal sealed class ItemStarts
{
    private readonly long each;
    private readonly long[] starts;

    public ItemStarts(Sequences sequences, Func<Sequence, long> count)
    {
        starts = sequences.AreAlike ? [] : new long[sequences.Count + 1];
        each = sequences is { AreAlike: true, Count: > 0 } ? count(sequences[0]) : 0;

        // Sequences of one length make the same items, and a batch has few lengths.
        Dictionary<int, long> counts = [];
        for (int i = 1; i < starts.Length; i++)
        {
            Sequence sequence = sequences[i - 1];
            if (!counts.TryGetValue(sequence.Tokens, out long items))
                counts.Add(sequence.Tokens, items = count(sequence));
            starts[i] = starts[i - 1] + items;
        }

        Total = sequences.AreAlike ? each * sequences.Count : starts[^1];
    }

    public long Total { get; }

    /// <summary>The sequence of an item, and its number there.</summary>
    public (int Sequence, long Item) Find(long item)
    {
        if (starts.Length == 0)
            return ((int)(item / each), item % each);

        // The last sequence that starts at the item or before: those without items start where the next one does.
        int low = 0, high = starts.Length - 1;
        while (high - low > 1)
        {
            int middle = low + (high - low) / 2;
            (low, high) = starts[middle] <= item ? (middle, high) : (low, middle);
        }

        return (low, item - starts[low]);
    }
}
