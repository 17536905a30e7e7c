// What does a stranger get from s2attn xray: a picture, words, a name, a remedy, or a clear word about a wrong argument?
using System.Text.Json;
using S2Attn.Tests.Ports;

namespace S2Attn.Tests.Cli;

public sealed class XrayCommandTests
{
    private static readonly string Cli = Path.Combine(AppContext.BaseDirectory, "s2attn.dll");

    [Theory]
    [InlineData("--port reference --mask Split", 0, "reference is Split: it equals the definition at all")]
    [InlineData("--port optimized --tokens 12 --group-size 5 --mask Split --only", 0, "optimized is Split: it equals the definition at the probed size")]
    [InlineData("--port profile:ingroup-unshift", 1, "To fix: Join the groups to N tokens again before the roll back")]
    [InlineData("--port profile:longlora-odd-group --tokens 15 --group-size 5 --only", 1, "seen, and should not be")]
    [InlineData("--port mutant:scale-missing", 1, "scores are 1 q.k, and should be 0.125 q.k: the scale is missing")]
    [InlineData("--port reference --tokens 15 --group-size 4 --mask LocalCausal", 2, "15")]
    [InlineData("--port reference --group-size 0", 2, "GroupSize = 0")]
    [InlineData("--port reference --tokens many", 2, "--tokens many: must be a whole number")]
    [InlineData("--port reference --shifted-heads some", 2, "--shifted-heads some: must be None, SecondHalf, All, or one 0 or 1 for each head")]
    [InlineData("--port profile:longlora-odd-group --mask Split", 2, "--mask Split: the port declares LocalCausal")]
    [InlineData("--port mutant:nosuch", 2, "the names behind mutant: are")]
    [InlineData("--port false", 2, "s2attn: ")]
    [InlineData("", 2, "exactly one of --port, --native and --onnx")]
    public void Xray_shows_and_says(string arguments, int exitCode, string expected)
    {
        (int code, string output) = PortTool.Run("dotnet", [Cli, "xray", .. arguments.Split(' ', StringSplitOptions.RemoveEmptyEntries)], Repository.Root);
        Assert.True(code == exitCode && output.Contains(expected, StringComparison.Ordinal), $"exit code {code}:\n{output}");
        Assert.DoesNotContain("   at S2Attn.", output, StringComparison.Ordinal);
    }

    [Fact]
    public void The_result_as_JSON_names_the_bug()
    {
        (int code, string output) = PortTool.Run("dotnet", [Cli, "xray", "--port", "profile:no-mask", "--json"], Repository.Root);
        Assert.Equal(1, code);
        using JsonDocument document = JsonDocument.Parse(output);
        Assert.Contains("no-mask", document.RootElement.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_check_of_a_wrong_port_ends_with_its_diagnosis()
    {
        (int code, string output) = PortTool.Run("dotnet", [Cli, "check", "--port", "profile:v-not-rolled", "--seed", "1", "--cases", "10"], Repository.Root);
        Assert.Equal(1, code);
        Assert.Contains("is v-not-rolled at all", output, StringComparison.Ordinal);
        Assert.Contains("To fix: Roll v of the shifted heads together with q and k.", output, StringComparison.Ordinal);
    }
}
