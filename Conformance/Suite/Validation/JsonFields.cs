// How are the fields of a JSON object read that anybody may have written?
using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;
using S2Attn.Conformance.Text;

namespace S2Attn.Conformance.Validation;

/// <summary>
/// The fields of one object. Each is asked for with its rule, and breaks it with a <see cref="FormatException"/> that names field, value and rule.
/// </summary>
public readonly struct JsonFields
{
    private readonly JsonElement fields;
    private readonly string owner;

    /// <summary>Looks at an object.</summary>
    /// <param name="owner">What messages call it; empty where the fields' names say enough.</param>
    /// <param name="fields">The object.</param>
    /// <exception cref="FormatException">It is no object.</exception>
    public JsonFields(string owner, JsonElement fields)
    {
        if (fields.ValueKind is not JsonValueKind.Object)
            throw new FormatException($"{(owner.Length == 0 ? "the text" : owner)} must be an object, not {Shown(fields)}");
        this.owner = owner;
        this.fields = fields;
    }

    /// <summary>Parses bytes whose outermost value is an object.</summary>
    /// <exception cref="FormatException">They are no JSON, hold a name twice, or are no object.</exception>
    public static JsonFields Parse(string owner, ReadOnlyMemory<byte> utf8) => new(owner, Parsed(owner, utf8));

    /// <summary>Parses text whose outermost value is an object.</summary>
    /// <exception cref="FormatException">It is no JSON, holds a name twice, or is no object.</exception>
    public static JsonFields Parse(string owner, string text) => Parse(owner, System.Text.Encoding.UTF8.GetBytes(text));

    /// <summary>The object itself.</summary>
    public JsonElement Element => fields;

    /// <summary>Whether there is such a field.</summary>
    public bool Has(string name) => fields.TryGetProperty(name, out _);

    /// <summary>The field, whatever it is.</summary>
    public JsonElement Any(string name) => fields.TryGetProperty(name, out JsonElement value) ? value : throw new FormatException($"{(owner.Length == 0 ? "the object" : owner)} has no {name}");

    /// <summary>An integer of a range.</summary>
    public int Integer(string name, int min, int max) =>
        Any(name) is { ValueKind: JsonValueKind.Number } number && number.TryGetInt32(out int value) && value >= min && value <= max ? value : throw Wrong(name, Range(min, max));

    /// <summary>An integer of a range, where the field is there.</summary>
    public int? OptionalInteger(string name, int min, int max) => Has(name) ? Integer(name, min, max) : null;

    /// <summary>An integer of a range that may pass 32 bits.</summary>
    public long Long(string name, long min, long max) =>
        Any(name) is { ValueKind: JsonValueKind.Number } number && number.TryGetInt64(out long value) && value >= min && value <= max ? value : throw Wrong(name, Range(min, max));

    /// <summary>A finite number.</summary>
    /// <param name="name">The field.</param>
    /// <param name="rule">What it must be, in words.</param>
    public double Number(string name, string rule = "a finite number") =>
        Any(name) is { ValueKind: JsonValueKind.Number } number && number.TryGetDouble(out double value) && double.IsFinite(value) ? value : throw Wrong(name, rule);

    /// <summary>True or false.</summary>
    public bool Flag(string name) => Any(name).ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => throw Wrong(name, "true or false"),
    };

    /// <summary>A text of valid Unicode.</summary>
    public string Text(string name, int maxLength = int.MaxValue)
    {
        if (Any(name) is not { ValueKind: JsonValueKind.String } field || !TryText(field, out string text))
            throw Wrong(name, "a string");
        return text.Length <= maxLength ? text : throw Wrong(name, string.Create(CultureInfo.InvariantCulture, $"a string of at most {maxLength} characters"));
    }

    /// <summary>A text that consists of certain characters alone.</summary>
    public string Text(string name, Func<string, bool> holds, string rule) => Text(name) is var text && holds(text) ? text : throw Wrong(name, rule);

    /// <summary>An object.</summary>
    public JsonFields Object(string name) => new(owner.Length == 0 ? name : $"{owner}.{name}", Any(name));

    /// <summary>The items of an array.</summary>
    public ImmutableArray<JsonElement> Items(string name, int maxCount) => Any(name) is { ValueKind: JsonValueKind.Array } array && array.GetArrayLength() <= maxCount
        ? [.. array.EnumerateArray()]
        : throw Wrong(name, string.Create(CultureInfo.InvariantCulture, $"an array of at most {maxCount} items"));

    /// <summary>The items of an array of strings.</summary>
    public ImmutableArray<string> Texts(string name, int maxCount)
    {
        JsonFields self = this;
        return [.. Items(name, maxCount).Select(item => item.ValueKind is JsonValueKind.String && TryText(item, out string text) ? text : throw self.Wrong(name, "an array of strings"))];
    }

    /// <summary>What is said of a field that breaks a rule.</summary>
    public FormatException Wrong(string name, string rule) => new($"{(owner.Length == 0 ? "" : owner + ": ")}{name} must be {rule}, not {Shown(Any(name))}");

    /// <summary>A value as a message shows it.</summary>
    public static string Shown(JsonElement value) => ForeignText.Name(value.GetRawText());

    private static string Range(long min, long max) => string.Create(CultureInfo.InvariantCulture, $"an integer from {min} to {max}");

    private static JsonElement Parsed(string owner, ReadOnlyMemory<byte> utf8)
    {
        // The parser lets broken UTF-8 and lone surrogates through, and whoever asks for the text later gets an exception.
        string at = owner.Length == 0 ? "" : owner + " ";
        if (!System.Text.Unicode.Utf8.IsValid(utf8.Span))
            throw new FormatException($"{at}must be JSON in UTF-8, but holds other bytes");
        try
        {
            // A name that stands twice means one thing to one reader and another to the next.
            using JsonDocument document = JsonDocument.Parse(utf8, new JsonDocumentOptions { AllowDuplicateProperties = false });
            return IsUnicode(document.RootElement) ? document.RootElement.Clone() : throw new FormatException($"{at}must be valid Unicode, without lone surrogates");
        }
        catch (JsonException error)
        {
            throw new FormatException($"{at}must be JSON: {ForeignText.Name(error.Message)}", error);
        }
    }

    private static bool IsUnicode(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Object => value.EnumerateObject().All(field => TryName(field) && IsUnicode(field.Value)),
        JsonValueKind.Array => value.EnumerateArray().All(IsUnicode),
        JsonValueKind.String => TryText(value, out _),
        _ => true,
    };

    private static bool TryName(JsonProperty field)
    {
        try
        {
            _ = field.Name;
            return true;
        }
        catch (InvalidOperationException)
        {
            return false;
        }
    }

    // A lone surrogate is a string to JSON's grammar, and none to anybody who reads it.
    private static bool TryText(JsonElement field, out string text)
    {
        try
        {
            text = field.GetString()!;
            return true;
        }
        catch (InvalidOperationException)
        {
            text = "";
            return false;
        }
    }
}
