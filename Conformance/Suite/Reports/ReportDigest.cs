// What of a report's JSON form must be known to compare it with another?
using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using System.Text.Json;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Running;
using S2Attn.Conformance.Text;
using S2Attn.Conformance.Validation;

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

    private const int MaxName = 1000, MaxItems = 100_000;

    /// <summary>Reads what <see cref="JsonReport.Write"/> wrote; fields that report.schema.json does not know are ignored.</summary>
    /// <exception cref="FormatException">The bytes are no JSON, or no report of this version; the message says where.</exception>
    public static ReportDigest Parse(ReadOnlyMemory<byte> utf8)
    {
        return Of(JsonFields.Parse("", utf8.Span.StartsWith(Encoding.UTF8.Preamble) ? utf8[Encoding.UTF8.Preamble.Length..] : utf8));
    }

    private static ReportDigest Of(JsonFields report)
    {
        if (!report.Has("schema") || !(report.Any("schema") is { ValueKind: JsonValueKind.String } schema && schema.ValueEquals("s2attn-report")))
            throw new FormatException("must be a report of s2attn check --json: an object with \"schema\": \"s2attn-report\"");
        int version = report.Integer("version", 0, int.MaxValue);
        if (version != Report.SchemaVersion)
            throw new FormatException($"version is {version}; this program reads version {Report.SchemaVersion}");

        var rows = ImmutableDictionary.CreateBuilder<ReportRow, Outcome>();
        foreach ((string at, JsonFields result) in Items(report, "results"))
        {
            ReportRow row = new(result.Text("subject", MaxName), result.Text("name", MaxName));
            if (!rows.TryAdd(row, OutcomeOf(result)))
                throw new FormatException($"{at}: {ForeignText.Name(row.ToString())} stands there twice");
        }

        var earned = ImmutableSortedDictionary.CreateBuilder<string, ImmutableArray<PortLevel>>(StringComparer.Ordinal);
        foreach ((string at, JsonFields port) in Items(report, "ports"))
        {
            string subject = port.Text("subject", MaxName);
            if (!earned.TryAdd(subject, [.. port.Items("levelsEarned", PortLevels.All.Length).Select(level => LevelOf(port, level)).Distinct().Order()]))
                throw new FormatException($"{at}: the port {ForeignText.Name(subject)} stands there twice");
        }

        string filter = report.Text("filter", MaxName);
        string draw = string.Create(CultureInfo.InvariantCulture, $"seed {report.Integer("seed", int.MinValue, int.MaxValue)}, {report.Integer("cases", 0, int.MaxValue)} cases{(filter.Length == 0 ? "" : $", filter {filter}")}");
        return new(report.Text("tool", MaxName), draw, report.Flag("complete"), earned.ToImmutable(), rows.ToImmutable());
    }

    private static IEnumerable<(string At, JsonFields Item)> Items(JsonFields report, string name) =>
        report.Items(name, MaxItems).Select((item, i) => ($"{name}[{i}]", new JsonFields($"{name}[{i}]", item)));

    private static Outcome OutcomeOf(JsonFields result) => Enum.GetValues<Outcome>().Where(outcome => JsonReport.Word(outcome) == result.Text("outcome")).ToArray() is [var known]
        ? known
        : throw result.Wrong("outcome", $"one of {string.Join(", ", Enum.GetValues<Outcome>().Select(JsonReport.Word))}");

    private static PortLevel LevelOf(JsonFields port, JsonElement level) =>
        level.ValueKind is JsonValueKind.Number && level.TryGetInt32(out int value) && Enum.IsDefined((PortLevel)value)
            ? (PortLevel)value
            : throw port.Wrong("levelsEarned", $"a list of levels from {(int)PortLevels.All[0]} to {(int)PortLevels.All[^1]}");
}
