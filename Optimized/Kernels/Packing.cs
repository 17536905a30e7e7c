// How do tensor rows become the operands of the micro-kernel?
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace S2Attn.Optimized.Kernels;

/// <summary>Copies that widen, pad and transpose. Pads are zero, so that whole register blocks can be computed and the surplus ignored.</summary>
internal static unsafe class Packing
{
    /// <summary>Widens the rows of some tokens of a head to rows of a given width, stride apart, zero behind D and where valid says that the token is padded.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Rows<T, TStorage, V, TLanes>(in Rows<T> tensor, long batch, long token, int count, long head, Pointer<byte> valid, Pointer<float> rows, nint stride, int headDim, int width)
        where T : unmanaged
        where TStorage : struct, IStorage<T>
        where V : struct
        where TLanes : struct, ILanes<V>
    {
        while (count > 0)
        {
            int run = (int)Math.Min(count, tensor.WalkFrom(token));
            if (valid.IsNull && headDim == width && width % (2 * TLanes.Count) == 0)
                Whole<T, TStorage, V, TLanes>(tensor.From(batch, token, head), run, rows, stride, width);
            else
                Parts<T, TStorage, V, TLanes>(tensor, batch, token, run, head, valid, rows, stride, headDim, width);
            rows += run * stride;
            valid = valid.IsNull ? valid : valid + run;
            token += run;
            count -= run;
        }
    }

    // Nearly all rows are of this kind, and short: what is asked of each weighs as much as the copy.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Whole<T, TStorage, V, TLanes>(RowWalk<T> walk, int count, Pointer<float> rows, nint stride, int width)
        where T : unmanaged
        where TStorage : struct, IStorage<T>
        where V : struct
        where TLanes : struct, ILanes<V>
    {
        nint lanes = TLanes.Count;
        for (int i = 0; i < count; i++, rows += stride)
        {
            Pointer<T> row = walk.Next();
            V seen = default;
            for (nint d = 0; d < width; d += 2 * lanes)
            {
                V a = TStorage.LoadFinite<V, TLanes>(row + d, ref seen), b = TStorage.LoadFinite<V, TLanes>(row + d + lanes, ref seen);
                TLanes.Store(a, rows + d);
                TLanes.Store(b, rows + d + lanes);
            }

            if (!TStorage.IsWidened<V, TLanes>(seen))
                Again<T, TStorage, V, TLanes>(row, rows, width);
        }
    }

    // A row with an infinity or NaN in it: rare, and so apart.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Again<T, TStorage, V, TLanes>(Pointer<T> source, Pointer<float> row, int width)
        where T : unmanaged
        where TStorage : struct, IStorage<T>
        where V : struct
        where TLanes : struct, ILanes<V> => Row<T, TStorage, V, TLanes>(source, row, width, width);

    // Apart, so that a call which has none of these does not wait for them to be compiled.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Parts<T, TStorage, V, TLanes>(in Rows<T> tensor, long batch, long token, int count, long head, Pointer<byte> valid, Pointer<float> rows, nint stride, int headDim, int width)
        where T : unmanaged
        where TStorage : struct, IStorage<T>
        where V : struct
        where TLanes : struct, ILanes<V>
    {
        RowWalk<T> walk = tensor.From(batch, token, head);
        for (int i = 0; i < count; i++, rows += stride)
        {
            Pointer<T> row = walk.Next();
            if (!valid.IsNull && valid[i] == 0)
                rows.Span(width).Clear();
            else
                Row<T, TStorage, V, TLanes>(row, rows, headDim, width);
        }
    }

    /// <summary>Widens D elements to a row of a given width, zero behind D.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Row<T, TStorage, V, TLanes>(Pointer<T> source, Pointer<float> row, int headDim, int width)
        where T : unmanaged
        where TStorage : struct, IStorage<T>
        where V : struct
        where TLanes : struct, ILanes<V>
    {
        int lanes = TLanes.Count, i = 0;
        for (; i + 4 * lanes <= headDim; i += 4 * lanes)
        {
            V a = TStorage.Load<V, TLanes>(source + i), b = TStorage.Load<V, TLanes>(source + i + lanes);
            V c = TStorage.Load<V, TLanes>(source + i + 2 * lanes), d = TStorage.Load<V, TLanes>(source + i + 3 * lanes);
            TLanes.Store(a, row + i);
            TLanes.Store(b, row + i + lanes);
            TLanes.Store(c, row + i + 2 * lanes);
            TLanes.Store(d, row + i + 3 * lanes);
        }

        for (; i + lanes <= headDim; i += lanes)
            TLanes.Store(TStorage.Load<V, TLanes>(source + i), row + i);
        if (i < headDim)
            TStorage.Widen<V, TLanes>(source + i, row + i, headDim - i);
        if (headDim < width)
            (row + headDim).Span(width - headDim).Clear();
    }

    /// <summary>Widens a row of whole pairs of registers, each pair in the order of <see cref="IStorage{T}.LoadPair"/>.</summary>
    public static void Pairs<T, TStorage, V, TLanes>(Pointer<T> source, Pointer<float> row, int width)
        where T : unmanaged
        where TStorage : struct, IStorage<T>
        where V : struct
        where TLanes : struct, ILanes<V>
    {
        for (int i = 0; i < width; i += 2 * TLanes.Count)
        {
            TStorage.LoadPair<V, TLanes>(source + i, out V first, out V second);
            TLanes.Store(first, row + i);
            TLanes.Store(second, row + i + TLanes.Count);
        }
    }

    /// <summary>Undoes the order by parity of a row: of each 2 lanes numbers the former half goes to even places, the latter to odd ones.</summary>
    public static void Interleave(Pointer<float> row, Pointer<float> destination, int lanes, int width)
    {
        int step = Vector128<float>.Count;
        for (int pair = 0; pair < width; pair += 2 * lanes)
            for (int i = 0; i < lanes; i += step)
            {
                Vector128<float> even = Vector128.Load((row + pair + i).For(step)), odd = Vector128.Load((row + pair + lanes + i).For(step));
                Pointer<float> to = destination + pair + 2 * i;
                InterleaveLow(even, odd).Store(to.For(step));
                InterleaveHigh(even, odd).Store((to + step).For(step));
            }
    }

    /// <summary>Sets rows to 0 up to the register that holds their last element.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Clear<V, TLanes>(Pointer<float> rows, nint stride, int count, int width)
        where V : struct
        where TLanes : struct, ILanes<V>
    {
        V zero = TLanes.Broadcast(0);
        for (int row = 0; row < count; row++, rows += stride)
            for (int i = 0; i < width; i += TLanes.Count)
                TLanes.Store(zero, rows + i);
    }

    /// <summary>Whether no element of rows is NaN or infinite: x - x is 0 for finite x alone.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static bool AllFinite<V, TLanes>(Pointer<float> rows, nint stride, int count, int width)
        where V : struct
        where TLanes : struct, ILanes<V>
    {
        int lanes = TLanes.Count;
        V zero = TLanes.Broadcast(0), sum0 = zero, sum1 = zero;
        bool finite = true;
        for (int row = 0; row < count; row++, rows += stride)
        {
            int i = 0;
            for (; i + 2 * lanes <= width; i += 2 * lanes)
            {
                V x = TLanes.Load(rows, i), y = TLanes.Load(rows, i + lanes);
                sum0 = TLanes.Add(sum0, TLanes.Subtract(x, x));
                sum1 = TLanes.Add(sum1, TLanes.Subtract(y, y));
            }

            for (; i < width; i++)
                finite &= float.IsFinite(rows[i]);
        }

        return finite && TLanes.EqualsAll(TLanes.Add(sum0, sum1), zero);
    }

    /// <summary>destination[c destinationStride + r] = factors[c factorStep] source[r sourceStride + c]. Rows and columns are multiples of 4.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Transpose(Pointer<float> source, nint sourceStride, Pointer<float> destination, nint destinationStride, int rows, int columns, Pointer<float> factors, nint factorStep)
    {
        nint fourRows = 4 * sourceStride, fourColumns = 4 * destinationStride, fourFactors = 4 * factorStep;
        int r = 0;
        if (Avx512F.IsSupported)
            for (; r + Vector512<float>.Count <= rows; r += Vector512<float>.Count)
            {
                Pointer<float> a = source + r * sourceStride, b = a + sourceStride, c = b + sourceStride, d = c + sourceStride, to = destination + r, factor = factors;
                for (int left = columns; left > 0; left -= 4, a += 4, b += 4, c += 4, d += 4, to += fourColumns, factor += fourFactors)
                {
                    Turn(Load4(a, fourRows), Load4(b, fourRows), Load4(c, fourRows), Load4(d, fourRows), out Vector512<float> c0, out Vector512<float> c1, out Vector512<float> c2, out Vector512<float> c3);
                    (c0 * factor[0]).Store(to.For(16));
                    (c1 * factor[factorStep]).Store((to + destinationStride).For(16));
                    (c2 * factor[2 * factorStep]).Store((to + 2 * destinationStride).For(16));
                    (c3 * factor[3 * factorStep]).Store((to + 3 * destinationStride).For(16));
                }
            }

        if (r < rows)
            TransposeFew(source + r * sourceStride, sourceStride, destination + r, destinationStride, rows - r, columns, factors, factorStep);
    }

    // Apart, for the same reason.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void TransposeFew(Pointer<float> source, nint sourceStride, Pointer<float> destination, nint destinationStride, int rows, int columns, Pointer<float> factors, nint factorStep)
    {
        nint fourRows = 4 * sourceStride, fourColumns = 4 * destinationStride, fourFactors = 4 * factorStep;
        int r = 0;
        if (Avx.IsSupported)
            for (; r + Vector256<float>.Count <= rows; r += Vector256<float>.Count)
            {
                Pointer<float> a = source + r * sourceStride, b = a + sourceStride, c = b + sourceStride, d = c + sourceStride, to = destination + r, factor = factors;
                for (int left = columns; left > 0; left -= 4, a += 4, b += 4, c += 4, d += 4, to += fourColumns, factor += fourFactors)
                {
                    Turn(Load2(a, fourRows), Load2(b, fourRows), Load2(c, fourRows), Load2(d, fourRows), out Vector256<float> c0, out Vector256<float> c1, out Vector256<float> c2, out Vector256<float> c3);
                    (c0 * factor[0]).Store(to.For(8));
                    (c1 * factor[factorStep]).Store((to + destinationStride).For(8));
                    (c2 * factor[2 * factorStep]).Store((to + 2 * destinationStride).For(8));
                    (c3 * factor[3 * factorStep]).Store((to + 3 * destinationStride).For(8));
                }
            }

        for (; r < rows; r += Vector128<float>.Count)
        {
            Pointer<float> a = source + r * sourceStride, b = a + sourceStride, c = b + sourceStride, d = c + sourceStride, to = destination + r, factor = factors;
            for (int left = columns; left > 0; left -= 4, a += 4, b += 4, c += 4, d += 4, to += fourColumns, factor += fourFactors)
            {
                Turn(Load1(a), Load1(b), Load1(c), Load1(d), out Vector128<float> c0, out Vector128<float> c1, out Vector128<float> c2, out Vector128<float> c3);
                (c0 * factor[0]).Store(to.For(4));
                (c1 * factor[factorStep]).Store((to + destinationStride).For(4));
                (c2 * factor[2 * factorStep]).Store((to + 2 * destinationStride).For(4));
                (c3 * factor[3 * factorStep]).Store((to + 3 * destinationStride).For(4));
            }
        }
    }

    /// <summary>panel[c stride + r] = factor rows[r][c]: rows that lie anywhere. Rows and columns are multiples of 4.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Gather(Pointer<float>* rows, int count, int columns, Pointer<float> panel, nint stride, float factor)
    {
        int r = 0;
        if (Avx512F.IsSupported)
            for (; r + Vector512<float>.Count <= count; r += Vector512<float>.Count)
                for (nint c = 0; c < columns; c += 4)
                {
                    Pointer<float> to = panel + c * stride + r;
                    Turn(Load4(rows + r, c), Load4(rows + r + 1, c), Load4(rows + r + 2, c), Load4(rows + r + 3, c), out Vector512<float> c0, out Vector512<float> c1, out Vector512<float> c2, out Vector512<float> c3);
                    (c0 * factor).Store(to.For(16));
                    (c1 * factor).Store((to + stride).For(16));
                    (c2 * factor).Store((to + 2 * stride).For(16));
                    (c3 * factor).Store((to + 3 * stride).For(16));
                }

        if (Avx.IsSupported)
            for (; r + Vector256<float>.Count <= count; r += Vector256<float>.Count)
            {
                Pointer<float> r0 = rows[r], r1 = rows[r + 1], r2 = rows[r + 2], r3 = rows[r + 3], r4 = rows[r + 4], r5 = rows[r + 5], r6 = rows[r + 6], r7 = rows[r + 7], to = panel + r;
                for (nint c = 0; c < columns; c += 4, to += 4 * stride)
                {
                    Turn(Load2(r0 + c, r4 + c), Load2(r1 + c, r5 + c), Load2(r2 + c, r6 + c), Load2(r3 + c, r7 + c), out Vector256<float> c0, out Vector256<float> c1, out Vector256<float> c2, out Vector256<float> c3);
                    (c0 * factor).Store(to.For(8));
                    (c1 * factor).Store((to + stride).For(8));
                    (c2 * factor).Store((to + 2 * stride).For(8));
                    (c3 * factor).Store((to + 3 * stride).For(8));
                }
            }

        for (; r < count; r += Vector128<float>.Count)
            for (nint c = 0; c < columns; c += 4)
            {
                Pointer<float> to = panel + c * stride + r;
                Turn(Load1(rows[r] + c), Load1(rows[r + 1] + c), Load1(rows[r + 2] + c), Load1(rows[r + 3] + c), out Vector128<float> c0, out Vector128<float> c1, out Vector128<float> c2, out Vector128<float> c3);
                (c0 * factor).Store(to.For(4));
                (c1 * factor).Store((to + stride).For(4));
                (c2 * factor).Store((to + 2 * stride).For(4));
                (c3 * factor).Store((to + 3 * stride).For(4));
            }
    }

    /// <summary>rows[c][r] = factors[c] panel[r stride + c]: rows that lie anywhere. Rows and columns are multiples of 4.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Scatter(Pointer<float> panel, nint stride, Pointer<float>* rows, int count, int columns, Pointer<float> factors)
    {
        for (int c = 0; c < count; c += 4)
        {
            Pointer<float> row0 = rows[c], row1 = rows[c + 1], row2 = rows[c + 2], row3 = rows[c + 3], from = panel + c;
            float f0 = factors[c], f1 = factors[c + 1], f2 = factors[c + 2], f3 = factors[c + 3];
            nint r = 0;
            if (Avx512F.IsSupported)
                for (; r + Vector512<float>.Count <= columns; r += Vector512<float>.Count, from += Vector512<float>.Count * stride)
                {
                    Turn(Load4(from, 4 * stride), Load4(from + stride, 4 * stride), Load4(from + 2 * stride, 4 * stride), Load4(from + 3 * stride, 4 * stride), out Vector512<float> c0, out Vector512<float> c1, out Vector512<float> c2, out Vector512<float> c3);
                    (c0 * f0).Store((row0 + r).For(16));
                    (c1 * f1).Store((row1 + r).For(16));
                    (c2 * f2).Store((row2 + r).For(16));
                    (c3 * f3).Store((row3 + r).For(16));
                }

            if (Avx.IsSupported)
                for (; r + Vector256<float>.Count <= columns; r += Vector256<float>.Count, from += Vector256<float>.Count * stride)
                {
                    Turn(Load2(from, 4 * stride), Load2(from + stride, 4 * stride), Load2(from + 2 * stride, 4 * stride), Load2(from + 3 * stride, 4 * stride), out Vector256<float> c0, out Vector256<float> c1, out Vector256<float> c2, out Vector256<float> c3);
                    (c0 * f0).Store((row0 + r).For(8));
                    (c1 * f1).Store((row1 + r).For(8));
                    (c2 * f2).Store((row2 + r).For(8));
                    (c3 * f3).Store((row3 + r).For(8));
                }

            for (; r < columns; r += Vector128<float>.Count, from += Vector128<float>.Count * stride)
            {
                Turn(Load1(from), Load1(from + stride), Load1(from + 2 * stride), Load1(from + 3 * stride), out Vector128<float> c0, out Vector128<float> c1, out Vector128<float> c2, out Vector128<float> c3);
                (c0 * f0).Store((row0 + r).For(4));
                (c1 * f1).Store((row1 + r).For(4));
                (c2 * f2).Store((row2 + r).For(4));
                (c3 * f3).Store((row3 + r).For(4));
            }
        }
    }

    // Each 128-bit part of a register is a 4 x 4 block of its own: part i holds rows 4i to 4i + 3. What stands in four columns of rows
    // becomes four registers, one for each column.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Turn(Vector512<float> a, Vector512<float> b, Vector512<float> c, Vector512<float> d, out Vector512<float> c0, out Vector512<float> c1, out Vector512<float> c2, out Vector512<float> c3)
    {
        Vector512<float> acLow = Avx512F.UnpackLow(a, c), acHigh = Avx512F.UnpackHigh(a, c), bdLow = Avx512F.UnpackLow(b, d), bdHigh = Avx512F.UnpackHigh(b, d);
        (c0, c1, c2, c3) = (Avx512F.UnpackLow(acLow, bdLow), Avx512F.UnpackHigh(acLow, bdLow), Avx512F.UnpackLow(acHigh, bdHigh), Avx512F.UnpackHigh(acHigh, bdHigh));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Turn(Vector256<float> a, Vector256<float> b, Vector256<float> c, Vector256<float> d, out Vector256<float> c0, out Vector256<float> c1, out Vector256<float> c2, out Vector256<float> c3)
    {
        Vector256<float> acLow = Avx.UnpackLow(a, c), acHigh = Avx.UnpackHigh(a, c), bdLow = Avx.UnpackLow(b, d), bdHigh = Avx.UnpackHigh(b, d);
        (c0, c1, c2, c3) = (Avx.UnpackLow(acLow, bdLow), Avx.UnpackHigh(acLow, bdLow), Avx.UnpackLow(acHigh, bdHigh), Avx.UnpackHigh(acHigh, bdHigh));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Turn(Vector128<float> a, Vector128<float> b, Vector128<float> c, Vector128<float> d, out Vector128<float> c0, out Vector128<float> c1, out Vector128<float> c2, out Vector128<float> c3)
    {
        Vector128<float> acLow = InterleaveLow(a, c), acHigh = InterleaveHigh(a, c), bdLow = InterleaveLow(b, d), bdHigh = InterleaveHigh(b, d);
        (c0, c1, c2, c3) = (InterleaveLow(acLow, bdLow), InterleaveHigh(acLow, bdLow), InterleaveLow(acHigh, bdHigh), InterleaveHigh(acHigh, bdHigh));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> Load1(Pointer<float> source) => Vector128.Load(source.For(4));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Load2(Pointer<float> low, Pointer<float> high) => Avx.InsertVector128(Load1(low).ToVector256Unsafe(), Load1(high), 1);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Load2(Pointer<float> source, nint stride) => Load2(source, source + stride);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Load4(Pointer<float> a, Pointer<float> b, Pointer<float> c, Pointer<float> d) =>
        Avx512F.InsertVector128(Avx512F.InsertVector128(Load2(a, b).ToVector512Unsafe(), Load1(c), 2), Load1(d), 3);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Load4(Pointer<float> source, nint stride) => Load4(source, source + stride, source + 2 * stride, source + 3 * stride);

    // Every fourth of sixteen rows, from a column on.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Load4(Pointer<float>* rows, nint column) => Load4(rows[0] + column, rows[4] + column, rows[8] + column, rows[12] + column);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> InterleaveLow(Vector128<float> a, Vector128<float> b) =>
        Sse.IsSupported ? Sse.UnpackLow(a, b)
        : AdvSimd.Arm64.IsSupported ? AdvSimd.Arm64.ZipLow(a, b)
        : Vector128.Create(a[0], b[0], a[1], b[1]);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> InterleaveHigh(Vector128<float> a, Vector128<float> b) =>
        Sse.IsSupported ? Sse.UnpackHigh(a, b)
        : AdvSimd.Arm64.IsSupported ? AdvSimd.Arm64.ZipHigh(a, b)
        : Vector128.Create(a[2], b[2], a[3], b[3]);
}
