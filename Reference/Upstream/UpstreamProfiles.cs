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
    private const string PublicPorts = "seen in public ports";

    private static readonly ImmutableArray<MaskPolicy> WholeGroups = [MaskPolicy.LocalCausal, MaskPolicy.PositionCausal, MaskPolicy.Bidirectional];

    /// <summary>-G // 2 floors.</summary>
    public static UpstreamProfile LongLoraOddGroup { get; } = new(
        "longlora-odd-group",
        "For odd G the forward roll is one longer than the roll back (Python's -G//2 floors), so row t of a shifted head is row t+1's.",
        "llama_attn_replace.py and llama_attn_replace_sft.py forward_noflashattn, gptneox_attn_replace.py get_forward_function: shift()",
        [MaskPolicy.LocalCausal],
        Ragged: false,
        "odd G, every row of every shifted head",
        (config, _) => config.GroupSize % 2 == 1 && config.Tokens > 1 && HasShiftedHead(config),
        Pipelines.FlooredForwardShift);

    /// <summary>One mask block for all groups and, in another order than theirs, all batch entries.</summary>
    public static UpstreamProfile LongLoraBatchMask { get; } = new(
        "longlora-batch-mask",
        "The first G x G block of the padding mask serves every group, repeated as b0,b1,b0,b1,... while groups are ordered by batch entry; "
            + "a row left without a key averages what one of the masks alone hides.",
        "llama_attn_replace.py and llama_attn_replace_sft.py forward_noflashattn: attention_mask[:, :, :G, :G].repeat(num_group, 1, 1, 1)",
        [MaskPolicy.LocalCausal],
        Ragged: false,
        "with padding",
        (_, valid) => HasPadding(valid),
        (config, valid) => Pipelines.TiledMaskBlock(config, valid, futureIsReplaced: false, flooredForwardShift: false));

    /// <summary>Rows are packed by another row's mask.</summary>
    public static UpstreamProfile LongLoraFlashPadding { get; } = new(
        "longlora-flash-padding",
        "key_padding_mask.repeat(2, 1) is ordered (half, batch) but the tensor (batch, half), so a row is packed by another entry's mask; "
            + "groups are counted in packed tokens, and rows that are not packed are 0.",
        "llama_attn_replace.py and llama_attn_replace_sft.py forward_flashattn: unpad_input and cu_q_lens",
        [MaskPolicy.Split],
        Ragged: true,
        "with padding",
        (_, valid) => HasPadding(valid),
        Pipelines.PackedByOtherMask);

    /// <summary>The un-shift rolls inside each group.</summary>
    public static UpstreamProfile InGroupUnshift { get; } = new(
        "ingroup-unshift",
        "The roll back turns inside each group (a reshape whose result was discarded), so rows t with t mod G < S of a shifted head are another token's.",
        PublicPorts,
        [.. MaskPolicies.All],
        Ragged: true,
        "more than one group, rows t mod G < S of every shifted head",
        (config, _) => Shifts(config) && config.Tokens > config.GroupSize,
        Pipelines.UnshiftInsideGroups);

    /// <summary>Un-shift without shift.</summary>
    public static UpstreamProfile UnshiftOnly { get; } = new(
        "unshift-only",
        "Nothing is rolled forward, yet the result is rolled back.",
        PublicPorts,
        [.. MaskPolicies.All],
        Ragged: true,
        "S > 0, every row of every shifted head",
        (config, _) => Shifts(config),
        Pipelines.UnshiftOnly);

    /// <summary>Heads taken for tokens.</summary>
    public static UpstreamProfile HeadTokenScramble { get; } = new(
        "head-token-scramble",
        "[B,H,N,D] is reshaped to [B N/G, G, H, D] without a transpose, so heads and tokens mix.",
        PublicPorts,
        WholeGroups,
        Ragged: false,
        "H > 1 and N > 1",
        (config, _) => config.Heads > 1 && config.Tokens > 1,
        Pipelines.HeadsForTokens);

    /// <summary>Un-shift by H / 2.</summary>
    public static UpstreamProfile ShiftAxisHeads { get; } = new(
        "shift-axis-heads",
        "The roll back goes by H/2 tokens instead of S.",
        PublicPorts,
        WholeGroups,
        Ragged: false,
        "H/2 and S differ modulo N, every row of every shifted head",
        (config, _) => HasShiftedHead(config) && (config.Heads / 2 - config.Shift) % config.Tokens != 0,
        Pipelines.UnshiftByHeads);

    /// <summary>No information crosses groups.</summary>
    public static UpstreamProfile InGroupRotation { get; } = new(
        "ingroup-rotation",
        "Tokens are rotated inside their own group, forward and back, so no information crosses groups.",
        PublicPorts,
        WholeGroups,
        Ragged: false,
        "more than one group and S > 0, shifted heads",
        (config, _) => Shifts(config) && config.Tokens > config.GroupSize,
        Pipelines.RotateInsideGroups);

    /// <summary>The shift belongs to kv heads.</summary>
    public static UpstreamProfile KvShiftBeforeRepeat { get; } = new(
        "kv-shift-before-repeat",
        "k and v are rolled for each kv head before they are repeated, so a kv head that shifted and unshifted query heads share is read rolled by both.",
        PublicPorts,
        [.. MaskPolicies.All],
        Ragged: true,
        "S > 0 and a kv head is shared by shifted and unshifted query heads (K odd or 1 under the second-half rule), the unshifted heads that share it; "
            + "not where such a head sees all N tokens without order",
        (config, _) => Shifts(config) && SharesKvHead(config) && !(IsOneGroup(config) && !config.Mask.IsCausal()),
        Pipelines.ShiftKvHeads);

    /// <summary>No causal mask.</summary>
    public static UpstreamProfile NoMask { get; } = new(
        "no-mask",
        "Groups are right, but no causal mask is applied.",
        PublicPorts,
        [.. MaskPolicies.All.Where(mask => mask.IsCausal())],
        Ragged: true,
        "G > 1",
        (config, _) => config.GroupSize > 1,
        Pipelines.WithoutMask);

    /// <summary>v is not rolled.</summary>
    public static UpstreamProfile ValueNotRolled { get; } = new(
        "v-not-rolled",
        "q and k are rolled, v is not.",
        PublicPorts,
        [.. MaskPolicies.All],
        Ragged: true,
        "S > 0, every row of every shifted head",
        (config, _) => Shifts(config),
        Pipelines.ValuesInPlace);

    /// <summary>+S instead of -S.</summary>
    public static UpstreamProfile PlusDirectionOdd { get; } = new(
        "plus-direction-odd",
        "The roll goes by +S and back by -S: the same visibility where 2S = G, so only an odd G (or another S) shows it.",
        PublicPorts,
        [.. MaskPolicies.All],
        Ragged: true,
        "S > 0 and 2S != G, shifted heads; not where G = N under PositionCausal or Bidirectional",
        (config, _) => Shifts(config) && 2 * config.Shift != config.GroupSize
            && !(IsOneGroup(config) && config.Mask is MaskPolicy.PositionCausal or MaskPolicy.Bidirectional),
        Pipelines.ShiftForward);

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
