// How many rows hold of those that were asked, and in which words does a run end?
using System.Globalization;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Properties;
using S2Attn.Conformance.Running;

namespace S2Attn.Conformance.Reports;

/// <summary>Rows by what became of them. A row that a declaration rules out is none that holds, and none that fails.</summary>
/// <param name="Held">Every case that ran holds.</param>
/// <param name="Bad">They speak against conformance.</param>
/// <param name="Lacking">They show that a level is missing that the port does not claim.</param>
/// <param name="Stopped">They were not through when the run was stopped.</param>
/// <param name="NotAsked">The declaration leaves out what they need.</param>
/// <param name="Cases">Cases in all rows.</param>
public sealed record Tally(int Held, int Bad, int Lacking, int Stopped, int NotAsked, long Cases)
{
    /// <summary>Rows of which cases were put to somebody.</summary>
    public int Asked => Held + Bad + Lacking + Stopped;

    /// <summary>Counts rows.</summary>
    public static Tally Of(IEnumerable<PropertyResult> rows)
    {
        PropertyResult[] all = [.. rows];
        return new(
            all.Count(row => row.Outcome is Outcome.Holds),
            all.Count(row => row.IsBad),
            all.Count(row => row.Outcome is Outcome.Lacks),
            all.Count(row => row.Outcome is Outcome.Interrupted),
            all.Count(row => row.Outcome is Outcome.Unsupported),
            all.Sum(row => (long)row.Cases));
    }

    /// <summary>"20 of 28 rows hold, 2840 cases; 7 rows not asked, for the declaration leaves out what they need".</summary>
    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"{Held} of {Asked} rows hold{(Lacking == 0 ? "" : $" ({Lacking} {(Lacking == 1 ? "shows" : "show")} only that level 6 is missing)")}, {Cases} cases{(NotAsked == 0 ? "" : $"; {NotAsked} {(NotAsked == 1 ? "row" : "rows")} not asked, for the declaration leaves out what {(NotAsked == 1 ? "it needs" : "they need")}")}");
}

/// <summary>The words for the end of a run.</summary>
public static class ReportWords
{
    /// <summary>The verdict: "conforms", "conforms in the part that was checked", "does NOT conform", "stopped: the results are partial".</summary>
    public static string Verdict(Report report)
    {
        ArgumentNullException.ThrowIfNull(report);
        return !report.Complete ? "stopped: the results are partial"
            : !report.Conforms ? "does NOT conform"
            : report.Filter.Length > 0 ? "conforms in the part that was checked"
            : report.Ports is [var port] && port.Earned.IsEmpty ? "conforms as far as it could be asked, and earns no level"
            : "conforms";
    }

    /// <summary>"levels 1, 3 and 5", "level 1", "no level".</summary>
    public static string Levels(IReadOnlyList<PortLevel> levels)
    {
        ArgumentNullException.ThrowIfNull(levels);
        string[] numbers = [.. levels.Select(level => ((int)level).ToString(CultureInfo.InvariantCulture))];
        return numbers.Length switch
        {
            0 => "no level",
            1 => $"level {numbers[0]}",
            _ => $"levels {string.Join(", ", numbers[..^1])} and {numbers[^1]}",
        };
    }

    /// <summary>How a level stands: "earned", "not earned", "not shown", "not claimed", "not judged".</summary>
    public static string Standing(LevelStanding standing) => standing switch
    {
        LevelStanding.Earned => "earned",
        LevelStanding.Denied => "not earned",
        LevelStanding.Unproven => "not shown",
        LevelStanding.NotClaimed => "not claimed",
        LevelStanding.NotJudged => "not judged",
        _ => throw new ArgumentOutOfRangeException(nameof(standing), standing, "Unknown standing."),
    };
}
