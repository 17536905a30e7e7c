// Whatever stands in a reply, a declaration, a manifest or a report: is it read or refused in words, quickly, and nothing else?
using System.Collections.Immutable;
using System.Diagnostics;
using System.Text;
using System.Text.Json;
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Golden;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Properties;
using S2Attn.Conformance.Reports;
using S2Attn.Conformance.Reproducers;
using S2Attn.Conformance.Running;
using S2Attn.Conformance.Safetensors;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Conformance.Campaigns;

/// <summary>What was tried of one kind of input.</summary>
/// <param name="Input">The kind.</param>
/// <param name="Tried">How many were tried.</param>
/// <param name="Accepted">How many of them were read; the others were refused in words.</param>
/// <param name="Failures">Those that ended otherwise, or took longer than <see cref="HostileCampaign.Limit"/>.</param>
public sealed record HostileReport(string Input, int Tried, int Accepted, ImmutableArray<string> Failures);

/// <summary>Puts <see cref="HostileInput"/> to every reader of JSON that comes from outside. The same seed gives the same inputs.</summary>
public static class HostileCampaign
{
    private const int MaxFailures = 5;
    private static readonly string[] Questions = ["q", "k", "v"], Elements = ["expected.o", "bound.o"], Rows = ["expected.lse", "bound.lse"];
    private static readonly string[] Tensors = [.. Questions, "do", "o", "dq", "dk", "dv"];

    /// <summary>The longest that one input may take.</summary>
    public static TimeSpan Limit { get; } = TimeSpan.FromSeconds(5);

    private sealed record Reader(string Input, string Honest, Action<byte[]> Read);

    /// <summary>Tries so many inputs of each kind.</summary>
    public static IEnumerable<HostileReport> Run(int cases, int seed)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(cases);
        foreach (Reader reader in Readers())
        {
            int accepted = 0;
            List<string> failures = [];

            // Changes of what is refused anyway would show nothing.
            if (!Try(reader, Encoding.UTF8.GetBytes(reader.Honest)).Read)
                failures.Add("the honest input is refused");
            foreach (byte[] input in HostileInput.Of(reader.Honest, cases, seed))
            {
                (bool read, string failure) = Try(reader, input);
                accepted += read ? 1 : 0;
                if (failure.Length > 0)
                    failures.Add($"{failure}: {PortReply.Shown(input)}");
            }

            yield return new(reader.Input, cases, accepted, [.. failures.Take(MaxFailures)]);
        }
    }

    // Whether it was read, and what it ended with where that was neither being read nor being refused.
    private static (bool Read, string Failure) Try(Reader reader, byte[] input)
    {
        Stopwatch watch = Stopwatch.StartNew();
        bool read = false;
        try
        {
            reader.Read(input);
            read = true;
        }
        catch (Exception refused) when (refused is FormatException or SafetensorsException or GoldenException)
        {
            // Refused in words: the message names what it is about.
        }
        catch (Exception error)
        {
            return (read, $"{error.GetType().Name}: {error.Message}");
        }

        return (read, watch.Elapsed > Limit ? FormattableString.Invariant($"took {watch.Elapsed.TotalSeconds:0.0} s") : "");
    }

    private static IEnumerable<Reader> Readers()
    {
        const string Config = """{"groupSize":4,"shift":2,"mask":"LocalCausal","shiftedHeads":[true,false],"scale":0.25,"dtype":"f32","batch":1,"tokens":8,"heads":2,"kvHeads":2,"headDim":4}""";
        yield return new("reply to a case", """{"id":1,"ok":false,"error":"ValueError: q_len 7","tookMs":3}""", utf8 => Reply(utf8));
        yield return new(
            "answer to describe",
            """{"id":1,"ok":true,"name":"numpy-rows","version":"1.0","language":"python","capabilities":{"ops":["forward","backward"],"dtypes":["f32","bf16"],"masks":["LocalCausal","Split"],"gqa":true,"padding":false,"oddGroup":true,"ragged":false,"maxTokens":4096,"fixed":{"batch":1,"tokens":16,"heads":4,"kvHeads":2,"headDim":8,"groupSize":4,"shift":2,"shiftedHeads":"SecondHalf","scale":"default"}}}""",
            Describe);
        yield return new("config of a request", Config, utf8 => PortConfigs.Read(Element(utf8)));
        yield return new("report.json", HonestReport, utf8 => ReportDigest.Parse(utf8));
        yield return new("manifest.json", HonestManifest(), utf8 => GoldenFolder.Parse("folder", utf8));
        yield return new("header of a golden case", HonestHeader(), Golden);
        yield return new("metadata of a reproducer", $$"""{"s2attn.reproducer":"1","op":"forward","config":{{JsonSerializer.Serialize(Config)}},"property":"p","port":"q","seed":"1","cases":"2"}""", Reproduce);
    }

    private static void Reply(byte[] utf8)
    {
        if (PortReply.Parse(utf8, 1) is PortReply.Malformed malformed)
            throw new FormatException(malformed.Message);
    }

    // A declaration that is read must also be one that cases can be drawn for.
    private static void Describe(byte[] utf8)
    {
        if (PortReply.Parse(utf8, 1) is not PortReply.Ok ok)
            throw new FormatException("no answer to describe");
        if (!PortDescriptions.TryRead(ok.Fields, out PortDescription? description, out string wrong))
            throw new FormatException(wrong);
        foreach (Property property in PropertyCatalogue.All.Take(3))
            foreach (DrawnCase drawn in SuiteRunner.Draw(new SuiteOptions { Cases = 3 }, property, description.Capabilities))
                _ = PortSupport.Lacks(description.Capabilities, drawn.Case.Config, drawn.Case.Type, PortOperation.Forward, padded: false);
    }

    private static JsonElement Element(byte[] utf8) => Validation.JsonFields.Parse("config", utf8).Element;

    private const string HonestReport =
        """{"schema":"s2attn-report","version":1,"tool":"s2attn 0.1.0","seed":1,"cases":100,"filter":"","complete":true,"ports":[{"subject":"mine","levelsEarned":[1]}],"results":[{"subject":"mine","name":"Agreement.Output","outcome":"holds"}]}""";

    private static string HonestManifest() => """
        {"schemaVersion":1,"cases":[{"file":"a.safetensors","bytes":100,"sha256":"f159314339981a6fd19b92cd2e80ec61b599a4677a400a59e7b8f9caac43cac3","name":"a","family":"core",
        "upstream":{"file":"f.py","function":"g"},"config":{"groupSize":2,"shift":1,"mask":"LocalCausal","shiftedHeads":"SecondHalf","scale":0.5,"dtype":"f64","batch":1,"tokens":4,"heads":2,"kvHeads":2,"headDim":2},
        "expected":{"kind":"definition","mask":"LocalCausal","defects":[]},"toleranceClass":"f64","arithmetic":{"sumDtype":"f64","scoresDtype":"f64","softmaxDtype":"f64","probabilitiesDtype":"f64"},"rowsDifferingFromDefinition":0}]}
        """;

    private static string HonestHeader()
    {
        const int Bytes = 1 * 4 * 2 * 2 * sizeof(double);
        return $"{{{string.Join(",", Tensors.Select((name, i) => $"\"{name}\":{{\"dtype\":\"F64\",\"shape\":[1,4,2,2],\"data_offsets\":[{i * Bytes},{(i + 1) * Bytes}]}}"))}}}";
    }

    // The file is made to fit its header, so that what is wrong with the shapes comes through to whoever computes with them.
    private static void Golden(byte[] header)
    {
        long length = 0;
        try
        {
            using JsonDocument document = JsonDocument.Parse(header);
            if (document.RootElement.ValueKind is JsonValueKind.Object)
                length = document.RootElement.EnumerateObject().Select(End).DefaultIfEmpty(0).Max();
        }
        catch (JsonException)
        {
            // As it is.
        }

        byte[] bytes = [.. BitConverter.GetBytes((long)header.Length), .. header, .. new byte[length is >= 0 and < 1 << 20 ? length : 0]];
        GoldenCase golden = GoldenFolder.Parse("folder", Encoding.UTF8.GetBytes(HonestManifest()))[0];
        SafetensorsFile file = SafetensorsReader.Parse("golden", bytes);
        GoldenShapes.Check(golden, file);
        _ = GoldenSuite.Failures(golden, file).Count();

        static long End(JsonProperty entry) => entry.Value.ValueKind is JsonValueKind.Object && entry.Value.TryGetProperty("data_offsets", out JsonElement offsets)
            && offsets.ValueKind is JsonValueKind.Array && offsets.GetArrayLength() == 2 && offsets[1].ValueKind is JsonValueKind.Number && offsets[1].TryGetInt64(out long end) ? end : 0;
    }

    private static void Reproduce(byte[] metadata)
    {
        SafetensorsFile file = SafetensorsReader.Parse("reproducer", SafetensorsWriter.Encode(new(
            [
                .. Questions.Select(name => new SafetensorsTensor(name, SafetensorsType.F32, Tensor<double>.Build([1, 8, 2, 4], i => i))),
                .. Elements.Select(name => new SafetensorsTensor(name, SafetensorsType.F64, Tensor<double>.Build([1, 8, 2, 4], i => i))),
                .. Rows.Select(name => new SafetensorsTensor(name, SafetensorsType.F64, Tensor<double>.Build([1, 8, 2], i => i))),
            ])));
        var values = ImmutableSortedDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
        foreach (JsonProperty field in Element(metadata).EnumerateObject())
            values[field.Name] = field.Value.ValueKind is JsonValueKind.String && Validation.JsonFields.Parse("", metadata).Text(field.Name) is var text ? text : throw new FormatException($"{field.Name} must be a string");
        _ = ReproducerFile.Parse(file with { Metadata = values.ToImmutable() });
    }
}
