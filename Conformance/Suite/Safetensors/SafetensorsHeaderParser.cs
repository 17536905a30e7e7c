// Does the JSON header of a .safetensors file keep every rule of the format?
using System.Collections.Immutable;
using System.Text.Json;
using S2Attn.Conformance.Text;

namespace S2Attn.Conformance.Safetensors;

/// <summary>Reads a header strictly: what the format does not allow is an error, not a guess.</summary>
internal static class SafetensorsHeaderParser
{
    private const string MetadataName = "__metadata__";

    /// <summary>Parses the header's bytes for a file whose tensors take <paramref name="dataLength"/> bytes.</summary>
    /// <exception cref="SafetensorsException">A rule is broken.</exception>
    public static SafetensorsHeader Parse(string file, ReadOnlySpan<byte> json, long dataLength)
    {
        if (json.IsEmpty || json[0] != (byte)'{')
            throw new SafetensorsException(file, "the header must begin with '{'");
        Dictionary<string, SafetensorsEntry> entries = new(StringComparer.Ordinal);
        ImmutableSortedDictionary<string, string> metadata = ImmutableSortedDictionary.Create<string, string>(StringComparer.Ordinal);
        HashSet<string> names = new(StringComparer.Ordinal);
        try
        {
            Utf8JsonReader reader = new(json, new JsonReaderOptions { MaxDepth = SafetensorsHeader.MaxDepth });
            reader.Read();
            while (NextName(file, ref reader, "the header", names) is { } name)
            {
                reader.Read();
                if (name == MetadataName)
                    metadata = Metadata(file, ref reader);
                else
                    entries.Add(name, Entry(file, ref reader, name));
            }

            if (json[(int)reader.BytesConsumed..].ContainsAnyExcept((byte)' '))
                throw new SafetensorsException(file, "the header may be followed by spaces only");
        }
        catch (JsonException error)
        {
            throw new SafetensorsException(file, $"the header must be JSON: {error.Message}", error);
        }

        return new(Contiguous(file, entries.Values, dataLength), metadata, DataStart: 0);
    }

    private static string? NextName(string file, ref Utf8JsonReader reader, string owner, HashSet<string> seen)
    {
        reader.Read();
        if (reader.TokenType is JsonTokenType.EndObject)
            return null;
        string name = Text(file, ref reader);
        return seen.Add(name) ? name : throw new SafetensorsException(file, $"{owner} must not hold the name {Quote(name)} twice");
    }

    private static string Text(string file, ref Utf8JsonReader reader)
    {
        try
        {
            return reader.GetString()!;
        }
        catch (InvalidOperationException error)
        {
            throw new SafetensorsException(file, "the header must be valid UTF-8, without lone surrogates", error);
        }
    }

    private static ImmutableSortedDictionary<string, string> Metadata(string file, ref Utf8JsonReader reader)
    {
        Expect(file, reader.TokenType is JsonTokenType.StartObject, $"{MetadataName} must be an object");
        var metadata = ImmutableSortedDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
        HashSet<string> seen = new(StringComparer.Ordinal);
        while (NextName(file, ref reader, MetadataName, seen) is { } name)
        {
            reader.Read();
            Expect(file, reader.TokenType is JsonTokenType.String, $"{MetadataName}[{Quote(name)}] must be a string");
            metadata.Add(name, Text(file, ref reader));
        }

        return metadata.ToImmutable();
    }

    private static SafetensorsEntry Entry(string file, ref Utf8JsonReader reader, string name)
    {
        string tensor = $"tensor {Quote(name)}";
        Expect(file, reader.TokenType is JsonTokenType.StartObject, $"{tensor} must be an object");
        string? dtype = null;
        ImmutableArray<long> shape = default, offsets = default;
        HashSet<string> seen = new(StringComparer.Ordinal);
        while (NextName(file, ref reader, tensor, seen) is { } field)
        {
            reader.Read();
            switch (field)
            {
                case "dtype":
                    Expect(file, reader.TokenType is JsonTokenType.String, $"{tensor}: dtype must be a string");
                    dtype = Text(file, ref reader);
                    break;
                case "shape":
                    shape = Integers(file, ref reader, $"{tensor}: shape");
                    break;
                case "data_offsets":
                    offsets = Integers(file, ref reader, $"{tensor}: data_offsets");
                    break;
                default:
                    throw new SafetensorsException(file, $"{tensor} must hold dtype, shape and data_offsets only, not {Quote(field)}");
            }
        }

        Expect(file, dtype is not null, $"{tensor} must have a dtype");
        Expect(file, !shape.IsDefault, $"{tensor} must have a shape");
        Expect(file, !offsets.IsDefault, $"{tensor} must have data_offsets");
        Expect(file, SafetensorsTypes.TryParse(dtype!, out SafetensorsType type), $"{tensor}: dtype {Quote(dtype!)} must be one of {string.Join(", ", SafetensorsTypes.Names)}");
        Expect(file, offsets.Length == 2, $"{tensor}: data_offsets must be [begin, end], not {offsets.Length} numbers");
        Expect(file, offsets[0] <= offsets[1], $"{tensor}: data_offsets [{offsets[0]},{offsets[1]}] must not end before they begin");
        CheckSize(file, tensor, type, shape, offsets[1] - offsets[0]);
        return new(name, type, [.. shape.Select(length => (int)length)], offsets[0], offsets[1]);
    }

    private static void CheckSize(string file, string tensor, SafetensorsType type, ImmutableArray<long> shape, long bytes)
    {
        const int MaxRank = 32;
        string text = $"[{string.Join(",", shape.Take(MaxRank))}]";
        Expect(file, shape.Length <= MaxRank, $"{tensor}: shape must have at most {MaxRank} dimensions, not {shape.Length}");

        // A dimension past the limit is refused even beside a 0, so that no product below can leave 128 bits.
        Int128 elements = 1;
        foreach (long length in shape)
        {
            elements = length <= Array.MaxLength ? elements * length : Int128.MaxValue;
            Expect(file, elements <= Array.MaxLength, $"{tensor}: shape {text} must have at most {Array.MaxLength} elements, those of one array");
        }

        Expect(file, elements * type.Size() == bytes, $"{tensor}: shape {text} of {type.Name()} takes {elements * type.Size()} bytes, but its data_offsets span {bytes}");
    }

    private static ImmutableArray<long> Integers(string file, ref Utf8JsonReader reader, string owner)
    {
        Expect(file, reader.TokenType is JsonTokenType.StartArray, $"{owner} must be an array");
        var values = ImmutableArray.CreateBuilder<long>();
        while (reader.Read() && reader.TokenType is not JsonTokenType.EndArray)
        {
            long value = -1;
            bool whole = reader.TokenType is JsonTokenType.Number && reader.TryGetInt64(out value);
            Expect(file, whole && value >= 0, $"{owner} must hold integers from 0 to 2^63 - 1");
            values.Add(value);
        }

        return values.ToImmutable();
    }

    private static ImmutableArray<SafetensorsEntry> Contiguous(string file, IEnumerable<SafetensorsEntry> entries, long dataLength)
    {
        ImmutableArray<SafetensorsEntry> ordered = [.. entries.OrderBy(entry => entry.Begin).ThenBy(entry => entry.End)];
        long end = 0;
        foreach (SafetensorsEntry entry in ordered)
        {
            string tensor = $"tensor {Quote(entry.Name)}";
            Expect(file, entry.Begin >= end, $"{tensor} begins at byte {entry.Begin} and overlaps the tensor before it, which ends at {end}");
            Expect(file, entry.Begin == end, $"{tensor} begins at byte {entry.Begin} and leaves a gap behind byte {end}");
            Expect(file, entry.End <= dataLength, $"{tensor} ends at byte {entry.End}, out of range: the file holds {dataLength} bytes of data");
            end = entry.End;
        }

        Expect(file, end == dataLength, $"the tensors end at byte {end}, but {dataLength - end} bytes trail them");
        return ordered;
    }

    private static void Expect(string file, bool holds, string rule)
    {
        if (!holds)
            throw new SafetensorsException(file, rule);
    }

    /// <summary>A name as a message shows it: short, on one line.</summary>
    public static string Quote(string name) => $"\"{ForeignText.Line(60, name)}\"";
}
