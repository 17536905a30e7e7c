// How does an X-ray show on a terminal?
using System.Globalization;
using S2Attn.Conformance.Xray;
using Spectre.Console;

namespace S2Attn.Cli.Rendering;

/// <summary>Draws the matrices of a port beside the definition's.</summary>
internal static class XrayView
{
    private const int WidestDrawing = 64, Between = 4, RedirectedWidth = 200;

    /// <summary>The verdict, then the size that was asked for and each that differs.</summary>
    public static void Show(XrayReport report)
    {
        if (Console.IsOutputRedirected)
            AnsiConsole.Profile.Width = RedirectedWidth;
        foreach (XrayPicture picture in report.Pictures.Where((picture, i) => i == 0 || !picture.Words.IsEmpty))
            Show(report, picture);
        foreach (string sentence in report.Verdict)
            AnsiConsole.Write(new Text(sentence + "\n", new Style(report.IsDefinition ? Color.Green : Color.Red)));
        AnsiConsole.WriteLine(string.Create(CultureInfo.InvariantCulture, $"({report.Calls} calls at {report.Pictures.Length} sizes)"));
    }

    private static void Show(XrayReport report, XrayPicture picture)
    {
        AnsiConsole.Write(new Rule(Markup.Escape(picture.Probe.ToString())).LeftJustified());
        foreach (HeadPicture head in HeadPicture.Of(picture).Where(head => report.IsDefinition || !head.IsRight || picture.Words.IsEmpty || picture == report.Pictures[0]))
            Draw(picture.Probe, head);
        if (picture.Words.IsEmpty)
            AnsiConsole.WriteLine("Rows see the keys, queries and kv heads of the definition.");
        foreach (string sentence in picture.Words)
            AnsiConsole.Write(new Text($"- {sentence}\n"));
        AnsiConsole.WriteLine();
    }

    private static void Draw(XrayProbe probe, HeadPicture head)
    {
        string title = $"{(head.Entries.Length < probe.Config.Batch ? $"batch entry {Ranges.Of(head.Entries)}, " : "")}{Name(head)}, shift {head.Shift}";
        int room = Math.Min(WidestDrawing, (AnsiConsole.Profile.Width - Between) / 2);
        if (probe.Config.Tokens > room)
        {
            AnsiConsole.WriteLine($"{title}: {(head.IsRight ? "as the definition" : "differs")} ({probe.Config.Tokens} tokens are too many to draw)");
            return;
        }

        int wide = 2 * probe.Config.Tokens <= room ? 2 : 1;
        Grid grid = new Grid().AddColumns(2);
        grid.AddRow(new Text($"port: {title}", new Style(decoration: Decoration.Bold)), new Text("definition"));
        grid.AddRow(
            new Markup(string.Join('\n', head.Rows.Select(row => string.Concat(row.Select(cell => Sign(cell, wide)))))),
            new Markup(string.Join('\n', head.Rows.Select(row => string.Concat(row.Select(cell => Sign(new(cell.Right, cell.Right, false), wide)))))));
        AnsiConsole.Write(grid);
        if (!head.IsRight)
            AnsiConsole.MarkupLine("[red]▓[/] seen, and should not be   [yellow]░[/] not seen, and should be   [magenta]▒[/] of a wrong kv head   (row t, column u)");
        AnsiConsole.WriteLine();
    }

    private static string Name(HeadPicture head) => head.Heads.Length == 1 ? $"head {head.Heads[0]}" : $"heads {string.Join(", ", head.Heads)}";

    private static string Sign(Cell cell, int wide) => cell switch
    {
        { Foreign: true } => $"[magenta]{new string('▒', wide)}[/]",
        { Seen: true, Right: true } => new string('█', wide),
        { Seen: true } => $"[red]{new string('▓', wide)}[/]",
        { Right: true } => $"[yellow]{new string('░', wide)}[/]",
        _ => $"[grey]·[/]{new string(' ', wide - 1)}",
    };
}
