// How does a request say which part of a sequence it asks? Only requests to ports that declare slice say anything.
using System.Text.Json;
using S2Attn.Conformance.Validation;
using S2Attn.Spec;

namespace S2Attn.Conformance.Ports;

/// <summary>The field slice of a request.</summary>
internal static class SliceJson
{
    /// <summary>Writes which queries are asked, which keys are there, and whether the text may still grow.</summary>
    public static void Write(Utf8JsonWriter json, S2Slice slice)
    {
        json.WriteStartObject("slice");
        Range("queries", slice.Queries);
        Range("keys", slice.Keys);
        if (slice.IsUnbounded)
            json.WriteBoolean("unbounded", true);
        json.WriteEndObject();

        void Range(string name, TokenRange<int> range)
        {
            json.WriteStartArray(name);
            json.WriteNumberValue(range.Start);
            json.WriteNumberValue(range.End);
            json.WriteEndArray();
        }
    }

    /// <summary>Reads what a request says; the whole sequence where it says nothing.</summary>
    /// <exception cref="FormatException">A field is missing, has the wrong type or breaks a rule of <see cref="S2Slice"/>.</exception>
    public static S2Slice Read(S2Config config, JsonElement request)
    {
        JsonFields fields = new("", request);
        if (!fields.Has("slice"))
            return S2Slice.Whole(config);
        JsonFields slice = fields.Object("slice");
        TokenRange<int> queries = Range(slice, "queries"), keys = Range(slice, "keys");
        SliceRequest wanted = new()
        {
            FirstQuery = queries.Start,
            EndQuery = queries.End,
            FirstKey = keys.Start,
            EndKey = keys.End,
            IsUnbounded = slice.Has("unbounded") && slice.Flag("unbounded"),
        };
        return S2Slice.TryCreate(config, wanted) switch
        {
            SliceResult.Valid valid => valid.Slice,
            var invalid => throw new FormatException($"slice: {invalid}"),
        };
    }

    private static TokenRange<int> Range(JsonFields slice, string name) =>
        slice.Items(name, 2).ToArray() is [var start, var end] && start.ValueKind is JsonValueKind.Number && end.ValueKind is JsonValueKind.Number
            && start.TryGetInt32(out int first) && end.TryGetInt32(out int last)
            ? new(first, last)
            : throw slice.Wrong(name, "two whole numbers");
}
