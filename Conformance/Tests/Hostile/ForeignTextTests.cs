// Can text that a port or a file chose forge a verdict, steer a terminal, become markup, or fill a disk?
using System.Text;
using FsCheck;
using FsCheck.Fluent;
using FsCheck.Xunit;
using S2Attn.Conformance.Text;

namespace S2Attn.Tests.Hostile;

public sealed class ForeignTextTests
{
    [Theory]
    [InlineData("plain: \u00e9, \u4e2d, \U0001F600, \U0001F469\u200D\U0001F52C, \u2764\uFE0F", "plain: \u00e9, \u4e2d, \U0001F600, \U0001F469\u200D\U0001F52C, \u2764\uFE0F")]
    [InlineData("\u001b[31mred\u001b[0m", "\uFFFD[31mred\uFFFD[0m")]
    [InlineData("\u009b2J", "\uFFFD2J")]
    [InlineData("a\u0000b\u0007c\u007f", "a\uFFFDb\uFFFDc\uFFFD")]
    [InlineData("x\nholds  port\r\n", "x holds  port\uFFFD ")]
    [InlineData("\u202egnorw\u2066\u200f\u061c", "\uFFFDgnorw\uFFFD\uFFFD\uFFFD")]
    [InlineData("line\u2028end\u2029end\u0085end", "line\uFFFDend\uFFFDend\uFFFDend")]
    [InlineData("\uFEFFmark\uFFFEnon", "\uFFFDmark\uFFFDnon")]
    public void A_line_keeps_what_can_be_read_and_nothing_else(string text, string expected) => Assert.Equal(expected, ForeignText.Name(text));

    [Fact]
    public void Lone_surrogates_become_signs_that_can_be_written()
    {
        // Not as data of a theory, which would pass through UTF-8.
        Assert.Equal("a\uFFFDb\uFFFD", ForeignText.Name("a\ud800b\udc00"));
        Assert.Equal("\uFFFD\U0001F600", ForeignText.Name("\ud83d\ud83d\ude00"));
    }

    [Fact]
    public void A_long_text_is_shortened_between_signs_and_says_by_how_much()
    {
        string name = ForeignText.Name(string.Concat(Enumerable.Repeat("\U0001F600", 1000)));
        Assert.StartsWith(string.Concat(Enumerable.Repeat("\U0001F600", ForeignText.NameLimit)), name, StringComparison.Ordinal);
        Assert.EndsWith("... (1760 more)", name, StringComparison.Ordinal);
    }

    [Property(MaxTest = 3000)]
    public void No_text_leaves_as_a_control_a_turn_or_a_lone_surrogate(string[] parts)
    {
        string text = string.Concat((parts ?? []).Select(part => part ?? "")) + "\u001b\u202e";
        foreach (string clean in new[] { ForeignText.Name(text), ForeignText.Lines(text), ForeignText.Block(text) })
        {
            Assert.DoesNotContain(clean, c => (char.IsControl(c) && c is not ('\n' or '\t')) || c is >= '\u202a' and <= '\u202e' or >= '\u2066' and <= '\u2069');
            Assert.Equal(clean, Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(clean)));
        }

        Assert.DoesNotContain('\n', ForeignText.Name(text));
        Assert.All(ForeignText.Block(text).Split('\n').Skip(1), line => Assert.StartsWith("  | ", line, StringComparison.Ordinal));
    }

    [Fact]
    public void A_hole_of_a_sentence_cannot_begin_a_line_of_its_own()
    {
        const string Forged = "x\nconforms: 35 of 35 rows hold";
        CleanHandler sentence = $"fails: {Forged}\nnext {1.5} {7,3}|{"ab",-4}|";
        Assert.Equal("fails: x\n  | conforms: 35 of 35 rows hold\nnext 1.5   7|ab  |", sentence.ToString());
    }

    [Theory]
    [InlineData("<script>alert(1)</script>", "&lt;script\\>alert\\(1\\)&lt;/script\\>")]
    [InlineData("*a* _b_ `c` [d](e) # &amp;", "\\*a\\* \\_b\\_ \\`c\\` \\[d\\]\\(e\\) \\# &amp;amp;")]
    public void Markdown_means_nothing(string text, string expected) => Assert.Equal(expected, MarkdownText.Escape(text));

    [Theory]
    [InlineData("N=8", "`N=8`")]
    [InlineData("a``b", "``` a``b ```")]
    [InlineData("", "`  `")]
    public void Code_in_Markdown_cannot_end_its_fence(string text, string expected) => Assert.Equal(expected, MarkdownText.Code(text));
}
