// What does a folder of golden tensors claim, and are its files the ones that it claims?
using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text.Json;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Safetensors;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Conformance.Golden;

/// <summary>A folder, a file or a record in it breaks a rule of the format that golden/README.md documents.</summary>
public sealed class GoldenException(string file, string rule) : Exception($"{file}: {rule}");

/// <summary>One case of the manifest.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Path">Its file.</param>
/// <param name="Bytes">The length that the manifest claims.</param>
/// <param name="Sha256">The hash that the manifest claims, in lower-case hexadecimal.</param>
/// <param name="Function">The upstream file and function.</param>
/// <param name="Family">core or layer.</param>
/// <param name="Config">The configuration.</param>
/// <param name="ElementType">The type of the tensors.</param>
/// <param name="ToleranceClass">Which arithmetic upstream used.</param>
/// <param name="SumType">The narrowest type of its sums.</param>
/// <param name="StageType">The narrowest type to which an intermediate result is rounded.</param>
/// <param name="Defects">The profiles that it exhibits; none where it computes the definition.</param>
/// <param name="RowsDiffering">How many rows of the output are not the definition's.</param>
/// <param name="Record">The case's record as it must stand in the file's metadata.</param>
public sealed record GoldenCase(
    string Name,
    string Path,
    long Bytes,
    string Sha256,
    string Function,
    string Family,
    S2Config Config,
    ElementType ElementType,
    string ToleranceClass,
    ElementType SumType,
    ElementType StageType,
    ImmutableArray<string> Defects,
    int RowsDiffering,
    JsonElement Record);

/// <summary>Reads folders of golden tensors.</summary>
public static class GoldenFolder
{
    private const string Manifest = "manifest.json";
    private const int SchemaVersion = 1;

    /// <summary>The project's own folder: above the working directory, above the program, or packed beside it.</summary>
    public static bool TryFind(out string folder)
    {
        foreach (string start in new[] { Environment.CurrentDirectory, AppContext.BaseDirectory })
            for (DirectoryInfo? directory = new(start); directory is not null; directory = directory.Parent)
            {
                folder = Path.Combine(directory.FullName, "golden");
                if (File.Exists(Path.Combine(folder, Manifest)))
                    return true;
            }

        folder = "";
        return false;
    }

    /// <summary>The cases of a folder, in the manifest's order.</summary>
    /// <exception cref="GoldenException">The manifest is missing or breaks a rule.</exception>
    public static ImmutableArray<GoldenCase> Read(string folder)
    {
        string manifest = Path.Combine(folder, Manifest);
        try
        {
            using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(manifest));
            JsonElement root = document.RootElement;
            if (!root.TryGetProperty("schemaVersion", out JsonElement version) || !version.TryGetInt32(out int number) || number != SchemaVersion)
                throw new GoldenException(manifest, $"schemaVersion must be {SchemaVersion}");
            return [.. root.GetProperty("cases").EnumerateArray().Select(record => Case(folder, manifest, record.Clone()))];
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or JsonException or InvalidOperationException or KeyNotFoundException or FormatException)
        {
            throw new GoldenException(manifest, error.Message);
        }
    }

    /// <summary>The tensors of a case, after its file's length, hash and metadata are found as claimed.</summary>
    /// <exception cref="GoldenException">The file is not the one that the manifest describes.</exception>
    public static SafetensorsFile Load(GoldenCase golden)
    {
        ArgumentNullException.ThrowIfNull(golden);
        byte[] bytes;
        try
        {
            long length = new FileInfo(golden.Path).Length;
            if (length != golden.Bytes)
                throw new GoldenException(golden.Path, $"the file has {length} bytes, the manifest says {golden.Bytes}");
            bytes = File.ReadAllBytes(golden.Path);
            string hash = Convert.ToHexStringLower(SHA256.HashData(bytes));
            if (hash != golden.Sha256)
                throw new GoldenException(golden.Path, $"sha256 is {hash}, the manifest says {golden.Sha256}");
            SafetensorsFile file = SafetensorsReader.Parse(golden.Path, bytes);
            if (!file.Metadata.TryGetValue("s2attn", out string? text))
                throw new GoldenException(golden.Path, "__metadata__ has no s2attn record");
            using JsonDocument record = JsonDocument.Parse(text);
            foreach (JsonProperty property in record.RootElement.EnumerateObject())
                if (!golden.Record.TryGetProperty(property.Name, out JsonElement claimed) || !JsonElement.DeepEquals(claimed, property.Value))
                    throw new GoldenException(golden.Path, $"{property.Name} in __metadata__ is not what the manifest says");
            return file;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or JsonException or SafetensorsException)
        {
            throw new GoldenException(golden.Path, error.Message);
        }
    }

    private static GoldenCase Case(string folder, string manifest, JsonElement record)
    {
        string name = Text(record, "name"), file = Text(record, "file");
        if (Path.GetFileName(file) != file)
            throw new GoldenException(manifest, $"{name}: file = {file} must be a name without a folder");
        (S2Config config, ElementType type) = PortConfigs.Read(record.GetProperty("config"));
        JsonElement arithmetic = record.GetProperty("arithmetic"), upstream = record.GetProperty("upstream"), expected = record.GetProperty("expected");
        ElementType sums = TypeOf("sumDtype");
        ElementType stages = new[] { sums, TypeOf("scoresDtype"), TypeOf("softmaxDtype"), TypeOf("probabilitiesDtype") }.MaxBy(stage => stage.UnitRoundoff());
        ImmutableArray<string> defects = [.. expected.GetProperty("defects").EnumerateArray().Select(defect => defect.GetString() ?? "")];
        if ((Text(expected, "kind") == "definition") != defects.IsEmpty)
            throw new GoldenException(manifest, $"{name}: expected.kind = {Text(expected, "kind")} with {defects.Length} defects");
        return new(
            name, Path.Combine(folder, file), record.GetProperty("bytes").GetInt64(), Text(record, "sha256"), $"{Text(upstream, "file")}: {Text(upstream, "function")}",
            Text(record, "family"), config, type, Text(record, "toleranceClass"), sums, stages, defects, record.GetProperty("rowsDifferingFromDefinition").GetInt32(), record);

        ElementType TypeOf(string stage) => ProtocolNames.TryReadElementType(Text(arithmetic, stage), out ElementType known)
            ? known
            : throw new GoldenException(manifest, $"{name}: {stage} = {Text(arithmetic, stage)} is not a known type");
    }

    private static string Text(JsonElement element, string property) =>
        element.GetProperty(property).GetString() ?? throw new FormatException($"{property} must be a string");
}
