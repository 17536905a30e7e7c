// How long may the suite's own work for a row go on?
using System.Diagnostics;

namespace S2Attn.Conformance.Properties;

/// <summary>The time of a row, apart from the time in the port, against its limit.</summary>
/// <param name="limit">The longest that the suite's own work may take.</param>
/// <param name="cancellation">Ends the row at once.</param>
public sealed class RowClock(TimeSpan limit, CancellationToken cancellation)
{
    private readonly Stopwatch row = Stopwatch.StartNew(), inPort = new();

    /// <summary>How a reason begins that is none of a declaration.</summary>
    public const string BySuite = "suite:";

    /// <summary>Why a case of a row that is over was not put to the port.</summary>
    public const string RowLimit = BySuite + "row limit", Stopped = BySuite + "stopped";

    /// <summary>A clock without a limit.</summary>
    public static RowClock Unlimited => new(TimeSpan.MaxValue, CancellationToken.None);

    /// <summary>Since the row began.</summary>
    public TimeSpan Elapsed => row.Elapsed;

    /// <summary>Whether its suite was told to stop, or it has had its time.</summary>
    public bool IsOver(out string reason)
    {
        reason = cancellation.IsCancellationRequested ? Stopped : row.Elapsed - inPort.Elapsed > limit ? RowLimit : "";
        return reason.Length > 0;
    }

    /// <summary>Waits for a port; the time is not the suite's.</summary>
    public T InPort<T>(Func<T> ask)
    {
        ArgumentNullException.ThrowIfNull(ask);
        inPort.Start();
        try
        {
            return ask();
        }
        finally
        {
            inPort.Stop();
        }
    }
}
