// How does a declaration say which values of a size a port takes?
using System.Text.Json;
using S2Attn.Conformance.Validation;

namespace S2Attn.Conformance.Ports;

/// <summary>
/// A number, a list of numbers, or an object of rules that all hold: "min", "max", "multipleOf", "even", "oneOf". A rule that is not understood, and rules that no
/// value fits, are errors: a claim must not be dropped.
/// </summary>
internal static class SizeRuleJson
{
    private const string Form = "a number, a list of numbers, or an object of min, max, multipleOf, even and oneOf";

    /// <summary>Writes the rule as the value of a field of this name; nothing where it is free.</summary>
    public static void Write(Utf8JsonWriter json, string name, SizeRule rule)
    {
        if (rule.IsFree)
            return;
        json.WritePropertyName(name);
        if (rule == new SizeRule { OneOf = rule.OneOf } && rule.OneOf is [int only])
        {
            json.WriteNumberValue(only);
            return;
        }

        if (rule == new SizeRule { OneOf = rule.OneOf })
        {
            WriteList();
            return;
        }

        json.WriteStartObject();
        if (rule.Min > 0)
            json.WriteNumber("min", rule.Min);
        if (rule.Max < int.MaxValue)
            json.WriteNumber("max", rule.Max);
        if (rule.MultipleOf == 2)
            json.WriteBoolean("even", true);
        else if (rule.MultipleOf > 1)
            json.WriteNumber("multipleOf", rule.MultipleOf);
        if (!rule.OneOf.IsEmpty)
        {
            json.WritePropertyName("oneOf");
            WriteList();
        }

        json.WriteEndObject();

        void WriteList()
        {
            json.WriteStartArray();
            foreach (int value in rule.OneOf)
                json.WriteNumberValue(value);
            json.WriteEndArray();
        }
    }

    /// <summary>Reads the field of "fixed" with this name.</summary>
    /// <param name="fields">The object that may have it.</param>
    /// <param name="name">Its name.</param>
    /// <param name="least">The least value that such a size may have at all.</param>
    /// <exception cref="FormatException">It is no rule, or no value fits it; the message names field, value and rule.</exception>
    public static SizeRule Read(JsonElement fields, string name, int least)
    {
        if (!fields.TryGetProperty(name, out JsonElement field))
            return SizeRule.Free;
        string at = $"fixed.{name}";
        SizeRule rule = field.ValueKind switch
        {
            JsonValueKind.Number => SizeRule.Exactly(Integer(at, field, least)),
            JsonValueKind.Array => List(at, field),
            JsonValueKind.Object => Rules(),
            _ => throw new FormatException($"{at} must be {Form}, not {JsonFields.Shown(field)}"),
        };
        return rule.TryFit(least, least, int.MaxValue, 1, out _)
            ? rule
            : throw new FormatException($"{at} = {JsonFields.Shown(field)}: no value fits all of it; a {name} is at least {least}");

        SizeRule List(string at, JsonElement list) => list.ValueKind is JsonValueKind.Array && list.GetArrayLength() > 0
            ? new() { OneOf = [.. list.EnumerateArray().Select((item, i) => Integer($"{at}[{i}]", item, least))] }
            : throw new FormatException($"{at} must be a list of at least one number, not {JsonFields.Shown(list)}");

        SizeRule Rules()
        {
            SizeRule all = SizeRule.Free;
            int multiple = 1;
            foreach (JsonProperty part in field.EnumerateObject())
            {
                string inside = $"{at}.{part.Name}";
                switch (part.Name)
                {
                    case "min":
                        all = all with { Min = Integer(inside, part.Value, least) };
                        break;
                    case "max":
                        all = all with { Max = Integer(inside, part.Value, least) };
                        break;
                    case "multipleOf":
                        multiple = Together(inside, multiple, Integer(inside, part.Value, 1));
                        break;
                    case "even":
                        multiple = part.Value.ValueKind is JsonValueKind.True
                            ? Together(inside, multiple, 2)
                            : throw new FormatException($"{inside} must be true, not {JsonFields.Shown(part.Value)}");
                        break;
                    case "oneOf":
                        all = all with { OneOf = List(inside, part.Value).OneOf };
                        break;
                    default:
                        throw new FormatException($"{inside} is no rule; {at} must be {Form}");
                }
            }

            return all with { MultipleOf = multiple };
        }
    }

    private static int Together(string at, int a, int b)
    {
        long both = a / (long)System.Numerics.BigInteger.GreatestCommonDivisor(a, b) * b;
        return both <= int.MaxValue ? (int)both : throw new FormatException($"{at} = {b}: the multiples of this and of {a} are past {int.MaxValue}");
    }

    private static int Integer(string at, JsonElement number, int least) =>
        number.ValueKind is JsonValueKind.Number && number.TryGetInt32(out int value) && value >= least
            ? value
            : throw new FormatException($"{at} must be an integer from {least} to {int.MaxValue}, not {JsonFields.Shown(number)}");
}
