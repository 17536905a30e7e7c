// Is a solver's counterexample one for Spec, evaluated, and for Reference, observed?
using System.Globalization;
using S2Attn.Reference;
using S2Attn.Spec;
using S2Attn.Spec.Algebra;
using S2Attn.Spec.Claims;

namespace S2Attn.Conformance.Proofs;

/// <summary>A counterexample that was checked, or what is wrong with it.</summary>
/// <param name="IsConfirmed">Whether Spec and Reference agree that the claim fails there.</param>
/// <param name="Text">What happens there, or what disagrees.</param>
public sealed record Confirmation(bool IsConfirmed, string Text);

/// <summary>Checks counterexamples by computing.</summary>
public static class Counterexamples
{
    private static readonly string[] Names = ["N", "G", "S", "x", "y"];

    /// <summary>Evaluates the claim with Spec's integers, and lets Reference show which keys the query sees where the claim is about visibility.</summary>
    public static Confirmation Confirm(Theorem theorem, Witness witness)
    {
        ArgumentNullException.ThrowIfNull(theorem);
        (int n, int g, int s, int x, int y) = witness;
        if (!theorem.Covers(n, g, s) || x < 0 || x >= n || y < 0 || y >= n)
            return new(false, $"{witness} is outside the region");
        if (theorem.Claim.Holds<Int, Bool>(new Sizes<Int>(n, g, s), x, y).Value)
            return new(false, $"Spec computes that the claim holds at {witness}");

        if (OverAGrid(theorem.Claim, x, y) is { } over)
            return ConfirmOverAGrid(over.Mask, new(n, g, s), over.Query, over.Key);
        View whole = new(default, "", n, s, s, y);
        View[] views = theorem.Claim switch
        {
            NoLeakage claim => [whole with { Mask = claim.Mask }],
            FullAtWholeGroup claim => [whole with { Mask = claim.Mask }],
            UnpaddedRingIsVarlen => [whole with { Mask = MaskPolicy.Split }],
            // A configuration has 0 <= S < G; by theorem Complement, -(N - S) shows what -(G - S) shows.
            Direction claim =>
            [
                whole with { Mask = claim.Mask, Label = "shift -S: " },
                whole with { Mask = claim.Mask, Label = "shift +S: ", SpecShift = n - s, ReferenceShift = g - s },
            ],
            PrefixStable claim =>
            [
                whole with { Mask = claim.Mask, Label = $"N = {n}: " },
                whole with { Mask = claim.Mask, Label = $"N = {n + g}: ", Tokens = n + g },
                .. y < g ? [whole with { Mask = claim.Mask, Label = $"N = {n + g}: ", Tokens = n + g, Key = n + y }] : Array.Empty<View>(),
            ],
            OneSinkMakesStable =>
            [
                whole with { Mask = MaskPolicy.PositionCausal, Label = $"N = {n}: ", Prefix = 1 },
                whole with { Mask = MaskPolicy.PositionCausal, Label = $"N = {n + g}: ", Tokens = n + g, Prefix = 1 },
            ],
            WholePrefixNeverLeaks => [whole with { Mask = MaskPolicy.Split, Prefix = g, IsPrefixWhole = true }],
            SinkCostsOnePairEach => [whole with { Mask = MaskPolicy.Split, Label = "without a sink: ", Key = 0 }],
            _ => [],
        };
        List<string> seen = [];
        foreach (View view in views)
        {
            double weight = WeightOf(view, g, x);
            bool visible = Prefixes.Visible<Int, Bool>(view.Mask, view.IsPrefixWhole, view.Tokens, g, view.SpecShift, view.Prefix, x, view.Key).Value;
            if (weight > 0 != visible)
                return new(false, $"Reference gives key {view.Key} the weight {weight} for query {x}, but Spec says visible = {visible} ({view.Mask}, {witness})");
            seen.Add(FormattableString.Invariant($"{view.Label}query {x} {(visible ? $"sees key {view.Key} with weight {weight:0.###}" : $"does not see key {view.Key}")}"));
        }

        return new(true, seen.Count > 0 ? string.Join("; ", seen) : theorem.Claim switch { TwoShiftsReach => Reached(g, s, x, y), SinkNeedsNoRoom => Kept(g, s, x), _ => Rolled(n, g, x) });
    }

    // What a claim about N x N tokens looks at: a policy, and the places of a query and of a key.
    private static (MaskPolicy Mask, int[] Query, int[] Key)? OverAGrid(IClaim claim, int x, int y) => claim switch
    {
        GridLocalCausalNeverLeaks => (MaskPolicy.LocalCausal, [x, y], [y, x]),
        GridIsCausalOnEveryAxis => (MaskPolicy.Split, [x, y], [y, x]),
        GridRunOfTheLastAxisSuffices => (MaskPolicy.BidirectionalSplit, [x, y], [y, y]),
        _ => null,
    };

    private static Confirmation ConfirmOverAGrid(MaskPolicy mask, GridAxis<int> axis, int[] query, int[] key)
    {
        int tokens = axis.Tokens * axis.Tokens, t = query[0] * axis.Tokens + query[1], u = key[0] * axis.Tokens + key[1];
        S2Grid grid = S2Grid.Create(
            S2Config.Create(new() { Tokens = tokens, HeadDim = tokens, GroupSize = GroupSizeRule.Of(tokens), Shift = 0, Mask = mask, ShiftedHeads = HeadShift.All }), axis, axis);
        double weight = GridAttention.Forward(grid, OneHot(tokens)).Output[0, t, 0, u];
        bool visible = grid.Visible(0, t, u);
        string seen = FormattableString.Invariant($"query ({query[0]}, {query[1]}) {(visible ? $"sees key ({key[0]}, {key[1]}) with weight {weight:0.###}" : $"does not see key ({key[0]}, {key[1]})")}");
        return weight > 0 == visible ? new(true, seen) : new(false, $"Reference gives the weight {weight}, but Spec says: {seen} ({grid})");
    }

    // Equal scores, and values that say which key was weighted.
    private static AttentionInput<double> OneHot(int n)
    {
        int[] shape = [1, n, 1, n];
        Tensor<double> zero = Tensor<double>.Build(shape, _ => 0);
        return new(zero, zero, Tensor<double>.Build(shape, offset => offset / n == offset % n ? 1 : 0));
    }

    private static string Reached(int g, int s, int token, int second)
    {
        long First(long shift, long t) => Math.Min(Slices.FirstKeyNeeded<Int, Bool>(g, 0, t).Value, Slices.FirstKeyNeeded<Int, Bool>(g, shift, t).Value);
        long once = First(s, token);
        return $"token {token} reaches token {once} through the layer that shifts by {s}, and token {First(second, once)} through the next, which shifts by {second}";
    }

    private static string Kept(int g, int s, int token) =>
        $"query {token} needs the keys from {Slices.FirstKeyNeeded<Int, Bool>(g, s, token)} on and the sink: {Prefixes.KeysAlive<Int, Bool>(g, s, 1, token)} of G = {g}";

    private static string Rolled(int n, int g, int token)
    {
        Int position = IndexMaps.Position<Int, Bool>(n, g - g / 2, token);
        return $"token {token} is rolled to position {position}, which is rolled back to token {IndexMaps.Token<Int, Bool>(n, g / 2, position)}";
    }

    // A query and a key as the claim looks at them.
    private sealed record View(MaskPolicy Mask, string Label, int Tokens, int SpecShift, int ReferenceShift, int Key, int Prefix = 0, bool IsPrefixWhole = false);

    /// <summary>The softmax weight of a view's key for query t where all scores are equal, read off Reference's output for one-hot values.</summary>
    private static double WeightOf(View view, int g, int t)
    {
        S2Config config = S2Config.Create(new S2Request
        {
            Tokens = view.Tokens,
            HeadDim = view.Tokens,
            GroupSize = GroupSizeRule.Of(g),
            Shift = view.ReferenceShift,
            Mask = view.Mask,
            ShiftedHeads = HeadShift.All,
            Prefix = view.Prefix,
            IsPrefixWhole = view.IsPrefixWhole,
        });
        return Attention.Forward(config, OneHot(view.Tokens)).Output[0, t, 0, view.Key];
    }

    /// <summary>A solver's values as a witness; none where a value is missing or leaves 32 bits.</summary>
    public static bool TryRead(IReadOnlyDictionary<string, long> values, out Witness witness)
    {
        ArgumentNullException.ThrowIfNull(values);
        int[] read = [.. Names.Select(name => values.TryGetValue(name, out long value) && value is >= 0 and <= int.MaxValue ? (int)value : -1)];
        witness = read.Contains(-1) ? default : new(read[0], read[1], read[2], read[3], read[4]);
        return !read.Contains(-1);
    }
}
