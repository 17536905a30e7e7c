// Which runs does a head of a sequence make, and how many blocks are they cut into? Closed forms over Spec's segments: nothing is stored.
using S2Attn.Spec;

namespace S2Attn.Optimized.Kernels;

/// <summary>Queries [Start, Start + Count) of one run of a head: a forward work item, up to batch and head.</summary>
internal readonly record struct QueryBlock(int Run, int Start, int Count);

/// <summary>Runs that share keys through the wrap: a backward work item, up to batch and head. Second is -1 where there is one run.</summary>
internal readonly record struct RunGroup(int First, int Second);

/// <summary>The runs of a head with one shift, in order of their tokens, and how they are cut into work. All but the first and the last have G tokens.</summary>
internal readonly struct HeadRuns
{
    private readonly MaskPolicy mask;
    private readonly int tokens, groupSize, shift, blockQueries;
    private readonly bool wraps;

    public HeadRuns(MaskPolicy mask, int tokens, int groupSize, int shift, int blockQueries)
    {
        this.mask = mask;
        this.tokens = tokens;
        this.groupSize = groupSize;
        this.shift = shift;
        this.blockQueries = blockQueries;
        Count = tokens == 0 ? 0 : Segments.Count<Spec.Algebra.Int, Spec.Algebra.Bool>(tokens, groupSize, shift).ToIndex();
        wraps = Count > 1 && (this[0].Other.Length > 0 || this[Count - 1].Other.Length > 0);
    }

    /// <summary>Runs.</summary>
    public int Count { get; }

    /// <summary>Backward work items: no key is seen from two of them.</summary>
    public int Groups => wraps ? Count - 1 : Count;

    public QueryRun<int> this[int run] => Segments.Run(mask, tokens, groupSize, shift, run);

    public RunGroup Group(int group) => new(group, wraps && group == 0 ? Count - 1 : -1);

    /// <summary>Blocks of a run; none for a run that there is not.</summary>
    public long Blocks(int run) => run < Count ? (this[run].Length - 1) / blockQueries + 1 : 0;

    /// <summary>Blocks of the runs before a run.</summary>
    public long BlocksBefore(int run) =>
        run <= 0 || Count == 0 ? 0
        : run < Count ? Blocks(0) + (run - 1) * BlocksOfGroup
        : BlocksBefore(Count - 1) + Blocks(Count - 1);

    /// <summary>Blocks of a run of G tokens.</summary>
    public long BlocksOfGroup => (groupSize - 1) / blockQueries + 1;

    /// <summary>A block of a run, counted from its last one.</summary>
    public QueryBlock BlockFromLast(int run, int fromLast)
    {
        QueryRun<int> queries = this[run];
        int start = ((queries.Length - 1) / blockQueries - fromLast) * blockQueries;
        return new(run, queries.Start + start, Math.Min(blockQueries, queries.Length - start));
    }
}
