// Does Reference give the textbook values where they can be computed by hand?
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Tests.Reference;

public sealed class AttentionTests
{
    private static S2Config Config(int tokens, int groupSize, MaskPolicy mask) => S2Config.Create(new S2Request
    {
        Tokens = tokens,
        Heads = 2,
        HeadDim = 1,
        GroupSize = GroupSizeRule.Of(groupSize),
        Mask = mask,
    });

    // Equal scores make every weight 1 / (visible keys); v[u] = u then gives the mean of the visible keys.
    private static AttentionInput<double> EqualScores(S2Config config) => new(
        Tensor<double>.Build([1, config.Tokens, config.Heads, 1], _ => 0),
        Tensor<double>.Build([1, config.Tokens, config.KvHeads, 1], _ => 0),
        Tensor<double>.Build([1, config.Tokens, config.KvHeads, 1], i => i / config.KvHeads));

    [Fact]
    public void Equal_scores_give_the_mean_of_the_visible_keys()
    {
        S2Config config = Config(8, 4, MaskPolicy.LocalCausal);
        AttentionOutput<double> output = Attention.Forward(config, EqualScores(config));
        Assert.Equal(1.5, output.Output[0, 3, 0, 0]);
        Assert.Equal(4.5, output.Output[0, 5, 0, 0]);
        Assert.Equal(6.5, output.Output[0, 7, 1, 0]);
        Assert.Equal((6 + 7 + 0) / 3.0, output.Output[0, 0, 1, 0], 1e-15);
        Assert.Equal(Math.Log(3), output.LogSumExp[0, 0, 1], 1e-15);
    }

    [Fact]
    public void A_row_without_visible_keys_is_zero_with_logsumexp_minus_infinity()
    {
        S2Config config = Config(4, 2, MaskPolicy.Split);
        AttentionInput<double> input = EqualScores(config) with { Valid = Tensor<bool>.Build([1, 4], t => t != 0) };
        AttentionOutput<double> output = Attention.Forward(config, input);
        Assert.Equal(0, output.Output[0, 0, 0, 0]);
        Assert.Equal(double.NegativeInfinity, output.LogSumExp[0, 0, 0]);
    }

    [Fact]
    public void A_wrong_shape_is_named()
    {
        S2Config config = Config(4, 2, MaskPolicy.Split);
        AttentionInput<double> input = EqualScores(config) with { Key = Tensor<double>.Build([1, 3, 2, 1], _ => 0) };
        ArgumentException error = Assert.Throws<ArgumentException>(() => Attention.Forward(config, input));
        Assert.Contains("Key has shape [1,3,2,1]", error.Message, StringComparison.Ordinal);
    }
}
