// How are stored numbers widened to f32 and narrowed again?
using System.Numerics.Tensors;
using System.Runtime.Intrinsics;

namespace S2Attn.Optimized.Kernels;

/// <summary>Conversion between a storage format and f32. Widening is exact; narrowing rounds to nearest, ties to even.</summary>
internal unsafe interface IStorage<T>
    where T : unmanaged
{
    static abstract void Widen<V, TLanes>(T* source, float* destination, int count)
        where V : struct
        where TLanes : struct, ILanes<V>;

    static abstract void Narrow(float* source, T* destination, int count);
}

/// <summary>binary32: a copy.</summary>
internal unsafe struct SingleStorage : IStorage<float>
{
    public static void Widen<V, TLanes>(float* source, float* destination, int count)
        where V : struct
        where TLanes : struct, ILanes<V> => Narrow(source, destination, count);

    public static void Narrow(float* source, float* destination, int count) => new ReadOnlySpan<float>(source, count).CopyTo(new Span<float>(destination, count));
}

/// <summary>binary16.</summary>
internal unsafe struct HalfStorage : IStorage<Half>
{
    public static void Widen<V, TLanes>(Half* source, float* destination, int count)
        where V : struct
        where TLanes : struct, ILanes<V>
    {
        int i = 0;
        for (; i + TLanes.Count <= count; i += TLanes.Count)
            TLanes.Store(TLanes.WidenHalf((ushort*)source + i), destination + i);
        for (; i < count; i++)
            destination[i] = (float)source[i];
    }

    public static void Narrow(float* source, Half* destination, int count) =>
        TensorPrimitives.ConvertToHalf(new ReadOnlySpan<float>(source, count), new Span<Half>(destination, count));
}

/// <summary>bfloat16: the upper half of a binary32.</summary>
internal unsafe struct BFloat16Storage : IStorage<BFloat16>
{
    public static void Widen<V, TLanes>(BFloat16* source, float* destination, int count)
        where V : struct
        where TLanes : struct, ILanes<V>
    {
        int i = 0;
        for (; i + TLanes.Count <= count; i += TLanes.Count)
            TLanes.Store(TLanes.WidenBFloat16((ushort*)source + i), destination + i);
        for (; i < count; i++)
            destination[i] = (float)source[i];
    }

    public static void Narrow(float* source, BFloat16* destination, int count)
    {
        int i = 0;
        for (; i + Vector128<ushort>.Count <= count; i += Vector128<ushort>.Count)
            Vector128.Narrow(Rounded(source + i), Rounded(source + i + Vector128<float>.Count)).Store((ushort*)destination + i);
        for (; i < count; i++)
            destination[i] = (BFloat16)source[i];
    }

    // The four bit patterns of BFloat16's conversion from float.
    private static Vector128<uint> Rounded(float* source)
    {
        Vector128<float> value = Vector128.Load(source);
        Vector128<uint> bits = value.AsUInt32(), upper = Vector128.ShiftRightLogical(bits, 16);
        Vector128<uint> nearest = Vector128.ShiftRightLogical(bits + Vector128.Create(0x7FFFu) + (upper & Vector128<uint>.One), 16);
        return Vector128.ConditionalSelect(Vector128.Equals(value, value).AsUInt32(), nearest, upper | Vector128.Create(0x40u));
    }
}
