// In which format are the tensors of a case stored, and which doubles does it hold?
namespace S2Attn.Conformance.Protocol;

/// <summary>The storage formats that a port may claim, as the port protocol names them in lower case.</summary>
public enum ElementType
{
    /// <summary>binary32.</summary>
    F32,

    /// <summary>binary64.</summary>
    F64,

    /// <summary>binary16.</summary>
    F16,

    /// <summary>bfloat16: the upper half of binary32.</summary>
    BF16,
}

/// <summary>Facts and rounding of the storage formats.</summary>
public static class ElementTypes
{
    /// <summary>The unit roundoff u of the format, half the distance from 1 to the next number: 2^-24, 2^-53, 2^-11 or 2^-8.</summary>
    public static double UnitRoundoff(this ElementType type) => type switch
    {
        ElementType.F32 => Math.ScaleB(1, -24),
        ElementType.F64 => Math.ScaleB(1, -53),
        ElementType.F16 => Math.ScaleB(1, -11),
        ElementType.BF16 => Math.ScaleB(1, -8),
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "Unknown element type."),
    };

    /// <summary>Bytes of one element.</summary>
    public static int Size(this ElementType type) => type switch
    {
        ElementType.F64 => 8,
        ElementType.F32 => 4,
        ElementType.F16 or ElementType.BF16 => 2,
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "Unknown element type."),
    };

    /// <summary>The number of the format nearest to the value, ties to even; NaN stays NaN, and values past the range become infinite.</summary>
    public static double Round(this ElementType type, double value) => type switch
    {
        ElementType.F64 => value,
        ElementType.F32 => (float)value,
        ElementType.F16 => (double)(Half)value,
        ElementType.BF16 => RoundToBFloat16(value),
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "Unknown element type."),
    };

    private static double RoundToBFloat16(double value)
    {
        // Rounding to float first would round twice; a double has bits to spare, so one addition at the right place rounds once.
        if (!double.IsFinite(value) || value == 0)
            return value;
        const int Precision = 8, MinExponent = -126;
        int exponent = Math.Max(Math.ILogB(value), MinExponent);
        double unit = Math.ScaleB(1, exponent - (Precision - 1));
        double rounded = Math.Round(value / unit, MidpointRounding.ToEven) * unit;
        double max = Math.ScaleB(2 - Math.ScaleB(1, 1 - Precision), 127);
        return Math.Abs(rounded) > max ? Math.CopySign(double.PositiveInfinity, value) : rounded;
    }
}
