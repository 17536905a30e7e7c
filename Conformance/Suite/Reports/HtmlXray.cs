// Which masks of a port are drawn in the HTML report, and what stands beside them?
using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using S2Attn.Conformance.Xray;

namespace S2Attn.Conformance.Reports;

/// <summary>The X-ray of a port as figures: what it sees beside what the definition sees.</summary>
internal static class HtmlXray
{
    // What is longer is told in words alone: its cells would be smaller than a dot.
    private const int LongestDrawing = 160;

    /// <summary>Writes the X-ray that a port's diagnosis rests on, or its portrait; nothing where there is neither.</summary>
    public static void Write(StringBuilder page, ReportPort port, string id)
    {
        foreach (XrayReport report in port.Diagnosis.SelectMany(diagnosis => diagnosis.Report).Concat(port.Portrait).Take(1))
        {
            page.Append("<h3>Which keys each query sees</h3>\n");
            if (report.IsDefinition)
                page.Append(CultureInfo.InvariantCulture, $"<p>{string.Join(' ', report.Verdict.Select(MarkupText.Escape))}</p>\n");
            WriteLegend(page);
            XrayPicture[] shown = [.. Shown(report)];
            for (int i = 0; i < shown.Length; i++)
            {
                page.Append(CultureInfo.InvariantCulture, $"<details{(i == 0 ? " open" : "")}><summary>{MarkupText.Escape(shown[i].Probe.ToString())}</summary>\n");
                WritePicture(page, shown[i], $"{id}x{i}");
                page.Append("</details>\n");
            }
        }
    }

    // The size that was asked for, what differs, and of a right port every mask once.
    private static IEnumerable<XrayPicture> Shown(XrayReport report) =>
        report.IsDefinition
            ? report.Pictures.Where(picture => picture.Probe.Config.Tokens <= LongestDrawing).DistinctBy(picture => picture.Probe.Config.Mask)
            : report.Pictures.Where((picture, i) => i == 0 || !picture.Words.IsEmpty).OrderBy(picture => picture.Words.IsEmpty);

    private static void WritePicture(StringBuilder page, XrayPicture picture, string id)
    {
        if (!picture.Words.IsEmpty)
            page.Append(CultureInfo.InvariantCulture, $"<ul class=\"small\">{string.Concat(picture.Words.Select(words => $"<li>{MarkupText.Escape(words)}</li>"))}</ul>\n");
        if (picture.Probe.Config.Tokens > LongestDrawing)
        {
            page.Append(CultureInfo.InvariantCulture, $"<p class=\"small\">{picture.Probe.Config.Tokens} tokens are too many to draw.</p>\n");
            return;
        }

        page.Append("<div class=\"pairs\">\n");
        ImmutableArray<HeadPicture> heads = HeadPicture.Of(picture);
        for (int i = 0; i < heads.Length; i++)
        {
            HeadPicture head = heads[i];
            string entry = head.Entries.Length < picture.Probe.Config.Batch ? $"batch entry {Ranges.Of(head.Entries)}, " : "";
            string title = $"{entry}{Ranges.Of("head", head.Heads)}, shift {head.Shift}";
            page.Append(CultureInfo.InvariantCulture, $"<figure><figcaption>{title}: <span class=\"word {(head.IsRight ? "good\">as the definition" : "bad\">differs")}</span></figcaption><div class=\"pair\">");
            page.Append(CultureInfo.InvariantCulture, $"<div><span class=\"quiet small\">port</span>{HtmlMask.Port(head, picture.Probe.Config.GroupSize, $"{id}h{i}p", $"What the port sees: {title}")}</div>");
            page.Append(CultureInfo.InvariantCulture, $"<div><span class=\"quiet small\">definition</span>{HtmlMask.Definition(head, picture.Probe.Config.GroupSize, $"{id}h{i}d", $"What the definition sees: {title}")}</div></div></figure>\n");
        }

        page.Append("</div>\n");
    }

    private static void WriteLegend(StringBuilder page)
    {
        page.Append("<p class=\"small quiet\">A row is a query, a column a key, both counted from the upper left; dotted lines are the borders of groups.</p>\n<ul class=\"legend\">");
        foreach ((string kind, string words, _) in HtmlMask.Kinds)
            page.Append(CultureInfo.InvariantCulture, $"<li><svg viewBox=\"0 0 1 1\" aria-hidden=\"true\"><rect class=\"{kind}\" width=\"1\" height=\"1\"/></svg>{words}</li>");
        page.Append("</ul>\n");
    }
}
