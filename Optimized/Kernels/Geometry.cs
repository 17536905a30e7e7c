// Which work items does a configuration make, and what does each of them cover?
using System.Collections.Immutable;
using S2Attn.Spec;

namespace S2Attn.Optimized.Kernels;

/// <summary>Queries [Start, Start + Count) of one run of a head: a forward work item, up to batch and head.</summary>
internal readonly record struct QueryBlock(int Run, int Start, int Count);

/// <summary>Runs that share keys through the wrap: a backward work item, up to batch and head. Second is -1 where there is one run.</summary>
internal readonly record struct RunGroup(int First, int Second);

/// <summary>The runs of a head with one shift, and how they are cut into work.</summary>
internal sealed class HeadRuns
{
    public HeadRuns(MaskPolicy mask, int tokens, int groupSize, int shift, int blockQueries)
    {
        int count = Segments.Count<Spec.Algebra.Int, Spec.Algebra.Bool>(tokens, groupSize, shift).ToIndex();
        Runs = [.. Enumerable.Range(0, count).Select(k => Segments.Run(mask, tokens, groupSize, shift, k))];
        Blocks = [.. Enumerable.Range(0, count).SelectMany(k => Cut(k, Runs[k], blockQueries))];
        bool wraps = count > 1 && Runs.Any(run => run.Other.Length > 0);
        Groups = wraps
            ? [new RunGroup(0, count - 1), .. Enumerable.Range(1, count - 2).Select(Alone)]
            : [.. Enumerable.Range(0, count).Select(Alone)];

        static RunGroup Alone(int k) => new(k, -1);
    }

    /// <summary>The runs in order of their tokens.</summary>
    public ImmutableArray<QueryRun<int>> Runs { get; }

    /// <summary>Forward work items.</summary>
    public ImmutableArray<QueryBlock> Blocks { get; }

    /// <summary>Backward work items: no key is seen from two of them.</summary>
    public ImmutableArray<RunGroup> Groups { get; }

    private static IEnumerable<QueryBlock> Cut(int k, QueryRun<int> run, int size)
    {
        for (int start = 0; start < run.Length; start += size)
            yield return new(k, run.Start + start, Math.Min(size, run.Length - start));
    }
}

/// <summary>A forward work item of a sequence.</summary>
internal readonly record struct ForwardItem(int Head, QueryBlock Block);

/// <summary>A backward work item of a sequence.</summary>
internal readonly record struct BackwardItem(int KvHead, RunGroup Group);

/// <summary>
/// The work that a sequence of one length makes. Items stand in the order of their tokens, then of their heads: in the usual layout the rows of all heads of a token share
/// memory pages, and the pages of a few hundred tokens fit the processor's tables while those of a whole head do not. The blocks of a run stand with the last one, which sees
/// the most keys, first: what is left for the end is small, and no worker waits long for another.
/// </summary>
internal sealed class SequenceWork
{
    private readonly ImmutableArray<BackwardItem> unshiftedGroups, shiftedGroups;

    public SequenceWork(S2Config config, int tokens, int groupSize, int shift, int blockQueries)
    {
        Unshifted = new(config.Mask, tokens, groupSize, 0, blockQueries);
        Shifted = new(config.Mask, tokens, groupSize, shift, blockQueries);
        ForwardItems = [.. Enumerable.Range(0, config.Heads)
            .SelectMany(head => RunsOf(config.ShiftOf(head) > 0).Blocks.Select(block => new ForwardItem(head, block)))
            .OrderBy(item => RunsOf(config.ShiftOf(item.Head) > 0).Runs[item.Block.Run].Start)
            .ThenByDescending(item => item.Block.Start)];
        unshiftedGroups = Groups(shifted: false);
        shiftedGroups = Groups(shifted: true);

        ImmutableArray<BackwardItem> Groups(bool shifted) => [.. Enumerable.Range(0, config.KvHeads)
            .Where(kvHead => HasHeads(config, kvHead, shifted))
            .SelectMany(kvHead => RunsOf(shifted).Groups.Select(group => new BackwardItem(kvHead, group)))
            .OrderBy(item => item.Group.First)];
    }

    /// <summary>Runs of a head that does not shift.</summary>
    public HeadRuns Unshifted { get; }

    /// <summary>Runs of a head that shifts.</summary>
    public HeadRuns Shifted { get; }

    public ImmutableArray<ForwardItem> ForwardItems { get; }

    public HeadRuns RunsOf(bool shifted) => shifted ? Shifted : Unshifted;

    /// <summary>
    /// The query heads of a kv head that do not shift are done in phase 0 and those that do in phase 1, so that each gradient row has one owner in each phase
    /// and one order of additions.
    /// </summary>
    public ImmutableArray<BackwardItem> BackwardItems(int phase) => phase == 0 ? unshiftedGroups : shiftedGroups;

    /// <summary>Whether a kv head is read by a query head that shifts, or by one that does not.</summary>
    public static bool HasHeads(S2Config config, int kvHead, bool shifted)
    {
        int share = config.Heads / config.KvHeads;
        for (int head = kvHead * share; head < (kvHead + 1) * share; head++)
            if (config.ShiftOf(head) > 0 == shifted)
                return true;
        return false;
    }
}

/// <summary>One sequence: where its tokens stand in the tensors, and its work.</summary>
internal sealed record Sequence(int Batch, int FirstToken, SequenceWork Work)
{
    public HeadRuns RunsOf(bool shifted) => Work.RunsOf(shifted);
}

/// <summary>The numbering of the work items of all sequences.</summary>
internal sealed class Geometry
{
    private readonly int[] forwardStarts;
    private readonly int[][] backwardStarts;

    public Geometry(S2Config config, ImmutableArray<Sequence> sequences, BlockSizes sizes)
    {
        Config = config;
        Sequences = sequences;
        Sizes = sizes;
        forwardStarts = Starts(sequences.Select(sequence => sequence.Work.ForwardItems.Length));
        backwardStarts = [.. Enumerable.Range(0, 2).Select(phase => Starts(sequences.Select(sequence => sequence.Work.BackwardItems(phase).Length)))];
    }

    public S2Config Config { get; }

    public ImmutableArray<Sequence> Sequences { get; }

    public BlockSizes Sizes { get; }

    public int ForwardItems => forwardStarts[^1];

    public int BackwardItems(int phase) => backwardStarts[phase][^1];

    /// <summary>Whether a query head shifts; with S = 0 none does.</summary>
    public bool Shifts(int head) => Config.ShiftOf(head) > 0;

    public (Sequence Sequence, ForwardItem Item) Forward(int item)
    {
        int sequence = Owner(forwardStarts, item);
        return (Sequences[sequence], Sequences[sequence].Work.ForwardItems[item - forwardStarts[sequence]]);
    }

    public (Sequence Sequence, BackwardItem Item) Backward(int phase, int item)
    {
        int sequence = Owner(backwardStarts[phase], item);
        return (Sequences[sequence], Sequences[sequence].Work.BackwardItems(phase)[item - backwardStarts[phase][sequence]]);
    }

    private static int[] Starts(IEnumerable<int> counts)
    {
        List<int> starts = [0];
        foreach (int count in counts)
            starts.Add(checked(starts[^1] + count));
        return [.. starts];
    }

    private static int Owner(int[] starts, int item)
    {
        int at = Array.BinarySearch(starts, item);
        if (at < 0)
            at = ~at - 1;

        // A sequence without items starts where the next one starts; the last of equals is the owner.
        while (starts[at + 1] == item)
            at++;
        return at;
    }
}
