// How do the rows of queries, or of their gradients, become panels with queries in lanes?
using System.Runtime.CompilerServices;

namespace S2Attn.Optimized.Kernels;

/// <summary>Loads query-side tensors: q for both passes, do for the backward pass.</summary>
internal static unsafe class QueryPanel<T, TStorage, V, TLanes>
    where T : unmanaged
    where TStorage : struct, IStorage<T>
    where V : struct
    where TLanes : struct, ILanes<V>
{
    /// <summary>panel[d, i] = scale * tensor[first + i, d] for i below count; the pads of d and the other lanes are 0, but for a register in which no query stands.</summary>
    /// <param name="tensor">The tensor.</param>
    /// <param name="sizes">Block sizes.</param>
    /// <param name="sequence">The sequence that the queries belong to.</param>
    /// <param name="head">Query head.</param>
    /// <param name="first">First query, relative to the sequence.</param>
    /// <param name="count">Queries, at most a panel.</param>
    /// <param name="scale">Factor, but for a power of two above 1.</param>
    /// <param name="rows">Scratch of TileColumns rows of Depth floats.</param>
    /// <param name="panel">Depth rows of TileColumns floats.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Load(in Rows<T> tensor, BlockSizes sizes, Sequence sequence, int head, int first, int count, ScaleFactor scale, Pointer<float> rows, Pointer<float> panel)
    {
        int depth = sizes.Depth;
        RowAccess access = tensor.Access(depth, count, TLanes.Count);
        if (access is RowAccess.Even)
        {
            FromRows(sizes, scale, tensor.Block(sequence.Batch, sequence.FirstToken + first, count, head), tensor.TokenStride, panel, count);
            return;
        }

        if (access is RowAccess.Placed)
        {
            Pointer<float>* places = stackalloc Pointer<float>[BlockSizes.MostColumns];
            tensor.Places(sequence.Batch, sequence.FirstToken + first, count, head, places);
            Packing.Gather(places, count, depth, panel, sizes.TileColumns, scale.Mantissa);
            Lower(sizes, scale, panel);
            return;
        }

        Packing.Rows<T, TStorage, V, TLanes>(tensor, sequence.Batch, sequence.FirstToken + first, count, head, default, rows, depth, sizes.HeadDim, depth);

        // Lanes of a register without a query compute like the others; a register without one is left alone.
        int lanes = count > TLanes.Count ? 2 * TLanes.Count : TLanes.Count;
        if (count < lanes)
            (rows + (nint)count * depth).Span((lanes - count) * depth).Clear();
        FromRows(sizes, scale, rows, depth, panel, lanes);
    }

    /// <summary>rows[i, d] = scale * tensor[first + i, d] for i below count, and 0 from D up to Width: the same numbers where queries stand in rows.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void LoadRows(in Rows<T> tensor, BlockSizes sizes, Sequence sequence, int head, int first, int count, ScaleFactor scale, Pointer<float> rows)
    {
        Packing.Rows<T, TStorage, V, TLanes>(tensor, sequence.Batch, sequence.FirstToken + first, count, head, default, rows, sizes.Width, sizes.HeadDim, sizes.Width);
        scale.MultiplyQueries<V, TLanes>(rows, count * sizes.Width / sizes.TileColumns);
    }

    /// <summary>panel[d, i] = scale * rows[i, d] for so many lanes, and rows of Depth floats or more.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void FromRows(BlockSizes sizes, ScaleFactor scale, Pointer<float> rows, nint stride, Pointer<float> panel, int lanes)
    {
        float mantissa = scale.Mantissa;
        Packing.Transpose(rows, stride, panel, sizes.TileColumns, lanes, sizes.Depth, new(&mantissa, 1), 0);
        Lower(sizes, scale, panel);
    }

    private static void Lower(BlockSizes sizes, ScaleFactor scale, Pointer<float> panel)
    {
        if (scale.Exponent < 0)
            scale.Lower<V, TLanes>(panel, sizes.TileColumns, sizes.Depth);
    }
}
