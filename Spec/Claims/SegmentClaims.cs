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

/// <summary>
/// The closed form of the cost, stated by rows so that it needs no sum: the rows before token x see VisiblePairsBefore(x) keys, which is 0
/// at x = 0, grows by the keys that x sees, and with the last row's keys is the closed form.
/// </summary>
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
        I after = Before<I, B>(sizes, x) + Segments.KeysSeen<I, B>(Mask, sizes.N, sizes.G, sizes.S, x);
        I total = Costs.VisiblePairs<I, B>(Mask, sizes.N, sizes.G, sizes.S);
        B isLast = I.Equal(x + 1, sizes.N);
        return I.Equal(Before<I, B>(sizes, 0), 0)
            & I.Equal(after, I.If(isLast, total, Before<I, B>(sizes, x + 1)));
    }

    private I Before<I, B>(Sizes<I> sizes, I t)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => Costs.VisiblePairsBefore<I, B>(Mask, sizes.N, sizes.G, sizes.S, t);
}
