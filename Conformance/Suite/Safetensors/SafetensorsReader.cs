// How is a .safetensors file read without trusting it?
using System.Buffers.Binary;
using System.Collections.Immutable;
using S2Attn.Conformance.Validation;
using S2Attn.Reference;

namespace S2Attn.Conformance.Safetensors;

/// <summary>
/// Reads the format of github.com/huggingface/safetensors: a little-endian u64 header length, a JSON header, the tensors' bytes.
/// Nothing is allocated by a claimed size before that size is checked against the file's length.
/// </summary>
public static class SafetensorsReader
{
    private const int LengthBytes = 8;

    /// <summary>Reads a whole file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="maxBytes">Longer files are refused unread.</param>
    /// <exception cref="SafetensorsException">The file breaks a rule of the format, is too long, or cannot be read.</exception>
    public static SafetensorsFile Read(string path, long maxBytes = long.MaxValue) => Open(path, maxBytes, stream => Read(path, stream));

    /// <summary>Reads and checks the header alone; the tensors' bytes are counted, not read.</summary>
    /// <inheritdoc cref="Read(string, long)"/>
    public static SafetensorsHeader ReadHeader(string path, long maxBytes = long.MaxValue) => Open(path, maxBytes, stream => ReadHeader(path, stream));

    /// <summary>Reads a file from bytes in memory.</summary>
    /// <param name="name">The file's name for messages.</param>
    /// <param name="bytes">The whole file.</param>
    /// <exception cref="SafetensorsException">The bytes break a rule of the format.</exception>
    public static SafetensorsFile Parse(string name, byte[] bytes)
    {
        using MemoryStream stream = new(bytes, writable: false);
        return Read(name, stream);
    }

    private static T Open<T>(string path, long maxBytes, Func<Stream, T> read)
    {
        ArgumentNullException.ThrowIfNull(path);
        try
        {
            using FileStream stream = RegularFile.Open(maxBytes, path);
            return read(stream);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or NotSupportedException or ArgumentException)
        {
            throw new SafetensorsException(path, $"cannot be read: {error.Message}", error);
        }
    }

    private static SafetensorsHeader ReadHeader(string name, Stream stream)
    {
        long length = stream.Length;
        if (length < LengthBytes)
            throw new SafetensorsException(name, $"a file must have at least {LengthBytes} bytes, not {length}");
        Span<byte> prefix = stackalloc byte[LengthBytes];
        stream.ReadExactly(prefix);
        ulong claimed = BinaryPrimitives.ReadUInt64LittleEndian(prefix);
        if (claimed > SafetensorsHeader.MaxBytes)
            throw new SafetensorsException(name, $"the header claims {claimed} bytes; the format allows {SafetensorsHeader.MaxBytes}");
        if ((long)claimed > length - LengthBytes)
            throw new SafetensorsException(name, $"the header claims {claimed} bytes, but {length - LengthBytes} follow: the file is truncated");
        byte[] json = new byte[claimed];
        stream.ReadExactly(json);
        long start = LengthBytes + (long)claimed;
        return SafetensorsHeaderParser.Parse(name, json, length - start) with { DataStart = start };
    }

    private static SafetensorsFile Read(string name, Stream stream)
    {
        SafetensorsHeader header = ReadHeader(name, stream);
        var tensors = ImmutableArray.CreateBuilder<SafetensorsTensor>(header.Entries.Length);
        foreach (SafetensorsEntry entry in header.Entries)
            tensors.Add(new(entry.Name, entry.Type, Values(name, stream, entry)));
        return new(tensors.MoveToImmutable(), header.Metadata);
    }

    private static Tensor<double> Values(string name, Stream stream, SafetensorsEntry entry)
    {
        const int Chunk = 8192;
        int size = entry.Type.Size();
        byte[] buffer = new byte[(int)Math.Min(Chunk * (long)size, entry.End - entry.Begin)];
        int available = 0, at = 0, left = entry.Count;
        return Tensor<double>.Build(entry.Shape.AsSpan(), index =>
        {
            if (at == available)
            {
                available = Math.Min(buffer.Length / size, left) * size;
                stream.ReadExactly(buffer, 0, available);
                left -= available / size;
                at = 0;
            }

            if (!entry.Type.TryDecode(buffer.AsSpan(at, size), out double value))
                throw new SafetensorsException(name, $"tensor {SafetensorsHeaderParser.Quote(entry.Name)}: element {index} of {entry.Type.Name()} is {Rule(entry.Type)}");
            at += size;
            return value;
        });

        static string Rule(SafetensorsType type) => type is SafetensorsType.Bool ? "neither 0 nor 1" : "past 2^53, where a double is not exact";
    }
}
