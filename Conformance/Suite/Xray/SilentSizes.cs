// What do the sizes have in common at which a port gives no answer, and what does it say there?
using System.Collections.Immutable;
using System.Globalization;
using S2Attn.Conformance.Cases;
using S2Attn.Spec;

namespace S2Attn.Conformance.Xray;

internal static class SilentSizes
{
    private const int LongestReason = 160, LongGroup = 16, MostTraits = 4;

    // What a caller may ask for and code often cannot do, the likelier first.
    private static readonly ImmutableArray<(string Words, Func<XrayProbe, bool> Holds)> Traits =
    [
        ("where N > G, more than one group", probe => probe.Config.Tokens > probe.Config.GroupSize),
        ("where K = 1", probe => probe.Config.KvHeads == 1),
        ("where K < H", probe => probe.Config.KvHeads < probe.Config.Heads),
        ("where keys are padded", probe => probe.IsPadded),
        ("where N is no multiple of G", probe => probe.Config.Tokens % probe.Config.GroupSize != 0),
        ("where G is odd", probe => probe.Config.GroupSize % 2 == 1),
        ("where H is odd", probe => probe.Config.Heads % 2 == 1),
        ("where K is odd", probe => probe.Config.KvHeads % 2 == 1),
        ("where B > 1", probe => probe.Config.Batch > 1),
        ("where N = G, a single group", probe => probe.Config.Tokens == probe.Config.GroupSize),
        ("where S is not G / 2", probe => probe.Config.Shift != probe.Config.GroupSize / 2),
        ("where the scale is not 1 / sqrt(D)", probe => !Configs.HasDefaultScale(probe.Config)),
        ("where other heads than the second half are shifted", probe => probe.Config.ShiftedHeads is not HeadShift.UpperHalf),
        ("under masks without causality", probe => !probe.Config.Mask.IsCausal()),
        ("under causal masks", probe => probe.Config.Mask.IsCausal()),
        ("under masks that cut the wrapped run off", probe => probe.Config.Mask.CutsWrappedRun()),
        ("under masks that leave the wrapped run whole", probe => !probe.Config.Mask.CutsWrappedRun()),
        .. MaskPolicies.All.Select(mask => ($"under {mask}", new Func<XrayProbe, bool>(probe => probe.Config.Mask == mask))),
        ("where heads have shifts of their own", probe => probe.Config.ShiftedHeads.HasOwnShifts),
        ("where G is long, past a tile of keys", probe => probe.Config.GroupSize > LongGroup),
    ];

    /// <summary>"where K = 1", or how many sizes they are where no one trait sets them apart from those that answer.</summary>
    public static string Where(XrayReport report) =>
        Common([.. report.Silent.Select(failure => failure.Probe)], [.. report.Pictures.Select(picture => picture.Probe)]) is { Length: > 0 } common ? common
        : string.Create(CultureInfo.InvariantCulture, $"at {report.Silent.Length} {(report.Silent.Length == 1 ? "size" : "sizes")}");

    /// <summary>What some sizes have in common, and others have not: "where K = 1"; empty where that is no one trait.</summary>
    public static string Common(ImmutableArray<XrayProbe> some, ImmutableArray<XrayProbe> others) =>
        Traits.FirstOrDefault(trait => some.All(trait.Holds) && !others.Any(trait.Holds)).Words ?? "";

    /// <summary>All that some sizes have in common, and others have not, each of which may be the cause; empty where there is nothing.</summary>
    public static string AllCommon(ImmutableArray<XrayProbe> some, ImmutableArray<XrayProbe> others) =>
        string.Join(" and ", Traits.Where(trait => some.All(trait.Holds) && !others.Any(trait.Holds)).Select(trait => trait.Words).Take(MostTraits));

    /// <summary>What the port said there first.</summary>
    public static string Reason(XrayReport report) => report.Silent[0].Reason is { Length: > LongestReason } text ? text[..LongestReason] + "..." : report.Silent[0].Reason.TrimEnd('.');
}
