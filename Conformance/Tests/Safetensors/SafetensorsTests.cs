// Is every rule of the .safetensors format enforced, and does a file survive writing and reading?
using System.Buffers.Binary;
using System.Text;
using S2Attn.Conformance.Safetensors;
using S2Attn.Reference;

namespace S2Attn.Tests.Safetensors;

public sealed class SafetensorsTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("s2attn-").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    private static byte[] Bytes(string header, int dataBytes) => Bytes(Encoding.UTF8.GetBytes(header), dataBytes);

    private static byte[] Bytes(byte[] header, int dataBytes)
    {
        byte[] bytes = new byte[8 + header.Length + dataBytes];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, (ulong)header.Length);
        header.CopyTo(bytes, 8);
        return bytes;
    }

    // The header of tensor "a", F32 [2], with one part replaced; its data take 8 bytes.
    public static TheoryData<string, string> BrokenHeaders => new()
    {
        { "", "the header must begin with '{'" },
        { " {}", "the header must begin with '{'" },
        { "[]", "the header must begin with '{'" },
        { "{", "the header must be JSON" },
        { """{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}""", "the header must be JSON" },
        { """{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},}""", "the header must be JSON" },
        { """{/* */"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", "the header must be JSON" },
        { """{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}{}""", "the header may be followed by spaces only" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}\n", "the header may be followed by spaces only" },
        { """{"a":{"dtype":"F32","shape":[[2]],"data_offsets":[0,8]}}""", "the maximum configured depth of 3" },
        { """{"a":8}""", "tensor \"a\" must be an object" },
        { """{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"\u0061":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}""", "must not hold the name \"a\" twice" },
        { """{"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", "tensor \"a\" must not hold the name \"dtype\" twice" },
        { """{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"stride":[1]}}""", "not \"stride\"" },
        { """{"a":{"shape":[2],"data_offsets":[0,8]}}""", "must have a dtype" },
        { """{"a":{"dtype":"F32","data_offsets":[0,8]}}""", "must have a shape" },
        { """{"a":{"dtype":"F32","shape":[2]}}""", "must have data_offsets" },
        { """{"a":{"dtype":32,"shape":[2],"data_offsets":[0,8]}}""", "dtype must be a string" },
        { """{"a":{"dtype":"f32","shape":[2],"data_offsets":[0,8]}}""", "dtype \"f32\" must be one of F64" },
        { """{"a":{"dtype":"F8_E4M3","shape":[8],"data_offsets":[0,8]}}""", "dtype \"F8_E4M3\" must be one of" },
        { """{"a":{"dtype":"0","shape":[8],"data_offsets":[0,8]}}""", "dtype \"0\" must be one of" },
        { """{"a":{"dtype":"F32","shape":2,"data_offsets":[0,8]}}""", "shape must be an array" },
        { """{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}""", "shape must hold integers from 0" },
        { """{"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}}""", "shape must hold integers from 0" },
        { """{"a":{"dtype":"F32","shape":["2"],"data_offsets":[0,8]}}""", "shape must hold integers from 0" },
        { """{"a":{"dtype":"F32","shape":[18446744073709551618],"data_offsets":[0,8]}}""", "shape must hold integers from 0" },
        { """{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}""", "takes 12 bytes, but its data_offsets span 8" },
        { """{"a":{"dtype":"F32","shape":[0,9223372036854775807],"data_offsets":[0,0]}}""", "must have at most" },
        { """{"a":{"dtype":"F32","shape":[4294967296,4294967296,4294967296,4294967296],"data_offsets":[0,0]}}""", "must have at most" },
        { """{"a":{"dtype":"F32","shape":[2147483647,2147483647],"data_offsets":[0,8]}}""", "must have at most" },
        { """{"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,2],"data_offsets":[0,8]}}""", "at most 32 dimensions" },
        { """{"a":{"dtype":"F32","shape":[2],"data_offsets":[0]}}""", "data_offsets must be [begin, end]" },
        { """{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}""", "must not end before they begin" },
        { """{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}""", "leaves a gap behind byte 0" },
        { """{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}""", "overlaps the tensor before it" },
        { """{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}""", "out of range: the file holds 8 bytes" },
        { """{"a":{"dtype":"F32","shape":[25000000000],"data_offsets":[0,100000000000]}}""", "must have at most" },
        { """{"a":{"dtype":"F32","shape":[500000000],"data_offsets":[0,2000000000]}}""", "out of range: the file holds 8 bytes" },
        { """{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", "4 bytes trail" },
        { "{}", "8 bytes trail" },
        { """{"__metadata__":[],"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", "__metadata__ must be an object" },
        { """{"__metadata__":{"x":1},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", "__metadata__[\"x\"] must be a string" },
        { """{"__metadata__":{"x":"1","x":"1"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", "__metadata__ must not hold the name \"x\" twice" },
        { """{"__metadata__":{},"__metadata__":{},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", "must not hold the name \"__metadata__\" twice" },
        { """{"\ud800":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", "valid UTF-8" },
    };

    [Theory]
    [MemberData(nameof(BrokenHeaders))]
    public void A_broken_header_is_refused_with_file_and_rule(string header, string rule)
    {
        SafetensorsException error = Assert.Throws<SafetensorsException>(() => SafetensorsReader.Parse("x.safetensors", Bytes(header, 8)));
        Assert.StartsWith("x.safetensors: ", error.Message, StringComparison.Ordinal);
        Assert.Contains(rule, error.Message, StringComparison.OrdinalIgnoreCase);
    }

    [Fact]
    public void Bytes_that_are_not_UTF8_are_refused()
    {
        byte[] header = Encoding.Latin1.GetBytes("{\"\u00ff\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}");
        Assert.Throws<SafetensorsException>(() => SafetensorsReader.Parse("x", Bytes(header, 8)));
    }

    [Theory]
    [InlineData(100_000_000_000UL, "the header claims 100000000000 bytes; the format allows 100000000")]
    [InlineData(ulong.MaxValue, "the format allows 100000000")]
    [InlineData(100_000_000UL, "but 3 follow: the file is truncated")]
    [InlineData(4UL, "but 3 follow: the file is truncated")]
    public void A_header_length_past_the_file_is_refused_unallocated(ulong length, string rule)
    {
        byte[] bytes = new byte[11];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, length);
        long before = GC.GetAllocatedBytesForCurrentThread();
        SafetensorsException error = Assert.Throws<SafetensorsException>(() => SafetensorsReader.Parse("x", bytes));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1_000_000);
        Assert.Contains(rule, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(7)]
    public void A_file_without_a_header_length_is_refused(int length) =>
        Assert.Contains("at least 8 bytes", Assert.Throws<SafetensorsException>(() => SafetensorsReader.Parse("x", new byte[length])).Message, StringComparison.Ordinal);

    [Fact]
    public void Bytes_become_the_doubles_that_equal_them()
    {
        (string Type, byte[] Bytes, double Value)[] elements =
        [
            ("F64", [0, 0, 0, 0, 0, 0, 0xF8, 0xBF], -1.5),
            ("I64", [0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], -2),
            ("U64", [3, 0, 0, 0, 0, 0, 0, 0], 3),
            ("F32", [0, 0, 0x80, 0x7F], double.PositiveInfinity),
            ("I32", [0, 0, 0, 0x80], int.MinValue),
            ("U32", [0xFF, 0xFF, 0xFF, 0xFF], uint.MaxValue),
            ("F16", [1, 0], Math.ScaleB(1, -24)),
            ("BF16", [0x80, 0x3F], 1),
            ("I16", [0xFF, 0xFF], -1),
            ("U16", [0xFF, 0xFF], 65535),
            ("I8", [0x80], -128),
            ("U8", [0x80], 128),
            ("BOOL", [1], 1),
        ];
        int offset = 0;
        string header = "{" + string.Join(",", elements.Select(element =>
            $$"""
            "{{element.Type}}":{"dtype":"{{element.Type}}","shape":[],"data_offsets":[{{offset}},{{offset += element.Bytes.Length}}]}
            """)) + "}";
        byte[] bytes = [.. Bytes(header, 0), .. elements.SelectMany(element => element.Bytes)];
        SafetensorsFile file = SafetensorsReader.Parse("x", bytes);
        Assert.Equal(SafetensorsTypes.Names.Order(), elements.Select(element => element.Type).Order());
        Assert.Equal(elements.Select(element => (element.Type, element.Value)), file.Tensors.Select(tensor => (tensor.Name, tensor.Values.Elements[0])));
        Assert.Equal(bytes[^offset..], SafetensorsWriter.Encode(file)[^offset..]);
    }

    [Theory]
    [InlineData("BOOL", 2, 1, "element 0 of BOOL is neither 0 nor 1")]
    [InlineData("U64", 0xFF, 8, "past 2^53")]
    [InlineData("I64", 0x7F, 8, "past 2^53")]
    public void Values_that_no_double_equals_are_refused(string type, byte fill, int size, string rule)
    {
        byte[] bytes = Bytes($$$"""{"a":{"dtype":"{{{type}}}","shape":[1],"data_offsets":[0,{{{size}}}]}}""", size);
        bytes.AsSpan(bytes.Length - size).Fill(fill);
        Assert.Contains(rule, Assert.Throws<SafetensorsException>(() => SafetensorsReader.Parse("x", bytes)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Empty_files_and_empty_tensors_are_valid()
    {
        Assert.Empty(SafetensorsReader.Parse("x", Bytes("{}  ", 0)).Tensors);
        SafetensorsTensor tensor = SafetensorsReader.Parse("x", Bytes("""{"a":{"dtype":"F32","shape":[3,0],"data_offsets":[0,0]}}""", 0)).Tensors[0];
        Assert.Equal([3, 0], tensor.Values.Shape.ToArray());

        // It begins where another one does, and the header may name either first.
        string[] entries = ["\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}", "\"b\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}", "\"c\":{\"dtype\":\"F32\",\"shape\":[0,2],\"data_offsets\":[4,4]}"];
        foreach (int[] order in new int[][] { [0, 1, 2], [1, 0, 2], [2, 1, 0], [2, 0, 1], [0, 2, 1], [1, 2, 0] })
            Assert.Equal(3, SafetensorsReader.Parse("x", Bytes("{" + string.Join(',', order.Select(i => entries[i])) + "}", 4)).Tensors.Length);
    }

    [Fact]
    public void The_writer_refuses_values_that_the_type_cannot_hold_and_writes_nothing()
    {
        string path = Path.Combine(folder, "x.safetensors");
        foreach ((SafetensorsType type, double value) in new[]
        {
            (SafetensorsType.F32, 0.1), (SafetensorsType.BF16, 1.001953125), (SafetensorsType.F16, 65536.0), (SafetensorsType.U8, 256), (SafetensorsType.Bool, 2),
            (SafetensorsType.I32, 0.5), (SafetensorsType.I64, 1e19), (SafetensorsType.U64, -1), (SafetensorsType.I8, double.NaN),
        })
        {
            SafetensorsFile file = new([new("a", type, Tensor<double>.Of([2], [1, value]))]);
            Assert.Contains("Tensor \"a\", element 1", Assert.Throws<ArgumentException>(() => SafetensorsWriter.Write(path, file)).Message, StringComparison.Ordinal);
        }

        SafetensorsTensor one = new("a", SafetensorsType.U8, Tensor<double>.Of([1], [1]));
        Assert.Throws<ArgumentException>(() => SafetensorsWriter.Write(path, new([one, one])));
        Assert.Throws<ArgumentException>(() => SafetensorsWriter.Write(path, new([one with { Name = "__metadata__" }])));
        Assert.Empty(Directory.EnumerateFileSystemEntries(folder));
    }

    [Fact]
    public void Writing_replaces_a_file_and_leaves_nothing_else()
    {
        string path = Path.Combine(folder, "x.safetensors");
        foreach (double value in new[] { 1.0, double.NaN, double.NegativeInfinity, -0.0 })
        {
            SafetensorsWriter.Write(path, new([new("a", SafetensorsType.BF16, Tensor<double>.Of([1], [value]))]));
            double read = SafetensorsReader.Read(path).Tensors[0].Values.Elements[0];
            Assert.Equal(BitConverter.DoubleToInt64Bits(value), BitConverter.DoubleToInt64Bits(read));
        }

        Assert.Equal([path], Directory.EnumerateFileSystemEntries(folder));
        Assert.Equal(0, SafetensorsReader.ReadHeader(path).DataStart % 8);
    }

    [Fact]
    public void What_is_no_readable_file_is_refused_with_its_name()
    {
        string missing = Path.Combine(folder, "missing.safetensors");
        Assert.StartsWith(missing + ": cannot be read", Assert.Throws<SafetensorsException>(() => SafetensorsReader.Read(missing)).Message, StringComparison.Ordinal);
        Assert.Throws<SafetensorsException>(() => SafetensorsReader.Read(folder));
        Assert.Throws<SafetensorsException>(() => SafetensorsReader.Read(""));
        string large = Path.Combine(folder, "large");
        using (FileStream sparse = File.Create(large))
            sparse.SetLength(3_000_000_000);
        Assert.Contains("more than the 1000 expected", Assert.Throws<SafetensorsException>(() => SafetensorsReader.Read(large, maxBytes: 1000)).Message, StringComparison.Ordinal);
        Assert.Throws<SafetensorsException>(() => SafetensorsReader.Read(large));
    }
}
