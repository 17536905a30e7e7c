// Which small cases do the tests of ports ask?
using S2Attn.Conformance.Ports;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Tests.Ports;

internal static class PortCases
{
    /// <summary>A case with values in (-1, 1) that are numbers of the element type. Where padded, the last key of each sequence is, and a third of the others.</summary>
    public static PortCase Draw(S2Config config, ElementType type, bool backward, bool padded, int seed)
    {
        Random random = new(seed);
        int[] query = [config.Batch, config.Tokens, config.Heads, config.HeadDim], key = [config.Batch, config.Tokens, config.KvHeads, config.HeadDim];
        AttentionInput<double> input = new(
            Values(query), Values(key), Values(key), Tensor<bool>.Build([config.Batch, config.Tokens], at => !padded || ((at + 1) % config.Tokens != 0 && random.Next(3) > 0)));
        return new(config, type, input, backward ? [Values(query)] : []);

        Tensor<double> Values(int[] shape) => Tensor<double>.Build(shape, _ => type.Round((2 * random.NextDouble()) - 1));
    }

    /// <summary>A forward f32 case of one head: group size 4, shift 2, Split.</summary>
    public static PortCase Plain(int tokens) => Draw(
        S2Config.Create(new() { Tokens = tokens, HeadDim = 2, GroupSize = GroupSizeRule.Of(4), Mask = MaskPolicy.Split }), ElementType.F32, false, false, 1);
}
