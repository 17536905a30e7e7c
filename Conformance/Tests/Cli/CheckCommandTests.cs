// What does a stranger get from s2attn check: its output, its reports, the same again from a seed?
using System.Diagnostics;
using System.Text.Json;
using System.Xml.Linq;

namespace S2Attn.Tests.Cli;

public sealed class CheckCommandTests : IDisposable
{
    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("s2attn-check-");

    public void Dispose() => folder.Delete(recursive: true);

    [Fact]
    public void Our_own_implementations_conform_and_the_seed_is_printed()
    {
        (int code, string output, string error) = Run("check", "--seed", "5", "--cases", "10", "--filter", "Leak", "--verbose");
        Assert.Equal((0, ""), (code, error));
        Assert.Contains("seed 5", output, StringComparison.Ordinal);
        Assert.Contains("Spec NoLeakage.Split", output, StringComparison.Ordinal);
        Assert.Contains("reference NoLeakage.Poison", output, StringComparison.Ordinal);
        Assert.Contains("optimized Leak.LocalCausal", output, StringComparison.Ordinal);
        Assert.Contains("conforms in the part that was checked:", output, StringComparison.Ordinal);
    }

    [Fact]
    public void Reports_are_written_and_follow_their_schema()
    {
        string json = Path.Combine(folder.FullName, "report.json"), junit = Path.Combine(folder.FullName, "report.xml");
        (int code, _, string error) = Run("check", "--port", "reference", "--seed", "5", "--cases", "10", "--json", json, "--junit", junit);
        Assert.Equal((0, ""), (code, error));

        using JsonDocument report = JsonDocument.Parse(File.ReadAllText(json));
        using JsonDocument schema = JsonDocument.Parse(Run("check", "--schema").Output);
        JsonShape.Check("report", schema.RootElement, schema.RootElement, report.RootElement);
        Assert.True(report.RootElement.GetProperty("conforms").GetBoolean());
        Assert.Equal([1, 2, 3, 4, 5, 6], report.RootElement.GetProperty("ports")[0].GetProperty("levelsEarned").EnumerateArray().Select(level => level.GetInt32()));

        XElement suites = XDocument.Load(junit).Root!;
        Assert.Equal(report.RootElement.GetProperty("results").GetArrayLength(), suites.Descendants("testcase").Count());
    }

    [Fact]
    public void The_same_seed_finds_the_same_again()
    {
        string[] args = ["check", "--port", "reference", "--seed", "77", "--cases", "8", "--filter", "Agreement"];
        Assert.Equal(WithoutTimes(Run(args).Output), WithoutTimes(Run(args).Output));

        static IEnumerable<string> WithoutTimes(string output) => output.Split('\n').Select(line => string.Join(' ', line.Split(' ').Where(word => !word.Contains('.', StringComparison.Ordinal) || word.Any(char.IsLetter))));
    }

    private (int Code, string Output, string Error) Run(params string[] args)
    {
        using Process process = Start(args);
        Task<string> error = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output, error.Result);
    }

    private Process Start(params string[] args) => Process.Start(new ProcessStartInfo("dotnet", [Path.Combine(AppContext.BaseDirectory, "s2attn.dll"), .. args])
    {
        RedirectStandardOutput = true,
        RedirectStandardError = true,
        WorkingDirectory = folder.FullName,
    })!;
}
