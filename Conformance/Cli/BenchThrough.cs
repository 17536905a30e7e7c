// s2attn bench --through: the kernel through C, ONNX Runtime and PyTorch beside direct calls, in one run, with a verdict.
using System.Collections.Immutable;
using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using S2Attn.Cli.Rendering;
using S2Attn.Conformance.Bench;
using S2Attn.Conformance.Validation;
using Spectre.Console;

namespace S2Attn.Cli;

internal sealed class BenchThrough
{
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web) { WriteIndented = true };

    private readonly Option<KernelWay[]> ways = new("--through") { Description = "Instead: the kernel through C, Onnx or Python beside direct calls; may be given several times.", HelpName = "WAY", AllowMultipleArgumentsPerToken = true };
    private readonly Option<string> library = new("--library") { Description = "With --through: libs2attn.so, as Optimized/Bindings/Native/build.sh builds it.", HelpName = "FILE", DefaultValueFactory = _ => "artifacts/native/linux-x64/lib/libs2attn.so" };
    private readonly Option<string> python = new("--python") { Description = "With --through: an interpreter that has torch and s2attn.", HelpName = "PROGRAM", DefaultValueFactory = _ => "python3" };
    private readonly Option<double> least = new("--least") { Description = "With --through: the share of the direct call's speed that each row of N >= 1024 must reach.", DefaultValueFactory = _ => 0.95 };
    private readonly Option<double> seconds = new("--seconds") { Description = "With --through: about how long a row is measured.", DefaultValueFactory = _ => 4 };
    private readonly Option<int> maxTokens = new("--max-tokens") { Description = "With --through: the largest N.", DefaultValueFactory = _ => 4096 };

    private sealed record ThroughFile(double Least, IReadOnlyList<ThroughResult> Results);

    /// <summary>Adds the options to the command.</summary>
    public void AddTo(Command command)
    {
        foreach (Option option in new Option[] { ways, library, python, least, seconds, maxTokens })
            command.Options.Add(option);
    }

    /// <summary>Whether the ways are asked for.</summary>
    public bool IsAsked(ParseResult result) => result.GetValue(ways) is { Length: > 0 };

    /// <summary>Measures, prints, judges.</summary>
    /// <returns>1 where a row of N at least 1024 does not reach the share, 2 where something cannot be measured.</returns>
    public int Run(ParseResult result, FileInfo? json, CancellationToken cancellation)
    {
        double bound = result.GetValue(least), time = result.GetValue(seconds);
        int largest = result.GetValue(maxTokens);
        if (!(bound is > 0 and <= 1) || !(time is >= 0 and <= 3600) || largest is < 256 or > 65536)
        {
            Console.Error.WriteLine(string.Create(CultureInfo.InvariantCulture, $"s2attn bench: --least {bound} must be above 0 and at most 1, --seconds {time} from 0 to 3600, --max-tokens {largest} from 256 to 65536."));
            return ExitCode.Trouble;
        }

        if (Console.IsOutputRedirected)
            AnsiConsole.Profile.Width = BenchCommand.WidthOfFiles;
        List<ThroughResult> rows = [];
        bool succeeds = Succeeds(() =>
        {
            if (json is not null)
                ReportFiles.Try("--json", json.FullName, WholeFile.CheckWritable);
            ThroughTools tools = new(Path.GetFullPath(result.GetValue(library) ?? ""), result.GetValue(python) ?? "");
            foreach (ThroughCase item in result.GetValue(ways)!.Distinct().SelectMany(way => ThroughCase.Of(way, largest)))
                rows.Add(ThroughRunner.Measure(item, tools, time, cancellation));
        });

        // Whatever ended it, what was measured is kept.
        if (rows.Count > 0)
        {
            Print(rows, bound);
            if (json is not null)
                succeeds &= Succeeds(() => WholeFile.Write(json.FullName, JsonSerializer.SerializeToUtf8Bytes(new ThroughFile(bound, rows), Json)));
        }

        if (!succeeds)
            return ExitCode.Trouble;
        ImmutableArray<ThroughResult> slow = [.. rows.Where(row => !row.Reaches(bound))];
        Console.WriteLine(slow.IsEmpty
            ? string.Create(CultureInfo.InvariantCulture, $"every row of N >= {ThroughResult.JudgedFrom} reaches {bound} of the direct call's speed")
            : string.Create(CultureInfo.InvariantCulture, $"below {bound} of the direct call's speed: {string.Join(", ", slow.Select(row => $"{row.Way} {row.Pass} N={row.Tokens}"))}"));
        return slow.IsEmpty ? ExitCode.Holds : ExitCode.DoesNotHold;
    }

    private static bool Succeeds(Action action)
    {
        try
        {
            action();
            return true;
        }
        catch (Exception error) when (error is InvalidOperationException or IOException or UnauthorizedAccessException or OperationCanceledException)
        {
            Console.Error.WriteLine($"s2attn bench: {(error is OperationCanceledException ? "stopped" : error.Message)}");
            return false;
        }
    }

    private static void Print(IEnumerable<ThroughResult> rows, double bound)
    {
        Table table = new Table().AddColumns("through", "pass", "N", "G", "turns", "direct us", "through us", "share", "vs eager", "vs graph", "verdict");
        foreach (ThroughResult row in rows)
            table.AddRow(
                row.Way, row.Pass, Text(row.Tokens), Text(row.GroupSize), Text(row.Rounds), Text(1e6 * row.DirectSeconds, "F0"), Text(1e6 * row.Seconds, "F0"), Text(row.Share, "F3"),
                Ratio(row.VsEager), Ratio(row.VsGraph), row.Tokens < ThroughResult.JudgedFrom ? "-" : row.Reaches(bound) ? "holds" : "slow");
        Page.Write(table);

        static string Ratio(double? value) => value is { } ratio ? Text(ratio, "F1") + "x" : "-";
    }

    private static string Text<T>(T value, string format = "")
        where T : IFormattable => value.ToString(format, CultureInfo.InvariantCulture);
}
