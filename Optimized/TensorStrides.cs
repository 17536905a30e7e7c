// Where do the rows of a tensor stand in its span?
using S2Attn.Spec;

namespace S2Attn.Optimized;

/// <summary>The order of the dimensions of a dense tensor.</summary>
public enum TensorLayout
{
    /// <summary>[B,N,H,D].</summary>
    TokenMajor,

    /// <summary>[B,H,N,D].</summary>
    HeadMajor,
}

/// <summary>Strides in elements. The D elements of a row are contiguous; the row of (b, t, h) starts at b Batch + t Token + h Head.</summary>
public readonly record struct TensorStrides(long Batch, long Token, long Head)
{
    /// <summary>The strides of a dense tensor.</summary>
    /// <param name="layout">Order of dimensions.</param>
    /// <param name="tokens">N.</param>
    /// <param name="heads">H, or K for keys and values.</param>
    /// <param name="headDim">D.</param>
    public static TensorStrides Dense(TensorLayout layout, int tokens, int heads, int headDim)
    {
        long matrix = Layout.Row(tokens, heads, headDim, 1, 0, 0);
        return layout is TensorLayout.TokenMajor
            ? new(matrix, (long)heads * headDim, headDim)
            : new(matrix, headDim, (long)tokens * headDim);
    }

    /// <summary>Elements that a tensor of these strides reaches: one past its last.</summary>
    internal Int128 Extent(int batch, int tokens, int heads, int headDim) =>
        (Int128)(batch - 1) * Batch + (Int128)(tokens - 1) * Token + (Int128)(heads - 1) * Head + headDim;
}
