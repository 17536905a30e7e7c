// What is log2 of the sums of a softmax, four at a time, from the first call on?
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace S2Attn.Optimized.Kernels;

/// <summary>
/// log2 in double for what was f32. With x = 2^e m and m in [sqrt(1/2), sqrt 2), log2 x = e + 2 artanh(f) / ln 2 where f = (m - 1) / (m + 1), of which abs(f) &lt; 0.172: ten terms of its series
/// leave out less than 2^-54 of it, and with their roundings the result is within 2^-49 of itself. The library's own is compiled slow first and called, not inlined.
/// </summary>
internal static class Logarithm
{
    private const long MantissaBits = (1L << 52) - 1, BitsOfOne = 1023L << 52, BitsOfHalfRoot = 0x3FE6A09E667F3BCD;

    // 2^52, whose last bit counts ones: an integer below it stands in its mantissa as it is.
    private const long BitsOfWhole = 1075L << 52;
    private const double Whole = 1L << 52, Bias = 1023, TwoOverLn2 = 2.88539008177792681;

    /// <summary>log2 of four numbers that are not negative; -infinity of 0, and infinity and NaN of themselves.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<double> Base2(Vector256<double> x)
    {
        // The exponent field counts from sqrt(1/2) on, not from 1, so that logarithms near 0 lose nothing to the exponent.
        Vector256<long> shifted = x.AsInt64() + Vector256.Create(BitsOfOne - BitsOfHalfRoot);
        Vector256<double> exponent = (Vector256.ShiftRightLogical(shifted, 52) | Vector256.Create(BitsOfWhole)).AsDouble() - Vector256.Create(Whole + Bias);
        Vector256<double> m = ((shifted & Vector256.Create(MantissaBits)) + Vector256.Create(BitsOfHalfRoot)).AsDouble();
        Vector256<double> f = (m - Vector256<double>.One) / (m + Vector256<double>.One), t = f * f;
        Vector256<double> series = Vector256.Create(TwoOverLn2 / 19);
        series = Vector256.MultiplyAddEstimate(series, t, Vector256.Create(TwoOverLn2 / 17));
        series = Vector256.MultiplyAddEstimate(series, t, Vector256.Create(TwoOverLn2 / 15));
        series = Vector256.MultiplyAddEstimate(series, t, Vector256.Create(TwoOverLn2 / 13));
        series = Vector256.MultiplyAddEstimate(series, t, Vector256.Create(TwoOverLn2 / 11));
        series = Vector256.MultiplyAddEstimate(series, t, Vector256.Create(TwoOverLn2 / 9));
        series = Vector256.MultiplyAddEstimate(series, t, Vector256.Create(TwoOverLn2 / 7));
        series = Vector256.MultiplyAddEstimate(series, t, Vector256.Create(TwoOverLn2 / 5));
        series = Vector256.MultiplyAddEstimate(series, t, Vector256.Create(TwoOverLn2 / 3));
        series = Vector256.MultiplyAddEstimate(series, t, Vector256.Create(TwoOverLn2));
        Vector256<double> finite = Vector256.MultiplyAddEstimate(series, f, exponent);
        Vector256<double> infinity = Vector256.Create(double.PositiveInfinity);
        Vector256<double> other = Vector256.ConditionalSelect(Vector256.Equals(x, Vector256<double>.Zero), -infinity, x);
        return Vector256.ConditionalSelect(Vector256.GreaterThan(x, Vector256<double>.Zero) & Vector256.LessThan(x, infinity), finite, other);
    }
}
