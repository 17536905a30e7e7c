// Where in a row-major tensor does an element stand?
using S2Attn.Spec.Algebra;

namespace S2Attn.Spec;

/// <summary>Offsets in elements of a dense [B,N,H,D] tensor.</summary>
public static class Layout
{
    /// <summary>Offset of the vector of batch b, token t, head h: ((b N + t) H + h) D.</summary>
    public static I Row<I, B>(I tokens, I heads, I headDim, I b, I t, I h)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => ((b * tokens + t) * heads + h) * headDim;

    /// <summary>Offset of the vector of batch b, token t, head h, in elements.</summary>
    /// <exception cref="OverflowException">The offset leaves 32 bits; it cannot in a tensor that an array holds.</exception>
    public static int Row(int tokens, int heads, int headDim, int b, int t, int h) =>
        Row<Int, Bool>(tokens, heads, headDim, b, t, h).ToIndex();
}
