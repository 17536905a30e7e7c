// Claims about what a query sees (theorems 3 to 8). x is the query token, y the key token.
using S2Attn.Spec.Algebra;

namespace S2Attn.Spec.Claims;

/// <summary>No query sees a later key.</summary>
public sealed record NoLeakage(MaskPolicy Mask, bool Shifted = false) : IClaim
{
    /// <inheritdoc/>
    public B Region<I, B>(Sizes<I> sizes)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => Regions.Valid<I, B>(sizes) & Regions.Of<I, B>(Mask, sizes) & (Shifted ? sizes.S > 0 : B.Of(true));

    /// <inheritdoc/>
    public B Holds<I, B>(Sizes<I> sizes, I x, I y)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => B.Implies(Visibility.Visible<I, B>(Mask, sizes.N, sizes.G, sizes.S, x, y), y <= x);
}

/// <summary>LocalCausal sees the future exactly from the wrapped run into the end of the text.</summary>
public sealed record LeakIsConfined : IClaim
{
    /// <inheritdoc/>
    public B Region<I, B>(Sizes<I> sizes)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => Regions.Valid<I, B>(sizes) & Regions.WholeGroups<I, B>(sizes);

    /// <inheritdoc/>
    public B Holds<I, B>(Sizes<I> sizes, I x, I y)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        B leaks = Visibility.Visible<I, B>(MaskPolicy.LocalCausal, sizes.N, sizes.G, sizes.S, x, y) & y > x;
        return B.Iff(leaks, x < sizes.S & y >= sizes.N - sizes.G + sizes.S);
    }
}

/// <summary>
/// The leaking pairs of LocalCausal, counted by queries: by LeakIsConfined query x leaks the keys [N-G+S, N) where x &lt; S and none elsewhere. Those
/// are G - S tokens, and the queries before x leak min(x, S) (G - S), which ends at LeakingPairs.
/// </summary>
public sealed record LeakCount : IClaim
{
    /// <inheritdoc/>
    public B Region<I, B>(Sizes<I> sizes)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => Regions.Valid<I, B>(sizes) & Regions.WholeGroups<I, B>(sizes);

    /// <inheritdoc/>
    public B Holds<I, B>(Sizes<I> sizes, I x, I y)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        I first = sizes.N - sizes.G + sizes.S;
        I keys = sizes.N - first;
        I Before(I query) => I.Min(query, sizes.S) * keys;
        return first >= sizes.S
            & keys >= 1
            & I.Equal(Before(0), 0)
            & I.Equal(Before(x) + I.If(x < sizes.S, keys, 0), Before(x + 1))
            & I.Equal(Before(sizes.N), Costs.LeakingPairs<I, B>(sizes.G, sizes.S));
    }
}

/// <summary>One group that is the whole sequence is full attention.</summary>
public sealed record FullAtWholeGroup(MaskPolicy Mask, bool Shifted) : IClaim
{
    /// <inheritdoc/>
    public B Region<I, B>(Sizes<I> sizes)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => Regions.Valid<I, B>(sizes) & I.Equal(sizes.N, sizes.G) & (Shifted ? sizes.S > 0 : I.Equal(sizes.S, 0));

    /// <inheritdoc/>
    public B Holds<I, B>(Sizes<I> sizes, I x, I y)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => B.Iff(Visibility.Visible<I, B>(Mask, sizes.N, sizes.G, sizes.S, x, y), Mask.IsCausal() ? y <= x : B.Of(true));
}

/// <summary>Split over one whole group: causal, less the pairs that cross the shift.</summary>
public sealed record SplitDropsCrossRuns : IClaim
{
    /// <inheritdoc/>
    public B Region<I, B>(Sizes<I> sizes)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => Regions.Valid<I, B>(sizes) & I.Equal(sizes.N, sizes.G);

    /// <inheritdoc/>
    public B Holds<I, B>(Sizes<I> sizes, I x, I y)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => B.Iff(Visibility.Visible<I, B>(MaskPolicy.Split, sizes.N, sizes.G, sizes.S, x, y), y <= x & !(y < sizes.S & x >= sizes.S));
}

/// <summary>LocalCausal over one whole group: causal after the rotation by S.</summary>
public sealed record LocalCausalIsRotated : IClaim
{
    /// <inheritdoc/>
    public B Region<I, B>(Sizes<I> sizes)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => Regions.Valid<I, B>(sizes) & I.Equal(sizes.N, sizes.G);

    /// <inheritdoc/>
    public B Holds<I, B>(Sizes<I> sizes, I x, I y)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        B wrappedQuery = x < sizes.S;
        B wrappedKey = y < sizes.S;
        B expected = (B.Iff(wrappedQuery, wrappedKey) & y <= x) | (wrappedQuery & !wrappedKey);
        return B.Iff(Visibility.Visible<I, B>(MaskPolicy.LocalCausal, sizes.N, sizes.G, sizes.S, x, y), expected);
    }
}

/// <summary>Split is causal attention over cu_seqlens 0, S, S+G, ..., N.</summary>
public sealed record SplitIsVarlen : IClaim
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
        I start = I.If(x < sizes.S, 0, sizes.S + (x - sizes.S) / sizes.G * sizes.G);
        return B.Iff(Visibility.Visible<I, B>(MaskPolicy.Split, sizes.N, sizes.G, sizes.S, x, y), start <= y & y <= x);
    }
}

/// <summary>False: for a ragged N, positions modulo N (no pads) with "same group, same run" give the varlen segments.</summary>
public sealed record UnpaddedRingIsVarlen : IClaim
{
    /// <inheritdoc/>
    public B Region<I, B>(Sizes<I> sizes)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => Regions.Valid<I, B>(sizes) & !Regions.WholeGroups<I, B>(sizes);

    /// <inheritdoc/>
    public B Holds<I, B>(Sizes<I> sizes, I x, I y)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        B sameGroup = I.Equal(
            IndexMaps.Position<I, B>(sizes.N, sizes.S, x) / sizes.G,
            IndexMaps.Position<I, B>(sizes.N, sizes.S, y) / sizes.G);
        B sameRun = B.Iff(IndexMaps.Run<I, B>(sizes.S, x), IndexMaps.Run<I, B>(sizes.S, y));
        return B.Iff(Visibility.Visible<I, B>(MaskPolicy.Split, sizes.N, sizes.G, sizes.S, x, y), sameGroup & sameRun & y <= x);
    }
}

/// <summary>Split is LocalCausal within a run.</summary>
public sealed record SplitIsLocalCausalCut : IClaim
{
    /// <inheritdoc/>
    public B Region<I, B>(Sizes<I> sizes)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => Regions.Valid<I, B>(sizes) & Regions.WholeGroups<I, B>(sizes);

    /// <inheritdoc/>
    public B Holds<I, B>(Sizes<I> sizes, I x, I y)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        B sameRun = B.Iff(IndexMaps.Run<I, B>(sizes.S, x), IndexMaps.Run<I, B>(sizes.S, y));
        return B.Iff(
            Visibility.Visible<I, B>(MaskPolicy.Split, sizes.N, sizes.G, sizes.S, x, y),
            Visibility.Visible<I, B>(MaskPolicy.LocalCausal, sizes.N, sizes.G, sizes.S, x, y) & sameRun);
    }
}

/// <summary>The two differ on the wrapped run only.</summary>
public sealed record LocalCausalIsSplitAfterShift : IClaim
{
    /// <inheritdoc/>
    public B Region<I, B>(Sizes<I> sizes)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => Regions.Valid<I, B>(sizes) & Regions.WholeGroups<I, B>(sizes);

    /// <inheritdoc/>
    public B Holds<I, B>(Sizes<I> sizes, I x, I y)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        B agree = B.Iff(
            Visibility.Visible<I, B>(MaskPolicy.LocalCausal, sizes.N, sizes.G, sizes.S, x, y),
            Visibility.Visible<I, B>(MaskPolicy.Split, sizes.N, sizes.G, sizes.S, x, y));
        return B.Implies(x >= sizes.S, agree);
    }
}

/// <summary>Shifting by +S, which is -(N - S) on the ring, sees what shifting by -S sees.</summary>
public sealed record Direction(MaskPolicy Mask, bool OddGroup) : IClaim
{
    /// <inheritdoc/>
    public B Region<I, B>(Sizes<I> sizes)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        B group = OddGroup
            ? Regions.OddGroup<I, B>(sizes) & sizes.G >= 3 & sizes.N >= 2 * sizes.G & Regions.DefaultShift<I, B>(sizes)
            : I.Equal(2 * sizes.S, sizes.G);
        return Regions.Valid<I, B>(sizes) & Regions.WholeGroups<I, B>(sizes) & group;
    }

    /// <inheritdoc/>
    public B Holds<I, B>(Sizes<I> sizes, I x, I y)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => B.Iff(
            Visibility.Visible<I, B>(Mask, sizes.N, sizes.G, sizes.S, x, y),
            Visibility.Visible<I, B>(Mask, sizes.N, sizes.G, sizes.N - sizes.S, x, y));
}

/// <summary>Shifting by +S, which is -(N - S) on the ring, is shifting by -(G - S): a whole group more or less does not matter.</summary>
public sealed record Complement(MaskPolicy Mask) : IClaim
{
    /// <inheritdoc/>
    public B Region<I, B>(Sizes<I> sizes)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => Regions.Valid<I, B>(sizes) & Regions.WholeGroups<I, B>(sizes) & sizes.S > 0;

    /// <inheritdoc/>
    public B Holds<I, B>(Sizes<I> sizes, I x, I y)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => B.Iff(
            Visibility.Visible<I, B>(Mask, sizes.N, sizes.G, sizes.N - sizes.S, x, y),
            Visibility.Visible<I, B>(Mask, sizes.N, sizes.G, sizes.G - sizes.S, x, y));
}

/// <summary>Every token sees itself.</summary>
public sealed record Diagonal(MaskPolicy Mask) : IClaim
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
        => Visibility.Visible<I, B>(Mask, sizes.N, sizes.G, sizes.S, x, x);
}
