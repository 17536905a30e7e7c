// What does a line say that a port answered?
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text;
using System.Text.Json;

namespace S2Attn.Conformance.Ports;

/// <summary>An answer of the port protocol, or why the line is none.</summary>
internal abstract record PortReply
{
    private PortReply() { }

    /// <summary>ok:true. Fields are kept for describe.</summary>
    public sealed record Ok(JsonElement Fields) : PortReply;

    /// <summary>ok:false with unsupported.</summary>
    public sealed record Unsupported(string Reason) : PortReply;

    /// <summary>ok:false with error.</summary>
    public sealed record Error(string Message) : PortReply;

    /// <summary>Not the protocol.</summary>
    public sealed record Malformed(string Message) : PortReply;

    /// <summary>Reads a line that should answer the request of that id. Unknown fields are ignored.</summary>
    public static PortReply Parse(byte[] utf8, long id)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(utf8);
            JsonElement fields = document.RootElement;
            if (fields.ValueKind is not JsonValueKind.Object)
                return new Malformed($"the line is JSON but no object: {Shown(utf8)}");
            if (!fields.TryGetProperty("id", out JsonElement idField))
                return new Malformed($"the answer has no id: {Shown(utf8)}");
            if (idField.ValueKind is not JsonValueKind.Number || !idField.TryGetInt64(out long answered) || answered != id)
                return new Malformed(string.Create(CultureInfo.InvariantCulture, $"the answer has id {Shown(idField)}, but {id} was asked: {Shown(utf8)}"));
            if (!fields.TryGetProperty("ok", out JsonElement ok) || ok.ValueKind is not (JsonValueKind.True or JsonValueKind.False))
                return new Malformed($"the answer must have \"ok\": true or false: {Shown(utf8)}");
            if (ok.GetBoolean())
                return new Ok(fields.Clone());
            if (TryGetText(fields, "unsupported", out string? reason))
                return new Unsupported(reason);
            return TryGetText(fields, "error", out string? message)
                ? new Error(message)
                : new Malformed($"an answer with \"ok\": false must say \"unsupported\" or \"error\": {Shown(utf8)}");
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            // InvalidOperationException: a string with a lone surrogate, which JSON's grammar allows and text does not.
            return new Malformed($"the line is no JSON: {Shown(utf8)}");
        }
    }

    /// <summary>Bytes as a message shows them: short, on one line, without control characters.</summary>
    public static string Shown(ReadOnlySpan<byte> utf8)
    {
        const int Bytes = 160;
        string text = Encoding.UTF8.GetString(utf8[..Math.Min(Bytes, utf8.Length)]);
        string clean = new([.. text.Select(c => char.IsControl(c) ? '?' : c)]);
        return utf8.Length > Bytes ? string.Create(CultureInfo.InvariantCulture, $"{clean}... ({utf8.Length} bytes)") : clean.Length == 0 ? "(empty line)" : clean;
    }

    private static string Shown(JsonElement element) => Shown(Encoding.UTF8.GetBytes(element.GetRawText()));

    private static bool TryGetText(JsonElement fields, string name, [NotNullWhen(true)] out string? text)
    {
        text = fields.TryGetProperty(name, out JsonElement value) && value.ValueKind is JsonValueKind.String ? value.GetString() : null;
        return text is not null;
    }
}
