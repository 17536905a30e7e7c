// How are dense matrices multiplied, fast and with the same bits on every machine?
using System.Runtime.Intrinsics;
using S2Attn.Optimized.Kernels;

namespace S2Attn.Experiments.Numerics;

/// <summary>
/// Products of row-major matrices in f32, by the register blocks of the attention kernels. Every sum runs over k in ascending order with one rounding for each step, where the processor has
/// fused multiply-adds: no bit depends on the width of its registers or on which block a sum lies in.
/// </summary>
internal static unsafe class Product
{
    // Rows of B that a panel of columns keeps close; a sum is stored and taken up again between two slices, which rounds nothing.
    private const int Depth = 256;

    /// <summary>C [m,n] = A [m,k] B [k,n], or C += A B.</summary>
    /// <exception cref="ArgumentException">A span is shorter than its matrix.</exception>
    public static void Multiply(ReadOnlySpan<float> a, ReadOnlySpan<float> b, Span<float> c, int m, int k, int n, bool accumulate = false)
    {
        Check(a, b, c, m, k, n);
        Run(a, k, 1, b, c, m, k, n, accumulate);
    }

    /// <summary>C [m,n] = Aᵀ B for A [k,m] and B [k,n], or C += Aᵀ B: the gradient of a weight.</summary>
    /// <inheritdoc cref="Multiply" path="/exception"/>
    public static void MultiplyTransposed(ReadOnlySpan<float> a, ReadOnlySpan<float> b, Span<float> c, int m, int k, int n, bool accumulate = false)
    {
        Check(a, b, c, m, k, n);
        Run(a, 1, m, b, c, m, k, n, accumulate);
    }

    /// <summary>B [n,m] = Aᵀ for A [m,n].</summary>
    public static void Transpose(ReadOnlySpan<float> a, Span<float> b, int m, int n)
    {
        for (int i = 0; i < m; i++)
            for (int j = 0; j < n; j++)
                b[j * m + i] = a[i * n + j];
    }

    private static void Check(ReadOnlySpan<float> a, ReadOnlySpan<float> b, Span<float> c, int m, int k, int n)
    {
        if (m < 0 || k < 0 || n < 0 || a.Length < (long)m * k || b.Length < (long)k * n || c.Length < (long)m * n)
            throw new ArgumentException($"[{m},{k}] x [{k},{n}]: the spans hold {a.Length}, {b.Length} and {c.Length} elements.");
    }

    // Element (i, p) of A stands at i row + p column.
    private static void Run(ReadOnlySpan<float> a, nint row, nint column, ReadOnlySpan<float> b, Span<float> c, int m, int k, int n, bool accumulate)
    {
        if (k == 0 && !accumulate)
            c[..(m * n)].Clear();
        fixed (float* first = a, second = b, sums = c)
        {
            // Invariant: C holds the sums over p in [0, start).
            for (int start = 0; start < k; start += Depth)
            {
                Slice slice = new(
                    new Pointer<float>(first, a.Length) + start * column, row, column, new Pointer<float>(second, b.Length) + (nint)start * n, new(sums, c.Length), m, Math.Min(Depth, k - start), n, accumulate || start > 0);
                int done = Vector512.IsHardwareAccelerated ? Panels<Tile8x2<Vector512<float>, Lanes512>>(slice, 0) : 0;
                done = Panels<Tile6x2<Vector256<float>, Lanes256>>(slice, done);
                Singles(slice, 0, m, done, n);
            }
        }
    }

    // As many columns from this one on as whole blocks cover; the first that is left.
    private static int Panels<TTile>(in Slice s, int from)
        where TTile : ITile
    {
        int j = from;
        for (; j + TTile.Columns <= s.N; j += TTile.Columns)
        {
            int i = 0;
            // Smaller blocks first, until the whole ones come out even.
            for (; i + TTile.RestRows <= s.M && (s.M - i) % TTile.Rows != 0; i += TTile.RestRows)
                TTile.MultiplyRest(s.Depth, s.A + i * s.Row, s.Row, s.Column, s.B + j, s.N, s.C + ((nint)i * s.N + j), s.N, s.Accumulate);
            for (; i + TTile.Rows <= s.M; i += TTile.Rows)
                TTile.Multiply(s.Depth, s.A + i * s.Row, s.Row, s.Column, s.B + j, s.N, s.C + ((nint)i * s.N + j), s.N, s.Accumulate);
            Singles(s, i, s.M, j, j + TTile.Columns);
        }

        return j;
    }

    private static void Singles(in Slice s, int firstRow, int endRow, int firstColumn, int endColumn)
    {
        for (int i = firstRow; i < endRow; i++)
            for (int j = firstColumn; j < endColumn; j++)
            {
                ref float target = ref s.C[(nint)i * s.N + j];
                float sum = s.Accumulate ? target : 0;
                for (nint p = 0; p < s.Depth; p++)
                    sum = MathF.FusedMultiplyAdd(s.A[i * s.Row + p * s.Column], s.B[p * s.N + j], sum);
                target = sum;
            }
    }

    // C [M,N] from a cut of k: A [M,Depth] with these strides, B [Depth,N].
    private readonly record struct Slice(Pointer<float> A, nint Row, nint Column, Pointer<float> B, Pointer<float> C, int M, nint Depth, int N, bool Accumulate);
}
