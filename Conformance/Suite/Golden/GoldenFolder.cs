// What does a folder of golden tensors claim, and are its files the ones that it claims?
using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text.Json;
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Safetensors;
using S2Attn.Conformance.Text;
using S2Attn.Conformance.Validation;
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
/// <param name="Family">core, layer or grid.</param>
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
    JsonElement Record)
{
    /// <summary>The axes of the tokens; null where they are a text.</summary>
    public S2Grid? Grid { get; init; }
}

/// <summary>Reads folders of golden tensors.</summary>
public static class GoldenFolder
{
    private const string Manifest = "manifest.json";
    private const int SchemaVersion = 1, MaxCases = 100_000, NameLimit = 100;
    private const long MaxManifestBytes = 64 << 20, MaxFileBytes = 1 << 28;
    private static readonly string NameRule = $"a name of 1 to {NameLimit} visible characters, without a folder";

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
            return Parse(folder, RegularFile.ReadAllBytes(MaxManifestBytes, manifest));
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or FormatException)
        {
            throw new GoldenException(manifest, Without(manifest, error.Message));
        }
    }

    // What cannot be read is already told by its path.
    private static string Without(string path, string message) => message.StartsWith(path + ": ", StringComparison.Ordinal) ? message[(path.Length + 2)..] : message;

    /// <summary>The cases of a folder, and of every folder in it that has a manifest, by name.</summary>
    /// <exception cref="GoldenException">A manifest is missing or breaks a rule.</exception>
    public static ImmutableArray<GoldenCase> ReadAll(string folder) =>
    [
        .. Read(folder),
        .. Directory.EnumerateDirectories(folder).Order(StringComparer.Ordinal).Where(inner => File.Exists(Path.Combine(inner, Manifest))).SelectMany(inner => Read(inner)),
    ];

    /// <summary>The cases of a manifest, in its order.</summary>
    /// <exception cref="FormatException">It breaks a rule; the message names field, value and rule.</exception>
    public static ImmutableArray<GoldenCase> Parse(string folder, ReadOnlyMemory<byte> manifest)
    {
        JsonFields root = JsonFields.Parse("", manifest);
        if (!root.Has("schemaVersion") || root.Integer("schemaVersion", int.MinValue, int.MaxValue) != SchemaVersion)
            throw new FormatException($"schemaVersion must be {SchemaVersion}");
        ImmutableArray<GoldenCase> cases = [.. root.Items("cases", MaxCases).Select((record, i) => Case(folder, new($"cases[{i}]", record)))];
        foreach (IGrouping<string, GoldenCase> same in cases.GroupBy(golden => golden.Name).Where(same => same.Count() > 1))
            throw new FormatException($"cases: the name {ForeignText.Name(same.Key)} stands there {same.Count()} times");
        return cases;
    }

    /// <summary>The tensors of a case, after its file's length, hash, metadata and shapes are found as claimed.</summary>
    /// <exception cref="GoldenException">The file is not the one that the manifest describes.</exception>
    public static SafetensorsFile Load(GoldenCase golden)
    {
        ArgumentNullException.ThrowIfNull(golden);
        try
        {
            byte[] bytes = RegularFile.ReadAllBytes(MaxFileBytes, golden.Path);
            if (bytes.Length != golden.Bytes)
                throw new GoldenException(golden.Path, $"the file has {bytes.Length} bytes, the manifest says {golden.Bytes}");
            string hash = Convert.ToHexStringLower(SHA256.HashData(bytes));
            if (hash != golden.Sha256)
                throw new GoldenException(golden.Path, $"sha256 is {hash}, the manifest says {golden.Sha256}");
            SafetensorsFile file = SafetensorsReader.Parse(golden.Path, bytes);
            CheckRecord(golden, file);
            GoldenShapes.Check(golden, file);
            return file;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or FormatException)
        {
            throw new GoldenException(golden.Path, Without(golden.Path, error.Message));
        }
        catch (SafetensorsException error)
        {
            throw new GoldenException(golden.Path, error.Rule);
        }
    }

    // The manifest adds where the file lies and what it hashes to; everything else must stand in both, so that neither can be exchanged alone.
    private static void CheckRecord(GoldenCase golden, SafetensorsFile file)
    {
        if (!file.Metadata.TryGetValue("s2attn", out string? text))
            throw new FormatException("__metadata__ has no s2attn record");
        JsonElement record = JsonFields.Parse("s2attn in __metadata__", text).Element;
        foreach (string name in golden.Record.EnumerateObject().Select(field => field.Name).Except(["file", "bytes", "sha256"]).Union(record.EnumerateObject().Select(field => field.Name)))
            if (!golden.Record.TryGetProperty(name, out JsonElement claimed) || !record.TryGetProperty(name, out JsonElement kept) || !JsonElement.DeepEquals(claimed, kept))
                throw new FormatException($"{ForeignText.Name(name)} in __metadata__ is not what the manifest says");
    }

    private static GoldenCase Case(string folder, JsonFields record)
    {
        string name = record.Text("name", IsPlainName, NameRule), file = record.Text("file", IsPlainName, NameRule);
        (S2Config config, ElementType type) = PortConfigs.Read(record.Any("config"));
        if (!CaseBudget.Holds(config))
            throw record.Wrong("config", $"smaller: {CaseBudget.Rule}");
        JsonFields arithmetic = record.Object("arithmetic"), upstream = record.Object("upstream"), expected = record.Object("expected");
        ElementType sums = TypeOf("sumDtype");
        ElementType stages = new[] { sums, TypeOf("scoresDtype"), TypeOf("softmaxDtype"), TypeOf("probabilitiesDtype") }.MaxBy(stage => stage.UnitRoundoff());
        ImmutableArray<string> defects = expected.Texts("defects", MaxCases);
        if (expected.Text("kind", kind => kind is "definition" or "defect", "definition or defect") == "definition" != defects.IsEmpty)
            throw expected.Wrong("kind", "definition exactly where defects is empty");
        return new(
            name,
            Path.Combine(folder, file),
            record.Long("bytes", 0, MaxFileBytes),
            record.Text("sha256", hash => hash.Length == 64 && hash.All(char.IsAsciiHexDigitLower), "64 digits of lower-case hexadecimal"),
            $"{upstream.Text("file", NameLimit)}: {upstream.Text("function", NameLimit)}",
            record.Text("family", family => record.Has("axes") ? family == "grid" : family is "core" or "layer", "core or layer, or grid where there are axes"),
            config,
            type,
            record.Text("toleranceClass", NameLimit),
            sums,
            stages,
            defects,
            record.Integer("rowsDifferingFromDefinition", 0, int.MaxValue),
            record.Element)
        {
            Grid = GridJson.Read(record, config),
        };

        ElementType TypeOf(string stage) => ProtocolNames.TryReadElementType(arithmetic.Text(stage), out ElementType known) ? known : throw arithmetic.Wrong(stage, "f32, f64, f16 or bf16");
    }

    private static bool IsPlainName(string name) =>
        name.Length is > 0 and <= NameLimit && name is not ("." or "..") && !name.Any(c => c is '/' or '\\' || char.IsControl(c)) && ForeignText.Name(name) == name;
}
