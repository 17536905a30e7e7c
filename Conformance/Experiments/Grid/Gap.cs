// How much of what groups lose does an arm win back?
using S2Attn.Experiments.Model;

namespace S2Attn.Experiments.Grid;

/// <summary>An arm between groups without shift and full attention, which are trained with its N, scaling and tuning.</summary>
/// <param name="Cell">The arm, and with what it was trained.</param>
/// <param name="Gain">Loss of groups without shift minus that of the arm, in nats.</param>
/// <param name="Whole">Loss of groups without shift minus that of full attention.</param>
/// <param name="Above">Loss of the arm minus that of full attention.</param>
internal sealed record Gap(Cell Cell, Interval Gain, Interval Whole, Interval Above)
{
    private const double Half = 0.5;

    /// <summary>The share of the whole that the arm closes; says nothing where there is no gap.</summary>
    public double Share => Gain.Mean / Whole.Mean;

    /// <summary>Whether the paper's ordering is there, as the page defines it before the first run: the gain's interval lies above 0, and half of the gap is closed.</summary>
    public bool IsReproduced => Gain.Checkpoints > 1 && Gain.Low > 0 && Whole.Mean > 0 && Share >= Half;

    /// <summary>Every arm with groups that has runs in common with groups without shift and with full attention, in the order of the cells.</summary>
    public static IEnumerable<Gap> All(Experiment experiment, IReadOnlyCollection<Result> all)
    {
        ILookup<Cell, Result> results = Runner.Chosen(experiment, all).ToLookup(result => result.Run.Cell);
        Interval? Difference(Cell left, Cell right) => Intervals.OfDifference(results[left], results[right], result => result.Full.Of(experiment.Bucket));
        foreach (Cell cell in experiment.Cells.Where(cell => !cell.Arm.IsFull && cell.Arm != Arm.NoShift))
        {
            Cell none = cell with { Arm = Arm.NoShift }, full = cell with { Arm = Arm.Full, Group = cell.Tokens };
            if (Difference(none, cell) is { } gain && Difference(none, full) is { } whole && Difference(cell, full) is { } above)
                yield return new(cell, gain, whole, above);
        }
    }
}
