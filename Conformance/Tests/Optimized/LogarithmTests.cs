// Is log2 of a sum of weights what its summary says, for every exponent and on both sides of each border?
using System.Runtime.Intrinsics;
using S2Attn.Optimized.Kernels;

namespace S2Attn.Tests.Optimized;

public sealed class LogarithmTests
{
    // Math.Log2 is itself off by as much as the last bit of a double.
    private static readonly double Least = Math.ScaleB(1, -49) + Math.ScaleB(1, -52);

    [Fact]
    public void Log2_of_every_exponent_is_within_2_to_the_minus_49_of_itself()
    {
        Random random = new(1);
        float[] mantissas = [1, 1.25f, 1.5f, .. Around(1), .. Around(MathF.Sqrt(2)), .. Around(2), .. Enumerable.Range(0, 400).Select(_ => 1 + random.NextSingle())];
        for (int exponent = -149; exponent < 128; exponent++)
            foreach (float[] four in mantissas.Select(mantissa => MathF.ScaleB(mantissa, exponent)).Where(x => x > 0 && float.IsFinite(x)).Chunk(4))
                for (int i = 0; i < four.Length; i++)
                {
                    double exact = Math.Log2(four[i]), log = Of(four[i], four[0], four[^1], four[i])[0];
                    Assert.True(Math.Abs(log - exact) <= Least * Math.Abs(exact), $"log2({four[i]:R}) = {log:R}, not {exact:R}");
                }

        // Numbers next to 1 and their neighbours, where the exponent would swallow what is left if it were counted from 1 on.
        static IEnumerable<float> Around(float x) => [MathF.BitDecrement(MathF.BitDecrement(x)), MathF.BitDecrement(x), x, MathF.BitIncrement(x), MathF.BitIncrement(MathF.BitIncrement(x))];
    }

    [Fact]
    public void Each_of_four_lanes_has_its_own_and_what_is_no_number_stays_it()
    {
        Assert.Equal([double.NegativeInfinity, double.PositiveInfinity, double.NaN, -149], Lanes(Of(0, float.PositiveInfinity, float.NaN, float.Epsilon)));
        Assert.Equal([0, 1, -1, 127], Lanes(Of(1, 2, 0.5f, MathF.ScaleB(1, 127))));
    }

    private static double[] Lanes(Vector256<double> vector) => [vector[0], vector[1], vector[2], vector[3]];

    private static Vector256<double> Of(float a, float b, float c, float d) => Logarithm.Base2(Vector256.Create((double)a, b, c, d));
}
