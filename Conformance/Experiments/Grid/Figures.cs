// How do the results of an experiment look?
using System.Collections.Immutable;
using System.Globalization;
using S2Attn.Experiments.Model;
using ScottPlot;
using ScottPlot.Plottables;

namespace S2Attn.Experiments.Grid;

/// <summary>Figures as SVG, one file each, from results alone.</summary>
internal static class Figures
{
    private const int Width = 760, Height = 440;

    private static readonly ScottPlot.Palettes.Category20 Colours = new();

    /// <summary>Draws every figure that the results suffice for; returns the files.</summary>
    public static ImmutableArray<string> Draw(Experiment experiment, IReadOnlyCollection<Result> all, string folder)
    {
        ImmutableArray<Result> results = Runner.Chosen(experiment, all);
        var files = ImmutableArray.CreateBuilder<string>();
        Result[] main = [.. results.Where(result => (result.Run.Cell.Scaling, result.Run.Cell.Tuning) == (experiment.Cells[0].Scaling, experiment.Cells[0].Tuning))];
        int longest = main.Max(result => result.Run.Cell.Tokens);
        Result[] far = [.. main.Where(result => result.Run.Cell.Tokens == longest)];

        if (main.Select(result => result.Run.Cell.Tokens).Distinct().Count() > 1)
            Lines("length", "Loss against the length of training", "N", "nats", ByArm(main, result => result.Run.Cell.Tokens, result => result.Full.Of(experiment.Bucket)));
        Lines("bucket", $"Loss with full attention by {Bucket(experiment)}, N = {longest}", Bucket(experiment), "nats", ByBucket(far, result => result.Full.ByBucket));
        if (experiment.ShowsAccuracy)
            Lines("accuracy", $"Copied right, by {Bucket(experiment)}, N = {longest}", Bucket(experiment), "share", ByBucket(far, result => result.Accuracy));
        Lines("curve", $"Training loss, N = {longest}", "sixteenths of the steps", "nats", ByBucket(far.Where(result => !result.Curve.IsEmpty), result => result.Curve));
        Scatter("own", "The loss with full attention against the arm's own", far);
        return files.ToImmutable();

        void Lines(string name, string title, string x, string y, IEnumerable<(string Arm, double[] X, double[] Y)> curves)
        {
            using Plot plot = Begun(title, x, y);
            foreach ((string arm, double[] xs, double[] ys) in curves)
                Line(plot, arm, xs, ys);
            Save(plot, name);
        }

        void Scatter(string name, string title, IEnumerable<Result> points)
        {
            using Plot plot = Begun(title, "nats under the arm's own attention", "nats with full attention");
            foreach (IGrouping<Arm, Result> arm in points.GroupBy(result => result.Run.Cell.Arm))
                Named(plot.Add.ScatterPoints(arm.Select(result => result.Own.Of(experiment.Bucket)).ToArray(), arm.Select(result => result.Full.Of(experiment.Bucket)).ToArray()), arm.Key.Name);
            Save(plot, name);
        }

        void Save(Plot plot, string name)
        {
            files.Add(Saved(plot, folder, $"{experiment.Name}-{name}"));
        }
    }

    /// <summary>How far each arm stays behind full attention at each group size, over experiments whose decoders are of different depths; empty where there are not two sizes.</summary>
    public static ImmutableArray<string> DrawByGroup(IEnumerable<(Experiment Experiment, IReadOnlyCollection<Result> Results)> all, int tokens, string folder)
    {
        Gap[] gaps = [.. all.SelectMany(pair => Gap.All(pair.Experiment, pair.Results)).Where(gap => gap.Cell.Tokens == tokens)];
        if (gaps.Select(gap => gap.Cell.Group).Distinct().Count() < 2)
            return [];
        using Plot plot = Begun($"Loss above that of full attention, N = {tokens}", "G (its decoder has 2N / G layers)", "nats");
        // What groups without shift stay behind is the same whichever arm is beside them.
        var none = gaps.DistinctBy(gap => gap.Cell.Group).Select(gap => (Arm.NoShift.Name, gap.Cell.Group, gap.Whole.Mean));
        foreach (var arm in gaps.Select(gap => (gap.Cell.Arm.Name, gap.Cell.Group, gap.Above.Mean)).Concat(none).GroupBy(point => point.Name))
            Line(plot, arm.Key, [.. arm.Select(point => (double)point.Group)], [.. arm.Select(point => point.Mean)]);
        return [Saved(plot, folder, "text-groups")];
    }

    private static Plot Begun(string title, string x, string y)
    {
        Plot plot = new();
        plot.Title(title);
        plot.XLabel(x);
        plot.YLabel(y);
        return plot;
    }

    private static void Line(Plot plot, string arm, double[] x, double[] y)
    {
        var line = plot.Add.Scatter(x, y);
        Named(line, arm);
        line.LineWidth = 2;
    }

    // An arm has its colour in every figure.
    private static void Named(Scatter points, string arm)
    {
        points.LegendText = arm;
        points.Color = Colours.GetColor(Arm.All.TakeWhile(other => other.Name != arm).Count());
    }

    private static string Saved(Plot plot, string folder, string name)
    {
        plot.ShowLegend(Edge.Right);
        string path = Path.Combine(folder, name + ".svg");
        plot.SaveSvg(path, Width, Height);
        return path;
    }

    private static string Bucket(Experiment experiment) => experiment.Task().Buckets[0].Split(' ')[0] is var word && word is "distance" or "position" ? $"{word} (eighths of {(experiment.EvaluatedTokens > 0 ? $"{experiment.EvaluatedTokens} tokens" : "N")})" : "part";

    private static IEnumerable<(string Arm, double[] X, double[] Y)> ByArm(IEnumerable<Result> results, Func<Result, double> x, Func<Result, double> y) =>
        from result in results
        group result by result.Run.Cell.Arm into arm
        let points = arm.GroupBy(x).OrderBy(point => point.Key).ToArray()
        select (arm.Key.Name, points.Select(point => point.Key).ToArray(), points.Select(point => point.Average(y)).ToArray());

    private static IEnumerable<(string Arm, double[] X, double[] Y)> ByBucket(IEnumerable<Result> results, Func<Result, ImmutableArray<double>> values) =>
        from result in results
        group values(result) by result.Run.Cell.Arm into arm
        let there = Enumerable.Range(0, arm.First().Length).Where(i => arm.All(list => double.IsFinite(list[i]))).ToArray()
        select (arm.Key.Name, there.Select(i => (double)i).ToArray(), there.Select(i => arm.Average(list => list[i])).ToArray());
}
