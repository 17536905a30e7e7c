// What does a line say that a port answered?
using System.Globalization;
using System.Text;
using System.Text.Json;
using S2Attn.Conformance.Text;
using S2Attn.Conformance.Validation;

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
            JsonFields fields = JsonFields.Parse("the line", utf8);
            long answered = fields.Long("id", long.MinValue, long.MaxValue);
            if (answered != id)
                return new Malformed(string.Create(CultureInfo.InvariantCulture, $"the answer has id {answered}, but {id} was asked: {Shown(utf8)}"));
            if (fields.Flag("ok"))
                return new Ok(fields.Element);
            if (fields.Has("unsupported"))
                return new Unsupported(ForeignText.Lines(fields.Text("unsupported")));
            return fields.Has("error")
                ? new Error(ForeignText.Lines(fields.Text("error")))
                : new Malformed($"an answer with \"ok\": false must say \"unsupported\" or \"error\": {Shown(utf8)}");
        }
        catch (FormatException error)
        {
            return new Malformed(error.InnerException is JsonException ? $"the line is no JSON: {Shown(utf8)}" : $"{error.Message}: {Shown(utf8)}");
        }
    }

    /// <summary>Bytes as a message shows them: short, on one line, without control characters.</summary>
    public static string Shown(ReadOnlySpan<byte> utf8)
    {
        const int Bytes = 160;
        string text = Encoding.UTF8.GetString(utf8[..Math.Min(Bytes, utf8.Length)]);
        string clean = ForeignText.Line(Bytes, text);
        return utf8.Length > Bytes ? string.Create(CultureInfo.InvariantCulture, $"{clean}... ({utf8.Length} bytes)") : clean.Length == 0 ? "(empty line)" : clean;
    }
}
