// How does a run show on a terminal, and in a file or pipe?
using System.Globalization;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Properties;
using S2Attn.Conformance.Reports;
using S2Attn.Conformance.Running;
using Spectre.Console;

namespace S2Attn.Cli.Rendering;

/// <summary>Shows events while they come.</summary>
internal static class CheckView
{
    private const int LevelColumn = 30, ReasonsShown = 8, FailuresOfOneBug = 3, FailuresShown = 8;

    /// <summary>Passes the events through to the end, and gives the rows. A terminal gets a progress bar for each subject, a file or pipe a line when a subject is through.</summary>
    /// <param name="verbose">Whether each row is a line of its own.</param>
    /// <param name="parts">What is checked.</param>
    /// <param name="all">What happens.</param>
    /// <returns>The rows, and what kept others from being had.</returns>
    public static (IReadOnlyList<PropertyResult> Results, IReadOnlyList<SuiteEvent.Troubled> Troubles) Show(bool verbose, IReadOnlyList<CheckPart> parts, IEnumerable<SuiteEvent> all)
    {
        List<PropertyResult> results = [];
        List<SuiteEvent.Troubled> troubles = [];
        IEnumerable<SuiteEvent> events = all.Where(step =>
        {
            if (step is SuiteEvent.Troubled troubled)
                troubles.Add(troubled);
            return step is not SuiteEvent.Troubled;
        });
        if (verbose || Console.IsOutputRedirected || !AnsiConsole.Profile.Capabilities.Interactive)
        {
            foreach (PropertyResult result in events.OfType<SuiteEvent.Finished>().Select(finished => finished.Result))
            {
                results.Add(result);
                if (verbose)
                    ShowRow(result);
                else if (parts.Any(part => part.Subject == result.Subject && part.Rows == results.Count(row => row.Subject == part.Subject)))
                    Page.Write($"{result.Subject}: {Tally.Of(results.Where(row => row.Subject == result.Subject))}");
            }

            return (results, troubles);
        }

        AnsiConsole.Progress().AutoClear(true).Start(context =>
        {
            Dictionary<string, ProgressTask> bars = parts.ToDictionary(part => part.Subject, part => context.AddTask(Markup.Escape(part.Subject), maxValue: Math.Max(1, part.Rows)));
            foreach (SuiteEvent step in events)
            {
                switch (step)
                {
                    case SuiteEvent.Started started:
                        bars[started.Subject].Description = Markup.Escape($"{started.Subject}: {started.Name}");
                        break;
                    case SuiteEvent.Progressed progressed:
                        ProgressTask bar = bars[progressed.Subject];
                        bar.Value = Math.Floor(bar.Value) + Math.Min(0.99, (double)progressed.Done / progressed.Cases);
                        break;
                    case SuiteEvent.Finished finished:
                        bars[finished.Result.Subject].Value = Math.Floor(bars[finished.Result.Subject].Value) + 1;
                        results.Add(finished.Result);
                        break;
                }
            }
        });
        return (results, troubles);
    }

    /// <summary>Does what may take a minute after the rows are through; a terminal shows that it goes on.</summary>
    public static T Explaining<T>(string subject, Func<T> work) => Console.IsOutputRedirected || !AnsiConsole.Profile.Capabilities.Interactive
        ? work()
        : AnsiConsole.Status().Start(Markup.Escape($"{subject}: looking for what explains it; with a wrong port this may take longer than the rows"), _ => work());

    /// <summary>What was found: of each port what is wrong, its failures with their smallest cases, and its levels; then the verdict.</summary>
    public static void Summarise(bool verbose, Report report)
    {
        foreach (ReportPort port in report.Ports)
            ShowPort(verbose, report, port);
        ShowFailures(int.MaxValue, [.. report.Results.Where(row => report.Ports.All(port => port.Subject != row.Subject))]);
        ShowVariants(verbose, report);
        Page.Gap();
        string earned = report.Filter.Length == 0 && report.Complete && report.Ports is [var only] ? $", {ReportWords.Levels(only.Earned)} earned" : "";
        Page.Write(string.Create(
            CultureInfo.InvariantCulture,
            $"{ReportWords.Verdict(report)}{earned}: {Tally.Of(report.Results)}; {report.Elapsed.TotalSeconds:0.0} s. The same cases again: --seed {report.Seed} --cases {report.Cases}{(report.Filter.Length > 0 ? $" --filter {(report.Filter.Contains(' ', StringComparison.Ordinal) ? $"\"{report.Filter}\"" : report.Filter)}" : "")}"));
    }

    private static void ShowPort(bool verbose, Report report, ReportPort port)
    {
        PropertyResult[] rows = [.. report.Results.Where(row => row.Subject == port.Subject)];
        Page.Gap();
        Page.Write($"{port.Subject} {port.Description.Version} ({port.Description.Language})");
        if (!port.Diagnosis.IsEmpty)
        {
            Page.Gap();
            foreach (string sentence in port.Diagnosis.SelectMany(diagnosis => diagnosis.Sentences))
                Page.Write(sentence, 2);
            if (port.Diagnosis.Any(diagnosis => !diagnosis.Report.IsEmpty))
                Page.Write("See it drawn beside the definition: s2attn xray, with the same port.", 2);
        }

        // Where one bug explains them all, a few rows show it; every one of them stands in the files.
        ShowFailures(verbose ? int.MaxValue : port.Diagnosis.Any(diagnosis => !diagnosis.Names.IsEmpty) ? FailuresOfOneBug : FailuresShown, rows);
        Page.Gap();
        Page.Write("levels, with the cases that held of each kind they rest on:", 2);
        foreach (LevelJudgement level in port.Levels)
            Page.Write($"{(int)level.Level} {level.Level.Title()}", LevelWords(level), 4, LevelColumn);
        ILookup<bool, (string Reason, int Cases)> leftOut = rows.SelectMany(row => row.Unsupported).GroupBy(pair => pair.Key, pair => pair.Value)
            .Select(same => (Reason: same.Key, Cases: same.Sum())).OrderByDescending(item => item.Cases).ToLookup(item => item.Reason.StartsWith(RowClock.BySuite, StringComparison.Ordinal));
        ShowLeftOut("random cases that had to be changed or left out, by what the declaration rules out (a case may count more than once):", [.. leftOut[false]]);
        ShowLeftOut("random cases that s2attn itself left out:", [.. leftOut[true]]);
    }

    private static void ShowLeftOut(string title, (string Reason, int Cases)[] reasons)
    {
        if (reasons.Length > 0)
            Page.Write($"{title} {string.Join(", ", reasons.Take(ReasonsShown).Select(reason => $"{reason.Reason} {reason.Cases}"))}{(reasons.Length > ReasonsShown ? ", ..." : "")}", 2);
    }

    private static string LevelWords(LevelJudgement level) => level.Standing switch
    {
        LevelStanding.Earned => $"earned ({level.EvidenceWords})",
        var standing => $"{ReportWords.Standing(standing)}: {level.Reason}",
    };

    private static void ShowFailures(int most, IReadOnlyList<PropertyResult> rows)
    {
        PropertyResult[] failures = [.. rows.Where(row => row.IsBad || row.Outcome is Outcome.Lacks)];
        foreach (PropertyResult row in failures.Take(most))
        {
            Page.Gap();
            Page.Write($"{row.Subject}: {row.Name} {Words(row.Outcome)}", 2);
            foreach (Counterexample example in row.Counterexample)
            {
                Page.Write("claim", row.Statement + (row.Region == "everywhere" ? "" : $" ({row.Region})"), 4, 11);
                if (example.Case.Length > 0)
                    Page.Write("case", example.Case, 4, 11);
                Page.Write("found", example.Reason, 4, 11);
            }
        }

        if (failures.Length > most)
        {
            Page.Gap();
            Page.Write($"{failures.Length - most} more rows do not hold (each in full: --verbose): {string.Join(", ", failures.Skip(most).Select(row => row.Name))}", 2);
        }
    }

    private static string Words(Outcome outcome) => outcome switch
    {
        Outcome.PortFailed => "gets no tensors",
        Outcome.Lacks => "does not hold; only level 6 asks for it, which the port does not claim",
        _ => JsonReport.Word(outcome),
    };

    private static void ShowVariants(bool verbose, Report report)
    {
        if (report.Variants.IsEmpty)
            return;
        ReportVariant[] missed = [.. report.Variants.Where(variant => variant.CaughtBy.IsEmpty)];
        Page.Gap();
        Page.Write($"known deviations of other code: {report.Variants.Length - missed.Length} of {report.Variants.Length} are caught by the properties that were run{(missed.Length == 0 ? "" : $", and not {string.Join(", ", missed.Select(variant => variant.Name))}")}{(verbose ? ":" : " (each: --verbose)")}");
        if (!verbose)
            return;
        foreach (ReportVariant variant in report.Variants)
        {
            Page.Write($"{variant.Name}: {variant.Difference}", 2);
            Page.Write($"caught by {(variant.CaughtBy.IsEmpty ? "nothing that was run" : string.Join(", ", variant.CaughtBy))}", 4);
            foreach (Counterexample example in variant.Example)
                Page.Write($"e.g. {example.Case}: {example.Reason}", 4);
        }
    }

    private static void ShowRow(PropertyResult row)
    {
        string found = row.Counterexample.IsEmpty ? "" : $"  {row.Counterexample[0].Case}: {row.Counterexample[0].Reason}";
        string unsupported = row.Outcome is Outcome.Unsupported ? $"  {string.Join(", ", row.Unsupported.Keys)}" : "";
        Page.Write(JsonReport.Word(row.Outcome), string.Create(CultureInfo.InvariantCulture, $"{row.Subject} {row.Name}, {row.Cases} cases, {row.Elapsed.TotalSeconds:0.00} s{unsupported}{found}"), 0, 12);
    }
}
