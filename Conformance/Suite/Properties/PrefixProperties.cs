// Does every query see the first tokens of the text, and what of them, where a prefix says so?
using System.Collections.Immutable;
using FsCheck;
using FsCheck.Fluent;
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Spec;
using S2Attn.Spec.Algebra;

namespace S2Attn.Conformance.Properties;

/// <summary>Attention sinks, and prefixes that are seen whole. Asked of ports that declare prefixes.</summary>
public static class PrefixProperties
{
    private const string Region = "ports that declare prefixes", Bound = "within the derived error bound of its element type";
    private const int Observed = 24;

    /// <summary>The properties of this file.</summary>
    public static ImmutableArray<Property> All { get; } =
    [
        new(
            "Prefixes.Visibility", "with equal scores, o[t] is the mean of exactly the v that the mask policy or the prefix lets t see: of a prefix that is seen whole all, of sinks none after t under a causal policy",
            $"no padding, {Region}", ["PrefixSegments.*", "SinksLeakNothing.*", "WholePrefixLeaksInside.*", "PrefixExtremes.*", "SinksMakePositionCausalSplit"],
            item => Narrow(item with { Padding = PaddingPattern.None }), item => HasPrefix(item) && !item.IsPadded, [PortOperation.Forward],
            probe => ObservedVisibility.Of(probe).Differences(probe.Config, (_, h, t, u) => Visibility.Visible(probe.Config, h, t, u)).Select(difference => $"{difference}{Of(probe.Config)}")),
        new(
            "Prefixes.Cost", "with equal scores, exp(lse) counts the keys that a query sees, those of the prefix once, and their sum is the closed form of a head", $"no padding, {Region}, with lse",
            ["PrefixKeysSeen.*", "PrefixCost.*", "PrefixGain.*"], item => With(item with { Padding = PaddingPattern.None, Kind = TensorKind.EqualScores }),
            item => HasPrefix(item) && !item.IsPadded && item.Kind is TensorKind.EqualScores, [PortOperation.Forward], Cost),
        new(
            "Prefixes.Output", $"a prefix gives the definition's o and lse, also where keys of it are padded, {Bound}", Region, [], With, HasPrefix,
            [PortOperation.Forward], probe => Apart(probe, new PortCase(probe.Config, probe.Case.Type, probe.Input))),
        new(
            "Prefixes.Gradients", $"a prefix, which receives from every group, gives the definition's dq, dk, dv, {Bound}", $"{Region}, with a backward pass", [], With, HasPrefix,
            [PortOperation.Backward], probe => Apart(probe, new PortCase(probe.Config, probe.Case.Type, probe.Input, [probe.OutputGradient]))),
        new(
            "Prefixes.Slice", $"a part of the queries, with the keys from 0 on, gives its rows of the whole's o and lse, also where the text may still grow, {Bound}", $"{Region}, and slice",
            ["PrefixKeysNeeded.*", "PrefixIsUnbounded.*", "PrefixCacheBounded"], With, HasPrefix, [PortOperation.Forward], Slice),
    ];

    private static bool HasPrefix(AttentionCase item) => item.Config.Prefix > 0;

    // Two groups where there is room, so that there is something to see beyond the own group; from the case's own seed.
    private static AttentionCase With(AttentionCase item)
    {
        if (HasPrefix(item))
            return item;
        S2Config config = item.Config.Tokens >= 2 * item.Config.GroupSize ? item.Config : item.Config.With(request => request with
        {
            Tokens = Math.Max(request.Tokens, 4),
            GroupSize = GroupSizeRule.Of(2 + item.Seed % 2 * Math.Max(0, Math.Max(request.Tokens, 4) / 2 - 2)),
        });
        return item with { Config = CaseGenerator.WithPrefix(config).Sample(1, new Rnd((ulong)item.Seed, 0x9E3779B97F4A7C15), 50).Single() };
    }

    private static AttentionCase Narrow(AttentionCase item) => With(item) is var with ? with with { Config = with.Config.With(request => request with { HeadDim = Math.Min(Observed, request.Tokens) }) } : item;

    private static IEnumerable<string> Cost(Probe probe)
    {
        S2Config config = probe.Config;
        if (probe.Answer.LogSumExp.IsEmpty)
            throw new ProbeEndedException(new Verdict.Unsupported("lse"));
        for (int h = 0; h < config.Heads; h++)
        {
            int head = h;
            double counted = 0;
            for (int t = 0; t < config.Tokens; t++)
            {
                double keys = Math.Exp(probe.Answer.LogSumExp[0][0, t, h]);
                counted += keys;
                long seen = Prefixes.KeysSeen<Int, Bool>(config.Mask, config.IsPrefixWhole, config.Tokens, config.GroupSize, config.ShiftOf(head), config.Prefix, t).Value;
                if (!(Math.Abs(keys - seen) < 0.25))
                    yield return FormattableString.Invariant($"head {h} (shift {config.ShiftOf(h)}): exp(lse) of equal scores gives {keys:0.###} keys of query {t}; its segments have {seen}{Of(config)}");
            }

            long cost = Prefixes.VisiblePairs<Int, Bool>(config.Mask, config.IsPrefixWhole, config.Tokens, config.GroupSize, config.ShiftOf(head), config.Prefix).Value;
            if (!(Math.Abs(counted - cost) < 0.5))
                yield return FormattableString.Invariant($"head {h} (shift {config.ShiftOf(h)}): exp(lse) of equal scores sums to {counted:0.###} visible pairs; the closed form gives {cost}{Of(config)}");
        }
    }

    private static IEnumerable<string> Slice(Probe probe)
    {
        if (!probe.Capabilities.Slices)
            throw new ProbeEndedException(new Verdict.Unsupported("slice"));
        Random choices = probe.Choices();
        int first = choices.Next(probe.Config.Tokens), end = choices.Next(first, probe.Config.Tokens) + 1;
        foreach (bool grows in new[] { false, true })
        {
            if (grows && !probe.Config.Mask.IsPrefixStable())
                continue;
            PortCase asked = SliceCase.Of(
                new(probe.Config, probe.Case.Type, probe.Input), S2Slice.Create(probe.Config, new() { FirstQuery = first, EndQuery = end, IsUnbounded = grows }));
            foreach (string violation in Apart(probe, asked))
                yield return $"{violation}, queries [{first},{end}){(grows ? " of a text that may still grow" : "")}";
        }
    }

    private static IEnumerable<string> Apart(Probe probe, PortCase asked)
    {
        PortAnswer answer = probe.Ask(asked);
        return probe.InTime(() => Agreement.Compare(asked, answer, probe.Model)).Where(tensor => !tensor.Agrees).Select(tensor => $"{tensor}{Of(probe.Config)}");
    }

    private static string Of(S2Config config) => $", with a prefix of {config.Prefix} {(config.IsPrefixWhole ? "seen whole" : "as sinks")}";
}
