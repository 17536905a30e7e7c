// Does a JSON value have the shape that a JSON Schema asks for? The few words of the language that report.schema.json uses.
using System.Text.Json;

namespace S2Attn.Tests.Cli;

internal static class JsonShape
{
    public static void Check(string path, JsonElement root, JsonElement schema, JsonElement value)
    {
        foreach (JsonProperty rule in schema.EnumerateObject())
            switch (rule.Name)
            {
                case "type":
                    Assert.True(Is(rule.Value.GetString()!, value), $"{path} is {value.ValueKind}, not {rule.Value}.");
                    break;
                case "const":
                    Assert.Equal(rule.Value.ToString(), value.ToString());
                    break;
                case "enum":
                    Assert.Contains(value.ToString(), rule.Value.EnumerateArray().Select(item => item.ToString()));
                    break;
                case "minimum":
                    Assert.True(value.GetDouble() >= rule.Value.GetDouble(), $"{path} = {value} is below {rule.Value}.");
                    break;
                case "maximum":
                    Assert.True(value.GetDouble() <= rule.Value.GetDouble(), $"{path} = {value} is above {rule.Value}.");
                    break;
                case "required":
                    Assert.All(rule.Value.EnumerateArray(), name => Assert.True(value.TryGetProperty(name.GetString()!, out _), $"{path} lacks {name}."));
                    break;
                case "properties":
                    foreach (JsonProperty property in value.EnumerateObject())
                        if (rule.Value.TryGetProperty(property.Name, out JsonElement inner))
                            Check($"{path}.{property.Name}", root, inner, property.Value);
                        else
                            Assert.Fail($"{path}.{property.Name} is not in the schema.");
                    break;
                case "additionalProperties":
                    foreach (JsonProperty property in value.EnumerateObject())
                        Check($"{path}.{property.Name}", root, rule.Value, property.Value);
                    break;
                case "items":
                    foreach (JsonElement item in value.EnumerateArray())
                        Check($"{path}[]", root, rule.Value, item);
                    break;
                case "oneOf":
                    Check(path, root, rule.Value[value.ValueKind is JsonValueKind.Null ? 0 : 1], value);
                    break;
                case "$ref":
                    Check(path, root, root.GetProperty("$defs").GetProperty(rule.Value.GetString()!.Split('/')[^1]), value);
                    break;
                case "$schema" or "title" or "description" or "$defs":
                    break;
                default:
                    Assert.Fail($"The schema uses {rule.Name}, which this check does not know.");
                    break;
            }
    }

    private static bool Is(string type, JsonElement value) => type switch
    {
        "object" => value.ValueKind is JsonValueKind.Object,
        "array" => value.ValueKind is JsonValueKind.Array,
        "string" => value.ValueKind is JsonValueKind.String,
        "boolean" => value.ValueKind is JsonValueKind.True or JsonValueKind.False,
        "number" => value.ValueKind is JsonValueKind.Number,
        "integer" => value.ValueKind is JsonValueKind.Number && value.TryGetInt64(out _),
        "null" => value.ValueKind is JsonValueKind.Null,
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "Unknown type."),
    };
}
