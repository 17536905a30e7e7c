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
    private const int CacheLine = 64, LinesAhead = 64;

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
            for (nint i = 0; i < depth; i += 2 * TLanes.Count)
            {
                line = Ask(line, (fourKeys ? 8 : 4) * TLanes.Count * sizeof(T));
                Widened(k0 + i, out V e, out V f);
                Widened(k1 + i, out V g, out V h);
                V p = Query(x + i), q = Query(x + i + TLanes.Count);
                a0 = TLanes.MultiplyAdd(p, e, a0);
                a0 = TLanes.MultiplyAdd(q, f, a0);
                a1 = TLanes.MultiplyAdd(p, g, a1);
                a1 = TLanes.MultiplyAdd(q, h, a1);
                (p, q) = (Query(y + i), Query(y + i + TLanes.Count));
                b0 = TLanes.MultiplyAdd(p, e, b0);
                b0 = TLanes.MultiplyAdd(q, f, b0);
                b1 = TLanes.MultiplyAdd(p, g, b1);
                b1 = TLanes.MultiplyAdd(q, h, b1);
                if (four)
                {
                    (p, q) = (Query(z + i), Query(z + i + TLanes.Count));
                    c0 = TLanes.MultiplyAdd(p, e, c0);
                    c0 = TLanes.MultiplyAdd(q, f, c0);
                    c1 = TLanes.MultiplyAdd(p, g, c1);
                    c1 = TLanes.MultiplyAdd(q, h, c1);
                    (p, q) = (Query(w + i), Query(w + i + TLanes.Count));
                    d0 = TLanes.MultiplyAdd(p, e, d0);
                    d0 = TLanes.MultiplyAdd(q, f, d0);
                    d1 = TLanes.MultiplyAdd(p, g, d1);
                    d1 = TLanes.MultiplyAdd(q, h, d1);
                }

                if (!fourKeys)
                    continue;
                Widened(k2 + i, out e, out f);
                Widened(k3 + i, out g, out h);
                (p, q) = (Query(x + i), Query(x + i + TLanes.Count));
                a2 = TLanes.MultiplyAdd(p, e, a2);
                a2 = TLanes.MultiplyAdd(q, f, a2);
                a3 = TLanes.MultiplyAdd(p, g, a3);
                a3 = TLanes.MultiplyAdd(q, h, a3);
                (p, q) = (Query(y + i), Query(y + i + TLanes.Count));
                b2 = TLanes.MultiplyAdd(p, e, b2);
                b2 = TLanes.MultiplyAdd(q, f, b2);
                b3 = TLanes.MultiplyAdd(p, g, b3);
                b3 = TLanes.MultiplyAdd(q, h, b3);
                if (four)
                {
                    (p, q) = (Query(z + i), Query(z + i + TLanes.Count));
                    c2 = TLanes.MultiplyAdd(p, e, c2);
                    c2 = TLanes.MultiplyAdd(q, f, c2);
                    c3 = TLanes.MultiplyAdd(p, g, c3);
                    c3 = TLanes.MultiplyAdd(q, h, c3);
                    (p, q) = (Query(w + i), Query(w + i + TLanes.Count));
                    d2 = TLanes.MultiplyAdd(p, e, d2);
                    d2 = TLanes.MultiplyAdd(q, f, d2);
                    d3 = TLanes.MultiplyAdd(p, g, d3);
                    d3 = TLanes.MultiplyAdd(q, h, d3);
                }
            }

            if (four && typeof(V) == typeof(Vector512<float>))
            {
                Vector512<float> sums = LaneFolds.Joined(LaneFolds.Halves(a0, a1, a2, a3, b0, b1, b2, b3), LaneFolds.Halves(c0, c1, c2, c3, d0, d1, d2, d3));
                sums.GetLower().GetLower().Store((scores.A + j).For(4));
                sums.GetLower().GetUpper().Store((scores.B + j).For(4));
                sums.GetUpper().GetLower().Store((scores.C + j).For(4));
                sums.GetUpper().GetUpper().Store((scores.D + j).For(4));
            }
            else if (fourKeys)
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
            for (nint i = 0; i < depth; i += 2 * TLanes.Count)
            {
                Widened(k0 + i, out V e, out V o);
                nint next = i + TLanes.Count;
                a = TLanes.MultiplyAdd(Query(x + next), o, TLanes.MultiplyAdd(Query(x + i), e, a));
                b = TLanes.MultiplyAdd(Query(y + next), o, TLanes.MultiplyAdd(Query(y + i), e, b));
                if (four)
                {
                    c = TLanes.MultiplyAdd(Query(z + next), o, TLanes.MultiplyAdd(Query(z + i), e, c));
                    d = TLanes.MultiplyAdd(Query(w + next), o, TLanes.MultiplyAdd(Query(w + i), e, d));
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
                Widened(row, out V v, out V next);
                a0 = TLanes.MultiplyAdd(p, v, a0);
                b0 = TLanes.MultiplyAdd(q, v, b0);
                a1 = TLanes.MultiplyAdd(p, next, a1);
                b1 = TLanes.MultiplyAdd(q, next, b1);
                if (four)
                {
                    c0 = TLanes.MultiplyAdd(r, v, c0);
                    d0 = TLanes.MultiplyAdd(s, v, d0);
                    c1 = TLanes.MultiplyAdd(r, next, c1);
                    d1 = TLanes.MultiplyAdd(s, next, d1);
                }

                if (!wide)
                    continue;
                Widened(row + 2 * TLanes.Count, out v, out next);
                a2 = TLanes.MultiplyAdd(p, v, a2);
                b2 = TLanes.MultiplyAdd(q, v, b2);
                a3 = TLanes.MultiplyAdd(p, next, a3);
                b3 = TLanes.MultiplyAdd(q, next, b3);
                if (four)
                {
                    c2 = TLanes.MultiplyAdd(r, v, c2);
                    d2 = TLanes.MultiplyAdd(s, v, d2);
                    c3 = TLanes.MultiplyAdd(r, next, c3);
                    d3 = TLanes.MultiplyAdd(s, next, d3);
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

        for (; i < depth; i += 2 * lanes)
        {
            V zero = TLanes.Broadcast(0), a0 = zero, a1 = zero, b0 = zero, b1 = zero, c0 = zero, c1 = zero, d0 = zero, d1 = zero;
            T* row = first + i;
            for (int j = 0; j < count; j++, row += depth)
            {
                Widened(row, out V v, out V next);
                V p = TLanes.Broadcast(x[j]), q = TLanes.Broadcast(y[j]);
                a0 = TLanes.MultiplyAdd(p, v, a0);
                a1 = TLanes.MultiplyAdd(p, next, a1);
                b0 = TLanes.MultiplyAdd(q, v, b0);
                b1 = TLanes.MultiplyAdd(q, next, b1);
                if (!four)
                    continue;
                (p, q) = (TLanes.Broadcast(z[j]), TLanes.Broadcast(w[j]));
                c0 = TLanes.MultiplyAdd(p, v, c0);
                c1 = TLanes.MultiplyAdd(p, next, c1);
                d0 = TLanes.MultiplyAdd(q, v, d0);
                d1 = TLanes.MultiplyAdd(q, next, d1);
            }

            Add(outputs.A + i, factors[0], a0, a1, a0, a1, false);
            Add(outputs.B + i, factors[1], b0, b1, b0, b1, false);
            if (four)
            {
                Add(outputs.C + i, factors[2], c0, c1, c0, c1, false);
                Add(outputs.D + i, factors[3], d0, d1, d0, d1, false);
            }
        }
    }

    /// <summary>Asks for the first lines of what stands so many bytes behind a place.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void AskAhead(Pointer<T> from, nint ahead)
    {
        byte* line = (byte*)from.Line + ahead;
        for (int i = 0; i < LinesAhead; i += 4)
            line = Ask(line, 4 * CacheLine);
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

    /// <summary>Two registers of what stands at an address whose range was checked.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Widened(T* address, out V first, out V second) => TStorage.LoadPair<V, TLanes>(new Pointer<T>(address, 2 * TLanes.Count), out first, out second);

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

        if (bytes > 4 * CacheLine)
        {
            Sse.Prefetch1(line + 4 * CacheLine);
            Sse.Prefetch1(line + 5 * CacheLine);
            Sse.Prefetch1(line + 6 * CacheLine);
            Sse.Prefetch1(line + 7 * CacheLine);
        }

        return line + bytes;
    }
}
