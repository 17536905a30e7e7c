// How is text that somebody else chose shown, so that it can be read and can forge nothing?
using System.Globalization;
using System.Text;

namespace S2Attn.Conformance.Text;

/// <summary>
/// The one place that cleans and shortens what comes from outside (a port's name, its errors, names of tensors, cases and files) on its way to a terminal,
/// HTML, Markdown, XML, Python or SVG. What a reader could not see, or what would change how the text around it is read, becomes U+FFFD: control
/// characters and with them every escape sequence, marks that turn the direction of writing, lone surrogates, noncharacters. Everything else stays, emoji too.
/// </summary>
public static class ForeignText
{
    /// <summary>The longest name, in signs (Unicode scalar values).</summary>
    public const int NameLimit = 120;

    /// <summary>The longest text of any other kind, in signs: more than the end of stderr that is kept for messages.</summary>
    public const int TextLimit = 6000;

    private const char Replacement = '\uFFFD';

    /// <summary>What continues a text of several lines on a terminal: no verdict begins like this.</summary>
    private const string Continuation = "\n  | ";

    /// <summary>A text of one line: each line end or tab is a space.</summary>
    /// <param name="limit">The most signs that are kept; what is left out is told by its number.</param>
    /// <param name="text">The text.</param>
    public static string Line(int limit, string text) => Clean(limit, text, (builder, end) => builder.Append(' '));

    /// <summary>A name: one line of at most <see cref="NameLimit"/> signs.</summary>
    public static string Name(string text) => Line(NameLimit, text);

    /// <summary>A text that may have several lines, for places where lines mean nothing: an element of XML, a paragraph of HTML.</summary>
    public static string Lines(string text) => Clean(TextLimit, text, (builder, end) => builder.Append(end));

    /// <summary>A text that may have several lines, for a terminal or a log: those after the first are marked as continuing it.</summary>
    public static string Block(string text) => Clean(TextLimit, text, (builder, end) => _ = end == '\n' ? builder.Append(Continuation) : builder.Append(' '));

    /// <summary>A text of several lines that this program composed, without what a terminal would obey.</summary>
    public static string Document(string text) => Clean(int.MaxValue, text, (builder, end) => builder.Append(end));

    private static string Clean(int limit, string text, Action<StringBuilder, char> breakLine)
    {
        ArgumentNullException.ThrowIfNull(text);
        StringBuilder clean = new(Math.Min(text.Length, limit) + 16);
        int kept = 0, at = 0;

        // A lone surrogate is enumerated as U+FFFD.
        foreach (Rune rune in text.EnumerateRunes())
        {
            if (kept++ == limit)
                return clean.Append(CultureInfo.InvariantCulture, $"... ({text.Length - at} more)").ToString();
            at += rune.Utf16SequenceLength;
            if (rune.Value is '\n' or '\t')
                breakLine(clean, (char)rune.Value);
            else if (IsHarmful(rune.Value))
                clean.Append(Replacement);
            else
                clean.Append(rune);
        }

        return clean.ToString();
    }

    private static bool IsHarmful(int sign) => sign
        is < 0x20 or (>= 0x7F and <= 0x9F) // C0 and C1: escape sequences begin with one of these
        or 0x061C or 0x200E or 0x200F or (>= 0x202A and <= 0x202E) or (>= 0x2066 and <= 0x206F) // direction
        or 0x2028 or 0x2029 or 0xFEFF or (>= 0xFFF9 and <= 0xFFFB) // line ends of Unicode, byte order marks, annotations
        || (sign & 0xFFFE) == 0xFFFE || sign is >= 0xFDD0 and <= 0xFDEF; // noncharacters
}
