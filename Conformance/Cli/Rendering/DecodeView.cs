// What does s2attn bench --decode print?
using System.Globalization;
using S2Attn.Conformance.Bench;
using S2Attn.Conformance.Validation;
using S2Attn.Optimized;
using Spectre.Console;

namespace S2Attn.Cli.Rendering;

internal static class DecodeView
{
    private const int Keys = 8192, RoundsOfOne = 10;

    /// <summary>Measures f32, bf16 and f16 on one thread and on several, and prints a table of ratios.</summary>
    public static int Run(int rounds, int threads, bool alone, FileInfo? json, CancellationToken cancellation)
    {
        try
        {
            if (json is not null)
                WholeFile.CheckWritable(json.FullName);
            List<DecodeResult> rows = Measure(rounds, threads, alone, cancellation);
            Show(rows);
            if (json is not null)
                WholeFile.Write(json.FullName, new BenchFile { Results = [], Decode = [.. rows] }.ToUtf8());
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            Console.Error.WriteLine($"s2attn bench: --json {json}: {error.Message}");
            return 2;
        }

        return cancellation.IsCancellationRequested ? ExitCode.Trouble : ExitCode.Holds;
    }

    /// <summary>The rows that were measured before the run was stopped.</summary>
    public static List<DecodeResult> Measure(int rounds, int threads, bool alone, CancellationToken cancellation)
    {
        List<DecodeResult> rows = [];
        try
        {
            foreach (int count in new[] { 1, threads }.Distinct())
            {
                rows.Add(DecodeBench.Measure(Keys, count, RoundsOfOne * rounds, !alone, value => value, cancellation));
                rows.Add(DecodeBench.Measure(Keys, count, RoundsOfOne * rounds, !alone, value => (BFloat16)value, cancellation));
                rows.Add(DecodeBench.Measure(Keys, count, RoundsOfOne * rounds, !alone, value => (Half)value, cancellation));
            }
        }
        catch (OperationCanceledException)
        {
            Console.Error.WriteLine($"s2attn bench: stopped: {rows.Count} rows were measured.");
        }

        return rows;
    }

    /// <summary>Prints the table.</summary>
    public static void Show(IEnumerable<DecodeResult> rows)
    {
        if (Console.IsOutputRedirected)
            AnsiConsole.Profile.Width = BenchCommand.WidthOfFiles;
        Table table = new Table().AddColumns("bits", "dtype", "threads", "cached keys", "us a token", "GB/s", "read GB/s", "of bandwidth", "of medians", "chunks of 512 vs one call", "vs ONNX Runtime");
        foreach (DecodeResult row in rows)
            table.AddRow(
                Text(row.Bits, "F0"), row.Dtype, Text(row.Threads, "F0"), Text(row.Keys, "F0"), Text(row.StepMicroseconds, "F0"), Text(row.CacheBytes / row.StepMicroseconds / 1e3, "F1"), Text(row.ReadBandwidth / 1e9, "F1"),
                Text(row.OfBandwidth, "F2"), Text(row.MedianOfBandwidth, "F2"), row.ChunkedOfWhole is { } ratio ? Text(ratio, "F2") : "-", row.VsOnnx is { } times ? Text(times, "F1") + "x" : "-");
        Page.Write(table);

        static string Text(double value, string format) => value.ToString(format, CultureInfo.InvariantCulture);
    }
}
