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
                .. blocks,
            ]));
        (int code, string output) = PortTool.Run("bash", [script], folder);
        Assert.True(code == 0, output);
        Assert.Contains("conforms, levels 1, 2, 3, 4, 5 and 6 earned", output.ReplaceLineEndings(" "), StringComparison.Ordinal);
        Assert.Contains("as expected", output, StringComparison.Ordinal);
    });

    [GeneratedRegex("^```sh run\n(.*?)^```", RegexOptions.Multiline | RegexOptions.Singleline)]
    private static partial Regex RunBlock();
}
