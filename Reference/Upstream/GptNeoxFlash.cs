// What does the flash path of LongLoRA's gptneox_attn_replace.py compute?
using S2Attn.Spec;

namespace S2Attn.Reference.Upstream;

/// <summary>o of a group comes back from the varlen kernel as [G, H, D] and is transposed once more before it is joined: rows of a group change places across heads.</summary>
public static class GptNeoxFlash
{
    /// <summary>The profile of the transpose alone, where everything else is right.</summary>
    public static UpstreamProfile Profile { get; } = new(
        DefectCatalogue.Named("output-not-transposed"),
        [MaskPolicy.LocalCausal, MaskPolicy.PositionCausal, MaskPolicy.Bidirectional],
        Ragged: false,
        "H > 1 and G > 1",
        (config, _) => config.Heads > 1 && config.GroupSize > 1);

    /// <summary>The function: floored shifts for odd G, no padding, and the transpose.</summary>
    public static LongLoraFunction Function { get; } = new(
        "neox-flash",
        "gptneox_attn_replace.py",
        MaskPolicy.LocalCausal,
        Composition.Of(UpstreamProfiles.LongLoraOddGroup.Defect, Profile.Defect, DefectCatalogue.Named("padding-ignored")));
}
