// How is text fitted to the width of a terminal?
using System.Globalization;
using S2Attn.Conformance.Text;

namespace S2Attn.Cli.Rendering;

/// <summary>Writes paragraphs of at most <see cref="Width"/> columns; the second and later lines of one stand further right.</summary>
internal static class Page
{
    private const int Widest = 100, Narrowest = 40, Hang = 2;

    /// <summary>The terminal's columns, or $COLUMNS where the output goes into a file or pipe; from 40 to 100.</summary>
    public static int Width => Math.Clamp(Columns(), Narrowest, Widest);

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

    /// <summary>The lines of a paragraph. A word that is too long for a line is cut.</summary>
    /// <param name="lead">What stands before its first word.</param>
    /// <param name="text">Its words.</param>
    /// <param name="width">The longest line.</param>
    /// <param name="hang">Columns left free before its later lines.</param>
    public static IEnumerable<string> Lines(string lead, string text, int width, int hang)
    {
        string line = lead, next = new(' ', hang);
        bool empty = true;
        foreach (string word in text.Split(' ', StringSplitOptions.RemoveEmptyEntries))
        {
            if (!empty && line.Length + 1 + word.Length > width)
            {
                yield return line;
                (line, empty) = (next, true);
            }

            string rest = word;
            for (; empty && line.Length + rest.Length > width; line = next)
            {
                int room = Math.Clamp(width - line.Length, 1, rest.Length);
                yield return line + rest[..room];
                rest = rest[room..];
            }

            line += empty ? rest : " " + rest;
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
