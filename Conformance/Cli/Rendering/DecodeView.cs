// What does s2attn bench --decode print?
using System.Globalization;
using S2Attn.Conformance.Bench;
using S2Attn.Optimized;
using Spectre.Console;

namespace S2Attn.Cli.Rendering;

internal static class DecodeView
{
    private const int Keys = 8192, RoundsOfOne = 10;

    /// <summary>Measures f32, bf16 and f16 on one thread and on several, and prints a table of ratios.</summary>
    public static int Run(int rounds, int threads, bool alone, CancellationToken cancellation)
    {
        if (rounds < 1 || threads < 1)
        {
            Console.Error.WriteLine($"s2attn bench: --rounds {rounds} and --threads {threads} must be at least 1.");
            return 2;
        }

        if (Console.IsOutputRedirected)
            AnsiConsole.Profile.Width = 180;
        Table table = new Table().AddColumns("dtype", "threads", "cached keys", "us a token", "GB/s", "read GB/s", "of bandwidth", "of medians", "chunks of 512 vs one call");
        try
        {
            foreach (int count in new[] { 1, threads }.Distinct())
            {
                Add(DecodeBench.Measure(Keys, count, RoundsOfOne * rounds, !alone, value => value, cancellation));
                Add(DecodeBench.Measure(Keys, count, RoundsOfOne * rounds, !alone, value => (BFloat16)value, cancellation));
                Add(DecodeBench.Measure(Keys, count, RoundsOfOne * rounds, !alone, value => (Half)value, cancellation));
            }
        }
        catch (OperationCanceledException)
        {
            Console.Error.WriteLine($"s2attn bench: stopped: {table.Rows.Count} rows were measured.");
        }

        AnsiConsole.Write(table);
        return cancellation.IsCancellationRequested ? ExitCode.Trouble : ExitCode.Holds;

        void Add(DecodeResult row) => table.AddRow(
            row.Dtype, Text(row.Threads, "F0"), Text(row.Keys, "F0"), Text(row.StepMicroseconds, "F0"), Text(row.CacheBytes / row.StepMicroseconds / 1e3, "F1"), Text(row.ReadBandwidth / 1e9, "F1"),
            Text(row.OfBandwidth, "F2"), Text(row.MedianOfBandwidth, "F2"), row.ChunkedOfWhole is { } ratio ? Text(ratio, "F2") : "-");

        static string Text(double value, string format) => value.ToString(format, CultureInfo.InvariantCulture);
    }
}
