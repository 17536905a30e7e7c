// Which configuration does a request of the port protocol hold?
using System.Text.Json;
using S2Attn.Spec;

namespace S2Attn.Conformance.Ports;

/// <summary>Reads the "config" object of a request, for whoever serves a port.</summary>
public static class PortConfigs
{
    /// <summary>Reads and validates a configuration and its element type.</summary>
    /// <exception cref="FormatException">A field is missing, has another type, or breaks a rule of <see cref="S2Config"/>.</exception>
    public static (S2Config Config, ElementType ElementType) Read(JsonElement fields)
    {
        if (fields.ValueKind is not JsonValueKind.Object)
            throw new FormatException("config must be an object");
        if (!ProtocolNames.TryReadElementType(Text("dtype"), out ElementType elementType))
            throw new FormatException($"config: unknown dtype {Text("dtype")}");
        if (!ProtocolNames.TryReadMask(Text("mask"), out MaskPolicy mask))
            throw new FormatException($"config: unknown mask {Text("mask")}");
        JsonElement scale = Field("scale");
        if (scale.ValueKind is not JsonValueKind.Number)
            throw new FormatException($"config: scale must be a number, not {scale.GetRawText()}");
        S2Request request = new()
        {
            Batch = Integer("batch"),
            Tokens = Integer("tokens"),
            Heads = Integer("heads"),
            KvHeads = Integer("kvHeads"),
            HeadDim = Integer("headDim"),
            GroupSize = GroupSizeRule.Of(Integer("groupSize")),
            Shift = Integer("shift"),
            Mask = mask,
            ShiftedHeads = Heads(Field("shiftedHeads")),
            Scale = scale.GetDouble(),
        };
        return S2Config.TryCreate(request) switch
        {
            ConfigResult.Valid valid => (valid.Config, elementType),
            var invalid => throw new FormatException($"config: {invalid}"),
        };

        JsonElement Field(string name) => fields.TryGetProperty(name, out JsonElement value) ? value : throw new FormatException($"config has no {name}");

        int Integer(string name) => Field(name) is { ValueKind: JsonValueKind.Number } number && number.TryGetInt32(out int value)
            ? value
            : throw new FormatException($"config: {name} must be an integer, not {Field(name).GetRawText()}");

        string Text(string name) => Field(name) is { ValueKind: JsonValueKind.String } text
            ? text.GetString()!
            : throw new FormatException($"config: {name} must be a string, not {Field(name).GetRawText()}");
    }

    /// <summary>Reads "None", "SecondHalf", "All" or an array with one boolean for each head.</summary>
    /// <exception cref="FormatException">It is none of these.</exception>
    public static HeadShift Heads(JsonElement field) => field.ValueKind switch
    {
        JsonValueKind.String => field.GetString() switch
        {
            "None" => HeadShift.None,
            "SecondHalf" => HeadShift.SecondHalf,
            "All" => HeadShift.All,
            _ => throw Wrong(field),
        },
        JsonValueKind.Array => HeadShift.Of(field.EnumerateArray().Select(flag =>
            flag.ValueKind is JsonValueKind.True or JsonValueKind.False ? flag.GetBoolean() : throw Wrong(field))),
        _ => throw Wrong(field),
    };

    private static FormatException Wrong(JsonElement field) =>
        new($"shiftedHeads must be \"None\", \"SecondHalf\", \"All\" or an array of booleans, not {field.GetRawText()}");
}
