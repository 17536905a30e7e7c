// The backward pass of one group of runs under one kv head: dq, dk and dv, with the weights recomputed from logsumexp.
using System.Runtime.CompilerServices;
using S2Attn.Spec;

namespace S2Attn.Optimized.Kernels;

/// <summary>
/// The same panels, tiles and register blocks as the forward pass. A block of queries is held while the tiles of keys go by: dq stays in the workspace, and each
/// tile adds its share to dk and dv where they lie. No other work item of the phase touches these rows, and the order of additions is fixed.
/// </summary>
/// <remarks>
/// Arithmetic, in this order: s as in the forward pass; p = 2^fl(s - fl(lse log2 e)); dp = do.v and delta = do.o by chains of multiply-adds; ds = fl(p fl(dp - delta));
/// dq = scale times the chain of ds k; dv and dk gain the chain of p do, and scale times the chain of ds q, over each block of queries.
/// Where lse has a gradient, delta = fl(do.o - dlse).
/// </remarks>
internal static unsafe class BackwardKernel<T, TStorage, V, TLanes, TTile>
    where T : unmanaged
    where TStorage : struct, IStorage<T>
    where V : struct
    where TLanes : struct, ILanes<V>
    where TTile : struct, ITile
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Run(Geometry geometry, Problem<T> problem, int phase, long item, Workspace workspace)
    {
        S2Config config = geometry.Config;
        (Sequence sequence, (int of, int kvHead, RunGroup group)) = geometry.Backward(phase, item);
        HeadRuns headRuns = geometry.RunsOf(sequence, of);
        ReadOnlySpan<int> members = group.Second < 0 ? [group.First] : [group.First, group.Second];
        if (!geometry.IsSlice && geometry.Classes.IsFirst(of, kvHead))
            foreach (int member in members)
                Clear(geometry, problem, sequence, kvHead, headRuns[member]);

        int share = config.Heads / config.KvHeads, step = geometry.Sizes.BackwardQueries;
        for (int head = kvHead * share; head < (kvHead + 1) * share; head++)
            if (geometry.Classes.Of(head) == of)
                foreach (int member in members)
                {
                    QueryRun<int> run = headRuns[member];
                    for (int start = 0; start < run.Length; start += step)
                        Block(geometry, problem, sequence, head, run, run.Start + start, Math.Min(step, run.Length - start), workspace);
                }
    }

    /// <summary>
    /// What the keys of a prefix receive from all queries that see them through it: head by head, and in each in the order of the tokens. The phases before have added what their own runs give.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void RunPrefix(Geometry geometry, Problem<T> problem, long item, Workspace workspace)
    {
        (Sequence sequence, (int kvHead, int firstKey)) = geometry.Prefix(item);
        int share = geometry.Config.Heads / geometry.Config.KvHeads, step = geometry.Sizes.BackwardQueries;
        for (int head = kvHead * share; head < (kvHead + 1) * share; head++)
        {
            HeadRuns headRuns = geometry.RunsOf(sequence, geometry.Classes.Of(head));
            for (int k = 0, end = 0; k < headRuns.Count && end < sequence.QueryEnd; k++)
            {
                QueryRun<int> run = headRuns.PrefixRun(k);
                int keys = Math.Min(run.Prefix.Length - firstKey, geometry.Sizes.BackwardKeys);
                end = run.Start + run.Length;
                run = run with { Prefix = new(firstKey, keys, Causal: false) };
                for (int first = run.Start; first < end && keys > 0; first += step)
                    Block(geometry, problem, sequence, head, run, first, Math.Min(step, end - first), workspace, ofPrefix: true);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Clear(Geometry geometry, in Problem<T> problem, Sequence sequence, int kvHead, QueryRun<int> run)
    {
        for (int t = run.Start; t < run.Start + run.Length; t++)
        {
            (problem.KeyGradient.At(sequence.Batch, sequence.FirstToken + t, kvHead)).Span(geometry.Sizes.HeadDim).Clear();
            (problem.ValueGradient.At(sequence.Batch, sequence.FirstToken + t, kvHead)).Span(geometry.Sizes.HeadDim).Clear();
        }
    }

    // The gradients that queries [first, first + count) of a run give and receive; or only those that they give to keys of a prefix.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Block(Geometry geometry, Problem<T> problem, Sequence sequence, int head, QueryRun<int> run, int first, int count, Workspace workspace, bool ofPrefix = false)
    {
        BlockSizes sizes = geometry.Sizes;
        S2Config config = geometry.Config;
        int columns = sizes.TileColumns, depth = sizes.Depth, width = sizes.Width, stride = sizes.Stride, scoreStride = sizes.ScoreStride, held = sizes.BackwardQueries;
        int panels = (count + columns - 1) / columns, kvHead = config.KvHeadOf(head);
        nint panelFloats = (nint)depth * columns;

        workspace.Reset();
        Pointer<float> queries = workspace.Take((nint)held * depth);
        Pointer<float> outputGradients = workspace.Take((nint)held * depth);
        Pointer<float> queryGradients = workspace.Take((nint)held * depth);
        Pointer<float> queryRows = workspace.Take((nint)held * stride);
        Pointer<float> outputGradientRows = workspace.Take((nint)held * stride);
        Pointer<float> keys = workspace.Take((nint)sizes.BackwardKeys * stride, (nint)BlockSizes.HalfRows * stride);
        Pointer<float> values = workspace.Take((nint)sizes.BackwardKeys * stride, (nint)BlockSizes.HalfRows * stride);
        Pointer<float> weights = workspace.Take((nint)sizes.BackwardKeys * scoreStride, (nint)BlockSizes.HalfRows * scoreStride);
        Pointer<float> scoreGradients = workspace.Take((nint)sizes.BackwardKeys * scoreStride, (nint)BlockSizes.HalfRows * scoreStride);
        Pointer<float> scratch = workspace.Take(panelFloats);
        Pointer<float> share = workspace.Take((nint)TTile.Rows * width);
        Pointer<float> logSumExp = workspace.Take(held);
        Pointer<float> delta = workspace.Take(held);

        ScaleFactor scale = ScaleFactor.Of(config.Scale, 1), scoreScale = geometry.ScoreScale;
        for (int i = 0; i < panels * columns; i++)
            LoadRow(i);
        for (int p = 0; p < panels; p++)
        {
            nint at = (nint)p * columns * stride;
            QueryPanel<T, TStorage, V, TLanes>.FromRows(sizes, scoreScale, queryRows + at, stride, queries + p * panelFloats, columns);
            QueryPanel<T, TStorage, V, TLanes>.FromRows(sizes, ScaleFactor.One, outputGradientRows + at, stride, outputGradients + p * panelFloats, columns);
        }

        queryGradients.Span((int)(panels * panelFloats)).Clear();
        bool isFinite = Packing.AllFinite<V, TLanes>(queryRows, stride, count, width) && Packing.AllFinite<V, TLanes>(outputGradientRows, stride, count, width);
        Visit(run.Prefix, shares: ofPrefix);
        if (ofPrefix)
            return;
        Visit(run.Other, shares: true);
        Visit(run.Own, shares: true);
        for (int p = 0; p < panels; p++)
            Finish(p);

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void LoadRow(int i)
        {
            Pointer<float> queryRow = queryRows + (nint)i * stride, gradientRow = outputGradientRows + (nint)i * stride;
            if (i >= count)
            {
                // Weights of lanes without a query are 2^-infinity.
                queryRow.Span(width).Clear();
                gradientRow.Span(width).Clear();
                logSumExp[i] = float.PositiveInfinity;
                delta[i] = 0;
                return;
            }

            int token = sequence.FirstToken + first + i;
            Packing.Row<T, TStorage, V, TLanes>(problem.Output.At(sequence.Batch, token, head), queryRow, sizes.HeadDim, width);
            Packing.Row<T, TStorage, V, TLanes>(problem.OutputGradient.At(sequence.Batch, token, head), gradientRow, sizes.HeadDim, width);
            delta[i] = Panel<V, TLanes>.Dot(queryRow, gradientRow, width);
            Packing.Row<T, TStorage, V, TLanes>(problem.Query.At(sequence.Batch, token, head), queryRow, sizes.HeadDim, width);
            if (!problem.LogSumExpGradient.IsAbsent)
                delta[i] -= problem.LogSumExpGradient.At(sequence.Batch, token, head)[0];
            float lse = problem.LogSumExp.At(sequence.Batch, token, head)[0];
            logSumExp[i] = float.IsNegativeInfinity(lse) ? float.PositiveInfinity : (float)(lse * Math.Log2(Math.E));
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Visit(KeySegment<int> segment, bool shares)
        {
            int end = segment.Causal ? first + count : segment.Start + segment.Length;
            for (int start = segment.Start; start < end; start += sizes.BackwardKeys)
            {
                int keyCount = Math.Min(sizes.BackwardKeys, end - start);
                bool mayMask = Tiles.Classify(segment.Causal, first, count, start, keyCount) is TileKind.Partial;

                // Values meet do alone, in products that are masked before they meet anything else.
                KeyTile tile = default;
                tile.Begin(sequence, problem.ValidOf(sequence, start, keyCount), kvHead, segment, start, keyCount, checkKeys: mayMask, checkValues: false, keys, values, sizes.BackwardKeys);
                tile.Load<T, TStorage, V, TLanes>(problem, sizes, 0, 1);
                bool exact = mayMask && !(tile.IsFinite && isFinite);
                int firstPanel = 0;
                while (MaskOf(firstPanel).IsEmpty)
                    firstPanel++;
                for (int p = firstPanel; p < panels; p++)
                {
                    RowsAhead wanted = default;
                    AskAround(p - firstPanel, panels - firstPanel, ref wanted);
                    Differentiate(tile, p, MaskOf(p), exact, ref wanted);
                }

                if (!shares)
                    continue;
                int wholeKeys = RowBlocks<TTile>.Whole(keyCount);
                for (int j = 0; j < wholeKeys; j += TTile.Rows)
                    Share(tile, j, TTile.Rows, exact);
                for (int j = wholeKeys; j < keyCount; j += TTile.RestRows)
                    Share(tile, j, TTile.RestRows, exact);

                // The gradients to which this tile adds, then the rows of the next tile.
                [MethodImpl(MethodImplOptions.AggressiveOptimization)]
                void AskAround(int part, int parts, ref RowsAhead wanted)
                {
                    int from = keyCount * part / parts, to = keyCount * (part + 1) / parts, token = sequence.FirstToken + start;
                    if (shares)
                    {
                        wanted.Add(problem.ValueGradient, sequence.Batch, token + from, to - from, kvHead, sizes.HeadDim);
                        wanted.Add(problem.KeyGradient, sequence.Batch, token + from, to - from, kvHead, sizes.HeadDim);
                    }

                    int next = Math.Min(sizes.BackwardKeys, end - start - keyCount);
                    from = keyCount + next * part / parts;
                    to = keyCount + next * (part + 1) / parts;
                    wanted.Add(problem.Key, sequence.Batch, token + from, to - from, kvHead, sizes.HeadDim);
                    wanted.Add(problem.Value, sequence.Batch, token + from, to - from, kvHead, sizes.HeadDim);
                    if (segment == run.Own && next == 0)
                        AskForNextBlock(part, parts, ref wanted);
                }

                PanelMask MaskOf(int p) => new(segment.Causal, first + p * columns, Math.Min(columns, count - p * columns), start, keyCount);

                // The block of keys [j, j + rowsOfBlock) gains from every panel that sees it; panels before the diagonal do not.
                [MethodImpl(MethodImplOptions.AggressiveOptimization)]
                void Share(in KeyTile tile, int j, int rowsOfBlock, bool exact)
                {
                    int firstPanel = 0;
                    while (firstPanel < panels && MaskOf(firstPanel).Rows <= j)
                        firstPanel++;
                    nint at = j * (nint)scoreStride + firstPanel * columns;
                    Gain(weights, outputGradientRows, ScaleFactor.One, problem.ValueGradient, tile);
                    Gain(scoreGradients, queryRows, scale, problem.KeyGradient, tile);

                    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
                    void Gain(Pointer<float> panel, Pointer<float> rows, ScaleFactor factor, in Rows<float> target, in KeyTile tile)
                    {
                        if (exact)
                        {
                            share.Span(rowsOfBlock * width).Clear();
                            for (int p = firstPanel; p < panels; p++)
                                Exact.Transposed(MaskOf(p), Math.Min(columns, count - p * columns), j, rowsOfBlock, width, panel + p * columns, scoreStride, rows + (nint)p * columns * stride, stride, share);
                        }
                        else
                        {
                            Products<TTile>.Transposed(rowsOfBlock, count - firstPanel * columns, width, panel + at, scoreStride, rows + (nint)firstPanel * columns * stride, stride, share);
                        }

                        float multiplier = factor.Mantissa;
                        if (factor.Exponent != 0)
                        {
                            multiplier = 1;
                            factor.Multiply<V, TLanes>(share, rowsOfBlock * width / columns);
                        }

                        for (int r = 0; r < Math.Min(rowsOfBlock, tile.Count - j); r++)
                            if (tile.Valid.IsNull || tile.Valid[j + r] != 0)
                                Panel<V, TLanes>.Add(share + (nint)r * width, multiplier, target.At(sequence.Batch, sequence.FirstToken + tile.Start + j + r, kvHead), sizes.HeadDim);
                    }
                }
            }
        }

        // Behind the last tile come the queries of the next block of the run.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void AskForNextBlock(int part, int parts, ref RowsAhead wanted)
        {
            int start = first + count, next = Math.Clamp(run.Start + run.Length - start, 0, held);
            int from = sequence.FirstToken + start + next * part / parts, rows = sequence.FirstToken + start + next * (part + 1) / parts - from;
            wanted.Add(problem.Output, sequence.Batch, from, rows, head, sizes.HeadDim);
            wanted.Add(problem.OutputGradient, sequence.Batch, from, rows, head, sizes.HeadDim);
            wanted.Add(problem.Query, sequence.Batch, from, rows, head, sizes.HeadDim);
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Differentiate(in KeyTile tile, int p, PanelMask mask, bool exact, ref RowsAhead wanted)
        {
            wanted.Spread(2 * Products<TTile>.Steps(mask, depth) - depth / TTile.Rows);
            Pointer<float> weight = weights + p * columns, gradient = scoreGradients + p * columns;
            Products<TTile>.Scores(mask, depth, tile.Keys, stride, queries + p * panelFloats, weight, scoreStride, ref wanted);
            Products<TTile>.Scores(mask, depth, tile.Values, stride, outputGradients + p * panelFloats, gradient, scoreStride, ref wanted);
            scoreScale.Raise<V, TLanes>(weight, scoreStride, mask.Rows);
            Panel<V, TLanes>.SoftmaxGradient(weight, gradient, scoreStride, mask.Rows, logSumExp + p * columns, delta + p * columns, Products<TTile>.IsHalf(mask));

            // After the step and not before: a logsumexp that is NaN makes even 2^-infinity NaN.
            Panel<V, TLanes>.Mask(weight, scoreStride, mask, tile.Valid, 0);
            Panel<V, TLanes>.Mask(gradient, scoreStride, mask, tile.Valid, 0);

            // The block of keys in which the visible ones end is multiplied whole.
            for (int j = mask.Rows; j < Math.Min(mask.Rows + TTile.Rows - 1, sizes.BackwardKeys); j++)
            {
                Panel<V, TLanes>.Fill(weight + (nint)j * scoreStride, 0);
                Panel<V, TLanes>.Fill(gradient + (nint)j * scoreStride, 0);
            }

            if (ofPrefix)
                return;
            if (exact)
                Exact.Weighted(mask, columns, mask.Queries, depth, tile.Keys, stride, gradient, scoreStride, queryGradients + p * panelFloats);
            else
                Products<TTile>.Weighted(mask, depth, tile.Keys, stride, gradient, scoreStride, queryGradients + p * panelFloats, accumulate: true, ref wanted);
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Finish(int p)
        {
            scale.Multiply<V, TLanes>(queryGradients + p * panelFloats, depth);
            float one = 1;
            Packing.Transpose(queryGradients + p * panelFloats, columns, scratch, depth, depth, columns, new(&one, 1), 0);
            for (int i = 0; i < Math.Min(columns, count - p * columns); i++)
            {
                Pointer<float> row = scratch + (nint)i * depth;
                int token = sequence.FirstToken + first + p * columns + i;
                if (problem.StoredQueryGradient.IsAbsent)
                    SingleStorage.Narrow<V, TLanes>(row, problem.QueryGradient.At(sequence.Batch, token, head), sizes.HeadDim);
                else
                    TStorage.Narrow<V, TLanes>(row, problem.StoredQueryGradient.At(sequence.Batch, token, head), sizes.HeadDim);
            }
        }
    }
}
