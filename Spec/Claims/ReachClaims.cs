// Claims about how far back layers of Split can look (theorem 9).
using S2Attn.Spec.Algebra;

namespace S2Attn.Spec.Claims;

/// <summary>
/// The borders of both kinds of head merged in order: 0, S, G, G+S, 2G, ... A layer with both kinds of head steps from a token back to
/// the border before the one at or before it, so reach(L layers, t) = border(index(t) - L), and 0 before the first border.
/// </summary>
public static class Reach
{
    /// <summary>Border k, for k &gt;= 0 and 0 &lt; S &lt; G.</summary>
    public static I Border<I, B>(Sizes<I> sizes, I k)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => k / 2 * sizes.G + (k - k / 2 * 2) * sizes.S;

    /// <summary>Index of the last border at or before token t.</summary>
    public static I Index<I, B>(Sizes<I> sizes, I t)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        I group = t / sizes.G;
        return 2 * group + I.If(t - group * sizes.G >= sizes.S, 1, 0);
    }

    /// <summary>The earliest token that t reaches through the given number of layers.</summary>
    public static I Earliest<I, B>(Sizes<I> sizes, I layers, I t)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        I index = Index<I, B>(sizes, t);
        return I.If(index >= layers, Border<I, B>(sizes, index - layers), 0);
    }
}

/// <summary>From query x no head sees before Earliest(1, x), and one head sees that token; y is any key.</summary>
public sealed record ReachStep : IClaim
{
    /// <inheritdoc/>
    public B Region<I, B>(Sizes<I> sizes)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => Regions.Valid<I, B>(sizes) & sizes.S > 0;

    /// <inheritdoc/>
    public B Holds<I, B>(Sizes<I> sizes, I x, I y)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        I earliest = Reach.Earliest<I, B>(sizes, 1, x);
        return B.Implies(SeenByEither<I, B>(sizes, x, y), y >= earliest) & SeenByEither<I, B>(sizes, x, earliest);
    }

    private static B SeenByEither<I, B>(Sizes<I> sizes, I t, I u)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => Visibility.Visible<I, B>(MaskPolicy.Split, sizes.N, sizes.G, 0, t, u) | Visibility.Visible<I, B>(MaskPolicy.Split, sizes.N, sizes.G, sizes.S, t, u);
}

/// <summary>x and y count borders: border x has index x, and y borders further on lie at least floor(y G / 2) tokens further.</summary>
public sealed record ReachGrows : IClaim
{
    /// <inheritdoc/>
    public B Region<I, B>(Sizes<I> sizes)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => Regions.Valid<I, B>(sizes) & sizes.G >= 2 & Regions.DefaultShift<I, B>(sizes);

    /// <inheritdoc/>
    public B Holds<I, B>(Sizes<I> sizes, I x, I y)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        I border = Reach.Border<I, B>(sizes, x);
        return I.Equal(Reach.Index<I, B>(sizes, border), x)
            & Reach.Border<I, B>(sizes, x + y) - border >= y * sizes.G / 2;
    }
}

/// <summary>Without a shift, query x and a key y that it sees are in the same block of G tokens.</summary>
public sealed record UnshiftedStaysInGroup : IClaim
{
    /// <inheritdoc/>
    public B Region<I, B>(Sizes<I> sizes)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => Regions.Valid<I, B>(sizes) & I.Equal(sizes.S, 0);

    /// <inheritdoc/>
    public B Holds<I, B>(Sizes<I> sizes, I x, I y)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => B.Implies(Visibility.Visible<I, B>(MaskPolicy.Split, sizes.N, sizes.G, sizes.S, x, y), I.Equal(x / sizes.G, y / sizes.G));
}
