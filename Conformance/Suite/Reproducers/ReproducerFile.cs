// How is a reproducer kept in one .safetensors file?
using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using System.Text.Json;
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Safetensors;
using S2Attn.Conformance.Text;
using S2Attn.Conformance.Validation;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Conformance.Reproducers;

/// <summary>
/// The tensors of the question as the port protocol has them, and for each tensor X of a right answer expected.X and bound.X in F64. The metadata holds
/// "s2attn.reproducer" (the version of this format), "op", "config" (JSON, as in the port protocol), "property", "port", "seed" and "cases"; of a part of a sequence also "slice".
/// </summary>
public static class ReproducerFile
{
    /// <summary>The version of the format.</summary>
    public const int Version = 1;

    /// <summary>More bytes than any file has that this project writes.</summary>
    public const long MaxBytes = 1 << 28;

    private const string VersionField = "s2attn.reproducer", SliceField = "slice";

    /// <summary>The configuration as the port protocol writes it.</summary>
    public static string ConfigText(PortCase portCase)
    {
        ArgumentNullException.ThrowIfNull(portCase);
        using MemoryStream stream = new();
        using (Utf8JsonWriter json = new(stream))
            PortRequests.WriteConfig(json, portCase);
        return Encoding.UTF8.GetString(stream.ToArray());
    }

    /// <summary>The part of the sequence that is asked, as an object with the protocol's field slice; empty where it is the whole.</summary>
    public static string SliceText(PortCase portCase)
    {
        ArgumentNullException.ThrowIfNull(portCase);
        return portCase.IsSlice ? PortRequests.Line(json => SliceJson.Write(json, portCase.Part)) : "";
    }

    /// <summary>The file of a reproducer.</summary>
    public static SafetensorsFile Of(Reproducer reproducer)
    {
        ArgumentNullException.ThrowIfNull(reproducer);
        return new(
            [
                .. PortTensors.Inputs(reproducer.Case).Tensors,
                .. reproducer.Expected.SelectMany(expected => new SafetensorsTensor[]
                {
                    new("expected." + expected.Name, SafetensorsType.F64, expected.Exact),
                    new("bound." + expected.Name, SafetensorsType.F64, expected.Bound),
                }),
            ],
            Metadata(reproducer).ToImmutableSortedDictionary(StringComparer.Ordinal));
    }

    private static Dictionary<string, string> Metadata(Reproducer reproducer)
    {
        Dictionary<string, string> metadata = new()
        {
            [VersionField] = Number(Version),
            ["op"] = ProtocolNames.Of(reproducer.Case.Operation),
            ["config"] = ConfigText(reproducer.Case),
            ["property"] = reproducer.Origin.Property,
            ["port"] = reproducer.Origin.Port,
            ["seed"] = Number(reproducer.Origin.Seed),
            ["cases"] = Number(reproducer.Origin.Cases),
        };
        if (reproducer.Case.IsSlice)
            metadata[SliceField] = SliceText(reproducer.Case);
        return metadata;
    }

    /// <summary>Reads a reproducer.</summary>
    /// <exception cref="SafetensorsException">The file cannot be read, breaks a rule of the format, or is no reproducer; the message names file and rule.</exception>
    public static Reproducer Read(string path)
    {
        SafetensorsFile file = SafetensorsReader.Read(path, MaxBytes);
        try
        {
            return Parse(file);
        }
        catch (FormatException error)
        {
            throw new SafetensorsException(path, error.Message, error);
        }
    }

    /// <summary>The reproducer that a file holds.</summary>
    /// <exception cref="FormatException">It is none.</exception>
    public static Reproducer Parse(SafetensorsFile file)
    {
        string version = Text(file, VersionField);
        if (version != Number(Version))
            throw new FormatException($"{VersionField} is {Clean(version)}; this program reads version {Version}");
        if (!ProtocolNames.TryReadOperation(Text(file, "op"), out PortOperation operation))
            throw new FormatException($"op is {Clean(Text(file, "op"))}, but must be forward or backward");
        (S2Config config, ElementType type, S2Grid? grid) = Config(Text(file, "config"));
        S2Slice part = file.Metadata.TryGetValue(SliceField, out string? slice) ? Slice(config, grid, slice) : S2Slice.Whole(config);
        PortCase portCase = PortTensors.ReadInputs(part, type, operation, CaseMemory.Dense, file);
        portCase = grid is null ? portCase : portCase with { Grid = grid };
        int[] query = [config.Batch, part.QueryCount, config.Heads, config.HeadDim], key = [config.Batch, part.KeyCount, config.KvHeads, config.HeadDim];
        return new(
            new(Clean(Text(file, "property")), Clean(Text(file, "port")), Integer(file, "seed"), Integer(file, "cases")),
            portCase,
            operation is PortOperation.Forward ? [Expected("o", query), Expected("lse", query[..3])] : [Expected("dq", query), Expected("dk", key), Expected("dv", key)]);

        ExpectedTensor Expected(string name, int[] shape)
        {
            Tensor<double> bound = PortTensors.Get(file, "bound." + name, SafetensorsType.F64, shape);
            for (int i = 0; i < bound.Elements.Length; i++)
                if (!(bound.Elements[i] >= 0))
                    throw new FormatException(string.Create(CultureInfo.InvariantCulture, $"bound.{name}: element {i} is {bound.Elements[i]:R}, but a bound must be 0 or more"));
            return new(name, PortTensors.Get(file, "expected." + name, SafetensorsType.F64, shape), bound);
        }
    }

    private static (S2Config Config, ElementType Type, S2Grid? Grid) Config(string text)
    {
        JsonFields fields = JsonFields.Parse("config", text);
        (S2Config config, ElementType type) = PortConfigs.Read(fields.Element);
        return CaseBudget.Holds(config) ? (config, type, GridJson.Read(fields, config)) : throw new FormatException($"config {ForeignText.Name(text)} is too large: {CaseBudget.Rule}");
    }

    // An unbounded slice may lie behind the N of its configuration, so that its own rows are what is to be bounded.
    private static S2Slice Slice(S2Config config, S2Grid? grid, string text)
    {
        S2Slice part = SliceJson.Read(config, JsonFields.Parse(SliceField, text).Element);
        if (grid is not null)
            throw new FormatException("slice must not be given beside axes");
        int tokens = Math.Max(config.Tokens, Math.Max(part.Queries.End, part.Keys.End));
        return CaseBudget.Holds(config.Batch, tokens, config.Heads, config.HeadDim, config.GroupSize)
            ? part
            : throw new FormatException($"slice {ForeignText.Name(text)} is too large: {CaseBudget.Rule}");
    }

    private static string Text(SafetensorsFile file, string name) => file.Metadata.TryGetValue(name, out string? text)
        ? text
        : throw new FormatException($"the metadata has no {name}; a reproducer is written by s2attn check --reproducers");

    private static int Integer(SafetensorsFile file, string name) =>
        int.TryParse(Text(file, name), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int value)
            ? value
            : throw new FormatException($"{name} is {Clean(Text(file, name))}, but must be an integer of 32 bits");

    private static string Clean(string text) => ForeignText.Name(text);

    private static string Number(int value) => value.ToString(CultureInfo.InvariantCulture);
}
