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
            string copied = hasAccuracy ? $" {Show(Interval(own, result => 100 * result.Accuracy.Where(double.IsFinite).Average()), "0.0")} |" : "";
            table.AppendLine(Invariant(
                $"| {cell.Tokens} | {cell.Group} | {cell.Scaling} | {cell.Tuning} | {cell.Arm.Name} | {own[0].Run.LearningRate:R} | {Show(full)} | {Show(Interval(own, result => result.Own.Of(experiment.Bucket)))} |{copied} {(difference is null ? "" : Show(difference, "+0.000;-0.000"))} | {full.Checkpoints} / {full.Runs} |"));
        }

        return table.ToString().ReplaceLineEndings("\n");
    }

    /// <summary>
    /// Which share of the gap from groups without shift to full attention each arm closes, and whether the paper's ordering is reproduced: the interval of no-shift - arm lies above 0, and half
    /// of the gap is closed.
    /// </summary>
    public static string Gaps(Experiment experiment, IReadOnlyCollection<Result> all)
    {
        IReadOnlyCollection<Result> results = Runner.Chosen(experiment, all);
        double Figure(Result result) => result.Full.Of(experiment.Bucket);
        StringBuilder table = new();
        table.AppendLine("| N | G | scaling | tuning | arm | no-shift - arm | share of the gap to full | reproduced |");
        table.AppendLine("| ---: | ---: | --- | --- | --- | ---: | ---: | --- |");
        foreach (Cell cell in experiment.Cells.Where(cell => !cell.Arm.IsFull && cell.Arm != Arm.NoShift))
        {
            Result[] own = Of(results, cell), none = Of(results, cell with { Arm = Arm.NoShift }), full = Of(results, cell with { Arm = Arm.Full, Group = cell.Tokens });
            if (Intervals.OfDifference(none, own, Figure) is not { } gain || Intervals.OfDifference(none, full, Figure) is not { } gap)
                continue;
            bool closes = gap.Mean > 0 && gain.Mean / gap.Mean >= 0.5;
            table.AppendLine(Invariant(
                $"| {cell.Tokens} | {cell.Group} | {cell.Scaling} | {cell.Tuning} | {cell.Arm.Name} | {Show(gain, "+0.000;-0.000")} | {(gap.Mean > 0 ? Invariant($"{100 * gain.Mean / gap.Mean:0} %") : "no gap")} | {(gain.Checkpoints == 1 ? "one checkpoint tells nothing" : gain.Low > 0 && closes ? "yes" : "no")} |"));
        }

        return table.ToString().ReplaceLineEndings("\n");
    }

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
