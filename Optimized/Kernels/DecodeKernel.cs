// The forward pass of a few query rows over many keys: the keys go by once, at the speed of memory.
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using S2Attn.Spec;
using S2Attn.Spec.Algebra;

namespace S2Attn.Optimized.Kernels;

/// <summary>Memory that is to be fetched.</summary>
internal readonly unsafe struct Lines(byte* start, byte* end)
{
    public byte* Start { get; } = start;

    public byte* End { get; } = end;
}

/// <summary>
/// Decode kernel: D in lanes for the scores, so that keys are read as they lie and rows of all heads of a kv head share each read; keys in lanes for the softmax; D in lanes again for
/// the weighted sum. Rows are done in pairs, the last one of an odd number with a row of zeros whose results are dropped.
/// </summary>
/// <remarks>
/// Arithmetic: q' = fl(q c) as in <see cref="ForwardKernel{T,TStorage,V,TLanes,TTile}"/>; s = sums over d of each lane by multiply-adds, then over the lanes; p = 2^fl(s - m); per tile of keys l = l f + sum p and
/// o = o f + sum p v, each sum over v one chain over the tile's keys.
/// </remarks>
internal static unsafe class DecodeKernel<T, TStorage, V, TLanes>
    where T : unmanaged
    where TStorage : struct, IStorage<T>
    where V : struct
    where TLanes : struct, ILanes<V>
{
    private const int CacheLine = 64, TileBytes = 16 * 1024, MaxKeys = BlockForms.MaxDecodeKeys, Block = 4;

    // Scores of a row are padded to whole pairs of the widest registers.
    private const int Pad = 32;

    /// <summary>Floats of workspace that <see cref="Run"/> takes for some rows.</summary>
    public static nint WorkspaceFloats(int headDim, int rows) =>
        (nint)BlockForms.Floats<Int, Bool>(BlockForms.DecodeBuffers<Int, Bool>(headDim, rows, TLanes.Count)).Value;

    /// <summary>Computes one work item.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Run(DecodeWork<T> work, long item, Workspace workspace)
    {
        S2Config config = work.Config;
        (int sequence, int kvHead, TokenRange<int> part) = work.Item(item);
        int rows = work.Rows, depth = BlockSizes.RoundUp(config.HeadDim, 2 * TLanes.Count);
        bool packs = depth != config.HeadDim || typeof(T) != typeof(float);
        workspace.Reset();
        Pointer<float> queries = workspace.Take(EvenUp(rows) * depth), output = workspace.Take(EvenUp(rows) * depth);
        Pointer<float> scores = workspace.Take(MaxKeys), otherScores = workspace.Take(MaxKeys);
        Pointer<float> max = workspace.Take(EvenUp(rows)), sum = workspace.Take(EvenUp(rows)), zeros = workspace.Take(depth);
        Pointer<float> packedKeys = workspace.Take((nint)MaxKeys * depth), packedValues = workspace.Take((nint)MaxKeys * depth);

        ScaleFactor scale = ScaleFactor.Of(config.Scale, Math.Log2(Math.E));
        Span<DecodeRow> visible = stackalloc DecodeRow[rows];
        for (int r = 0; r < rows; r++)
        {
            visible[r] = work.RowOf(sequence, kvHead, r);
            Packing.Row<T, TStorage, V, TLanes>(work.Query.At(sequence, visible[r].Token, visible[r].Head), queries + (nint)r * depth, config.HeadDim, depth);
            for (nint d = 0; d < depth; d += TLanes.Count)
                TLanes.Store(TLanes.Multiply(TLanes.Load(queries + r * (nint)depth + d), TLanes.Broadcast(scale.Mantissa)), queries + r * (nint)depth + d);
        }

        (queries + (nint)rows * depth).Span((EvenUp(rows) - rows) * depth).Clear();
        scale.Lower<V, TLanes>(queries, 2 * TLanes.Count, EvenUp(rows) * depth / (2 * TLanes.Count));
        output.Span(EvenUp(rows) * depth).Clear();
        zeros.Span(depth).Clear();
        max.Span(EvenUp(rows)).Fill(float.NegativeInfinity);
        sum.Span(EvenUp(rows)).Clear();

        CacheRing<T> ring = work.RingOf(sequence);
        Rows<T> keys = ring.Keys, values = ring.Values;
        int tileKeys = Math.Clamp(TileBytes / (depth * sizeof(float)) / Block, 1, MaxKeys / Block) * Block;
        for (int start = part.Start, count; start < part.End; start += count)
        {
            count = ring.Contiguous(start, Math.Min(tileKeys, part.End - start));
            Pointer<T> key = keys.At(0, start, kvHead, count * config.HeadDim), value = values.At(0, start, kvHead, count * config.HeadDim);
            if (packs)
            {
                Pack(key, packedKeys);
                Pack(value, packedValues);
            }

            // In f32, each row whole registers long: once for all rows of queries.
            void Pack(Pointer<T> rows, Pointer<float> packed)
            {
                if (depth == config.HeadDim)
                    TStorage.Widen<V, TLanes>(rows, packed, count * depth);
                else
                    for (int j = 0; j < count; j++)
                        Packing.Row<T, TStorage, V, TLanes>(rows + (nint)j * config.HeadDim, packed + (nint)j * depth, config.HeadDim, depth);
            }

            // What is read next is fetched while one computes, in equal parts by all pairs of rows: the values with the scores, the next keys with the weighted sum; where a tile is packed, both of the next.
            int pairs = (rows + 1) / 2, next = ring.Contiguous((start + count) % ring.Capacity, Math.Min(tileKeys, part.End - start - count));
            Pointer<T> nextKey = next > 0 ? keys.At(0, start + count, kvHead, next * config.HeadDim) : key, nextValue = next > 0 ? values.At(0, start + count, kvHead, next * config.HeadDim) : value;
            Pointer<float> tileOfKeys = packs ? packedKeys : key.As<float>(), tileOfValues = packs ? packedValues : value.As<float>();
            for (int r = 0; r < rows; r += 2)
            {
                // Rows that see different keys of the tile are done apart, each with a row of zeros.
                TokenRange<int> a = Clip(visible[r]), b = r + 1 < rows ? Clip(visible[r + 1]) : a;
                if (a == b)
                {
                    Attend(r, r + 1, a);
                }
                else
                {
                    Attend(r, -1, a);
                    Attend(r + 1, -1, b);
                }
            }

            TokenRange<int> Clip(in DecodeRow row) => new(Math.Clamp(row.FirstKey - start, 0, count), Math.Clamp(row.EndKey - start, 0, count));

            [MethodImpl(MethodImplOptions.AggressiveOptimization)]
            void Attend(int row, int other, TokenRange<int> range)
            {
                int n = range.End - range.Start;
                if (n <= 0)
                    return;
                nint first = range.Start;
                Pointer<float> q0 = queries + (nint)row * depth, q1 = other < 0 ? zeros : queries + (nint)other * depth;
                Scores(n, depth, tileOfKeys + first * depth, q0, q1, scores, otherScores, packs ? LinesOf(nextKey, next, row / 2, pairs, config.HeadDim) : LinesOf(value, count, row / 2, pairs, config.HeadDim));
                float f0 = Softmax(scores, n, scale, ref max[row], ref sum[row]), f1 = other < 0 ? 0 : Softmax(otherScores, n, scale, ref max[other], ref sum[other]);
                Pointer<float> o0 = output + (nint)row * depth, o1 = other < 0 ? zeros : output + (nint)other * depth;
                if (other < 0)
                    otherScores.Span(n).Clear();
                Weighted(n, depth, tileOfValues + first * depth, scores, otherScores, f0, f1, o0, o1, LinesOf(packs ? nextValue : nextKey, next, row / 2, pairs, config.HeadDim));

                // A value that is not finite times 0 is NaN.
                if (other < 0)
                    zeros.Span(depth).Clear();
            }
        }

        for (int r = 0; r < rows; r++)
        {
            Pointer<float> partial = work.Partial(item, r);
            (partial[0], partial[1]) = (max[r], sum[r]);
            (output + (nint)r * depth).Span(config.HeadDim).CopyTo((partial + 2).Span(config.HeadDim));
        }
    }

    // The lines of one of several equal parts of some rows.
    private static Lines LinesOf(Pointer<T> rows, int count, int part, int parts, int headDim)
    {
        if (!Sse.IsSupported)
            return default;
        nint bytes = (nint)count * headDim * sizeof(T);
        return new(rows.Line + bytes * part / parts, rows.Line + bytes * (part + 1) / parts);
    }

    /// <summary>s0[j] = q0.k[j] and s1[j] = q1.k[j] for j below count, with depth a multiple of two registers; some lines are fetched meanwhile.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Scores(int count, nint depth, Pointer<float> keys, Pointer<float> q0, Pointer<float> q1, Pointer<float> s0, Pointer<float> s1, Lines ahead)
    {
        // Bare addresses, checked here: with an index they become part of the instruction that reads.
        float* k0 = keys.For(count * depth), x = q0.For(depth), y = q1.For(depth);
        byte* line = ahead.Start, end = ahead.End;
        int j = 0;
        for (; j + Block <= count; j += Block, k0 += Block * depth)
        {
            V zero = TLanes.Broadcast(0), a0 = zero, a1 = zero, a2 = zero, a3 = zero, b0 = zero, b1 = zero, b2 = zero, b3 = zero;
            float* k1 = k0 + depth, k2 = k1 + depth, k3 = k2 + depth;
            for (nint d = 0; d < depth; d += 2 * TLanes.Count)
            {
                line = Fetch(line, end);
                V u = At(x + d), w = At(y + d), k = At(k0 + d);
                a0 = TLanes.MultiplyAdd(u, k, a0);
                b0 = TLanes.MultiplyAdd(w, k, b0);
                k = At(k1 + d);
                a1 = TLanes.MultiplyAdd(u, k, a1);
                b1 = TLanes.MultiplyAdd(w, k, b1);
                k = At(k2 + d);
                a2 = TLanes.MultiplyAdd(u, k, a2);
                b2 = TLanes.MultiplyAdd(w, k, b2);
                k = At(k3 + d);
                a3 = TLanes.MultiplyAdd(u, k, a3);
                b3 = TLanes.MultiplyAdd(w, k, b3);
                (u, w, k) = (At(x + d + TLanes.Count), At(y + d + TLanes.Count), At(k0 + d + TLanes.Count));
                a0 = TLanes.MultiplyAdd(u, k, a0);
                b0 = TLanes.MultiplyAdd(w, k, b0);
                k = At(k1 + d + TLanes.Count);
                a1 = TLanes.MultiplyAdd(u, k, a1);
                b1 = TLanes.MultiplyAdd(w, k, b1);
                k = At(k2 + d + TLanes.Count);
                a2 = TLanes.MultiplyAdd(u, k, a2);
                b2 = TLanes.MultiplyAdd(w, k, b2);
                k = At(k3 + d + TLanes.Count);
                a3 = TLanes.MultiplyAdd(u, k, a3);
                b3 = TLanes.MultiplyAdd(w, k, b3);
            }

            LaneFolds.Sums(a0, a1, a2, a3).Store((s0 + j).For(Block));
            LaneFolds.Sums(b0, b1, b2, b3).Store((s1 + j).For(Block));
        }

        for (; j < count; j++, k0 += depth)
        {
            V a = TLanes.Broadcast(0), b = a;
            for (nint d = 0; d < depth; d += TLanes.Count)
            {
                a = TLanes.MultiplyAdd(At(x + d), At(k0 + d), a);
                b = TLanes.MultiplyAdd(At(y + d), At(k0 + d), b);
            }

            (s0[j], s1[j]) = (LaneFolds.Sum(a), LaneFolds.Sum(b));
        }
    }

    // Scores become weights; the factor by which sum and output shrink.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float Softmax(Pointer<float> scores, int count, ScaleFactor scale, ref float max, ref float sum)
    {
        int padded = BlockSizes.RoundUp(count, Pad);
        (scores + count).Span(padded - count).Fill(float.NegativeInfinity);
        scale.Raise<V, TLanes>(scores, 2 * TLanes.Count, padded / (2 * TLanes.Count));
        V most = TLanes.Broadcast(max);
        for (int j = 0; j < padded; j += TLanes.Count)
            most = TLanes.Max(most, TLanes.Load(scores + j));
        float after = LaneFolds.Max(most);

        // A row that has seen no score above -infinity is shifted by 0: -infinity minus itself would be NaN.
        V shift = TLanes.Broadcast(after < float.MinValue ? 0 : after), total = TLanes.Broadcast(0);
        for (int j = 0; j < padded; j += TLanes.Count)
        {
            V p = Exponential.PowerOfTwo<V, TLanes>(TLanes.Subtract(TLanes.Load(scores + j), shift));
            TLanes.Store(p, scores + j);
            total = TLanes.Add(total, p);
        }

        float factor = after == max ? 1 : LaneFolds.Max(Exponential.PowerOfTwo<V, TLanes>(TLanes.Subtract(TLanes.Broadcast(max), shift)));
        sum = sum * factor + LaneFolds.Sum(total);
        max = after;
        return factor;
    }

    /// <summary>o0 = o0 f0 + sum over j of w0[j] v[j], and o1 alike.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Weighted(int count, nint depth, Pointer<float> values, Pointer<float> w0, Pointer<float> w1, float f0, float f1, Pointer<float> o0, Pointer<float> o1, Lines ahead)
    {
        float* first = values.For(count * depth), x = w0.For(count), y = w1.For(count);
        byte* line = ahead.Start, end = ahead.End;
        nint d = 0, lanes = TLanes.Count;
        V shrink0 = TLanes.Broadcast(f0), shrink1 = TLanes.Broadcast(f1);
        for (; d + 4 * lanes <= depth; d += 4 * lanes)
        {
            V zero = TLanes.Broadcast(0), a0 = zero, a1 = zero, a2 = zero, a3 = zero, b0 = zero, b1 = zero, b2 = zero, b3 = zero;
            float* row = first + d;
            for (int j = 0; j < count; j++, row += depth)
            {
                line = Fetch(line, end);
                V p = TLanes.Broadcast(x[j]), r = TLanes.Broadcast(y[j]), v = At(row);
                a0 = TLanes.MultiplyAdd(p, v, a0);
                b0 = TLanes.MultiplyAdd(r, v, b0);
                v = At(row + TLanes.Count);
                a1 = TLanes.MultiplyAdd(p, v, a1);
                b1 = TLanes.MultiplyAdd(r, v, b1);
                v = At(row + 2 * TLanes.Count);
                a2 = TLanes.MultiplyAdd(p, v, a2);
                b2 = TLanes.MultiplyAdd(r, v, b2);
                v = At(row + 3 * TLanes.Count);
                a3 = TLanes.MultiplyAdd(p, v, a3);
                b3 = TLanes.MultiplyAdd(r, v, b3);
            }

            Add(o0 + d, shrink0, a0);
            Add(o0 + d + lanes, shrink0, a1);
            Add(o0 + d + 2 * lanes, shrink0, a2);
            Add(o0 + d + 3 * lanes, shrink0, a3);
            Add(o1 + d, shrink1, b0);
            Add(o1 + d + lanes, shrink1, b1);
            Add(o1 + d + 2 * lanes, shrink1, b2);
            Add(o1 + d + 3 * lanes, shrink1, b3);
        }

        for (; d < depth; d += lanes)
        {
            V a = TLanes.Broadcast(0), b = a;
            float* row = first + d;
            for (int j = 0; j < count; j++, row += depth)
            {
                V v = At(row);
                a = TLanes.MultiplyAdd(TLanes.Broadcast(x[j]), v, a);
                b = TLanes.MultiplyAdd(TLanes.Broadcast(y[j]), v, b);
            }

            Add(o0 + d, shrink0, a);
            Add(o1 + d, shrink1, b);
        }
    }

    /// <summary>What stands at an address whose range was checked.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V At(float* address) => Unsafe.ReadUnaligned<V>(address);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add(Pointer<float> output, V factor, V gain) => TLanes.Store(TLanes.MultiplyAdd(TLanes.Load(output), factor, gain), output);

    // Two lines a step are enough for every type and number of rows to keep up.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static byte* Fetch(byte* line, byte* end)
    {
        if (line >= end)
            return line;
        Sse.Prefetch1(line);
        Sse.Prefetch1(line + CacheLine);
        return line + 2 * CacheLine;
    }

    private static int EvenUp(int rows) => (rows + 1) / 2 * 2;
}
