// Is the backward kernel the transpose of the forward kernel's derivative, on sizes that Reference is too slow for?
using S2Attn.Optimized;
using S2Attn.Spec;

namespace S2Attn.Tests.Optimized;

public sealed class KernelAdjointTests
{
    private const int Tokens = 2048, GroupSize = 512, Heads = 4, KvHeads = 2, HeadDim = 40;

    public static TheoryData<MaskPolicy> Masks() => [.. MaskPolicies.All];

    /// <summary>
    /// With &lt;a, b&gt; the sum of products: o is linear in v, so &lt;o(v'), do&gt; = &lt;v', dv&gt; for any v'; and scaling q or k scales every score alike,
    /// so &lt;q, dq&gt; = &lt;k, dk&gt;, which is also the derivative of &lt;o, do&gt; when the scale grows.
    /// </summary>
    [Theory]
    [MemberData(nameof(Masks))]
    public void Gradients_are_adjoint_to_the_forward_pass(MaskPolicy mask)
    {
        Random random = new(3);
        float[] q = Normal(Heads), k = Normal(KvHeads), v = Normal(KvHeads), otherV = Normal(KvHeads), outputGradient = Normal(Heads);
        byte[] valid = [.. Enumerable.Range(0, Tokens).Select(t => (byte)(t % 11 == 5 ? 0 : 1))];
        double scale = 1 / Math.Sqrt(HeadDim);
        (float[] o, float[] dq, float[] dk, float[] dv) = Run(scale, v);

        double forward = Dot(Run(scale, otherV).Output, outputGradient), backward = Dot(otherV, dv);
        double size = Math.Sqrt(Dot(outputGradient, outputGradient) * Dot(o, o));
        Assert.Equal(0, (forward - backward) / size, 1e-5);
        Assert.Equal(0, (Dot(q, dq) - Dot(k, dk)) / size, 1e-5);

        const double Step = 1e-2;
        double slope = (Dot(Run(scale * (1 + Step), v).Output, outputGradient) - Dot(Run(scale * (1 - Step), v).Output, outputGradient)) / (2 * Step);
        Assert.Equal(0, (slope - Dot(q, dq)) / size, 1e-3);

        (float[] Output, float[] Query, float[] Key, float[] Value) Run(double withScale, float[] values)
        {
            using S2AttentionPlan plan = new(S2Config.Create(new()
            {
                Tokens = Tokens,
                Heads = Heads,
                KvHeads = KvHeads,
                HeadDim = HeadDim,
                GroupSize = GroupSizeRule.Of(GroupSize),
                Mask = mask,
                Scale = withScale,
            }));
            float[] output = new float[q.Length], lse = new float[Tokens * Heads], dQuery = new float[q.Length], dKey = new float[k.Length], dValue = new float[v.Length];
            plan.Forward<float>(q, k, values, output, lse, valid);
            plan.Backward<float>(q, k, values, output, lse, outputGradient, dQuery, dKey, dValue, valid);
            return (output, dQuery, dKey, dValue);
        }

        float[] Normal(int heads) => [.. Enumerable.Range(0, Tokens * heads * HeadDim)
            .Select(_ => (float)(Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble())))];
    }

    private static double Dot(float[] a, float[] b)
    {
        double sum = 0;
        for (int i = 0; i < a.Length; i++)
            sum += (double)a[i] * b[i];
        return sum;
    }
}
