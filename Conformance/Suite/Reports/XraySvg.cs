// How does an X-ray look as one picture, to stand in a README or an issue?
using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using S2Attn.Conformance.Xray;

namespace S2Attn.Conformance.Reports;

/// <summary>
/// What a port sees beside what the definition sees, as an SVG of its own: the size that was asked for, every set of heads that looks the same, the legend, and what was found
/// in words. Its colours follow the reader's theme.
/// </summary>
public static class XraySvg
{
    private const int Width = 720, Side = 300, Margin = 24, Line = 20, LettersOfLine = 96, LongestDrawing = 160, MostHeads = 4;

    /// <summary>The picture.</summary>
    /// <exception cref="FormatException">There are too many tokens to draw.</exception>
    public static string Write(XrayReport report)
    {
        ArgumentNullException.ThrowIfNull(report);
        XrayPicture picture = report.Pictures[0];
        int tokens = picture.Probe.Config.Tokens;
        if (tokens > LongestDrawing)
            throw new FormatException($"{tokens} tokens are too many to draw; at most {LongestDrawing} are");
        StringBuilder page = new();
        int y = Margin;
        Text(page, "quiet", Margin, ref y, picture.Probe.ToString());
        ImmutableArray<HeadPicture> heads = HeadPicture.Of(picture);
        foreach (HeadPicture head in heads.OrderBy(head => head.IsRight).Take(MostHeads))
        {
            string entry = head.Entries.Length < picture.Probe.Config.Batch ? $"batch entry {Ranges.Of(head.Entries)}, " : "";
            string title = $"{entry}{Ranges.Of("head", head.Heads)}, shift {head.Shift}";
            int id = y, right = Width - Margin - Side;
            y += Line / 2;
            page.Append(CultureInfo.InvariantCulture, $"<text class=\"bold\" x=\"{right}\" y=\"{y}\">the definition</text>");
            Text(page, head.IsRight ? "bold good" : "bold bad", Margin, ref y, $"the port: {title}{(head.IsRight ? "" : ", differs")}");
            y -= Line / 2;
            Square(page, Margin, y, HtmlMask.Port(head, picture.Probe.Config.GroupSize, $"p{id}", $"What the port sees: {title}"));
            Square(page, right, y, HtmlMask.Definition(head, picture.Probe.Config.GroupSize, $"d{id}", $"What the definition sees: {title}"));
            y += Side + Line + Line / 2;
        }

        if (heads.Length > MostHeads)
            Text(page, "quiet", Margin, ref y, $"and {heads.Length - MostHeads} more");
        int x = Margin;
        foreach ((string kind, string words, _) in HtmlMask.Kinds.Where(kind => heads.Any(head => head.Rows.Any(row => row.Any(kind.Has)))))
        {
            page.Append(CultureInfo.InvariantCulture, $"<rect class=\"{kind}\" x=\"{x}\" y=\"{y - 11}\" width=\"12\" height=\"12\"/><text x=\"{x + 17}\" y=\"{y}\">{words}</text>");
            x += 27 + (words.Length * 7);
        }

        y += Line;
        Text(page, "quiet", Margin, ref y, "A row is a query, a column a key; dotted lines are the borders of groups.");
        y += Line / 2;
        foreach (string sentence in picture.Words.Concat(report.Verdict))
            foreach (string line in Wrapped(sentence))
                Text(page, "", Margin, ref y, line);
        return $$"""
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {{Width}} {{y}}" width="{{Width}}" height="{{y}}" role="img" aria-label="What a port sees beside what the definition sees">
            <style>svg{ {{HtmlStyle.Light}};font:13px system-ui,sans-serif}@media(prefers-color-scheme:dark){svg{ {{HtmlStyle.Dark}} } }text{fill:var(--text)}.page{fill:var(--page)}.bold{font-weight:600}.quiet{fill:var(--quiet)}.good{fill:var(--good)}.bad{fill:var(--bad)}.mask{shape-rendering:crispEdges}.paper{fill:var(--card)}{{HtmlStyle.Cells}}</style>
            <rect class="page" width="{{Width}}" height="{{y}}"/>
            {{page}}
            </svg>

            """.ReplaceLineEndings("\n");
    }

    private static void Square(StringBuilder page, int x, int y, string mask) =>
        page.Append(CultureInfo.InvariantCulture, $"<svg x=\"{x}\" y=\"{y}\" width=\"{Side}\" height=\"{Side}\">{mask}</svg>\n");

    private static void Text(StringBuilder page, string kind, int x, ref int y, string text)
    {
        page.Append(CultureInfo.InvariantCulture, $"<text class=\"{kind}\" x=\"{x}\" y=\"{y}\">{MarkupText.Escape(text)}</text>\n");
        y += Line;
    }

    private static IEnumerable<string> Wrapped(string sentence)
    {
        StringBuilder line = new();
        foreach (string word in sentence.Split(' '))
        {
            if (line.Length > 0 && line.Length + 1 + word.Length > LettersOfLine)
            {
                yield return line.ToString();
                line.Clear();
            }

            line.Append(line.Length > 0 ? " " : "").Append(word);
        }

        yield return line.ToString();
    }
}
