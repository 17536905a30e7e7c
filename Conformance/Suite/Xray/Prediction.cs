// What would a composition of stages answer, and is it what a port answered?
using System.Collections.Immutable;
using System.Runtime.CompilerServices;
using S2Attn.Conformance.Ports;
using S2Attn.Reference;
using S2Attn.Reference.Upstream;

namespace S2Attn.Conformance.Xray;

/// <summary>A composition at one size, compared with a film there: first what is cheap and tells most.</summary>
internal sealed class Prediction
{
    // Runs look through thousands of films of one size.
    private static readonly ConditionalWeakTable<XrayProbe, double[]> OfDefinition = [];

    private readonly XrayFilm film;
    private readonly XrayProbe probe;
    private readonly PipelineAttention attention;

    public Prediction(XrayFilm film, Stages stages)
        : this(film, new PipelineAttention(film.Probe.Config, new Pipeline(film.Probe.Config, film.Probe.Valid, stages)))
    {
    }

    private Prediction(XrayFilm film, PipelineAttention attention) => (this.film, probe, this.attention) = (film, film.Probe, attention);

    /// <summary>That of stages which differ in the logsumexp or the backward pass alone.</summary>
    public Prediction WithSameReads(Stages stages) => new(film, attention.WithSameReads(stages));

    /// <summary>The size.</summary>
    public XrayProbe Probe => probe;

    private Closeness Closeness => new(probe.ElementType);

    /// <summary>Whether every answer is the film's.</summary>
    public bool IsAsFilmed() => SeesAsFilmed() && ScoresAsFilmed() && LogSumAsFilmed() && GradientsAsFilmed();

    /// <summary>Whether every row of o averages the rows of v that the film shows. Rows are looked at in an order in which wrong ones come soon.</summary>
    public bool SeesAsFilmed() => Sees().EvenEmptyRows;

    /// <summary>The same for the rows that read some row of v by this composition, as what the others hold is another defect's matter, and for all.</summary>
    public (bool WhereKeysAreSeen, bool EvenEmptyRows) Sees()
    {
        bool even = true;
        Span<double> weights = probe.Sources <= 1024 ? stackalloc double[probe.Sources] : new double[probe.Sources];
        foreach (int row in film.TellingLately.Before(film.TellingRows))
        {
            if (SeesAsFilmed(row, weights))
                continue;
            even = false;
            if (!weights.ContainsAnyExcept(0.0))
                continue;
            film.TellingLately.Add(row);
            return (false, false);
        }

        return (true, even);
    }

    /// <summary>All rows of o, those first that the definition does not explain, else in an order that leaps.</summary>
    public static ImmutableArray<int> TellingRows(XrayFilm film)
    {
        int rows = film.Probe.Rows, sources = film.Probe.Sources, step = Stride(rows);
        double[] right = OfDefinition.GetValue(film.Probe, probe => EqualWeightsOf(probe, new(probe.Config, Pipeline.Definition(probe.Config, probe.Valid))));
        Closeness closeness = new(film.Probe.ElementType);
        return [.. Enumerable.Range(0, rows).Select(i => (int)((rows - 1 + (long)i * step) % rows)).OrderBy(row => closeness.Same(right.AsSpan(row * sources, sources), film.Equal.Elements.Slice(row * sources, sources)))];
    }

    /// <summary>The weights [rows of o, rows of v] of any pipeline at equal scores.</summary>
    public static double[] EqualWeightsOf(XrayProbe probe, PipelineAttention attention)
    {
        double[] weights = new double[probe.Rows * probe.Sources];
        for (int row = 0; row < probe.Rows; row++)
            attention.EqualWeights(row, weights.AsSpan(row * probe.Sources, probe.Sources));
        return weights;
    }

    /// <summary>How many rows of o average the rows of v that the film shows.</summary>
    public int RowsSeenAsFilmed()
    {
        double[] weights = new double[probe.Sources];
        return Enumerable.Range(0, probe.Rows).Count(row => SeesAsFilmed(row, weights));
    }

    /// <summary>Whether the weights are the film's in every score question, or in the first few.</summary>
    public bool ScoresAsFilmed(int questions = int.MaxValue)
    {
        double[] weights = new double[probe.Sources];
        for (int code = 0; code < Math.Min(questions, film.LateScores.Length); code++)
        {
            Products asked = attention.Ask(probe.ProductsOf(code));
            foreach (int row in film.TellingOfScores.Before(film.TellingRows))
            {
                attention.RowWeights(row, asked, weights);
                if (Closeness.Same(weights, film.LateScores[code].Value.Elements.Slice(row * probe.Sources, probe.Sources)))
                    continue;
                film.TellingOfScores.Add(row);
                return false;
            }
        }

        return true;
    }

    /// <summary>Whether the logsumexp is the film's, where it has one.</summary>
    public bool LogSumAsFilmed() => film.LogSums.All(answer =>
    {
        double[] own = attention.LogSums(probe.ProductsOf(answer.Code));
        for (int row = 0; row < own.Length; row++)
        {
            if (!film.Stale[row] && !Closeness.SameLogSum(own[row], answer.LogSumExp.Elements[row]))
                return false;
        }

        return true;
    });

    /// <summary>Whether the gradients are the film's, where it has them.</summary>
    public bool GradientsAsFilmed()
    {
        if (film.LateGradients.IsEmpty)
            return true;
        PortCase question = probe.Backward();
        return Closeness.Same(attention.Backward(question.Input, question.OutputGradient[0]), film.LateGradients[0].Value);
    }

    /// <summary>What a row of o reads: whether it meets a token's key or value with a weight.</summary>
    public ReadRow Reads(Place row) => attention.Reads(row.Batch, row.Token, row.Head);

    /// <summary>The weights [rows of o, rows of v] of a score question, or of equal scores for -1.</summary>
    public double[] WeightsOf(int code) => WeightsOf(probe.ProductsOf(code));

    /// <summary>The weights [rows of o, rows of v] for products q.k by row of q and row of k.</summary>
    public double[] WeightsOf(Func<int, int, double> product) => WeightsOf(probe, attention, product);

    /// <summary>The same of any pipeline for the sizes of a probe.</summary>
    public static double[] WeightsOf(XrayProbe probe, PipelineAttention attention, Func<int, int, double> product)
    {
        double[] weights = new double[probe.Rows * probe.Sources];
        Products asked = attention.Ask(product);
        for (int row = 0; row < probe.Rows; row++)
            attention.RowWeights(row, asked, weights.AsSpan(row * probe.Sources, probe.Sources));
        return weights;
    }

    /// <summary>The logsumexp of a score question.</summary>
    public double[] LogSumsOf(int code) => attention.LogSums(probe.ProductsOf(code));

    /// <summary>The gradients of the backward question.</summary>
    public Gradients<double> Gradients()
    {
        PortCase question = probe.Backward();
        return attention.Backward(question.Input, question.OutputGradient[0]);
    }

    private bool SeesAsFilmed(int row, Span<double> weights)
    {
        attention.EqualWeights(row, weights);
        return Closeness.Same(weights, film.Equal.Elements.Slice(row * probe.Sources, probe.Sources));
    }

    // Coprime to the number of rows, and no neighbour.
    private static int Stride(int rows)
    {
        int step = Math.Max(1, rows * 5 / 13);
        while (rows > 1 && System.Numerics.BigInteger.GreatestCommonDivisor(step, rows) != 1)
            step++;
        return step;
    }
}
