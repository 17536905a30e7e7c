// Which rows of v does each row of o average, and with which weights?
using System.Collections.Immutable;
using S2Attn.Conformance.Ports;
using S2Attn.Reference;
using S2Attn.Reference.Upstream;
using S2Attn.Spec;

namespace S2Attn.Conformance.Xray;

/// <summary>
/// The weights of a port at equal scores. A weight that is not 0 is real whatever the format: with v one-hot, every other product of the sum is 0.
/// </summary>
public sealed class VisibilityMap
{
    // Weights of masks that only lower a score; rounding gives none.
    private const double Nothing = 1e-6;

    private readonly Tensor<double> weights;

    private VisibilityMap(XrayProbe probe, Tensor<double> weights) => (Probe, this.weights) = (probe, weights);

    /// <summary>The sizes.</summary>
    public XrayProbe Probe { get; }

    /// <summary>The weight of a row of v in a row of o; NaN where o holds NaN.</summary>
    public double Weight(Place row, Place source) => weights[Probe.IndexOfRow(row), Probe.IndexOfSource(source)];

    /// <summary>Whether a row of o holds anything of a row of v.</summary>
    public bool Sees(Place row, Place source) => IsSomething(Weight(row, source));

    /// <summary>Whether a weight is none of rounding; NaN is something.</summary>
    internal static bool IsSomething(double weight) => !(Math.Abs(weight) <= Nothing);

    /// <summary>The rows of v that a row of o holds something of.</summary>
    public IEnumerable<Place> Seen(Place row) => Enumerable.Range(0, Probe.Sources).Select(Probe.SourceAt).Where(source => Sees(row, source));

    /// <summary>Whether the weights of a row's keys are equal and sum to 1, as they must at equal scores; true for a row of 0.</summary>
    public bool IsUniform(Place row)
    {
        double[] own = [.. Seen(row).Select(source => Weight(row, source))];
        double tolerance = Math.Max(1e-4, 8 * Probe.ElementType.UnitRoundoff());
        return own.All(weight => Math.Abs(weight * own.Length - 1) <= tolerance);
    }

    /// <summary>What the definition sees: one kv head of the own batch entry, the visible and valid tokens.</summary>
    public static VisibilityMap OfDefinition(XrayProbe probe)
    {
        ArgumentNullException.ThrowIfNull(probe);
        double[] weights = new double[probe.Rows * probe.Sources];
        for (int i = 0; i < probe.Rows; i++)
        {
            Place row = probe.RowAt(i);
            int[] sources =
            [
                .. from u in Enumerable.Range(0, probe.Config.Tokens)
                   where probe.Valid[row.Batch, u] && Visibility.Visible(probe.Config, row.Head, row.Token, u)
                   select probe.IndexOfSource(new(row.Batch, u, probe.Config.KvHeadOf(row.Head))),
            ];
            foreach (int source in sources)
                weights[i * probe.Sources + source] = 1.0 / sources.Length;
        }

        return new(probe, Tensor<double>.Of([probe.Rows, probe.Sources], weights));
    }

    internal static VisibilityMap Develop(XrayFilm film) => new(film.Probe, film.Equal);
}
