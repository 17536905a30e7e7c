// What does a person see on a terminal, narrow or without colour, and what does a pipe get?
using System.Text.RegularExpressions;
using S2Attn.Tests.Ports;
using S2Attn.Tests.Tools;

namespace S2Attn.Tests.Cli;

public sealed partial class TerminalTests
{
    private const int Narrow = 60, Wide = 300;

    private static readonly string Cli = Path.Combine(AppContext.BaseDirectory, "s2attn.dll");

    public static TheoryData<string> Commands() =>
    [
        "--help", "new --help", "xray --help", "bench --help", "campaign longest --help", "frobnicate", "check --sede 3", "describe --port reference", "experiment list",
        "check --port profile:longlora-odd-group --cases 2 --seed 1 --filter Agreement --verbose", "xray --port profile:longlora-odd-group --only", "golden --filter n16-g4",
        "mutants --filter scale --cases 2",
    ];

    [RequiresToolTheory("script", "stty")]
    [MemberData(nameof(Commands))]
    public void Sixty_columns_cut_no_word_and_NO_COLOR_leaves_no_escape(string arguments)
    {
        string narrow = OnTerminal(Narrow, arguments), wide = OnTerminal(Wide, arguments);
        Assert.DoesNotContain('\e', narrow);
        Assert.DoesNotContain('\e', wide);
        Assert.All(narrow.Split('\n'), line => Assert.True(line.Length <= Narrow || !line.Trim().Contains(' ', StringComparison.Ordinal), $"{line.Length} columns: {line}"));
        HashSet<string> whole = [.. Words(wide)];
        Assert.NotEmpty(whole);
        Assert.Empty(Words(narrow).Where(word => !whole.Contains(word)).Distinct());
    }

    [RequiresToolTheory("script")]
    [InlineData("xray --port mutant:scale-missing --only")]
    [InlineData("golden --filter n16-g4")]
    public void A_terminal_shows_colour_or_a_bar_and_a_pipe_gets_none(string arguments)
    {
        Assert.Contains('\e', OnTerminal(Narrow, arguments, colour: true));
        Assert.DoesNotContain('\e', PortTool.Run("env", ["TERM=xterm-256color", "dotnet", Cli, .. arguments.Split(' ')], Repository.Root).Output);
    }

    // script gives the command a terminal and passes on what it shows there.
    private static string OnTerminal(int columns, string arguments, bool colour = false) => PortTool.Run(
        "env",
        ["--unset=COLUMNS", "TERM=xterm-256color", .. colour ? Array.Empty<string>() : ["NO_COLOR=1"], "script", "-qec", $"stty cols {columns} rows 50; dotnet '{Cli}' {arguments}", "/dev/null"],
        Repository.Root).Output.ReplaceLineEndings("\n");

    // Times and what is drawn differ from run to run and from width to width.
    private static IEnumerable<string> Words(string text) => Separators().Split(text).Select(word => word.Trim(':', ';', ',', '.')).Where(word => word.Length > 0 && !word.Any(c => char.IsDigit(c) || "─━│┌┐└┘├┤┬┴┼█▓░▒·".Contains(c, StringComparison.Ordinal)));

    [GeneratedRegex(@"\s+")]
    private static partial Regex Separators();
}
