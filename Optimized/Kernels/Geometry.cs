// Which work items does a configuration make, and what does each of them cover?
using S2Attn.Spec;

namespace S2Attn.Optimized.Kernels;

/// <summary>A forward work item of a sequence.</summary>
internal readonly record struct ForwardItem(int Head, QueryBlock Block)
{
    /// <summary>The run of the block.</summary>
    public QueryRun<int> Run { get; init; }

    /// <summary>The class of the head.</summary>
    public int Class { get; init; }

    /// <summary>The place of the head among those of its class.</summary>
    public int PlaceInClass { get; init; }
}

/// <summary>A backward work item of a sequence: the heads of a class that read a kv head.</summary>
internal readonly record struct BackwardItem(int Class, int KvHead, RunGroup Group);

/// <summary>A work item of the pass over prefixes, of a sequence: the gradients that keys [FirstKey, FirstKey + a tile) of the prefix receive in a kv head, from all queries that see them through the prefix.</summary>
internal readonly record struct PrefixItem(int KvHead, int FirstKey);

/// <summary>
/// The numbering of the work items of all sequences, in closed form. Items stand in the order of their tokens, then of their heads: in the usual layout the rows of all heads
/// of a token share memory pages, and the pages of a few hundred tokens fit the processor's tables while those of a whole head do not. The blocks of a run stand with the last
/// one, which sees the most keys, first: what is left for the end is small, and no worker waits long for another.
/// </summary>
internal sealed class Geometry
{
    private const int TokensOfStore = 64;

    // Of a claim of several items, some tens of microseconds; and claims of a worker, so that the last ones leave nobody idle for long.
    private const double MostWorkOfClaim = 4e6;
    private const int LeastClaimsOfWorker = 8;

    // Five products for two.
    private const double BackwardOfForward = 2.5;

    private readonly Sequences sequences;
    private readonly int batch;
    private readonly TokenRange<int> keys;
    private readonly HeadRuns[][] runs;
    private readonly ItemStarts forward;
    private readonly ItemStarts[] backward;
    private readonly ItemStarts? prefix;

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
        ScoreScale = ScaleFactor.Of(config.Scale, Math.Log2(Math.E));
        Classes = new(config, isPacked: !sequences.AreAlike);
        runs = [.. Enumerable.Range(0, Classes.Count).Select(of => Enumerable.Range(0, sequences.Kinds).Select(kind => RunsOfKind(of, sequences.OfKind(kind))).ToArray())];
        forward = new(sequences, ForwardItemsOf);
        backward = [.. Enumerable.Range(0, Classes.Count).Select(of => new ItemStarts(sequences, sequence => (long)RunsOf(sequence, of).Groups * Classes.KvHeads(of).Length))];
        prefix = sequences.LargestPrefix == 0 ? null : new(sequences, sequence => (sequence.Prefix + (long)sizes.BackwardKeys - 1) / sizes.BackwardKeys * config.KvHeads);
    }

    /// <summary>Heads, D, mask and scale; N, G and S are those of each sequence.</summary>
    public S2Config Config { get; }

    public BlockSizes Sizes { get; }

    /// <summary>By what q is multiplied, for scores in base 2.</summary>
    public ScaleFactor ScoreScale { get; }

    /// <summary>Whether dk and dv are cleared in a pass of their own: each run clears its own keys where the runs make up all of them.</summary>
    public bool IsSlice { get; }

    public long ForwardItems => forward.Total;

    /// <summary>About how many floating-point operations a forward call makes: those of a causal mask.</summary>
    public double Work => 2.0 * batch * (keys.End - keys.Start) * Config.Heads * Config.HeadDim * Math.Min(sequences.LargestGroup + 2L * sequences.LargestPrefix, keys.End - keys.Start);

    /// <summary>
    /// How many forward items a worker claims at a time. Small ones are claimed with those of the other heads of their tokens: in the usual layout these write beside each other, and two
    /// workers at the two ends of a cache line would take it from each other row by row.
    /// </summary>
    public int ForwardItemsOfClaim(int workers) => ItemsOfClaim(ForwardItems, Work, Config.Heads, workers);

    /// <summary>The same for a phase of the backward pass.</summary>
    public int BackwardItemsOfClaim(int phase, int workers) => ItemsOfClaim(BackwardItems(phase), Work * BackwardOfForward, Classes.KvHeads(Classes.Phase(phase).Start).Length, workers);

    /// <summary>Items that clear dk and dv, or round them to storage.</summary>
    public long StoreItems => keys.End == keys.Start ? 0 : batch * StoresOfBatch;

    private long StoresOfBatch => (keys.End - keys.Start - 1) / TokensOfStore + 1;

    /// <summary>
    /// The query heads by their shift. The backward pass takes classes that read the same kv head one after the other, so that each gradient row has one owner in each phase and one order of additions.
    /// </summary>
    public HeadClasses Classes { get; }

    /// <summary>Work items of a phase of the backward pass.</summary>
    public long BackwardItems(int phase)
    {
        (int start, int end) = Classes.Phase(phase);
        long items = 0;
        for (int of = start; of < end; of++)
            items += backward[of].Total;
        return items;
    }

    /// <summary>The runs of a class of heads in a sequence.</summary>
    public ref readonly HeadRuns RunsOf(in Sequence sequence, int of) => ref runs[of][sequence.Kind];

    public (Sequence Sequence, ForwardItem Item) Forward(long item)
    {
        (int entry, int index, long rest) = forward.Find(item);
        Sequence sequence = sequences[entry, index];

        // Only the last runs are short: the step is found at once, or is the one after.
        long first = ForwardItemsBefore(sequence, 1), each = RunsOf(sequence, 0).BlocksOfGroup * Config.Heads;
        int step = rest < first ? 0 : (int)Math.Min(1 + (rest - first) / each, int.MaxValue);
        rest -= ForwardItemsBefore(sequence, step);

        // Run k of the heads that shift starts before run k of the others, but for the first ones.
        for (int at = 0; ; at++)
        {
            if (at == Classes.Count)
                (at, step) = (0, step + 1);
            int of = !Classes.StartsUnshifted ? at : at < Classes.Count - 1 ? at + 1 : 0;
            ref readonly HeadRuns head = ref RunsOf(sequence, of);
            int[] heads = Classes.Heads(of);
            long items = head.Blocks(step) * heads.Length;
            if (rest < items)
            {
                QueryRun<int> run = head[step];
                int place = (int)(rest % heads.Length);
                return (sequence, new(heads[place], head.BlockFromLast(step, run, (int)(rest / heads.Length))) { Run = run, Class = of, PlaceInClass = place });
            }

            rest -= items;
        }
    }

    /// <summary>The item behind one that was found: small ones are found as often as they are computed, and that of the next head of a class is at hand.</summary>
    public (Sequence Sequence, ForwardItem Item) ForwardBehind(long item, Sequence sequence, ForwardItem found)
    {
        int[] heads = Classes.Heads(found.Class);
        int place = found.PlaceInClass + 1;
        return place < heads.Length ? (sequence, found with { Head = heads[place], PlaceInClass = place }) : Forward(item + 1);
    }

    public (Sequence Sequence, BackwardItem Item) Backward(int phase, long item)
    {
        int of = Classes.Phase(phase).Start;
        while (item >= backward[of].Total)
            item -= backward[of++].Total;
        (int entry, int index, long rest) = backward[of].Find(item);
        int[] kvHeads = Classes.KvHeads(of);
        Sequence sequence = sequences[entry, index];
        return (sequence, new(of, kvHeads[rest % kvHeads.Length], RunsOf(sequence, of).Group((int)(rest / kvHeads.Length))));
    }

    /// <summary>Items of the pass that follows the phases: keys of a prefix are seen from every run, and one item owns what they receive from all of them.</summary>
    public long PrefixItems => prefix?.Total ?? 0;

    public (Sequence Sequence, PrefixItem Item) Prefix(long item)
    {
        (int entry, int index, long rest) = prefix!.Find(item);
        return (sequences[entry, index], new((int)(rest % Config.KvHeads), (int)(rest / Config.KvHeads) * Sizes.BackwardKeys));
    }

    /// <summary>The tokens whose dk and dv an item clears or rounds.</summary>
    public (int Batch, int First, int Count) Store(long item)
    {
        int first = keys.Start + (int)(item % StoresOfBatch) * TokensOfStore;
        return ((int)(item / StoresOfBatch), first, Math.Min(TokensOfStore, keys.End - first));
    }

    private static int ItemsOfClaim(long items, double work, int neighbours, int workers)
    {
        double most = Math.Min((double)items / (LeastClaimsOfWorker * workers), MostWorkOfClaim * items / work);
        int count = workers == 1 ? 1 : neighbours;
        while (count > 1 && (neighbours % count != 0 || count > most))
            count--;
        return count;
    }

    // None in a sequence that other heads attend.
    private HeadRuns RunsOfKind(int of, Sequence sequence) =>
        new(Config.Mask, sequences.AreAttendedBy(of, sequence.Kind) ? sequence : sequence with { QueryEnd = sequence.QueryStart }, Classes.ShiftIn(sequence, of), Sizes.BlockQueries);

    private long ForwardItemsOf(Sequence sequence) => ForwardItemsBefore(sequence, int.MaxValue);

    // Items of the runs 0 to step - 1 of all heads.
    private long ForwardItemsBefore(in Sequence sequence, int step)
    {
        long items = 0;
        for (int of = 0; of < Classes.Count; of++)
            items += RunsOf(sequence, of).BlocksBefore(step) * Classes.Heads(of).Length;
        return items;
    }
}

/// <summary>Which sequence owns an item: a division by the items of a batch entry, then a search in the first items of each of its sequences.</summary>
internal sealed class ItemStarts
{
    private readonly long each;
    private readonly long[] starts;

    public ItemStarts(Sequences sequences, Func<Sequence, long> count)
    {
        // Sequences of one length make the same items, and a batch has few lengths.
        long[] counts = [.. Enumerable.Range(0, sequences.Kinds).Select(kind => count(sequences.OfKind(kind)))];
        starts = new long[sequences.OfEntry + 1];
        for (int i = 1; i < starts.Length; i++)
            starts[i] = starts[i - 1] + counts[sequences.KindOf(i - 1)];
        each = starts[^1];
        Total = each * sequences.Batch;
    }

    public long Total { get; }

    /// <summary>The batch entry and the sequence of an item, and its number there.</summary>
    public (int Entry, int Sequence, long Item) Find(long item)
    {
        int entry = (int)(item / each);
        item -= entry * each;

        // The last sequence that starts at the item or before: those without items start where the next one does.
        int low = 0, high = starts.Length - 1;
        while (high - low > 1)
        {
            int middle = low + (high - low) / 2;
            (low, high) = starts[middle] <= item ? (middle, high) : (low, middle);
        }

        return (entry, low, item - starts[low]);
    }
}
