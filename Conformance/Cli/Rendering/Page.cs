// How is text fitted to the width of a terminal?
using System.Globalization;
using S2Attn.Conformance.Text;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace S2Attn.Cli.Rendering;

/// <summary>Writes paragraphs of at most <see cref="Width"/> columns; the second and later lines of one stand further right.</summary>
internal static class Page
{
    private const int Widest = 100, Narrowest = 40, Hang = 2;

    /// <summary>The terminal's columns, or $COLUMNS where the output goes into a file or pipe; from 40 to 100.</summary>
    public static int Width => Math.Clamp(Columns(), Narrowest, Widest);

    /// <summary>A line as a terminal shows it: where it is longer than one, in several, the later ones two columns further right than the first.</summary>
    public static IEnumerable<string> Wrapped(string line)
    {
        int indent = line.Length - line.TrimStart(' ').Length, width = Math.Max(Narrowest, System.Console.WindowWidth);
        return line.Length <= width ? [line] : Lines(line[..indent], line, width, indent + Hang);
    }

    /// <summary>Writes an empty line.</summary>
    public static void Gap() => Console.WriteLine();

    /// <summary>Writes one paragraph.</summary>
    /// <param name="text">Its words.</param>
    /// <param name="indent">Columns left free before its first line; its later lines have two more.</param>
    public static void Write(string text, int indent = 0) => Write(new string(' ', indent), text, indent + Hang);

    /// <summary>Writes a name in a column of its own and a paragraph beside it, or below it where there is no room.</summary>
    /// <param name="name">The name.</param>
    /// <param name="text">The paragraph.</param>
    /// <param name="indent">Columns left free before the name.</param>
    /// <param name="column">Where the paragraph begins.</param>
    public static void Write(string name, string text, int indent, int column)
    {
        if (column <= Width / 2)
        {
            Write((new string(' ', indent) + name).PadRight(column - 1) + " ", text, column);
            return;
        }

        Write(name, indent);
        Write(new string(' ', indent + Hang), text, indent + Hang);
    }

    /// <summary>Writes a table; where a word of it would be cut, a paragraph for each row instead, which names every column but the first.</summary>
    /// <param name="table">The table.</param>
    public static void Write(Table table)
    {
        IAnsiConsole console = AnsiConsole.Console;
        RenderOptions options = RenderOptions.Create(console, console.Profile.Capabilities);
        HashSet<string> drawn = [.. Words(Plain(table, console.Profile.Width))];
        if (table.Rows.SelectMany(row => row).SelectMany(cell => Words(Plain(cell, int.MaxValue))).All(drawn.Contains))
        {
            console.Write(table);
            return;
        }

        string[] names = [.. table.Columns.Select(column => Plain(column.Header, int.MaxValue))];
        foreach (string[] cells in table.Rows.Select(row => row.Select(cell => Plain(cell, int.MaxValue)).ToArray()))
            Write($"{cells[0]}: {string.Join("; ", names.Zip(cells).Skip(1).Select(cell => $"{cell.First} {cell.Second}"))}");

        string Plain(IRenderable item, int width) => string.Concat(item.Render(options, width).Select(segment => segment.IsLineBreak ? " " : segment.Text)).Trim();

        static string[] Words(string text) => text.Split(' ', StringSplitOptions.RemoveEmptyEntries);
    }

    /// <summary>The lines of a paragraph. A word that is too long for a line stands alone in one and runs over: cut, it could not be copied.</summary>
    /// <param name="lead">What stands before its first word.</param>
    /// <param name="text">Its words.</param>
    /// <param name="width">The longest line of several words.</param>
    /// <param name="hang">Columns left free before its later lines.</param>
    public static IEnumerable<string> Lines(string lead, string text, int width, int hang)
    {
        string line = lead, next = new(' ', hang);
        bool empty = true;
        foreach (string word in text.Split(' ', StringSplitOptions.RemoveEmptyEntries))
        {
            if (line.Length + (empty ? 0 : 1) + word.Length > width && !string.IsNullOrWhiteSpace(line))
            {
                yield return line.TrimEnd();
                (line, empty) = (next, true);
            }

            line += empty ? word : " " + word;
            empty = false;
        }

        yield return line;
    }

    private static void Write(string lead, string text, int hang)
    {
        foreach (string line in Lines(ForeignText.Line(int.MaxValue, lead), ForeignText.Line(int.MaxValue, text), Width, hang))
            Console.WriteLine(line);
    }

    private static int Columns() =>
        !Console.IsOutputRedirected ? System.Console.WindowWidth
        : int.TryParse(Environment.GetEnvironmentVariable("COLUMNS"), NumberStyles.None, CultureInfo.InvariantCulture, out int columns) ? columns
        : Widest;
}
