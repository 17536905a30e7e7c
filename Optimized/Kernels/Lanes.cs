// The registers that the kernel runs on: 128, 256 and 512 bits.
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace S2Attn.Optimized.Kernels;

/// <summary>128 bits: NEON, SSE and the portable path.</summary>
internal unsafe struct Lanes128 : ILanes<Vector128<float>>
{
    public static int Count
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Vector128<float>.Count;
    }

    public static Vector128<float> Indices
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Vector128<float>.Indices;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Broadcast(float x) => Vector128.Create(x);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Load(Pointer<float> source) => Vector128.Load(source.For(Vector128<float>.Count));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Load(Pointer<float> source, nint offset) => Vector128.Load(source.For(offset + Vector128<float>.Count) + offset);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Vector128<float> x, Pointer<float> destination) => x.Store(destination.For(Vector128<float>.Count));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> WidenHalf(Pointer<ushort> source)
    {
        Vector128<uint> bits = Words(source), sign = Vector128.ShiftLeft(bits & Vector128.Create(0x8000u), 16);

        // With the exponent where binary32 has it a number is 2^112 too small, subnormal ones included; infinity and NaN become 2^16 and more.
        Vector128<float> magnitude = Vector128.ShiftLeft(bits & Vector128.Create(0x7FFFu), 13).AsSingle() * Vector128.Create(5.192296858534828e33f);
        Vector128<uint> special = Vector128.GreaterThanOrEqual(magnitude, Vector128.Create(65536f)).AsUInt32() & Vector128.Create(0x7F800000u);
        return (magnitude.AsUInt32() | special | sign).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> WidenFiniteHalf(Pointer<ushort> source, ref Vector128<float> seen)
    {
        // The sign stands in every bit above the exponent; all but the first of them go.
        Vector128<int> small = Vector128.ShiftLeft(Vector128.WidenLower(Vector64.Load(source.For(Count)).AsInt16().ToVector128Unsafe()), 13) & Vector128.Create(unchecked((int)0x8FFFE000));

        // One more in the exponent carries out of its five bits where all of them are set.
        seen = (seen.AsInt32() | (small + Vector128.Create(0x00800000))).AsSingle();
        return small.AsSingle() * Vector128.Create(5.192296858534828e33f);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool SawNonFiniteHalf(Vector128<float> seen) => (seen.AsInt32() & Vector128.Create(0x10000000)) != Vector128<int>.Zero;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void NarrowHalf(Vector128<float> x, Pointer<ushort> destination)
    {
        Vector128<uint> bits = x.AsUInt32(), nan = ~Vector128.Equals(x, x).AsUInt32() & Vector128.Create(0x200u);

        // 2^13 times the power of two below a number (below 2^-14, where binary16 has its least step, that) has half a step of binary16 as half its own last place: the addition rounds.
        Vector128<float> size = Vector128.MinNative((bits & Vector128.Create(0x7FFFFFFFu)).AsSingle(), Vector128.Create(65536f));
        Vector128<float> power = ((Vector128.MaxNative(size, Vector128.Create(6.103515625e-05f)).AsUInt32() & Vector128.Create(0x7F800000u)) + Vector128.Create(13u << 23)).AsSingle();
        Vector128<uint> rounded = Vector128.ShiftRightLogical(((size + power - power) * Vector128.Create(1.925929944387236e-34f)).AsUInt32(), 13);
        Vector128<uint> half = rounded | nan | (Vector128.ShiftRightLogical(bits, 16) & Vector128.Create(0x8000u));
        Vector128.Narrow(half, half).GetLower().Store(destination.For(Count));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> WidenBFloat16(Pointer<ushort> source) => Vector128.ShiftLeft(Words(source), 16).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void WidenBFloat16(Pointer<ushort> source, out Vector128<float> even, out Vector128<float> odd)
    {
        Vector128<uint> pairs = Vector128.Load(source.For(2 * Count)).AsUInt32();
        (even, odd) = (Vector128.ShiftLeft(pairs, 16).AsSingle(), (pairs & Vector128.Create(0xFFFF0000u)).AsSingle());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<uint> Words(Pointer<ushort> source) => Vector128.WidenLower(Vector64.Load(source.For(Count)).ToVector128Unsafe());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Add(Vector128<float> a, Vector128<float> b) => a + b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Subtract(Vector128<float> a, Vector128<float> b) => a - b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Multiply(Vector128<float> a, Vector128<float> b) => a * b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> MultiplyAdd(Vector128<float> a, Vector128<float> b, Vector128<float> c) => Vector128.MultiplyAddEstimate(a, b, c);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Max(Vector128<float> a, Vector128<float> b) => Vector128.MaxNative(a, b);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Min(Vector128<float> a, Vector128<float> b) => Vector128.MinNative(a, b);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> SelectLess(Vector128<float> x, Vector128<float> y, Vector128<float> a, Vector128<float> b) => Vector128.ConditionalSelect(Vector128.LessThan(x, y), a, b);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool EqualsAll(Vector128<float> a, Vector128<float> b) => Vector128.EqualsAll(a, b);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> ScaleByBiasedPower(Vector128<float> x, Vector128<float> biased) =>
        x * Vector128.ShiftLeft(biased.AsInt32(), 23).AsSingle();
}

/// <summary>256 bits: AVX2 with FMA.</summary>
internal unsafe struct Lanes256 : ILanes<Vector256<float>>
{
    public static int Count
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Vector256<float>.Count;
    }

    public static Vector256<float> Indices
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Vector256<float>.Indices;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Broadcast(float x) => Vector256.Create(x);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Load(Pointer<float> source) => Vector256.Load(source.For(Vector256<float>.Count));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Load(Pointer<float> source, nint offset) => Vector256.Load(source.For(offset + Vector256<float>.Count) + offset);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Vector256<float> x, Pointer<float> destination) => x.Store(destination.For(Vector256<float>.Count));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> WidenHalf(Pointer<ushort> source)
    {
        Vector256<uint> bits = Words(source), sign = Vector256.ShiftLeft(bits & Vector256.Create(0x8000u), 16);

        // With the exponent where binary32 has it a number is 2^112 too small, subnormal ones included; infinity and NaN become 2^16 and more.
        Vector256<float> magnitude = Vector256.ShiftLeft(bits & Vector256.Create(0x7FFFu), 13).AsSingle() * Vector256.Create(5.192296858534828e33f);
        Vector256<uint> special = Vector256.GreaterThanOrEqual(magnitude, Vector256.Create(65536f)).AsUInt32() & Vector256.Create(0x7F800000u);
        return (magnitude.AsUInt32() | special | sign).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> WidenFiniteHalf(Pointer<ushort> source, ref Vector256<float> seen)
    {
        // The sign stands in every bit above the exponent; all but the first of them go.
        Vector256<int> small = Vector256.ShiftLeft(Vector256.WidenLower(Vector128.Load(source.For(Count)).AsInt16().ToVector256Unsafe()), 13) & Vector256.Create(unchecked((int)0x8FFFE000));

        // One more in the exponent carries out of its five bits where all of them are set.
        seen = (seen.AsInt32() | (small + Vector256.Create(0x00800000))).AsSingle();
        return small.AsSingle() * Vector256.Create(5.192296858534828e33f);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool SawNonFiniteHalf(Vector256<float> seen) => (seen.AsInt32() & Vector256.Create(0x10000000)) != Vector256<int>.Zero;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void NarrowHalf(Vector256<float> x, Pointer<ushort> destination)
    {
        Vector256<uint> bits = x.AsUInt32(), nan = ~Vector256.Equals(x, x).AsUInt32() & Vector256.Create(0x200u);

        // 2^13 times the power of two below a number (below 2^-14, where binary16 has its least step, that) has half a step of binary16 as half its own last place: the addition rounds.
        Vector256<float> size = Vector256.MinNative((bits & Vector256.Create(0x7FFFFFFFu)).AsSingle(), Vector256.Create(65536f));
        Vector256<float> power = ((Vector256.MaxNative(size, Vector256.Create(6.103515625e-05f)).AsUInt32() & Vector256.Create(0x7F800000u)) + Vector256.Create(13u << 23)).AsSingle();
        Vector256<uint> rounded = Vector256.ShiftRightLogical(((size + power - power) * Vector256.Create(1.925929944387236e-34f)).AsUInt32(), 13);
        Vector256<uint> half = rounded | nan | (Vector256.ShiftRightLogical(bits, 16) & Vector256.Create(0x8000u));
        Vector256.Narrow(half, half).GetLower().Store(destination.For(Count));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> WidenBFloat16(Pointer<ushort> source) => Vector256.ShiftLeft(Words(source), 16).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void WidenBFloat16(Pointer<ushort> source, out Vector256<float> even, out Vector256<float> odd)
    {
        Vector256<uint> pairs = Vector256.Load(source.For(2 * Count)).AsUInt32();
        (even, odd) = (Vector256.ShiftLeft(pairs, 16).AsSingle(), (pairs & Vector256.Create(0xFFFF0000u)).AsSingle());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<uint> Words(Pointer<ushort> source) => Vector256.WidenLower(Vector128.Load(source.For(Count)).ToVector256Unsafe());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Add(Vector256<float> a, Vector256<float> b) => a + b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Subtract(Vector256<float> a, Vector256<float> b) => a - b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Multiply(Vector256<float> a, Vector256<float> b) => a * b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> MultiplyAdd(Vector256<float> a, Vector256<float> b, Vector256<float> c) => Vector256.MultiplyAddEstimate(a, b, c);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Max(Vector256<float> a, Vector256<float> b) => Vector256.MaxNative(a, b);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Min(Vector256<float> a, Vector256<float> b) => Vector256.MinNative(a, b);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> SelectLess(Vector256<float> x, Vector256<float> y, Vector256<float> a, Vector256<float> b) => Vector256.ConditionalSelect(Vector256.LessThan(x, y), a, b);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool EqualsAll(Vector256<float> a, Vector256<float> b) => Vector256.EqualsAll(a, b);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> ScaleByBiasedPower(Vector256<float> x, Vector256<float> biased) =>
        x * Vector256.ShiftLeft(biased.AsInt32(), 23).AsSingle();
}

/// <summary>512 bits: AVX-512.</summary>
internal unsafe struct Lanes512 : ILanes<Vector512<float>>
{
    public static int Count
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Vector512<float>.Count;
    }

    public static Vector512<float> Indices
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Vector512<float>.Indices;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Broadcast(float x) => Vector512.Create(x);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Load(Pointer<float> source) => Vector512.Load(source.For(Vector512<float>.Count));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Load(Pointer<float> source, nint offset) => Vector512.Load(source.For(offset + Vector512<float>.Count) + offset);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Vector512<float> x, Pointer<float> destination) => x.Store(destination.For(Vector512<float>.Count));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> WidenHalf(Pointer<ushort> source)
    {
        Vector512<uint> bits = Words(source), sign = Vector512.ShiftLeft(bits & Vector512.Create(0x8000u), 16);

        // With the exponent where binary32 has it a number is 2^112 too small, subnormal ones included; infinity and NaN become 2^16 and more.
        Vector512<float> magnitude = Vector512.ShiftLeft(bits & Vector512.Create(0x7FFFu), 13).AsSingle() * Vector512.Create(5.192296858534828e33f);
        Vector512<uint> special = Vector512.GreaterThanOrEqual(magnitude, Vector512.Create(65536f)).AsUInt32() & Vector512.Create(0x7F800000u);
        return (magnitude.AsUInt32() | special | sign).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> WidenFiniteHalf(Pointer<ushort> source, ref Vector512<float> seen)
    {
        // The sign stands in every bit above the exponent; all but the first of them go.
        Vector512<int> small = Vector512.ShiftLeft(Vector512.WidenLower(Vector256.Load(source.For(Count)).AsInt16().ToVector512Unsafe()), 13) & Vector512.Create(unchecked((int)0x8FFFE000));

        // One more in the exponent carries out of its five bits where all of them are set.
        seen = (seen.AsInt32() | (small + Vector512.Create(0x00800000))).AsSingle();
        return small.AsSingle() * Vector512.Create(5.192296858534828e33f);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool SawNonFiniteHalf(Vector512<float> seen) => (seen.AsInt32() & Vector512.Create(0x10000000)) != Vector512<int>.Zero;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void NarrowHalf(Vector512<float> x, Pointer<ushort> destination)
    {
        Vector512<uint> bits = x.AsUInt32(), nan = ~Vector512.Equals(x, x).AsUInt32() & Vector512.Create(0x200u);

        // 2^13 times the power of two below a number (below 2^-14, where binary16 has its least step, that) has half a step of binary16 as half its own last place: the addition rounds.
        Vector512<float> size = Vector512.MinNative((bits & Vector512.Create(0x7FFFFFFFu)).AsSingle(), Vector512.Create(65536f));
        Vector512<float> power = ((Vector512.MaxNative(size, Vector512.Create(6.103515625e-05f)).AsUInt32() & Vector512.Create(0x7F800000u)) + Vector512.Create(13u << 23)).AsSingle();
        Vector512<uint> rounded = Vector512.ShiftRightLogical(((size + power - power) * Vector512.Create(1.925929944387236e-34f)).AsUInt32(), 13);
        Vector512<uint> half = rounded | nan | (Vector512.ShiftRightLogical(bits, 16) & Vector512.Create(0x8000u));
        Vector512.Narrow(half, half).GetLower().Store(destination.For(Count));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> WidenBFloat16(Pointer<ushort> source) => Vector512.ShiftLeft(Words(source), 16).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void WidenBFloat16(Pointer<ushort> source, out Vector512<float> even, out Vector512<float> odd)
    {
        Vector512<uint> pairs = Vector512.Load(source.For(2 * Count)).AsUInt32();
        (even, odd) = (Vector512.ShiftLeft(pairs, 16).AsSingle(), (pairs & Vector512.Create(0xFFFF0000u)).AsSingle());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<uint> Words(Pointer<ushort> source) => Vector512.WidenLower(Vector256.Load(source.For(Count)).ToVector512Unsafe());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Add(Vector512<float> a, Vector512<float> b) => a + b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Subtract(Vector512<float> a, Vector512<float> b) => a - b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Multiply(Vector512<float> a, Vector512<float> b) => a * b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> MultiplyAdd(Vector512<float> a, Vector512<float> b, Vector512<float> c) => Vector512.MultiplyAddEstimate(a, b, c);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Max(Vector512<float> a, Vector512<float> b) => Vector512.MaxNative(a, b);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Min(Vector512<float> a, Vector512<float> b) => Vector512.MinNative(a, b);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> SelectLess(Vector512<float> x, Vector512<float> y, Vector512<float> a, Vector512<float> b) => Vector512.ConditionalSelect(Vector512.LessThan(x, y), a, b);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool EqualsAll(Vector512<float> a, Vector512<float> b) => Vector512.EqualsAll(a, b);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> ScaleByBiasedPower(Vector512<float> x, Vector512<float> biased) =>
        x * Vector512.ShiftLeft(biased.AsInt32(), 23).AsSingle();
}
