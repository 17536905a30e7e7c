// How are texts read out of an R package, without R?
using System.Buffers.Binary;
using System.Collections.Immutable;
using System.IO.Compression;
using System.Text;

namespace S2Attn.Experiments.Data;

/// <summary>
/// The lazy-load database of a package's data: Rdata.rdx names values and says where they stand in Rdata.rdb, each a length and a zlib stream of R's serialization, format 3 in XDR
/// (R Internals, section 1.8). Vectors of strings and of integers, and lists of them, are all that is read.
/// </summary>
internal static class RLazyData
{
    private const int LengthBytes = 4, HeaderBytes = 14, MaxBytes = 1 << 28;
    private const int Nil = 254, Reference = 255, Symbol = 1, Pairs = 2, Characters = 9, Logicals = 10, Integers = 13, Strings = 16, List = 19;
    private const int HasAttributes = 1 << 9, HasTag = 1 << 10;

    /// <summary>The vectors of strings of a package's data folder, by name.</summary>
    /// <exception cref="InvalidDataException">A file is none of R's, or holds what is not read here.</exception>
    /// <exception cref="IOException">A file cannot be read.</exception>
    public static IReadOnlyDictionary<string, ImmutableArray<string>> ReadTexts(string folder)
    {
        byte[] database = File.ReadAllBytes(Path.Combine(folder, "Rdata.rdb"));
        using FileStream index = File.OpenRead(Path.Combine(folder, "Rdata.rdx"));
        using GZipStream unpacked = new(index, CompressionMode.Decompress);
        if (Parse(ReadAll(unpacked)) is not Value.Many { Items: [Value.Many variables, ..] })
            throw new InvalidDataException($"{folder}: Rdata.rdx is no index of a lazy-load database");
        return variables.Items.Zip(variables.Names).ToDictionary(
            pair => pair.Second,
            pair => pair.First is Value.Whole { Items: [int start, int length] } && start >= 0 && length > LengthBytes && start <= database.Length - length
                && Parse(Unpack(database, start, length)) is Value.Text text
                ? text.Items
                : throw new InvalidDataException($"{folder}: {pair.Second} is no vector of strings"));
    }

    private static byte[] Unpack(byte[] database, int start, int length)
    {
        using MemoryStream packed = new(database, start + LengthBytes, length - LengthBytes);
        using ZLibStream unpacked = new(packed, CompressionMode.Decompress);
        return ReadAll(unpacked);
    }

    private static byte[] ReadAll(Stream stream)
    {
        using MemoryStream all = new();
        byte[] buffer = new byte[1 << 16];
        for (int read; (read = stream.Read(buffer)) > 0;)
        {
            all.Write(buffer, 0, read);
            if (all.Length > MaxBytes)
                throw new InvalidDataException($"a value has more than {MaxBytes} bytes");
        }

        return all.ToArray();
    }

    private static Value Parse(byte[] bytes)
    {
        Parser parser = new(bytes);
        if (!bytes.AsSpan().StartsWith("X\n"u8))
            throw new InvalidDataException("no XDR serialization of R");
        parser.Skip(2);
        int version = parser.Int();
        parser.Skip(HeaderBytes - 2 - LengthBytes);
        if (version == 3)
            parser.Skip(parser.Count());
        return parser.Item();
    }

    private abstract record Value
    {
        public sealed record Text(ImmutableArray<string> Items) : Value;

        public sealed record Whole(ImmutableArray<int> Items) : Value;

        public sealed record Many(ImmutableArray<Value> Items, ImmutableArray<string> Names) : Value;

        public sealed record Other : Value;
    }

    private sealed class Parser(byte[] bytes)
    {
        private const int MaxDepth = 100;

        private readonly List<string> symbols = [];
        private int at, depth;

        public void Skip(int count) => at = at + count <= bytes.Length ? at + count : throw Short();

        public int Int()
        {
            Skip(sizeof(int));
            return BinaryPrimitives.ReadInt32BigEndian(bytes.AsSpan(at - sizeof(int)));
        }

        // A count is of things that have at least a byte each.
        public int Count() => Int() is var count && count >= 0 && count <= bytes.Length - at ? count : throw Short();

        public Value Item()
        {
            if (++depth > MaxDepth)
                throw new InvalidDataException("lists in lists, too deep");
            int flags = Int(), type = flags & 0xFF;
            Value value = type switch
            {
                Nil => new Value.Other(),
                Integers or Logicals => new Value.Whole([.. Enumerable.Range(0, Count()).Select(_ => Int())]),
                Strings => new Value.Text([.. Enumerable.Range(0, Count()).Select(_ => String())]),
                List => new Value.Many([.. Enumerable.Range(0, Count()).Select(_ => Item())], []),
                _ => throw new InvalidDataException($"type {type} of R is not read here"),
            };
            if ((flags & HasAttributes) != 0 && Attributes() is { IsDefault: false } names && value is Value.Many many && names.Length == many.Items.Length)
                value = many with { Names = names };
            depth--;
            return value;
        }

        // A list of pairs; its "names" are what is kept.
        private ImmutableArray<string> Attributes()
        {
            ImmutableArray<string> names = default;
            for (int flags = Int(); (flags & 0xFF) == Pairs; flags = Int())
            {
                string tag = (flags & HasTag) != 0 ? Tag() : "";
                if (Item() is Value.Text text && tag == "names")
                    names = text.Items;
            }

            return names;
        }

        private string Tag()
        {
            int flags = Int();
            if ((flags & 0xFF) == Reference)
                return flags >> 8 is var number && number >= 1 && number <= symbols.Count ? symbols[number - 1] : throw Short();
            if ((flags & 0xFF) != Symbol)
                throw new InvalidDataException("a tag is no symbol");
            symbols.Add(String());
            return symbols[^1];
        }

        private string String()
        {
            if ((Int() & 0xFF) != Characters)
                throw new InvalidDataException("a string is none");
            int length = Int();
            if (length == -1)
                return "";
            if (length < 0 || length > bytes.Length - at)
                throw Short();
            Skip(length);
            return Encoding.UTF8.GetString(bytes, at - length, length);
        }

        private static InvalidDataException Short() => new("a value of R ends too early");
    }
}
