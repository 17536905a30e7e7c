// Does docs/porting.md show what s2attn check really prints for a right PyTorch port that adds its mask, and for a wrong one?
using System.Text.RegularExpressions;
using S2Attn.Tests.Ports;

namespace S2Attn.Tests.Docs;

public sealed partial class PortingExampleTests
{
    private static readonly string Ports = Path.Combine(Repository.Root, "Conformance", "Tests", "Ports");

    [RequiresPythonFact("torch")]
    public void The_page_shows_what_a_right_port_that_adds_its_mask_is_told() => Shows("halves", 0, "right");

    [RequiresPythonFact("torch")]
    public void The_page_shows_what_a_wrong_port_is_told() => Shows("floored", 1, "wrong");

    private static void Shows(string name, int exitCode, string block)
    {
        string port = $"{PortTool.PythonWithTorch} usual_ports.py '{SamplePortTests.Sample("pytorch", "pytorch_port.py")}' {name}";
        (int code, string output) = PortTool.Run("env", ["COLUMNS=100", "dotnet", Path.Combine(AppContext.BaseDirectory, "s2attn.dll"), "check", "--port", port, "--seed", "1", "--cases", "20"], Ports);
        Assert.True(code == exitCode, $"exit code {code}:\n{output}");

        // Seconds and PyTorch's version differ from run to run.
        string shown = Version().Replace(Words(output.ReplaceLineEndings("\n").Trim('\n')), "pytorch-eager (python)");
        GeneratedBlock.AssertEqualOrUpdate("docs/porting.md", block, $"```\n{shown}\n```\n");
    }

    // The last paragraph is wrapped anew, since its seconds may have any number of digits.
    private static string Words(string text)
    {
        int last = text.LastIndexOf("\n\n", StringComparison.Ordinal) + 2;
        return text[..last] + Seconds().Replace(Gaps().Replace(text[last..], " "), ";").Replace("; ", ";\n  ", StringComparison.Ordinal);
    }

    [GeneratedRegex(@"pytorch-eager \S+ \(python\)")]
    private static partial Regex Version();

    [GeneratedRegex(@"; [\d.]+ s\.")]
    private static partial Regex Seconds();

    [GeneratedRegex(@"\s+")]
    private static partial Regex Gaps();
}
