// How does a test write down one case?
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Spec;

namespace S2Attn.Tests;

internal static class Cases
{
    /// <summary>A case by its sizes; S is half of G and the second half of the heads shifts unless said otherwise. Padded keys hold NaN.</summary>
    public static AttentionCase Of(
        int tokens, int groupSize, MaskPolicy mask, int? shift = null, int batch = 1, int heads = 1, int? kvHeads = null, int headDim = 8, HeadShift? shifted = null,
        ElementType type = ElementType.F32, TensorKind kind = TensorKind.Normal, PaddingPattern padding = PaddingPattern.None, int seed = 0) => new(
        S2Config.Create(new()
        {
            Batch = batch,
            Tokens = tokens,
            Heads = heads,
            KvHeads = kvHeads,
            HeadDim = headDim,
            GroupSize = GroupSizeRule.Of(groupSize),
            Shift = shift,
            Mask = mask,
            ShiftedHeads = shifted ?? HeadShift.SecondHalf,
        }),
        type, kind, padding, seed)
        {
            PadsAreNaN = padding is not PaddingPattern.None,
        };
}
