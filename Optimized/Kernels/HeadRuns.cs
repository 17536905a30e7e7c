// Which runs does a head of a sequence make, and how many blocks are they cut into? Closed forms over Spec's segments: nothing is stored.
using S2Attn.Spec;

namespace S2Attn.Optimized.Kernels;

/// <summary>Queries [Start, Start + Count) of one run of a head, as the whole sequence counts runs: a forward work item, up to batch and head.</summary>
internal readonly record struct QueryBlock(int Run, int Start, int Count);

/// <summary>Runs that share keys through the wrap: a backward work item, up to batch and head. Second is -1 where there is one run.</summary>
internal readonly record struct RunGroup(int First, int Second);

/// <summary>The runs of a head with one shift that have queries to compute, in order of their tokens, and how they are cut into work. All but the first and the last have G such queries.</summary>
internal readonly struct HeadRuns
{
    private readonly MaskPolicy mask;
    private readonly Sequence sequence;
    private readonly int blockQueries, firstRun;
    private readonly long blocksOfFirst, blocksOfLast;
    private readonly bool wraps;

    public HeadRuns(MaskPolicy mask, Sequence sequence, int shift, int blockQueries)
    {
        this.mask = mask;
        this.sequence = sequence;
        this.blockQueries = blockQueries;
        Shift = shift;
        if (sequence.QueryStart == sequence.QueryEnd)
            return;
        firstRun = sequence.QueryStart == 0 ? 0 : RunOf(sequence.QueryStart);
        Count = RunOf(sequence.QueryEnd - 1) + 1 - firstRun;
        QueryRun<int> first = this[0], last = this[Count - 1];
        (blocksOfFirst, blocksOfLast) = (BlocksOf(first.Length), BlocksOf(last.Length));

        // Runs that the wrap joins share keys where both have queries here.
        wraps = Count > 1 && firstRun == 0 && (first.Other.Length > 0 || last.Other.Length > 0) && RunOf(sequence.Tokens - 1) == Count - 1;
    }

    /// <summary>A run with those of its queries that are computed; the keys that they see are those of the whole run.</summary>
    private static QueryRun<int> Run(MaskPolicy mask, Sequence sequence, int shift, int run)
    {
        QueryRun<int> whole = Segments.Run(mask, sequence.Tokens, sequence.GroupSize, shift, sequence.Prefix, sequence.IsPrefixWhole, run);
        int start = Math.Max(whole.Start, sequence.QueryStart);
        return whole with { Start = start, Length = Math.Min(whole.Start + whole.Length, sequence.QueryEnd) - start };
    }

    /// <summary>By how much the head shifts in this sequence.</summary>
    public int Shift { get; }

    /// <summary>Runs that have queries to compute.</summary>
    public int Count { get; }

    /// <summary>Backward work items: no key is seen from two of them, but for those of a prefix.</summary>
    public int Groups => wraps ? Count - 1 : Count;

    public QueryRun<int> this[int run] => Run(mask, sequence, Shift, firstRun + run);

    /// <summary>
    /// A run as the pass over prefixes takes it: from the first one on that sees a whole prefix, all queries are one run, and blocks of them do not end where runs do. Those before start inside the prefix.
    /// </summary>
    public QueryRun<int> PrefixRun(int run)
    {
        QueryRun<int> queries = this[run];
        return queries.Prefix.Length == sequence.Prefix ? queries with { Length = sequence.QueryEnd - queries.Start } : queries;
    }

    public RunGroup Group(int group) => new(group, wraps && group == 0 ? Count - 1 : -1);

    /// <summary>Blocks of a run; none for a run that there is not.</summary>
    public long Blocks(int run) => run >= Count ? 0 : run == 0 ? blocksOfFirst : run == Count - 1 ? blocksOfLast : BlocksOfGroup;

    /// <summary>Blocks of the runs before a run.</summary>
    public long BlocksBefore(int run) =>
        run <= 0 || Count == 0 ? 0
        : run < Count ? blocksOfFirst + (run - 1) * BlocksOfGroup
        : BlocksBefore(Count - 1) + blocksOfLast;

    /// <summary>Blocks of a run of G tokens.</summary>
    public long BlocksOfGroup => BlocksOf(sequence.GroupSize);

    /// <summary>A block of a run and of its queries, counted from its last one.</summary>
    public QueryBlock BlockFromLast(int run, QueryRun<int> queries, int fromLast)
    {
        int start = ((queries.Length - 1) / blockQueries - fromLast) * blockQueries;
        return new(firstRun + run, queries.Start + start, Math.Min(blockQueries, queries.Length - start));
    }

    private long BlocksOf(int queries) => (queries - 1) / blockQueries + 1;

    private int RunOf(int token) => Segments.RunOf<Spec.Algebra.Int, Spec.Algebra.Bool>(sequence.GroupSize, Shift, token).ToIndex();
}
