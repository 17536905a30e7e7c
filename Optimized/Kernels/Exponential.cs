// 2^x for x <= 0, the only transcendental function of the kernel.
using System.Runtime.CompilerServices;

namespace S2Attn.Optimized.Kernels;

/// <summary>
/// 2^x = 2^n 2^r with n the integer nearest to x and r = x - n exact in [-1/2, 1/2]; 2^r is a polynomial of degree 6 with relative error 2.0e-9 before rounding.
/// 2^0 is 1 exactly, 2^-infinity is 0 exactly, results below 2^-126 are 0, and NaN stays NaN.
/// </summary>
internal static class Exponential
{
    /// <summary>1.5 * 2^23 + 127: adding it leaves the nearest integer, plus the bias of an exponent, in the low bits of the mantissa.</summary>
    private const float RoundingBias = 12583039f;

    /// <summary>At this power the scale factor is 0.</summary>
    private const float Lowest = -127f;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V PowerOfTwo<V, TLanes>(V x)
        where V : struct
        where TLanes : struct, ILanes<V>
    {
        // The argument order keeps NaN: x86 returns the second operand.
        x = TLanes.Max(TLanes.Broadcast(Lowest), x);
        V biased = TLanes.Add(x, TLanes.Broadcast(RoundingBias));
        V r = TLanes.Subtract(x, TLanes.Subtract(biased, TLanes.Broadcast(RoundingBias)));
        V p = TLanes.MultiplyAdd(TLanes.Broadcast(0.00015353361959569156f), r, TLanes.Broadcast(0.0013398873852565885f));
        p = TLanes.MultiplyAdd(p, r, TLanes.Broadcast(0.00961843691766262f));
        p = TLanes.MultiplyAdd(p, r, TLanes.Broadcast(0.055503323674201965f));
        p = TLanes.MultiplyAdd(p, r, TLanes.Broadcast(0.24022647738456726f));
        p = TLanes.MultiplyAdd(p, r, TLanes.Broadcast(0.6931471824645996f));
        p = TLanes.MultiplyAdd(p, r, TLanes.Broadcast(1f));
        return TLanes.ScaleByBiasedPower(p, biased);
    }
}
