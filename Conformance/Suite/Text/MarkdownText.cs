// How does foreign text stand in Markdown without becoming markup, or HTML behind it?
using System.Text;

namespace S2Attn.Conformance.Text;

/// <summary>Each text is cleaned by <see cref="ForeignText"/> first and is one line.</summary>
public static class MarkdownText
{
    private const string Special = "\\`*_{}[]()#+-.!|~>";

    /// <summary>Text within a paragraph or heading: every sign that means something to Markdown is escaped.</summary>
    public static string Escape(string text)
    {
        StringBuilder escaped = new();
        foreach (char c in ForeignText.Line(ForeignText.TextLimit, text))
            _ = c switch
            {
                '<' => escaped.Append("&lt;"),
                '&' => escaped.Append("&amp;"),
                _ when Special.Contains(c, StringComparison.Ordinal) => escaped.Append('\\').Append(c),
                _ => escaped.Append(c),
            };
        return escaped.ToString();
    }

    /// <summary>Text as code within a paragraph: its fence is longer than any row of backticks in it.</summary>
    public static string Code(string text)
    {
        string line = ForeignText.Line(ForeignText.TextLimit, text);
        int longest = 0, run = 0;
        foreach (char c in line)
            longest = Math.Max(longest, run = c == '`' ? run + 1 : 0);
        string fence = new('`', longest + 1);
        return longest == 0 && line.Trim().Length > 0 ? $"`{line}`" : $"{fence} {line} {fence}";
    }
}
