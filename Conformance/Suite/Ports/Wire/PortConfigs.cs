// Which configuration does a request of the port protocol hold?
using System.Text.Json;
using S2Attn.Conformance.Validation;
using S2Attn.Spec;

namespace S2Attn.Conformance.Ports;

/// <summary>Reads the "config" object of a request, for whoever serves a port.</summary>
public static class PortConfigs
{
    /// <summary>Reads and validates a configuration and its element type.</summary>
    /// <exception cref="FormatException">A field is missing, has another type, or breaks a rule of <see cref="S2Config"/>.</exception>
    public static (S2Config Config, ElementType ElementType) Read(JsonElement fields)
    {
        JsonFields config = new("config", fields);
        if (!ProtocolNames.TryReadElementType(config.Text("dtype"), out ElementType elementType))
            throw config.Wrong("dtype", "f32, f64, f16 or bf16");
        if (!ProtocolNames.TryReadMask(config.Text("mask"), out MaskPolicy mask))
            throw config.Wrong("mask", $"one of {string.Join(", ", MaskPolicies.All)}");
        S2Request request = new()
        {
            Batch = config.Integer("batch", 1, int.MaxValue),
            Tokens = config.Integer("tokens", 1, int.MaxValue),
            Heads = config.Integer("heads", 1, int.MaxValue),
            KvHeads = config.Integer("kvHeads", 1, int.MaxValue),
            HeadDim = config.Integer("headDim", 1, int.MaxValue),
            GroupSize = GroupSizeRule.Of(config.Integer("groupSize", 1, int.MaxValue)),
            Shift = config.Integer("shift", 0, int.MaxValue),
            Mask = mask,
            ShiftedHeads = OwnShifts("config", fields) ?? Heads(config.Any("shiftedHeads")),
            Scale = config.Number("scale"),
            Prefix = config.Has("prefix") ? config.Integer("prefix", 0, int.MaxValue) : 0,
            IsPrefixWhole = config.Has("prefixWhole") && config.Flag("prefixWhole"),
        };
        return S2Config.TryCreate(request) switch
        {
            ConfigResult.Valid valid when HasShifts(fields, valid.Config) => (valid.Config, elementType),
            ConfigResult.Valid valid => throw new FormatException($"config: shifts must be those of phases, [{string.Join(",", Enumerable.Range(0, valid.Config.Heads).Select(valid.Config.ShiftOf))}]"),
            var invalid => throw new FormatException($"config: {invalid}"),
        };
    }

    /// <summary>Reads "None", "SecondHalf", "All" or an array with one boolean for each head.</summary>
    /// <exception cref="FormatException">It is none of these.</exception>
    public static HeadShift Heads(JsonElement field) => field.ValueKind switch
    {
        JsonValueKind.String when field.ValueEquals("None") => HeadShift.None,
        JsonValueKind.String when field.ValueEquals("SecondHalf") => HeadShift.SecondHalf,
        JsonValueKind.String when field.ValueEquals("All") => HeadShift.All,
        JsonValueKind.Array when field.GetArrayLength() <= DeclaredSizes.MaxHeads => HeadShift.Of(field.EnumerateArray().Select(flag =>
            flag.ValueKind is JsonValueKind.True or JsonValueKind.False ? flag.GetBoolean() : throw Wrong(field))),
        _ => throw Wrong(field),
    };

    /// <summary>Phases where they are named, else one shift for each head; null where heads have no shifts of their own.</summary>
    /// <exception cref="FormatException">A field is not as the protocol has it.</exception>
    internal static HeadShift? OwnShifts(string owner, JsonElement fields)
    {
        bool hasRotated = fields.TryGetProperty("rotated", out JsonElement rotated);
        if (hasRotated && rotated.ValueKind is not (JsonValueKind.True or JsonValueKind.False))
            throw new FormatException($"{owner}: rotated must be true or false, not {JsonFields.Shown(rotated)}");
        if (fields.TryGetProperty("phases", out JsonElement phases))
            return phases.ValueKind is JsonValueKind.Number && phases.TryGetInt32(out int count)
                ? HeadShift.Phased(count, hasRotated && rotated.ValueKind is JsonValueKind.True)
                : throw new FormatException($"{owner}: phases must be a whole number, not {JsonFields.Shown(phases)}");
        return fields.TryGetProperty("shifts", out JsonElement shifts) ? HeadShift.Each(Shifts(shifts)) : null;
    }

    // Whether the shifts that are written out are those of the phases that are named.
    private static bool HasShifts(JsonElement fields, S2Config config) =>
        !fields.TryGetProperty("shifts", out JsonElement shifts) || Shifts(shifts).SequenceEqual(Enumerable.Range(0, config.Heads).Select(config.ShiftOf));

    private static int[] Shifts(JsonElement field) => field.ValueKind is JsonValueKind.Array && field.GetArrayLength() <= DeclaredSizes.MaxHeads
        ? [.. field.EnumerateArray().Select(item => item.ValueKind is JsonValueKind.Number && item.TryGetInt32(out int shift) ? shift : throw WrongShifts(field))]
        : throw WrongShifts(field);

    private static FormatException WrongShifts(JsonElement field) =>
        new($"config: shifts must be an array of at most {DeclaredSizes.MaxHeads} whole numbers, not {JsonFields.Shown(field)}");

    private static FormatException Wrong(JsonElement field) =>
        new($"shiftedHeads must be \"None\", \"SecondHalf\", \"All\" or an array of at most {DeclaredSizes.MaxHeads} booleans, not {JsonFields.Shown(field)}");
}
