// The forward pass of one block of queries: o and logsumexp by online softmax over tiles of keys.
using System.Diagnostics;
using S2Attn.Spec;

namespace S2Attn.Optimized.Kernels;

/// <summary>
/// FlashAttention-style forward kernel (Dao, arXiv 2307.08691) on transposed panels: scores, weights and the accumulator have queries in lanes, so that
/// maximum, sum and rescaling need no operation across lanes and one register block serves both products.
/// </summary>
/// <remarks>
/// Arithmetic, in this order: q' = fl(q c) with c = fl(scale log2 e); s = q'.k by one chain of multiply-adds over d; p = 2^fl(s - m); per tile l = l f + sum p and
/// o = o f + sum p v with f = 2^fl(m_before - m), each sum over v one chain over the tile's keys; at the end o fl(1 / l), lse = (m + log2 l) ln 2.
/// </remarks>
internal static unsafe class ForwardKernel<T, TStorage, V, TLanes, TTile>
    where T : unmanaged
    where TStorage : struct, IStorage<T>
    where V : struct
    where TLanes : struct, ILanes<V>
    where TTile : struct, ITile
{
    /// <summary>Floats of workspace that <see cref="Run"/> takes.</summary>
    public static nint WorkspaceFloats(BlockSizes sizes)
    {
        nint block = (nint)sizes.BlockQueries * sizes.Depth, tile = (nint)sizes.TileKeys * sizes.Depth;
        nint panel = (nint)sizes.TileColumns * sizes.Depth, scores = (nint)sizes.TileKeys * sizes.TileColumns;
        return Workspace.Sum(block, block, tile, tile, panel, scores, sizes.BlockQueries, sizes.BlockQueries, sizes.TileColumns);
    }

    /// <summary>Computes one work item; the next one, or -1, is asked for from memory meanwhile.</summary>
    public static void Run(Geometry geometry, Problem<T> problem, int item, int nextItem, Workspace workspace)
    {
        BlockSizes sizes = geometry.Sizes;
        S2Config config = geometry.Config;
        (Sequence sequence, (int head, QueryBlock block)) = geometry.Forward(item);
        QueryRun<int> run = sequence.RunsOf(geometry.Shifts(head)).Runs[block.Run];
        int columns = sizes.TileColumns, depth = sizes.Depth;
        int panels = (block.Count + columns - 1) / columns;
        nint panelFloats = (nint)depth * columns;

        workspace.Reset();
        float* queries = workspace.Take((nint)sizes.BlockQueries * depth);
        float* output = workspace.Take((nint)sizes.BlockQueries * depth);
        float* keys = workspace.Take((nint)sizes.TileKeys * depth);
        float* values = workspace.Take((nint)sizes.TileKeys * depth);
        float* rows = workspace.Take(panelFloats);
        float* scores = workspace.Take((nint)sizes.TileKeys * columns);
        float* max = workspace.Take(sizes.BlockQueries);
        float* sum = workspace.Take(sizes.BlockQueries);
        float* factor = workspace.Take(columns);

        float scale = (float)(config.Scale * Math.Log2(Math.E));
        for (int p = 0; p < panels; p++)
        {
            QueryPanel<T, TStorage, V, TLanes>.Load(problem.Query, sizes, sequence, head, block.Start + p * columns, Math.Min(columns, block.Count - p * columns), scale, rows, queries + p * panelFloats);
            Panel<V, TLanes>.Fill(max + p * columns, float.NegativeInfinity);
            Panel<V, TLanes>.Fill(sum + p * columns, 0);
        }

        new Span<float>(output, (int)(panels * panelFloats)).Clear();
        Visit(run.Other);
        Visit(run.Own);
        for (int p = 0; p < panels; p++)
            Finish(p);

        void Visit(KeySegment<int> segment)
        {
            int end = segment.Causal ? block.Start + block.Count : segment.Start + segment.Length;
            for (int start = segment.Start; start < end; start += sizes.TileKeys)
            {
                int count = Math.Min(sizes.TileKeys, end - start);
                bool crossesDiagonal = Tiles.Classify(segment.Causal, block.Start, block.Count, start, count) is TileKind.Partial;
                KeyTile tile = KeyTile.Load<T, TStorage, V, TLanes>(problem, sizes, sequence, config.Tokens, config.KvHeadOf(head), start, count, crossesDiagonal, keys, values);
                bool isLast = start + count >= end;
                for (int p = 0; p < panels; p++)
                {
                    if (!isLast)
                        KeyTile.Prefetch(problem, sizes, sequence, config.KvHeadOf(head), start + count, Math.Min(sizes.TileKeys, end - start - count), p, panels);
                    else if (segment == run.Own)
                        PrefetchAhead(p);
                    Attend(tile, p, new PanelMask(segment.Causal, block.Start + p * columns, Math.Min(columns, block.Count - p * columns), start, count));
                }
            }
        }

        // Behind the last tile come the rows that this item writes, and the first that the next item reads.
        void PrefetchAhead(int p)
        {
            problem.Output.Prefetch(sequence.Batch, sequence.FirstToken + block.Start, block.Count, head, sizes.HeadDim, p, panels);
            if (nextItem < 0)
                return;
            (Sequence next, (int nextHead, QueryBlock nextBlock)) = geometry.Forward(nextItem);
            QueryRun<int> nextRun = next.RunsOf(geometry.Shifts(nextHead)).Runs[nextBlock.Run];
            KeySegment<int> first = nextRun.Other.Length > 0 ? nextRun.Other : nextRun.Own;
            problem.Query.Prefetch(next.Batch, next.FirstToken + nextBlock.Start, nextBlock.Count, nextHead, sizes.HeadDim, p, panels);
            KeyTile.Prefetch(problem, sizes, next, config.KvHeadOf(nextHead), first.Start, Math.Min(sizes.TileKeys, first.Length), p, panels);
        }

        void Attend(in KeyTile tile, int p, PanelMask mask)
        {
            if (mask.IsEmpty)
                return;
            float* accumulator = output + p * panelFloats;
            Products<TTile>.Scores(mask, depth, tile.Keys, queries + p * panelFloats, scores, columns);
            Panel<V, TLanes>.Mask(scores, columns, mask, tile.Valid, float.NegativeInfinity);
            if (Panel<V, TLanes>.SoftmaxStep(scores, mask.Rows, max + p * columns, sum + p * columns, factor))
                Panel<V, TLanes>.Scale(accumulator, depth, factor);
            if (mask.IsPartial && !tile.IsFinite)
                Exact.Weighted(mask, columns, depth, tile.Values, scores, columns, accumulator);
            else
                Products<TTile>.Weighted(mask, depth, tile.Values, scores, columns, accumulator);
        }

        void Finish(int p)
        {
            int first = block.Start + p * columns, count = Math.Min(columns, block.Count - p * columns);
            float* total = sum + p * columns;
            for (int i = 0; i < count; i++)
            {
                if (problem.LogSumExp != null)
                {
                    nint at = Layout.Row(config.Tokens, config.Heads, 1, sequence.Batch, sequence.FirstToken + first + i, head);
                    problem.LogSumExp[at] = (float)((max[p * columns + i] + Math.Log2(total[i])) * Math.Log(2));
                }

                factor[i] = total[i] == 0 ? 0 : 1 / total[i];
            }

            Panel<V, TLanes>.Scale(output + p * panelFloats, depth, factor);
            if (TStorage.IsSingle && count == columns && sizes.HeadDim == depth)
            {
                T* target = problem.Output.At(sequence.Batch, sequence.FirstToken + first, head);
                Packing.Transpose(output + p * panelFloats, columns, (float*)target, problem.Output.TokenStride, depth, columns);
                return;
            }

            Packing.Transpose(output + p * panelFloats, columns, rows, depth, depth, columns);
            for (int i = 0; i < count; i++)
                TStorage.Narrow(rows + (nint)i * depth, problem.Output.At(sequence.Batch, sequence.FirstToken + first + i, head), sizes.HeadDim);
        }
    }
}
