// Does the data flow from exactly the keys that the definition names?
using System.Collections.Immutable;
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Reference;
using S2Attn.Spec;
using S2Attn.Spec.Algebra;
using S2Attn.Spec.Claims;

namespace S2Attn.Conformance.Properties;

/// <summary>Theorems about visibility, observed in outputs for equal scores.</summary>
public static class VisibilityProperties
{
    private const int Observed = 24;

    /// <summary>The properties of this file.</summary>
    public static ImmutableArray<Property> All { get; } =
    [
        new(
            "Visibility", "with equal scores, o[t] is the mean of exactly the v that the mask policy lets t see", "no padding",
            ["SegmentsAreVisibility.*", "RunsTile", "SplitIsVarlen", "SplitIsLocalCausalCut", "PrefixStable.*", "SplitIsUnbounded", "CacheBounded"], Plain, item => !item.IsPadded, [PortOperation.Forward],
            probe => ObservedVisibility.Of(probe).Differences(probe.Config, (_, h, t, u) => Visibility.Visible(probe.Config, h, t, u))) { IsEvidence = true },
        new(
            "Visibility.Padding", "padded keys are seen by no query, and no other pair changes", "with padding", [],
            item => Observable(item) with { Padding = Padded(item) }, item => item.IsPadded, [PortOperation.Forward],
            probe => ObservedVisibility.Of(probe).Differences(probe.Config, (b, h, t, u) => probe.Input.Valid[b, u] && Visibility.Visible(probe.Config, h, t, u))) { IsEvidence = true },
        new(
            "Diagonal", "every token sees itself", "no padding", ["Diagonal.*"], Plain, item => !item.IsPadded, [PortOperation.Forward], Diagonal) { IsEvidence = true },
        new(
            "Partition", "the tokens that see each other fall into n groups of exactly G", "no padding, N = nG, policies that do not cut the wrapped run", ["Partition"],
            item => Plain(item) with { Config = item.Config.With(request => request with { Mask = Whole(item), HeadDim = Dim(item) }) },
            item => !item.IsPadded && !item.Config.Mask.CutsWrappedRun(), [PortOperation.Forward], Partition) { IsEvidence = true },
        new(
            "WholeGroup", "one group: PositionCausal sees every u <= t and Bidirectional every u whatever the shift; Split loses the pairs across S; LocalCausal is causal in rotated order",
            "no padding, N = G", ["FullAtWholeGroup.*", "SplitDropsCrossRuns", "LocalCausalIsRotated"],
            item => Plain(item) with { Config = item.Config.With(request => request with { GroupSize = GroupSizeRule.Of(item.Config.Tokens), HeadDim = Dim(item) }) },
            item => !item.IsPadded && item.Config.GroupSize == item.Config.Tokens, [PortOperation.Forward], WholeGroup) { IsEvidence = true },
        new(
            "Direction", "a shift by -S gives what a shift by +(G - S) gives, so for 2S = G what +S gives", "no padding, N = nG, 0 < S < G", ["Direction.*", "Complement.*"],
            item => Plain(item) with { Config = Shifting(item) },
            item => !item.IsPadded && item.Config.Shift > 0 && item.Config.Tokens % item.Config.GroupSize == 0, [PortOperation.Forward],
            probe => ObservedVisibility.Of(probe).Differences(probe.Config, (_, h, t, u) => VisibleShiftedForward(probe.Config, h, t, u))) { IsEvidence = true },
        new(
            "Leak.Count", "LocalCausal leaks S(G-S) pairs in each head, no other policy but the bidirectional ones any", "no padding, causal policies", ["LeakCount"],
            item => Plain(item) with { Config = item.Config.With(request => request with { Mask = item.Config.Mask.IsCausal() ? item.Config.Mask : MaskPolicy.LocalCausal, HeadDim = Dim(item) }) },
            item => !item.IsPadded && item.Config.Mask.IsCausal(), [PortOperation.Forward], LeakCount) { IsEvidence = true },
        new(
            "Cost", "exp(lse) of equal scores counts the keys that a query sees, as its segments say; over a head they sum to the closed form of the cost, at most N G", "no padding, ports that return lse", ["KeysSeen.*", "CostOfRun.*", "CostIsVisiblePairs.*", "CostIsAtMost.*", "CostOfShift"],
            item => Plain(item) with { Kind = TensorKind.EqualScores }, item => !item.IsPadded && item.Kind is TensorKind.EqualScores, [PortOperation.Forward], Cost) { IsEvidence = true },
        new(
            "Reach", "two Split layers with both kinds of head carry data back exactly to border(index(t) - 2), and layers without a shift never out of a group",
            "no padding, Split, H >= 2 with the second half shifted, 0 < S < G or S = 0", ["ReachStep", "ReachGrows", "UnshiftedStaysInGroup", "TwoLayersReach"],
            item => Plain(item) with
            {
                Config = item.Config.With(request => request with
                {
                    Mask = MaskPolicy.Split, Heads = Math.Max(2, item.Config.Heads), KvHeads = 1, ShiftedHeads = HeadShift.SecondHalf, HeadDim = Dim(item),
                }),
            },
            item => !item.IsPadded && item.Config.Mask is MaskPolicy.Split && item.Config.Heads >= 2 && !item.Config.ShiftedHeads.HasOwnShifts && BothKinds(item.Config), [PortOperation.Forward], ReachOfTwoLayers) { IsEvidence = true },
    ];

    private static AttentionCase Observable(AttentionCase item) => item with { Config = item.Config.With(request => request with { HeadDim = Dim(item) }) };

    private static AttentionCase Plain(AttentionCase item) => Observable(item) with { Padding = PaddingPattern.None };

    // Wide vectors observe many keys at once.
    private static int Dim(AttentionCase item) => Math.Min(Observed, item.Config.Tokens);

    private static PaddingPattern Padded(AttentionCase item) =>
        item.IsPadded ? item.Padding : PaddingPattern.Right + item.Seed % (int)PaddingPattern.WholeSequence;

    private static MaskPolicy Whole(AttentionCase item) => item.Config.Mask.CutsWrappedRun() ? MaskPolicy.Bidirectional : item.Config.Mask;

    private static bool BothKinds(S2Config config) => config.Shift == 0
        || (Enumerable.Range(0, config.Heads).Any(h => config.ShiftOf(h) == 0) && Enumerable.Range(0, config.Heads).Any(h => config.ShiftOf(h) > 0));

    private static S2Config Shifting(AttentionCase item)
    {
        int group = item.Seed % 2 == 0 ? Math.Max(2, item.Config.GroupSize) : Math.Max(2, item.Config.GroupSize / 2 * 2);
        int groups = Math.Max(1, item.Config.Tokens / group);
        return item.Config.With(request => request with
        {
            Tokens = groups * group,
            GroupSize = GroupSizeRule.Of(group),
            Shift = item.Seed % 2 == 0 ? Math.Max(1, item.Config.Shift) : group / 2,
            HeadDim = Math.Min(Observed, groups * group),
        });
    }

    // A roll by +x is a roll by -(N - x).
    private static bool VisibleShiftedForward(S2Config config, int head, int t, int u)
    {
        int shift = config.ShiftOf(head);
        return Visibility.Visible<Int, Bool>(config.Mask, config.Tokens, config.GroupSize, shift == 0 ? 0 : config.Tokens - (config.GroupSize - shift), t, u);
    }

    private static IEnumerable<string> LeakCount(Probe probe)
    {
        S2Config config = probe.Config;
        ObservedVisibility seen = ObservedVisibility.Of(probe);
        for (int b = 0; b < config.Batch; b++)
            for (int h = 0; h < config.Heads; h++)
            {
                long leaks = Enumerable.Range(0, config.Tokens).Sum(t => Enumerable.Range(t + 1, config.Tokens - t - 1).Count(u => seen[b, h, t, u]));
                long expected = config.Mask is MaskPolicy.LocalCausal ? Costs.LeakingPairs<Int, Bool>(config.GroupSize, config.ShiftOf(h)).Value : 0;
                if (leaks != expected)
                    yield return $"batch {b}, head {h} (shift {config.ShiftOf(h)}): {leaks} pairs with u > t are seen; {config.Mask} has {expected}";
            }
    }

    private static IEnumerable<string> Diagonal(Probe probe)
    {
        ObservedVisibility seen = ObservedVisibility.Of(probe);
        return from row in Rows.Of(probe.Config)
               where !seen[row.B, row.H, row.T, row.T]
               select $"batch {row.B}, head {row.H} (shift {probe.Config.ShiftOf(row.H)}): token {row.T} does not see itself";
    }

    private static IEnumerable<string> Partition(Probe probe)
    {
        S2Config config = probe.Config;
        ObservedVisibility seen = ObservedVisibility.Of(probe);
        for (int b = 0; b < config.Batch; b++)
            for (int h = 0; h < config.Heads; h++)
            {
                int[] leader = [.. Enumerable.Range(0, config.Tokens)];
                for (int t = 0; t < config.Tokens; t++)
                    for (int u = 0; u < config.Tokens; u++)
                        if (seen[b, h, t, u])
                        {
                            int from = leader[t], to = leader[u];
                            if (from != to)
                                leader = [.. leader.Select(group => group == from ? to : group)];
                        }

                foreach (var group in leader.Select((name, t) => (name, t)).GroupBy(pair => pair.name, pair => pair.t).Where(group => group.Count() != config.GroupSize))
                    yield return $"batch {b}, head {h} (shift {config.ShiftOf(h)}): tokens {string.Join(",", group)} see each other: a group of {group.Count()}, G = {config.GroupSize}";
            }
    }

    private static IEnumerable<string> WholeGroup(Probe probe)
    {
        S2Config config = probe.Config;
        return ObservedVisibility.Of(probe).Differences(config, (_, h, t, u) =>
        {
            int s = config.ShiftOf(h);
            return config.Mask switch
            {
                MaskPolicy.PositionCausal => u <= t,
                MaskPolicy.Bidirectional => true,
                MaskPolicy.Split => u <= t && !(u < s && t >= s),
                MaskPolicy.BidirectionalSplit => u < s == t < s,
                MaskPolicy.LocalCausal => t < s ? u >= s || u <= t : u >= s && u <= t,
                _ => throw new InvalidOperationException($"Unknown mask policy {config.Mask}."),
            };
        });
    }

    private static IEnumerable<string> Cost(Probe probe)
    {
        S2Config config = probe.Config;
        if (probe.Answer.LogSumExp.IsEmpty)
            throw new ProbeEndedException(new Verdict.Unsupported("lse"));
        for (int h = 0; h < config.Heads; h++)
        {
            double counted = 0;
            for (int t = 0; t < config.Tokens; t++)
            {
                double keys = Math.Exp(probe.Answer.LogSumExp[0][0, t, h]);
                long segments = Segments.KeysSeen<Int, Bool>(config.Mask, config.Tokens, config.GroupSize, config.ShiftOf(h), t).Value;
                int run = Segments.RunOf<Int, Bool>(config.GroupSize, config.ShiftOf(h), t).ToIndex();
                long before = Costs.VisiblePairsBefore<Int, Bool>(config.Mask, config.Tokens, config.GroupSize, config.ShiftOf(h), run).Value;
                if (Segments.Run(config, h, run).Start == t && !(Math.Abs(counted - before) < 0.5))
                    yield return FormattableString.Invariant($"head {h} (shift {config.ShiftOf(h)}): exp(lse) of equal scores sums to {counted:0.###} pairs before run {run}; the closed form gives {before}");
                counted += keys;
                if (!(Math.Abs(keys - segments) < 0.25))
                    yield return FormattableString.Invariant($"head {h} (shift {config.ShiftOf(h)}): exp(lse) of equal scores gives {keys:0.###} keys of query {t}; its segments have {segments}");
            }

            long cost = Costs.VisiblePairs<Int, Bool>(config.Mask, config.Tokens, config.GroupSize, config.ShiftOf(h)).Value;
            if (!(Math.Abs(counted - cost) < 0.5) || cost > (long)config.Tokens * config.GroupSize)
                yield return FormattableString.Invariant($"head {h} (shift {config.ShiftOf(h)}): exp(lse) of equal scores sums to {counted:0.###} visible pairs; the closed form gives {cost}, N G is {config.Tokens * config.GroupSize}");
        }
    }

    private static IEnumerable<string> ReachOfTwoLayers(Probe probe)
    {
        const int Layers = 2;
        S2Config config = probe.Config;
        Tensor<double> query = probe.Input.Query.Map(_ => 0.0);
        int first = probe.Choices().Next(config.Tokens);
        int Source(int d) => (first + d) % config.Tokens;
        Tensor<double> carried = Rows.Change(probe.Input.Value, (_, u, _, d, _) => u == Source(d) ? 1 : 0);
        for (int layer = 0; layer < Layers; layer++)
        {
            Tensor<double> o = probe.Forward(config, new(query, probe.Input.Key, carried)).Output;
            carried = Rows.Change(carried, (b, t, _, d, _) => Enumerable.Range(0, config.Heads).Any(h => o[b, t, h, d] > 0.5 / config.Tokens) ? 1 : 0);
        }

        Sizes<Int> sizes = new(config.Tokens, config.GroupSize, config.Shift);
        for (int t = 0; t < config.Tokens; t++)
        {
            long earliest = config.Shift == 0 ? t / config.GroupSize * config.GroupSize : Reach.Earliest<Int, Bool>(sizes, Layers, t).Value;
            for (int d = 0; d < Math.Min(config.HeadDim, config.Tokens); d++)
                if (carried[0, t, 0, d] > 0 != (Source(d) >= earliest && Source(d) <= t))
                    yield return $"after {Layers} layers token {t} {(carried[0, t, 0, d] > 0 ? "holds" : "does not hold")} data of token {Source(d)}; it reaches back exactly to {earliest}";
        }
    }
}
