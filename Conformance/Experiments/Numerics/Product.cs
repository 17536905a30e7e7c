// How are dense matrices multiplied, fast and with the same bits on every machine?
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace S2Attn.Experiments.Numerics;

/// <summary>
/// Products of row-major matrices in f32, by blocks of 6 x 16 sums in registers. Every sum runs over k in ascending order with one rounding for each step
/// (<see cref="Vector256.FusedMultiplyAdd(Vector256{float}, Vector256{float}, Vector256{float})"/>), and k is cut every 256: no bit depends on the processor or on which block a sum lies in.
/// </summary>
internal static class Product
{
    private const int BlockRows = 6, BlockColumns = 16, Depth = 256;

    /// <summary>C [m,n] = A [m,k] B [k,n], or C += A B.</summary>
    /// <exception cref="ArgumentException">A span is shorter than its matrix.</exception>
    public static void Multiply(ReadOnlySpan<float> a, ReadOnlySpan<float> b, Span<float> c, int m, int k, int n, bool accumulate = false)
    {
        Check(a, b, c, m, k, n);
        Run(new(ref MemoryMarshal.GetReference(a), k, 1), ref MemoryMarshal.GetReference(b), ref MemoryMarshal.GetReference(c), m, k, n, accumulate);
    }

    /// <summary>C [m,n] = Aᵀ B for A [k,m] and B [k,n], or C += Aᵀ B: the gradient of a weight.</summary>
    /// <inheritdoc cref="Multiply" path="/exception"/>
    public static void MultiplyTransposed(ReadOnlySpan<float> a, ReadOnlySpan<float> b, Span<float> c, int m, int k, int n, bool accumulate = false)
    {
        Check(a, b, c, m, k, n);
        Run(new(ref MemoryMarshal.GetReference(a), 1, m), ref MemoryMarshal.GetReference(b), ref MemoryMarshal.GetReference(c), m, k, n, accumulate);
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

    // Element (i, p) of A stands at i Row + p Column.
    private readonly ref struct Left(ref float first, nint row, nint column)
    {
        public readonly ref float First = ref first;
        public readonly nint Row = row, Column = column;
    }

    private static void Run(Left a, ref float b, ref float c, int m, int k, int n, bool accumulate)
    {
        if (k == 0 && !accumulate)
            MemoryMarshal.CreateSpan(ref c, m * n).Clear();
        // Invariant: C holds the sums over p in [0, start).
        for (int start = 0; start < k; start += Depth)
        {
            int depth = Math.Min(Depth, k - start);
            bool add = accumulate || start > 0;
            ref float slice = ref Unsafe.Add(ref b, (nint)start * n);
            for (int i = 0; i < m;)
            {
                int rows = m - i >= BlockRows ? BlockRows : 1;
                Left at = new(ref Unsafe.Add(ref a.First, i * a.Row + start * a.Column), a.Row, a.Column);
                int j = 0;
                for (; j + BlockColumns <= n; j += BlockColumns)
                {
                    ref float target = ref Unsafe.Add(ref c, (nint)i * n + j);
                    if (rows == BlockRows)
                        Block(at, ref Unsafe.Add(ref slice, j), ref target, depth, n, add);
                    else
                        Row(at, ref Unsafe.Add(ref slice, j), ref target, depth, n, add);
                }

                for (; j < n; j++)
                    for (int r = 0; r < rows; r++)
                        Single(at, r, ref Unsafe.Add(ref slice, j), ref Unsafe.Add(ref c, (nint)(i + r) * n + j), depth, n, add);
                i += rows;
            }
        }
    }

    private static void Block(Left a, ref float b, ref float c, int depth, nint n, bool add)
    {
        Vector256<float> c00 = default, c01 = default, c10 = default, c11 = default, c20 = default, c21 = default;
        Vector256<float> c30 = default, c31 = default, c40 = default, c41 = default, c50 = default, c51 = default;
        if (add)
        {
            Load(ref c, 0, out c00, out c01);
            Load(ref c, n, out c10, out c11);
            Load(ref c, 2 * n, out c20, out c21);
            Load(ref c, 3 * n, out c30, out c31);
            Load(ref c, 4 * n, out c40, out c41);
            Load(ref c, 5 * n, out c50, out c51);
        }

        ref float a0 = ref a.First;
        ref float a3 = ref Unsafe.Add(ref a0, 3 * a.Row);
        nint row = a.Row, step = a.Column;
        // Invariant: the sums hold p in [0, the steps taken).
        for (; depth > 0; depth--)
        {
            Vector256<float> b0 = Vector256.LoadUnsafe(ref b), b1 = Vector256.LoadUnsafe(ref b, 8);
            Vector256<float> x = Vector256.Create(a0);
            c00 = Vector256.FusedMultiplyAdd(x, b0, c00);
            c01 = Vector256.FusedMultiplyAdd(x, b1, c01);
            x = Vector256.Create(Unsafe.Add(ref a0, row));
            c10 = Vector256.FusedMultiplyAdd(x, b0, c10);
            c11 = Vector256.FusedMultiplyAdd(x, b1, c11);
            x = Vector256.Create(Unsafe.Add(ref a0, 2 * row));
            c20 = Vector256.FusedMultiplyAdd(x, b0, c20);
            c21 = Vector256.FusedMultiplyAdd(x, b1, c21);
            x = Vector256.Create(a3);
            c30 = Vector256.FusedMultiplyAdd(x, b0, c30);
            c31 = Vector256.FusedMultiplyAdd(x, b1, c31);
            x = Vector256.Create(Unsafe.Add(ref a3, row));
            c40 = Vector256.FusedMultiplyAdd(x, b0, c40);
            c41 = Vector256.FusedMultiplyAdd(x, b1, c41);
            x = Vector256.Create(Unsafe.Add(ref a3, 2 * row));
            c50 = Vector256.FusedMultiplyAdd(x, b0, c50);
            c51 = Vector256.FusedMultiplyAdd(x, b1, c51);
            a0 = ref Unsafe.Add(ref a0, step);
            a3 = ref Unsafe.Add(ref a3, step);
            b = ref Unsafe.Add(ref b, n);
        }

        Store(ref c, 0, c00, c01);
        Store(ref c, n, c10, c11);
        Store(ref c, 2 * n, c20, c21);
        Store(ref c, 3 * n, c30, c31);
        Store(ref c, 4 * n, c40, c41);
        Store(ref c, 5 * n, c50, c51);
    }

    private static void Row(Left a, ref float b, ref float c, int depth, nint n, bool add)
    {
        Vector256<float> c0 = default, c1 = default;
        if (add)
            Load(ref c, 0, out c0, out c1);
        for (nint p = 0; p < depth; p++)
        {
            Vector256<float> x = Vector256.Create(Unsafe.Add(ref a.First, p * a.Column));
            c0 = Vector256.FusedMultiplyAdd(x, Vector256.LoadUnsafe(ref b), c0);
            c1 = Vector256.FusedMultiplyAdd(x, Vector256.LoadUnsafe(ref b, 8), c1);
            b = ref Unsafe.Add(ref b, n);
        }

        Store(ref c, 0, c0, c1);
    }

    private static void Single(Left a, int row, ref float b, ref float c, int depth, nint n, bool add)
    {
        float sum = add ? c : 0;
        for (nint p = 0; p < depth; p++)
            sum = MathF.FusedMultiplyAdd(Unsafe.Add(ref a.First, row * a.Row + p * a.Column), Unsafe.Add(ref b, p * n), sum);
        c = sum;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Load(ref float c, nint at, out Vector256<float> low, out Vector256<float> high)
    {
        low = Vector256.LoadUnsafe(ref c, (nuint)at);
        high = Vector256.LoadUnsafe(ref c, (nuint)at + 8);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(ref float c, nint at, Vector256<float> low, Vector256<float> high)
    {
        low.StoreUnsafe(ref c, (nuint)at);
        high.StoreUnsafe(ref c, (nuint)at + 8);
    }
}
