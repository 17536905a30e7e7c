// Which S2-Attn does an ONNX model compute, and what of it may a case choose?
using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.ML.OnnxRuntime;
using S2Attn.Spec;

namespace S2Attn.Conformance.Ports;

/// <summary>
/// Reads a model's declaration: its metadata_props with the prefix "s2attn.", each replaced by what the caller says, and its inputs' types and sizes.
/// </summary>
internal static class OnnxSettings
{
    private const string Prefix = "s2attn.";

    // What ONNX Runtime says of a model without model_version.
    private const long NoVersion = long.MaxValue;
    private static readonly string[] Known = ["name", "mask", "groupSize", "shift", "shiftedHeads", "shifts", "phases", "rotated", "axes", "prefix", "prefixWhole", "scale", "gqa", "ragged", "maxTokens", Library];

    /// <summary>The library of custom operators. Only the caller names it: a model may not say what code to load.</summary>
    public const string Library = "library";

    /// <summary>name=value pairs by their name.</summary>
    /// <exception cref="FormatException">One is no pair, or its name is empty.</exception>
    public static ImmutableDictionary<string, string> Split(IEnumerable<string> settings)
    {
        var values = ImmutableDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
        foreach (string setting in settings)
        {
            int equals = setting.IndexOf('=', StringComparison.Ordinal);
            values[equals > 0 ? setting[..equals] : throw new FormatException($"{setting}: a setting is written name=value, as in groupSize=4")] = setting[(equals + 1)..];
        }

        return values.ToImmutable();
    }

    /// <summary>The port that the model is.</summary>
    /// <exception cref="PortStartException">The declaration is incomplete or contradicts the model.</exception>
    public static PortDescription Describe(string path, InferenceSession session, IReadOnlyDictionary<string, string> given)
    {
        foreach (string name in given.Keys)
            if (!Known.Contains(name))
                throw new PortStartException($"{name} is no setting of an ONNX port; there are {string.Join(", ", Known)}.");
        int[] query = session.InputMetadata["q"].Dimensions, key = session.InputMetadata["k"].Dimensions;
        string[] querySymbols = session.InputMetadata["q"].SymbolicDimensions, keySymbols = session.InputMetadata["k"].SymbolicDimensions;
        ImmutableArray<GridAxis<int>> axes = Axes(Setting("axes"));
        int? groupSize = Integer("groupSize");
        if (axes.IsEmpty && groupSize is null)
            throw Missing("groupSize");
        foreach (string beside in new[] { "groupSize", "shift", "shifts", "phases" })
            if (!axes.IsEmpty && Setting(beside) is { } text)
                throw new PortStartException($"{beside} = {text}: must not be given beside axes, of which each has its own.");
        if (!ProtocolNames.TryReadMask(Setting("mask") ?? throw Missing("mask"), out MaskPolicy mask))
            throw new PortStartException($"mask = {Setting("mask")}: must be one of {string.Join(", ", MaskPolicies.All)}.");
        HeadShift? own = OwnShifts(Setting("shifts"), Integer("phases"), Setting("rotated"));
        (int? prefix, bool isPrefixWhole) = PrefixOf(Integer("prefix"), Setting("prefixWhole"), axes);
        bool sameHeads = key[2] >= 0 ? key[2] == query[2] : keySymbols[2].Length > 0 && keySymbols[2] == querySymbols[2];
        return new(
            Setting("name") ?? Path.GetFileNameWithoutExtension(path),
            session.ModelMetadata.Version is var version && version == NoVersion ? "" : version.ToString(CultureInfo.InvariantCulture),
            "ONNX",
            new(
                [PortOperation.Forward],
                [OnnxSignature.TypeOf("input q", session.InputMetadata["q"])],
                [mask],
                GroupedQuery: Flag("gqa") ?? !sameHeads,
                Padding: session.InputMetadata.ContainsKey("valid"),
                OddGroup: axes.IsEmpty ? int.IsOddInteger(groupSize!.Value) : axes.Any(axis => int.IsOddInteger(axis.GroupSize)),
                Ragged: axes.IsEmpty ? Flag("ragged") ?? false : axes.Any(axis => axis.Tokens % axis.GroupSize > 0),
                MaxTokens: Integer("maxTokens") ?? int.MaxValue)
            {
                Phases = own is not null,
                Grids = !axes.IsEmpty,
                Prefixes = prefix is not null,
                Fixed = new()
                {
                    Batch = Size(query[0]),
                    Tokens = axes.IsEmpty ? Size(query[1]) : SizeRule.Free,
                    Axes = axes,
                    Heads = Size(query[2]),
                    KvHeads = Size(key[2]),
                    HeadDim = Size(query[3]),
                    GroupSize = groupSize is { } size ? size : SizeRule.Free,
                    Shift = own is not null || groupSize is null ? SizeRule.Free : Integer("shift") ?? groupSize.Value / 2,
                    ShiftedHeads = own ?? Heads(Setting("shiftedHeads") ?? "SecondHalf"),
                    Prefix = prefix,
                    IsPrefixWhole = isPrefixWhole,
                    DefaultScale = (Setting("scale") ?? "default") == "default",
                    Scale = Setting("scale") is { } scale and not "default" ? Number(scale) : null,
                },
            });

        string? Setting(string name) => given.TryGetValue(name, out string? value)
            ? value
            : session.ModelMetadata.CustomMetadataMap.TryGetValue(Prefix + name, out string? inModel) ? inModel : null;

        int? Integer(string name) => Setting(name) is not { } text ? null
            : int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int value) ? value
            : throw new PortStartException($"{name} = {text}: must be an integer, at least 0.");

        bool? Flag(string name) => Setting(name) switch
        {
            null => null,
            "true" => true,
            "false" => false,
            var other => throw new PortStartException($"{name} = {other}: must be true or false."),
        };

        static PortStartException Missing(string name) => new(
            $"Nobody says the model's {name}: put {Prefix}{name} into its metadata_props, or write --onnx-config {name}=...");

        static SizeRule Size(int dimension) => dimension < 0 ? SizeRule.Free : dimension;

        static double Number(string text) => double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double value) && double.IsFinite(value)
            ? value
            : throw new PortStartException($"scale = {text}: must be a number or \"default\", which is 1 / sqrt(headDim).");
    }

    // The prefix that is built in, and whether it is seen whole: null where there is none. A graph's attribute says 0 or 1 for prefixWhole.
    private static (int? Prefix, bool IsWhole) PrefixOf(int? prefix, string? whole, ImmutableArray<GridAxis<int>> axes)
    {
        if (prefix is not null && !axes.IsEmpty)
            throw new PortStartException($"prefix = {prefix}: must not be given beside axes: a grid has no prefix.");
        if (whole is not (null or "0" or "1" or "true" or "false") || (whole is not null && prefix is null))
            throw new PortStartException($"prefixWhole = {whole}: must be true or false, beside prefix.");
        return prefix is 0 ? (null, false) : (prefix, whole is "1" or "true");
    }

    // As the port protocol has them: phases by their number, or one shift for each head; null where heads have none of their own. A graph's attribute says 0 or 1 for rotated.
    private static HeadShift? OwnShifts(string? shifts, int? phases, string? rotated)
    {
        if (rotated is not (null or "0" or "1" or "true" or "false") || (rotated is not null && phases is null))
            throw new PortStartException($"rotated = {rotated}: must be true or false, beside phases.");
        if (phases is not null && (shifts is not null || phases < 1))
            throw new PortStartException($"phases = {phases}: must be at least 1, and not beside shifts.");
        return Parsed(
            () =>
            {
                JsonObject fields = [];
                if (shifts is not null)
                    fields["shifts"] = JsonNode.Parse(shifts.StartsWith('[') ? shifts : $"[{shifts}]");
                if (phases is not null)
                    fields["phases"] = phases;
                if (rotated is not null)
                    fields["rotated"] = rotated is "1" or "true";
                return fields.ToJsonString();
            },
            json => PortConfigs.OwnShifts("metadata", json),
            $"shifts = {shifts}: must be one number for each query head, such as [0,2,4,6].");
    }

    // As the port protocol has them; none where the tokens are a text.
    private static ImmutableArray<GridAxis<int>> Axes(string? text) => text is null ? [] : Parsed(
        () => new JsonObject { ["axes"] = JsonNode.Parse(text) }.ToJsonString(), json => GridJson.ReadAxes(new("metadata", json)) is { IsEmpty: false } axes ? axes : throw new FormatException("there are no axes"),
        $"axes = {text}: must be one to {S2Grid.MaxAxes} objects such as [{{\"tokens\":56,\"groupSize\":7,\"shift\":3}},...].");

    private static HeadShift Heads(string text) => Parsed(
        () => text.StartsWith('[') ? text : JsonSerializer.Serialize(text), PortConfigs.Heads, $"shiftedHeads = {text}: must be None, SecondHalf, All or an array such as [false,true].");

    // What a setting says in the words of the protocol, by the protocol's readers.
    private static T Parsed<T>(Func<string> text, Func<JsonElement, T> read, string rule)
    {
        try
        {
            using JsonDocument json = JsonDocument.Parse(text());
            return read(json.RootElement);
        }
        catch (Exception error) when (error is JsonException or FormatException)
        {
            throw new PortStartException(rule, error);
        }
    }
}
