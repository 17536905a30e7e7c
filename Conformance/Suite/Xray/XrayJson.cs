// An X-ray as JSON.
using System.Text.Json;
using System.Text.Json.Nodes;
using S2Attn.Conformance.Ports;
using S2Attn.Spec;

namespace S2Attn.Conformance.Xray;

/// <summary>Writes version 1 of the JSON form: the verdict, and for each size the sentences and the matrices as rows of text.</summary>
public static class XrayJson
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>The report as text.</summary>
    public static string Write(XrayReport report)
    {
        ArgumentNullException.ThrowIfNull(report);
        return new JsonObject
        {
            ["schema"] = "s2attn-xray",
            ["version"] = 1,
            ["port"] = report.Port.Name,
            ["equalsDefinition"] = report.IsDefinition,
            ["identifiedAs"] = Array<string>(report.IsDefinition ? ["definition"] : [.. report.Explanation.IsDefinition ? [] : report.Explanation.Names, .. report.Parts.SelectMany(part => part.Names)], name => name),
            ["defects"] = Array((report.Explanation.IsClaimed ? report.Explanation.Composition.Defects : []).Concat(report.Parts.SelectMany(part => part.Explanation is { ExplainedAt: > 0, Composition: var ofPart } ? ofPart.Defects : [])), Defect),
            ["habits"] = Array(report.Habits, habit => habit.Clause),
            ["notLookedAt"] = Array(report.Failures.Concat(report.Parts.SelectMany(part => part.Failures)), failure => $"{failure}"),
            ["verdict"] = Array(report.Verdict, sentence => sentence),
            ["calls"] = report.Calls,
            ["pictures"] = Array(report.Pictures, Picture),
        }.ToJsonString(Indented) + "\n";
    }

    private static JsonObject Defect(Reference.Upstream.Defect defect) => new()
    {
        ["name"] = defect.Name,
        ["stage"] = defect.Stage.ToString(),
        ["what"] = defect.What,
        ["fix"] = defect.Fix,
        ["seenIn"] = defect.SeenIn,
    };

    private static JsonObject Picture(XrayPicture picture) => new()
    {
        ["config"] = Config(picture.Probe),
        ["words"] = Array(picture.Words, sentence => sentence),
        ["scale"] = double.IsFinite(picture.Scores.Scale) ? picture.Scores.Scale : null,
        ["heads"] = Array(HeadPicture.Of(picture), Head),
    };

    private static JsonObject Config(XrayProbe probe)
    {
        JsonObject config = Fields(probe);
        if (probe.Config.ShiftedHeads.HasOwnShifts)
            config["shifts"] = Array(Enumerable.Range(0, probe.Config.Heads), head => probe.Config.ShiftOf(head));
        return config;
    }

    private static JsonObject Fields(XrayProbe probe) => new()
    {
        ["mask"] = probe.Config.Mask.ToString(),
        ["batch"] = probe.Config.Batch,
        ["tokens"] = probe.Config.Tokens,
        ["groupSize"] = probe.Config.GroupSize,
        ["shift"] = probe.Config.Shift,
        ["heads"] = probe.Config.Heads,
        ["kvHeads"] = probe.Config.KvHeads,
        ["headDim"] = probe.Config.HeadDim,
        ["shiftedHeads"] = Array(Enumerable.Range(0, probe.Config.Heads), head => probe.Config.ShiftedHeads.IsShifted(head, probe.Config.Heads)),
        ["scale"] = probe.Config.Scale,
        ["dtype"] = ProtocolNames.Of(probe.ElementType),
        ["valid"] = Array(Enumerable.Range(0, probe.Config.Batch), b => string.Concat(Enumerable.Range(0, probe.Config.Tokens).Select(t => probe.Valid[b, t] ? '1' : '0'))),
    };

    private static JsonObject Head(HeadPicture head) => new()
    {
        ["batch"] = head.Batch,
        ["heads"] = Array(head.Heads, h => h),
        ["shift"] = head.Shift,
        ["seen"] = Array(head.Lines(cell => cell.Seen ? '1' : '0'), line => line),
        ["definition"] = Array(head.Lines(cell => cell.Right ? '1' : '0'), line => line),
    };

    private static JsonArray Array<T>(IEnumerable<T> items, Func<T, JsonNode> node) => [.. items.Select(node)];
}
