// A report in the JUnit XML form that CI systems show.
using System.Globalization;
using System.Text;
using System.Xml;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Running;

namespace S2Attn.Conformance.Reports;

/// <summary>One suite for each subject, one test for each row.</summary>
public static class JUnitReport
{
    /// <summary>The report as text.</summary>
    public static string Write(Report report)
    {
        ArgumentNullException.ThrowIfNull(report);
        StringBuilder text = new();
        using (XmlWriter xml = XmlWriter.Create(text, new XmlWriterSettings { Indent = true, NewLineChars = "\n", OmitXmlDeclaration = true, CheckCharacters = false }))
        {
            xml.WriteStartElement("testsuites");
            xml.WriteAttributeString("name", "s2attn");
            xml.WriteAttributeString("time", Seconds(report.Elapsed));
            foreach (IGrouping<string, PropertyResult> suite in report.Results.GroupBy(result => result.Subject))
                WriteSuite(xml, report, suite);
            xml.WriteEndElement();
        }

        return text.Append('\n').ToString();
    }

    private static void WriteSuite(XmlWriter xml, Report report, IGrouping<string, PropertyResult> suite)
    {
        PropertyResult[] rows = [.. suite];
        xml.WriteStartElement("testsuite");
        xml.WriteAttributeString("name", MarkupText.Clean(suite.Key));
        xml.WriteAttributeString("tests", Count(rows.Length));
        xml.WriteAttributeString("failures", Count(rows.Count(row => row.Outcome is Outcome.Fails)));
        xml.WriteAttributeString("errors", Count(rows.Count(row => row.Outcome is Outcome.PortFailed)));
        xml.WriteAttributeString("skipped", Count(rows.Count(row => row.Outcome is Outcome.Unsupported or Outcome.Lacks or Outcome.Interrupted)));
        xml.WriteAttributeString("time", Seconds(TimeSpan.FromTicks(rows.Sum(row => row.Elapsed.Ticks))));
        xml.WriteStartElement("properties");
        (string, string)[] levels =
        [
            .. report.Ports.Where(port => port.Subject == suite.Key).SelectMany(port => port.Levels).Select(level => (
                FormattableString.Invariant($"level.{(int)level.Level}"),
                $"{level.Level.Title()}: {ReportWords.Standing(level.Standing)}; {(level.Standing is LevelStanding.Earned ? level.EvidenceWords : level.Reason)}")),
        ];
        foreach ((string name, string value) in levels.Prepend(("complete", report.Complete ? "true" : "false")).Prepend(("cases", Count(report.Cases))).Prepend(("seed", Count(report.Seed))))
        {
            xml.WriteStartElement("property");
            xml.WriteAttributeString("name", name);
            xml.WriteAttributeString("value", value);
            xml.WriteEndElement();
        }

        xml.WriteEndElement();
        foreach (PropertyResult row in rows)
            WriteRow(xml, row);
        xml.WriteEndElement();
    }

    private static void WriteRow(XmlWriter xml, PropertyResult row)
    {
        xml.WriteStartElement("testcase");
        xml.WriteAttributeString("classname", MarkupText.Clean(row.Subject));
        xml.WriteAttributeString("name", row.Name);
        xml.WriteAttributeString("time", Seconds(row.Elapsed));
        switch (row.Outcome)
        {
            case Outcome.Fails or Outcome.PortFailed:
                xml.WriteStartElement(row.Outcome is Outcome.Fails ? "failure" : "error");
                xml.WriteAttributeString("message", MarkupText.Clean(row.Counterexample[0].Reason));
                xml.WriteString(MarkupText.Clean($"{row.Statement} ({row.Region})\nsmallest case: {row.Counterexample[0].Case}\n{row.Counterexample[0].Reason}"));
                xml.WriteEndElement();
                break;
            case Outcome.Lacks:
                xml.WriteStartElement("skipped");
                xml.WriteAttributeString("message", MarkupText.Clean($"level 6 isolation is missing, which the port does not claim: {row.Counterexample[0].Case}: {row.Counterexample[0].Reason}"));
                xml.WriteEndElement();
                break;
            case Outcome.Unsupported or Outcome.Interrupted:
                xml.WriteStartElement("skipped");
                xml.WriteAttributeString("message", MarkupText.Clean(row.Outcome is Outcome.Interrupted ? "interrupted" : string.Join(", ", row.Unsupported.Keys)));
                xml.WriteEndElement();
                break;
        }

        xml.WriteEndElement();
    }

    private static string Count(int number) => number.ToString(CultureInfo.InvariantCulture);

    private static string Seconds(TimeSpan time) => time.TotalSeconds.ToString("0.000", CultureInfo.InvariantCulture);
}
