// The products of attention, each a loop of register blocks.
using System.Runtime.CompilerServices;

namespace S2Attn.Optimized.Kernels;

/// <summary>Matrix products over packed operands. Rows are walked in whole register blocks; callers pad.</summary>
internal static unsafe class Products<TTile>
    where TTile : struct, ITile
{
    /// <summary>Register blocks of the two products below: between them rows are asked for.</summary>
    public static int Steps(PanelMask mask, int depth) => IsHalf(mask) ? (mask.Rows + depth) / BlockSizes.HalfRows : (RowsOfBoth(mask) + depth) / TTile.Rows;

    /// <summary>Whether the queries of a panel fill its lower register alone: of all key rows only that half is computed.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsHalf(PanelMask mask) => mask.Queries <= TTile.Columns / 2;

    /// <summary>Key rows of which both halves of a panel are computed; from there on one half is alone: the upper one, whose queries come later.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int RowsOfBoth(PanelMask mask) =>
        IsHalf(mask) ? 0 : mask.IsPartial ? Math.Min(mask.Rows, RowBlocks<TTile>.Covered(Math.Max(mask.Offset + TTile.Columns / 2, 0))) : mask.Rows;

    /// <summary>scores[j, m] = sum over d of keys[j, d] queries[d, m]: q.k, or do.v, of one panel. Entries that no query sees may be left as they are.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Scores(PanelMask mask, int depth, Pointer<float> keys, nint stride, Pointer<float> queries, Pointer<float> scores, nint columnsOfScores, ref RowsAhead ahead)
    {
        int alone = IsHalf(mask) ? 0 : TTile.Columns / 2, both = RowsOfBoth(mask), whole = RowBlocks<TTile>.Whole(both);
        for (int j = 0; j < whole; j += TTile.Rows)
        {
            ahead.Step();
            TTile.Multiply(depth, keys + j * stride, stride, 1, queries, TTile.Columns, scores + j * columnsOfScores, columnsOfScores, accumulate: false);
        }

        for (int j = whole; j < both; j += TTile.RestRows)
            TTile.MultiplyRest(depth, keys + j * stride, stride, 1, queries, TTile.Columns, scores + j * columnsOfScores, columnsOfScores, accumulate: false);

        // The last one computes up to HalfRows - 1 rows too many: slack, in which nothing else may reach.
        keys = keys.WithSlack(BlockSizes.HalfRows * stride);
        scores = scores.WithSlack(BlockSizes.HalfRows * columnsOfScores);
        for (int j = both; j < mask.Rows; j += BlockSizes.HalfRows)
        {
            ahead.Step();
            TTile.MultiplyHalf(depth, keys + j * stride, stride, 1, queries + alone, TTile.Columns, scores + j * columnsOfScores + alone, columnsOfScores, accumulate: false);
        }
    }

    /// <summary>result[d, m] (+)= sum over j of values[j, d] weights[j, m]: p v, or ds k, of one panel.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Weighted(PanelMask mask, int depth, Pointer<float> values, nint stride, Pointer<float> weights, nint columnsOfWeights, Pointer<float> result, bool accumulate, ref RowsAhead ahead)
    {
        int both = RowsOfBoth(mask);
        if (IsHalf(mask))
        {
            for (int d = 0; d < depth; d += BlockSizes.HalfRows)
            {
                ahead.Step();
                TTile.MultiplyHalf(mask.Rows, values + d, 1, stride, weights, columnsOfWeights, result + (nint)d * TTile.Columns, TTile.Columns, accumulate);
            }

            return;
        }

        int lanes = TTile.Columns / 2, whole = RowBlocks<TTile>.Whole(depth);
        for (int d = 0; d < whole; d += TTile.Rows)
        {
            ahead.Step();
            TTile.Multiply(both, values + d, 1, stride, weights, columnsOfWeights, result + (nint)d * TTile.Columns, TTile.Columns, accumulate);
        }

        for (int d = whole; d < depth; d += TTile.RestRows)
            TTile.MultiplyRest(both, values + d, 1, stride, weights, columnsOfWeights, result + (nint)d * TTile.Columns, TTile.Columns, accumulate);
        for (int d = 0; d < depth && both < mask.Rows; d += BlockSizes.HalfRows)
            TTile.MultiplyHalf(mask.Rows - both, values + both * stride + d, 1, stride, weights + both * columnsOfWeights + lanes, columnsOfWeights, result + (nint)d * TTile.Columns + lanes, TTile.Columns, accumulate: true);
    }

    /// <summary>
    /// result[j, d] = sum over m of weights[j, m] rows[m, d] for one block of keys, TTile.Rows or TTile.RestRows: dv from p and do, or dk from ds and q. The rows of the result are width apart.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Transposed(int keys, int queries, int width, Pointer<float> weights, nint columnsOfWeights, Pointer<float> rows, nint stride, Pointer<float> result)
    {
        for (int d = 0; d < width; d += TTile.Columns)
            if (keys == TTile.Rows)
                TTile.Multiply(queries, weights, columnsOfWeights, 1, rows + d, stride, result + d, width, accumulate: false);
            else
                TTile.MultiplyRest(queries, weights, columnsOfWeights, 1, rows + d, stride, result + d, width, accumulate: false);
    }
}
