// Does every command of docs/porting.md run?
using System.Text.RegularExpressions;
using S2Attn.Tests.Ports;

namespace S2Attn.Tests.Docs;

public sealed partial class PortingDocTests
{
    [RequiresPythonFact("numpy")]
    public void Every_command_of_the_porting_page_runs_in_an_empty_folder() => SamplePortTests.InTemporary(directory =>
    {
        string[] blocks = [.. RunBlock().Matches(File.ReadAllText(Path.Combine(Repository.Root, "docs", "porting.md"))).Select(match => match.Groups[1].Value)];
        Assert.True(blocks.Length >= 3, $"only {blocks.Length} blocks are marked \"sh run\"");
        string script = Path.Combine(directory, "commands.sh"), folder = Directory.CreateDirectory(Path.Combine(directory, "empty")).FullName;
        File.WriteAllText(script, string.Join(
            "\n",
            [
                "set -eu",
                $"s2attn() {{ dotnet '{Path.Combine(AppContext.BaseDirectory, "s2attn.dll")}' \"$@\"; }}",
                $"mkdir '{directory}/bin' && ln -s \"$(command -v {PortTool.PythonWithNumpy})\" '{directory}/bin/python3' && PATH=\"{directory}/bin:$PATH\"",
                .. blocks.Select(block => ExitCode().Replace(block, "code=0; $1 || code=$$?; [ \"$$code\" = $2 ] || { echo \"exit code $$code, not $2\"; exit 99; }")),
            ]));
        (int code, string output) = PortTool.Run("bash", [script], folder);
        Assert.True(code == 0, output);
        Assert.Contains("conforms, levels 1, 2, 3, 4, 5 and 6 earned", output.ReplaceLineEndings(" "), StringComparison.Ordinal);
        Assert.Contains("does NOT conform", output, StringComparison.Ordinal);
        Assert.True(blocks.Sum(block => ExitCode().Count(block)) >= 5, "the page shows commands that end with another exit code than 0");
    });

    // A command that is to end with a certain exit code, and with no other: one that crashes fails the test.
    [GeneratedRegex("^(.+?) +# exit code ([0-9]+)$", RegexOptions.Multiline)]
    private static partial Regex ExitCode();

    [GeneratedRegex("^```sh run\n(.*?)^```", RegexOptions.Multiline | RegexOptions.Singleline)]
    private static partial Regex RunBlock();
}
