// Which declared capabilities does a case need, and which of them does a port lack?
using System.Collections.Immutable;
using S2Attn.Spec;

namespace S2Attn.Conformance.Ports;

/// <summary>
/// Decides from the declaration alone whether a port claims a case. The reasons are few and stable words of the port protocol
/// ("dtypes:bf16", "gqa", "fixed.groupSize=4"), so that a report can count the cases that were not run by reason.
/// </summary>
public static class PortSupport
{
    private const string FixedAxes = "fixed.axes";

    /// <summary>Every reason for which the capabilities do not cover the case; empty where the port claims it.</summary>
    public static ImmutableArray<string> Lacks(PortCapabilities capabilities, PortCase portCase)
    {
        ArgumentNullException.ThrowIfNull(capabilities);
        ArgumentNullException.ThrowIfNull(portCase);
        return
        [
            .. portCase.Grid is { } grid ? LacksOfAxes(capabilities, grid) : Where(!capabilities.Fixed.Axes.IsEmpty, FixedAxes),
            .. Lacks(portCase.Grid is null ? capabilities : AnyGroups(capabilities), portCase.Config, portCase.ElementType, portCase.Operation, portCase.IsPadded),
            .. Lacks(capabilities, portCase.Memory),
            .. LacksOfPart(capabilities, portCase),
        ];
    }

    private static IEnumerable<string> LacksOfAxes(PortCapabilities capabilities, S2Grid grid) =>
    [
        .. Where(!capabilities.Grids, "grids"),
        .. Where(!capabilities.Fixed.Axes.IsEmpty && !capabilities.Fixed.Axes.SequenceEqual(grid.Axes), FixedAxes),
        .. Where(!capabilities.OddGroup && grid.Axes.Any(axis => int.IsOddInteger(axis.GroupSize)), "oddGroup"),
        .. Where(!capabilities.Ragged && grid.Axes.Any(axis => axis.Tokens % axis.GroupSize != 0), "ragged"),
    ];

    // The G of all tokens of a grid says nothing.
    private static PortCapabilities AnyGroups(PortCapabilities capabilities) => capabilities with { OddGroup = true, Ragged = true };

    private static IEnumerable<string> LacksOfPart(PortCapabilities capabilities, PortCase portCase) =>
    [
        .. Where(portCase.IsSlice && !capabilities.Slices, "slice"),
        .. Where(!portCase.LogSumExpGradient.IsEmpty && !capabilities.LogSumExpGradient, "lseGradient"),
    ];

    /// <summary>Every reason for which the capabilities do not cover a case of this kind; to be asked before tensors are made.</summary>
    public static ImmutableArray<string> Lacks(
        PortCapabilities capabilities, S2Config config, ElementType elementType, PortOperation operation, bool padded)
    {
        ArgumentNullException.ThrowIfNull(capabilities);
        ArgumentNullException.ThrowIfNull(config);
        return
        [
            .. Where(!capabilities.Operations.Contains(operation), "ops:" + ProtocolNames.Of(operation)),
            .. Where(!capabilities.ElementTypes.Contains(elementType), "dtypes:" + ProtocolNames.Of(elementType)),
            .. Where(!capabilities.Masks.Contains(config.Mask), "masks:" + config.Mask),
            .. Where(!capabilities.GroupedQuery && config.KvHeads != config.Heads, "gqa"),
            .. Where(!capabilities.Padding && padded, "padding"),
            .. Where(!capabilities.OddGroup && int.IsOddInteger(config.GroupSize), "oddGroup"),
            .. Where(!capabilities.Ragged && config.Tokens % config.GroupSize != 0, "ragged"),
            .. Where(config.Tokens > capabilities.MaxTokens, "maxTokens"),
            .. Where(!capabilities.Prefixes && config.Prefix > 0, "prefixes"),
            .. Where(!capabilities.Phases && config.ShiftedHeads.HasOwnShifts, "phases"),
            .. capabilities.Fixed.Contradictions(config),
        ];
    }

    private static IEnumerable<string> Lacks(PortCapabilities capabilities, CaseMemory memory) =>
    [
        .. Where(memory.HeadMajor && !capabilities.HeadMajor, "layouts:" + ProtocolNames.LayoutOf(headMajor: true)),
        .. Where(!memory.Starts.IsEmpty && !capabilities.Packed, "packed"),
        .. memory.Kinds.Where(kind => !capabilities.Strides.Contains(kind)).Select(kind => "strides:" + ProtocolNames.Of(kind)),
    ];

    private static string[] Where(bool lacking, string reason) => lacking ? [reason] : [];
}
