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

    /// <summary>
    /// A half of sixteen sums of 512 bits: for registers a, b, c and d of one row and of another, what <see cref="Joined"/> makes (a, b, c, d) of each of. The additions of <see cref="Sums{V}"/>, in its order, for
    /// four registers at once: every one of them fills its register.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Halves<V>(V a, V b, V c, V d, V e, V f, V g, V h)
        where V : struct
    {
        Vector512<float> first = Quarters(a, b, c, d), second = Quarters(e, f, g, h);
        return Avx512F.Shuffle(first, second, 0b01_00_01_00) + Avx512F.Shuffle(first, second, 0b11_10_11_10);
    }

    /// <summary>The sums of four registers of each of four rows, one row behind the other, from <see cref="Halves{V}"/> of two rows each.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Joined(Vector512<float> first, Vector512<float> second)
    {
        Vector512<float> sums = Avx512F.Shuffle4x128(first, second, 0b10_00_10_00) + Avx512F.Shuffle4x128(first, second, 0b11_01_11_01);
        return Avx512F.PermuteVar8x64(sums.AsDouble(), Vector512.Create(0L, 2, 1, 3, 4, 6, 5, 7)).AsSingle();
    }

    // In the lower half (a, b) twice, in the upper (c, d): each the sum of its lanes l, l + 2, l + 8 and l + 10.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Quarters<V>(V a, V b, V c, V d)
        where V : struct
    {
        Vector512<float> ac = Pair(a, c), bd = Pair(b, d);
        return Avx512F.UnpackLow(ac, bd) + Avx512F.UnpackHigh(ac, bd);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static Vector512<float> Pair(V x, V y)
        {
            Vector512<float> low = Unsafe.BitCast<V, Vector512<float>>(x), high = Unsafe.BitCast<V, Vector512<float>>(y);
            return Vector512.ConditionalSelect(Vector512.Create(0, 0, 0, 0, 0, 0, 0, 0, -1, -1, -1, -1, -1, -1, -1, -1).AsSingle(), high, low) + Avx512F.Shuffle4x128(low, high, 0b01_00_11_10);
        }
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
