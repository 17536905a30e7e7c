// Which element types may a .safetensors file hold, and which doubles are their bytes?
using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Globalization;

namespace S2Attn.Conformance.Safetensors;

/// <summary>An element type of the format, little-endian. Narrower floating types than 16 bits are not read.</summary>
public enum SafetensorsType
{
    /// <summary>binary64.</summary>
    F64,

    /// <summary>binary32.</summary>
    F32,

    /// <summary>binary16.</summary>
    F16,

    /// <summary>bfloat16.</summary>
    BF16,

    /// <summary>64-bit signed.</summary>
    I64,

    /// <summary>32-bit signed.</summary>
    I32,

    /// <summary>16-bit signed.</summary>
    I16,

    /// <summary>8-bit signed.</summary>
    I8,

    /// <summary>64-bit unsigned.</summary>
    U64,

    /// <summary>32-bit unsigned.</summary>
    U32,

    /// <summary>16-bit unsigned.</summary>
    U16,

    /// <summary>8-bit unsigned.</summary>
    U8,

    /// <summary>One byte, 0 or 1; written BOOL.</summary>
    Bool,
}

/// <summary>Names, sizes and conversions of the element types. Every value is carried as the double that equals it.</summary>
public static class SafetensorsTypes
{
    private static readonly ImmutableDictionary<string, SafetensorsType> ByName =
        Enum.GetValues<SafetensorsType>().ToImmutableDictionary(Name, StringComparer.Ordinal);

    /// <summary>All names, in the order of the enum.</summary>
    public static IEnumerable<string> Names => Enum.GetValues<SafetensorsType>().Select(Name);

    /// <summary>The type as the header writes it.</summary>
    public static string Name(this SafetensorsType type) => type is SafetensorsType.Bool ? "BOOL" : type.ToString();

    /// <summary>The type that the header writes so.</summary>
    public static bool TryParse(string name, out SafetensorsType type) => ByName.TryGetValue(name, out type);

    /// <summary>The storage format of a port as a type of the file.</summary>
    public static SafetensorsType ToSafetensors(this ElementType type) => type switch
    {
        ElementType.F64 => SafetensorsType.F64,
        ElementType.F32 => SafetensorsType.F32,
        ElementType.F16 => SafetensorsType.F16,
        ElementType.BF16 => SafetensorsType.BF16,
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "Unknown element type."),
    };

    /// <summary>Bytes of one element.</summary>
    public static int Size(this SafetensorsType type) => type switch
    {
        SafetensorsType.F64 or SafetensorsType.I64 or SafetensorsType.U64 => 8,
        SafetensorsType.F32 or SafetensorsType.I32 or SafetensorsType.U32 => 4,
        SafetensorsType.F16 or SafetensorsType.BF16 or SafetensorsType.I16 or SafetensorsType.U16 => 2,
        _ => 1,
    };

    /// <summary>Decodes one element.</summary>
    /// <returns>False where no double equals the value (integers past 2^53), or where a BOOL is neither 0 nor 1.</returns>
    internal static bool TryDecode(this SafetensorsType type, ReadOnlySpan<byte> bytes, out double value)
    {
        const long Exact = 1L << 53;
        switch (type)
        {
            case SafetensorsType.F64: value = BinaryPrimitives.ReadDoubleLittleEndian(bytes); return true;
            case SafetensorsType.F32: value = BinaryPrimitives.ReadSingleLittleEndian(bytes); return true;
            case SafetensorsType.F16: value = (double)BinaryPrimitives.ReadHalfLittleEndian(bytes); return true;
            case SafetensorsType.BF16: value = BitConverter.Int32BitsToSingle(BinaryPrimitives.ReadUInt16LittleEndian(bytes) << 16); return true;
            case SafetensorsType.I32: value = BinaryPrimitives.ReadInt32LittleEndian(bytes); return true;
            case SafetensorsType.I16: value = BinaryPrimitives.ReadInt16LittleEndian(bytes); return true;
            case SafetensorsType.I8: value = (sbyte)bytes[0]; return true;
            case SafetensorsType.U32: value = BinaryPrimitives.ReadUInt32LittleEndian(bytes); return true;
            case SafetensorsType.U16: value = BinaryPrimitives.ReadUInt16LittleEndian(bytes); return true;
            case SafetensorsType.U8: value = bytes[0]; return true;
            case SafetensorsType.Bool: value = bytes[0]; return bytes[0] <= 1;
            case SafetensorsType.I64:
                long signed = BinaryPrimitives.ReadInt64LittleEndian(bytes);
                value = signed;
                return signed is >= -Exact and <= Exact;
            case SafetensorsType.U64:
                ulong unsigned = BinaryPrimitives.ReadUInt64LittleEndian(bytes);
                value = unsigned;
                return unsigned <= Exact;
            default: throw new ArgumentOutOfRangeException(nameof(type), type, "Unknown element type.");
        }
    }

    /// <summary>Encodes one element.</summary>
    /// <exception cref="ArgumentException">The type holds no such value: a case that was rounded silently would be another case.</exception>
    internal static void Encode(this SafetensorsType type, double value, Span<byte> bytes)
    {
        switch (type)
        {
            case SafetensorsType.F64: BinaryPrimitives.WriteDoubleLittleEndian(bytes, value); break;
            case SafetensorsType.F32: BinaryPrimitives.WriteSingleLittleEndian(bytes, (float)value); break;
            case SafetensorsType.F16: BinaryPrimitives.WriteHalfLittleEndian(bytes, (Half)value); break;
            case SafetensorsType.BF16: BinaryPrimitives.WriteUInt16LittleEndian(bytes, (ushort)(BitConverter.SingleToInt32Bits((float)value) >> 16)); break;
            case SafetensorsType.I64: BinaryPrimitives.WriteInt64LittleEndian(bytes, (long)value); break;
            case SafetensorsType.I32: BinaryPrimitives.WriteInt32LittleEndian(bytes, (int)value); break;
            case SafetensorsType.I16: BinaryPrimitives.WriteInt16LittleEndian(bytes, (short)value); break;
            case SafetensorsType.I8: bytes[0] = (byte)(sbyte)value; break;
            case SafetensorsType.U64: BinaryPrimitives.WriteUInt64LittleEndian(bytes, (ulong)value); break;
            case SafetensorsType.U32: BinaryPrimitives.WriteUInt32LittleEndian(bytes, (uint)value); break;
            case SafetensorsType.U16: BinaryPrimitives.WriteUInt16LittleEndian(bytes, (ushort)value); break;
            default: bytes[0] = (byte)value; break;
        }

        // NaN equals no value, and .Equals makes it equal to itself; -0 is kept by the floating types and is 0 for integers.
        if (!type.TryDecode(bytes, out double read) || !(read == value || read.Equals(value)))
            throw new ArgumentException(string.Create(CultureInfo.InvariantCulture, $"{type.Name()} cannot hold {value:R}"), nameof(value));
    }
}
