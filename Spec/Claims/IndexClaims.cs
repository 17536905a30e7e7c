// Claims about shift and grouping (theorems 1 and 2).
using S2Attn.Spec.Algebra;

namespace S2Attn.Spec.Claims;

/// <summary>x is a token and a position: each map undoes the other and stays in [0, N).</summary>
public sealed record Invertible : IClaim
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
        I position = IndexMaps.Position<I, B>(sizes.N, sizes.S, x);
        I token = IndexMaps.Token<I, B>(sizes.N, sizes.S, x);
        return I.Equal(IndexMaps.Token<I, B>(sizes.N, sizes.S, position), x)
            & I.Equal(IndexMaps.Position<I, B>(sizes.N, sizes.S, token), x)
            & Regions.Contains<I, B>(0, sizes.N, position)
            & Regions.Contains<I, B>(0, sizes.N, token);
    }
}

/// <summary>False: x is a token; the forward roll uses (G+1)/2, what Python's -G//2 floors to, and the backward roll G/2.</summary>
public sealed record FloorShiftInverts : IClaim
{
    /// <inheritdoc/>
    public B Region<I, B>(Sizes<I> sizes)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => Regions.Valid<I, B>(sizes) & Regions.WholeGroups<I, B>(sizes) & Regions.OddGroup<I, B>(sizes) & sizes.N >= 2;

    /// <inheritdoc/>
    public B Holds<I, B>(Sizes<I> sizes, I x, I y)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        I half = sizes.G / 2;
        I position = IndexMaps.Position<I, B>(sizes.N, sizes.G - half, x);
        return I.Equal(IndexMaps.Token<I, B>(sizes.N, half, position), x);
    }
}

/// <summary>Token x stands at place r of group j with 0 &lt;= j &lt; n, 0 &lt;= r &lt; G and is recovered from (j, r); position y belongs to group y / G. A bijection of tokens with n G places.</summary>
public sealed record Partition : IClaim
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
        I position = IndexMaps.Position<I, B>(sizes.N, sizes.S, x);
        I group = IndexMaps.Group<I, B>(sizes.N, sizes.G, sizes.S, x);
        I place = position - group * sizes.G;
        I tokenAtY = IndexMaps.Token<I, B>(sizes.N, sizes.S, y);
        return Regions.Contains<I, B>(0, sizes.N / sizes.G, group)
            & Regions.Contains<I, B>(0, sizes.G, place)
            & I.Equal(IndexMaps.Token<I, B>(sizes.N, sizes.S, group * sizes.G + place), x)
            & I.Equal(IndexMaps.Group<I, B>(sizes.N, sizes.G, sizes.S, tokenAtY), y / sizes.G);
    }
}
