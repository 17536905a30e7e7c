// How is a protocol buffer message written? The four wire types that ONNX files use.
using System.Buffers;
using System.Text;

namespace S2Attn.Conformance.Onnx;

/// <summary>Writes the fields of one message in the protocol buffer wire format. An ONNX file needs no more than this.</summary>
internal sealed class ProtobufWriter
{
    private readonly ArrayBufferWriter<byte> buffer = new();

    private enum WireType
    {
        Varint = 0,
        LengthDelimited = 2,
        Fixed32 = 5,
    }

    /// <summary>An integer field.</summary>
    public ProtobufWriter Integer(int field, long value)
    {
        Tag(field, WireType.Varint);
        Varint((ulong)value);
        return this;
    }

    /// <summary>A binary32 field.</summary>
    public ProtobufWriter Float(int field, float value)
    {
        Tag(field, WireType.Fixed32);
        buffer.Write(BitConverter.GetBytes(value));
        return this;
    }

    /// <summary>A string field.</summary>
    public ProtobufWriter Text(int field, string value) => Bytes(field, Encoding.UTF8.GetBytes(value));

    /// <summary>A field of raw bytes.</summary>
    public ProtobufWriter Bytes(int field, ReadOnlySpan<byte> value)
    {
        Tag(field, WireType.LengthDelimited);
        Varint((ulong)value.Length);
        buffer.Write(value);
        return this;
    }

    /// <summary>A nested message.</summary>
    public ProtobufWriter Message(int field, ProtobufWriter message) => Bytes(field, message.buffer.WrittenSpan);

    /// <summary>One field for each element, in order.</summary>
    public ProtobufWriter Each<T>(IEnumerable<T> elements, Func<ProtobufWriter, T, ProtobufWriter> write) => elements.Aggregate(this, write);

    /// <summary>All fields of another writer.</summary>
    public ProtobufWriter Append(ProtobufWriter other)
    {
        buffer.Write(other.buffer.WrittenSpan);
        return this;
    }

    /// <summary>The bytes of the message.</summary>
    public byte[] ToArray() => buffer.WrittenSpan.ToArray();

    private void Tag(int field, WireType type) => Varint(((ulong)field << 3) | (uint)type);

    private void Varint(ulong value)
    {
        for (; value >= 0x80; value >>= 7)
            buffer.Write([(byte)(value | 0x80)]);
        buffer.Write([(byte)value]);
    }
}
