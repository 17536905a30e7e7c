// How is a scale multiplied in that no float holds, or whose product with q no float holds although the score is an ordinary number?
using System.Runtime.CompilerServices;

namespace S2Attn.Optimized.Kernels;

/// <summary>
/// A scale as Mantissa times 2^Exponent. Up to 1 a scale is its mantissa; above, and below the normal range of f32, its mantissa lies in [1/2, 1): no product with it overflows.
/// A power of two above 1 multiplies what the products have been summed to, exactly; one below 1 multiplies q before they are, so that they do not overflow either.
/// </summary>
internal readonly record struct ScaleFactor(float Mantissa, int Exponent)
{
    // The greatest power of two that a float holds.
    private const int Step = 127;

    public static ScaleFactor One => new(1, 0);

    /// <summary>The product of a scale and a factor of ordinary size.</summary>
    public static ScaleFactor Of(double scale, double factor)
    {
        if (scale == 0)
            return new((float)scale, 0);
        int exponent = Math.ILogB(scale);
        double mantissa = Math.ScaleB(scale, -exponent) * factor;
        int shift = Math.ILogB(mantissa) + 1;
        exponent += shift;
        return exponent is > 0 or < -125 ? new((float)Math.ScaleB(mantissa, -shift), exponent) : new((float)(scale * factor), 0);
    }

    /// <summary>Multiplies rows of two registers of scores by 2^Exponent where that is above 1.</summary>
    public void Raise<V, TLanes>(Pointer<float> panel, nint stride, int rows)
        where V : struct
        where TLanes : struct, ILanes<V> => Shift<V, TLanes>(panel, stride, rows, Math.Max(Exponent, 0));

    /// <summary>Multiplies rows of two registers of q by 2^Exponent where that is below 1.</summary>
    public void Lower<V, TLanes>(Pointer<float> panel, nint stride, int rows)
        where V : struct
        where TLanes : struct, ILanes<V> => Shift<V, TLanes>(panel, stride, rows, Math.Min(Exponent, 0));

    /// <summary>Multiplies rows of two registers of q by the mantissa, and by 2^Exponent where that is below 1.</summary>
    public void MultiplyQueries<V, TLanes>(Pointer<float> rows, int count)
        where V : struct
        where TLanes : struct, ILanes<V>
    {
        Multiply<V, TLanes>(rows, 2 * TLanes.Count, count, Mantissa);
        Lower<V, TLanes>(rows, 2 * TLanes.Count, count);
    }

    /// <summary>Multiplies rows of two registers by the whole scale.</summary>
    public void Multiply<V, TLanes>(Pointer<float> panel, int rows)
        where V : struct
        where TLanes : struct, ILanes<V>
    {
        Multiply<V, TLanes>(panel, 2 * TLanes.Count, rows, Mantissa);
        Shift<V, TLanes>(panel, 2 * TLanes.Count, rows, Exponent);
    }

    private static void Shift<V, TLanes>(Pointer<float> panel, nint stride, int rows, int exponent)
        where V : struct
        where TLanes : struct, ILanes<V>
    {
        for (int left = exponent; left != 0; left -= Math.Clamp(left, -Step + 1, Step))
            Multiply<V, TLanes>(panel, stride, rows, MathF.ScaleB(1, Math.Clamp(left, -Step + 1, Step)));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Multiply<V, TLanes>(Pointer<float> panel, nint stride, int rows, float factor)
        where V : struct
        where TLanes : struct, ILanes<V>
    {
        V power = TLanes.Broadcast(factor);
        for (int j = 0; j < rows; j++, panel += stride)
        {
            TLanes.Store(TLanes.Multiply(TLanes.Load(panel), power), panel);
            TLanes.Store(TLanes.Multiply(TLanes.Load(panel + TLanes.Count), power), panel + TLanes.Count);
        }
    }
}
