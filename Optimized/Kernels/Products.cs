// The products of attention, each a loop of register blocks.
using System.Runtime.CompilerServices;

namespace S2Attn.Optimized.Kernels;

/// <summary>Matrix products over packed operands. Rows are walked in whole register blocks; callers pad.</summary>
internal static unsafe class Products<TTile>
    where TTile : struct, ITile
{
    /// <summary>Register blocks of the two products below: between them rows are asked for.</summary>
    public static int Steps(PanelMask mask, int depth) => (mask.RowsOfLowerHalf(TTile.Columns / 2, TTile.Rows) + depth) / TTile.Rows;

    /// <summary>scores[j, m] = sum over d of keys[j, d] queries[d, m]: q.k, or do.v, of one panel. Entries that no query sees may be left as they are.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Scores(PanelMask mask, int depth, Pointer<float> keys, Pointer<float> queries, Pointer<float> scores, nint columnsOfScores, ref RowsAhead ahead)
    {
        int lanes = TTile.Columns / 2, whole = mask.RowsOfLowerHalf(lanes, TTile.Rows);
        for (int j = 0; j < whole; j += TTile.Rows)
        {
            ahead.Step();
            TTile.Multiply(depth, keys + (nint)j * depth, depth, 1, queries, TTile.Columns, scores + j * columnsOfScores, columnsOfScores, accumulate: false);
        }

        for (int j = whole; j < mask.Rows; j += TTile.Rows)
            TTile.MultiplyHalf(depth, keys + (nint)j * depth, depth, 1, queries + lanes, TTile.Columns, scores + j * columnsOfScores + lanes, columnsOfScores, accumulate: false);
    }

    /// <summary>result[d, m] += sum over j of values[j, d] weights[j, m]: p v, or ds k, of one panel.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Weighted(PanelMask mask, int depth, Pointer<float> values, Pointer<float> weights, nint columnsOfWeights, Pointer<float> result, ref RowsAhead ahead)
    {
        int lanes = TTile.Columns / 2, whole = mask.RowsOfLowerHalf(lanes, TTile.Rows);
        for (int d = 0; d < depth; d += TTile.Rows)
        {
            ahead.Step();
            Pointer<float> target = result + (nint)d * TTile.Columns;
            TTile.Multiply(whole, values + d, 1, depth, weights, columnsOfWeights, target, TTile.Columns, accumulate: true);
            if (whole < mask.Rows)
                TTile.MultiplyHalf(mask.Rows - whole, values + (nint)whole * depth + d, 1, depth, weights + whole * columnsOfWeights + lanes, columnsOfWeights, target + lanes, TTile.Columns, accumulate: true);
        }
    }

    /// <summary>result[j, d] = sum over m of weights[j, m] rows[m, d] for one register block of keys: dv from p and do, or dk from ds and q.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Transposed(int queries, int width, Pointer<float> weights, nint columnsOfWeights, Pointer<float> rows, Pointer<float> result)
    {
        for (int d = 0; d < width; d += TTile.Columns)
            TTile.Multiply(queries, weights, columnsOfWeights, 1, rows + d, width, result + d, width, accumulate: false);
    }
}
