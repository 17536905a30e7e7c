// s2attn bench: the kernel against the FMA peak and against what a framework would run, as ratios of one run.
using System.Collections.Immutable;
using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using S2Attn.Cli.Rendering;
using S2Attn.Conformance.Bench;
using S2Attn.Conformance.Validation;
using Spectre.Console;

namespace S2Attn.Cli;

internal static class BenchCommand
{
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web) { WriteIndented = true };

    internal const int WidthOfFiles = 180;

    private sealed record BenchFile(IReadOnlyList<BenchResult> Results);

    public static Command Create()
    {
        Option<bool> backward = new("--backward") { Description = "Measure forward and backward together." };
        Option<int> rounds = new("--rounds") { Description = "Rounds of which the best counts.", DefaultValueFactory = _ => 5 };
        Option<int> threads = new("--threads") { Description = "The larger number of threads; 1 is always measured.", DefaultValueFactory = _ => Environment.ProcessorCount };
        Option<bool> curves = new("--curves") { Description = "Also measure the cost against N and against G (needs 2 GB)." };
        Option<string> filter = new("--filter") { Description = "Only rows whose name contains this text, as \"f32 N=8192 G=512 D=128 threads=1\".", HelpName = "TEXT", DefaultValueFactory = _ => "" };
        Option<bool> alone = new("--alone") { Description = "The kernel without its peers, as a profiler wants it." };
        Option<bool> decode = new("--decode") { Description = "Measure instead one token at a time against 8192 cached keys, as a ratio to the memory bandwidth of the same run, and a prompt in chunks." };
        Option<FileInfo?> json = new("--json") { Description = "Write the results to this file." };
        Command command = new("bench", "Measure the kernel: ratios to the FMA peak, to LongLoRA's eager composition and to fused attention, in one run.") { backward, rounds, threads, curves, filter, alone, decode, json };
        BenchThrough through = new();
        through.AddTo(command);
        command.SetAction((result, cancellation) => Task.FromResult(
            through.IsAsked(result) ? through.Run(result, result.GetValue(json), cancellation)
            : result.GetValue(decode) ? DecodeView.Run(result.GetValue(rounds), result.GetValue(threads), result.GetValue(alone), cancellation)
            : Run(
            result.GetValue(backward), result.GetValue(rounds), result.GetValue(threads), result.GetValue(curves), result.GetValue(filter) ?? "", result.GetValue(alone), result.GetValue(json), cancellation)));
        return command;
    }

    private static int Run(bool backward, int rounds, int threads, bool withCurves, string filter, bool alone, FileInfo? json, CancellationToken cancellation)
    {
        if (rounds < 1 || threads < 1)
        {
            Console.Error.WriteLine($"s2attn bench: --rounds {rounds} and --threads {threads} must be at least 1.");
            return 2;
        }

        try
        {
            if (Console.IsOutputRedirected)
                AnsiConsole.Profile.Width = WidthOfFiles;

            ImmutableArray<BenchCase> cases =
            [
                .. BenchCase.Targets(threads, backward).Concat(withCurves ? BenchCase.Curves(backward) : [])
                    .Where(item => item.ToString().Contains(filter, StringComparison.OrdinalIgnoreCase))
                    .Select(item => item with { WithPeers = item.WithPeers && !alone }),
            ];
            if (cases.IsEmpty)
            {
                Console.Error.WriteLine($"s2attn bench: --filter {filter}: no row has this in its name; the rows are {string.Join("; ", BenchCase.Targets(threads, backward))}.");
                return 2;
            }

            // Tried first, so that an hour of measurements is not lost to a wrong path.
            if (json is not null)
                WholeFile.CheckWritable(json.FullName);
            List<BenchResult> results = Measure(cases, rounds, rows => Keep(json, rows), cancellation);
            AnsiConsole.Write(Table(results));
            if (withCurves)
            {
                AnsiConsole.Write(Chart("Seconds against N at G = 2048", results.Where(row => row is { Heads: 2, GroupSize: 2048 }), row => row.Tokens));
                AnsiConsole.Write(Chart("Seconds against G at N = 8192", results.Where(row => row is { Heads: 2, Tokens: 8192 }), row => row.GroupSize));
            }

            if (results.Count < cases.Length)
                Console.Error.WriteLine($"s2attn bench: stopped: {results.Count} of {cases.Length} rows were measured.");
            return results.Count < cases.Length ? ExitCode.Trouble : ExitCode.Holds;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            Console.Error.WriteLine($"s2attn bench: --json {json}: {error.Message}");
            return 2;
        }
    }

    private static void Keep(FileInfo? json, List<BenchResult> results)
    {
        if (json is not null)
            WholeFile.Write(json.FullName, JsonSerializer.SerializeToUtf8Bytes(new BenchFile(results), Json));
    }

    // What is through is kept after every row: whatever ends the next one, a signal that nobody can catch included, costs that row alone.
    private static List<BenchResult> Measure(ImmutableArray<BenchCase> cases, int rounds, Action<List<BenchResult>> keep, CancellationToken cancellation)
    {
        List<BenchResult> results = [];
        keep(results);

        // A progress display that redraws by itself would allocate while the kernel's allocations are counted.
        AnsiConsole.Progress().AutoRefresh(false).Start(progress =>
        {
            ProgressTask task = progress.AddTask("measuring", maxValue: cases.Length);
            foreach (BenchCase benchCase in cases)
            {
                try
                {
                    results.Add(BenchRunner.Measure(benchCase, rounds, cancellation));
                }
                catch (OperationCanceledException)
                {
                    return;
                }

                keep(results);

                task.Increment(1);
                progress.Refresh();
            }
        });
        return results;
    }

    private static Table Table(IEnumerable<BenchResult> results)
    {
        Table table = new Table().AddColumns("pass", "dtype", "H", "N", "G", "D", "threads", "GFLOP/s", "of peak", "vs 1 thread (peak)", "vs eager", "vs fused", "median s", "spread", "bytes", "KiB/thread");
        foreach (BenchResult row in results)
            table.AddRow(
                row.Pass, row.Dtype, Text(row.Heads), Text(row.Tokens), Text(row.GroupSize), Text(row.HeadDim), Text(row.Threads), Text(row.Gflops, "F1"), Text(row.OfPeak, "F3"),
                row.VsOneThread is { } gain ? $"{Text(gain, "F2")}x ({Text(row.PeakVsOneCore ?? 0, "F2")}x)" : "-", Ratio(row.VsEager), Ratio(row.VsFused), Text(row.MedianSeconds, "F3"), Text(row.Spread, "P0"), Text(row.AllocatedBytes), Text(row.WorkspaceBytesPerThread / 1024));
        return table;

        static string Ratio(double? value) => value is { } ratio ? Text(ratio, "F1") + "x" : "-";
    }

    private static BarChart Chart(string title, IEnumerable<BenchResult> results, Func<BenchResult, int> size)
    {
        BarChart chart = new BarChart().Label(title).Width(80);
        foreach (BenchResult row in results.DistinctBy(size).OrderBy(size))
            chart.AddItem(Text(size(row)), Math.Round(row.BestSeconds, 4), Color.Blue);
        return chart;
    }

    private static string Text<T>(T value, string format = "")
        where T : IFormattable => value.ToString(format, CultureInfo.InvariantCulture);
}
