// A report as one HTML file that a person reads: verdict, levels, what is wrong, masks, properties.
using System.Globalization;
using System.Text;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Properties;
using S2Attn.Conformance.Running;

namespace S2Attn.Conformance.Reports;

/// <summary>Writes a page without scripts and without anything that is loaded from elsewhere. Whatever a port said stands in it as text.</summary>
public static class HtmlReport
{
    /// <summary>The report as text.</summary>
    public static string Write(Report report)
    {
        ArgumentNullException.ThrowIfNull(report);
        StringBuilder page = new();
        page.Append(CultureInfo.InvariantCulture, $"""
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
            <title>{Verdict(report).Words}: S2-Attn report of {Text(string.Join(", ", report.Ports.Select(port => port.Subject)))}</title>
            <style>
            {HtmlStyle.Css}
            </style>
            </head>
            <body>
            <main>

            """);
        WriteHead(page, report);
        for (int i = 0; i < report.Ports.Length; i++)
            WritePort(page, report, report.Ports[i], $"p{i}");
        foreach (IGrouping<string, PropertyResult> rows in report.Results.Where(row => report.Ports.All(port => port.Subject != row.Subject)).GroupBy(row => row.Subject))
        {
            page.Append(CultureInfo.InvariantCulture, $"<h2>{Text(rows.Key)}</h2>\n");
            WriteRows(page, [.. rows], $"Statements about {rows.Key}");
        }

        WriteVariants(page, report);
        return page.Append("</main>\n</body>\n</html>\n").ToString();
    }

    private static void WriteHead(StringBuilder page, Report report)
    {
        (string words, string look) = Verdict(report);
        string filter = report.Filter.Length > 0 ? $" --filter {Quoted(report.Filter)}" : "";
        string command = $"s2attn check{string.Concat(report.Arguments.Select(argument => " " + argument))} --seed {report.Seed} --cases {report.Cases}{filter}";
        page.Append(CultureInfo.InvariantCulture, $"""
            <h1>S2-Attn conformance report</h1>
            <p><span class="verdict {look}">{words}</span></p>
            <p>{Text(Tally.Of(report.Results).ToString())}. {report.Elapsed.TotalSeconds:0.0} s, by {Text(report.Tool)} with seed {report.Seed}. The same cases again:</p>
            <pre>{Text(command)}</pre>

            """);
    }

    private static void WritePort(StringBuilder page, Report report, ReportPort port, string id)
    {
        PropertyResult[] rows = [.. report.Results.Where(row => row.Subject == port.Subject)];
        page.Append(CultureInfo.InvariantCulture, $"<h2>{Text(port.Subject)} <span class=\"quiet small\">{Text(port.Description.Version)} ({Text(port.Description.Language)})</span></h2>\n");
        foreach (string[] sentences in port.Diagnosis.Select(diagnosis => diagnosis.Sentences.ToArray()))
            page.Append(CultureInfo.InvariantCulture, $"<h3>What is wrong</h3>\n<div class=\"box\">{string.Concat(sentences.Select(sentence => $"<p>{Text(sentence)}</p>"))}</div>\n");
        WriteLevels(page, port);
        HtmlXray.Write(page, port, id);
        page.Append("<h3>Properties</h3>\n");
        WriteRows(page, rows, "Each property is one that every right implementation has.");
        WriteUnsupported(page, rows);
    }

    private static void WriteLevels(StringBuilder page, ReportPort port)
    {
        page.Append("<h3>Levels</h3>\n<div class=\"rows\"><table><caption>A level is earned where cases of every kind that it rests on held, and none fails that falls under it.</caption><thead><tr><th scope=\"col\">level</th><th scope=\"col\">standing</th><th scope=\"col\">cases that held</th><th scope=\"col\">of each kind, or why not</th></tr></thead><tbody>\n");
        foreach (LevelJudgement level in port.Levels)
        {
            string look = level.Standing switch
            {
                LevelStanding.Earned => "good",
                LevelStanding.Denied when port.Claimed.Contains(level.Level) => "bad",
                LevelStanding.NotClaimed => "quiet",
                _ => "care",
            };
            string words = level.Standing is LevelStanding.Earned ? level.EvidenceWords : level.Reason;
            page.Append(CultureInfo.InvariantCulture, $"<tr><th scope=\"row\">{(int)level.Level} {Text(level.Level.Title())}</th><td class=\"word {look}\">{Text(ReportWords.Standing(level.Standing))}</td><td data-label=\"cases that held\">{level.Evidence.Sum(kind => kind.Held)}</td><td>{Text(words)}</td></tr>\n");
        }

        page.Append("</tbody></table></div>\n");
    }

    // What fails comes first.
    private static void WriteRows(StringBuilder page, PropertyResult[] rows, string caption)
    {
        page.Append(CultureInfo.InvariantCulture, $"<div class=\"rows\"><table><caption>{Text(caption)}</caption><thead><tr><th scope=\"col\">property</th><th scope=\"col\">outcome</th><th scope=\"col\">cases</th><th scope=\"col\">smallest counterexample</th></tr></thead><tbody>\n");
        foreach (PropertyResult row in rows.OrderBy(row => row.IsBad ? 0 : row.Outcome is Outcome.Lacks ? 1 : row.Outcome is Outcome.Unsupported ? 3 : 2))
        {
            string found = string.Concat(row.Counterexample.Select(example => $"<code>{Text(example.Case)}</code><br>{Text(example.Reason)}"));
            if (row.Outcome is Outcome.Unsupported)
                found = Text(string.Join(", ", row.Unsupported.Keys));
            page.Append(CultureInfo.InvariantCulture, $"<tr><th scope=\"row\">{Text(row.Name)}<br><span class=\"quiet small\">{Text(row.Statement)} ({Text(row.Region)})</span></th>");
            page.Append(CultureInfo.InvariantCulture, $"<td class=\"word {Look(row.Outcome)}\">{Word(row.Outcome)}</td><td data-label=\"cases\">{row.Cases}</td><td>{found}</td></tr>\n");
        }

        page.Append("</tbody></table></div>\n");
    }

    private static void WriteUnsupported(StringBuilder page, PropertyResult[] rows)
    {
        var reasons = rows.SelectMany(row => row.Unsupported).GroupBy(pair => pair.Key, pair => pair.Value).OrderByDescending(reason => reason.Sum()).ToList();
        if (reasons.Count == 0)
            return;
        page.Append("<h3>Not asked</h3>\n<table class=\"levels\"><caption>Random cases that had to be changed or left out, by what the declaration rules out; those by suite: were left out by s2attn itself. A case may count more than once. Nothing of this speaks against the port.</caption><thead><tr><th scope=\"col\">reason</th><th scope=\"col\">cases</th></tr></thead><tbody>\n");
        foreach (var reason in reasons)
            page.Append(CultureInfo.InvariantCulture, $"<tr><th scope=\"row\">{Text(reason.Key)}</th><td>{reason.Sum()}</td></tr>\n");
        page.Append("</tbody></table>\n");
    }

    private static void WriteVariants(StringBuilder page, Report report)
    {
        if (report.Variants.IsEmpty)
            return;
        page.Append("<h2>Known deviations of other code</h2>\n<div class=\"rows\"><table><caption>What the suite sees of them.</caption><thead><tr><th scope=\"col\">deviation</th><th scope=\"col\">caught by</th><th scope=\"col\">example</th></tr></thead><tbody>\n");
        foreach (ReportVariant variant in report.Variants)
            page.Append(CultureInfo.InvariantCulture, $"<tr><th scope=\"row\">{Text(variant.Name)}<br><span class=\"quiet small\">{Text(variant.Difference)}</span></th><td data-label=\"caught by\">{(variant.CaughtBy.IsEmpty ? "nothing that was run" : Text(string.Join(", ", variant.CaughtBy)))}</td><td>{string.Concat(variant.Example.Select(example => $"<code>{Text(example.Case)}</code><br>{Text(example.Reason)}"))}</td></tr>\n");
        page.Append("</tbody></table></div>\n");
    }

    private static (string Words, string Look) Verdict(Report report) =>
        (ReportWords.Verdict(report), report.Conforms ? "good" : report.Complete ? "bad" : "care");

    private static string Look(Outcome outcome) => outcome switch
    {
        Outcome.Holds => "good",
        Outcome.Fails or Outcome.PortFailed => "bad",
        _ => "care",
    };

    private static string Word(Outcome outcome) => outcome switch
    {
        Outcome.PortFailed => "port failed",
        Outcome.Lacks => "lacks level 6",
        Outcome.Unsupported => "not asked",
        _ => JsonReport.Word(outcome),
    };

    private static string Quoted(string text) => $"'{text.Replace("'", "'\\''", StringComparison.Ordinal)}'";

    private static string Text(string text) => MarkupText.Escape(text);
}
