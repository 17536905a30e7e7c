// What is true of S2-Attn, where exactly, and what is not? The catalogue.
using System.Collections.Immutable;
using S2Attn.Spec.Algebra;
using S2Attn.Spec.Claims;

namespace S2Attn.Spec;

/// <summary>The sizes over which theorems are quantified: N tokens, group size G, shift S. All heads of the statement shift by S.</summary>
public readonly record struct Sizes<I>(I N, I G, I S);

/// <summary>A statement over sizes and two free integers, with the region in which it is claimed, written once for every algebra.</summary>
public interface IClaim
{
    /// <summary>Where the statement is claimed, beyond 1 &lt;= G &lt;= N and 0 &lt;= S &lt; G, which every region implies.</summary>
    B Region<I, B>(Sizes<I> sizes)
        where I : IInteger<I, B>
        where B : IProposition<B>;

    /// <summary>The statement at x and y, each in [0, N); a claim says whether they are tokens, positions or counts.</summary>
    B Holds<I, B>(Sizes<I> sizes, I x, I y)
        where I : IInteger<I, B>
        where B : IProposition<B>;
}

/// <summary>Sizes and integers at which a claim fails.</summary>
public readonly record struct Witness(int N, int G, int S, int X, int Y)
{
    /// <inheritdoc/>
    public override string ToString() => $"N={N} G={G} S={S} x={X} y={Y}";
}

/// <summary>A named statement about the definition, true or false, with its exact region.</summary>
/// <param name="Name">A stable identifier, such as NoLeakage.Split.</param>
/// <param name="Number">The number of the theorem in docs/semantics.md.</param>
/// <param name="Statement">The statement in words and symbols.</param>
/// <param name="Region">The region in words.</param>
/// <param name="IsTrue">False for a claim that ports believe and that has a counterexample.</param>
/// <param name="Claim">The statement over any algebra.</param>
public sealed record Theorem(string Name, int Number, string Statement, string Region, bool IsTrue, IClaim Claim)
{
    /// <summary>Whether the theorem claims something for these sizes.</summary>
    public bool Covers(int n, int g, int s) =>
        1 <= g && g <= n && 0 <= s && s < g && Claim.Region<Int, Bool>(new Sizes<Int>(n, g, s)).Value;

    /// <summary>Whether the statement holds at every x and y for these sizes; else the first pair at which it fails.</summary>
    public bool TryRefute(int n, int g, int s, out Witness witness)
    {
        Sizes<Int> sizes = new(n, g, s);
        for (int x = 0; x < n; x++)
            for (int y = 0; y < n; y++)
                if (!Claim.Holds<Int, Bool>(sizes, x, y).Value)
                {
                    witness = new(n, g, s, x, y);
                    return true;
                }

        witness = default;
        return false;
    }

    /// <summary>All sizes with N up to a limit for which the theorem claims something, in growing order.</summary>
    public IEnumerable<(int N, int G, int S)> SizesUpTo(int maxTokens) =>
        from n in Enumerable.Range(1, maxTokens)
        from g in Enumerable.Range(1, n)
        from s in Enumerable.Range(0, g)
        where Covers(n, g, s)
        select (n, g, s);

    /// <inheritdoc/>
    public override string ToString() => Name;
}

/// <summary>The theorems of docs/semantics.md and the false claims beside them.</summary>
public static class Theorems
{
    private const string Multiple = "N = nG, 0 <= S < G";
    private static readonly string[] OfAxis = ["N", "G", "S", "t", "u"];
    private static readonly bool[] BothKinds = [false, true], WholeAlone = [true];
    private const string OfPrefix = "0 <= P <= N, 0 <= t, u < N";
    private static readonly ImmutableArray<string> PrefixNames = ["N", "G", "S", "P", "t", "u"];
    private const string AnyN = "every N, 1 <= G <= N, 0 <= S < G";

    /// <summary>Every statement, theorems first within each number.</summary>
    public static IReadOnlyList<Theorem> Catalogue { get; } =
    [
        True("Invertible", 1, "token(position(t)) = t and position(token(p)) = p, both in [0, N)", AnyN, new Invertible()),
        False("FloorShiftInverts", 1, "rolling by -((G+1)/2) and back by G/2, as Python's -G//2 does, is the identity", "N = nG, N >= 2, odd G", new FloorShiftInverts()),
        True("Partition", 2, "groups 0 .. n-1 have exactly G tokens each and every token is in one", Multiple, new Partition()),
        .. NoLeakage(),
        True("LeakIsConfined", 3, "LocalCausal: t sees u > t exactly where t < S and u >= N-G+S", Multiple, new LeakIsConfined()),
        True("LeakCount", 3, "LocalCausal leaks S(G-S) pairs", Multiple, new LeakCount()),
        .. FullAttention(),
        True("SplitDropsCrossRuns", 4, "G = N: Split sees u <= t but for the pairs u < S <= t", "N = G", new SplitDropsCrossRuns()),
        True("LocalCausalIsRotated", 4, "G = N: LocalCausal sees u <= t within a run, all of [S, N) from t < S, nothing of [0, S) from t >= S", "N = G", new LocalCausalIsRotated()),
        True("SplitIsVarlen", 5, "Split is causal attention inside [0,S), [S,S+G), ...", AnyN, new SplitIsVarlen()),
        False("UnpaddedRingIsVarlen", 5, "ragged N: taking positions modulo N instead of modulo the padded ring gives the same segments", "N not a multiple of G", new UnpaddedRingIsVarlen()),
        True("SplitIsLocalCausalCut", 5, "Split is LocalCausal with the wrapped run cut off", Multiple, new SplitIsLocalCausalCut()),
        True("LocalCausalIsSplitAfterShift", 6, "LocalCausal and Split agree on every query t >= S", Multiple, new LocalCausalIsSplitAfterShift()),
        .. Direction(),
        .. MaskPolicies.All.Select(mask => True($"Diagonal.{mask}", 8, $"{mask}: every token sees itself", RegionOf(mask), new Diagonal(mask))),
        True("ReachStep", 9, "one Split layer with both kinds of head reaches from t exactly to the segment border before t's own", "every N, 0 < S < G", new ReachStep()),
        True("ReachGrows", 9, "y borders span at least floor(y G / 2) tokens, and from border x a layer steps to border x - 1", "every N, G >= 2, S = G / 2", new ReachGrows()),
        True("UnshiftedStaysInGroup", 9, "unshifted heads never leave the group [iG, (i+1)G)", "every N, S = 0", new UnshiftedStaysInGroup()),
        .. MaskPolicies.All.Select(mask => True($"SegmentsAreVisibility.{mask}", 10, $"{mask}: the runs tile [0, N) and their segments cover exactly the visible pairs, each once", RegionOf(mask), new SegmentsAreVisibility(mask))),
        True("RunsTile", 10, "the runs are in order, do not overlap and leave no token out", AnyN, new RunsTile()),
        .. MaskPolicies.All.Select(mask => True($"KeysSeen.{mask}", 10, $"{mask}: the keys that a query sees are as many as its segments say", RegionOf(mask), new KeysSeen(mask))),
        .. MaskPolicies.All.Select(mask => True($"CostOfRun.{mask}", 10, $"{mask}: the closed form of a run counts the keys that its rows see", RegionOf(mask), new CostOfRun(mask))),
        .. MaskPolicies.All.Select(mask => True($"CostIsVisiblePairs.{mask}", 10, $"{mask}: the closed form of a head counts the pairs of its runs", RegionOf(mask), new CostIsVisiblePairs(mask))),
        .. MaskPolicies.All.Select(mask => True($"CostIsAtMost.{mask}", 10, $"{mask}: a head sees at most N G pairs", RegionOf(mask), new CostIsAtMost(mask))),
        .. MaskPolicies.All.Select(mask => new Theorem(
            $"PrefixStable.{mask}", 11, $"{mask}: G tokens more at the end of the text change nothing for earlier queries", RegionOf(mask), mask.IsPrefixStable(), new PrefixStable(mask))),
        True("SplitIsUnbounded", 11, "Split: t sees u exactly where both are in one run and u <= t, whatever N is", AnyN, new SplitIsUnbounded()),
        True("CacheBounded", 11, "Split: no query from t on sees a key before the start of t's run; at most G keys stay alive, over shifted and unshifted heads", AnyN, new CacheBounded()),
        True("TwoLayersReach", 12, "two layers, each with unshifted heads and heads that shift by S, reach back at least G tokens, or to the start", "every N, 0 < S < G", new TwoShiftsReach(Same: true)),
        False("OtherShiftsReachAsFar", 12, "the same where the shifted heads shift by S in the first layer and by y, 0 < y < G, in the second", "every N, 0 < S < G", new TwoShiftsReach(Same: false)),
        True("CostOfShift", 12, "Split: a head that shifts by S sees S(G-S) pairs less than one that does not; LocalCausal: just as many", Multiple, new CostOfShift()),
        True("LeakStep", 12, "LocalCausal with both kinds of head: t sees u exactly where t is less than two borders ahead of u's own along the ring", "N = nG, 0 < S < G", new LeakStep()),
        True("LeakRound", 12, "2N/G borders span the ring of N tokens, from any border on", "N = nG, 0 < S < G", new LeakRound()),
        False("GridLocalCausalNeverLeaks", 13, "LocalCausal over N x N tokens: (x, y) sees no (y, x) that is later in raster order", Multiple, new GridLocalCausalNeverLeaks()),
        False("GridIsCausalOnEveryAxis", 13, "Split over N x N tokens: (x, y) sees (y, x) exactly where it does on each axis alone, causality included", AnyN, new GridIsCausalOnEveryAxis()),
        False("GridRunOfTheLastAxisSuffices", 13, "BidirectionalSplit over N x N tokens: (x, y) sees (y, y) wherever they are of one group, and of one run on the last axis", AnyN, new GridRunOfTheLastAxisSuffices()),
        False("OneSinkMakesStable", 14, "PositionCausal with one sink: G tokens more at the end of the text change nothing for earlier queries", Multiple, new OneSinkMakesStable()),
        False("WholePrefixNeverLeaks", 14, "Split with a prefix of G tokens that is seen whole: visible(t,u) implies u <= t", AnyN, new WholePrefixNeverLeaks()),
        False("SinkNeedsNoRoom", 14, "Split with one sink: at most G keys stay alive", AnyN, new SinkNeedsNoRoom()),
        False("SinkCostsOnePairEach", 14, "Split with one sink: a head sees N pairs more", AnyN, new SinkCostsOnePairEach()),
    ];

    /// <summary>What heads in phases and layers that differ reach: facts, all true.</summary>
    public static IReadOnlyList<Statement> Patterns { get; } =
    [
        new("PhaseOfHead", "h >= floor(i H / P) exactly where i is at most the phase of head h", "P >= 1, 0 <= h < H, 1 <= i < P", ["H", "P", "h", "i"], new PhaseOfHead()),
        new("PhaseBorders", "border jP + p is j G plus the shift of phase p, which lies in [0, G)", "G, P >= 1, j >= 0, 0 <= p < P", ["G", "P", "j", "p"], new PhaseBorders()),
        new("BorderOfToken", "border Index(t) is the last at or before token t", "G, P >= 1, t >= 0", ["G", "P", "t"], new BorderOfToken()),
        new("BordersSpan", "y borders span floor(y G / P) tokens, or one more", "G, P >= 1, x, y >= 0", ["G", "P", "x", "y"], new BordersSpan()),
        new("PhaseReach", "no head of a Split layer of P phases sees from t before the border P - 1 before t's own, or before 0", "G, P >= 1, 0 <= p < P, t >= 0", ["G", "P", "p", "t"], new PhaseReach()),
        new("PhaseReachIsMet", "the heads of the phase of the border behind t see exactly to there", "G, P >= 1, 0 <= p < P, t >= 0", ["G", "P", "p", "t"], new PhaseReachIsMet()),
        new("BordersAreApart", "border k is the last at or before itself, so that the next layer goes on from it", "1 <= P <= G, k >= 0", ["G", "P", "k"], new BordersAreApart()),
        new("AlternateLayersReach", "alternate layers reach G - S and S in turn", "0 < S < G, k >= 1", ["G", "S", "k"], new AlternateLayersReach()),
        new("RotatedPhasesReach", "two phases that turn by G / 4 in every second layer reach exactly 3 G / 4 from the other kind's borders and G / 2 from their own", "G = 4M, M >= 1, borders from 4aM on, a >= 1", ["M", "a"], new RotatedPhasesReach()),
    ];

    /// <summary>What a part of a sequence needs: facts about slices and cuts, all true.</summary>
    public static IReadOnlyList<Statement> Slices { get; } =
    [
        new("SlicesCompose", "Split: queries from t0 on with the keys from FirstKeyNeeded(t0) on compute what the whole computes", "0 <= t0 <= t < N, 0 <= u < N", ["N", "G", "S", "t0", "t", "u"], new SlicesCompose()),
        .. MaskPolicies.All.Select(mask => new Statement(
            $"KeysNeeded.{mask}", $"{mask}: KeysNeeded(t0, t1) holds every key that a query of [t0, t1) sees", $"{RegionOf(mask)}, 0 <= t0 <= t < t1 <= N", ["N", "G", "S", "t0", "t1", "t", "u"], new KeysNeededSuffice(mask))),
        new("HaloSuffices", "Split: no query behind the cut c sees a key before the last G - S in front of it (none where S = 0)", "c = mG, m >= 1, c <= t < N", ["N", "G", "S", "c", "t", "u"], new HaloSuffices()),
        new("HaloIsNeeded", "Split: the query at the cut c sees each of the last G - S keys in front of it", "c = mG, m >= 1, c < N, S > 0", ["N", "G", "S", "c", "u"], new HaloIsNeeded()),
        .. MaskPolicies.All.Select(mask => new Statement(
            $"CutCrossings.{mask}",
            $"{mask}: a visible pair across the cut c lies in [c - (G - S), c + S)" + (mask.CutsWrappedRun() ? "" : ", or joins [0, S) and the last G - S tokens"),
            $"{RegionOf(mask)}, c = mG, m >= 1, t and u on either side of c",
            ["N", "G", "S", "c", "t", "u"],
            new CutCrossings(mask))),
    ];

    /// <summary>What tokens on several axes see: facts, all true. Fewer axes are three of which some have one token.</summary>
    public static IReadOnlyList<Statement> Grids { get; } =
    [
        .. MaskPolicies.All.Select(mask => new Statement(
            $"GridIsItsAxes.{mask}", $"{mask}: t sees u exactly where {GridPoints.Whole(mask)} lets it on every axis alone{OrderOf(mask)}", GridRegionOf(mask), AxesNamed(3), new GridIsItsAxes(mask))),
        .. MaskPolicies.All.Select(mask => new Statement(
            $"GridWindows.{mask}", $"{mask}: t sees u exactly where both are of one window, the same {(mask.CutsWrappedRun() ? "run" : "group")} on every axis{OrderOf(mask)}", GridRegionOf(mask), AxesNamed(3),
            new GridWindowsAreVisibility(mask))),
        .. MaskPolicies.All.Select(mask => new Statement(
            $"GridOfFewerAxes.{mask}", $"{mask}: an axis of one token changes nothing, and one axis is the text", GridRegionOf(mask), AxesNamed(2), new GridOfFewerAxes(mask))),
        .. new[] { MaskPolicy.Split, MaskPolicy.PositionCausal }.Select(mask => new Statement(
            $"GridNeverSeesTheFuture.{mask}", $"{mask}: no token is seen that is later in raster order", GridRegionOf(mask), AxesNamed(3), new GridNeverSeesTheFuture(mask))),
    ];

    /// <summary>What a prefix of P tokens adds: sinks, and prefixes that are seen whole. Facts, all true.</summary>
    public static IReadOnlyList<Statement> Prefixes { get; } =
    [
        .. OfPrefixes("PrefixSegments", "the prefix, Own and Other of a run cover exactly the visible pairs, each once", PrefixNames, (mask, isWhole) => new PrefixSegments(mask, isWhole)),
        .. OfPrefixes("PrefixKeysSeen", "the keys that a query sees are as many as its three segments say", PrefixNames, (mask, isWhole) => new PrefixKeysSeen(mask, isWhole)),
        .. OfPrefixes("PrefixGain", "as many queries as QueriesGained(u) says see the last key u of a prefix, and not without it", ["N", "G", "S", "t", "u"], (mask, isWhole) => new PrefixGain(mask, isWhole), "0 <= t, u < N"),
        .. OfPrefixes("PrefixCost", "the closed form of a head grows by QueriesGained(P) where the prefix grows from P tokens to P + 1", ["N", "G", "S", "P"], (mask, isWhole) => new PrefixCost(mask, isWhole), "0 <= P < N"),
        .. OfPrefixes("PrefixKeysNeeded", "KeysNeeded(t0, t1) holds every key that a query of [t0, t1) sees", ["N", "G", "S", "P", "t0", "t1", "t", "u"], (mask, isWhole) => new PrefixKeysNeeded(mask, isWhole), "0 <= P <= N, 0 <= t0 <= t < t1 <= N, 0 <= u < N"),
        .. MaskPolicies.All.Where(mask => mask.IsCausal()).Select(mask => new Statement(
            $"SinksLeakNothing.{mask}", $"{mask}: of the keys u > t query t sees with P sinks exactly those that it sees without", PrefixRegionOf(mask), PrefixNames, new SinksLeakNothing(mask))),
        .. new[] { MaskPolicy.Split, MaskPolicy.PositionCausal }.Select(mask => new Statement(
            $"WholePrefixLeaksInside.{mask}", $"{mask}, prefix seen whole: t sees u > t exactly where u < P", PrefixRegionOf(mask), PrefixNames, new WholePrefixLeaksInside(mask))),
        .. OfPrefixes("PrefixExtremes", "P = 0 is the policy alone; with P = N a query sees every key, or under sinks every one at or before it", PrefixNames, (mask, isWhole) => new PrefixExtremes(mask, isWhole), "P = N, 0 <= t, u < N")
            .Where(statement => statement.Name != $"PrefixExtremes.{MaskPolicy.LocalCausal}.Sinks"),
        new("SinksMakePositionCausalSplit", "PositionCausal with P >= S sinks is Split with P sinks", $"{PrefixRegionOf(MaskPolicy.PositionCausal)}, S <= P", PrefixNames, new SinksMakePositionCausalSplit()),
        .. BothKinds.Select(isWhole => new Statement(
            $"PrefixIsUnbounded.{KindOf(isWhole)}", $"Split, {WordsOf(isWhole)}: what t sees does not depend on N", PrefixRegionOf(MaskPolicy.Split), PrefixNames, new PrefixIsUnbounded(isWhole))),
        new("PrefixCacheBounded", "Split: no query sees a key between P sinks and the start of its run; at most G + P keys stay alive", PrefixRegionOf(MaskPolicy.Split), PrefixNames, new PrefixCacheBounded()),
        .. BothKinds.Select(isWhole => new Statement(
            $"PrefixHaloSuffices.{KindOf(isWhole)}", $"Split, {WordsOf(isWhole)}: across the cut c a query sees but the halo, of the prefix KeysToTheRight behind it and KeysToTheLeft before it",
            "c = mG, m >= 1, c < N, 0 <= P <= N, t and u on either side of c", ["N", "G", "S", "c", "P", "t", "u"], new PrefixHaloSuffices(isWhole))),
    ];

    /// <summary>What kernels rely on beyond the catalogue: facts about tiles and offsets, all true.</summary>
    public static IReadOnlyList<Statement> Kernel { get; } =
    [
        .. new[] { true, false }.Select(causal => new Statement(
            $"TileKindIsExact.{(causal ? "Causal" : "Whole")}",
            "a tile is Empty exactly where no pair of it is visible, and Full exactly where every pair is",
            "tile [t, t + rows) x [u, u + columns), rows, columns >= 1",
            ["t", "rows", "u", "columns", "i", "j"],
            new TileKindIsExact(causal))),
        new("RowStaysInside", "0 <= Row and Row + D <= B N H D, and so for every partial result", "0 <= b < B, 0 <= t < N, 0 <= h < H, D >= 1", ["B", "N", "H", "D", "b", "t", "h"], new RowStaysInside()),
        new("RowsAreApart", "the D elements of two rows do not overlap", "every two rows (b, t, h) before (c, u, i)", ["N", "H", "D", "b", "t", "h", "c", "u", "i"], new RowsAreApart()),
        new("KvHeadIsShared", "query head h reads kv head j exactly where h is one of the r heads from j r on", "H = r K, 0 <= h < H, 0 <= j < K", ["r", "K", "h", "j"], new KvHeadIsShared()),
    ];

    /// <summary>The statements that hold.</summary>
    public static IEnumerable<Theorem> True() => Catalogue.Where(theorem => theorem.IsTrue);

    /// <summary>The statements that fail somewhere in their region, and are kept because ports believe them.</summary>
    public static IEnumerable<Theorem> False() => Catalogue.Where(theorem => !theorem.IsTrue);

    private static IEnumerable<Theorem> NoLeakage()
    {
        foreach (MaskPolicy mask in new[] { MaskPolicy.Split, MaskPolicy.PositionCausal })
            yield return True($"NoLeakage.{mask}", 3, $"{mask}: visible(t,u) implies u <= t", RegionOf(mask), new NoLeakage(mask));
        yield return False("NoLeakage.LocalCausal", 3, "LocalCausal: visible(t,u) implies u <= t", "N = nG, 0 < S < G", new NoLeakage(MaskPolicy.LocalCausal, Shifted: true));
    }

    private static IEnumerable<Theorem> FullAttention()
    {
        foreach (MaskPolicy mask in MaskPolicies.All)
        {
            string full = mask.IsCausal() ? "u <= t" : "every u";
            yield return True($"FullAtWholeGroup.{mask}.Unshifted", 4, $"{mask}, G = N, S = 0: t sees {full}", "N = G, S = 0", new FullAtWholeGroup(mask, Shifted: false));
            bool isFull = mask is MaskPolicy.PositionCausal or MaskPolicy.Bidirectional;
            yield return new($"FullAtWholeGroup.{mask}.Shifted", 4, $"{mask}, G = N, S > 0: t sees {full}", "N = G, 0 < S < G", isFull, new FullAtWholeGroup(mask, Shifted: true));
        }
    }

    private static IEnumerable<Theorem> Direction()
    {
        foreach (MaskPolicy mask in MaskPolicies.All)
        {
            yield return True($"Direction.{mask}", 7, $"{mask}: shifting by +S and by -S gives the same visibility", "N = nG, 2S = G", new Direction(mask, OddGroup: false));
            yield return True($"Complement.{mask}", 7, $"{mask}: shifting by +S is shifting by -(G-S)", "N = nG, 0 < S < G", new Complement(mask));
            yield return False($"Direction.{mask}.OddGroup", 7, $"{mask}: shifting by +S and by -S gives the same visibility", "N = nG, n >= 2, odd G >= 3, S = G / 2", new Direction(mask, OddGroup: true));
        }
    }

    // Without causality a prefix has one kind.
    private static IEnumerable<Statement> OfPrefixes(string name, string text, ImmutableArray<string> variables, Func<MaskPolicy, bool, IStatement> claim, string beyond = OfPrefix) =>
        from mask in MaskPolicies.All
        from isWhole in mask.IsCausal() ? BothKinds : WholeAlone
        select new Statement($"{name}.{mask}.{KindOf(isWhole)}", $"{mask}, {WordsOf(isWhole)}: {text}", $"{RegionOf(mask)}, {beyond}", variables, claim(mask, isWhole));

    private static string KindOf(bool isWhole) => isWhole ? "Whole" : "Sinks";

    private static string WordsOf(bool isWhole) => isWhole ? "prefix seen whole" : "sinks";

    private static string PrefixRegionOf(MaskPolicy mask) => $"{RegionOf(mask)}, {OfPrefix}";

    private static string GridRegionOf(MaskPolicy mask) => $"on each axis {RegionOf(mask)}, 0 <= t, u < N";

    private static string OrderOf(MaskPolicy mask) => !mask.IsCausal() ? "" : mask is MaskPolicy.LocalCausal ? ", and the raster index of u's positions is not above t's" : ", and the raster index of u is not above t's";

    private static ImmutableArray<string> AxesNamed(int axes) => [.. Enumerable.Range(1, axes).SelectMany(axis => OfAxis.Select(name => $"{name}{axis}"))];

    private static string RegionOf(MaskPolicy mask) => mask.CutsWrappedRun() ? AnyN : Multiple;

    private static Theorem True(string name, int number, string statement, string region, IClaim claim) => new(name, number, statement, region, IsTrue: true, claim);

    private static Theorem False(string name, int number, string statement, string region, IClaim claim) => new(name, number, statement, region, IsTrue: false, claim);
}
