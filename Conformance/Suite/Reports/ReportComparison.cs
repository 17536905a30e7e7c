// What changed from one report to another, and did anything get worse?
using System.Collections.Immutable;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Running;

namespace S2Attn.Conformance.Reports;

/// <summary>How a row changed.</summary>
public enum RowChange
{
    /// <summary>It fails, and did not, or was not there.</summary>
    NewlyFails,

    /// <summary>It held, and is no longer claimed.</summary>
    NoLongerClaimed,

    /// <summary>It held, and its run was stopped.</summary>
    NoLongerFinished,

    /// <summary>It held, and is no longer there.</summary>
    HeldAndVanished,

    /// <summary>It holds, and did not.</summary>
    NewlyHolds,

    /// <summary>It neither held nor holds, and is something else than it was.</summary>
    Other,

    /// <summary>It was not there, and does not fail.</summary>
    New,

    /// <summary>It did not hold, and is no longer there.</summary>
    Vanished,
}

/// <summary>A row that changed; an outcome is empty where the report has no such row.</summary>
public sealed record RowDifference(ReportRow Row, RowChange Change, ImmutableArray<Outcome> Before, ImmutableArray<Outcome> After);

/// <summary>A port's levels; empty where it earned none, or where the report has no such port.</summary>
public sealed record LevelDifference(string Subject, ImmutableArray<PortLevel> Before, ImmutableArray<PortLevel> After)
{
    /// <summary>Those that it no longer earns.</summary>
    public ImmutableArray<PortLevel> Lost => [.. Before.Except(After)];
}

/// <summary>The changes between two reports.</summary>
/// <param name="Rows">Rows that changed, worst first, then by subject and name.</param>
/// <param name="Levels">Every port of either report.</param>
public sealed record ReportComparison(ImmutableArray<RowDifference> Rows, ImmutableArray<LevelDifference> Levels)
{
    /// <summary>Whether a row fails that did not, a row that held no longer does, for whatever reason, or a port lost a level.</summary>
    public bool IsWorse => Rows.Any(row => IsWorsening(row.Change)) || Levels.Any(port => !port.Lost.IsEmpty);

    /// <summary>Whether the change is for the worse. A row that failed and is no longer claimed or asked is not: it never counted.</summary>
    public static bool IsWorsening(RowChange change) =>
        change is RowChange.NewlyFails or RowChange.NoLongerClaimed or RowChange.NoLongerFinished or RowChange.HeldAndVanished;

    /// <summary>Compares two reports. Rows and ports are the same where their names are.</summary>
    public static ReportComparison Of(ReportDigest before, ReportDigest after)
    {
        ArgumentNullException.ThrowIfNull(before);
        ArgumentNullException.ThrowIfNull(after);
        return new(
            [
                .. from row in before.Rows.Keys.Union(after.Rows.Keys)
                   let difference = new RowDifference(row, Change(At(before, row), At(after, row)), At(before, row), At(after, row))
                   where !difference.Before.SequenceEqual(difference.After)
                   orderby difference.Change, row.Subject, row.Name
                   select difference,
            ],
            [
                .. from subject in before.Earned.Keys.Union(after.Earned.Keys).Order(StringComparer.Ordinal)
                   select new LevelDifference(subject, before.Earned.GetValueOrDefault(subject, []), after.Earned.GetValueOrDefault(subject, [])),
            ]);

        static ImmutableArray<Outcome> At(ReportDigest report, ReportRow row) => report.Rows.TryGetValue(row, out Outcome outcome) ? [outcome] : [];
    }

    private static RowChange Change(ImmutableArray<Outcome> before, ImmutableArray<Outcome> after) => (before, after) switch
    {
        ([Outcome.Holds], [Outcome.Unsupported]) => RowChange.NoLongerClaimed,
        ([Outcome.Holds], [Outcome.Interrupted]) => RowChange.NoLongerFinished,
        ([Outcome.Holds], []) => RowChange.HeldAndVanished,
        ([Outcome.Holds], [Outcome.Lacks]) => RowChange.NewlyFails,
        (not [Outcome.Fails or Outcome.PortFailed], [Outcome.Fails or Outcome.PortFailed]) => RowChange.NewlyFails,
        ([], _) => RowChange.New,
        (_, []) => RowChange.Vanished,
        (_, [Outcome.Holds]) => RowChange.NewlyHolds,
        _ => RowChange.Other,
    };
}
