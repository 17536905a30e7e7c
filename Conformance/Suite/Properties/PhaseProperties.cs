// Does each head shift by its own amount, where heads have one?
using System.Collections.Immutable;
using FsCheck;
using FsCheck.Fluent;
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Spec;

namespace S2Attn.Conformance.Properties;

/// <summary>Heads in phases, and heads with any shift each. Asked of ports that declare phases.</summary>
public static class PhaseProperties
{
    private const string Region = "ports that declare phases", Bound = "within the derived error bound of its element type";
    private const int Observed = 24;

    /// <summary>The properties of this file.</summary>
    public static ImmutableArray<Property> All { get; } =
    [
        new(
            "Phases.Visibility", "with equal scores, o[t] of a head that shifts by an amount of its own is the mean of exactly the v that the mask policy lets t see", $"no padding, {Region}",
            ["PhaseOfHead", "PhaseBorders"],
            item => Phased(item with { Padding = PaddingPattern.None, Config = item.Config.With(request => request with { HeadDim = Math.Min(Observed, request.Tokens) }) }),
            item => IsPhased(item) && !item.IsPadded, [PortOperation.Forward],
            probe => ObservedVisibility.Of(probe).Differences(probe.Config, (_, h, t, u) => Visibility.Visible(probe.Config, h, t, u))),
        new(
            "Phases.Output", $"heads that shift by amounts of their own, several of them on one kv head, give the definition's o and lse, {Bound}", Region, [], Phased, IsPhased,
            [PortOperation.Forward], probe => Apart(probe, new PortCase(probe.Config, probe.Case.Type, probe.Input))),
        new(
            "Phases.Gradients", $"heads that shift by amounts of their own, several of them on one kv head, give the definition's dq, dk, dv, {Bound}", $"{Region}, with a backward pass", [], Phased, IsPhased,
            [PortOperation.Backward], probe => Apart(probe, new PortCase(probe.Config, probe.Case.Type, probe.Input, [probe.OutputGradient]))),
    ];

    private static bool IsPhased(AttentionCase item) => item.Config.ShiftedHeads.HasOwnShifts;

    // At least three heads and groups of several tokens, so that there is more than one shift to mix up; drawn from the case's own seed.
    private static AttentionCase Phased(AttentionCase item)
    {
        if (IsPhased(item))
            return item;
        S2Config config = item.Config.Heads >= 3 && item.Config.GroupSize >= 3 ? item.Config : item.Config.With(request => request with
        {
            Heads = Math.Max(4, request.Heads),
            KvHeads = item.Seed % 3 == 0 ? Math.Max(4, request.Heads) : 1 + item.Seed % 2,
            Tokens = Math.Max(request.Tokens, 8),
            GroupSize = GroupSizeRule.Of(4 + 2 * (item.Seed % 2)),
        });
        return item with { Config = CaseGenerator.WithOwnShifts(config).Sample(1, new Rnd((ulong)item.Seed, 0x9E3779B97F4A7C15), 50).Single() };
    }

    private static IEnumerable<string> Apart(Probe probe, PortCase asked)
    {
        PortAnswer answer = probe.Ask(asked);
        return probe.InTime(() => Agreement.Compare(asked, answer, probe.Model)).Where(tensor => !tensor.Agrees).Select(tensor => $"{tensor}, where the heads shift by {Shifts(probe.Config)}");
    }

    private static string Shifts(S2Config config) => string.Join(",", Enumerable.Range(0, config.Heads).Select(config.ShiftOf));
}
