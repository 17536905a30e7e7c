// Are the decoder's products right at every size, and the same bits wherever a sum lies?
using S2Attn.Experiments.Numerics;

namespace S2Attn.Tests.Experiments;

public sealed class ProductTests
{
    [Theory]
    [InlineData(1, 1, 1)]
    [InlineData(6, 16, 16)]
    [InlineData(7, 5, 17)]
    [InlineData(13, 257, 24)]
    [InlineData(64, 600, 40)]
    [InlineData(5, 0, 16)]
    public void A_product_is_that_of_double_within_its_rounding(int m, int k, int n)
    {
        float[] a = Drawn(m * k, 1), b = Drawn(k * n, 2), c = Drawn(m * n, 3), transposed = new float[m * k];
        Product.Transpose(a, transposed, m, k);
        foreach (bool accumulate in new[] { false, true })
            foreach (bool isTransposed in new[] { false, true })
            {
                float[] result = [.. c];
                if (isTransposed)
                    Product.MultiplyTransposed(transposed, b, result, m, k, n, accumulate);
                else
                    Product.Multiply(a, b, result, m, k, n, accumulate);
                for (int i = 0; i < m; i++)
                    for (int j = 0; j < n; j++)
                    {
                        double sum = accumulate ? c[i * n + j] : 0, size = Math.Abs(sum);
                        for (int p = 0; p < k; p++)
                        {
                            sum += (double)a[i * k + p] * b[p * n + j];
                            size += Math.Abs((double)a[i * k + p] * b[p * n + j]);
                        }

                        Assert.InRange(result[i * n + j], sum - (k + 1) * size * 6e-8, sum + (k + 1) * size * 6e-8);
                    }
            }
    }

    [Fact]
    public void A_sum_has_the_same_bits_in_every_block()
    {
        const int M = 9, K = 300, N = 51;
        float[] a = Drawn(M * K, 1), b = Drawn(K * N, 2), whole = new float[M * N], one = new float[1];
        Product.Multiply(a, b, whole, M, K, N);
        for (int i = 0; i < M; i++)
            for (int j = 0; j < N; j++)
            {
                float[] column = [.. Enumerable.Range(0, K).Select(p => b[p * N + j])];
                Product.Multiply(a.AsSpan(i * K, K), column, one, 1, K, 1);
                Assert.Equal(BitConverter.SingleToUInt32Bits(whole[i * N + j]), BitConverter.SingleToUInt32Bits(one[0]));
            }
    }

    [Fact]
    public void A_span_that_is_too_short_is_refused_before_anything_is_written() =>
        Assert.Contains("[2,3] x [3,4]", Assert.Throws<ArgumentException>(() => Product.Multiply(new float[6], new float[11], new float[8], 2, 3, 4)).Message);

    [Fact]
    public void The_exponential_is_within_its_error_of_double()
    {
        for (int i = 0; i < 20_000; i++)
        {
            float x = -i * 0.004f;
            double exact = Math.Exp(x), relative = Math.Abs(Rows.Exp(System.Runtime.Intrinsics.Vector256.Create(x))[3] / exact - 1);
            Assert.True(relative < 2e-7, $"e^{x}: {relative}");
        }
    }

    private static float[] Drawn(int count, long seed)
    {
        Randomness random = new(seed);
        return [.. Enumerable.Range(0, count).Select(_ => random.NextSigned())];
    }
}
