// What of a report's JSON form must be known to compare it with another?
using System.Collections.Immutable;
using System.Text;
using System.Text.Json;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Running;

namespace S2Attn.Conformance.Reports;

/// <summary>Whose row, and which property, theorem or golden case.</summary>
public readonly record struct ReportRow(string Subject, string Name)
{
    /// <inheritdoc/>
    public override string ToString() => $"{Subject}  {Name}";
}

/// <summary>The outcomes and levels of a report.</summary>
/// <param name="Tool">The program that wrote it.</param>
/// <param name="Draw">Seed, cases and filter in words: where two reports differ here, they saw different cases.</param>
/// <param name="Complete">False where the run was stopped.</param>
/// <param name="Rows">The outcome of each row.</param>
/// <param name="Earned">The levels that each port earned, by the name of its rows.</param>
public sealed record ReportDigest(
    string Tool,
    string Draw,
    bool Complete,
    ImmutableSortedDictionary<string, ImmutableArray<PortLevel>> Earned,
    ImmutableDictionary<ReportRow, Outcome> Rows)
{
    /// <summary>More bytes than any honest report has.</summary>
    public const long MaxBytes = 64 << 20;

    /// <summary>Reads what <see cref="JsonReport.Write"/> wrote; fields that report.schema.json does not know are ignored.</summary>
    /// <exception cref="FormatException">The bytes are no JSON, or no report of this version; the message says where.</exception>
    public static ReportDigest Parse(ReadOnlyMemory<byte> utf8)
    {
        ReadOnlyMemory<byte> json = utf8.Span.StartsWith(Encoding.UTF8.Preamble) ? utf8[Encoding.UTF8.Preamble.Length..] : utf8;
        try
        {
            using JsonDocument document = JsonDocument.Parse(json);
            return Of(document.RootElement);
        }
        catch (JsonException error)
        {
            throw new FormatException($"must be JSON: {error.Message}", error);
        }
        catch (InvalidOperationException error)
        {
            // What GetString says of a lone surrogate.
            throw new FormatException($"must be valid Unicode: {error.Message}", error);
        }
    }

    private static ReportDigest Of(JsonElement root)
    {
        if (root.ValueKind is not JsonValueKind.Object || !root.TryGetProperty("schema", out JsonElement schema) || schema.ValueKind is not JsonValueKind.String || !schema.ValueEquals("s2attn-report"))
            throw new FormatException("must be a report of s2attn check --json: an object with \"schema\": \"s2attn-report\"");
        int version = Integer(root, "the report", "version");
        if (version != Report.SchemaVersion)
            throw new FormatException($"version is {version}; this program reads version {Report.SchemaVersion}");

        var rows = ImmutableDictionary.CreateBuilder<ReportRow, Outcome>();
        foreach ((string at, JsonElement result) in Items(root, "results"))
        {
            ReportRow row = new(Text(result, at, "subject"), Text(result, at, "name"));
            if (!rows.TryAdd(row, OutcomeOf(at, Text(result, at, "outcome"))))
                throw new FormatException($"{at}: {Clean(row.ToString())} stands there twice");
        }

        var earned = ImmutableSortedDictionary.CreateBuilder<string, ImmutableArray<PortLevel>>(StringComparer.Ordinal);
        foreach ((string at, JsonElement port) in Items(root, "ports"))
        {
            string subject = Text(port, at, "subject");
            if (earned.ContainsKey(subject))
                throw new FormatException($"{at}: the port {Clean(subject)} stands there twice");
            earned.Add(subject, [.. Field(port, at, "levelsEarned", JsonValueKind.Array).EnumerateArray().Select(level => LevelOf(at, level)).Distinct().Order()]);
        }

        string filter = Text(root, "the report", "filter");
        string draw = $"seed {Integer(root, "the report", "seed")}, {Integer(root, "the report", "cases")} cases{(filter.Length == 0 ? "" : $", filter {filter}")}";
        return new(Text(root, "the report", "tool"), draw, Flag(root, "complete"), earned.ToImmutable(), rows.ToImmutable());
    }

    /// <summary>The text as a terminal may show it: a report is a file that anybody may have written.</summary>
    public static string Clean(string text) => string.Concat(text.Select(c => char.IsControl(c) ? '?' : c));

    private static IEnumerable<(string At, JsonElement Item)> Items(JsonElement root, string name) =>
        Field(root, "the report", name, JsonValueKind.Array).EnumerateArray().Select((item, i) => ($"{name}[{i}]", item));

    private static JsonElement Field(JsonElement owner, string at, string name, params ReadOnlySpan<JsonValueKind> kinds)
    {
        if (owner.ValueKind is not JsonValueKind.Object || !owner.TryGetProperty(name, out JsonElement field))
            throw new FormatException($"{at} has no {name}");
        return kinds.Contains(field.ValueKind)
            ? field
            : throw new FormatException($"{at}: {name} must be {string.Join(" or ", kinds.ToArray())}, not {field.ValueKind}");
    }

    private static string Text(JsonElement owner, string at, string name) => Field(owner, at, name, JsonValueKind.String).GetString()!;

    private static bool Flag(JsonElement owner, string name) => Field(owner, "the report", name, JsonValueKind.True, JsonValueKind.False).GetBoolean();

    private static int Integer(JsonElement owner, string at, string name) => Field(owner, at, name, JsonValueKind.Number).TryGetInt32(out int value)
        ? value
        : throw new FormatException($"{at}: {name} must be an integer of 32 bits");

    private static Outcome OutcomeOf(string at, string word) => Enum.GetValues<Outcome>().Where(outcome => JsonReport.Word(outcome) == word).ToArray() is [var known]
        ? known
        : throw new FormatException($"{at}: outcome {Clean(word)} must be one of {string.Join(", ", Enum.GetValues<Outcome>().Select(JsonReport.Word))}");

    private static PortLevel LevelOf(string at, JsonElement level) =>
        level.ValueKind is JsonValueKind.Number && level.TryGetInt32(out int value) && Enum.IsDefined((PortLevel)value)
            ? (PortLevel)value
            : throw new FormatException($"{at}: levelsEarned must hold levels from {(int)PortLevels.All[0]} to {(int)PortLevels.All[^1]}");
}
