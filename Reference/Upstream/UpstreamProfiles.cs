// Which deviations from the definition are known?
using System.Collections.Immutable;
using S2Attn.Spec;

namespace S2Attn.Reference.Upstream;

/// <summary>
/// The catalogue of known deviations, each alone: where a profile is not about padding, padded keys are hidden as the definition hides them.
/// LongLoRA is commit d4eb344 of github.com/dvlab-research/LongLoRA. <see cref="LongLoraFunctions"/> combines what one function does.
/// </summary>
public static class UpstreamProfiles
{
    private static readonly ImmutableArray<MaskPolicy> WholeGroups = [MaskPolicy.LocalCausal, MaskPolicy.PositionCausal, MaskPolicy.Bidirectional];

    /// <summary>-G // 2 floors.</summary>
    public static UpstreamProfile LongLoraOddGroup { get; } = new(
        DefectCatalogue.Named("longlora-odd-group"),
        [MaskPolicy.LocalCausal],
        Ragged: false,
        "odd G, every row of every shifted head",
        (config, _) => config.GroupSize % 2 == 1 && config.Tokens > 1 && HasShiftedHead(config));

    /// <summary>One mask block for all groups and, in another order than theirs, all batch entries.</summary>
    public static UpstreamProfile LongLoraBatchMask { get; } = new(
        DefectCatalogue.Named("longlora-batch-mask"),
        [MaskPolicy.LocalCausal],
        Ragged: false,
        "with padding",
        (_, valid) => HasPadding(valid));

    /// <summary>Rows are packed by another row's mask.</summary>
    public static UpstreamProfile LongLoraFlashPadding { get; } = new(
        DefectCatalogue.Named("longlora-flash-padding"),
        [MaskPolicy.Split],
        Ragged: true,
        "with padding",
        (_, valid) => HasPadding(valid));

    /// <summary>The un-shift rolls inside each group.</summary>
    public static UpstreamProfile InGroupUnshift { get; } = new(
        DefectCatalogue.Named("ingroup-unshift"),
        [.. MaskPolicies.All],
        Ragged: true,
        "more than one group, rows t mod G < S of every shifted head",
        (config, _) => Shifts(config) && config.Tokens > config.GroupSize);

    /// <summary>Un-shift without shift.</summary>
    public static UpstreamProfile UnshiftOnly { get; } = new(
        DefectCatalogue.Named("unshift-only"),
        [.. MaskPolicies.All],
        Ragged: true,
        "S > 0, every row of every shifted head",
        (config, _) => Shifts(config));

    /// <summary>Heads taken for tokens.</summary>
    public static UpstreamProfile HeadTokenScramble { get; } = new(
        DefectCatalogue.Named("head-token-scramble"),
        WholeGroups,
        Ragged: false,
        "H > 1 and N > 1",
        (config, _) => config.Heads > 1 && config.Tokens > 1);

    /// <summary>Un-shift by H / 2.</summary>
    public static UpstreamProfile ShiftAxisHeads { get; } = new(
        DefectCatalogue.Named("shift-axis-heads"),
        WholeGroups,
        Ragged: false,
        "H/2 and S differ modulo N, every row of every shifted head",
        (config, _) => HasShiftedHead(config) && (config.Heads / 2 - config.Shift) % config.Tokens != 0);

    /// <summary>No information crosses groups.</summary>
    public static UpstreamProfile InGroupRotation { get; } = new(
        DefectCatalogue.Named("ingroup-rotation"),
        WholeGroups,
        Ragged: false,
        "more than one group and S > 0, shifted heads",
        (config, _) => Shifts(config) && config.Tokens > config.GroupSize);

    /// <summary>The shift belongs to kv heads.</summary>
    public static UpstreamProfile KvShiftBeforeRepeat { get; } = new(
        DefectCatalogue.Named("kv-shift-before-repeat"),
        [.. MaskPolicies.All],
        Ragged: true,
        "S > 0 and a kv head is shared by shifted and unshifted query heads (K odd or 1 under the second-half rule), the unshifted heads that share it; "
            + "not where such a head sees all N tokens without order",
        (config, _) => Shifts(config) && SharesKvHead(config) && !(IsOneGroup(config) && !config.Mask.IsCausal()));

    /// <summary>No causal mask.</summary>
    public static UpstreamProfile NoMask { get; } = new(
        DefectCatalogue.Named("no-mask"),
        [.. MaskPolicies.All.Where(mask => mask.IsCausal())],
        Ragged: true,
        "G > 1",
        (config, _) => config.GroupSize > 1);

    /// <summary>v is not rolled.</summary>
    public static UpstreamProfile ValueNotRolled { get; } = new(
        DefectCatalogue.Named("v-not-rolled"),
        [.. MaskPolicies.All],
        Ragged: true,
        "S > 0, every row of every shifted head",
        (config, _) => Shifts(config));

    /// <summary>+S instead of -S.</summary>
    public static UpstreamProfile PlusDirectionOdd { get; } = new(
        DefectCatalogue.Named("plus-direction-odd"),
        [.. MaskPolicies.All],
        Ragged: true,
        "S > 0 and 2S != G, shifted heads; not where G = N under PositionCausal or Bidirectional",
        (config, _) => Shifts(config) && 2 * config.Shift != config.GroupSize
            && !(IsOneGroup(config) && config.Mask is MaskPolicy.PositionCausal or MaskPolicy.Bidirectional));

    /// <summary>All profiles.</summary>
    public static ImmutableArray<UpstreamProfile> All { get; } =
    [
        LongLoraOddGroup, LongLoraBatchMask, LongLoraFlashPadding, InGroupUnshift, UnshiftOnly, HeadTokenScramble,
        ShiftAxisHeads, InGroupRotation, KvShiftBeforeRepeat, NoMask, ValueNotRolled, PlusDirectionOdd,
    ];

    /// <summary>Whether some query head has the flag of a shifted head, whatever S is.</summary>
    internal static bool HasShiftedHead(S2Config config) =>
        Enumerable.Range(0, config.Heads).Any(head => config.ShiftedHeads.IsShifted(head, config.Heads));

    internal static bool HasPadding(Tensor<bool> valid) => valid.Elements.Contains(false);

    private static bool Shifts(S2Config config) => config.Shift > 0 && HasShiftedHead(config);

    private static bool SharesKvHead(S2Config config) =>
        Enumerable.Range(0, config.Heads).GroupBy(config.KvHeadOf).Any(heads => heads.Select(config.ShiftOf).Distinct().Count() > 1);

    private static bool IsOneGroup(S2Config config) => config.Tokens == config.GroupSize;
}
