// At which prefixes does an X-ray look?
using System.Collections.Immutable;
using S2Attn.Conformance.Ports;
using S2Attn.Spec;

namespace S2Attn.Conformance.Xray;

/// <summary>Short texts with prefixes of both kinds, shorter and longer than a group, of which none is so long that a mistake about its length shows nowhere.</summary>
internal static class PrefixProbes
{
    /// <summary>
    /// Those that a port claims: none where it does not declare prefixes. Under the first mask, one that cuts where there is one, sinks of less than a group over two entries, a prefix of more than a group that is seen whole, sinks of more than a
    /// group with a shift other than G / 2, padded keys in a prefix, and a text that is no multiple of G; both kinds in turn under every other mask.
    /// </summary>
    public static ImmutableArray<XrayProbe> Of(PortCapabilities capabilities, ElementType type)
    {
        if (!capabilities.Prefixes || capabilities.Masks.IsEmpty || !capabilities.Fixed.Axes.IsEmpty)
            return [];
        ImmutableArray<MaskPolicy> masks = [.. capabilities.Masks.OrderByDescending(mask => mask.IsCausal()).ThenByDescending(mask => mask.CutsWrappedRun())];
        S2Request request = new() { Tokens = 12, Heads = 2, KvHeads = 1, HeadDim = 1, GroupSize = GroupSizeRule.Of(4), ShiftedHeads = HeadShift.SecondHalf, Mask = masks[0], Prefix = 6, IsPrefixWhole = true };
        S2Request sinks = request with { Prefix = 2, IsPrefixWhole = false };
        XrayProbe[] probes =
        [
            Fitted(sinks with { Batch = 2, Heads = 4, KvHeads = 2 }),
            Fitted(request),
            Fitted(sinks with { Prefix = 6, KvHeads = 2, Shift = 1 }),
            Fitted(sinks with { Batch = 2, Prefix = 3 }) is var padded && capabilities.Padding ? padded with { Valid = Xrays.SomePadded(padded.Config) } : padded,
            Fitted(request with { Tokens = 14, Prefix = 5 }),
            .. masks[1..].Select((mask, i) => Fitted(i % 2 == 0 ? sinks with { Mask = mask, Prefix = 6 } : request with { Mask = mask })),
        ];
        return [.. probes.Where(probe => PortSupport.Lacks(capabilities, probe.EqualScores().First()).IsEmpty).DistinctBy(probe => probe.ToString())];

        XrayProbe Fitted(S2Request wanted) => Xrays.Fitted(capabilities, type, wanted);
    }
}
