// Does a query see on several axes what it should, where tokens are those of an image or a video?
using System.Collections.Immutable;
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Conformance.Properties;

/// <summary>Tokens on one to three axes, as in the shifted windows of Swin. Asked of ports that declare grids.</summary>
public static class GridProperties
{
    private const string Region = "ports that declare grids", Bound = "within the derived error bound of its element type";
    private const int Observed = 24;

    /// <summary>The properties of this file.</summary>
    public static ImmutableArray<Property> All { get; } =
    [
        new(
            "Grids.Visibility", "with equal scores, o[t] is the mean of exactly the v of the tokens that are of t's group, and run, on every axis, and not after t where the mask policy is causal", $"no padding, {Region}", ["GridIsItsAxes.*", "GridWindows.*"],
            item => item with { Padding = PaddingPattern.None, Config = item.Config.With(request => request with { HeadDim = Math.Min(Observed, request.Tokens) }) },
            item => !item.IsPadded, [PortOperation.Forward], Visibility),
        new(
            "Grids.Output", $"tokens on several axes give the definition's o and lse, {Bound}", Region, [], item => item, _ => true,
            [PortOperation.Forward], probe => Apart(probe, PortOperation.Forward)),
        new(
            "Grids.Gradients", $"tokens on several axes give the definition's dq, dk, dv, {Bound}", $"{Region}, with a backward pass", [], item => item, _ => true,
            [PortOperation.Backward], probe => Apart(probe, PortOperation.Backward)),
    ];

    private static IEnumerable<string> Visibility(Probe probe)
    {
        S2Grid grid = GridCases.Of(probe.Capabilities, probe.Case);
        AttentionCase item = probe.Case with { Config = grid.Tokens };
        return ObservedVisibility.Of(grid.Tokens, item.BuildInput(), input => (PortAnswer.Forward)probe.Ask(new PortCase(grid.Tokens, item.Type, input) { Grid = grid }))
            .Differences(
                grid.Tokens,
                (_, h, t, u) => grid.Visible(h, t, u),
                head => grid.Tokens.ShiftedHeads.IsShifted(head, grid.Tokens.Heads) ? "shifts" : "does not shift")
            .Select(difference => $"{difference}: {grid}");
    }

    private static IEnumerable<string> Apart(Probe probe, PortOperation operation)
    {
        S2Grid grid = GridCases.Of(probe.Capabilities, probe.Case);
        AttentionCase item = probe.Case with { Config = grid.Tokens };
        PortCase asked = (operation is PortOperation.Forward ? item.Forward() : item.Backward()) with { Grid = grid };
        PortAnswer answer = probe.Ask(asked);
        return probe.InTime(() => Agreement.Compare(asked, answer, probe.Model)).Where(tensor => !tensor.Agrees).Select(tensor => $"{tensor}: {grid}");
    }
}
