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

/// <summary>One sequence: its first token in the tensors and its runs, unshifted and shifted.</summary>
internal sealed record Sequence(int Batch, int FirstToken, HeadRuns Unshifted, HeadRuns Shifted)
{
    public HeadRuns RunsOf(bool shifted) => shifted ? Shifted : Unshifted;
}

/// <summary>
/// The numbering of work items. Forward item: sequence, query head, block. Backward item of a phase: sequence, kv head, group of runs. The query heads of a kv head
/// that do not shift are done in phase 0 and those that do in phase 1, so that each gradient row has one owner in each phase and one order of additions.
/// </summary>
internal sealed class Geometry
{
    private readonly int[] forwardStarts;
    private readonly int[][] backwardStarts = new int[2][];

    public Geometry(S2Config config, ImmutableArray<Sequence> sequences, BlockSizes sizes)
    {
        Config = config;
        Sequences = sequences;
        Sizes = sizes;
        Shifts = [.. Enumerable.Range(0, config.Heads).Select(head => config.ShiftOf(head) > 0)];
        forwardStarts = Starts(sequences.SelectMany(sequence => Shifts.Select(shifted => sequence.RunsOf(shifted).Blocks.Length)));
        for (int phase = 0; phase < 2; phase++)
        {
            bool shifted = phase == 1;
            backwardStarts[phase] = Starts(sequences.SelectMany(sequence => Enumerable.Range(0, config.KvHeads)
                .Select(kvHead => HasHeads(kvHead, shifted) ? sequence.RunsOf(shifted).Groups.Length : 0)));
        }
    }

    public S2Config Config { get; }

    public ImmutableArray<Sequence> Sequences { get; }

    public BlockSizes Sizes { get; }

    /// <summary>Whether each query head shifts.</summary>
    public ImmutableArray<bool> Shifts { get; }

    public int ForwardItems => forwardStarts[^1];

    public int BackwardItems(int phase) => backwardStarts[phase][^1];

    /// <summary>Whether a kv head is read by a query head that shifts, or by one that does not.</summary>
    public bool HasHeads(int kvHead, bool shifted)
    {
        int share = Config.Heads / Config.KvHeads;
        return Shifts.AsSpan(kvHead * share, share).Contains(shifted);
    }

    public (Sequence Sequence, int Head, QueryBlock Block) Forward(int item)
    {
        (int sequence, int head, int block) = Locate(forwardStarts, Config.Heads, item);
        return (Sequences[sequence], head, Sequences[sequence].RunsOf(Shifts[head]).Blocks[block]);
    }

    public (Sequence Sequence, int KvHead, RunGroup Group) Backward(int phase, int item)
    {
        (int sequence, int kvHead, int group) = Locate(backwardStarts[phase], Config.KvHeads, item);
        return (Sequences[sequence], kvHead, Sequences[sequence].RunsOf(phase == 1).Groups[group]);
    }

    private static int[] Starts(IEnumerable<int> counts)
    {
        List<int> starts = [0];
        foreach (int count in counts)
            starts.Add(checked(starts[^1] + count));
        return [.. starts];
    }

    private static (int Sequence, int Head, int Index) Locate(int[] starts, int heads, int item)
    {
        int at = Array.BinarySearch(starts, item);
        if (at < 0)
            at = ~at - 1;

        // Heads without items start where the next one starts; the last of equals is the owner.
        while (starts[at + 1] == item)
            at++;
        return (at / heads, at % heads, item - starts[at]);
    }
}
