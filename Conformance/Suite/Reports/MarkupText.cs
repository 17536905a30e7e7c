// How does text that a port chose get into XML, SVG or HTML without becoming markup?
using System.Net;
using S2Attn.Conformance.Text;

namespace S2Attn.Conformance.Reports;

/// <summary>Names, reasons and cases hold what a port answered: any text at all.</summary>
internal static class MarkupText
{
    /// <summary>The text without what XML cannot hold, or what would change how a reader sees the text around it.</summary>
    public static string Clean(string text) => ForeignText.Lines(text);

    /// <summary>The text as content of an element or of a quoted attribute.</summary>
    public static string Escape(string text) => WebUtility.HtmlEncode(Clean(text));
}
