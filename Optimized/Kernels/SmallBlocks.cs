// The register blocks for what is left: four rows behind blocks of six, and one register of columns on the diagonal.
using System.Runtime.CompilerServices;

namespace S2Attn.Optimized.Kernels;

/// <summary>8 accumulators, as many as two units with a latency of four cycles keep busy. For rows that do not fill a block of six: multiples of 8, such as head dimensions, are sixes and at most two fours.</summary>
internal static unsafe class Block4x2<V, TLanes>
    where V : struct
    where TLanes : struct, ILanes<V>
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply(nint depth, Pointer<float> a, nint rowStride, nint depthStride, Pointer<float> b, nint columnsOfB, Pointer<float> c, nint columnsOfC, bool accumulate)
    {
        nint lanes = TLanes.Count;
        V c00, c01, c10, c11, c20, c21, c30, c31;
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
        }
        else
        {
            c00 = c01 = c10 = c11 = c20 = c21 = c30 = c31 = TLanes.Broadcast(0);
        }

        Pointer<float> a0 = a;
        Pointer<float> a1 = a0 + rowStride;
        Pointer<float> a2 = a1 + rowStride;
        Pointer<float> a3 = a2 + rowStride;
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
    }
}

/// <summary>8 accumulators in one register of columns, where the diagonal leaves only half of a panel to compute.</summary>
internal static unsafe class Block8x1<V, TLanes>
    where V : struct
    where TLanes : struct, ILanes<V>
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply(nint depth, Pointer<float> a, nint rowStride, nint depthStride, Pointer<float> b, nint columnsOfB, Pointer<float> c, nint columnsOfC, bool accumulate)
    {
        V c0, c1, c2, c3, c4, c5, c6, c7;
        if (accumulate)
        {
            c0 = TLanes.Load(c);
            c1 = TLanes.Load(c + columnsOfC);
            c2 = TLanes.Load(c + 2 * columnsOfC);
            c3 = TLanes.Load(c + 3 * columnsOfC);
            c4 = TLanes.Load(c + 4 * columnsOfC);
            c5 = TLanes.Load(c + 5 * columnsOfC);
            c6 = TLanes.Load(c + 6 * columnsOfC);
            c7 = TLanes.Load(c + 7 * columnsOfC);
        }
        else
        {
            c0 = c1 = c2 = c3 = c4 = c5 = c6 = c7 = TLanes.Broadcast(0);
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
            V b0 = TLanes.Load(b);
            c0 = TLanes.MultiplyAdd(TLanes.Broadcast(a0[at]), b0, c0);
            c1 = TLanes.MultiplyAdd(TLanes.Broadcast(a1[at]), b0, c1);
            c2 = TLanes.MultiplyAdd(TLanes.Broadcast(a2[at]), b0, c2);
            c3 = TLanes.MultiplyAdd(TLanes.Broadcast(a3[at]), b0, c3);
            c4 = TLanes.MultiplyAdd(TLanes.Broadcast(a4[at]), b0, c4);
            c5 = TLanes.MultiplyAdd(TLanes.Broadcast(a5[at]), b0, c5);
            c6 = TLanes.MultiplyAdd(TLanes.Broadcast(a6[at]), b0, c6);
            c7 = TLanes.MultiplyAdd(TLanes.Broadcast(a7[at]), b0, c7);
        }

        TLanes.Store(c0, c);
        TLanes.Store(c1, c + columnsOfC);
        TLanes.Store(c2, c + 2 * columnsOfC);
        TLanes.Store(c3, c + 3 * columnsOfC);
        TLanes.Store(c4, c + 4 * columnsOfC);
        TLanes.Store(c5, c + 5 * columnsOfC);
        TLanes.Store(c6, c + 6 * columnsOfC);
        TLanes.Store(c7, c + 7 * columnsOfC);
    }
}
