// What does the flash path of LongLoRA's gptneox_attn_replace.py compute?
using S2Attn.Spec;

namespace S2Attn.Reference.Upstream;

/// <summary>o of a group comes back from the varlen kernel as [G, H, D] and is transposed once more before it is joined: rows of a group change places across heads.</summary>
public static class GptNeoxFlash
{
    /// <summary>The profile of the transpose alone, where everything else is right.</summary>
    public static UpstreamProfile Profile { get; } = new(
        "output-not-transposed",
        "o of the groups is transposed once too often before it is joined and rolled back, so the rows of a group change places across heads.",
        "gptneox_attn_replace.py get_forward_function(use_flash_attn=True): attn_output.transpose(1, 2) after _flash_attn_ssa",
        [MaskPolicy.LocalCausal, MaskPolicy.PositionCausal, MaskPolicy.Bidirectional],
        Ragged: false,
        "H > 1 and G > 1",
        (config, _) => config.Heads > 1 && config.GroupSize > 1,
        (config, valid) => Transposed(config, Pipelines.Definition(config, valid)));

    /// <summary>The function: floored shifts for odd G, no padding, and the transpose.</summary>
    public static LongLoraFunction Function { get; } = new(
        "neox-flash",
        "gptneox_attn_replace.py",
        MaskPolicy.LocalCausal,
        (config, valid) => Transposed(config, Pipelines.FlooredForwardShift(config, valid.Map(_ => true))));

    // The memory of a group's [G, H] rows read as [H, G].
    private static Pipeline Transposed(S2Config config, Pipeline pipeline) => pipeline with
    {
        Output = place => pipeline.Output(place) is { } slot ? Moved(config, slot) : null,
    };

    private static Slot Moved(S2Config config, Slot slot)
    {
        int within = slot.Position % config.GroupSize;
        (int head, int position) = Math.DivRem(within * config.Heads + slot.Head, config.GroupSize);
        return slot with { Position = slot.Position - within + position, Head = head };
    }
}
