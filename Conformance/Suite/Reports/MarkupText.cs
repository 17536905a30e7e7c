// How does text that a port chose get into XML, SVG or HTML without becoming markup?
using System.Net;
using System.Xml;

namespace S2Attn.Conformance.Reports;

/// <summary>Names, reasons and cases hold what a port answered: any text at all.</summary>
internal static class MarkupText
{
    private const char Replacement = '\uFFFD';

    /// <summary>The text without what XML cannot hold, or what turns the direction of the text around it.</summary>
    public static string Clean(string text) => string.Concat(text.Select(c => XmlConvert.IsXmlChar(c) && !TurnsDirection(c) ? c : Replacement));

    /// <summary>The text as content of an element or of a quoted attribute.</summary>
    public static string Escape(string text) => WebUtility.HtmlEncode(Clean(text));

    private static bool TurnsDirection(char c) => c is >= '\u202A' and <= '\u202E' or >= '\u2066' and <= '\u2069';
}
