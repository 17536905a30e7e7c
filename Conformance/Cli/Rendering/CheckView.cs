// How does a run show on a terminal, and in a file or pipe?
using System.Globalization;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Reports;
using S2Attn.Conformance.Running;
using Spectre.Console;

namespace S2Attn.Cli.Rendering;

/// <summary>Shows events while they come.</summary>
internal static class CheckView
{
    /// <summary>Passes the events through to the end, and gives the rows. A terminal gets a progress bar for each subject, else each row is one line.</summary>
    /// <returns>The rows, and what kept others from being had.</returns>
    public static (IReadOnlyList<PropertyResult> Results, IReadOnlyList<SuiteEvent.Troubled> Troubles) Show(IReadOnlyList<CheckPart> parts, IEnumerable<SuiteEvent> all)
    {
        List<PropertyResult> results = [];
        List<SuiteEvent.Troubled> troubles = [];
        IEnumerable<SuiteEvent> events = all.Where(step =>
        {
            if (step is SuiteEvent.Troubled troubled)
                troubles.Add(troubled);
            return step is not SuiteEvent.Troubled;
        });
        if (Console.IsOutputRedirected || !AnsiConsole.Profile.Capabilities.Interactive)
        {
            foreach (PropertyResult result in events.OfType<SuiteEvent.Finished>().Select(finished => finished.Result))
            {
                results.Add(result);
                WriteLine(result);
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

    /// <summary>What was found, in full.</summary>
    public static void Summarise(Report report)
    {
        if (!Console.IsOutputRedirected)
            foreach (IGrouping<string, PropertyResult> subject in report.Results.GroupBy(result => result.Subject))
                AnsiConsole.Write(TableOf(subject));
        foreach (PropertyResult result in report.Results.Where(result => result.IsBad))
        {
            Counterexample example = result.Counterexample[0];
            Console.WriteLine();
            Console.WriteLine($"{result.Subject}: {result.Name} {JsonReport.Word(result.Outcome)}");
            Console.WriteLine($"  claim: {result.Statement} ({result.Region})");
            Console.WriteLine($"  case:  {example.Case}");
            Console.WriteLine($"  found: {example.Reason}");
        }

        ShowVariants(report);
        ShowPorts(report);
        string verdict = report.Conforms ? "conforms" : report.Complete ? "does NOT conform" : "stopped: the results are partial";
        Console.WriteLine();
        Console.WriteLine($"{verdict}: {report.Results.Count(result => result.Outcome is Outcome.Holds)} of {report.Results.Length} rows hold, {report.Results.Sum(result => (long)result.Cases)} cases in {report.Elapsed.TotalSeconds:0.0} s. The same cases again: --seed {report.Seed} --cases {report.Cases}");
    }

    private static void ShowPorts(Report report)
    {
        foreach (ReportPort port in report.Ports)
        {
            Console.WriteLine();
            Console.WriteLine($"{port.Subject} {port.Description.Version} ({port.Description.Language}): levels claimed {Levels(port.Claimed)}; earned {Levels(port.Earned)}");
            var unsupported = report.Results.Where(result => result.Subject == port.Subject).SelectMany(result => result.Unsupported)
                .GroupBy(pair => pair.Key, pair => pair.Value).OrderByDescending(reason => reason.Sum()).ToList();
            if (unsupported.Count > 0)
                Console.WriteLine($"  drawn cases that it does not claim, by reason: {string.Join(", ", unsupported.Select(reason => $"{reason.Key} {reason.Sum()}"))}");
            foreach (string sentence in port.Diagnosis.SelectMany(diagnosis => diagnosis.Sentences))
                Console.WriteLine($"  {sentence}");
            if (!port.Diagnosis.IsEmpty)
                Console.WriteLine("  See it drawn beside the definition: s2attn xray, with the same port.");
        }
    }

    private static string Levels(IReadOnlyCollection<PortLevel> levels) =>
        levels.Count == 0 ? "none" : string.Join(", ", levels.Select(level => $"{(int)level} {level.Title()}"));

    private static void ShowVariants(Report report)
    {
        if (report.Variants.IsEmpty)
            return;
        Console.WriteLine();
        Console.WriteLine("What known deviations of other code do:");
        foreach (ReportVariant variant in report.Variants)
        {
            Console.WriteLine($"  {variant.Name}: {variant.Difference}");
            Console.WriteLine($"    caught by {(variant.CaughtBy.IsEmpty ? "nothing that was run" : string.Join(", ", variant.CaughtBy))}");
            foreach (Counterexample example in variant.Example)
                Console.WriteLine($"    e.g. {example.Case}: {example.Reason}");
        }
    }

    private static void WriteLine(PropertyResult result)
    {
        string found = result.Counterexample.IsEmpty ? "" : $"  {result.Counterexample[0].Case}: {result.Counterexample[0].Reason}";
        string unsupported = result.Outcome is Outcome.Unsupported ? $"  {string.Join(", ", result.Unsupported.Keys)}" : "";
        Console.WriteLine($"{JsonReport.Word(result.Outcome),-11} {result.Subject}  {result.Name}  {result.Cases} cases  {result.Elapsed.TotalSeconds:0.00} s{unsupported}{found}");
    }

    private static Table TableOf(IGrouping<string, PropertyResult> subject)
    {
        Table table = new Table().Border(TableBorder.Minimal).Title(Markup.Escape(subject.Key)).AddColumns("property", "region", "cases", "result", "smallest counterexample");
        foreach (PropertyResult result in subject)
            table.AddRow(
                new Text(result.Name),
                new Text(result.Region),
                new Text(result.Cases.ToString(CultureInfo.InvariantCulture)),
                new Text(JsonReport.Word(result.Outcome), new Style(result.IsBad ? Color.Red : result.Outcome is Outcome.Holds ? Color.Green : Color.Yellow)),
                new Text(result.Counterexample.IsEmpty ? "" : result.Counterexample[0].Case));
        return table;
    }
}
