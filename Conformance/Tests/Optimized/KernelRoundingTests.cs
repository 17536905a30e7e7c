// Do the kernels round where their remarks say they do, and nowhere else?
using S2Attn.Optimized;
using S2Attn.Spec;

namespace S2Attn.Tests.Optimized;

/// <summary>
/// Error bounds leave room for several roundings more; these rows have so few operations that one rounding more is another number. The arithmetic is written in the remarks of
/// ForwardKernel and BackwardKernel.
/// </summary>
public sealed class KernelRoundingTests
{
    /// <summary>One key, or several alike: s = q scale log2 e k in two roundings, and lse = (s + log2 n) ln 2 in double, rounded once.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(7)]
    public void Logsumexp_is_rounded_once(int keys)
    {
        foreach ((float q, float k, float score) in Scores())
        {
            S2Config config = S2Config.Create(new() { Tokens = keys, HeadDim = 1, GroupSize = GroupSizeRule.Of(keys), Mask = MaskPolicy.Bidirectional, Scale = 1 });
            float[] o = new float[keys], lse = new float[keys];
            using S2AttentionPlan plan = new(config, new() { Threads = 1 });
            plan.Forward<float>(Alike(q), Alike(k), Alike(1), o, lse);
            float expected = (float)((score + Math.Log2(keys)) * Math.Log(2));
            Assert.All(lse, value => Assert.Equal(expected, value));

            float[] Alike(float value) => [.. Enumerable.Repeat(value, keys)];
        }
    }

    /// <summary>One key: p = 2^fl(s - fl(lse log2 e)). What lse lost to its rounding is in dv = p do, and no more than that.</summary>
    [Fact]
    public void A_weight_of_the_backward_pass_has_the_roundings_of_its_formula()
    {
        S2Config config = S2Config.Create(new() { Tokens = 1, HeadDim = 1, GroupSize = GroupSizeRule.Of(1), Mask = MaskPolicy.Split, Scale = 1 });
        using S2AttentionPlan plan = new(config, new() { Threads = 1 });
        foreach ((float q, float k, float score) in Scores())
        {
            float[] o = new float[1], lse = new float[1], dq = new float[1], dk = new float[1], dv = new float[1];
            plan.Forward<float>([q], [k], [1], o, lse);
            plan.Backward<float>([q], [k], [1], o, lse, [1], dq, dk, dv);
            float argument = score - (float)(lse[0] * Math.Log2(Math.E));

            // 2^x errs by 1.04e-7 at most, a rounding of an lse of some hundreds by a hundred times as much.
            Assert.Equal(Math.Pow(2, argument), dv[0], 2e-7 * Math.Pow(2, argument));
        }
    }

    // q, k and their score in base 2: q times the mantissa of log2 e, times k, times the power of two, which is exact.
    private static IEnumerable<(float Q, float K, float Score)> Scores()
    {
        Random random = new(1);
        for (int i = 0; i < 400; i++)
        {
            float q = (float)Math.ScaleB((2 * random.NextDouble()) - 1, random.Next(-3, 6)), k = (float)Math.ScaleB((2 * random.NextDouble()) - 1, random.Next(-3, 6));
            yield return (q, k, q * (float)(Math.Log2(Math.E) / 2) * k * 2);
        }
    }
}
