// Has a query the same bits wherever a block of the kernel puts it: in a whole panel, in half of one, or alone in a row?
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using S2Attn.Conformance.Cases;
using S2Attn.Optimized;
using S2Attn.Optimized.Kernels;
using S2Attn.Spec;

namespace S2Attn.Tests.Optimized;

public sealed unsafe class LoneQueryTests
{
    private const int Heads = 2, HeadDim = 40, Row = Heads * HeadDim;

    /// <summary>Two tiles of keys, and queries from each token of two panels to the last one: the block starts anew at each, and what is left for its end is every number of lanes.</summary>
    [Theory]
    [MemberData(nameof(ExponentialTests.Widths), MemberType = typeof(ExponentialTests))]
    public void A_query_has_the_same_bits_in_a_panel_in_half_of_one_and_alone(VectorWidth width)
    {
        KernelTiles tiles = KernelTiles.Of(HeadDim, width);
        int tokens = tiles.Keys + tiles.PanelQueries + 1;
        S2AttentionOptions options = new() { VectorWidth = width, Threads = 1 };
        Random random = new(3);
        foreach (MaskPolicy mask in new[] { MaskPolicy.LocalCausal, MaskPolicy.Bidirectional })
            foreach (double scale in new[] { 0.16, 300.0 })
                foreach (bool isPadded in new[] { false, true })
                {
                    S2Config config = S2Config.Create(new S2Request { Tokens = tokens, Heads = Heads, HeadDim = HeadDim, GroupSize = GroupSizeRule.Of(tokens), Shift = 0, Mask = mask, Scale = scale });
                    float[] q = Normal(random, tokens), k = Normal(random, tokens), v = Normal(random, tokens), o = new float[tokens * Row], lse = new float[tokens * Heads];
                    byte[] valid = [.. Enumerable.Range(0, isPadded ? tokens : 0).Select(_ => (byte)random.Next(2))];
                    using S2AttentionPlan whole = new(config, options);
                    whole.Forward<float>(q, k, v, o, lse, valid);
                    for (int first = tokens - 2 * tiles.PanelQueries - 1; first < tokens; first++)
                    {
                        float[] part = new float[(tokens - first) * Row], logs = new float[(tokens - first) * Heads];
                        using S2AttentionPlan plan = S2AttentionPlan.OfSlice(S2Slice.Create(config, new() { FirstQuery = first, EndQuery = tokens, FirstKey = 0, EndKey = tokens }), options);
                        plan.Forward<float>(q.AsSpan(first * Row), k, v, part, logs, valid);
                        Assert.True(AreSame(part, o.AsSpan(first * Row)) && AreSame(logs, lse.AsSpan(first * Heads)), $"{mask}, scale {scale}, padded {isPadded}: queries from {first} of {tokens}");
                    }
                }
    }

    /// <summary>lse = (m + log2 l) ln 2 in double, rounded once, and 1 / l, for every exponent of l and for what is no ordinary number: each query by itself, and four at a time.</summary>
    [Fact]
    public void The_end_of_a_softmax_is_that_of_double_rounded_once()
    {
        Random random = new(4);
        float[] sums =
        [
            0, float.Epsilon, 1e-40f, 1, float.MaxValue, float.PositiveInfinity, float.NaN,
            .. Enumerable.Range(-126, 254).SelectMany(exponent => Enumerable.Range(0, 9).Select(_ => MathF.ScaleB(1 + random.NextSingle(), exponent))),
        ];
        foreach (float max in new[] { float.NegativeInfinity, -4097.3f, -0.625f, 0, 11.7f, 3e30f })
        {
            float[] maxima = [.. Enumerable.Repeat(max, sums.Length + 3)], padded = [.. sums, 1, 1, 1], inverse = new float[padded.Length], lse = new float[padded.Length];
            fixed (float* m = maxima, l = padded, i = inverse, s = lse)
                Panel<Vector128<float>, Lanes128>.Finish(new(m, padded.Length), new(l, padded.Length), sums.Length, new(i, padded.Length), new(s, padded.Length));
            for (int at = 0; at < sums.Length; at++)
            {
                double exact = (max + Math.Log2(sums[at])) * Math.Log(2), error = Math.Abs(lse[at] - exact), ulp = MathF.BitIncrement(Math.Abs(lse[at])) - Math.Abs(lse[at]);
                Assert.True(double.IsFinite(exact) ? error <= 0.5001 * ulp + 1e-15 * (Math.Abs(max) + 128) : lse[at].Equals((float)exact), $"m = {max}, l = {sums[at]}: {lse[at]}, not {exact}");
                Assert.Equal(sums[at] == 0 ? 0 : 1 / sums[at], inverse[at]);
            }
        }
    }

    private static float[] Normal(Random random, int tokens) => [.. Enumerable.Range(0, tokens * Row).Select(_ => (float)(random.NextDouble() + random.NextDouble() - 1))];

    private static bool AreSame(ReadOnlySpan<float> a, ReadOnlySpan<float> b) => MemoryMarshal.AsBytes(a).SequenceEqual(MemoryMarshal.AsBytes(b));
}
