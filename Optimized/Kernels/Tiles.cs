// The two register blocks: 8 x 2 where there are 32 registers, 6 x 2 where there are 16.
using System.Runtime.CompilerServices;

namespace S2Attn.Optimized.Kernels;

/// <summary>16 accumulators, for AVX-512 and NEON.</summary>
internal unsafe struct Tile8x2<V, TLanes> : ITile
    where V : struct
    where TLanes : struct, ILanes<V>
{
    public static int Rows
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 8;
    }

    public static int RestRows
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 8;
    }

    public static int Columns
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 2 * TLanes.Count;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply(nint depth, Pointer<float> a, nint rowStride, nint depthStride, Pointer<float> b, nint columnsOfB, Pointer<float> c, nint columnsOfC, bool accumulate)
    {
        nint lanes = TLanes.Count;
        V c00, c01, c10, c11, c20, c21, c30, c31, c40, c41, c50, c51, c60, c61, c70, c71;
        if (accumulate)
        {
            c00 = TLanes.Load(c);
            c01 = TLanes.Load(c + lanes);
            c10 = TLanes.Load(c + columnsOfC);
            c11 = TLanes.Load(c + columnsOfC + lanes);
            c20 = TLanes.Load(c + 2 * columnsOfC);
            c21 = TLanes.Load(c + 2 * columnsOfC + lanes);
            c30 = TLanes.Load(c + 3 * columnsOfC);
            c31 = TLanes.Load(c + 3 * columnsOfC + lanes);
            c40 = TLanes.Load(c + 4 * columnsOfC);
            c41 = TLanes.Load(c + 4 * columnsOfC + lanes);
            c50 = TLanes.Load(c + 5 * columnsOfC);
            c51 = TLanes.Load(c + 5 * columnsOfC + lanes);
            c60 = TLanes.Load(c + 6 * columnsOfC);
            c61 = TLanes.Load(c + 6 * columnsOfC + lanes);
            c70 = TLanes.Load(c + 7 * columnsOfC);
            c71 = TLanes.Load(c + 7 * columnsOfC + lanes);
        }
        else
        {
            c00 = c01 = c10 = c11 = c20 = c21 = c30 = c31 = c40 = c41 = c50 = c51 = c60 = c61 = c70 = c71 = TLanes.Broadcast(0);
        }

        Pointer<float> a0 = a;
        Pointer<float> a1 = a0 + rowStride;
        Pointer<float> a2 = a1 + rowStride;
        Pointer<float> a3 = a2 + rowStride;
        Pointer<float> a4 = a3 + rowStride;
        Pointer<float> a5 = a4 + rowStride;
        Pointer<float> a6 = a5 + rowStride;
        Pointer<float> a7 = a6 + rowStride;
        nint end = depth * depthStride;
        for (nint at = 0; at < end; at += depthStride, b += columnsOfB)
        {
            V b0 = TLanes.Load(b), b1 = TLanes.Load(b + lanes), x;
            x = TLanes.Broadcast(a0[at]);
            c00 = TLanes.MultiplyAdd(x, b0, c00);
            c01 = TLanes.MultiplyAdd(x, b1, c01);
            x = TLanes.Broadcast(a1[at]);
            c10 = TLanes.MultiplyAdd(x, b0, c10);
            c11 = TLanes.MultiplyAdd(x, b1, c11);
            x = TLanes.Broadcast(a2[at]);
            c20 = TLanes.MultiplyAdd(x, b0, c20);
            c21 = TLanes.MultiplyAdd(x, b1, c21);
            x = TLanes.Broadcast(a3[at]);
            c30 = TLanes.MultiplyAdd(x, b0, c30);
            c31 = TLanes.MultiplyAdd(x, b1, c31);
            x = TLanes.Broadcast(a4[at]);
            c40 = TLanes.MultiplyAdd(x, b0, c40);
            c41 = TLanes.MultiplyAdd(x, b1, c41);
            x = TLanes.Broadcast(a5[at]);
            c50 = TLanes.MultiplyAdd(x, b0, c50);
            c51 = TLanes.MultiplyAdd(x, b1, c51);
            x = TLanes.Broadcast(a6[at]);
            c60 = TLanes.MultiplyAdd(x, b0, c60);
            c61 = TLanes.MultiplyAdd(x, b1, c61);
            x = TLanes.Broadcast(a7[at]);
            c70 = TLanes.MultiplyAdd(x, b0, c70);
            c71 = TLanes.MultiplyAdd(x, b1, c71);
        }

        TLanes.Store(c00, c);
        TLanes.Store(c01, c + lanes);
        c += columnsOfC;
        TLanes.Store(c10, c);
        TLanes.Store(c11, c + lanes);
        c += columnsOfC;
        TLanes.Store(c20, c);
        TLanes.Store(c21, c + lanes);
        c += columnsOfC;
        TLanes.Store(c30, c);
        TLanes.Store(c31, c + lanes);
        c += columnsOfC;
        TLanes.Store(c40, c);
        TLanes.Store(c41, c + lanes);
        c += columnsOfC;
        TLanes.Store(c50, c);
        TLanes.Store(c51, c + lanes);
        c += columnsOfC;
        TLanes.Store(c60, c);
        TLanes.Store(c61, c + lanes);
        c += columnsOfC;
        TLanes.Store(c70, c);
        TLanes.Store(c71, c + lanes);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void MultiplyRest(nint depth, Pointer<float> a, nint rowStride, nint depthStride, Pointer<float> b, nint columnsOfB, Pointer<float> c, nint columnsOfC, bool accumulate) =>
        Multiply(depth, a, rowStride, depthStride, b, columnsOfB, c, columnsOfC, accumulate);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void MultiplyHalf(nint depth, Pointer<float> a, nint rowStride, nint depthStride, Pointer<float> b, nint columnsOfB, Pointer<float> c, nint columnsOfC, bool accumulate) =>
        Block8x1<V, TLanes>.Multiply(depth, a, rowStride, depthStride, b, columnsOfB, c, columnsOfC, accumulate);
}

/// <summary>12 accumulators, 2 of B and 1 broadcast: 15 of the 16 registers of AVX2 and SSE.</summary>
internal unsafe struct Tile6x2<V, TLanes> : ITile
    where V : struct
    where TLanes : struct, ILanes<V>
{
    public static int Rows
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 6;
    }

    public static int RestRows
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 4;
    }

    public static int Columns
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 2 * TLanes.Count;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply(nint depth, Pointer<float> a, nint rowStride, nint depthStride, Pointer<float> b, nint columnsOfB, Pointer<float> c, nint columnsOfC, bool accumulate)
    {
        nint lanes = TLanes.Count;
        V c00, c01, c10, c11, c20, c21, c30, c31, c40, c41, c50, c51;
        if (accumulate)
        {
            c00 = TLanes.Load(c);
            c01 = TLanes.Load(c + lanes);
            c10 = TLanes.Load(c + columnsOfC);
            c11 = TLanes.Load(c + columnsOfC + lanes);
            c20 = TLanes.Load(c + 2 * columnsOfC);
            c21 = TLanes.Load(c + 2 * columnsOfC + lanes);
            c30 = TLanes.Load(c + 3 * columnsOfC);
            c31 = TLanes.Load(c + 3 * columnsOfC + lanes);
            c40 = TLanes.Load(c + 4 * columnsOfC);
            c41 = TLanes.Load(c + 4 * columnsOfC + lanes);
            c50 = TLanes.Load(c + 5 * columnsOfC);
            c51 = TLanes.Load(c + 5 * columnsOfC + lanes);
        }
        else
        {
            c00 = c01 = c10 = c11 = c20 = c21 = c30 = c31 = c40 = c41 = c50 = c51 = TLanes.Broadcast(0);
        }

        Pointer<float> a0 = a;
        Pointer<float> a1 = a0 + rowStride;
        Pointer<float> a2 = a1 + rowStride;
        Pointer<float> a3 = a2 + rowStride;
        Pointer<float> a4 = a3 + rowStride;
        Pointer<float> a5 = a4 + rowStride;
        nint end = depth * depthStride, endOfPairs = (depth & ~1) * depthStride, at = 0;
        for (; at < endOfPairs; at += 2 * depthStride, b += 2 * columnsOfB)
        {
            nint second = at + depthStride;
            V b0 = TLanes.Load(b, 0), b1 = TLanes.Load(b, lanes), x;
            x = TLanes.Broadcast(a0[at]);
            c00 = TLanes.MultiplyAdd(x, b0, c00);
            c01 = TLanes.MultiplyAdd(x, b1, c01);
            x = TLanes.Broadcast(a1[at]);
            c10 = TLanes.MultiplyAdd(x, b0, c10);
            c11 = TLanes.MultiplyAdd(x, b1, c11);
            x = TLanes.Broadcast(a2[at]);
            c20 = TLanes.MultiplyAdd(x, b0, c20);
            c21 = TLanes.MultiplyAdd(x, b1, c21);
            x = TLanes.Broadcast(a3[at]);
            c30 = TLanes.MultiplyAdd(x, b0, c30);
            c31 = TLanes.MultiplyAdd(x, b1, c31);
            x = TLanes.Broadcast(a4[at]);
            c40 = TLanes.MultiplyAdd(x, b0, c40);
            c41 = TLanes.MultiplyAdd(x, b1, c41);
            x = TLanes.Broadcast(a5[at]);
            c50 = TLanes.MultiplyAdd(x, b0, c50);
            c51 = TLanes.MultiplyAdd(x, b1, c51);
            b0 = TLanes.Load(b, columnsOfB);
            b1 = TLanes.Load(b, columnsOfB + lanes);
            x = TLanes.Broadcast(a0[second]);
            c00 = TLanes.MultiplyAdd(x, b0, c00);
            c01 = TLanes.MultiplyAdd(x, b1, c01);
            x = TLanes.Broadcast(a1[second]);
            c10 = TLanes.MultiplyAdd(x, b0, c10);
            c11 = TLanes.MultiplyAdd(x, b1, c11);
            x = TLanes.Broadcast(a2[second]);
            c20 = TLanes.MultiplyAdd(x, b0, c20);
            c21 = TLanes.MultiplyAdd(x, b1, c21);
            x = TLanes.Broadcast(a3[second]);
            c30 = TLanes.MultiplyAdd(x, b0, c30);
            c31 = TLanes.MultiplyAdd(x, b1, c31);
            x = TLanes.Broadcast(a4[second]);
            c40 = TLanes.MultiplyAdd(x, b0, c40);
            c41 = TLanes.MultiplyAdd(x, b1, c41);
            x = TLanes.Broadcast(a5[second]);
            c50 = TLanes.MultiplyAdd(x, b0, c50);
            c51 = TLanes.MultiplyAdd(x, b1, c51);
        }

        if (at < end)
        {
            V b0 = TLanes.Load(b, 0), b1 = TLanes.Load(b, lanes), x;
            x = TLanes.Broadcast(a0[at]);
            c00 = TLanes.MultiplyAdd(x, b0, c00);
            c01 = TLanes.MultiplyAdd(x, b1, c01);
            x = TLanes.Broadcast(a1[at]);
            c10 = TLanes.MultiplyAdd(x, b0, c10);
            c11 = TLanes.MultiplyAdd(x, b1, c11);
            x = TLanes.Broadcast(a2[at]);
            c20 = TLanes.MultiplyAdd(x, b0, c20);
            c21 = TLanes.MultiplyAdd(x, b1, c21);
            x = TLanes.Broadcast(a3[at]);
            c30 = TLanes.MultiplyAdd(x, b0, c30);
            c31 = TLanes.MultiplyAdd(x, b1, c31);
            x = TLanes.Broadcast(a4[at]);
            c40 = TLanes.MultiplyAdd(x, b0, c40);
            c41 = TLanes.MultiplyAdd(x, b1, c41);
            x = TLanes.Broadcast(a5[at]);
            c50 = TLanes.MultiplyAdd(x, b0, c50);
            c51 = TLanes.MultiplyAdd(x, b1, c51);
        }

        TLanes.Store(c00, c);
        TLanes.Store(c01, c + lanes);
        c += columnsOfC;
        TLanes.Store(c10, c);
        TLanes.Store(c11, c + lanes);
        c += columnsOfC;
        TLanes.Store(c20, c);
        TLanes.Store(c21, c + lanes);
        c += columnsOfC;
        TLanes.Store(c30, c);
        TLanes.Store(c31, c + lanes);
        c += columnsOfC;
        TLanes.Store(c40, c);
        TLanes.Store(c41, c + lanes);
        c += columnsOfC;
        TLanes.Store(c50, c);
        TLanes.Store(c51, c + lanes);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void MultiplyRest(nint depth, Pointer<float> a, nint rowStride, nint depthStride, Pointer<float> b, nint columnsOfB, Pointer<float> c, nint columnsOfC, bool accumulate) =>
        Block4x2<V, TLanes>.Multiply(depth, a, rowStride, depthStride, b, columnsOfB, c, columnsOfC, accumulate);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void MultiplyHalf(nint depth, Pointer<float> a, nint rowStride, nint depthStride, Pointer<float> b, nint columnsOfB, Pointer<float> c, nint columnsOfC, bool accumulate) =>
        Block8x1<V, TLanes>.Multiply(depth, a, rowStride, depthStride, b, columnsOfB, c, columnsOfC, accumulate);
}
