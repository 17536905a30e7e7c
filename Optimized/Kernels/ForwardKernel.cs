// The forward pass of one block of queries: o and logsumexp by online softmax over tiles of keys.
using System.Diagnostics;
using System.Runtime.CompilerServices;
using S2Attn.Spec;

namespace S2Attn.Optimized.Kernels;

/// <summary>
/// FlashAttention-style forward kernel (Dao, arXiv 2307.08691) on transposed panels: scores, weights and the accumulator have queries in lanes, so that
/// maximum, sum and rescaling need no operation across lanes and one register block serves both products.
/// </summary>
/// <remarks>
/// Arithmetic, in this order: q' = fl(q c) with c = fl(scale log2 e) up to a power of two; s = q'.k by one chain of multiply-adds over d; p = 2^fl(s - m); per tile l = l f + sum p and
/// o = o f + sum p v with f = 2^fl(m_before - m), each sum over v one chain over the tile's keys; at the end o fl(1 / l), lse = (m + log2 l) ln 2.
/// </remarks>
internal static unsafe class ForwardKernel<T, TStorage, V, TLanes, TTile>
    where T : unmanaged
    where TStorage : struct, IStorage<T>
    where V : struct
    where TLanes : struct, ILanes<V>
    where TTile : struct, ITile
{
    /// <summary>Computes one work item.</summary>
    /// <param name="geometry">The work.</param>
    /// <param name="tensors">The tensors.</param>
    /// <param name="item">The item.</param>
    /// <param name="nextItem">The item that this worker computes next; -1 where there is none.</param>
    /// <param name="ahead">The first tile of this item where the item before has loaded it, else default; then the first tile of the next one.</param>
    /// <param name="workspace">Scratch memory.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Run(Geometry geometry, in Problem<T> tensors, long item, long nextItem, ref KeyTile ahead, Workspace workspace)
    {
        Problem<T> problem = tensors;
        BlockSizes sizes = geometry.Sizes;
        S2Config config = geometry.Config;
        int columns = sizes.TileColumns, half = columns / 2, depth = sizes.Depth, width = sizes.Width;
        nint panelFloats = (nint)depth * columns, tileFloats = (nint)sizes.TileKeys * sizes.Stride, slack = (nint)BlockSizes.HalfRows * sizes.Stride;

        workspace.Reset();
        Pointer<float> queries = workspace.Take((nint)sizes.BlockQueries * depth + sizes.LoneQueries * width);
        Pointer<float> output = workspace.Take((nint)sizes.BlockQueries * depth + sizes.LoneQueries * width);
        Pointer<float> keysOfOne = workspace.Take(tileFloats, slack), valuesOfOne = workspace.Take(tileFloats, slack);
        Pointer<float> keysOfOther = workspace.Take(tileFloats, slack), valuesOfOther = workspace.Take(tileFloats, slack);
        Pointer<float> rows = workspace.Take(panelFloats);
        Pointer<float> scores = workspace.Take((nint)sizes.TileKeys * columns, (nint)BlockSizes.HalfRows * columns);
        Pointer<float> max = workspace.Take(sizes.BlockQueries);
        Pointer<float> sum = workspace.Take(sizes.BlockQueries);
        Pointer<float> factor = workspace.Take(columns);

        ScaleFactor scale = geometry.ScoreScale;
        if (ahead.Keys.IsNull)
        {
            FirstTile(geometry.Forward(item), keysOfOne, valuesOfOne, ref ahead);
            ahead.Load<T, TStorage, V, TLanes>(problem, sizes, 0, 1);
        }

        (Sequence sequence, ForwardItem work) = ahead.Owner;
        (int head, QueryBlock block) = work;
        QueryRun<int> run = work.Run;

        // The last panel may be one of rows instead.
        int lone = LoneQueries<V, TLanes>.Of(block.Count), inPanels = block.Count - lone, panels = (inPanels + columns - 1) / columns + (lone > 0 ? 1 : 0);
        for (bool isFirst = true, isLast = false; !isLast; isFirst = false)
        {
            KeyTile tile = ahead;
            bool inOne = tile.Keys.IsSameAs(keysOfOne);
            Pointer<float> keys = inOne ? keysOfOther : keysOfOne, values = inOne ? valuesOfOther : valuesOfOne;
            (KeySegment<int> segment, int start) = Following(tile);
            isLast = start < 0;
            if (!isLast)
                TileAt(sequence, head, block, segment, start, keys, values, ref ahead);
            else if (nextItem >= 0)
                FirstTile(nextItem == item + 1 ? geometry.ForwardBehind(item, sequence, work) : geometry.Forward(nextItem), keys, values, ref ahead);
            else
                ahead = default;

            // Panels before the diagonal see nothing of the tile. Between the others the loading of the next tile is shared out, so that its rows arrive while one computes.
            int firstPanel = 0;
            PanelMask mask = MaskOf(tile, firstPanel);
            while (mask.IsEmpty)
                mask = MaskOf(tile, ++firstPanel);
            for (int p = firstPanel; p < panels; p++)
            {
                if (p > firstPanel)
                    mask = MaskOf(tile, p);
                int part = p - firstPanel, parts = panels - firstPanel;
                bool ends = isLast || MaskOf(ahead, p).IsEmpty;
                if (isFirst)
                    Begin(p);
                RowsAhead wanted = default;
                AskAround(p, isFirst, ends, isLast, ahead, ref wanted);
                if (!ahead.Keys.IsNull)
                    ahead.Ask(problem, sizes.HeadDim, part, parts, ref wanted);
                if (IsLone(p))
                    AttendLone(tile, p, mask, isFirst, ref wanted);
                else
                    Attend(tile, p, mask, isFirst, ref wanted);
                if (!ahead.Keys.IsNull)
                    ahead.Load<T, TStorage, V, TLanes>(problem, sizes, part, parts);
                if (ends)
                    Finish(p);
            }
        }

        bool IsLone(int p) => lone > 0 && p == panels - 1;

        int StartOf(int p) => IsLone(p) ? inPanels : p * columns;

        int CountOf(int p) => IsLone(p) ? lone : Math.Min(columns, inPanels - p * columns);

        PanelMask MaskOf(in KeyTile tile, int p) => new(tile.Segment.Causal, block.Start + StartOf(p), CountOf(p), tile.Start, tile.Count);

        // Where the tile after this one starts; -1 where it is the last one of the item. A prefix that is seen whole may leave a block no key of its own.
        (KeySegment<int> Segment, int Start) Following(in KeyTile tile)
        {
            int start = tile.Start + tile.Count;
            return start < EndOf(block, tile.Segment) ? (tile.Segment, start)
                : tile.Segment == run.Prefix && run.Other.Length > 0 ? (run.Other, run.Other.Start)
                : tile.Segment == run.Own || EndOf(block, run.Own) <= run.Own.Start ? (run.Own, -1)
                : (run.Own, run.Own.Start);
        }

        void FirstTile((Sequence Sequence, ForwardItem Item) found, Pointer<float> keys, Pointer<float> values, ref KeyTile tile)
        {
            (Sequence sequence, ForwardItem owner) = found;
            (int head, QueryBlock block) = owner;
            QueryRun<int> run = owner.Run;
            KeySegment<int> segment = run.Prefix.Length > 0 ? run.Prefix : run.Other.Length > 0 ? run.Other : run.Own;
            TileAt(sequence, head, block, segment, segment.Start, keys, values, ref tile);
            tile.Owner = (sequence, owner);
        }

        void TileAt(in Sequence sequence, int head, QueryBlock block, KeySegment<int> segment, int start, Pointer<float> keys, Pointer<float> values, ref KeyTile tile)
        {
            int count = Math.Min(sizes.TileKeys, EndOf(block, segment) - start);
            bool crossesDiagonal = Tiles.Classify(segment.Causal, block.Start, block.Count, start, count) is TileKind.Partial;
            tile.Begin(sequence, problem.ValidOf(sequence, start, count), config.KvHeadOf(head), segment, start, count, checkKeys: false, checkValues: crossesDiagonal, keys, values, sizes.TileKeys);
        }

        static int EndOf(QueryBlock block, KeySegment<int> segment) => segment.Causal ? block.Start + block.Count : segment.Start + segment.Length;

        // The rows of queries that are loaded next, and those of o that this panel writes.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void AskAround(int p, bool isFirst, bool ends, bool isLast, in KeyTile following, ref RowsAhead wanted)
        {
            if (isFirst && p < panels - 1)
                wanted.Add(problem.Query, sequence.Batch, sequence.FirstToken + block.Start + StartOf(p + 1), CountOf(p + 1), head, sizes.HeadDim);
            if (ends)
                wanted.Add(problem.Output, sequence.Batch, sequence.FirstToken + block.Start + StartOf(p), CountOf(p), head, sizes.HeadDim);
            if (isLast && p == panels - 1 && nextItem >= 0)
            {
                (Sequence next, (int nextHead, QueryBlock nextBlock)) = following.Owner;
                wanted.Add(problem.Query, next.Batch, next.FirstToken + nextBlock.Start, Math.Min(columns, nextBlock.Count), nextHead, sizes.HeadDim);
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Begin(int p)
        {
            if (IsLone(p))
            {
                QueryPanel<T, TStorage, V, TLanes>.LoadRows(problem.Query, sizes, sequence, head, block.Start + inPanels, lone, scale, queries + p * panelFloats);
                (max + inPanels).Span(lone).Fill(float.NegativeInfinity);
                (sum + inPanels).Span(lone).Clear();
                return;
            }

            QueryPanel<T, TStorage, V, TLanes>.Load(problem.Query, sizes, sequence, head, block.Start + p * columns, CountOf(p), scale, rows, queries + p * panelFloats);
            Panel<V, TLanes>.Fill(max + p * columns, float.NegativeInfinity);
            Panel<V, TLanes>.Fill(sum + p * columns, 0);
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Attend(in KeyTile tile, int p, PanelMask mask, bool isFirst, ref RowsAhead wanted)
        {
            wanted.Spread(Products<TTile>.Steps(mask, depth));
            Pointer<float> accumulator = output + p * panelFloats;
            Products<TTile>.Scores(mask, depth, tile.Keys, sizes.Stride, queries + p * panelFloats, scores, columns, ref wanted);
            scale.Raise<V, TLanes>(scores, columns, mask.Rows);
            Panel<V, TLanes>.Mask(scores, columns, mask, tile.Valid, float.NegativeInfinity);
            bool shrinks = Products<TTile>.IsHalf(mask)
                ? Panel<V, TLanes>.SoftmaxHalf(scores, mask.Rows, max + p * columns, sum + p * columns, factor)
                : Panel<V, TLanes>.SoftmaxStep(scores, Products<TTile>.RowsOfBoth(mask), mask.Rows, max + p * columns, sum + p * columns, factor);
            if (shrinks && !isFirst)
                Panel<V, TLanes>.Scale(accumulator, depth, factor, Products<TTile>.IsHalf(mask));
            bool exact = mask.IsPartial && !tile.IsFinite;
            if (exact && isFirst)
                accumulator.Span((int)panelFloats).Clear();
            if (exact)
                Exact.Weighted(mask, columns, mask.Queries, depth, tile.Values, sizes.Stride, scores, columns, accumulator);
            else
                Products<TTile>.Weighted(mask, depth, tile.Values, sizes.Stride, scores, columns, accumulator, accumulate: !isFirst, ref wanted);
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void AttendLone(in KeyTile tile, int p, PanelMask mask, bool isFirst, ref RowsAhead wanted)
        {
            int columnsOfScores = BlockSizes.RoundUp(sizes.TileKeys, columns);
            wanted.Spread((mask.Rows + columns - 1) / columns);
            LoneQueries<V, TLanes>.Scores(mask, depth, tile.Keys, sizes.Stride, queries + p * panelFloats, width, rows, scores, columnsOfScores, ref wanted);
            for (int i = 0; i < lone; i++)
            {
                Pointer<float> row = scores + (nint)i * columnsOfScores;
                int seen = mask.SeenBy(i);
                scale.Raise<V, TLanes>(row, columns, (seen + columns - 1) / columns);
                float shrink = LoneQueries<V, TLanes>.SoftmaxStep(row, seen, tile.Valid, ref max[inPanels + i], ref sum[inPanels + i]);
                LoneQueries<V, TLanes>.Weighted(seen, width, tile.Values, sizes.Stride, row, shrink, output + p * panelFloats + (nint)i * width, accumulate: !isFirst);
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Finish(int p)
        {
            int first = block.Start + StartOf(p), count = CountOf(p), stride = IsLone(p) ? width : depth;
            Pointer<float> logSumExp = scores;
            Panel<V, TLanes>.Finish(max + StartOf(p), sum + StartOf(p), count, factor, logSumExp);
            if (!problem.LogSumExp.IsAbsent)
            {
                RowWalk<float> places = problem.LogSumExp.From(sequence.Batch, sequence.FirstToken + first, head);
                for (int i = 0; i < count; i++)
                    places.Next()[0] = logSumExp[i];
            }
            Pointer<float> finished = rows;
            RowAccess access = problem.Output.Access(depth, count, half);
            if (IsLone(p))
            {
                finished = output + p * panelFloats;
                for (int i = 0; i < count; i++)
                    Panel<V, TLanes>.Multiply(finished + (nint)i * width, width, factor[i]);
            }
            else if (access is RowAccess.Even)
            {
                Packing.Transpose(output + p * panelFloats, columns, problem.Output.Block(sequence.Batch, sequence.FirstToken + first, count, head), problem.Output.TokenStride, depth, count, factor, 1);
                return;
            }
            else if (access is RowAccess.Placed)
            {
                Pointer<float>* places = stackalloc Pointer<float>[BlockSizes.MostColumns];
                problem.Output.Places(sequence.Batch, sequence.FirstToken + first, count, head, places);
                Packing.Scatter(output + p * panelFloats, columns, places, count, depth, factor);
                return;
            }
            else
            {
                Packing.Transpose(output + p * panelFloats, columns, rows, depth, depth, count > half ? columns : half, factor, 1);
            }

            RowWalk<T> rowsOfOutput = problem.Output.From(sequence.Batch, sequence.FirstToken + first, head);
            for (int i = 0; i < count; i++)
                TStorage.Narrow<V, TLanes>(finished + (nint)i * stride, rowsOfOutput.Next(), sizes.HeadDim);
        }
    }
}
