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
