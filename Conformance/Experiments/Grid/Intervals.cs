// How sure is a difference between two ways to train?
using System.Collections.Immutable;
using S2Attn.Experiments.Numerics;

namespace S2Attn.Experiments.Grid;

/// <summary>A mean, and the interval that 95 of 100 resamples keep.</summary>
/// <param name="Mean">The mean.</param>
/// <param name="Low">The 2.5th percentile.</param>
/// <param name="High">The 97.5th.</param>
/// <param name="Checkpoints">Checkpoints that it rests on.</param>
/// <param name="Runs">Runs that it rests on.</param>
internal sealed record Interval(double Mean, double Low, double High, int Checkpoints, int Runs);

/// <summary>
/// Percentile bootstrap (Efron 1979) over checkpoints and, within each, over the seeds of its runs: checkpoints differ more than orders of data do. With three checkpoints the
/// interval cannot be wider than the three, and is too narrow rather than too wide.
/// </summary>
internal static class Intervals
{
    private const int Resamples = 10_000;
    private const double Tail = 0.025;

    /// <summary>The interval of values, by checkpoint.</summary>
    /// <exception cref="ArgumentException">There is no value.</exception>
    public static Interval Of(IEnumerable<(int Checkpoint, double Value)> values)
    {
        ImmutableArray<double[]> groups = [.. values.GroupBy(value => value.Checkpoint, value => value.Value).OrderBy(group => group.Key).Select(group => group.ToArray())];
        if (groups.IsEmpty)
            throw new ArgumentException("there must be at least one value", nameof(values));
        Randomness random = new(groups.Length);
        double[] means = [.. Enumerable.Range(0, Resamples).Select(_ => Enumerable.Range(0, groups.Length).Average(_ => Resampled(groups[random.Next(groups.Length)], random))).Order()];
        return new(groups.Average(group => group.Average()), At(means, Tail), At(means, 1 - Tail), groups.Length, groups.Sum(group => group.Length));
    }

    /// <summary>The interval of left - right over the runs that both have, paired by checkpoint and seed; null where there are none.</summary>
    public static Interval? OfDifference(IEnumerable<Result> left, IEnumerable<Result> right, Func<Result, double> figure)
    {
        ImmutableArray<(int, double)> differences =
        [
            .. left.Join(right, result => (result.Run.Checkpoint, result.Run.Seed), result => (result.Run.Checkpoint, result.Run.Seed), (a, b) => (a.Run.Checkpoint, figure(a) - figure(b))),
        ];
        return differences.IsEmpty ? null : Of(differences);
    }

    private static double Resampled(double[] group, Randomness random) => group.Length == 1 ? group[0] : Enumerable.Range(0, group.Length).Average(_ => group[random.Next(group.Length)]);

    private static double At(double[] sorted, double share) => sorted[(int)Math.Round(share * (sorted.Length - 1))];
}
