// What do the results of an experiment say, as a table of Markdown?
using System.Globalization;
using System.Text;
using S2Attn.Experiments.Model;

namespace S2Attn.Experiments.Grid;

/// <summary>Tables for docs/experiments.md, from results alone.</summary>
internal static class Tables
{
    /// <summary>All tables of an experiment.</summary>
    public static string All(Experiment experiment, IReadOnlyCollection<Result> all) => Of(experiment, all)
        + (experiment.Bucket < 0 && all.Any(result => result.Run.Cell.Arm == Arm.NoShift) ? "\n" + Gaps(experiment, all) : "");

    /// <summary>A table of every cell that has results: its figure with intervals, and the paired difference to groups without shift.</summary>
    public static string Of(Experiment experiment, IReadOnlyCollection<Result> all)
    {
        IReadOnlyCollection<Result> results = Runner.Chosen(experiment, all);
        if (all.Count == 0)
            return Invariant($"None of {experiment.Count} runs is done.\n");
        StringBuilder table = new();
        table.AppendLine(Invariant($"{all.Count} of {experiment.Count} runs are done. {(experiment.Bucket < 0 ? "Loss" : $"Loss on the {experiment.Task().Buckets[experiment.Bucket]}")} in nats on test texts, mean [95 % interval]; n is checkpoints / runs."));
        table.AppendLine();
        bool hasAccuracy = experiment.ShowsAccuracy;
        table.AppendLine($"| N | G | scaling | tuning | arm | rate | full attention | own attention |{(hasAccuracy ? " copied right |" : "")} full: minus no-shift | n |");
        table.AppendLine($"| ---: | ---: | --- | --- | --- | ---: | ---: | ---: |{(hasAccuracy ? " ---: |" : "")} ---: | ---: |");
        foreach (Cell cell in experiment.Cells)
        {
            Result[] own = [.. results.Where(result => result.Run.Cell == cell)];
            if (own.Length == 0)
                continue;
            Interval full = Interval(own, result => result.Full.Of(experiment.Bucket));
            Interval? difference = Difference(results, cell, result => result.Full.Of(experiment.Bucket));
            string copied = hasAccuracy ? $" {Show(Interval(own, result => 100 * result.Accuracy.Where(double.IsFinite).DefaultIfEmpty(double.NaN).Average()), "0.0")} |" : "";
            table.AppendLine(Invariant(
                $"| {cell.Tokens} | {cell.Group} | {cell.Scaling} | {cell.Tuning} | {cell.Arm.Name} | {own[0].Run.LearningRate:R} | {Show(full)} | {Show(Interval(own, result => result.Own.Of(experiment.Bucket)))} |{copied} {(difference is null ? "" : Show(difference, "+0.000;-0.000"))} | {full.Checkpoints} / {full.Runs} |"));
        }

        return table.ToString().ReplaceLineEndings("\n");
    }

    /// <summary>Which share of the gap from groups without shift to full attention each arm closes, and whether the paper's ordering is reproduced.</summary>
    public static string Gaps(Experiment experiment, IReadOnlyCollection<Result> all)
    {
        StringBuilder table = new();
        table.AppendLine("| N | G | scaling | tuning | arm | no-shift - arm | share of the gap to full | reproduced |");
        table.AppendLine("| ---: | ---: | --- | --- | --- | ---: | ---: | --- |");
        foreach (Gap gap in Gap.All(experiment, all))
            table.AppendLine(Invariant(
                $"| {gap.Cell.Tokens} | {gap.Cell.Group} | {gap.Cell.Scaling} | {gap.Cell.Tuning} | {gap.Cell.Arm.Name} | {Show(gap.Gain, "+0.000;-0.000")} | {Percent(gap)} | {(gap.Gain.Checkpoints == 1 ? "one checkpoint tells nothing" : gap.IsReproduced ? "yes" : "no")} |"));
        return table.ToString().ReplaceLineEndings("\n");
    }

    /// <summary>What each setting's gap is and which share of it each arm closes: a line for each setting that has results, a column for each arm.</summary>
    public static string Shares(IEnumerable<(Experiment Experiment, IReadOnlyCollection<Result> Results)> all, IReadOnlyCollection<Arm> arms)
    {
        StringBuilder table = new();
        table.AppendLine($"| experiment | N | G | L | scaling | tuning | no-shift - full | {string.Join(" | ", arms.Select(arm => arm.Name))} |");
        table.AppendLine($"| --- | ---: | ---: | ---: | --- | --- | ---: |{string.Concat(arms.Select(_ => " ---: |"))}");
        foreach ((Experiment experiment, IReadOnlyCollection<Result> results) in all)
            foreach (IGrouping<Cell, Gap> setting in Gap.All(experiment, results).GroupBy(gap => gap.Cell with { Arm = Arm.NoShift }))
                table.AppendLine(Invariant(
                    $"| `{experiment.Name}` | {setting.Key.Tokens} | {setting.Key.Group} | {experiment.Shape.Layers} | {setting.Key.Scaling} | {setting.Key.Tuning} | {Show(setting.First().Whole, "+0.000;-0.000")} | {string.Join(" | ", arms.Select(arm => setting.FirstOrDefault(gap => gap.Cell.Arm == arm) is { } gap ? gap.IsReproduced ? $"**{Percent(gap)}**" : Percent(gap) : ""))} |"));
        return table.ToString().ReplaceLineEndings("\n");
    }

    private static string Percent(Gap gap) => gap.Whole.Mean > 0 ? Invariant($"{100 * gap.Share:0} %") : "no gap";

    private static Result[] Of(IEnumerable<Result> results, Cell cell) => [.. results.Where(result => result.Run.Cell == cell)];

    private static Interval? Difference(IReadOnlyCollection<Result> results, Cell cell, Func<Result, double> figure) => cell.Arm == Arm.NoShift
        ? null
        : results.Where(result => !result.Run.Cell.Arm.IsFull && result.Run.Cell == cell with { Arm = Arm.NoShift }
            || cell.Arm.IsFull && result.Run.Cell.Arm == Arm.NoShift && (result.Run.Cell.Tokens, result.Run.Cell.Scaling, result.Run.Cell.Tuning) == (cell.Tokens, cell.Scaling, cell.Tuning)) is var none
            ? Intervals.OfDifference(Of(results, cell), none, figure)
            : null;

    private static Interval Interval(IEnumerable<Result> results, Func<Result, double> figure) =>
        Intervals.Of(results.Select(result => (result.Run.Checkpoint, figure(result))));

    private static string Show(Interval interval, string format = "0.000") => interval.Runs == 1
        ? Show(interval.Mean, format)
        : $"{Show(interval.Mean, format)} [{Show(interval.Low, format)}, {Show(interval.High, format)}]";

    // A number that rounds to zero has no sign.
    private static string Show(double value, string format) => (Math.Round(value, format.Contains(".000", StringComparison.Ordinal) ? 3 : 1) + 0.0).ToString(format, CultureInfo.InvariantCulture);

    private static string Invariant(FormattableString text) => FormattableString.Invariant(text);
}
