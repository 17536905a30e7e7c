// How does a visibility matrix look as an inline SVG?
using System.Globalization;
using System.Text;
using S2Attn.Conformance.Xray;

namespace S2Attn.Conformance.Reports;

/// <summary>Draws matrices of cells: a square for each pair of a query (row) and a key (column), and one path for each kind of cell.</summary>
internal static class HtmlMask
{
    /// <summary>The kinds of cell that are drawn: class, words, and which cells.</summary>
    public static IReadOnlyList<(string Class, string Words, Func<Cell, bool> Has)> Kinds { get; } =
    [
        ("hit", "seen, as it should be", cell => cell is { Seen: true, Right: true, Foreign: false }),
        ("extra", "seen, and should not be", cell => cell is { Seen: true, Right: false, Foreign: false }),
        ("missing", "not seen, and should be", cell => cell is { Seen: false, Right: true }),
        ("foreign", "seen in a wrong kv head", cell => cell.Foreign),
    ];

    /// <summary>The matrix that the port shows.</summary>
    /// <param name="picture">The matrix.</param>
    /// <param name="groupSize">G, for the lines between groups.</param>
    /// <param name="id">What the ids of its title and description begin with.</param>
    /// <param name="title">Its title.</param>
    public static string Port(HeadPicture picture, int groupSize, string id, string title) => Svg(picture, groupSize, cell => cell, id, title);

    /// <summary>The matrix that the definition asks for.</summary>
    public static string Definition(HeadPicture picture, int groupSize, string id, string title) =>
        Svg(picture, groupSize, cell => new(cell.Right, cell.Right, false), id, title);

    private static string Svg(HeadPicture picture, int groupSize, Func<Cell, Cell> shown, string id, string title)
    {
        int tokens = picture.Rows.Length;
        StringBuilder paths = new(), counts = new();
        foreach ((string kind, string words, Func<Cell, bool> has) in Kinds)
        {
            int count = picture.Rows.Sum(row => row.Count(cell => has(shown(cell))));
            if (count == 0)
                continue;
            paths.Append(CultureInfo.InvariantCulture, $"<path class=\"{kind}\" d=\"{Runs(picture, cell => has(shown(cell)))}\"/>");
            counts.Append(CultureInfo.InvariantCulture, $"{(counts.Length > 0 ? ", " : "")}{count} {words}");
        }

        string borders = string.Concat(Borders(tokens, groupSize, picture.Shift).Select(at => $"M{at} 0V{tokens}M0 {at}H{tokens}"));
        return $"""
            <svg class="mask" viewBox="0 0 {tokens} {tokens}" role="img" aria-labelledby="{id}t {id}d"><title id="{id}t">{MarkupText.Escape(title)}</title><desc id="{id}d">{tokens} queries (rows) by {tokens} keys (columns); pairs: {(counts.Length > 0 ? counts : "none seen")}.</desc><rect class="paper" width="{tokens}" height="{tokens}"/>{paths}<path class="border" d="{borders}"/></svg>
            """;
    }

    // Neighbours in a row are one rectangle.
    private static string Runs(HeadPicture picture, Func<Cell, bool> has)
    {
        StringBuilder path = new();
        for (int t = 0; t < picture.Rows.Length; t++)
            for (int u = 0; u < picture.Rows[t].Length; u++)
            {
                int begin = u;
                while (u < picture.Rows[t].Length && has(picture.Rows[t][u]))
                    u++;
                if (u > begin)
                    path.Append(CultureInfo.InvariantCulture, $"M{begin} {t}h{u - begin}v1h-{u - begin}z");
            }

        return path.ToString();
    }

    // Token boundaries of the groups: position p holds token (p + S) mod N.
    private static IEnumerable<int> Borders(int tokens, int groupSize, int shift) =>
        Enumerable.Range(1, tokens - 1).Where(token => (token - shift) % groupSize == 0);
}
