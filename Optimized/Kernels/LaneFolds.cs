// What is the sum, or the greatest, of a register's lanes? For what has keys in lanes, where there is one row and no panel of them.
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace S2Attn.Optimized.Kernels;

/// <summary>Operations across lanes, for every width: folded to 128 bits first.</summary>
internal static class LaneFolds
{
    /// <summary>The sum of the lanes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum<V>(V x)
        where V : struct
        => Vector128.Sum(Halved(x));

    /// <summary>The greatest lane; NaN where one is NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Max<V>(V x)
        where V : struct
    {
        Vector128<float> four;
        if (typeof(V) == typeof(Vector512<float>))
        {
            Vector512<float> wide = Unsafe.BitCast<V, Vector512<float>>(x);
            Vector256<float> half = Vector256.Max(wide.GetLower(), wide.GetUpper());
            four = Vector128.Max(half.GetLower(), half.GetUpper());
        }
        else if (typeof(V) == typeof(Vector256<float>))
        {
            Vector256<float> half = Unsafe.BitCast<V, Vector256<float>>(x);
            four = Vector128.Max(half.GetLower(), half.GetUpper());
        }
        else
        {
            four = Unsafe.BitCast<V, Vector128<float>>(x);
        }

        four = Vector128.Max(four, Vector128.Shuffle(four, Vector128.Create(2, 3, 0, 1)));
        return Vector128.Max(four, Vector128.Shuffle(four, Vector128.Create(1, 0, 3, 2))).ToScalar();
    }

    /// <summary>(sum of a, sum of b, sum of c, sum of d).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Sums<V>(V a, V b, V c, V d)
        where V : struct
    {
        if (typeof(V) == typeof(Vector512<float>))
        {
            return Sums(Half(a), Half(b), Half(c), Half(d));

            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            static Vector256<float> Half(V x)
            {
                Vector512<float> wide = Unsafe.BitCast<V, Vector512<float>>(x);
                return wide.GetLower() + wide.GetUpper();
            }
        }

        if (typeof(V) == typeof(Vector256<float>) && Avx.IsSupported)
        {
            // By pairs of registers, for each of two halves at once: adding within a register takes more instructions.
            Vector256<float> a8 = Unsafe.BitCast<V, Vector256<float>>(a), b8 = Unsafe.BitCast<V, Vector256<float>>(b);
            Vector256<float> c8 = Unsafe.BitCast<V, Vector256<float>>(c), d8 = Unsafe.BitCast<V, Vector256<float>>(d);
            Vector256<float> ab = Avx.UnpackLow(a8, b8) + Avx.UnpackHigh(a8, b8), cd = Avx.UnpackLow(c8, d8) + Avx.UnpackHigh(c8, d8);
            Vector256<float> all = Avx.Shuffle(ab, cd, 0b01_00_01_00) + Avx.Shuffle(ab, cd, 0b11_10_11_10);
            return all.GetLower() + all.GetUpper();
        }

        Vector128<float> a4 = Halved(a), b4 = Halved(b), c4 = Halved(c), d4 = Halved(d);
        return Sse3.IsSupported ? Sse3.HorizontalAdd(Sse3.HorizontalAdd(a4, b4), Sse3.HorizontalAdd(c4, d4))
            : AdvSimd.Arm64.IsSupported ? AdvSimd.Arm64.AddPairwise(AdvSimd.Arm64.AddPairwise(a4, b4), AdvSimd.Arm64.AddPairwise(c4, d4))
            : Vector128.Create(Vector128.Sum(a4), Vector128.Sum(b4), Vector128.Sum(c4), Vector128.Sum(d4));
    }

    // Sums of halves, down to four lanes.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> Halved<V>(V x)
        where V : struct
    {
        if (typeof(V) == typeof(Vector512<float>))
        {
            Vector512<float> wide = Unsafe.BitCast<V, Vector512<float>>(x);
            Vector256<float> half = wide.GetLower() + wide.GetUpper();
            return half.GetLower() + half.GetUpper();
        }

        if (typeof(V) == typeof(Vector256<float>))
        {
            Vector256<float> half = Unsafe.BitCast<V, Vector256<float>>(x);
            return half.GetLower() + half.GetUpper();
        }

        return Unsafe.BitCast<V, Vector128<float>>(x);
    }
}
