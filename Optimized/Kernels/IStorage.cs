// How are stored numbers widened to f32 and narrowed again?
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace S2Attn.Optimized.Kernels;

/// <summary>Conversion between a storage format and f32. Widening is exact; narrowing rounds to nearest, ties to even.</summary>
internal unsafe interface IStorage<T>
    where T : unmanaged
{
    static abstract void Widen<V, TLanes>(Pointer<T> source, Pointer<float> destination, int count)
        where V : struct
        where TLanes : struct, ILanes<V>;

    /// <summary>Widens as many elements as a register holds.</summary>
    static abstract V Load<V, TLanes>(Pointer<T> source)
        where V : struct
        where TLanes : struct, ILanes<V>;

    /// <summary>The same of finite numbers; seen, 0 before a row, remembers whether all of them were such as this widens.</summary>
    static abstract V LoadFinite<V, TLanes>(Pointer<T> source, ref V seen)
        where V : struct
        where TLanes : struct, ILanes<V>;

    /// <summary>Whether <see cref="LoadFinite"/> widened all that it met.</summary>
    static abstract bool IsWidened<V, TLanes>(V seen)
        where V : struct
        where TLanes : struct, ILanes<V>;

    /// <summary>Whether <see cref="LoadPair"/> takes elements apart by parity: then whoever meets its registers must be in that order, too.</summary>
    static abstract bool PairsByParity { get; }

    /// <summary>Widens as many elements as two registers hold, in the order that costs least.</summary>
    static abstract void LoadPair<V, TLanes>(Pointer<T> source, out V first, out V second)
        where V : struct
        where TLanes : struct, ILanes<V>;

    static abstract void Narrow<V, TLanes>(Pointer<float> source, Pointer<T> destination, int count)
        where V : struct
        where TLanes : struct, ILanes<V>;
}

/// <summary>binary32: a copy.</summary>
internal unsafe struct SingleStorage : IStorage<float>
{
    public static void Widen<V, TLanes>(Pointer<float> source, Pointer<float> destination, int count)
        where V : struct
        where TLanes : struct, ILanes<V> => Narrow<V, TLanes>(source, destination, count);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Load<V, TLanes>(Pointer<float> source)
        where V : struct
        where TLanes : struct, ILanes<V> => TLanes.Load(source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V LoadFinite<V, TLanes>(Pointer<float> source, ref V seen)
        where V : struct
        where TLanes : struct, ILanes<V> => Load<V, TLanes>(source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsWidened<V, TLanes>(V seen)
        where V : struct
        where TLanes : struct, ILanes<V> => true;

    public static bool PairsByParity
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => false;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadPair<V, TLanes>(Pointer<float> source, out V first, out V second)
        where V : struct
        where TLanes : struct, ILanes<V> => (first, second) = (Load<V, TLanes>(source), Load<V, TLanes>(source + TLanes.Count));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Narrow<V, TLanes>(Pointer<float> source, Pointer<float> destination, int count)
        where V : struct
        where TLanes : struct, ILanes<V>
    {
        int i = 0;
        for (; i + 2 * TLanes.Count <= count; i += 2 * TLanes.Count)
        {
            TLanes.Store(TLanes.Load(source, i), destination + i);
            TLanes.Store(TLanes.Load(source, i + TLanes.Count), destination + i + TLanes.Count);
        }

        if (i < count)
            (source + i).Span(count - i).CopyTo((destination + i).Span(count - i));
    }
}

/// <summary>binary16.</summary>
internal unsafe struct HalfStorage : IStorage<Half>
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Widen<V, TLanes>(Pointer<Half> source, Pointer<float> destination, int count)
        where V : struct
        where TLanes : struct, ILanes<V>
    {
        int i = 0;
        for (; i + TLanes.Count <= count; i += TLanes.Count)
            TLanes.Store(TLanes.WidenHalf(source.As<ushort>() + i), destination + i);
        for (; i < count; i++)
            destination[i] = (float)source[i];
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Load<V, TLanes>(Pointer<Half> source)
        where V : struct
        where TLanes : struct, ILanes<V> => TLanes.WidenHalf(source.As<ushort>());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V LoadFinite<V, TLanes>(Pointer<Half> source, ref V seen)
        where V : struct
        where TLanes : struct, ILanes<V> => TLanes.WidenFiniteHalf(source.As<ushort>(), ref seen);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsWidened<V, TLanes>(V seen)
        where V : struct
        where TLanes : struct, ILanes<V> => !TLanes.SawNonFiniteHalf(seen);

    public static bool PairsByParity
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => false;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadPair<V, TLanes>(Pointer<Half> source, out V first, out V second)
        where V : struct
        where TLanes : struct, ILanes<V> => (first, second) = (Load<V, TLanes>(source), Load<V, TLanes>(source + TLanes.Count));

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Narrow<V, TLanes>(Pointer<float> source, Pointer<Half> destination, int count)
        where V : struct
        where TLanes : struct, ILanes<V>
    {
        int i = 0;
        for (; i + TLanes.Count <= count; i += TLanes.Count)
            TLanes.NarrowHalf(TLanes.Load(source, i), destination.As<ushort>() + i);
        for (; i < count; i++)
            destination[i] = (Half)source[i];
    }
}

/// <summary>bfloat16: the upper half of a binary32.</summary>
internal unsafe struct BFloat16Storage : IStorage<BFloat16>
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Widen<V, TLanes>(Pointer<BFloat16> source, Pointer<float> destination, int count)
        where V : struct
        where TLanes : struct, ILanes<V>
    {
        int i = 0;
        for (; i + TLanes.Count <= count; i += TLanes.Count)
            TLanes.Store(TLanes.WidenBFloat16(source.As<ushort>() + i), destination + i);
        for (; i < count; i++)
            destination[i] = (float)source[i];
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Load<V, TLanes>(Pointer<BFloat16> source)
        where V : struct
        where TLanes : struct, ILanes<V> => TLanes.WidenBFloat16(source.As<ushort>());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V LoadFinite<V, TLanes>(Pointer<BFloat16> source, ref V seen)
        where V : struct
        where TLanes : struct, ILanes<V> => Load<V, TLanes>(source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsWidened<V, TLanes>(V seen)
        where V : struct
        where TLanes : struct, ILanes<V> => true;

    public static bool PairsByParity
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => true;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadPair<V, TLanes>(Pointer<BFloat16> source, out V first, out V second)
        where V : struct
        where TLanes : struct, ILanes<V> => TLanes.WidenBFloat16(source.As<ushort>(), out first, out second);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Narrow<V, TLanes>(Pointer<float> source, Pointer<BFloat16> destination, int count)
        where V : struct
        where TLanes : struct, ILanes<V>
    {
        int i = 0;
        for (; i + Vector128<ushort>.Count <= count; i += Vector128<ushort>.Count)
            Vector128.Narrow(Rounded(source + i), Rounded(source + i + Vector128<float>.Count)).Store((destination.As<ushort>() + i).For(8));
        for (; i < count; i++)
            destination[i] = (BFloat16)source[i];
    }

    // The four bit patterns of BFloat16's conversion from float.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<uint> Rounded(Pointer<float> source)
    {
        Vector128<float> value = Vector128.Load(source.For(4));
        Vector128<uint> bits = value.AsUInt32(), upper = Vector128.ShiftRightLogical(bits, 16);
        Vector128<uint> nearest = Vector128.ShiftRightLogical(bits + Vector128.Create(0x7FFFu) + (upper & Vector128<uint>.One), 16);
        return Vector128.ConditionalSelect(Vector128.Equals(value, value).AsUInt32(), nearest, upper | Vector128.Create(0x40u));
    }
}
