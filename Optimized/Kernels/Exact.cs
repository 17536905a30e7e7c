// Products that skip masked pairs one by one, for the rare tile in which a masked operand is NaN or infinite.
using System.Runtime.CompilerServices;

namespace S2Attn.Optimized.Kernels;

/// <summary>
/// A masked weight is 0, and 0 times NaN is NaN. Where a tile on the diagonal holds a number that is not finite, these loops take the place of the register
/// blocks; they compute the same sums over visible pairs alone.
/// </summary>
internal static unsafe class Exact
{
    /// <summary>result[d, i] += sum over visible j of values[j, d] weights[j, i].</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Weighted(PanelMask mask, int columns, int queries, int depth, Pointer<float> values, nint stride, Pointer<float> weights, nint columnsOfWeights, Pointer<float> result)
    {
        for (int i = 0; i < queries; i++)
            for (int j = 0; j < mask.Rows; j++)
                if (mask.Sees(i, j))
                    for (int d = 0; d < depth; d++)
                        result[(nint)d * columns + i] = float.MultiplyAddEstimate(values[j * stride + d], weights[j * columnsOfWeights + i], result[(nint)d * columns + i]);
    }

    /// <summary>result[j, d] = sum over the queries i that see j of weights[j, i] rows[i, d], for rows [firstKey, firstKey + keys).</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Transposed(PanelMask mask, int queries, int firstKey, int keys, int width, Pointer<float> weights, nint columnsOfWeights, Pointer<float> rows, nint stride, Pointer<float> result)
    {
        for (int j = firstKey; j < Math.Min(firstKey + keys, mask.Rows); j++)
            for (int i = 0; i < queries; i++)
                if (mask.Sees(i, j))
                    for (int d = 0; d < width; d++)
                        result[(nint)(j - firstKey) * width + d] = float.MultiplyAddEstimate(weights[j * columnsOfWeights + i], rows[i * stride + d], result[(nint)(j - firstKey) * width + d]);
    }
}
