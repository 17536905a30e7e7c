// How is a .safetensors file written so that nobody ever sees half of it?
using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Text.Json;
using S2Attn.Conformance.Validation;

namespace S2Attn.Conformance.Safetensors;

/// <summary>Writes the format that <see cref="SafetensorsReader"/> reads.</summary>
public static class SafetensorsWriter
{
    private const int Alignment = 8;

    /// <summary>Writes a file beside its final place and renames it, so that a reader sees the old file or the whole new one.</summary>
    /// <remarks>Wider types come first and the header is padded to 8 bytes, so that every tensor is aligned to its element size.</remarks>
    /// <exception cref="ArgumentException">Two tensors share a name, a value is no number of its type, or the file would pass 2 GB. Nothing is written.</exception>
    public static void Write(string path, SafetensorsFile file)
    {
        WholeFile.Write(path, Encode(file));
    }

    /// <summary>The bytes of a file.</summary>
    /// <inheritdoc cref="Write" path="exception"/>
    public static byte[] Encode(SafetensorsFile file)
    {
        ArgumentNullException.ThrowIfNull(file);
        ImmutableArray<SafetensorsTensor> tensors = [.. file.Tensors.OrderByDescending(tensor => tensor.Type.Size())];
        foreach (IGrouping<string, SafetensorsTensor> same in tensors.GroupBy(tensor => tensor.Name, StringComparer.Ordinal))
            if (same.Count() > 1 || same.Key == "__metadata__")
                throw new ArgumentException($"Tensor \"{same.Key}\": names must differ from each other and from __metadata__.", nameof(file));

        byte[] header = Header(tensors, file.Metadata);
        int padded = (header.Length + Alignment - 1) / Alignment * Alignment;
        long total = Alignment + padded + tensors.Sum(tensor => (long)tensor.Values.Elements.Length * tensor.Type.Size());
        if (total > Array.MaxLength)
            throw new ArgumentException($"The file would have {total} bytes; at most {Array.MaxLength} are written.", nameof(file));
        byte[] bytes = new byte[total];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, (ulong)padded);
        bytes.AsSpan(Alignment, padded).Fill((byte)' ');
        header.CopyTo(bytes, Alignment);
        int at = Alignment + padded;
        foreach (SafetensorsTensor tensor in tensors)
            at += EncodeValues(tensor, bytes.AsSpan(at));
        return bytes;
    }

    private static int EncodeValues(SafetensorsTensor tensor, Span<byte> bytes)
    {
        int size = tensor.Type.Size();
        ReadOnlySpan<double> values = tensor.Values.Elements;
        for (int i = 0; i < values.Length; i++)
        {
            try
            {
                tensor.Type.Encode(values[i], bytes.Slice(i * size, size));
            }
            catch (ArgumentException error)
            {
                throw new ArgumentException($"Tensor \"{tensor.Name}\", element {i}: {error.Message}", error);
            }
        }

        return values.Length * size;
    }

    private static byte[] Header(ImmutableArray<SafetensorsTensor> tensors, ImmutableSortedDictionary<string, string> metadata)
    {
        using MemoryStream stream = new();
        using (Utf8JsonWriter json = new(stream))
        {
            json.WriteStartObject();
            if (!metadata.IsEmpty)
            {
                json.WriteStartObject("__metadata__");
                foreach ((string name, string value) in metadata)
                    json.WriteString(name, value);
                json.WriteEndObject();
            }

            long offset = 0;
            foreach (SafetensorsTensor tensor in tensors)
            {
                long end = offset + (long)tensor.Values.Elements.Length * tensor.Type.Size();
                json.WriteStartObject(tensor.Name);
                json.WriteString("dtype", tensor.Type.Name());
                json.WriteStartArray("shape");
                foreach (int length in tensor.Values.Shape)
                    json.WriteNumberValue(length);
                json.WriteEndArray();
                json.WriteStartArray("data_offsets");
                json.WriteNumberValue(offset);
                json.WriteNumberValue(end);
                json.WriteEndArray();
                json.WriteEndObject();
                offset = end;
            }

            json.WriteEndObject();
        }

        return stream.ToArray();
    }
}
