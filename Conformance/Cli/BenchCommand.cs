// s2attn bench: the kernel against the FMA peak and against what a framework would run, as ratios of one run.
using System.Collections.Immutable;
using System.CommandLine;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Text.Json;
using S2Attn.Cli.Rendering;
using S2Attn.Conformance.Bench;
using S2Attn.Conformance.Validation;
using S2Attn.Optimized;
using Spectre.Console;

namespace S2Attn.Cli;

internal static class BenchCommand
{
    internal const int WidthOfFiles = 220;

    private const int WarmCalls = 3, MostRounds = 1000, MostThreads = 1024, RowsNamed = 4;

    private const long MaxFileBytes = 64 << 20;

    // Runs of several seconds need no more rounds, and all that --keep measures is to take minutes.
    private const int RoundsOfLong = 2;
    private const double LongFlops = 2e11;

    private static readonly string KeptIn = Path.Combine("docs", "benchmarks");

    private sealed record Choice(bool Backward, int Rounds, int Threads, bool Curves, bool Small, bool Long, string Filter, bool Alone, string? Torch, FileInfo? Json, bool Keep, bool Decode, bool IsChild, bool FirstCall)
    {
        /// <summary>Whether the run measures again some of what the kept file has.</summary>
        public bool IsPartOfKept => Keep && (Decode || Filter.Length > 0);
    }


    public static Command Create()
    {
        Option<bool> backward = new("--backward") { Description = "Measure forward and backward together." };
        Option<int> rounds = new("--rounds") { Description = "Rounds of which the best counts.", DefaultValueFactory = _ => 5 };
        Option<int> threads = new("--threads") { Description = "The larger number of threads; 1 is always measured.", DefaultValueFactory = _ => Environment.ProcessorCount };
        Option<bool> curves = new("--curves") { Description = "Also measure the cost against N and against G (needs 2 GB)." };
        Option<bool> small = new("--small") { Description = "Also measure small problems." };
        Option<bool> longOne = new("--long") { Description = "Also measure H=32 K=8 D=128 N=32768 (needs 2 GB)." };
        Option<string> filter = new("--filter") { Description = "Only rows whose name contains this text, as \"f32 N=8192 G=512 D=128 threads=1\".", HelpName = "TEXT", DefaultValueFactory = _ => "" };
        Option<bool> alone = new("--alone") { Description = "The kernel without its peers and in this process alone, as a profiler wants it." };
        Option<bool> decode = new("--decode") { Description = "Measure instead one token at a time against 8192 cached keys, as a ratio to the memory bandwidth of the same run, and a prompt in chunks (needs memory for six times the last-level cache)." };
        Option<string?> torch = new("--torch") { Description = "An interpreter that has PyTorch 2 or later: its fused attention between LongLoRA's rolls becomes a peer.", HelpName = "PROGRAM" };
        Option<FileInfo?> json = new("--json") { Description = "Write the results to this file." };
        Option<bool> keep = new("--keep") { Description = "Measure everything but the curves, forward and with backward, and keep it as docs/benchmarks/CPU.json; run it in the repository. With --filter or --decode only those rows are measured, and take the place of the kept ones." };
        Option<bool> child = new("--child") { Hidden = true }, firstCall = new("--first-call") { Hidden = true };
        Command command = new("bench", "Measure the kernel on each instruction set of this machine: ratios to the FMA peak, to LongLoRA's eager composition and to fused attention, in one run.") { backward, rounds, threads, curves, small, longOne, filter, alone, decode, torch, json, keep, child, firstCall };
        NumberRange.MustBe(1, MostRounds, rounds);
        NumberRange.MustBe(1, MostThreads, threads);
        BenchThrough through = new();
        through.AddTo(command);
        command.SetAction((result, cancellation) => Task.FromResult(
            through.IsAsked(result) ? through.Run(result, result.GetValue(json), cancellation)
            : result.GetValue(decode) && !result.GetValue(keep) ? DecodeView.Run(result.GetValue(rounds), result.GetValue(threads), result.GetValue(alone), result.GetValue(json), cancellation)
            : Run(
                new(
                    result.GetValue(backward), result.GetValue(rounds), result.GetValue(threads), result.GetValue(curves), result.GetValue(small), result.GetValue(longOne), result.GetValue(filter) ?? "",
                    result.GetValue(alone), result.GetValue(torch), result.GetValue(json), result.GetValue(keep), result.GetValue(decode), result.GetValue(child), result.GetValue(firstCall)),
                cancellation)));
        return command;
    }

    private static int Run(Choice choice, CancellationToken cancellation)
    {
        (int rounds, int threads, string filter, FileInfo? json) = (choice.Rounds, choice.Threads, choice.Filter, choice.Json);

        if (choice.Keep && !Directory.Exists("docs"))
        {
            Console.Error.WriteLine($"s2attn bench: --keep: there is no folder docs in {Directory.GetCurrentDirectory()}: run it in the repository.");
            return 2;
        }

        string target = json is null ? "--keep" : $"--json {json}";
        try
        {
            if (Console.IsOutputRedirected)
                AnsiConsole.Profile.Width = WidthOfFiles;
            BenchCase first = BenchCase.Targets(1, withBackward: false)[0];
            if (choice.FirstCall && json is not null)
            {
                WholeFile.Write(json.FullName, new BenchFile { Results = [], FirstCalls = [BenchRunner.FirstCall(first, WarmCalls)] }.ToUtf8());
                return ExitCode.Holds;
            }

            ImmutableArray<BenchCase> all = Rows(choice), cases = choice.Keep && choice.Decode ? [] : [.. Matching(all, filter).Select(item => item with { WithPeers = item.WithPeers && !choice.Alone })];
            if (cases.IsEmpty && !choice.Decode)
            {
                Console.Error.WriteLine($"s2attn bench: --filter {filter}: no row has this in its name; the rows are {string.Join("; ", all.Take(RowsNamed))}{(all.Length > RowsNamed ? $" and {all.Length - RowsNamed} more like these" : "")}.");
                return 2;
            }

            // Tried first, so that an hour of measurements is not lost to a wrong path.
            if (json is not null)
                WholeFile.CheckWritable(json.FullName);
            if (choice.Keep && !choice.IsChild)
            {
                Directory.CreateDirectory(KeptIn);
                WholeFile.CheckWritable(Path.Combine(KeptIn, BenchMachine.FileOfThis));
            }

            BenchFile? before = choice.IsPartOfKept ? Kept() : null;
            List<BenchResult> results = Measure(cases, rounds, choice.Torch, rows => Keep(json, rows), cancellation);
            bool stopped = results.Count < cases.Length;
            List<FirstCallResult> firstCalls = [];
            List<DecodeResult> decode = [];
            if (!stopped && !choice.Alone && !choice.IsChild)
            {
                bool withDecode = choice.Keep && (choice.Decode || !choice.IsPartOfKept);
                if (withDecode)
                    decode.AddRange(DecodeView.Measure(rounds, threads, choice.Alone, cancellation));
                if (cases.Contains(first))
                    firstCalls.Add(FirstCall(rounds, variable: null, cancellation));
                foreach ((string name, bool isNarrow) in NarrowerSets)
                {
                    // The narrow one has few rows, and a filter may leave none of them.
                    if (isNarrow && !Matching(BenchCase.Targets(1, withBackward: false), filter).Any())
                        continue;
                    if (!cases.IsEmpty)
                        results.AddRange(BenchChild.Run(Arguments(choice, isNarrow), (name, "0"), cancellation).Results);
                    if (withDecode && !isNarrow)
                        decode.AddRange(BenchChild.Run(["--decode", "--rounds", Text(rounds), "--threads", Text(threads)], (name, "0"), cancellation).Decode);
                    if (cases.Contains(first) && !isNarrow)
                        firstCalls.Add(FirstCall(rounds, (name, "0"), cancellation));
                }
            }

            BenchFile file = new() { Machine = choice.IsChild ? null : BenchMachine.Describe(choice.Torch), Results = [.. results], FirstCalls = [.. firstCalls], Decode = [.. decode] };
            Show(file, choice.Curves);
            if (json is not null)
                WholeFile.Write(json.FullName, file.ToUtf8());
            if (choice.Keep && !stopped && !choice.IsChild)
            {
                string kept = Path.Combine(KeptIn, file.Machine!.FileName);
                WholeFile.Write(kept, (before?.With(file) ?? file).ToUtf8());
                Console.Error.WriteLine($"s2attn bench: kept as {kept}; S2ATTN_UPDATE_DOCS=1 and the tests of the docs bring it into README and docs/performance.md.");
            }

            if (stopped)
                Console.Error.WriteLine($"s2attn bench: stopped: {results.Count} of {cases.Length} rows were measured.");
            return stopped ? ExitCode.Trouble : ExitCode.Holds;
        }
        catch (OperationCanceledException)
        {
            Console.Error.WriteLine("s2attn bench: stopped before every instruction set was measured.");
            return ExitCode.Trouble;
        }
        catch (InvalidOperationException error) when (choice.Torch is not null)
        {
            Console.Error.WriteLine($"s2attn bench: --torch {error.Message}");
            return 2;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            Console.Error.WriteLine($"s2attn bench: {target}: {error.Message}");
            return 2;
        }
    }

    // What this machine has kept, read before anything is measured: a file that cannot be read would cost the run.
    private static BenchFile Kept()
    {
        string path = Path.Combine(KeptIn, BenchMachine.FileOfThis);
        if (!Path.Exists(path))
            throw new IOException($"{path} is not there: keep a whole run first, without --filter and --decode");
        try
        {
            return BenchFile.Parse(RegularFile.ReadAllBytes(MaxFileBytes, path)) is { Machine: not null } file ? file : throw new JsonException("The file does not say on which machine it was measured.");
        }
        catch (JsonException error)
        {
            throw new IOException($"{path}: {error.Message}");
        }
    }

    private static IEnumerable<BenchCase> Matching(IEnumerable<BenchCase> cases, string filter) => cases.Where(item => item.ToString().Contains(filter, StringComparison.OrdinalIgnoreCase));

    private static void Keep(FileInfo? json, List<BenchResult> results)
    {
        if (json is not null)
            WholeFile.Write(json.FullName, new BenchFile { Results = [.. results] }.ToUtf8());
    }

    // The instruction sets beside this process' own, by the switch of the runtime that ends the wider ones; 128 bits have no fused multiply-add, and only rows that say how far behind they are.
    private static ImmutableArray<(string Switch, bool IsNarrow)> NarrowerSets =>
    [
        .. Vector512.IsHardwareAccelerated ? [("DOTNET_EnableAVX512", false)] : ImmutableArray<(string, bool)>.Empty,
        .. Vector256.IsHardwareAccelerated && RuntimeInformation.ProcessArchitecture == Architecture.X64 ? [("DOTNET_EnableAVX2", true)] : ImmutableArray<(string, bool)>.Empty,
    ];

    private static ImmutableArray<BenchCase> Rows(Choice choice) =>
    [
        .. choice.Keep ? BenchCase.Targets(choice.Threads, withBackward: false).Concat(BenchCase.Targets(choice.Threads, withBackward: true)) : BenchCase.Targets(choice.Threads, choice.Backward),
        .. choice.Small || choice.Keep ? BenchCase.Small(choice.Threads) : [],
        .. choice.Long || choice.Keep ? BenchCase.Long(choice.Threads) : [],
        .. choice.Curves ? BenchCase.Curves(choice.Backward) : [],
    ];

    // The peers choose their instructions themselves: beside one set they were measured, beside the other they would be the same.
    private static IEnumerable<string> Arguments(Choice choice, bool isNarrow) => isNarrow ? ["--alone", "--rounds", "2", "--threads", "1", "--filter", choice.Filter] :
    [
        "--alone", "--rounds", Text(choice.Rounds), "--threads", Text(choice.Threads), "--filter", choice.Filter,
        .. choice.Backward ? ["--backward"] : Array.Empty<string>(),
        .. choice.Small ? ["--small"] : Array.Empty<string>(),
        .. choice.Long ? ["--long"] : Array.Empty<string>(),
        .. choice.Curves ? ["--curves"] : Array.Empty<string>(),
        .. choice.Keep ? ["--keep"] : Array.Empty<string>(),
    ];

    // Of several processes, as a process has one first call only and its best counts as that of the rounds does.
    private static FirstCallResult FirstCall(int processes, (string Name, string Value)? variable, CancellationToken cancellation)
    {
        FirstCallResult[] calls = [.. Enumerable.Range(0, processes).SelectMany(_ => BenchChild.Run(["--first-call"], variable, cancellation).FirstCalls)];
        return calls.MinBy(call => call.FirstSeconds)! with { WarmSeconds = calls.Min(call => call.WarmSeconds) };
    }

    private static void Show(BenchFile file, bool withCurves)
    {
        Page.Write(Table(file.Results));
        if (file.Decode.Length > 0)
            DecodeView.Show(file.Decode);
        foreach (FirstCallResult call in file.FirstCalls)
            AnsiConsole.MarkupLineInterpolated(CultureInfo.InvariantCulture, $"First call of a process, {call.Bits} bits, {call.Case}: {call.FirstSeconds:F3} s, warm {call.WarmSeconds:F3} s, {call.CompileSeconds:F3} s of the first to compile {call.CompiledMethods} methods; {BenchTarget.Verdict(call)}.");
        if (file.Machine is { } machine)
            AnsiConsole.MarkupLineInterpolated(CultureInfo.InvariantCulture, $"{machine.Cpu}: FMA peak {machine.PeakGflops} GFLOP/s a core; {machine.MatrixProduct}{(machine.MatrixProductOfPeak is { } share ? $": {share:F2} of the peak" : "")}. Peers: {machine.Peers}.");
        if (!withCurves)
            return;
        AnsiConsole.Write(Chart("Seconds against N at G = 2048", file.Results.Where(row => row is { Heads: 2, GroupSize: 2048 }), row => row.Tokens));
        AnsiConsole.Write(Chart("Seconds against G at N = 8192", file.Results.Where(row => row is { Heads: 2, Tokens: 8192 }), row => row.GroupSize));
    }

    // What is through is kept after every row: whatever ends the next one, a signal that nobody can catch included, costs that row alone.
    private static List<BenchResult> Measure(ImmutableArray<BenchCase> cases, int rounds, string? torch, Action<List<BenchResult>> keep, CancellationToken cancellation)
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
                    results.Add(BenchRunner.Measure(benchCase, benchCase.Flops > LongFlops ? Math.Min(rounds, RoundsOfLong) : rounds, torch, cancellation));
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

    private static Table Table(ImmutableArray<BenchResult> results)
    {
        Table table = new Table().AddColumns("pass", "bits", "dtype", "H", "N", "G", "D", "threads", "GFLOP/s", "of peak", "vs 1 thread (peak)", "vs eager", "vs fused", "vs libtorch", "best s", "cold s", "median s", "spread", "bytes", "KiB/thread", "verdict");
        foreach (BenchResult row in results)
            table.AddRow(
                row.Pass, Text(row.Bits), row.Dtype, Text(row.Heads), Text(row.Tokens), Text(row.GroupSize), Text(row.HeadDim), Text(row.Threads), Text(row.Gflops, "F1"), Text(row.OfPeak, "F3"),
                row.VsOneThread is { } gain ? $"{Text(gain, "F2")}x ({Text(row.PeakVsOneCore ?? 0, "F2")}x)" : "-", Ratio(row.VsEager), Ratio(row.VsFused), Ratio(row.VsTorch), Text(row.BestSeconds, "G3"), Text(row.ColdSeconds ?? row.BestSeconds, "G3"), Text(row.MedianSeconds ?? row.BestSeconds, "G3"), Text(row.Spread, "P0"), Text(row.AllocatedBytes), Text((row.WorkspaceBytesPerThread ?? 0) / 1024), BenchTarget.Verdict(row, results));
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
