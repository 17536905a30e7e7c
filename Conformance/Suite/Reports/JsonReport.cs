// A report as JSON, as report.schema.json describes it.
using System.Text.Json;
using System.Text.Json.Nodes;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Running;
using S2Attn.Conformance.Xray;

namespace S2Attn.Conformance.Reports;

/// <summary>Writes version 1 of the JSON form.</summary>
public static class JsonReport
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>report.schema.json: what stands in the text that <see cref="Write"/> gives, as a JSON Schema.</summary>
    public static string Schema()
    {
        using StreamReader reader = new(typeof(JsonReport).Assembly.GetManifestResourceStream("report.schema.json")!);
        return reader.ReadToEnd();
    }

    /// <summary>The report as text.</summary>
    public static string Write(Report report)
    {
        ArgumentNullException.ThrowIfNull(report);
        return new JsonObject
        {
            ["schema"] = "s2attn-report",
            ["version"] = Report.SchemaVersion,
            ["tool"] = report.Tool,
            ["seed"] = report.Seed,
            ["cases"] = report.Cases,
            ["filter"] = report.Filter,
            ["complete"] = report.Complete,
            ["conforms"] = report.Conforms,
            ["seconds"] = Seconds(report.Elapsed),
            ["ports"] = Array(report.Ports, Port),
            ["results"] = Array(report.Results, Result),
            ["variants"] = Array(report.Variants, Variant),
        }.ToJsonString(Indented) + "\n";
    }

    /// <summary>The word for an outcome.</summary>
    public static string Word(Outcome outcome) => outcome switch
    {
        Outcome.Holds => "holds",
        Outcome.Fails => "fails",
        Outcome.PortFailed => "portFailed",
        Outcome.Unsupported => "unsupported",
        Outcome.Lacks => "lacks",
        Outcome.Interrupted => "interrupted",
        _ => throw new ArgumentOutOfRangeException(nameof(outcome), outcome, "Unknown outcome."),
    };

    private static JsonObject Port(ReportPort port) => new()
    {
        ["subject"] = port.Subject,
        ["name"] = port.Description.Name,
        ["version"] = port.Description.Version,
        ["language"] = port.Description.Language,
        ["levelsClaimed"] = Array(port.Claimed, level => (int)level),
        ["levelsEarned"] = Array(port.Earned, level => (int)level),
        ["levels"] = Array(port.Levels, Level),
        ["diagnosis"] = port.Diagnosis.IsEmpty ? null : Diagnosis(port.Diagnosis[0]),
    };

    private static JsonObject Level(LevelJudgement level) => new()
    {
        ["level"] = (int)level.Level,
        ["title"] = level.Level.Title(),
        ["standing"] = ReportWords.Standing(level.Standing),
        ["reason"] = level.Reason,
        ["evidence"] = Array(level.Evidence, kind => new JsonObject { ["kind"] = kind.Kind, ["held"] = kind.Held }),
    };

    private static JsonObject Diagnosis(Diagnosis diagnosis) => new()
    {
        ["names"] = Array(diagnosis.Names, name => name),
        ["sentences"] = Array(diagnosis.Sentences, sentence => sentence),
    };

    private static JsonObject Result(PropertyResult result) => new()
    {
        ["subject"] = result.Subject,
        ["name"] = result.Name,
        ["statement"] = result.Statement,
        ["region"] = result.Region,
        ["outcome"] = Word(result.Outcome),
        ["cases"] = result.Cases,
        ["unsupported"] = new JsonObject(result.Unsupported.Select(pair => KeyValuePair.Create(pair.Key, (JsonNode?)pair.Value))),
        ["counterexample"] = result.Counterexample.IsEmpty ? null : Example(result.Counterexample[0]),
        ["seconds"] = Seconds(result.Elapsed),
    };

    private static JsonObject Variant(ReportVariant variant) => new()
    {
        ["name"] = variant.Name,
        ["difference"] = variant.Difference,
        ["caughtBy"] = Array(variant.CaughtBy, name => name),
        ["example"] = variant.Example.IsEmpty ? null : Example(variant.Example[0]),
    };

    private static JsonObject Example(Counterexample example) => new()
    {
        ["case"] = example.Case,
        ["reason"] = example.Reason,
        ["drawnAs"] = example.Original,
        ["shrinks"] = example.Shrinks,
    };

    private static JsonArray Array<T>(IEnumerable<T> items, Func<T, JsonNode> node) => [.. items.Select(node)];

    private static double Seconds(TimeSpan time) => Math.Round(time.TotalSeconds, 3);
}
