// Whatever happens to the bytes of a real file: is the outcome a valid file or a SafetensorsException, and nothing else?
using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Text;
using FsCheck;
using FsCheck.Fluent;
using FsCheck.Xunit;
using S2Attn.Conformance.Safetensors;
using S2Attn.Reference;

namespace S2Attn.Tests.Safetensors;

public sealed class SafetensorsFuzzTests
{
    private static readonly byte[][] Real =
    [
        SafetensorsWriter.Encode(new(
            [
                new("q", SafetensorsType.F64, Tensor<double>.Build([1, 4, 2, 3], i => i / 8.0)),
                new("k", SafetensorsType.F32, Tensor<double>.Build([1, 4, 1, 3], i => -i)),
                new("v", SafetensorsType.BF16, Tensor<double>.Build([1, 4, 1, 3], i => i % 3)),
                new("valid", SafetensorsType.U8, Tensor<double>.Build([1, 4], i => i % 2)),
            ],
            ImmutableSortedDictionary<string, string>.Empty.Add("s2attn", """{"name":"fuzz","flags":["a","b"]}"""))),
        SafetensorsWriter.Encode(new([new("seen", SafetensorsType.Bool, Tensor<double>.Build([3, 3], i => i % 2))])),
        SafetensorsWriter.Encode(new([new("empty", SafetensorsType.I64, Tensor<double>.Build([0, 5], _ => 0)), new("scalar", SafetensorsType.I64, Tensor<double>.Build([], _ => 7))])),
    ];

    // What a header edit puts in: structure, numbers at the edges, names that clash.
    private static readonly string[] Tokens =
    [
        "{", "}", "[", "]", ",", ":", "\"", "\\u0000", "\\ud800", "-", "0", "9223372036854775807", "18446744073709551615", "1e9", "0.0", "null", "true",
        "\"a\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]},", "\"__metadata__\":{},", "\"dtype\"", "\"F32\"", "[0,0]", " ", "\n", "\u00e9", "[[[[[[[[",
    ];

    public sealed record Mutation(string Name, byte[] Bytes)
    {
        public override string ToString() => $"{Name}: {Convert.ToBase64String(Bytes)}";
    }

    public static Arbitrary<Mutation> Mutations()
    {
        Gen<byte[]> real = Gen.Elements(Real);
        Gen<Mutation> flip = from bytes in real
                             from at in Gen.Choose(0, bytes.Length - 1)
                             from mask in Gen.Choose(1, 255)
                             select new Mutation("flip", [.. bytes[..at], (byte)(bytes[at] ^ mask), .. bytes[(at + 1)..]]);
        Gen<Mutation> cut = from bytes in real
                            from at in Gen.Choose(0, bytes.Length)
                            from removed in Gen.Choose(0, bytes.Length - at)
                            select new Mutation("cut", [.. bytes[..at], .. bytes[(at + removed)..]]);
        Gen<Mutation> insert = from bytes in real
                               from at in Gen.Choose(0, bytes.Length)
                               from extra in Gen.Choose(0, 255).Select(value => (byte)value).ArrayOf()
                               select new Mutation("insert", [.. bytes[..at], .. extra, .. bytes[at..]]);

        // The header's length is kept right, so that the JSON itself is reached.
        Gen<Mutation> edit = from bytes in real
                             from token in Gen.Elements(Tokens)
                             from place in Gen.Choose(0, 10_000)
                             from removed in Gen.Choose(0, 6)
                             select new Mutation("edit", EditHeader(bytes, token, place, removed));
        Gen<Mutation> claim = from bytes in real
                              from value in Gen.OneOf(Gen.Choose(0, 400).Select(small => (ulong)small), Gen.Elements(ulong.MaxValue, 1UL << 63, 100_000_000UL, 100_000_001UL, 100_000_000_000UL))
                              select new Mutation("length", WithLength(bytes, value));
        Gen<Mutation> garbage = Gen.Choose(0, 255).Select(value => (byte)value).ArrayOf().Select(bytes => new Mutation("garbage", bytes));
        return Gen.Frequency((3, flip), (2, cut), (2, insert), (6, edit), (1, claim), (1, garbage)).ToArbitrary();
    }

    [Property(Arbitrary = [typeof(SafetensorsFuzzTests)], MaxTest = 20_000)]
    public void A_mutated_file_is_valid_or_refused(Mutation mutation)
    {
        ArgumentNullException.ThrowIfNull(mutation);
        try
        {
            SafetensorsFile file = SafetensorsReader.Parse("fuzz", mutation.Bytes);

            // Valid means: it holds as many elements as bytes were there, and writing it gives it again.
            SafetensorsFile again = SafetensorsReader.Parse("again", SafetensorsWriter.Encode(file));
            Assert.Equal(file.Metadata, again.Metadata);
            foreach (SafetensorsTensor tensor in file.Tensors)
            {
                Assert.True(again.TryGet(tensor.Name, out SafetensorsTensor? same));
                Assert.Equal(tensor.Type, same!.Type);
                Assert.Equal(tensor.Values.Shape.ToArray(), same.Values.Shape.ToArray());
                Assert.Equal(tensor.Values.Elements.ToArray(), same.Values.Elements.ToArray());
            }
        }
        catch (SafetensorsException error)
        {
            Assert.NotEmpty(error.Rule);
        }
    }

    [Fact]
    public void Every_kind_of_mutation_is_refused_at_times_and_some_pass()
    {
        List<(string Name, bool Valid)> outcomes = [];
        foreach (Mutation mutation in Mutations().Generator.Sample(numberOfSamples: 3000, size: 50))
        {
            bool valid = true;
            try
            {
                SafetensorsReader.Parse("fuzz", mutation.Bytes);
            }
            catch (SafetensorsException)
            {
                valid = false;
            }

            outcomes.Add((mutation.Name, valid));
        }

        Assert.All(outcomes.GroupBy(outcome => outcome.Name), kind => Assert.Contains(kind, outcome => !outcome.Valid));
        Assert.All(outcomes.Where(outcome => outcome.Name is "flip" or "edit").GroupBy(outcome => outcome.Name), kind => Assert.Contains(kind, outcome => outcome.Valid));
    }

    private static byte[] EditHeader(byte[] bytes, string token, int place, int removed)
    {
        int length = (int)BinaryPrimitives.ReadUInt64LittleEndian(bytes);
        byte[] header = bytes[8..(8 + length)];
        int at = place % (length + 1);
        byte[] edited = [.. header[..at], .. Encoding.UTF8.GetBytes(token), .. header[Math.Min(at + removed, length)..]];
        return WithLength([.. bytes[..8], .. edited, .. bytes[(8 + length)..]], (ulong)edited.Length);
    }

    private static byte[] WithLength(byte[] bytes, ulong length)
    {
        byte[] result = [.. bytes];
        BinaryPrimitives.WriteUInt64LittleEndian(result, length);
        return result;
    }
}
