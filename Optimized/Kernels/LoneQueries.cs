// How are the last few queries of a block computed, of which a register would hold many more?
using System.Runtime.CompilerServices;

namespace S2Attn.Optimized.Kernels;

/// <summary>
/// The forward pass for queries of which a panel's register would stand almost empty, as the last of 49: one row for each. Keys stand in lanes for the scores, and the elements
/// of a vector for the output. Each sum is the chain that a panel takes, so that a query has the same bits wherever a block puts it.
/// </summary>
internal static unsafe class LoneQueries<V, TLanes>
    where V : struct
    where TLanes : struct, ILanes<V>
{
    /// <summary>How many of a block's queries are computed so: those behind the last whole register, where they are few enough.</summary>
    public static int Of(int queries) => queries % TLanes.Count <= TLanes.Count / BlockForms.LanesOfLone ? queries % TLanes.Count : 0;

    /// <summary>scores[j] of each row = its q . keys[j] for the keys that some row sees.</summary>
    /// <param name="mask">What the rows see.</param>
    /// <param name="depth">D, rounded up.</param>
    /// <param name="keys">The keys.</param>
    /// <param name="stride">Floats between the keys.</param>
    /// <param name="queries">The rows of q.</param>
    /// <param name="width">Floats between the rows of q.</param>
    /// <param name="scratch">Place for two registers of keys.</param>
    /// <param name="scores">A row of scores for each query.</param>
    /// <param name="columnsOfScores">Floats between the rows of scores.</param>
    /// <param name="ahead">What is asked for meanwhile.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Scores(
        PanelMask mask, int depth, Pointer<float> keys, nint stride, Pointer<float> queries, nint width, Pointer<float> scratch, Pointer<float> scores, nint columnsOfScores, ref RowsAhead ahead)
    {
        int lanes = TLanes.Count, columns = 2 * lanes;
        float one = 1;

        // The last register may reach behind the keys that are seen: into slack, in which nothing else may reach. What is computed there is not used.
        keys = keys.WithSlack(BlockSizes.HalfRows * stride);
        for (int j = 0; j < mask.Rows; j += columns)
        {
            ahead.Step();
            Packing.Transpose(keys + j * stride, stride, scratch, columns, Math.Min(columns, BlockSizes.RoundUp(mask.Rows - j, lanes)), depth, new(&one, 1), 0);
            for (int i = 0; i < mask.Queries; i++)
            {
                Pointer<float> query = queries + i * width, row = scores + i * columnsOfScores + j, key = scratch;
                V s0 = TLanes.Broadcast(0), s1 = s0;
                for (int d = 0; d < depth; d++, key += columns)
                {
                    V x = TLanes.Broadcast(query[d]);
                    s0 = TLanes.MultiplyAdd(x, TLanes.Load(key), s0);
                    s1 = TLanes.MultiplyAdd(x, TLanes.Load(key + lanes), s1);
                }

                TLanes.Store(s0, row);
                TLanes.Store(s1, row + lanes);
            }
        }
    }

    /// <summary>
    /// One step of online softmax in base 2 for one row: see <see cref="Panel{V,TLanes}.SoftmaxStep"/>. Scores from the first that the query does not see up to a whole register become 0.
    /// </summary>
    /// <returns>The factor by which what was accumulated before must shrink.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float SoftmaxStep(Pointer<float> scores, int seen, Pointer<byte> valid, ref float max, ref float sum)
    {
        int lanes = TLanes.Count, end = BlockSizes.RoundUp(seen, lanes);
        for (int j = seen; j < end; j++)
            scores[j] = float.NegativeInfinity;
        for (int j = 0; !valid.IsNull && j < seen; j++)
            if (valid[j] == 0)
                scores[j] = float.NegativeInfinity;

        V greatest = TLanes.Broadcast(max);
        for (int j = 0; j < end; j += lanes)
            greatest = TLanes.Max(greatest, TLanes.Load(scores + j));
        float before = max, after = LaneFolds.Max(greatest), shift = after < float.MinValue ? 0 : after;
        V shrink = Exponential.PowerOfTwo<V, TLanes>(TLanes.Broadcast(before - shift)), subtracted = TLanes.Broadcast(shift);
        for (int j = 0; j < end; j += lanes)
            TLanes.Store(Exponential.PowerOfTwo<V, TLanes>(TLanes.Subtract(TLanes.Load(scores + j), subtracted)), scores + j);

        // Even and odd keys apart, as a panel sums them.
        float s0 = 0, s1 = 0;
        for (int j = 0; j < end; j += 2)
        {
            s0 += scores[j];
            s1 += scores[j + 1];
        }

        max = after;
        sum = float.MultiplyAddEstimate(sum, Unsafe.As<V, float>(ref shrink), s0 + s1);
        return Unsafe.As<V, float>(ref shrink);
    }

    /// <summary>result[d] = factor result[d] + sum over the keys that the query sees of weights[j] values[j, d], one chain over the keys.</summary>
    /// <param name="seen">Keys.</param>
    /// <param name="width">Elements of a row: whole pairs of registers.</param>
    /// <param name="values">The values.</param>
    /// <param name="stride">Floats between the values.</param>
    /// <param name="weights">The row of weights.</param>
    /// <param name="factor">By what the row shrinks before.</param>
    /// <param name="result">The row.</param>
    /// <param name="accumulate">Whether the row is added to; else it is overwritten.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Weighted(int seen, int width, Pointer<float> values, nint stride, Pointer<float> weights, float factor, Pointer<float> result, bool accumulate)
    {
        nint lanes = TLanes.Count;
        V shrink = TLanes.Broadcast(factor);
        int d = 0;
        for (; d + 4 * lanes <= width; d += 4 * TLanes.Count)
        {
            Pointer<float> row = result + d, value = values + d;
            V o0 = TLanes.Broadcast(0), o1 = o0, o2 = o0, o3 = o0;
            if (accumulate)
            {
                o0 = TLanes.Multiply(TLanes.Load(row), shrink);
                o1 = TLanes.Multiply(TLanes.Load(row + lanes), shrink);
                o2 = TLanes.Multiply(TLanes.Load(row + 2 * lanes), shrink);
                o3 = TLanes.Multiply(TLanes.Load(row + 3 * lanes), shrink);
            }

            for (int j = 0; j < seen; j++, value += stride)
            {
                V x = TLanes.Broadcast(weights[j]);
                o0 = TLanes.MultiplyAdd(x, TLanes.Load(value), o0);
                o1 = TLanes.MultiplyAdd(x, TLanes.Load(value + lanes), o1);
                o2 = TLanes.MultiplyAdd(x, TLanes.Load(value + 2 * lanes), o2);
                o3 = TLanes.MultiplyAdd(x, TLanes.Load(value + 3 * lanes), o3);
            }

            TLanes.Store(o0, row);
            TLanes.Store(o1, row + lanes);
            TLanes.Store(o2, row + 2 * lanes);
            TLanes.Store(o3, row + 3 * lanes);
        }

        for (; d < width; d += TLanes.Count)
        {
            Pointer<float> row = result + d, value = values + d;
            V o = accumulate ? TLanes.Multiply(TLanes.Load(row), shrink) : TLanes.Broadcast(0);
            for (int j = 0; j < seen; j++, value += stride)
                o = TLanes.MultiplyAdd(TLanes.Broadcast(weights[j]), TLanes.Load(value), o);
            TLanes.Store(o, row);
        }
    }
}
