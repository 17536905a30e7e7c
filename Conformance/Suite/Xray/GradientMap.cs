// Are the gradients the derivatives of the forward pass that was seen?
using System.Collections.Immutable;
using S2Attn.Conformance.Ports;
using S2Attn.Reference;
using S2Attn.Reference.Upstream;
using S2Attn.Spec;

namespace S2Attn.Conformance.Xray;

/// <summary>How one gradient compares with the derivative of the observed forward pass.</summary>
/// <param name="Name">"dq", "dk" or "dv".</param>
/// <param name="Wrong">The rows of q, k or v whose gradient is another.</param>
/// <param name="Stray">Those of them that nothing flows to: no row of o with do other than 0 depends on them.</param>
/// <param name="Factor">The one number by which every element is multiplied; NaN where there is no such number.</param>
/// <param name="Example">The first wrong element, in words; empty where none is wrong.</param>
public sealed record GradientComparison(string Name, ImmutableArray<Place> Wrong, ImmutableArray<Place> Stray, double Factor, string Example);

/// <summary>The gradients of a port beside the derivatives of sum(o do) along the rows of q, k and v that its own forward pass was seen to read.</summary>
public sealed record GradientMap(ImmutableArray<GradientComparison> Comparisons)
{
    /// <summary>Whether each gradient is the derivative of the observed forward pass.</summary>
    public bool AreDerivatives => Comparisons.All(comparison => comparison.Wrong.IsEmpty);

    /// <summary>Nothing where the port has no backward pass or its forward pass is no softmax of scores.</summary>
    internal static ImmutableArray<GradientMap> Develop(XrayFilm film, VisibilityMap seen, ScoreMap scores)
    {
        XrayProbe probe = film.Probe;
        if (film.LateGradients.IsEmpty || !double.IsFinite(scores.Scale) || Enumerable.Range(0, probe.Rows).Any(row => scores[probe.RowAt(row)].Irregular))
            return [];
        PortCase question = probe.Backward();
        int dim = probe.Config.HeadDim;
        double[] dq = new double[probe.Rows * dim], dk = new double[probe.Sources * dim], dv = new double[probe.Sources * dim];
        bool[] flowsQuery = new bool[probe.Rows], flowsKey = new bool[probe.Sources], flowsValue = new bool[probe.Sources];
        for (int row = 0; row < probe.Rows; row++)
            AddRow(row);
        Gradients<double> given = film.Gradients[0];
        return
        [
            new(
            [
                Compare(probe, "dq", given.Query, dq, flowsQuery, probe.RowAt),
                Compare(probe, "dk", given.Key, dk, flowsKey, probe.SourceAt),
                Compare(probe, "dv", given.Value, dv, flowsValue, probe.SourceAt),
            ]),
        ];

        void AddRow(int row)
        {
            Place place = probe.RowAt(row);
            RowScores own = scores[place];
            int query = own.Query.IsEmpty ? row : probe.IndexOfRow(own.Query[0]);
            int[] values = [.. seen.Seen(place).Select(probe.IndexOfSource)];
            int[] keys = [.. values.Select(value => own.Keys.TryGetValue(value, out Place key) ? probe.IndexOfSource(key) : value)];
            ReadOnlySpan<double> dout = Vector(question.OutputGradient[0], row), q = Vector(question.Input.Query, query);

            // A key that counts twice at equal scores counts twice here.
            double[] powers = new double[values.Length], dp = new double[values.Length];
            for (int i = 0; i < values.Length; i++)
            {
                powers[i] = seen.Weight(place, probe.SourceAt(values[i])) * Math.Exp(scores.Scale * Dot(q, Vector(question.Input.Key, keys[i])));
                dp[i] = Dot(dout, Vector(question.Input.Value, values[i]));
            }

            double sum = powers.Sum(), mean = powers.Zip(dp, (power, product) => power * product).Sum() / sum;
            flowsQuery[query] |= values.Length > 0;
            for (int i = 0; i < values.Length; i++)
            {
                (flowsKey[keys[i]], flowsValue[values[i]]) = (true, true);
                double weight = powers[i] / sum, ds = scores.Scale * weight * (dp[i] - mean);
                for (int d = 0; d < dim; d++)
                {
                    dq[query * dim + d] += ds * Vector(question.Input.Key, keys[i])[d];
                    dk[keys[i] * dim + d] += ds * q[d];
                    dv[values[i] * dim + d] += weight * dout[d];
                }
            }
        }

        ReadOnlySpan<double> Vector(Tensor<double> tensor, int index) => tensor.Elements.Slice(index * dim, dim);
    }

    private static GradientComparison Compare(XrayProbe probe, string name, Tensor<double> given, double[] derivative, bool[] flows, Func<int, Place> placeAt)
    {
        int dim = probe.Config.HeadDim;
        if (given.Elements.Length != derivative.Length)
            return new(name, [.. Enumerable.Range(0, flows.Length).Select(placeAt)], [], double.NaN, $"{name} is {given}, which has another number of elements");

        // Wrong gradients are wrong by much; what is left is the rounding of measured scales and of half formats.
        double tolerance = Math.Max(0.01, 8 * probe.ElementType.UnitRoundoff()) * Math.Max(derivative.Max(Math.Abs), 1e-3);
        bool[] wrong = new bool[flows.Length];
        string example = "";
        for (int i = 0; i < derivative.Length; i++)
            if (!(Math.Abs(given.Elements[i] - derivative[i]) <= tolerance) || (!flows[i / dim] && given.Elements[i] != 0))
            {
                wrong[i / dim] = true;
                Place place = placeAt(i / dim);
                if (example.Length == 0)
                    example = FormattableString.Invariant($"{name}[{place.Batch},{place.Token},{place.Head},{i % dim}] is {given.Elements[i]:0.####}, the derivative {derivative[i]:0.####}");
            }

        return new(
            name,
            [.. Enumerable.Range(0, flows.Length).Where(row => wrong[row]).Select(placeAt)],
            [.. Enumerable.Range(0, flows.Length).Where(row => wrong[row] && !flows[row]).Select(placeAt)],
            example.Length == 0 ? 1 : Factor(given.Elements, derivative, tolerance),
            example);
    }

    /// <summary>The one factor of a multiple, by the largest element; NaN where the tensors are no multiples of each other.</summary>
    private static double Factor(ReadOnlySpan<double> given, double[] derivative, double tolerance)
    {
        int largest = 0;
        for (int i = 0; i < derivative.Length; i++)
            largest = Math.Abs(derivative[i]) > Math.Abs(derivative[largest]) ? i : largest;
        double factor = derivative[largest] == 0 ? double.NaN : given[largest] / derivative[largest];
        for (int i = 0; i < derivative.Length; i++)
            if (!(Math.Abs(given[i] - factor * derivative[i]) <= 2 * tolerance * Math.Max(1, Math.Abs(factor))))
                return double.NaN;
        return factor;
    }

    private static double Dot(ReadOnlySpan<double> a, ReadOnlySpan<double> b)
    {
        double sum = 0;
        for (int d = 0; d < a.Length; d++)
            sum += a[d] * b[d];
        return sum;
    }
}
