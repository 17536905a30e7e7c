// Is every stored number widened and narrowed bit for bit as scalar code does it, in every lane and on every width?
using System.Runtime.Intrinsics;
using S2Attn.Optimized;
using S2Attn.Optimized.Kernels;
using S2Attn.Spec;

namespace S2Attn.Tests.Optimized;

public sealed unsafe class ConversionTests
{
    private const int Count = 65536;

    /// <summary>Offsets move every value through every lane, and leave it to the loop behind the vectors.</summary>
    private static readonly int[] Starts = [0, 1, 2, 3, 5, 7, 8, 11, 15];

    [Fact]
    public void All_65536_halves_widen_exactly() => Widens<Half, HalfStorage>(bits => BitConverter.UInt16BitsToHalf(bits), ExactHalf);

    [Fact]
    public void All_65536_bfloat16_widen_exactly() => Widens<BFloat16, BFloat16Storage>(bits => new BFloat16(bits), bits => BitConverter.UInt32BitsToSingle((uint)bits << 16));

    /// <summary>Behind the last whole register, and in rows shorter than one: every number alone, and as the last of three and of nine.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(9)]
    public void Every_number_widens_exactly_behind_the_last_register(int count)
    {
        Tails<Half, HalfStorage>(bits => BitConverter.UInt16BitsToHalf(bits), ExactHalf);
        Tails<BFloat16, BFloat16Storage>(bits => new BFloat16(bits), bits => BitConverter.UInt32BitsToSingle((uint)bits << 16));

        void Tails<T, TStorage>(Func<ushort, T> of, Func<ushort, float> expected)
            where T : unmanaged
            where TStorage : struct, IStorage<T>
        {
            T* source = stackalloc T[count];
            float* target = stackalloc float[count];
            for (int bits = 0; bits < Count; bits++)
            {
                for (int i = 0; i < count; i++)
                    source[i] = of((ushort)bits);
                TStorage.Widen<Vector128<float>, Lanes128>(new(source, count), new(target, count), count);
                Same(expected((ushort)bits), target[count - 1], $"{typeof(T).Name} {bits:x4}, the last of {count}");
                if (Vector256.IsHardwareAccelerated)
                    TStorage.Widen<Vector256<float>, Lanes256>(new(source, count), new(target, count), count);
                Same(expected((ushort)bits), target[count - 1], $"{typeof(T).Name} {bits:x4}, the last of {count}, 256 bits");
            }
        }
    }

    /// <summary>A decode step takes two registers at a time, of bfloat16 those at even places and those at odd ones: put together again they are the row.</summary>
    [Fact]
    public void Every_number_widens_exactly_in_a_pair_of_registers()
    {
        Pairs<float, SingleStorage>(bits => BitConverter.UInt32BitsToSingle((uint)bits << 16 | 1), bits => BitConverter.UInt32BitsToSingle((uint)bits << 16 | 1));
        Pairs<Half, HalfStorage>(bits => BitConverter.UInt16BitsToHalf(bits), ExactHalf);
        Pairs<BFloat16, BFloat16Storage>(bits => new BFloat16(bits), bits => BitConverter.UInt32BitsToSingle((uint)bits << 16));

        void Pairs<T, TStorage>(Func<ushort, T> of, Func<ushort, float> expected)
            where T : unmanaged
            where TStorage : struct, IStorage<T>
        {
            T[] all = [.. Enumerable.Range(0, 2 * Count).Select(i => of((ushort)i))];
            foreach (int start in Starts)
            {
                Check<Vector128<float>, Lanes128>(start);
                if (Vector256.IsHardwareAccelerated)
                    Check<Vector256<float>, Lanes256>(start);
                if (Vector512.IsHardwareAccelerated)
                    Check<Vector512<float>, Lanes512>(start);
            }

            void Check<V, TLanes>(int start)
                where V : struct
                where TLanes : struct, ILanes<V>
            {
                float[] wide = new float[Count], row = new float[Count];
                fixed (T* source = &all[start])
                fixed (float* pairs = wide)
                fixed (float* target = row)
                {
                    Packing.Pairs<T, TStorage, V, TLanes>(new(source, Count), new(pairs, Count), Count);
                    if (TStorage.PairsByParity)
                        Packing.Interleave(new(pairs, Count), new(target, Count), TLanes.Count, Count);
                    else
                        wide.CopyTo(row, 0);
                }

                for (int i = 0; i < Count; i++)
                    Same(expected((ushort)(start + i)), row[i], $"{typeof(T).Name} {(ushort)(start + i):x4} from {start} in pairs of {TLanes.Count}");
            }
        }
    }

    /// <summary>Rows are widened as if all in them were finite, and again where that was not so: every number beside its neighbours, and each infinity and NaN alone in a row, at every place.</summary>
    [Theory]
    [InlineData(1, false)]
    [InlineData(1031, false)]
    [InlineData(1, true)]
    public void Every_number_widens_exactly_in_a_row(int step, bool alone)
    {
        const int Width = 64, Special = 0x7c00, Specials = 1024;
        Half[] numbers = [.. Enumerable.Range(0, Count).Select(i => BitConverter.UInt16BitsToHalf(alone ? i % Width == i / Width % Width ? (ushort)(Special + (i / Width % Specials)) : (ushort)(i % Special) : (ushort)(i * step)))];
        Check<Vector128<float>, Lanes128>();
        if (Vector256.IsHardwareAccelerated)
            Check<Vector256<float>, Lanes256>();
        if (Vector512.IsHardwareAccelerated)
            Check<Vector512<float>, Lanes512>();

        void Check<V, TLanes>()
            where V : struct
            where TLanes : struct, ILanes<V>
        {
            float[] wide = new float[Count];
            fixed (Half* source = numbers)
            fixed (float* target = wide)
                Packing.Rows<Half, HalfStorage, V, TLanes>(new Rows<Half>(source, TensorStrides.Dense(TensorLayout.TokenMajor, Count / Width, 1, Width), Width), 0, 0, Count / Width, 0, default, new(target, Count), Width, Width, Width);
            for (int i = 0; i < Count; i++)
                Same(ExactHalf(BitConverter.HalfToUInt16Bits(numbers[i])), wide[i], $"{BitConverter.HalfToUInt16Bits(numbers[i]):x4} at {i % Width} of a row, {TLanes.Count} lanes");
        }
    }

    private static void Widens<T, TStorage>(Func<ushort, T> of, Func<ushort, float> expected)
        where T : unmanaged
        where TStorage : struct, IStorage<T>
    {
        T[] all = [.. Enumerable.Range(0, Count).Select(bits => of((ushort)bits))];
        float[] wide = new float[Count];
        foreach (int start in Starts)
        {
            Check((source, target, count) => TStorage.Widen<Vector128<float>, Lanes128>(new((T*)source, count), new((float*)target, count), count));
            if (Vector256.IsHardwareAccelerated)
                Check((source, target, count) => TStorage.Widen<Vector256<float>, Lanes256>(new((T*)source, count), new((float*)target, count), count));
            if (Vector512.IsHardwareAccelerated)
                Check((source, target, count) => TStorage.Widen<Vector512<float>, Lanes512>(new((T*)source, count), new((float*)target, count), count));

            void Check(Action<nint, nint, int> widen)
            {
                Array.Fill(wide, 7);
                fixed (T* source = all)
                fixed (float* target = wide)
                    widen((nint)(source + start), (nint)(target + start), Count - start);
                for (int i = start; i < Count; i++)
                    Same(expected((ushort)i), wide[i], $"{typeof(T).Name} {i:x4} from {start}");
            }
        }
    }

    /// <summary>Every bf16 and its neighbours in f32: the tie in the middle, one less, one more; ties go to the even one.</summary>
    [Fact]
    public void Narrowing_to_bfloat16_rounds_to_nearest_ties_to_even() => Narrows<BFloat16, BFloat16Storage>(
        upper => [(uint)upper << 16, ((uint)upper << 16) | 0x7fff, ((uint)upper << 16) | 0x8000, ((uint)upper << 16) | 0x8001, ((uint)upper << 16) | 0xffff, ((uint)upper << 16) | 1],
        NearestBFloat16, value => value.Bits, value => ((BFloat16)value).Bits);

    /// <summary>The same of binary16: 13 bits are dropped, and results below its normal range lose more.</summary>
    [Fact]
    public void Narrowing_to_half_rounds_to_nearest_ties_to_even() => Narrows<Half, HalfStorage>(
        bits =>
        {
            uint exact = BitConverter.SingleToUInt32Bits(ExactHalf((ushort)bits)), next = BitConverter.SingleToUInt32Bits(ExactHalf((ushort)(bits + 1)));
            uint middle = (uint)(((long)exact + next) / 2);

            // The last number has no next one: from 65520 on, half way to where it would be, is infinity.
            const uint FromInfinity = 0x477FF000;
            return (bits & 0x7fff) == 0x7bff
                ? [.. new[] { exact, exact + 1, FromInfinity - 1, FromInfinity, FromInfinity + 1 }.Select(value => value | (exact & 0x80000000))]
                : [exact, middle, middle - 1, middle + 1];
        },
        value => BitConverter.HalfToUInt16Bits(NearestHalf(value)), BitConverter.HalfToUInt16Bits, value => BitConverter.HalfToUInt16Bits((Half)value));

    private static void Narrows<T, TStorage>(Func<int, uint[]> near, Func<float, ushort> expected, Func<T, ushort> bitsOf, Func<float, ushort> scalar)
        where T : unmanaged
        where TStorage : struct, IStorage<T>
    {
        float[] values = [.. Enumerable.Range(0, Count).SelectMany(near).Select(BitConverter.UInt32BitsToSingle)];
        T[] narrow = new T[values.Length];
        foreach (int start in Starts)
        {
            Check<Vector128<float>, Lanes128>(start);
            if (Vector256.IsHardwareAccelerated)
                Check<Vector256<float>, Lanes256>(start);
            if (Vector512.IsHardwareAccelerated)
                Check<Vector512<float>, Lanes512>(start);
        }

        void Check<V, TLanes>(int start)
            where V : struct
            where TLanes : struct, ILanes<V>
        {
            Array.Clear(narrow);
            fixed (float* source = values)
            fixed (T* target = narrow)
                TStorage.Narrow<V, TLanes>(new(source + start, values.Length - start), new(target + start, values.Length - start), values.Length - start);
            for (int i = start; i < values.Length; i++)
            {
                ushort right = expected(values[i]), found = bitsOf(narrow[i]);
                if (float.IsNaN(values[i]))
                    Assert.True((found & 0x7fff) > (typeof(T) == typeof(Half) ? 0x7c00 : 0x7f80), $"{BitConverter.SingleToUInt32Bits(values[i]):x8} became {found:x4}, which is no NaN");
                else if (right != found || right != scalar(values[i]))
                    Assert.Fail($"{BitConverter.SingleToUInt32Bits(values[i]):x8} became {found:x4} in registers of {TLanes.Count} and {scalar(values[i]):x4} alone; the nearest is {right:x4}");
            }
        }
    }

    private static void Same(float expected, float found, string what)
    {
        if (float.IsNaN(expected) ? !float.IsNaN(found) : BitConverter.SingleToUInt32Bits(expected) != BitConverter.SingleToUInt32Bits(found))
            Assert.Fail($"{what} became {found}, not {expected}");
    }

    // Sign, 5 bits of exponent, 10 of fraction, by the definition of binary16.
    private static float ExactHalf(ushort bits)
    {
        int exponent = (bits >> 10) & 31, fraction = bits & 1023;
        double size = exponent switch
        {
            31 => fraction == 0 ? double.PositiveInfinity : double.NaN,
            0 => Math.ScaleB(fraction, -24),
            _ => Math.ScaleB(1024 + fraction, exponent - 25),
        };
        return (float)(bits >= 0x8000 ? -size : size);
    }

    // The candidate below and above in magnitude, compared in double, where the difference is exact.
    private static ushort NearestBFloat16(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        ushort below = (ushort)(bits >> 16);
        if (float.IsInfinity(value) || (bits & 0xffff) == 0)
            return below;
        double low = Math.Abs((double)BitConverter.UInt32BitsToSingle((uint)below << 16)), step = Math.ScaleB(1, Math.Max(Math.ILogB(low == 0 ? double.Epsilon : low), -126) - 7);
        double over = Math.Abs((double)value) - low;
        return over > step / 2 || (over == step / 2 && (below & 1) == 1) ? (ushort)(below + 1) : below;
    }

    private static Half NearestHalf(float value)
    {
        double size = Math.Abs((double)value);
        if (!double.IsFinite(size))
            return (Half)value;
        double step = Math.ScaleB(1, Math.Max(size == 0 ? -14 : Math.ILogB(size), -14) - 10);
        double rounded = Math.Round(size / step, MidpointRounding.ToEven) * step;
        double nearest = rounded >= 65520 ? double.PositiveInfinity : rounded;
        return (Half)(float)(float.IsNegative(value) ? -nearest : nearest);
    }
}
