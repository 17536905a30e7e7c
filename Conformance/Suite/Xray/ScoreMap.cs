// Which row of q and which rows of k make the scores of a row of o, and with which scale?
using System.Collections.Immutable;
using System.Numerics;
using S2Attn.Reference;
using S2Attn.Reference.Upstream;

namespace S2Attn.Conformance.Xray;

/// <summary>What the weights of one row of o say of its scores.</summary>
/// <param name="Query">The row of q that is used; none where the row's weights cannot tell (it sees fewer than two different keys).</param>
/// <param name="Keys">For each row of v that the row sees, the row of k that is scored for it; left out where the weights cannot tell.</param>
/// <param name="Scale">The factor of q.k; NaN where the weights cannot tell.</param>
/// <param name="Irregular">Whether the weights are no softmax of scale q.k for any rows of q and k.</param>
public sealed record RowScores(ImmutableArray<Place> Query, ImmutableSortedDictionary<int, Place> Keys, double Scale, bool Irregular)
{
    internal static RowScores Unknown { get; } = new([], ImmutableSortedDictionary<int, Place>.Empty, double.NaN, Irregular: false);
}

/// <summary>
/// The scores of a port, recovered from weights. In each of 32 questions a row of k scores or does not, and a row of q counts once or twice; the ratio of two weights of a
/// row says which of its keys scored, and how much. Each row of q and k answers to its own word of 32 bits. Where several rows fit, the expected one is taken.
/// </summary>
public sealed class ScoreMap
{
    // Fewer bits do not tell one row from another.
    private const int BitsToNameARow = 9, BitsToDoubt = 4;

    private readonly ImmutableArray<RowScores> rows;

    private ScoreMap(XrayProbe probe, ImmutableArray<RowScores> rows, double scale) => (Probe, this.rows, Scale) = (probe, rows, scale);

    /// <summary>The sizes.</summary>
    public XrayProbe Probe { get; }

    /// <summary>The median factor of q.k; NaN where no row can tell.</summary>
    public double Scale { get; }

    /// <summary>What is known of a row of o.</summary>
    public RowScores this[Place row] => rows[Probe.IndexOfRow(row)];

    internal static ScoreMap Develop(XrayFilm film, VisibilityMap seen)
    {
        XrayProbe probe = film.Probe;
        if (film.LateScores.IsEmpty || !film.Probe.ShowsScores)
            return new(probe, [.. Enumerable.Repeat(RowScores.Unknown, probe.Rows)], double.NaN);
        ImmutableArray<Tensor<double>> weights = film.Scores;
        ImmutableArray<Contrast> contrasts = [.. Enumerable.Range(0, probe.Rows).Select(row => Contrast.Of(probe, seen, weights, row))];
        double[] spans = [.. contrasts.Where(contrast => contrast.Mixed != 0 && !contrast.Irregular).Select(contrast => contrast.Single()).Order()];
        if (spans.Length == 0)
            return new(probe, [.. contrasts.Select(contrast => RowScores.Unknown with { Irregular = contrast.Irregular })], double.NaN);

        // Where scores have the other sign, the keys that score are the lighter ones.
        double span = spans[spans.Length / 2];
        RowScores[][] both = [.. new[] { 1, -1 }.Select(sign => contrasts.Select((contrast, row) => contrast.Decode(probe, row, span, sign)).ToArray())];
        int expected = probe.Config.Scale > 0 ? 0 : 1;
        int chosen = Keys(both[expected]) >= Keys(both[1 - expected]) ? expected : 1 - expected;
        return new(probe, [.. both[chosen]], (chosen == 0 ? span : -span) / probe.Unit);

        static int Keys(RowScores[] decoded) => decoded.Sum(row => row.Keys.Count) - decoded.Count(row => row.Irregular);
    }

    /// <summary>The logarithms of a row's weights, sorted into those of keys that score and of keys that do not.</summary>
    /// <param name="Sources">The rows of v that the row sees.</param>
    /// <param name="Heavy">For each of them, the questions in which its weight is the greater.</param>
    /// <param name="Mixed">The questions in which some weights are greater than others.</param>
    /// <param name="Spans">For each question, the logarithm of greater over smaller weight.</param>
    /// <param name="Irregular">Whether some question gave more than two weights.</param>
    private sealed record Contrast(int[] Sources, uint[] Heavy, uint Mixed, double[] Spans, bool Irregular)
    {
        public static Contrast Of(XrayProbe probe, VisibilityMap seen, ImmutableArray<Tensor<double>> weights, int row)
        {
            Place place = probe.RowAt(row);
            int[] sources = [.. seen.Seen(place).Select(probe.IndexOfSource)];
            uint[] heavy = new uint[sources.Length];
            uint mixed = 0;
            double[] spans = new double[weights.Length];
            bool irregular = false;

            // A span below a twentieth of a natural unit is rounding, in bf16 too.
            const double Flat = 0.05;
            for (int code = 0; code < weights.Length && sources.Length > 1; code++)
            {
                double[] logs = [.. sources.Select(source => Math.Log(weights[code][row, source] / seen.Weight(place, probe.SourceAt(source))))];
                double low = logs.Min(), span = logs.Max() - low;
                if (!double.IsFinite(span) || low + span < Math.Log(0.5 / probe.Sources))
                    irregular = true;
                else if (span > Flat)
                {
                    mixed |= 1u << code;
                    spans[code] = span;
                    for (int i = 0; i < logs.Length; i++)
                    {
                        double share = (logs[i] - low) / span;
                        irregular |= share is > 0.15 and < 0.85;
                        heavy[i] |= share > 0.5 ? 1u << code : 0;
                    }
                }
            }

            return new(sources, heavy, mixed, spans, irregular);
        }

        /// <summary>The span of a query that counts once: half of the greatest, where both kinds are there.</summary>
        public double Single()
        {
            double greatest = Spans.Max();
            double[] small = [.. Spans.Where((span, code) => (Mixed >> code & 1) == 1 && span < 0.75 * greatest).Order()];
            return small.Length > 0 ? small[small.Length / 2] : greatest;
        }

        public RowScores Decode(XrayProbe probe, int row, double span, int sign)
        {
            if (Irregular)
                return RowScores.Unknown with { Irregular = true };
            if (Mixed == 0)
                return RowScores.Unknown;
            var keys = ImmutableSortedDictionary.CreateBuilder<int, Place>();
            for (int i = 0; i < Sources.Length; i++)
            {
                uint bits = sign > 0 ? Heavy[i] : ~Heavy[i];
                if (Name(probe.Sources, Sources[i], XrayProbe.KeyCode, bits) is >= 0 and int key)
                    keys.Add(Sources[i], probe.SourceAt(key));
            }

            double own = Single();
            uint doubled = 0;
            for (int code = 0; code < Spans.Length; code++)
                doubled |= Spans[code] > 1.5 * Reference(own, span) ? 1u << code : 0;
            int query = Name(probe.Rows, row, XrayProbe.QueryCode, doubled);
            bool unnamed = query < 0 && BitOperations.PopCount(Mixed) >= BitsToNameARow;
            return new(query < 0 ? [] : [probe.RowAt(query)], keys.ToImmutable(), sign * Reference(own, span) / probe.Unit, unnamed);
        }

        // A row whose few questions all double its query, or none, is read by the span of the other rows.
        private static double Reference(double own, double span) => Math.Abs(own / span - 2) < 0.2 ? span : own;

        private int Name(int count, int expected, Func<int, uint> codeOf, uint bits)
        {
            bool Fits(int candidate) => ((codeOf(candidate) ^ bits) & Mixed) == 0;
            int known = BitOperations.PopCount(Mixed);
            if (known < BitsToDoubt)
                return -1;
            if (Fits(expected))
                return expected;
            if (known < BitsToNameARow)
                return -1;
            int[] fitting = [.. Enumerable.Range(0, count).Where(Fits).Take(2)];
            return fitting.Length == 1 ? fitting[0] : -1;
        }
    }
}
