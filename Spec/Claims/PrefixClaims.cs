// Claims about prefixes: sinks, and prefixes that are seen whole (theorem 14).
using S2Attn.Spec.Algebra;

namespace S2Attn.Spec.Claims;

/// <summary>N, G, S, P, t, u: query t sees key u exactly where one of the three segments of its run shows it, and none shows a key that another does.</summary>
public sealed record PrefixSegments(MaskPolicy Mask, bool IsWhole) : IStatement
{
    /// <inheritdoc/>
    public B Assumes<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => PrefixPoints.Valid<I, B>(Mask, values);

    /// <inheritdoc/>
    public B Holds<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        PrefixPoint<I> at = PrefixPoints.Of(values);
        QueryRun<I> run = PrefixPoints.RunOf<I, B>(at, Mask, IsWhole, at.T);
        B own = Regions.Contains<I, B>(run.Own.Start, run.Own.Length, at.U) & (run.Own.Causal ? at.U <= at.T : B.Of(true));
        B other = Regions.Contains<I, B>(run.Other.Start, run.Other.Length, at.U), prefix = Regions.Contains<I, B>(run.Prefix.Start, run.Prefix.Length, at.U);
        B Inside(KeySegment<I> segment) => segment.Start >= 0 & segment.Length >= 0 & B.Implies(segment.Length > 0, segment.Start + segment.Length <= at.N);
        return B.Iff(PrefixPoints.Sees<I, B>(at, Mask, IsWhole), own | other | prefix)
            & !(own & other) & !(own & prefix) & !(other & prefix)
            & Inside(run.Own) & Inside(run.Other) & Inside(run.Prefix);
    }
}

/// <summary>N, G, S, P, t, u: the keys that query t sees, counted key by key as in <see cref="KeysSeen"/>.</summary>
public sealed record PrefixKeysSeen(MaskPolicy Mask, bool IsWhole) : IStatement
{
    /// <inheritdoc/>
    public B Assumes<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => PrefixPoints.Valid<I, B>(Mask, values);

    /// <inheritdoc/>
    public B Holds<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        PrefixPoint<I> at = PrefixPoints.Of(values);
        QueryRun<I> run = PrefixPoints.RunOf<I, B>(at, Mask, IsWhole, at.T);
        I ownSeen = Prefixes.OwnSeen<I, B>(run, at.T);
        I SeenBefore(I key) => Before(run.Prefix.Start, run.Prefix.Length, key) + Before(run.Own.Start, ownSeen, key) + Before(run.Other.Start, run.Other.Length, key);
        return I.Equal(SeenBefore(0), 0)
            & I.Equal(SeenBefore(at.U) + I.If(PrefixPoints.Sees<I, B>(at, Mask, IsWhole), 1, 0), SeenBefore(at.U + 1))
            & I.Equal(SeenBefore(at.N), Prefixes.KeysSeen<I, B>(Mask, IsWhole, at.N, at.G, at.S, at.P, at.T));

        static I Before(I start, I length, I key) => I.If(key <= start, 0, I.Min(key - start, length));
    }
}

/// <summary>
/// N, G, S, t, u, with u the last token of the prefix: the queries that only the prefix shows key u, counted query by query. Before query t there are GainedBefore(t), which is 0 at t = 0, grows by one
/// where t sees u and the policy does not show it, and ends at QueriesGained(u).
/// </summary>
public sealed record PrefixGain(MaskPolicy Mask, bool IsWhole) : IStatement
{
    /// <inheritdoc/>
    public B Assumes<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => PrefixPoints.ValidText<I, B>(Mask, values) & Regions.Contains<I, B>(0, values[0], values[3]) & Regions.Contains<I, B>(0, values[0], values[4]);

    /// <inheritdoc/>
    public B Holds<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        (I n, I g, I s, I t, I u) = (values[0], values[1], values[2], values[3], values[4]);
        QueryRun<I> own = Segments.Run<I, B>(Mask, n, g, s, Segments.RunOf<I, B>(g, s, u));
        I lastStart = Segments.Boundary<I, B>(g, s, Segments.Count<I, B>(n, g, s) - 1);

        // The policy shows u to queries of its own run from some token on, and through the wrap to those of the last run, or of the first one.
        I ownFrom = Mask.IsCausal() ? u : own.Start, ownEnd = own.Start + own.Length;
        I toLast = Mask is MaskPolicy.PositionCausal or MaskPolicy.Bidirectional ? I.If(u < s, n - lastStart, 0) : 0;
        I toFirst = Mask is MaskPolicy.LocalCausal or MaskPolicy.Bidirectional ? I.If(u >= lastStart, s, 0) : 0;
        bool isOrdered = Prefixes.IsOrdered(Mask, IsWhole);
        I ShownBefore(I query) => Before(ownFrom, ownEnd - ownFrom, query) + Before(lastStart, toLast, query) + (isOrdered ? 0 : Before(0, toFirst, query));
        I GainedBefore(I query) => Before(isOrdered ? u : 0, n, query) - ShownBefore(query);
        B gains = Prefixes.Sees<I, B>(Mask, IsWhole, u + 1, t, u) & !Visibility.Visible<I, B>(Mask, n, g, s, t, u);
        return I.Equal(GainedBefore(0), 0)
            & I.Equal(GainedBefore(t) + I.If(gains, 1, 0), GainedBefore(t + 1))
            & I.Equal(GainedBefore(n), Prefixes.QueriesGained<I, B>(Mask, IsWhole, n, g, s, u));

        static I Before(I start, I length, I query) => I.If(query <= start, 0, I.Min(query - start, length));
    }
}

/// <summary>N, G, S, P with P &lt; N: a prefix of P + 1 tokens costs QueriesGained(P) pairs more than one of P, and none costs what the policy does.</summary>
public sealed record PrefixCost(MaskPolicy Mask, bool IsWhole) : IStatement
{
    /// <inheritdoc/>
    public B Assumes<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => PrefixPoints.ValidText<I, B>(Mask, values) & Regions.Contains<I, B>(0, values[0], values[3]);

    /// <inheritdoc/>
    public B Holds<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        (I n, I g, I s, I p) = (values[0], values[1], values[2], values[3]);
        I Pairs(I prefix) => Prefixes.VisiblePairs<I, B>(Mask, IsWhole, n, g, s, prefix);
        return I.Equal(Pairs(0), Costs.VisiblePairs<I, B>(Mask, n, g, s))
            & I.Equal(Pairs(p) + Prefixes.QueriesGained<I, B>(Mask, IsWhole, n, g, s, p), Pairs(p + 1));
    }
}

/// <summary>N, G, S, P, t, u: of the keys that come after it query t sees with P sinks exactly those that it sees without.</summary>
public sealed record SinksLeakNothing(MaskPolicy Mask) : IStatement
{
    /// <inheritdoc/>
    public B Assumes<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => PrefixPoints.Valid<I, B>(Mask, values) & values[5] > values[4];

    /// <inheritdoc/>
    public B Holds<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        PrefixPoint<I> at = PrefixPoints.Of(values);
        return B.Iff(PrefixPoints.Sees<I, B>(at, Mask, isWhole: false), Visibility.Visible<I, B>(Mask, at.N, at.G, at.S, at.T, at.U));
    }
}

/// <summary>N, G, S, P, t, u: with a prefix that is seen whole, query t sees a key u that comes after it exactly inside the prefix.</summary>
public sealed record WholePrefixLeaksInside(MaskPolicy Mask) : IStatement
{
    /// <inheritdoc/>
    public B Assumes<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => PrefixPoints.Valid<I, B>(Mask, values) & values[5] > values[4];

    /// <inheritdoc/>
    public B Holds<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        PrefixPoint<I> at = PrefixPoints.Of(values);
        return B.Iff(PrefixPoints.Sees<I, B>(at, Mask, isWhole: true), at.U < at.P);
    }
}

/// <summary>N, G, S, P, t, u: without a prefix query t sees what the policy shows; with one of N tokens every key, or under sinks every key at or before it.</summary>
public sealed record PrefixExtremes(MaskPolicy Mask, bool IsWhole) : IStatement
{
    /// <inheritdoc/>
    public B Assumes<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => PrefixPoints.Valid<I, B>(Mask, values) & I.Equal(values[3], values[0]);

    /// <inheritdoc/>
    public B Holds<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        PrefixPoint<I> at = PrefixPoints.Of(values);
        return B.Iff(PrefixPoints.Sees<I, B>(at with { P = 0 }, Mask, IsWhole), Visibility.Visible<I, B>(Mask, at.N, at.G, at.S, at.T, at.U))
            & B.Iff(PrefixPoints.Sees<I, B>(at, Mask, IsWhole), Prefixes.IsOrdered(Mask, IsWhole) ? at.U <= at.T : B.Of(true));
    }
}

/// <summary>N, G, S, P, t, u with S &lt;= P: under PositionCausal query t sees with P sinks what it sees under Split, which no longer text changes.</summary>
public sealed record SinksMakePositionCausalSplit : IStatement
{
    /// <inheritdoc/>
    public B Assumes<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => PrefixPoints.Valid<I, B>(MaskPolicy.PositionCausal, values) & values[2] <= values[3];

    /// <inheritdoc/>
    public B Holds<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        PrefixPoint<I> at = PrefixPoints.Of(values);
        return B.Iff(PrefixPoints.Sees<I, B>(at, MaskPolicy.PositionCausal, isWhole: false), PrefixPoints.Sees<I, B>(at, MaskPolicy.Split, isWhole: false));
    }
}

/// <summary>N, G, S, P, t, u: query t sees key u under Split exactly where the formula without N says so.</summary>
public sealed record PrefixIsUnbounded(bool IsWhole) : IStatement
{
    /// <inheritdoc/>
    public B Assumes<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => PrefixPoints.Valid<I, B>(MaskPolicy.Split, values);

    /// <inheritdoc/>
    public B Holds<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        PrefixPoint<I> at = PrefixPoints.Of(values);
        return B.Iff(PrefixPoints.Sees<I, B>(at, MaskPolicy.Split, IsWhole), Prefixes.Visible<I, B>(IsWhole, at.G, at.S, at.P, at.T, at.U));
    }
}

/// <summary>N, G, S, P, t, u: no query t sees, under Split with P sinks, a key between the prefix and the start of its run; at most G + P keys of [0, t] are alive.</summary>
public sealed record PrefixCacheBounded : IStatement
{
    /// <inheritdoc/>
    public B Assumes<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => PrefixPoints.Valid<I, B>(MaskPolicy.Split, values);

    /// <inheritdoc/>
    public B Holds<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        PrefixPoint<I> at = PrefixPoints.Of(values);
        return B.Implies(PrefixPoints.Sees<I, B>(at, MaskPolicy.Split, isWhole: false), at.U < at.P | at.U >= Slices.FirstKeyNeeded<I, B>(at.G, at.S, at.T))
            & Regions.Contains<I, B>(1, at.G + at.P, Prefixes.KeysAlive<I, B>(at.G, at.S, at.P, at.T))
            & Prefixes.KeysAlive<I, B>(at.G, at.S, at.P, at.T) <= at.T + 1;
    }
}

/// <summary>N, G, S, P, t0, t1, t, u: KeysNeeded of [t0, t1) has every key u that a query t in [t0, t1) sees.</summary>
public sealed record PrefixKeysNeeded(MaskPolicy Mask, bool IsWhole) : IStatement
{
    /// <inheritdoc/>
    public B Assumes<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        ArgumentNullException.ThrowIfNull(values);
        return PrefixPoints.ValidText<I, B>(Mask, values)
            & 0 <= values[3] & values[3] <= values[0]
            & 0 <= values[4] & values[4] <= values[6] & values[6] < values[5] & values[5] <= values[0]
            & Regions.Contains<I, B>(0, values[0], values[7]);
    }

    /// <inheritdoc/>
    public B Holds<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        ArgumentNullException.ThrowIfNull(values);
        (I n, I g, I s, I p, I t0, I t1, I t, I u) = (values[0], values[1], values[2], values[3], values[4], values[5], values[6], values[7]);
        TokenRange<I> keys = Prefixes.KeysNeeded<I, B>(Mask, IsWhole, n, g, s, p, t0, t1);
        return 0 <= keys.Start & keys.Start <= t0 & t1 <= keys.End & keys.End <= n
            & B.Implies(Prefixes.Visible<I, B>(Mask, IsWhole, n, g, s, p, t, u), keys.Start <= u & u < keys.End);
    }
}

/// <summary>
/// N, G, S, c, P, t, u with t and u on either side of the cut c: under Split a query behind it sees, of the keys before it, those of the halo and the first KeysToTheRight; one before it sees, of
/// those behind it, the first KeysToTheLeft. Together these are at most P.
/// </summary>
public sealed record PrefixHaloSuffices(bool IsWhole) : IStatement
{
    /// <inheritdoc/>
    public B Assumes<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        ArgumentNullException.ThrowIfNull(values);
        (I n, I cut, I p) = (values[0], values[3], values[4]);
        return PrefixPoints.ValidText<I, B>(MaskPolicy.Split, values)
            & SliceRegions.IsCut<I, B>(values) & cut < n
            & 0 <= p & p <= n
            & Regions.Contains<I, B>(0, n, values[5]) & Regions.Contains<I, B>(0, n, values[6])
            & B.Iff(values[5] < cut, values[6] >= cut);
    }

    /// <inheritdoc/>
    public B Holds<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        ArgumentNullException.ThrowIfNull(values);
        (I n, I g, I s, I cut, I p, I t, I u) = (values[0], values[1], values[2], values[3], values[4], values[5], values[6]);
        I right = Prefixes.KeysToTheRight<I, B>(p, cut), left = Prefixes.KeysToTheLeft<I, B>(MaskPolicy.Split, IsWhole, p, cut);
        return 0 <= right & right <= cut & 0 <= left & left <= n - cut & right + left <= p
            & B.Implies(
                Prefixes.Visible<I, B>(MaskPolicy.Split, IsWhole, n, g, s, p, t, u),
                (t >= cut & (u >= cut - Slices.Halo<I, B>(g, s) | u < right)) | (t < cut & u < cut + left));
    }
}

/// <summary>False: with one sink, a group of tokens more at the end of the text changes nothing for query x under PositionCausal: it sees key y as before.</summary>
public sealed record OneSinkMakesStable : IClaim
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
        B Sees(I tokens) => Prefixes.Visible<I, B>(MaskPolicy.PositionCausal, isWhole: false, tokens, sizes.G, sizes.S, 1, x, y);
        return B.Iff(Sees(sizes.N), Sees(sizes.N + sizes.G));
    }
}

/// <summary>False: under Split with a prefix of G tokens that is seen whole, query x sees no key y that comes after it.</summary>
public sealed record WholePrefixNeverLeaks : IClaim
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
        => B.Implies(Prefixes.Visible<I, B>(MaskPolicy.Split, isWhole: true, sizes.N, sizes.G, sizes.S, sizes.G, x, y), y <= x);
}

/// <summary>False: under Split with one sink at most G keys of [0, x] are alive, as without.</summary>
public sealed record SinkNeedsNoRoom : IClaim
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
        => Prefixes.KeysAlive<I, B>(sizes.G, sizes.S, 1, x) <= sizes.G;
}

/// <summary>False: one sink costs a pair more for each of the N queries. Those of its own run see it already.</summary>
public sealed record SinkCostsOnePairEach : IClaim
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
        => I.Equal(Prefixes.QueriesGained<I, B>(MaskPolicy.Split, isWhole: false, sizes.N, sizes.G, sizes.S, 0), sizes.N);
}

/// <summary>N, G, S, P, and a query and a key.</summary>
internal readonly record struct PrefixPoint<I>(I N, I G, I S, I P, I T, I U);

/// <summary>What the claims about prefixes share.</summary>
internal static class PrefixPoints
{
    public static PrefixPoint<I> Of<I>(IReadOnlyList<I> values) => new(values[0], values[1], values[2], values[3], values[4], values[5]);

    /// <summary>What a configuration accepts of N, G and S.</summary>
    public static B ValidText<I, B>(MaskPolicy mask, IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        ArgumentNullException.ThrowIfNull(values);
        Sizes<I> sizes = new(values[0], values[1], values[2]);
        return Regions.Valid<I, B>(sizes) & Regions.Of<I, B>(mask, sizes);
    }

    /// <summary>The same with P in [0, N], and t and u in [0, N).</summary>
    public static B Valid<I, B>(MaskPolicy mask, IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => ValidText<I, B>(mask, values)
            & 0 <= values[3] & values[3] <= values[0]
            & Regions.Contains<I, B>(0, values[0], values[4]) & Regions.Contains<I, B>(0, values[0], values[5]);

    public static B Sees<I, B>(PrefixPoint<I> at, MaskPolicy mask, bool isWhole)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => Prefixes.Visible<I, B>(mask, isWhole, at.N, at.G, at.S, at.P, at.T, at.U);

    public static QueryRun<I> RunOf<I, B>(PrefixPoint<I> at, MaskPolicy mask, bool isWhole, I t)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => Prefixes.Run<I, B>(mask, isWhole, at.N, at.G, at.S, at.P, Segments.RunOf<I, B>(at.G, at.S, t));
}
