// The forward pass of a few query rows over many keys: the keys go by once, at the speed of memory.
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using S2Attn.Spec;
using S2Attn.Spec.Algebra;

namespace S2Attn.Optimized.Kernels;

/// <summary>
/// Decode kernel: D in lanes for the scores, so that keys are read as they lie and rows of all heads of a kv head share each read; keys in lanes for the softmax; D in lanes again for
/// the weighted sum. Rows are done four or two at a time; in the place of a row that is not there stand zeros, whose results are dropped.
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
    // The values of a tile wait in the second-level cache while its scores are computed.
    private const int TileBytes = 32 * 1024, MaxKeys = BlockForms.MaxDecodeKeys, Block = 4, RowsAtOnce = BlockForms.DecodeRowsAtOnce;

    // Scores of a row are padded to whole pairs of the widest registers.
    private const int Pad = 32;

    /// <summary>Floats of workspace that <see cref="Run"/> takes for some rows.</summary>
    public static nint WorkspaceFloats(int headDim, int rows) =>
        (nint)BlockForms.Floats<Int, Bool>(BlockForms.DecodeBuffers<Int, Bool>(headDim, rows, TLanes.Count)).Value;

    /// <summary>Computes one work item.</summary>
    /// <param name="work">The work.</param>
    /// <param name="item">The item.</param>
    /// <param name="nextItem">The item that this worker computes next, whose first keys are asked for; -1 where there is none.</param>
    /// <param name="workspace">Scratch memory.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Run(DecodeWork<T> work, long item, long nextItem, Workspace workspace)
    {
        S2Config config = work.Config;
        (int sequence, int kvHead, TokenRange<int> part) = work.Item(item);
        int rows = work.Rows, depth = BlockSizes.RoundUp(config.HeadDim, 2 * TLanes.Count);

        // Where D is not whole registers long, rows are copied apart; else they are read where they lie, and queries and outputs are in the order in which their registers come.
        bool packs = depth != config.HeadDim, byParity = !packs && TStorage.PairsByParity;
        workspace.Reset();
        Pointer<float> queries = workspace.Take((nint)rows * depth), output = workspace.Take((nint)rows * depth);
        Pointer<float> scores = workspace.Take(RowsAtOnce * MaxKeys);
        Pointer<float> max = workspace.Take(rows), sum = workspace.Take(rows), zeros = workspace.Take(depth), dropped = workspace.Take(depth);
        Pointer<float> packedKeys = workspace.Take((nint)MaxKeys * depth), packedValues = workspace.Take((nint)MaxKeys * depth);

        ScaleFactor scale = ScaleFactor.Of(config.Scale, Math.Log2(Math.E));
        bool ofPrefix = work.IsOfPrefix(part);
        Span<DecodeRow> visible = stackalloc DecodeRow[rows];
        for (int r = 0; r < rows; r++)
        {
            visible[r] = work.RowOf(sequence, kvHead, r, ofPrefix);
            Pointer<float> row = queries + (nint)r * depth;
            Pointer<T> query = work.Query.At(sequence, visible[r].Token, visible[r].Head);
            if (byParity)
                Packing.Pairs<T, TStorage, V, TLanes>(query, row, depth);
            else
                Packing.Row<T, TStorage, V, TLanes>(query, row, config.HeadDim, depth);
            for (nint d = 0; d < depth; d += TLanes.Count)
                TLanes.Store(TLanes.Multiply(TLanes.Load(row + d), TLanes.Broadcast(scale.Mantissa)), row + d);
        }

        scale.Lower<V, TLanes>(queries, 2 * TLanes.Count, rows * depth / (2 * TLanes.Count));
        output.Span(rows * depth).Clear();
        zeros.Span(depth).Clear();
        dropped.Span(depth).Clear();
        max.Span(rows).Fill(float.NegativeInfinity);
        sum.Span(rows).Clear();

        CacheRing<T> ring = work.RingOf(sequence);
        Rows<T> keys = ring.Keys, values = ring.Values;
        int tileKeys = Math.Clamp(TileBytes / (depth * sizeof(T)) / Block, 1, MaxKeys / Block) * Block;
        for (int start = part.Start, count; start < part.End; start += count)
        {
            count = ring.Contiguous(start, Math.Min(tileKeys, part.End - start));
            Pointer<T> key = keys.At(0, start, kvHead, count * config.HeadDim), value = values.At(0, start, kvHead, count * config.HeadDim);
            if (packs)
                for (int j = 0; j < count; j++)
                {
                    nint from = (nint)j * config.HeadDim, to = (nint)j * depth;
                    Packing.Row<T, TStorage, V, TLanes>(key + from, packedKeys + to, config.HeadDim, depth);
                    Packing.Row<T, TStorage, V, TLanes>(value + from, packedValues + to, config.HeadDim, depth);
                }

            // While the first rows compute, what is read next is fetched: the values of the tile, then the keys of the next.
            Pointer<T> nextKey = start + count < part.End ? keys.At(0, start + count, kvHead) : nextItem < 0 ? default : work.PlaceOfFirstKey(nextItem);
            nint toValue = (nint)(value.Line - key.Line), toNextKey = nextKey.IsNull ? 0 : (nint)(nextKey.Line - value.Line);

            // Rows that see different keys of the tile are done apart.
            for (int r = 0, together; r < rows; r += together)
            {
                TokenRange<int> range = Clip(visible[r]);
                together = 1;
                while (together < RowsAtOnce && r + together < rows && Clip(visible[r + together]) == range)
                    together++;
                if (range.End <= range.Start)
                    continue;
                if (together > 2)
                    Attend<FourRows>(r, together, range);
                else
                    Attend<TwoRows>(r, together, range);
                (toValue, toNextKey) = (0, 0);
            }

            TokenRange<int> Clip(in DecodeRow row) => new(Math.Clamp(row.FirstKey - start, 0, count), Math.Clamp(row.EndKey - start, 0, count));

            [MethodImpl(MethodImplOptions.AggressiveOptimization)]
            void Attend<TRows>(int row, int together, TokenRange<int> range)
                where TRows : struct, IRowsAtOnce
            {
                int n = range.End - range.Start;
                nint first = range.Start;
                RowPlaces queryRows = new(Query(0), Query(1), Query(2), Query(3)), weights = new(scores, scores + MaxKeys, scores + 2 * MaxKeys, scores + 3 * MaxKeys);
                RowPlaces outputs = new(Output(0), Output(1), Output(2), Output(3));
                if (packs)
                    DecodeProducts<float, SingleStorage, V, TLanes>.Scores<TRows>(n, depth, packedKeys + first * depth, queryRows, weights, 0);
                else
                    DecodeProducts<T, TStorage, V, TLanes>.Scores<TRows>(n, depth, key + first * depth, queryRows, weights, toValue);

                // The softmax reads nothing that is not in the cache; memory would rest meanwhile. The product below asks for these lines again: that costs an instruction each, and a test in its loop would cost more.
                if (toNextKey != 0)
                    DecodeProducts<T, TStorage, V, TLanes>.AskAhead(value, toNextKey);
                Vector128<float> factors = default;
                for (int i = 0; i < together; i++)
                    factors = factors.WithElement(i, Softmax(scores + i * MaxKeys, n, scale, ref max[row + i], ref sum[row + i]));
                for (int i = together; i < TRows.Count; i++)
                    (scores + i * MaxKeys).Span(n).Clear();
                if (packs)
                    DecodeProducts<float, SingleStorage, V, TLanes>.Weighted<TRows>(n, depth, packedValues + first * depth, weights, factors, outputs, 0);
                else
                    DecodeProducts<T, TStorage, V, TLanes>.Weighted<TRows>(n, depth, value + first * depth, weights, factors, outputs, toNextKey);

                Pointer<float> Query(int i) => i < together ? queries + (nint)(row + i) * depth : zeros;

                Pointer<float> Output(int i) => i < together ? output + (nint)(row + i) * depth : dropped;
            }
        }

        for (int r = 0; r < rows; r++)
        {
            Pointer<float> partial = work.Partial(item, r);
            (partial[0], partial[1]) = (max[r], sum[r]);
            Pointer<float> row = output + (nint)r * depth;
            if (byParity)
                Packing.Interleave(row, partial + 2, TLanes.Count, depth);
            else
                row.Span(config.HeadDim).CopyTo((partial + 2).Span(config.HeadDim));
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
}
