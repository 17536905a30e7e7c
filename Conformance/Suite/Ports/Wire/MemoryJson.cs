// How does a request say where the tensors of a case lie? Only requests to ports that declare layouts, packed or strides say anything.
using System.Collections.Immutable;
using System.Text.Json;
using S2Attn.Conformance.Validation;

namespace S2Attn.Conformance.Ports;

/// <summary>The fields layout, cuSeqlens and views of a request.</summary>
internal static class MemoryJson
{
    private const int MaxSequences = 1 << 20, MaxLength = 1 << 30;
    private static readonly ImmutableArray<string> Tensors = ["q", "k", "v", "do", "o", "lse", "dq", "dk", "dv"];

    /// <summary>Writes what is said; nothing where nothing is.</summary>
    public static void Write(Utf8JsonWriter json, CaseMemory memory)
    {
        if (memory.HeadMajor)
            json.WriteString("layout", ProtocolNames.LayoutOf(headMajor: true));
        if (!memory.Starts.IsEmpty)
            WriteNumbers("cuSeqlens", memory.Starts);
        if (memory.Views.IsEmpty)
            return;
        json.WriteStartObject("views");
        foreach ((string name, TensorView view) in memory.Views)
        {
            json.WriteStartObject(name);
            json.WriteNumber("length", view.Length);
            json.WriteNumber("offset", view.Offset);
            WriteNumbers("strides", [view.Batch, view.Token, view.Head]);
            json.WriteEndObject();
        }

        json.WriteEndObject();

        void WriteNumbers(string name, ImmutableArray<int> numbers)
        {
            json.WriteStartArray(name);
            foreach (int number in numbers)
                json.WriteNumberValue(number);
            json.WriteEndArray();
        }
    }

    /// <summary>Reads what a request says.</summary>
    /// <exception cref="FormatException">A field has the wrong type.</exception>
    public static CaseMemory Read(JsonElement request)
    {
        JsonFields fields = new("", request);
        return new()
        {
            HeadMajor = fields.Has("layout") && fields.Text("layout", name => name is "BNHD" or "BHND", "BNHD or BHND") == ProtocolNames.LayoutOf(headMajor: true),
            Starts = fields.Has("cuSeqlens") ? Numbers(fields, "cuSeqlens", MaxSequences) : [],
            Views = fields.Has("views") ? Views(fields.Object("views")) : CaseMemory.Dense.Views,
        };
    }

    private static ImmutableSortedDictionary<string, TensorView> Views(JsonFields views) => Tensors.Where(views.Has).ToImmutableSortedDictionary(
        name => name,
        name =>
        {
            JsonFields view = views.Object(name);
            return Numbers(view, "strides", 3) is [var batch, var token, var head]
                ? new TensorView(view.Integer("length", 0, MaxLength), view.Integer("offset", 0, MaxLength), batch, token, head)
                : throw view.Wrong("strides", "three whole numbers");
        },
        StringComparer.Ordinal);

    private static ImmutableArray<int> Numbers(JsonFields fields, string name, int most) =>
        [.. fields.Items(name, most).Select(item => item.ValueKind is JsonValueKind.Number && item.TryGetInt32(out int number) ? number : throw fields.Wrong(name, "an array of whole numbers"))];
}
