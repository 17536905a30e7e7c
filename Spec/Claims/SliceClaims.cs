// Claims about parts of a sequence: what may be forgotten, what a cut must send, and what a growing text changes (theorem 11).
using S2Attn.Spec.Algebra;

namespace S2Attn.Spec.Claims;

/// <summary>A group of tokens more at the end of the text changes nothing for query x: it sees key y as before, and none of the new keys (y counts them).</summary>
public sealed record PrefixStable(MaskPolicy Mask) : IClaim
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
        I longer = sizes.N + sizes.G;
        B Sees(I tokens, I key) => Visibility.Visible<I, B>(Mask, tokens, sizes.G, sizes.S, x, key);
        return B.Iff(Sees(sizes.N, y), Sees(longer, y)) & B.Implies(y < sizes.G, !Sees(longer, sizes.N + y));
    }
}

/// <summary>Query x sees key y under Split exactly where the formula without N says so.</summary>
public sealed record SplitIsUnbounded : IClaim
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
        => B.Iff(Visibility.Visible<I, B>(MaskPolicy.Split, sizes.N, sizes.G, sizes.S, x, y), Slices.Visible<I, B>(sizes.G, sizes.S, x, y));
}

/// <summary>
/// Query x sees no key before FirstKeyNeeded(x), and sees that key; a later query y needs none that x did not need; at most G keys are alive, also where one kv head is
/// read shifted and unshifted.
/// </summary>
public sealed record CacheBounded : IClaim
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
        I first = Slices.FirstKeyNeeded<I, B>(sizes.G, sizes.S, x), unshifted = Slices.FirstKeyNeeded<I, B>(sizes.G, 0, x);
        B Sees(I key) => Visibility.Visible<I, B>(MaskPolicy.Split, sizes.N, sizes.G, sizes.S, x, key);
        return B.Implies(Sees(y), y >= first)
            & Sees(first)
            & B.Implies(x <= y, first <= Slices.FirstKeyNeeded<I, B>(sizes.G, sizes.S, y))
            & Regions.Contains<I, B>(1, sizes.G, Slices.KeysAlive<I, B>(sizes.G, sizes.S, x))
            & x + 1 - I.Min(first, unshifted) <= sizes.G;
    }
}

/// <summary>N, G, S, t0, t, u: a slice that starts at query t0 and has the keys from FirstKeyNeeded(t0) on has every key u that a query t >= t0 sees.</summary>
public sealed record SlicesCompose : IStatement
{
    /// <inheritdoc/>
    public B Assumes<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        ArgumentNullException.ThrowIfNull(values);
        return SliceRegions.Valid<I, B>(values)
            & 0 <= values[3] & values[3] <= values[4] & values[4] < values[0]
            & Regions.Contains<I, B>(0, values[0], values[5]);
    }

    /// <inheritdoc/>
    public B Holds<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        ArgumentNullException.ThrowIfNull(values);
        (I n, I g, I s, I t0, I t, I u) = (values[0], values[1], values[2], values[3], values[4], values[5]);
        I first = Slices.FirstKeyNeeded<I, B>(g, s, t0);
        return 0 <= first & first <= t0 & B.Implies(Visibility.Visible<I, B>(MaskPolicy.Split, n, g, s, t, u), first <= u & u <= t);
    }
}

/// <summary>N, G, S, t0, t1, t, u: KeysNeeded of [t0, t1) has every key u that a query t in [t0, t1) sees.</summary>
public sealed record KeysNeededSuffice(MaskPolicy Mask) : IStatement
{
    /// <inheritdoc/>
    public B Assumes<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        ArgumentNullException.ThrowIfNull(values);
        return SliceRegions.Valid<I, B>(values)
            & Regions.Of<I, B>(Mask, SliceRegions.SizesOf(values))
            & 0 <= values[3] & values[3] <= values[5] & values[5] < values[4] & values[4] <= values[0]
            & Regions.Contains<I, B>(0, values[0], values[6]);
    }

    /// <inheritdoc/>
    public B Holds<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        ArgumentNullException.ThrowIfNull(values);
        (I n, I g, I s, I t0, I t1, I t, I u) = (values[0], values[1], values[2], values[3], values[4], values[5], values[6]);
        TokenRange<I> keys = Slices.KeysNeeded<I, B>(Mask, n, g, s, t0, t1);
        return 0 <= keys.Start & keys.Start <= t0 & t1 <= keys.End & keys.End <= n
            & B.Implies(Visibility.Visible<I, B>(Mask, n, g, s, t, u), keys.Start <= u & u < keys.End);
    }
}

/// <summary>N, G, S, c, t, u: no query t from the cut c on sees a key u before the last Halo keys in front of the cut.</summary>
public sealed record HaloSuffices : IStatement
{
    /// <inheritdoc/>
    public B Assumes<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        ArgumentNullException.ThrowIfNull(values);
        return SliceRegions.Valid<I, B>(values)
            & SliceRegions.IsCut<I, B>(values)
            & values[3] <= values[4] & values[4] < values[0]
            & Regions.Contains<I, B>(0, values[0], values[5]);
    }

    /// <inheritdoc/>
    public B Holds<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        ArgumentNullException.ThrowIfNull(values);
        (I n, I g, I s, I cut, I t, I u) = (values[0], values[1], values[2], values[3], values[4], values[5]);
        I first = cut - Slices.Halo<I, B>(g, s);
        return 0 <= first & B.Implies(Visibility.Visible<I, B>(MaskPolicy.Split, n, g, s, t, u), u >= first);
    }
}

/// <summary>N, G, S, c, u: the query at the cut c sees every one of the last Halo keys u in front of it, so that one key less changes its output.</summary>
public sealed record HaloIsNeeded : IStatement
{
    /// <inheritdoc/>
    public B Assumes<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        ArgumentNullException.ThrowIfNull(values);
        I cut = values[3];
        return SliceRegions.Valid<I, B>(values)
            & SliceRegions.IsCut<I, B>(values)
            & cut < values[0]
            & cut - Slices.Halo<I, B>(values[1], values[2]) <= values[4]
            & values[4] < cut;
    }

    /// <inheritdoc/>
    public B Holds<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        ArgumentNullException.ThrowIfNull(values);
        return Visibility.Visible<I, B>(MaskPolicy.Split, values[0], values[1], values[2], values[3], values[4]);
    }
}

/// <summary>
/// N, G, S, c, t, u with t and u on either side of the cut c: a visible pair lies in [c - (G - S), c + S), or the wrap joins it: one of the two is before S and the other
/// in the last G - S tokens.
/// </summary>
public sealed record CutCrossings(MaskPolicy Mask) : IStatement
{
    /// <inheritdoc/>
    public B Assumes<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        ArgumentNullException.ThrowIfNull(values);
        I cut = values[3];
        return SliceRegions.Valid<I, B>(values)
            & Regions.Of<I, B>(Mask, SliceRegions.SizesOf(values))
            & SliceRegions.IsCut<I, B>(values)
            & Regions.Contains<I, B>(0, values[0], values[4])
            & Regions.Contains<I, B>(0, values[0], values[5])
            & B.Iff(values[4] < cut, values[5] >= cut);
    }

    /// <inheritdoc/>
    public B Holds<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        ArgumentNullException.ThrowIfNull(values);
        (I n, I g, I s, I cut, I t, I u) = (values[0], values[1], values[2], values[3], values[4], values[5]);
        I halo = Slices.Halo<I, B>(g, s), before = I.Min(t, u), behind = I.If(t <= u, u, t);
        B near = before >= cut - halo & behind < cut + s;
        B wrapped = Mask.CutsWrappedRun() ? B.Of(false) : before < s & behind >= n - halo;
        return B.Implies(Visibility.Visible<I, B>(Mask, n, g, s, t, u), s > 0 & (near | wrapped));
    }
}

/// <summary>What the statements about slices share: their first three values are N, G and S, and the fourth may be a cut.</summary>
internal static class SliceRegions
{
    public static Sizes<I> SizesOf<I>(IReadOnlyList<I> values) => new(values[0], values[1], values[2]);

    public static B Valid<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => Regions.Valid<I, B>(SizesOf(values));

    /// <summary>A positive multiple of G.</summary>
    public static B IsCut<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => values[3] >= 1 & I.Equal(values[3] / values[1] * values[1], values[3]);
}
