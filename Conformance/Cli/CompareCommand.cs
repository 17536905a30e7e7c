// s2attn compare: what changed from one report to another, and did anything get worse?
using System.CommandLine;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Reports;
using S2Attn.Conformance.Running;
using S2Attn.Conformance.Validation;

namespace S2Attn.Cli;

internal static class CompareCommand
{
    private const int Worse = 1, BadUsage = 2;

    public static Command Create()
    {
        Argument<FileInfo> before = new("before.json") { Description = "The earlier report, written by s2attn check --json." };
        Argument<FileInfo> after = new("after.json") { Description = "The later report." };
        Command command = new(
            "compare", "Show what changed between two reports: rows that newly fail or hold, that are no longer claimed or there, and levels earned. Exit code: 0 nothing got worse, 1 something did, 2 bad usage or input.")
        {
            before, after,
        };
        command.SetAction(parsed =>
        {
            try
            {
                return Run(Read(parsed.GetRequiredValue(before)), Read(parsed.GetRequiredValue(after)));
            }
            catch (Exception error) when (error is FormatException or IOException or UnauthorizedAccessException)
            {
                Console.Error.WriteLine($"s2attn compare: {error.Message}");
                return BadUsage;
            }
        });
        return command;
    }

    private static int Run(ReportDigest before, ReportDigest after)
    {
        foreach ((string name, ReportDigest report) in new[] { ("before", before), ("after ", after) })
            Console.WriteLine($"{name}: {report.Tool}, {report.Draw}, {report.Rows.Count} rows{(report.Complete ? "" : "; STOPPED: the results are partial")}");
        if (before.Draw != after.Draw)
            Console.WriteLine("The two runs did not see the same cases.");
        ReportComparison comparison = ReportComparison.Of(before, after);
        foreach (IGrouping<RowChange, RowDifference> group in comparison.Rows.GroupBy(row => row.Change))
        {
            Console.WriteLine();
            Console.WriteLine($"{Title(group.Key)}:");
            foreach (RowDifference row in group)
                Console.WriteLine($"  {row.Row.ToString()}: {Word(row.Before)} -> {Word(row.After)}");
        }

        Console.WriteLine();
        foreach (LevelDifference port in comparison.Levels)
            Console.WriteLine($"{port.Subject}: levels earned {Levels(port.Before)} -> {Levels(port.After)}{(port.Lost.IsEmpty ? "" : $"; LOST {Levels(port.Lost)}")}");
        Console.WriteLine(comparison.IsWorse ? "something got worse" : comparison.Rows.IsEmpty ? "no row changed" : "nothing got worse");
        return comparison.IsWorse ? Worse : 0;
    }

    private static string Title(RowChange change) => change switch
    {
        RowChange.NewlyFails => "newly fails",
        RowChange.NoLongerClaimed => "held, and is newly unsupported",
        RowChange.NoLongerFinished => "held, and was stopped before it was through",
        RowChange.HeldAndVanished => "held, and is no longer in the report",
        RowChange.NewlyHolds => "newly holds",
        RowChange.Other => "changed otherwise",
        RowChange.New => "new row",
        RowChange.Vanished => "did not hold, and is no longer in the report",
        _ => throw new ArgumentOutOfRangeException(nameof(change), change, "Unknown change."),
    };

    private static string Word(IReadOnlyList<Outcome> outcome) => outcome is [var known] ? JsonReport.Word(known) : "none";

    private static string Levels(IReadOnlyCollection<PortLevel> levels) => levels.Count == 0 ? "none" : string.Join(" ", levels.Select(level => (int)level));

    private static ReportDigest Read(FileInfo file)
    {
        try
        {
            return ReportDigest.Parse(RegularFile.ReadAllBytes(ReportDigest.MaxBytes, file.FullName));
        }
        catch (FormatException error)
        {
            throw new FormatException($"{file}: {error.Message}", error);
        }
    }
}
