// How does a configuration say on which axes the tokens stand? Only requests to ports that declare grids say anything.
using System.Collections.Immutable;
using System.Text.Json;
using S2Attn.Conformance.Validation;
using S2Attn.Spec;

namespace S2Attn.Conformance.Ports;

/// <summary>The field axes of a configuration, since protocol 1.2, and of a golden record.</summary>
internal static class GridJson
{
    /// <summary>Writes the axes, the slowest first.</summary>
    public static void Write(Utf8JsonWriter json, ImmutableArray<GridAxis<int>> axes)
    {
        json.WriteStartArray("axes");
        foreach (GridAxis<int> axis in axes)
        {
            json.WriteStartObject();
            json.WriteNumber("tokens", axis.Tokens);
            json.WriteNumber("groupSize", axis.GroupSize);
            json.WriteNumber("shift", axis.Shift);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    /// <summary>The axes as the JSON array that a declaration has them in.</summary>
    public static string Text(ImmutableArray<GridAxis<int>> axes)
    {
        using JsonDocument json = JsonDocument.Parse(PortRequests.Line(writer => Write(writer, axes)));
        return json.RootElement.GetProperty("axes").GetRawText();
    }

    /// <summary>Reads the axes; null where there are none, and the tokens are a text.</summary>
    /// <exception cref="FormatException">They break a rule of <see cref="S2Grid"/>.</exception>
    public static S2Grid? Read(JsonFields fields, S2Config config)
    {
        if (!fields.Has("axes"))
            return null;
        try
        {
            return S2Grid.Create(config, ReadAxes(fields));
        }
        catch (InvalidConfigException error)
        {
            throw new FormatException($"axes: {error.Message}", error);
        }
    }

    /// <summary>Reads the axes of a configuration or a declaration that has some.</summary>
    /// <exception cref="FormatException">A field is missing, has another type or is out of range.</exception>
    public static ImmutableArray<GridAxis<int>> ReadAxes(JsonFields fields) =>
    [
        .. fields.Items("axes", S2Grid.MaxAxes).Select((item, i) => new JsonFields($"axes[{i}]", item))
            .Select(axis => new GridAxis<int>(axis.Integer("tokens", 1, int.MaxValue), axis.Integer("groupSize", 1, int.MaxValue), axis.Integer("shift", 0, int.MaxValue))),
    ];
}
