// Claims that the closed forms of Segments and Costs equal the definition (theorem 10).
using S2Attn.Spec.Algebra;

namespace S2Attn.Spec.Claims;

/// <summary>Query x lies in the run that RunOf names, the runs join without gaps, and x sees y exactly where one segment of the run shows it.</summary>
public sealed record SegmentsAreVisibility(MaskPolicy Mask) : IClaim
{
    /// <inheritdoc/>
    public B Region<I, B>(Sizes<I> sizes)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => Regions.Valid<I, B>(sizes) & Regions.Of<I, B>(Mask, sizes);

    /// <inheritdoc/>
    public B Holds<I, B>(Sizes<I> sizes, I x, I y)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        I index = Segments.RunOf<I, B>(sizes.G, sizes.S, x);
        QueryRun<I> run = Segments.Run<I, B>(Mask, sizes.N, sizes.G, sizes.S, index);
        B own = Regions.Contains<I, B>(run.Own.Start, run.Own.Length, y) & (run.Own.Causal ? y <= x : B.Of(true));
        B other = Regions.Contains<I, B>(run.Other.Start, run.Other.Length, y);
        I end = run.Start + run.Length;
        B joinsNext = I.Equal(I.If(end < sizes.N, Segments.Boundary<I, B>(sizes.G, sizes.S, index + 1), sizes.N), end);
        return Regions.Contains<I, B>(0, Segments.Count<I, B>(sizes.N, sizes.G, sizes.S), index)
            & Regions.Contains<I, B>(run.Start, run.Length, x)
            & run.Length >= 1
            & end <= sizes.N
            & joinsNext
            & run.Other.Start >= 0
            & run.Other.Length >= 0
            & run.Other.Start + run.Other.Length <= sizes.N
            & B.Iff(Visibility.Visible<I, B>(Mask, sizes.N, sizes.G, sizes.S, x, y), own | other)
            & !(own & other);
    }
}

/// <summary>x and y are runs: x starts where it should, holds its own first and last token, ends where the next starts or at N, and does not meet a later run y.</summary>
public sealed record RunsTile : IClaim
{
    /// <inheritdoc/>
    public B Region<I, B>(Sizes<I> sizes)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => Regions.Valid<I, B>(sizes);

    /// <inheritdoc/>
    public B Holds<I, B>(Sizes<I> sizes, I x, I y)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        I count = Segments.Count<I, B>(sizes.N, sizes.G, sizes.S);
        QueryRun<I> run = Segments.Run<I, B>(MaskPolicy.Split, sizes.N, sizes.G, sizes.S, x);
        QueryRun<I> later = Segments.Run<I, B>(MaskPolicy.Split, sizes.N, sizes.G, sizes.S, y);
        I end = run.Start + run.Length;
        B tiles = run.Start >= 0
            & run.Length >= 1
            & I.Equal(Segments.RunOf<I, B>(sizes.G, sizes.S, run.Start), x)
            & I.Equal(Segments.RunOf<I, B>(sizes.G, sizes.S, end - 1), x)
            & I.Equal(end, I.If(x + 1 < count, Segments.Boundary<I, B>(sizes.G, sizes.S, x + 1), sizes.N))
            & B.Implies(x < y & y < count, end <= later.Start);
        return I.Equal(Segments.Boundary<I, B>(sizes.G, sizes.S, 0), 0) & count >= 1 & count <= sizes.N & B.Implies(x < count, tiles);
    }
}

/// <summary>The keys that query x sees, counted key by key: before key y there are SeenBefore(y), which is 0 at y = 0, grows by one where x sees y, and ends at KeysSeen.</summary>
public sealed record KeysSeen(MaskPolicy Mask) : IClaim
{
    /// <inheritdoc/>
    public B Region<I, B>(Sizes<I> sizes)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => Regions.Valid<I, B>(sizes) & Regions.Of<I, B>(Mask, sizes);

    /// <inheritdoc/>
    public B Holds<I, B>(Sizes<I> sizes, I x, I y)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        QueryRun<I> run = Segments.Run<I, B>(Mask, sizes.N, sizes.G, sizes.S, Segments.RunOf<I, B>(sizes.G, sizes.S, x));
        I ownSeen = run.Own.Causal ? x - run.Own.Start + 1 : run.Own.Length;
        I SeenBefore(I key) => Before(run.Own.Start, ownSeen, key) + Before(run.Other.Start, run.Other.Length, key);
        I seesY = I.If(Visibility.Visible<I, B>(Mask, sizes.N, sizes.G, sizes.S, x, y), 1, 0);
        return I.Equal(SeenBefore(0), 0)
            & I.Equal(SeenBefore(y) + seesY, SeenBefore(y + 1))
            & I.Equal(SeenBefore(sizes.N), Segments.KeysSeen<I, B>(Mask, sizes.N, sizes.G, sizes.S, x));

        static I Before(I start, I length, I key) => I.If(key <= start, 0, I.Min(key - start, length));
    }
}

/// <summary>x is a run and y a row of it: the first y rows see VisiblePairsOfRows(y) keys, which is 0 at y = 0 and grows by the keys that row y sees.</summary>
public sealed record CostOfRun(MaskPolicy Mask) : IClaim
{
    /// <inheritdoc/>
    public B Region<I, B>(Sizes<I> sizes)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => Regions.Valid<I, B>(sizes) & Regions.Of<I, B>(Mask, sizes);

    /// <inheritdoc/>
    public B Holds<I, B>(Sizes<I> sizes, I x, I y)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        QueryRun<I> run = Segments.Run<I, B>(Mask, sizes.N, sizes.G, sizes.S, x);
        I seen = Segments.KeysSeen<I, B>(Mask, sizes.N, sizes.G, sizes.S, run.Start + y);
        B grows = I.Equal(Costs.VisiblePairsOfRows<I, B>(run, 0), 0)
            & I.Equal(Costs.VisiblePairsOfRows<I, B>(run, y) + seen, Costs.VisiblePairsOfRows<I, B>(run, y + 1));
        return B.Implies(x < Segments.Count<I, B>(sizes.N, sizes.G, sizes.S) & y < run.Length, grows);
    }
}

/// <summary>x is a run: the runs before it see VisiblePairsBefore(x) keys, which is 0 at x = 0, grows by the pairs of run x, and after the last run is the closed form.</summary>
public sealed record CostIsVisiblePairs(MaskPolicy Mask) : IClaim
{
    /// <inheritdoc/>
    public B Region<I, B>(Sizes<I> sizes)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => Regions.Valid<I, B>(sizes) & Regions.Of<I, B>(Mask, sizes);

    /// <inheritdoc/>
    public B Holds<I, B>(Sizes<I> sizes, I x, I y)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        QueryRun<I> run = Segments.Run<I, B>(Mask, sizes.N, sizes.G, sizes.S, x);
        I after = Before<I, B>(sizes, x) + Costs.VisiblePairsOfRows<I, B>(run, run.Length);
        B isLast = I.Equal(x + 1, Segments.Count<I, B>(sizes.N, sizes.G, sizes.S));
        B isInner = x + 1 < Segments.Count<I, B>(sizes.N, sizes.G, sizes.S);
        return I.Equal(Before<I, B>(sizes, 0), 0)
            & B.Implies(isInner, I.Equal(after, Before<I, B>(sizes, x + 1)))
            & B.Implies(isLast, I.Equal(after, Costs.VisiblePairs<I, B>(Mask, sizes.N, sizes.G, sizes.S)));
    }

    private I Before<I, B>(Sizes<I> sizes, I k)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => Costs.VisiblePairsBefore<I, B>(Mask, sizes.N, sizes.G, sizes.S, k);
}

/// <summary>A head sees at most N G pairs: summed over heads and sequences that is at most G times a tensor's elements, and fits 64 bits.</summary>
public sealed record CostIsAtMost(MaskPolicy Mask) : IClaim
{
    /// <inheritdoc/>
    public B Region<I, B>(Sizes<I> sizes)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => Regions.Valid<I, B>(sizes) & Regions.Of<I, B>(Mask, sizes);

    /// <inheritdoc/>
    public B Holds<I, B>(Sizes<I> sizes, I x, I y)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        I pairs = Costs.VisiblePairs<I, B>(Mask, sizes.N, sizes.G, sizes.S);
        return pairs >= 0 & pairs <= sizes.N * sizes.G;
    }
}
