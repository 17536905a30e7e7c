// How does a small block of a matrix product stay in registers?
using System.Runtime.CompilerServices;

namespace S2Attn.Optimized.Kernels;

/// <summary>
/// The micro-kernel: a block of C with Rows rows and Vectors registers of columns is held in registers while the depth is walked. Every product of the
/// kernel, forward and backward, is made of it.
/// </summary>
internal unsafe interface ITile
{
    /// <summary>Rows of the block.</summary>
    static abstract int Rows { get; }

    /// <summary>Rows of the smaller block that covers what whole blocks leave; Rows where there is none.</summary>
    static abstract int RestRows { get; }

    /// <summary>Columns of the block: registers times lanes.</summary>
    static abstract int Columns { get; }

    /// <summary>C[i, :] (+)= sum over k of A[i, k] B[k, :], each sum one chain of multiply-adds in the order of k.</summary>
    /// <param name="depth">How many k.</param>
    /// <param name="a">A[i, k] at a[i rowStride + k depthStride].</param>
    /// <param name="rowStride">Floats between the rows of A.</param>
    /// <param name="depthStride">Floats between the k of A.</param>
    /// <param name="b">B[k, :] at b[k columnsOfB].</param>
    /// <param name="columnsOfB">Floats between the rows of B.</param>
    /// <param name="c">C[i, :] at c[i columnsOfC].</param>
    /// <param name="columnsOfC">Floats between the rows of C.</param>
    /// <param name="accumulate">Whether C is added to; else it is overwritten.</param>
    static abstract void Multiply(nint depth, Pointer<float> a, nint rowStride, nint depthStride, Pointer<float> b, nint columnsOfB, Pointer<float> c, nint columnsOfC, bool accumulate);

    /// <summary>The same for RestRows rows.</summary>
    static abstract void MultiplyRest(nint depth, Pointer<float> a, nint rowStride, nint depthStride, Pointer<float> b, nint columnsOfB, Pointer<float> c, nint columnsOfC, bool accumulate);

    /// <summary>The same for <see cref="BlockSizes.HalfRows"/> rows and one register of columns, where the diagonal leaves only half of a panel to compute.</summary>
    static abstract void MultiplyHalf(nint depth, Pointer<float> a, nint rowStride, nint depthStride, Pointer<float> b, nint columnsOfB, Pointer<float> c, nint columnsOfC, bool accumulate);
}
