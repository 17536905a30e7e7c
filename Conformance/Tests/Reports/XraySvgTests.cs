// Is the picture in README what the command beside it draws?
using System.Xml.Linq;
using S2Attn.Tests.Docs;
using S2Attn.Tests.Ports;

namespace S2Attn.Tests.Reports;

public sealed class XraySvgTests
{
    private const string Picture = "docs/mask-gone-wrong.svg", Command = "s2attn xray --port mutant:split-as-local-causal --mask Split --tokens 16 --group-size 8 --only --svg ";

    [Fact]
    public void The_picture_in_README_is_what_its_command_draws() => SamplePortTests.InTemporary(directory =>
    {
        Assert.Contains($"{Command}{Picture}", File.ReadAllText(Path.Combine(Repository.Root, "README.md")), StringComparison.Ordinal);
        string drawn = Draw(directory, Command.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1..], 1), path = Path.Combine(Repository.Root, Picture);
        if (Environment.GetEnvironmentVariable("S2ATTN_UPDATE_DOCS") == "1")
            File.WriteAllText(path, drawn);
        else
            TextChanges.AssertSame(Picture, File.ReadAllText(path), drawn);
    });

    [Fact]
    public void A_wrong_port_and_a_right_one_are_told_apart() => SamplePortTests.InTemporary(directory =>
    {
        string wrong = Draw(directory, ["xray", "--port", "mutant:split-as-local-causal", "--mask", "Split", "--only", "--svg"], 1);
        string right = Draw(directory, ["xray", "--port", "reference", "--mask", "Split", "--only", "--svg"], 0);
        Assert.Contains(", differs", wrong, StringComparison.Ordinal);
        Assert.Contains("<path class=\"extra\"", wrong, StringComparison.Ordinal);
        Assert.DoesNotContain("differs", right, StringComparison.Ordinal);
        Assert.DoesNotContain("<path class=\"extra\"", right, StringComparison.Ordinal);
    });

    [Fact]
    public void What_is_too_long_to_draw_is_told_before_anything_is_written() => SamplePortTests.InTemporary(directory =>
    {
        string file = Path.Combine(directory, "x.svg");
        (int code, string output) = PortTool.Run("dotnet", [Cli, "xray", "--port", "reference", "--mask", "Split", "--tokens", "200", "--heads", "1", "--batch", "1", "--only", "--svg", file], directory);
        Assert.True(code == 2 && output.Contains("200 tokens are too many to draw; at most 160 are", StringComparison.Ordinal), $"exit code {code}: {output}");
        Assert.False(File.Exists(file));
    });

    private static readonly string Cli = Path.Combine(AppContext.BaseDirectory, "s2attn.dll");

    // Well-formed, without scripts and without anything from elsewhere.
    private static string Draw(string directory, IEnumerable<string> arguments, int exitCode)
    {
        string file = Path.Combine(directory, "x.svg");
        (int code, string output) = PortTool.Run("dotnet", [Cli, .. arguments, file], directory);
        Assert.True(code == exitCode, $"exit code {code}: {output}");
        string text = File.ReadAllText(file);
        XElement root = XDocument.Parse(text).Root!;
        Assert.Equal("svg", root.Name.LocalName);
        Assert.DoesNotContain(root.Descendants(), element => element.Name.LocalName is "script" or "image" or "use" || element.Attributes().Any(attribute => attribute.Name.LocalName == "href"));
        return text;
    }
}
