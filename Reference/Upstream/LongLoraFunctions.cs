// What do LongLoRA's functions compute, with all their deviations at once?
using System.Collections.Immutable;
using S2Attn.Spec;

namespace S2Attn.Reference.Upstream;

/// <summary>One of LongLoRA's attention functions (github.com/dvlab-research/LongLoRA, commit d4eb344).</summary>
/// <param name="Name">Its name in golden cases.</param>
/// <param name="File">The upstream file.</param>
/// <param name="Mask">The policy that it follows where it does not deviate.</param>
/// <param name="Composition">What is wrong with it.</param>
public sealed record LongLoraFunction(string Name, string File, MaskPolicy Mask, Composition Composition)
{
    /// <summary>The function's pipeline for sizes and padding.</summary>
    public Pipeline Build(S2Config config, Tensor<bool> valid) => new(config, valid, Composition.Build());

    /// <summary>The profiles that it exhibits for sizes and padding: none where it computes the definition.</summary>
    public ImmutableArray<UpstreamProfile> Defects(S2Config config, Tensor<bool> valid) =>
        [.. Candidates.Where(profile => profile.MayDiffer(config, valid))];

    private IEnumerable<UpstreamProfile> Candidates => Mask is MaskPolicy.Split
        ? [UpstreamProfiles.LongLoraFlashPadding]
        : [UpstreamProfiles.LongLoraOddGroup, UpstreamProfiles.LongLoraBatchMask];
}

/// <summary>The functions whose results are pinned by golden tensors.</summary>
public static class LongLoraFunctions
{
    /// <summary>forward_noflashattn of llama_attn_replace.py.</summary>
    public static LongLoraFunction LlamaEager { get; } = new(
        "llama-eager",
        "llama_attn_replace.py",
        MaskPolicy.LocalCausal,
        Composition.Of(UpstreamProfiles.LongLoraOddGroup.Defect, UpstreamProfiles.LongLoraBatchMask.Defect));

    /// <summary>forward_flashattn of llama_attn_replace.py.</summary>
    public static LongLoraFunction LlamaFlash { get; } = new("llama-flash", "llama_attn_replace.py", MaskPolicy.Split, Composition.Of(UpstreamProfiles.LongLoraFlashPadding.Defect));

    /// <summary>forward_flashattn of llama_attn_replace_sft.py, with the groups of <see cref="GroupSizeRule.LongLoraSft"/>.</summary>
    public static LongLoraFunction SftFlash { get; } = new("sft-flash", "llama_attn_replace_sft.py", MaskPolicy.Split, Composition.Of(UpstreamProfiles.LongLoraFlashPadding.Defect));

    /// <summary>The non-flash path of gptneox_attn_replace.py: as eager llama, but the future's scores are replaced and carry no gradient.</summary>
    public static LongLoraFunction NeoxEager { get; } = new(
        "neox-eager",
        "gptneox_attn_replace.py",
        MaskPolicy.LocalCausal,
        Composition.Of(UpstreamProfiles.LongLoraOddGroup.Defect, NeoxBatchMask));

    private static Defect NeoxBatchMask => UpstreamProfiles.LongLoraBatchMask.Defect with
    {
        Apply = stages => UpstreamProfiles.LongLoraBatchMask.Defect.Apply(stages) with
        {
            Hide = (future, padded) => future && padded ? PairMask.Hidden : future ? PairMask.Replaced : PairMask.Lowered,
        },
    };

    /// <summary>All four.</summary>
    public static ImmutableArray<LongLoraFunction> All { get; } = [LlamaEager, LlamaFlash, SftFlash, NeoxEager];
}
