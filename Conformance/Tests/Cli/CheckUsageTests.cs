// Does s2attn check tell a stranger what is wrong with the command line, and keep what it found when it is stopped?
using System.CommandLine;
using System.Diagnostics;
using System.Text.Json;
using S2Attn.Cli;
using S2Attn.Tests.Ports;

namespace S2Attn.Tests.Cli;

public sealed class CheckUsageTests
{
    private static readonly string Cli = Path.Combine(AppContext.BaseDirectory, "s2attn.dll");

    [Theory]
    [InlineData("", 2, "s2attn: which command? There are bench, campaign, check, ")]
    [InlineData("frobnicate", 2, "s2attn: there is no command frobnicate (there are bench, campaign, check, ")]
    [InlineData("chekc", 2, "s2attn: there is no command chekc; did you mean check? (")]
    [InlineData("gold", 2, "did you mean golden?")]
    [InlineData("check --bogus", 2, "s2attn check: there is no option --bogus (s2attn check --help lists what there is)")]
    [InlineData("check --sede 3", 2, "s2attn check: there is no option --sede; did you mean --seed?")]
    [InlineData("check stray", 2, "s2attn check: there is no argument stray (")]
    [InlineData("campaign", 2, "s2attn campaign: which command? There are agreement, ")]
    [InlineData("campaign soka", 2, "s2attn campaign: there is no command soka; did you mean soak?")]
    [InlineData("check --cases 0", 2, "--cases 0: must be from 1 to 1000000")]
    [InlineData("check --cases 1000001", 2, "--cases 1000001: must be from 1 to 1000000")]
    [InlineData("check --cases many", 2, "s2attn check: --cases many: must be a whole number (")]
    [InlineData("check --cases", 2, "'--cases'")]
    [InlineData("check --seed 99999999999", 2, "--seed 99999999999: must be a whole number")]
    [InlineData("check --port reference --case-limit soon", 2, "--case-limit soon: must be a number")]
    [InlineData("check --port reference --startup-limit NaN", 2, "--startup-limit = NaN: must be more than 0")]
    [InlineData("check --filter nosuch", 2, "--filter nosuch: no theorem or property")]
    [InlineData("check --port no-such-program", 2, "no program no-such-program is on the PATH")]
    [InlineData("check --port ./missing_port.py", 2, "there is no file")]
    [InlineData("check --onnx missing.onnx", 2, "missing.onnx")]
    [InlineData("check --native missing.so", 2, "missing.so")]
    [InlineData("check --cases 1 --json no/such/folder/report.json", 2, "no/such/folder/report.json")]
    [InlineData("check --cases 1 --junit .", 2, "is a folder")]
    [InlineData("check --cases 1 --html no/such/folder/report.html", 2, "s2attn: --html ")]
    [InlineData("check --cases 1 --html no/such/folder/report.html", 2, "no/such/folder/report.html: cannot be written: ")]
    [InlineData("check --cases 1 --port reference --reproducers LICENSE", 2, "--reproducers ")]
    [InlineData("graph --mask diagonal --group-size 4 --output x.onnx", 2, "--mask diagonal: must be one of LocalCausal, ")]
    [InlineData("xray --port reference --svg no/such/folder/x.svg", 2, "s2attn: --svg ")]
    [InlineData("describe --port reference --port-log no/such/folder/x.log", 2, "s2attn: --port-log ")]
    [InlineData("prove --json no/such/folder/x.json", 2, "s2attn prove: --json ")]
    [InlineData("prove --out LICENSE/x", 2, "s2attn prove: --out ")]
    [InlineData("bench --through C --json no/such/folder/x.json", 2, "s2attn bench: --json ")]
    [InlineData("mutants --pairs 4 --shard 3/2", 2, "--shard 3/2: must be PART/PARTS with 1 <= PART <= PARTS, as 3/8")]
    [InlineData("mutants --shard 1/2", 2, "--shard: parts are of pairs, so --pairs must be given too")]
    [InlineData("check --badge badge.svg", 2, "--badge: a badge is of exactly one port, but none is named")]
    [InlineData("check --badge badge.svg --port reference --port optimized", 2, "but 2 are named")]
    [InlineData("check --cases 2 --seed 5 --filter Scale --port reference", 0, "--seed 5 --cases 2 --filter Scale")]
    public void Check_says_what_is_wrong_without_a_stack_trace(string arguments, int exitCode, string expected)
    {
        (int code, string output) = PortTool.Run("dotnet", [Cli, .. arguments.Split(' ', StringSplitOptions.RemoveEmptyEntries)], Repository.Root);
        Assert.True(code == exitCode && output.Contains(expected, StringComparison.Ordinal), $"exit code {code}:\n{output}");
        Assert.DoesNotContain("Unhandled exception", output, StringComparison.Ordinal);
        Assert.DoesNotContain("   at S2Attn.", output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("mutants --cases many", "s2attn mutants: --cases many: must be a whole number (")]
    [InlineData("mutants --cases 0", "s2attn mutants: --cases 0: must be from 1 to 1000000 (")]
    [InlineData("mutants --pairs many --shard 1/2", "s2attn mutants: --pairs many: must be a whole number (")]
    [InlineData("mutants --pairs 0", "--pairs 0: must be at least 1")]
    [InlineData("bench --rounds 0", "--rounds 0: must be from 1 to 1000")]
    [InlineData("bench --decode --threads 5000", "--threads 5000: must be from 1 to 1024")]
    [InlineData("campaign soak --minutes NaN", "--minutes NaN: must be more than 0 and at most 10000")]
    [InlineData("campaign agreement --max-tokens -3", "--max-tokens -3: must be at least 1")]
    [InlineData("experiment run leak --minutes -1", "--minutes -1: must be more than 0 and at most 50000")]
    [InlineData("graph --mask Split --group-size 0 --output x.onnx", "--group-size 0: must be at least 1")]
    [InlineData("graph --mask Split --group-size 4 --phases 0 --custom-op --output x.onnx", "--phases 0: must be at least 1")]
    [InlineData("xray --port reference --scale 0,125", "--scale 0,125: must be a number, with a point where it has decimals")]
    public void A_number_out_of_range_is_told_with_its_option_and_its_rule(string arguments, string expected)
    {
        RootCommand root = [BenchCommand.Create(), CampaignCommand.Create(), ExperimentCommand.Create(), GraphCommand.Create(), MutantsCommand.Create(), XrayCommand.Create()];
        NumberRange.Attach(root);
        Assert.Contains(expected, Misuse.Of(root.Parse(arguments)), StringComparison.Ordinal);
    }

    /// <summary>Images with ICU switch the invariant mode off, and half a second became five where decimals have a comma.</summary>
    [Fact]
    public void A_point_is_a_point_wherever_the_machine_stands()
    {
        if (OperatingSystem.IsWindows())
            return;
        (int code, string output) = PortTool.Run("env", ["DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=0", "LC_ALL=de_DE.UTF-8", "dotnet", Cli, "describe", "--port", "sleep 30", "--startup-limit", "0.5"], Repository.Root);
        Assert.True(code == 2 && output.Contains("no answer within 0.5 s", StringComparison.Ordinal) || output.Contains("valid ICU package", StringComparison.Ordinal), $"exit code {code}:\n{output}");
    }

    /// <summary>It showed a number that was drawn for the text alone.</summary>
    [Fact]
    public void Help_says_the_same_each_time()
    {
        string[] texts = [.. Enumerable.Range(0, 2).Select(_ => PortTool.Run("dotnet", [Cli, "check", "--help"], Repository.Root).Output)];
        Assert.Equal(texts[0], texts[1]);
        Assert.Contains("--seed <NUMBER>", texts[0], StringComparison.Ordinal);
    }

    [Fact]
    public void A_stopped_check_writes_what_it_has_and_marks_it() => SamplePortTests.InTemporary(directory =>
    {
        if (OperatingSystem.IsWindows())
            return;
        string json = Path.Combine(directory, "report.json");
        ProcessStartInfo start = new("env", ["--default-signal=INT", "dotnet", Cli, "check", "--port", "reference", "--cases", "1000000", "--filter", "Diagonal", "--json", json])
        {
            RedirectStandardOutput = true,
        };
        using Process process = Process.Start(start)!;

        // The first line is printed when the run begins; drawing a million cases takes longer than a signal.
        string? first = process.StandardOutput.ReadLine();
        Assert.Equal(0, PortTool.Run("kill", ["-INT", $"{process.Id}"]).ExitCode);
        string rest = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 130, $"exit code {process.ExitCode}:\n{first}\n{rest}");
        Assert.Contains("the results are partial", rest, StringComparison.Ordinal);
        using JsonDocument report = JsonDocument.Parse(File.ReadAllText(json));
        Assert.False(report.RootElement.GetProperty("complete").GetBoolean());
        Assert.False(report.RootElement.GetProperty("conforms").GetBoolean());
    });
}
