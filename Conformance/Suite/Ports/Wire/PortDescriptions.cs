// How is a port's declaration written and read?
using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using System.Text;
using System.Text.Json;
using S2Attn.Conformance.Text;
using S2Attn.Conformance.Validation;
using S2Attn.Spec;

namespace S2Attn.Conformance.Ports;

/// <summary>
/// The answer to describe. A capability that is left out is not supported (maxTokens: not limited), names of a later version are ignored, and a field of
/// the wrong type is an error: a declaration that was meant and not understood must not pass silently.
/// </summary>
public static class PortDescriptions
{
    private const string HalfShift = "half";

    /// <summary>Writes name, version, language and capabilities into an object.</summary>
    public static void Write(Utf8JsonWriter json, PortDescription description)
    {
        ArgumentNullException.ThrowIfNull(json);
        ArgumentNullException.ThrowIfNull(description);
        json.WriteString("name", description.Name);
        json.WriteString("version", description.Version);
        json.WriteString("language", description.Language);
        json.WritePropertyName("capabilities");
        WriteCapabilities(json, description.Capabilities);
    }

    /// <summary>The capabilities as the JSON that a port declares them with.</summary>
    public static string CapabilitiesJson(PortCapabilities capabilities)
    {
        ArgumentNullException.ThrowIfNull(capabilities);
        using MemoryStream stream = new();
        using (Utf8JsonWriter json = new(stream))
            WriteCapabilities(json, capabilities);
        return Encoding.UTF8.GetString(stream.ToArray());
    }

    private static void WriteCapabilities(Utf8JsonWriter json, PortCapabilities capabilities)
    {
        json.WriteStartObject();
        WriteNames("ops", capabilities.Operations.Select(ProtocolNames.Of));
        WriteNames("dtypes", capabilities.ElementTypes.Select(ProtocolNames.Of));
        WriteNames("masks", capabilities.Masks.Select(mask => mask.ToString()));
        json.WriteBoolean("gqa", capabilities.GroupedQuery);
        json.WriteBoolean("padding", capabilities.Padding);
        json.WriteBoolean("oddGroup", capabilities.OddGroup);
        json.WriteBoolean("ragged", capabilities.Ragged);
        if (capabilities.Isolation)
            json.WriteBoolean("isolation", true);
        if (capabilities.HeadMajor)
            WriteNames("layouts", [ProtocolNames.LayoutOf(headMajor: false), ProtocolNames.LayoutOf(headMajor: true)]);
        if (capabilities.Packed)
            json.WriteBoolean("packed", true);
        if (capabilities.Slices)
            json.WriteBoolean("slice", true);
        if (capabilities.LogSumExpGradient)
            json.WriteBoolean("lseGradient", true);
        if (capabilities.Phases)
            json.WriteBoolean("phases", true);
        if (capabilities.Grids)
            json.WriteBoolean("grids", true);
        if (capabilities.Prefixes)
            json.WriteBoolean("prefixes", true);
        if (!capabilities.Strides.IsEmpty)
            WriteNames("strides", capabilities.Strides.Select(ProtocolNames.Of));
        if (capabilities.MaxTokens < int.MaxValue)
            json.WriteNumber("maxTokens", capabilities.MaxTokens);
        if (!capabilities.Tiles.IsEmpty)
        {
            json.WriteStartArray("tiles");
            foreach (int tile in capabilities.Tiles)
                json.WriteNumberValue(tile);
            json.WriteEndArray();
        }

        if (capabilities.Fixed != FixedConfig.None)
            WriteFixed(json, capabilities.Fixed);
        json.WriteEndObject();

        void WriteNames(string name, IEnumerable<string> values)
        {
            json.WriteStartArray(name);
            foreach (string value in values)
                json.WriteStringValue(value);
            json.WriteEndArray();
        }
    }

    /// <summary>Reads the fields of a describe answer.</summary>
    /// <returns>False where a field has the wrong type, with the reason.</returns>
    public static bool TryRead(JsonElement fields, [NotNullWhen(true)] out PortDescription? description, out string error)
    {
        try
        {
            description = new(Text(fields, "name", "unnamed"), Text(fields, "version", ""), Text(fields, "language", ""), Capabilities(fields));
            DeclaredSizes.Check(description.Capabilities);
            error = "";
            return true;
        }
        catch (Exception wrong) when (wrong is FormatException or InvalidOperationException)
        {
            description = null;
            error = wrong.Message;
            return false;
        }
    }

    private static PortCapabilities Capabilities(JsonElement fields)
    {
        if (!fields.TryGetProperty("capabilities", out JsonElement declared))
            throw new FormatException("the answer to describe must have \"capabilities\"");
        Expect(declared.ValueKind is JsonValueKind.Object, "capabilities", "an object", declared);
        int maxTokens = Integer(declared, "maxTokens") ?? int.MaxValue;
        if (maxTokens < 1)
            throw new FormatException($"capabilities: maxTokens must be at least 1, not {maxTokens}");
        return new(
            Names<PortOperation>(declared, "ops", ProtocolNames.TryReadOperation),
            Names<ElementType>(declared, "dtypes", ProtocolNames.TryReadElementType),
            Names<MaskPolicy>(declared, "masks", ProtocolNames.TryReadMask),
            Flag(declared, "gqa"),
            Flag(declared, "padding"),
            Flag(declared, "oddGroup"),
            Flag(declared, "ragged"),
            maxTokens)
        {
            Isolation = Flag(declared, "isolation"),
            HeadMajor = Names<bool>(declared, "layouts", TryReadHeadMajor).Contains(true),
            Packed = Flag(declared, "packed"),
            Slices = Flag(declared, "slice"),
            LogSumExpGradient = Flag(declared, "lseGradient"),
            Phases = Flag(declared, "phases"),
            Grids = Flag(declared, "grids"),
            Prefixes = Flag(declared, "prefixes"),
            Strides = Names<StrideKind>(declared, "strides", ProtocolNames.TryReadStrides),
            Fixed = declared.TryGetProperty("fixed", out JsonElement fixedFields) ? Fixed(fixedFields) : FixedConfig.None,
            Tiles = Tiles(declared),
        };
    }

    private static ImmutableArray<int> Tiles(JsonElement declared)
    {
        if (!declared.TryGetProperty("tiles", out JsonElement list))
            return [];
        const string Rule = "an array of whole numbers of at least 1";
        Expect(list.ValueKind is JsonValueKind.Array, "tiles", Rule, list);
        return [.. list.EnumerateArray().Select(item =>
        {
            int tile = 0;
            Expect(item.ValueKind is JsonValueKind.Number && item.TryGetInt32(out tile) && tile >= 1, "tiles", Rule, list);
            return tile;
        }).Distinct().Order()];
    }

    private static void WriteFixed(Utf8JsonWriter json, FixedConfig config)
    {
        json.WriteStartObject("fixed");
        foreach ((string name, SizeRule rule) in config.Sizes)
            SizeRuleJson.Write(json, name, rule);
        if (config.HalfShift)
            json.WriteString("shift", HalfShift);
        if (config.ShiftedHeads is HeadShift.InPhases phased)
        {
            PortRequests.WritePhases(json, phased);
        }
        else if (config.ShiftedHeads is HeadShift.ByEach each)
        {
            PortRequests.WriteShifts(json, each.Shifts);
        }
        else if (config.ShiftedHeads is { } heads)
        {
            json.WritePropertyName("shiftedHeads");
            PortRequests.WriteHeads(json, heads);
        }

        if (!config.Axes.IsEmpty)
            GridJson.Write(json, config.Axes);
        if (config.Prefix is { } prefix)
            PortRequests.WritePrefix(json, prefix, config.IsPrefixWhole);
        if (config.DefaultScale)
            json.WriteString("scale", "default");
        else if (config.Scale is { } scale)
            json.WriteNumber("scale", scale);
        json.WriteEndObject();
    }

    private static FixedConfig Fixed(JsonElement fields)
    {
        Expect(fields.ValueKind is JsonValueKind.Object, "fixed", "an object", fields);
        bool hasScale = fields.TryGetProperty("scale", out JsonElement scale);
        bool defaultScale = hasScale && scale.ValueKind is JsonValueKind.String && scale.GetString() == "default";
        Expect(!hasScale || defaultScale || scale.ValueKind is JsonValueKind.Number, "scale", "a number or \"default\"", scale);
        bool half = fields.TryGetProperty("shift", out JsonElement shift) && shift.ValueKind is JsonValueKind.String;
        Expect(!half || shift.GetString() == HalfShift, "fixed.shift", "\"half\", a number, a list of numbers, or an object of rules", shift);
        bool hasAxes = fields.TryGetProperty("axes", out JsonElement list);
        ImmutableArray<GridAxis<int>> axes = hasAxes ? GridJson.ReadAxes(new("fixed", fields)) : [];
        Expect(!hasAxes || !axes.IsEmpty, "fixed.axes", $"one to {S2Grid.MaxAxes} objects", list);
        int? prefix = Integer(fields, "prefix");
        Expect(prefix is not null || !fields.TryGetProperty("prefixWhole", out JsonElement whole), "fixed.prefixWhole", "left out where fixed.prefix is", fields);
        return new()
        {
            Batch = SizeRuleJson.Read(fields, "batch", 1),
            Tokens = SizeRuleJson.Read(fields, "tokens", 1),
            Heads = SizeRuleJson.Read(fields, "heads", 1),
            KvHeads = SizeRuleJson.Read(fields, "kvHeads", 1),
            HeadDim = SizeRuleJson.Read(fields, "headDim", 1),
            GroupSize = SizeRuleJson.Read(fields, "groupSize", 1),
            Groups = SizeRuleJson.Read(fields, "groups", 1),
            Shift = half ? SizeRule.Free : SizeRuleJson.Read(fields, "shift", 0),
            HalfShift = half,
            ShiftedHeads = PortConfigs.OwnShifts("fixed", fields) ?? (fields.TryGetProperty("shiftedHeads", out JsonElement heads) ? PortConfigs.Heads(heads) : null),
            Axes = axes,
            Prefix = prefix,
            IsPrefixWhole = Flag(fields, "prefixWhole"),
            Scale = hasScale && !defaultScale ? scale.GetDouble() : null,
            DefaultScale = defaultScale,
        };
    }

    private delegate bool TryReadName<T>(string name, out T value);

    private static ImmutableArray<T> Names<T>(JsonElement fields, string name, TryReadName<T> tryRead)
    {
        if (!fields.TryGetProperty(name, out JsonElement list))
            return [];
        Expect(list.ValueKind is JsonValueKind.Array, name, "an array of strings", list);
        var values = ImmutableArray.CreateBuilder<T>();
        foreach (JsonElement item in list.EnumerateArray())
        {
            Expect(item.ValueKind is JsonValueKind.String, name, "an array of strings", list);
            if (tryRead(item.GetString()!, out T value) && !values.Contains(value))
                values.Add(value);
        }

        return values.ToImmutable();
    }

    private static bool TryReadHeadMajor(string name, out bool headMajor)
    {
        headMajor = name == ProtocolNames.LayoutOf(headMajor: true);
        return headMajor || name == ProtocolNames.LayoutOf(headMajor: false);
    }

    private static bool Flag(JsonElement fields, string name)
    {
        if (!fields.TryGetProperty(name, out JsonElement flag))
            return false;
        Expect(flag.ValueKind is JsonValueKind.True or JsonValueKind.False, name, "true or false", flag);
        return flag.GetBoolean();
    }

    private static int? Integer(JsonElement fields, string name)
    {
        if (!fields.TryGetProperty(name, out JsonElement number))
            return null;
        int value = 0;
        Expect(number.ValueKind is JsonValueKind.Number && number.TryGetInt32(out value), name, "a 32-bit integer", number);
        return value;
    }

    private static string Text(JsonElement fields, string name, string fallback)
    {
        if (!fields.TryGetProperty(name, out JsonElement text))
            return fallback;
        Expect(text.ValueKind is JsonValueKind.String, name, "a string", text);
        return ForeignText.Name(text.GetString()!);
    }

    private static void Expect(bool holds, string name, string rule, JsonElement actual)
    {
        if (!holds)
            throw new FormatException($"{name} must be {rule}, not {JsonFields.Shown(actual)}");
    }
}
