// The two products of a decode step: scores of a few rows with keys as they lie, and weighted sums of values as they lie.
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace S2Attn.Optimized.Kernels;

/// <summary>How many rows of queries share each read of a key.</summary>
internal interface IRowsAtOnce
{
    static abstract int Count { get; }
}

/// <summary>Two rows.</summary>
internal struct TwoRows : IRowsAtOnce
{
    public static int Count
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 2;
    }
}

/// <summary>Four rows: as many heads as share a kv head in most models.</summary>
internal struct FourRows : IRowsAtOnce
{
    public static int Count
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 4;
    }
}

/// <summary>A place for each row; of two rows, the first two.</summary>
internal readonly struct RowPlaces(Pointer<float> a, Pointer<float> b, Pointer<float> c, Pointer<float> d)
{
    public Pointer<float> A { get; } = a;

    public Pointer<float> B { get; } = b;

    public Pointer<float> C { get; } = c;

    public Pointer<float> D { get; } = d;
}

/// <summary>
/// Keys and values are widened where they are multiplied, once for all rows, and what will be read next is asked for meanwhile: <c>ahead</c> bytes behind what is read now, 0 for nothing.
/// </summary>
internal static unsafe class DecodeProducts<T, TStorage, V, TLanes>
    where T : unmanaged
    where TStorage : struct, IStorage<T>
    where V : struct
    where TLanes : struct, ILanes<V>
{
    private const int CacheLine = 64;

    // Sixteen sums need more than the sixteen registers of AVX2. By the width, not by what the processor has: 256 bits are the same code where there is AVX-512, and are tested there.
    private static bool HasManyRegisters
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => typeof(V) == typeof(Vector512<float>) || AdvSimd.Arm64.IsSupported;
    }

    /// <summary>scores[j] of each row = its q . k[j] for j below count, with depth a multiple of two registers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Scores<TRows>(int count, nint depth, Pointer<T> keys, in RowPlaces queries, in RowPlaces scores, nint ahead)
        where TRows : struct, IRowsAtOnce
    {
        // Bare addresses, checked here: with an index they become part of the instruction that reads.
        T* k0 = keys.For(count * depth);
        byte* line = (byte*)k0 + ahead;
        bool four = TRows.Count == 4, fourKeys = !four || HasManyRegisters;
        float* x = queries.A.For(depth), y = queries.B.For(depth), z = four ? queries.C.For(depth) : x, w = four ? queries.D.For(depth) : x;
        int j = 0, block = fourKeys ? 4 : 2;
        for (; j + block <= count; j += block, k0 += block * depth)
        {
            V zero = TLanes.Broadcast(0), a0 = zero, a1 = zero, a2 = zero, a3 = zero, b0 = zero, b1 = zero, b2 = zero, b3 = zero;
            V c0 = zero, c1 = zero, c2 = zero, c3 = zero, d0 = zero, d1 = zero, d2 = zero, d3 = zero;
            T* k1 = k0 + depth, k2 = k1 + depth, k3 = k2 + depth;
            for (nint i = 0; i < depth; i += TLanes.Count)
            {
                line = Ask(line, (fourKeys ? 4 : 2) * TLanes.Count * sizeof(T));
                V p = Query(x + i), q = Query(y + i), r = four ? Query(z + i) : p, s = four ? Query(w + i) : p;
                V k = Widened(k0 + i);
                a0 = TLanes.MultiplyAdd(p, k, a0);
                b0 = TLanes.MultiplyAdd(q, k, b0);
                if (four)
                {
                    c0 = TLanes.MultiplyAdd(r, k, c0);
                    d0 = TLanes.MultiplyAdd(s, k, d0);
                }

                k = Widened(k1 + i);
                a1 = TLanes.MultiplyAdd(p, k, a1);
                b1 = TLanes.MultiplyAdd(q, k, b1);
                if (four)
                {
                    c1 = TLanes.MultiplyAdd(r, k, c1);
                    d1 = TLanes.MultiplyAdd(s, k, d1);
                }

                if (!fourKeys)
                    continue;
                k = Widened(k2 + i);
                a2 = TLanes.MultiplyAdd(p, k, a2);
                b2 = TLanes.MultiplyAdd(q, k, b2);
                if (four)
                {
                    c2 = TLanes.MultiplyAdd(r, k, c2);
                    d2 = TLanes.MultiplyAdd(s, k, d2);
                }

                k = Widened(k3 + i);
                a3 = TLanes.MultiplyAdd(p, k, a3);
                b3 = TLanes.MultiplyAdd(q, k, b3);
                if (four)
                {
                    c3 = TLanes.MultiplyAdd(r, k, c3);
                    d3 = TLanes.MultiplyAdd(s, k, d3);
                }
            }

            if (fourKeys)
            {
                LaneFolds.Sums(a0, a1, a2, a3).Store((scores.A + j).For(4));
                LaneFolds.Sums(b0, b1, b2, b3).Store((scores.B + j).For(4));
                if (four)
                {
                    LaneFolds.Sums(c0, c1, c2, c3).Store((scores.C + j).For(4));
                    LaneFolds.Sums(d0, d1, d2, d3).Store((scores.D + j).For(4));
                }
            }
            else
            {
                Vector128<float> ab = LaneFolds.Sums(a0, a1, b0, b1), cd = LaneFolds.Sums(c0, c1, d0, d1);
                ab.GetLower().Store((scores.A + j).For(2));
                ab.GetUpper().Store((scores.B + j).For(2));
                cd.GetLower().Store((scores.C + j).For(2));
                cd.GetUpper().Store((scores.D + j).For(2));
            }
        }

        for (; j < count; j++, k0 += depth)
        {
            V zero = TLanes.Broadcast(0), a = zero, b = zero, c = zero, d = zero;
            for (nint i = 0; i < depth; i += TLanes.Count)
            {
                V k = Widened(k0 + i);
                a = TLanes.MultiplyAdd(Query(x + i), k, a);
                b = TLanes.MultiplyAdd(Query(y + i), k, b);
                if (four)
                {
                    c = TLanes.MultiplyAdd(Query(z + i), k, c);
                    d = TLanes.MultiplyAdd(Query(w + i), k, d);
                }
            }

            Vector128<float> sums = LaneFolds.Sums(a, b, c, d);
            (scores.A[j], scores.B[j]) = (sums[0], sums[1]);
            if (four)
                (scores.C[j], scores.D[j]) = (sums[2], sums[3]);
        }
    }

    /// <summary>outputs = outputs factors + sum over j of weights[j] v[j], for each row; each sum is one chain over the keys.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Weighted<TRows>(int count, nint depth, Pointer<T> values, in RowPlaces weights, Vector128<float> factors, in RowPlaces outputs, nint ahead)
        where TRows : struct, IRowsAtOnce
    {
        T* first = values.For(count * depth);
        byte* line = (byte*)first + ahead;
        bool four = TRows.Count == 4, wide = !four || HasManyRegisters;
        float* x = weights.A.For(count), y = weights.B.For(count), z = four ? weights.C.For(count) : x, w = four ? weights.D.For(count) : x;
        nint lanes = TLanes.Count, width = (wide ? 4 : 2) * lanes, i = 0;
        for (; i + width <= depth; i += width)
        {
            V zero = TLanes.Broadcast(0), a0 = zero, a1 = zero, a2 = zero, a3 = zero, b0 = zero, b1 = zero, b2 = zero, b3 = zero;
            V c0 = zero, c1 = zero, c2 = zero, c3 = zero, d0 = zero, d1 = zero, d2 = zero, d3 = zero;
            T* row = first + i;
            for (int j = 0; j < count; j++, row += depth)
            {
                line = Ask(line, (wide ? 4 : 2) * TLanes.Count * sizeof(T));
                V p = TLanes.Broadcast(x[j]), q = TLanes.Broadcast(y[j]), r = four ? TLanes.Broadcast(z[j]) : p, s = four ? TLanes.Broadcast(w[j]) : p;
                V v = Widened(row);
                a0 = TLanes.MultiplyAdd(p, v, a0);
                b0 = TLanes.MultiplyAdd(q, v, b0);
                if (four)
                {
                    c0 = TLanes.MultiplyAdd(r, v, c0);
                    d0 = TLanes.MultiplyAdd(s, v, d0);
                }

                v = Widened(row + TLanes.Count);
                a1 = TLanes.MultiplyAdd(p, v, a1);
                b1 = TLanes.MultiplyAdd(q, v, b1);
                if (four)
                {
                    c1 = TLanes.MultiplyAdd(r, v, c1);
                    d1 = TLanes.MultiplyAdd(s, v, d1);
                }

                if (!wide)
                    continue;
                v = Widened(row + 2 * TLanes.Count);
                a2 = TLanes.MultiplyAdd(p, v, a2);
                b2 = TLanes.MultiplyAdd(q, v, b2);
                if (four)
                {
                    c2 = TLanes.MultiplyAdd(r, v, c2);
                    d2 = TLanes.MultiplyAdd(s, v, d2);
                }

                v = Widened(row + 3 * TLanes.Count);
                a3 = TLanes.MultiplyAdd(p, v, a3);
                b3 = TLanes.MultiplyAdd(q, v, b3);
                if (four)
                {
                    c3 = TLanes.MultiplyAdd(r, v, c3);
                    d3 = TLanes.MultiplyAdd(s, v, d3);
                }
            }

            Add(outputs.A + i, factors[0], a0, a1, a2, a3, wide);
            Add(outputs.B + i, factors[1], b0, b1, b2, b3, wide);
            if (four)
            {
                Add(outputs.C + i, factors[2], c0, c1, c2, c3, wide);
                Add(outputs.D + i, factors[3], d0, d1, d2, d3, wide);
            }
        }

        for (; i < depth; i += lanes)
        {
            V zero = TLanes.Broadcast(0), a = zero, b = zero, c = zero, d = zero;
            T* row = first + i;
            for (int j = 0; j < count; j++, row += depth)
            {
                V v = Widened(row);
                a = TLanes.MultiplyAdd(TLanes.Broadcast(x[j]), v, a);
                b = TLanes.MultiplyAdd(TLanes.Broadcast(y[j]), v, b);
                if (four)
                {
                    c = TLanes.MultiplyAdd(TLanes.Broadcast(z[j]), v, c);
                    d = TLanes.MultiplyAdd(TLanes.Broadcast(w[j]), v, d);
                }
            }

            Add(outputs.A + i, TLanes.Broadcast(factors[0]), a);
            Add(outputs.B + i, TLanes.Broadcast(factors[1]), b);
            if (four)
            {
                Add(outputs.C + i, TLanes.Broadcast(factors[2]), c);
                Add(outputs.D + i, TLanes.Broadcast(factors[3]), d);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add(Pointer<float> output, float factor, V gain0, V gain1, V gain2, V gain3, bool wide)
    {
        V shrink = TLanes.Broadcast(factor);
        Add(output, shrink, gain0);
        Add(output + TLanes.Count, shrink, gain1);
        if (!wide)
            return;
        Add(output + 2 * TLanes.Count, shrink, gain2);
        Add(output + 3 * TLanes.Count, shrink, gain3);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add(Pointer<float> output, V factor, V gain) => TLanes.Store(TLanes.MultiplyAdd(TLanes.Load(output), factor, gain), output);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V Query(float* address) => Unsafe.ReadUnaligned<V>(address);

    /// <summary>A register of what stands at an address whose range was checked.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V Widened(T* address) => TStorage.Load<V, TLanes>(new Pointer<T>(address, TLanes.Count));

    // Fetches the next lines of a stream; so many bytes a step are constant, and the branches go.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static byte* Ask(byte* line, int bytes)
    {
        if (!Sse.IsSupported)
            return line;
        Sse.Prefetch1(line);
        if (bytes > CacheLine)
            Sse.Prefetch1(line + CacheLine);
        if (bytes > 2 * CacheLine)
        {
            Sse.Prefetch1(line + 2 * CacheLine);
            Sse.Prefetch1(line + 3 * CacheLine);
        }

        return line + bytes;
    }
}
