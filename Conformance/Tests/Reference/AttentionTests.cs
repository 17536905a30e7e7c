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

    /// <summary>Weights 1/4 and 3/4 of v = 2 and 6, in arrays and in lists.</summary>
    [Fact]
    public void A_row_that_a_caller_made_may_hold_any_lists()
    {
        S2Config config = Config(8, 4, MaskPolicy.LocalCausal);
        int[] keys = [2, 6];
        double[] weights = [0.25, 0.75];
        Assert.Equal([5], Attention.OutputRow(config, EqualScores(config), new(keys, weights, 0), 0, 0));
        Assert.Equal([5], Attention.OutputRow(config, EqualScores(config), new(keys.ToList(), weights.ToList(), 0), 0, 0));
    }

    [Fact]
    public void A_wrong_shape_is_named()
    {
        S2Config config = Config(4, 2, MaskPolicy.Split);
        AttentionInput<double> input = EqualScores(config) with { Key = Tensor<double>.Build([1, 3, 2, 1], _ => 0) };
        ArgumentException error = Assert.Throws<ArgumentException>(() => Attention.Forward(config, input));
        Assert.Contains("Key has shape [1,3,2,1]", error.Message, StringComparison.Ordinal);
    }

    /// <summary>docs/semantics.md, "What the scores can be": scale q.k - slope (t - u) over the visible keys, written out, is attention with one more element in each head's vector.</summary>
    [Fact]
    public void A_slope_for_each_head_is_one_more_element_of_its_vectors()
    {
        const int Dim = 3;
        double[] slopes = [0.25, 0.5];
        Random random = new(1);
        S2Config config = S2Config.Create(new() { Tokens = 12, Heads = 2, HeadDim = Dim, GroupSize = GroupSizeRule.Of(4), Mask = MaskPolicy.Split });
        S2Config wider = S2Config.Create(config.ToRequest() with { HeadDim = Dim + 1, Scale = config.Scale });
        Tensor<double> q = Noise(), k = Noise(), v = Noise();
        AttentionOutput<double> o = Attention.Forward(wider, new AttentionInput<double>(Widened(q, (_, h) => slopes[h] / config.Scale), Widened(k, (u, _) => u), Widened(v, (_, _) => 0)));
        for (int h = 0; h < config.Heads; h++)
            for (int t = 0; t < config.Tokens; t++)
            {
                int[] keys = [.. Enumerable.Range(0, config.Tokens).Where(u => Visibility.Visible(config, h, t, u))];
                double[] weights = [.. keys.Select(u => Math.Exp(config.Scale * Enumerable.Range(0, Dim).Sum(d => q[0, t, h, d] * k[0, u, h, d]) - slopes[h] * (t - u)))];
                for (int d = 0; d < Dim; d++)
                    Assert.Equal(keys.Select((u, i) => weights[i] * v[0, u, h, d]).Sum() / weights.Sum(), o.Output[0, t, h, d], 1e-12);
                Assert.Equal(Math.Log(weights.Sum()) + slopes[h] * t, o.LogSumExp[0, t, h], 1e-12);
            }

        Tensor<double> Noise() => Tensor<double>.Build([1, config.Tokens, config.Heads, Dim], _ => 2 * random.NextDouble() - 1);
        Tensor<double> Widened(Tensor<double> tensor, Func<int, int, double> last) => Tensor<double>.Build(
            [1, config.Tokens, config.Heads, Dim + 1],
            i => i % (Dim + 1) < Dim ? tensor.Elements[i / (Dim + 1) * Dim + i % (Dim + 1)] : last(i / (Dim + 1) / config.Heads, i / (Dim + 1) % config.Heads));
    }
}
