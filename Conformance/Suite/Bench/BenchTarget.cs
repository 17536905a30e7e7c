// Which figure is a row to reach, and did it?
using System.Globalization;
using S2Attn.Conformance.Protocol;

namespace S2Attn.Conformance.Bench;

/// <summary>The targets of docs/performance.md. They depend on the row alone, never on the machine.</summary>
public static class BenchTarget
{
    private const double FirstCall = 1.2;

    /// <summary>The share of the FMA peak that a row is to reach on one thread; absent where none is set.</summary>
    public static double? OfPeak(BenchResult row)
    {
        ArgumentNullException.ThrowIfNull(row);
        if (row.Threads > 1 || row.Dtype != ProtocolNames.Of(ElementType.F32))
            return null;
        bool both = row.Pass != "forward";
        return (row.Bits, row.Tokens, row.GroupSize, row.HeadDim) switch
        {
            (256, 8192, 2048, 128) => both ? 0.74 : 0.80,
            (256, 8192, 2048, 64) => both ? 0.69 : 0.75,
            (256, 8192, 512, 128) => both ? 0.68 : 0.73,
            (512, 8192, 2048, 128) when !both => 0.85,
            (256 or 512, 256, 64, 64) when !both => 0.45,
            (256 or 512, 2009, 49, 32) when !both => 0.40,
            (256 or 512, 3136, 49 or 64, 32) when !both => 0.40,
            _ => null,
        };
    }

    /// <summary>How many times faster several threads are to be than one; absent for one thread.</summary>
    public static double? VsOneThread(BenchResult row)
    {
        ArgumentNullException.ThrowIfNull(row);
        return row.VsOneThread is null ? null : row.Tokens >= 4096 ? 0.975 * row.Threads * (row.GroupSize < 2048 ? 1.9 / 1.95 : 1) : row.Tokens >= 256 ? 0.8 * row.Threads : 1;
    }

    /// <summary>One line: met, or by how much not.</summary>
    /// <param name="row">The row.</param>
    /// <param name="rows">All rows of the run: a half format is held against f32.</param>
    public static string Verdict(BenchResult row, IEnumerable<BenchResult> rows)
    {
        ArgumentNullException.ThrowIfNull(row);
        if (OfPeak(row) is { } share)
            return Verdict(row.OfPeak, share, "of peak");
        if (VsOneThread(row) is { } gain && row.VsOneThread is { } reached)
            return Verdict(reached, gain, "x one thread");
        return (row.VsSingle ?? OfRate(row, rows)) is { } rate ? Verdict(rate, 1, "x the rate of f32") : "-";
    }

    // By rows that were measured one after the other, where the same rounds had no f32.
    private static double? OfRate(BenchResult row, IEnumerable<BenchResult> rows) => row.Dtype == ProtocolNames.Of(ElementType.F32) ? null :
        row.OfPeak / rows.FirstOrDefault(other => other.Dtype == ProtocolNames.Of(ElementType.F32)
            && (other.Bits, other.Pass, other.Tokens, other.GroupSize, other.HeadDim, other.Threads) == (row.Bits, row.Pass, row.Tokens, row.GroupSize, row.HeadDim, row.Threads))?.OfPeak;

    /// <summary>The same for the first call of a process.</summary>
    public static string Verdict(FirstCallResult row)
    {
        ArgumentNullException.ThrowIfNull(row);
        return row.Ratio <= FirstCall ? $"met: {Text(row.Ratio)} of at most {Text(FirstCall)} warm calls" : $"missed: {Text(row.Ratio)} of at most {Text(FirstCall)} warm calls";
    }

    // As the tables show them: a figure that rounds to the target meets it.
    private static string Verdict(double reached, double target, string unit) =>
        $"{(Math.Round(reached, 2) >= Math.Round(target, 2) ? "met" : "missed")}: {Text(reached)} of {Text(target)} {unit}";

    private static string Text(double value) => value.ToString("F2", CultureInfo.InvariantCulture);
}
