// Which levels did a port earn, by which suite, and when? As a badge for a README.
using System.Collections.Immutable;
using System.Globalization;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Text;
using S2Attn.Conformance.Xray;

namespace S2Attn.Conformance.Reports;

/// <summary>An SVG with two fields, as "S2-Attn" and "levels 1-5 | 0.1.0 | 2026-11-24".</summary>
public static class Badge
{
    private const string Label = "S2-Attn", Green = "#1a7f37", Red = "#b3261e", Grey = "#57606a", LabelColour = "#24292f";
    private const int Height = 20, Margin = 6, TitleLimit = 80;

    // The text is fitted to this width for each sign, whatever font the reader has.
    private const double SignWidth = 6.3;

    /// <summary>The badge of the only port of a run.</summary>
    /// <param name="report">The run.</param>
    /// <param name="date">The day of the run.</param>
    /// <exception cref="ArgumentException">The run has no port, or several.</exception>
    public static string Write(Report report, DateOnly date)
    {
        ArgumentNullException.ThrowIfNull(report);
        if (report.Ports is not [ReportPort port])
            throw new ArgumentException($"A badge is of one port, and the run has {report.Ports.Length}.", nameof(report));
        (string verdict, string colour) = Verdict(report, port.Earned);
        string text = $"{verdict} | {report.Tool.Split(' ')[^1]} | {date.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture)}";
        string title = MarkupText.Escape($"{Label} conformance of {ForeignText.Line(TitleLimit, port.Description.Name)}: {text}");
        int left = Width(Label), right = Width(text);
        return string.Create(CultureInfo.InvariantCulture, $"""
            <svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="{Height}" viewBox="0 0 {left + right} {Height}" role="img" aria-label="{title}">
            <title>{title}</title>
            <rect width="{left}" height="{Height}" fill="{LabelColour}"/>
            <rect x="{left}" width="{right}" height="{Height}" fill="{colour}"/>
            <g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">
            <text x="{Margin}" y="14" textLength="{left - 2 * Margin}" lengthAdjust="spacingAndGlyphs">{Label}</text>
            <text x="{left + Margin}" y="14" textLength="{right - 2 * Margin}" lengthAdjust="spacingAndGlyphs">{MarkupText.Escape(text)}</text>
            </g>
            </svg>

            """);
    }

    /// <summary>"level 1", "levels 1-3, 5".</summary>
    internal static string Levels(ImmutableArray<PortLevel> earned) =>
        Ranges.Of("level", earned.Select(level => (int)level)).Replace("..", "-", StringComparison.Ordinal);

    // A part of the properties proves no level.
    private static (string Verdict, string Colour) Verdict(Report report, ImmutableArray<PortLevel> earned) =>
        !report.Complete ? ("stopped", Grey)
        : report.Results.Any(result => result.IsBad) ? ("does not conform", Red)
        : report.Filter.Length > 0 ? ("checked in part", Grey)
        : !report.Conforms || earned.IsEmpty ? ("no level earned", Grey)
        : (Levels(earned), Green);

    private static int Width(string text) => (int)Math.Ceiling(text.Length * SignWidth) + 2 * Margin;
}
