// What is kept of a run: the machine, the peers, and every row. One file for each CPU in docs/benchmarks.
using System.Collections.Immutable;
using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.RegularExpressions;
using S2Attn.Conformance.Ports;
using S2Attn.Optimized;

namespace S2Attn.Conformance.Bench;

/// <summary>Where, when and of what a run was made.</summary>
public sealed partial record BenchMachine
{
    /// <summary>The processor by name; with family and model where the name is a hypervisor's.</summary>
    public required string Cpu { get; init; }

    /// <summary>Logical processors.</summary>
    public required int Cores { get; init; }

    /// <summary>The FMA peak of one core, in 1e9 FLOP/s.</summary>
    public required double PeakGflops { get; init; }

    /// <summary>Libraries that were measured beside the kernel, and those that are missing.</summary>
    public required string Peers { get; init; }

    /// <summary>The day, as 2026-01-31.</summary>
    public required string Date { get; init; }

    /// <summary>The commit that was built.</summary>
    public required string Commit { get; init; }

    /// <summary>A tuned matrix product over the peak; absent where there is none on the machine.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public double? MatrixProductOfPeak { get; init; }

    /// <summary>Which product.</summary>
    public string MatrixProduct { get; init; } = "";

    /// <summary>What a reader must know beside the figures.</summary>
    public string Remark { get; init; } = "";

    /// <summary>Describes this machine; it measures for about a second.</summary>
    /// <param name="torch">The interpreter whose PyTorch was a peer.</param>
    /// <exception cref="InvalidOperationException">It does not start.</exception>
    public static BenchMachine Describe(string? torch = null)
    {
        string libtorch = "libtorch was not asked for (--torch)";
        if (torch is not null)
        {
            using PythonTurns? turns = PythonTurns.OfFusedAttention(torch, BenchCase.Small(1)[0], out string answer);
            libtorch = turns is null ? $"libtorch is not measured ({answer})" : answer;
        }

        OnnxTelemetry.TurnOff();
        double peak = Enumerable.Range(0, 5).Max(_ => PeakFlops.Sustained(0.1));
        double? product = Blas.Measure(8, out string what);
        return new()
        {
            Cpu = CpuName(),
            Cores = Environment.ProcessorCount,
            PeakGflops = Math.Round(peak / 1e9, 1),
            Peers = $"ONNX Runtime {Microsoft.ML.OnnxRuntime.OrtEnv.Instance().GetVersionString()}; {libtorch}",
            Date = DateTime.UtcNow.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture),
            Commit = CommitOf(typeof(S2AttentionPlan).Assembly),
            MatrixProductOfPeak = product / peak,
            MatrixProduct = what,
        };
    }

    /// <summary>The name of this machine's file: lower-case letters, digits and hyphens.</summary>
    [JsonIgnore]
    public string FileName => FileOf(Cpu);

    /// <summary>The name of the file of the machine that this runs on.</summary>
    public static string FileOfThis => FileOf(CpuName());

    private static string FileOf(string cpu) => Others().Replace(cpu.ToLowerInvariant(), "-").Trim('-') + ".json";

    private static string CpuName()
    {
        const string Processors = "/proc/cpuinfo";
        ILookup<string, string> lines = (File.Exists(Processors) ? File.ReadAllLines(Processors) : [])
            .Select(line => line.Split(':', 2)).Where(parts => parts.Length == 2).ToLookup(parts => parts[0].Trim(), parts => parts[1].Trim());
        string? name = lines["model name"].FirstOrDefault();
        return name is null ? $"{RuntimeInformation.ProcessArchitecture} {RuntimeInformation.OSDescription}"
            : lines["cpu family"].FirstOrDefault() is { } family ? $"{name} (family {family}, model {lines["model"].FirstOrDefault()})" : name;
    }

    private static string CommitOf(Assembly assembly)
    {
        string version = assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "";
        int plus = version.IndexOf('+', StringComparison.Ordinal);
        return plus < 0 ? "unknown" : version[(plus + 1)..Math.Min(version.Length, plus + 10)];
    }

    [GeneratedRegex("[^a-z0-9]+")]
    private static partial Regex Others();
}

/// <summary>The first call of a process against a warm one.</summary>
/// <param name="Bits">Register width.</param>
/// <param name="Case">Which call.</param>
/// <param name="FirstSeconds">Time of the first.</param>
/// <param name="WarmSeconds">The best time of those behind it.</param>
/// <param name="CompileSeconds">What the runtime took during the first call to compile methods.</param>
/// <param name="CompiledMethods">How many they were.</param>
public sealed record FirstCallResult(int Bits, string Case, double FirstSeconds, double WarmSeconds, double CompileSeconds, int CompiledMethods)
{
    /// <summary>First over warm.</summary>
    [JsonIgnore]
    public double Ratio => FirstSeconds / WarmSeconds;
}

/// <summary>A run: what --json and --keep write.</summary>
public sealed record BenchFile
{
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web) { WriteIndented = true, NewLine = "\n" };

    /// <summary>Where the run was made; absent in what a child process answers.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public BenchMachine? Machine { get; init; }

    /// <summary>First calls, one for each instruction set.</summary>
    public ImmutableArray<FirstCallResult> FirstCalls { get; init; } = [];

    /// <summary>One token at a time, for each storage format and number of threads.</summary>
    public ImmutableArray<DecodeResult> Decode { get; init; } = [];

    /// <summary>The rows.</summary>
    public required ImmutableArray<BenchResult> Results { get; init; }

    /// <summary>Reads a file.</summary>
    /// <exception cref="JsonException">It is not one of these.</exception>
    public static BenchFile Parse(ReadOnlySpan<byte> utf8) => JsonSerializer.Deserialize<BenchFile>(utf8, Json) switch
    {
        null => throw new JsonException("The file holds null."),
        { } file when Lacks(file.Results) || Lacks(file.Decode) || Lacks(file.FirstCalls) => throw new JsonException("A list of rows is null, or holds null."),
        var file => file,
    };

    private static bool Lacks<TRow>(ImmutableArray<TRow> rows)
        where TRow : class => rows.IsDefault || rows.Contains(null!);

    /// <summary>This file with what a later run on the same machine measured again in its place; the remark says what, when and of which commit.</summary>
    /// <param name="later">The run.</param>
    public BenchFile With(BenchFile later)
    {
        ArgumentNullException.ThrowIfNull(later);
        BenchMachine? machine = Machine;
        if (Machine is not null && later.Machine is { } again)
        {
            string told = $"On {again.Date} at commit {again.Commit} measured again: ", rows = string.Join(", ", Again(later));
            machine = Machine with { Remark = Machine.Remark.Contains(told, StringComparison.Ordinal) ? $"{Machine.Remark.TrimEnd('.')}, {rows}." : $"{Machine.Remark} {told}{rows}.".TrimStart() };
        }

        return this with
        {
            Machine = machine,
            Results = Replaced(Results, later.Results, row => (row.Pass, row.Bits, row.Dtype, row.Batch, row.Heads, row.KvHeads, row.Tokens, row.GroupSize, row.HeadDim, row.Threads)),
            Decode = Replaced(Decode, later.Decode, row => (row.Bits, row.Dtype, row.Threads, row.Keys)),
            FirstCalls = Replaced(FirstCalls, later.FirstCalls, call => (call.Bits, call.Case)),
        };
    }

    private static IEnumerable<string> Again(BenchFile later)
    {
        foreach (IGrouping<string, BenchResult> rows in later.Results.GroupBy(row => $"{row.Dtype} N = {row.Tokens} G = {row.GroupSize} D = {row.HeadDim}"))
            yield return rows.Key;
        if (later.Decode.Length > 0)
            yield return "one token at a time";
        if (later.FirstCalls.Length > 0)
            yield return "first calls";
    }

    private static ImmutableArray<TRow> Replaced<TRow, TKey>(ImmutableArray<TRow> rows, ImmutableArray<TRow> later, Func<TRow, TKey> keyOf)
        where TKey : notnull
    {
        Dictionary<TKey, TRow> byKey = later.ToDictionary(keyOf);
        HashSet<TKey> known = [.. rows.Select(keyOf)];
        return [.. rows.Select(row => byKey.GetValueOrDefault(keyOf(row), row)), .. later.Where(row => !known.Contains(keyOf(row)))];
    }

    /// <summary>The file's bytes.</summary>
    public byte[] ToUtf8() => JsonSerializer.SerializeToUtf8Bytes(this, Json);
}

/// <summary>The tables of README and docs/performance.md, generated from the files that are kept.</summary>
public static class BenchTables
{
    /// <summary>The rows of the targets on f32, a table for each machine.</summary>
    public static string Short(IEnumerable<BenchFile> files) => Markdown(files, row => row is { Tokens: 8192, Heads: 8 } && row.Dtype == "f32", withVerdict: false);

    /// <summary>Every row with its verdict, and the first calls.</summary>
    public static string Full(IEnumerable<BenchFile> files) => Markdown(files, _ => true, withVerdict: true);

    /// <summary>One token at a time against the cache, a table for each machine that has measured it.</summary>
    public static string Decode(IEnumerable<BenchFile> files)
    {
        StringBuilder text = new();
        foreach (BenchFile file in files.Where(file => file.Decode.Length > 0))
        {
            if (text.Length > 0)
                text.Append('\n');
            text.Append(CultureInfo.InvariantCulture, $"**{file.Machine?.Cpu}**, {file.Machine?.Date}, commit {file.Machine?.Commit}.\n\n| bits | dtype | threads | cached keys | a token | GB/s of the cache | GB/s of plain reading | of bandwidth | of medians | vs ONNX Runtime | chunks of 512 vs one call |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n");
            foreach (DecodeResult row in file.Decode)
                text.Append(CultureInfo.InvariantCulture, $"| {row.Bits} | {row.Dtype} | {row.Threads} | {row.Keys} | {Time(row.StepMicroseconds / 1e6)} | {row.CacheBytes / row.StepMicroseconds / 1e3:F1} | {row.ReadBandwidth / 1e9:F1} | {Text(row.OfBandwidth)} | {Text(row.MedianOfBandwidth)} | {Times(row.VsOnnx, "F1")} | {(row.ChunkedOfWhole is { } share ? Text(share) : "-")} |\n");
        }

        return text.ToString();
    }

    private static string Markdown(IEnumerable<BenchFile> files, Func<BenchResult, bool> selects, bool withVerdict)
    {
        StringBuilder text = new();
        foreach (BenchFile file in files)
        {
            BenchMachine machine = file.Machine ?? throw new ArgumentException("A file that is kept names its machine.", nameof(files));
            if (text.Length > 0)
                text.Append('\n');
            text.Append(CultureInfo.InvariantCulture, $"**{machine.Cpu}**, {machine.Cores} cores, FMA peak {machine.PeakGflops} GFLOP/s a core; {machine.Date}, commit {machine.Commit}; peers: {machine.Peers}.");
            if (machine.MatrixProduct.Length > 0)
                text.Append(CultureInfo.InvariantCulture, $" {char.ToUpperInvariant(machine.MatrixProduct[0])}{machine.MatrixProduct[1..]}{(machine.MatrixProductOfPeak is { } share ? $": {Text(share)} of the peak" : "")}.");
            if (machine.Remark.Length > 0)
                text.Append(CultureInfo.InvariantCulture, $" {machine.Remark}");
            text.Append("\n\n| pass | bits | dtype | H | N | G | D | threads | time | cold | GFLOP/s | of peak | vs 1 thread | vs eager | vs fused | vs libtorch | spread | bytes allocated |").Append(withVerdict ? " verdict |\n" : "\n");
            text.Append(string.Concat(Enumerable.Repeat("| --- ", withVerdict ? 19 : 18))).Append("|\n");
            foreach (BenchResult row in file.Results.Where(selects))
            {
                text.Append(CultureInfo.InvariantCulture, $"| {row.Pass} | {row.Bits} | {row.Dtype} | {row.Heads}{(row.KvHeads != row.Heads && row.KvHeads > 0 ? $" (K = {row.KvHeads})" : "")} | {row.Tokens} | {row.GroupSize} | {row.HeadDim} | {row.Threads} | {Time(row.BestSeconds)} | {(row.ColdSeconds is { } cold ? Time(cold) : "-")} | {row.Gflops:F0} | {Text(row.OfPeak)} | {Times(row.VsOneThread, "F2")} | {Times(row.VsEager, "F1")} | {Times(row.VsFused, "F1")} | {Times(row.VsTorch, "F1")} | {row.Spread * 100:F0} % | {row.AllocatedBytes} |");
                text.Append(withVerdict ? $" {BenchTarget.Verdict(row, file.Results)} |\n" : "\n");
            }

            foreach (FirstCallResult first in withVerdict ? file.FirstCalls : [])
                text.Append(CultureInfo.InvariantCulture, $"\nFirst call of a process, {first.Bits} bits, {first.Case}: {Time(first.FirstSeconds)} where a warm one takes {Time(first.WarmSeconds)}; {(first.CompiledMethods > 0 ? $"{Time(first.CompileSeconds)} of it compile {first.CompiledMethods} methods; " : "")}{BenchTarget.Verdict(first)}.\n");
        }

        return text.ToString();
    }

    private static string Time(double seconds) => seconds < 0.01 ? (seconds * 1e6).ToString("F0", CultureInfo.InvariantCulture) + " us" : (seconds * 1e3).ToString("F0", CultureInfo.InvariantCulture) + " ms";

    private static string Times(double? ratio, string format) => ratio is { } value ? value.ToString(format, CultureInfo.InvariantCulture) + "x" : "-";

    private static string Text(double value) => value.ToString("F2", CultureInfo.InvariantCulture);
}
