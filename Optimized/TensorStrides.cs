// Where do the rows of a tensor stand in its span?
namespace S2Attn.Optimized;

/// <summary>The order of the dimensions of a dense tensor.</summary>
public enum TensorLayout
{
    /// <summary>[B,N,H,D].</summary>
    TokenMajor,

    /// <summary>[B,H,N,D].</summary>
    HeadMajor,
}

/// <summary>
/// Strides in elements, in 64 bits. The D elements of a row are contiguous; the row of (b, t, h) starts b Batch + t Token + h Head elements from that of (0, 0, 0).
/// </summary>
/// <remarks>
/// Strides of what is read may be anything: 0 for an axis along which one row stands for all (expand), negative for a reversed one. What is written
/// needs rows that share no element. A span starts at the tensor's lowest element, a pointer points at element [0,0,0,0]; they differ where a stride is negative.
/// </remarks>
public readonly record struct TensorStrides(long Batch, long Token, long Head)
{
    /// <summary>The strides of a dense tensor.</summary>
    /// <param name="layout">Order of dimensions.</param>
    /// <param name="tokens">N.</param>
    /// <param name="heads">H, or K for keys and values.</param>
    /// <param name="headDim">D.</param>
    public static TensorStrides Dense(TensorLayout layout, int tokens, int heads, int headDim)
    {
        long matrix = (long)tokens * heads * headDim;
        return layout is TensorLayout.TokenMajor
            ? new(matrix, (long)heads * headDim, headDim)
            : new(matrix, headDim, (long)tokens * headDim);
    }
}
