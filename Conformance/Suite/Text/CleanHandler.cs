// How does a sentence that holds foreign text become safe without its author thinking of it?
using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;

namespace S2Attn.Conformance.Text;

/// <summary>
/// An interpolated string whose literal parts are the program's own and whose holes are foreign: each hole is cleaned by <see cref="ForeignText.Block"/>, or
/// as one line where its format is "line". Numbers are written in the invariant culture.
/// </summary>
[InterpolatedStringHandler]
public readonly ref struct CleanHandler
{
    private readonly StringBuilder text;

    /// <summary>Called by the compiler.</summary>
    public CleanHandler(int literalLength, int formattedCount) => text = new(literalLength + 16 * formattedCount);

    /// <summary>A part that stands in the source.</summary>
    public void AppendLiteral(string literal) => text.Append(literal);

    /// <summary>A hole.</summary>
    public void AppendFormatted<T>(T value, string? format = null) => AppendFormatted(value, 0, format);

    /// <summary>A hole of a width, negative for one whose text begins at its left.</summary>
    public void AppendFormatted<T>(T value, int alignment, string? format = null)
    {
        string shown = format == "line"
            ? ForeignText.Line(ForeignText.TextLimit, Shown(value, null))
            : ForeignText.Block(Shown(value, format));
        text.Append(alignment < 0 ? shown.PadRight(-alignment) : shown.PadLeft(alignment));
    }

    /// <summary>The whole text.</summary>
    public override string ToString() => text.ToString();

    private static string Shown<T>(T value, string? format) =>
        (value is IFormattable formattable ? formattable.ToString(format, CultureInfo.InvariantCulture) : value?.ToString()) ?? "";
}
