// What would stages answer over a grid of tokens, and is it what a port answered?
using S2Attn.Conformance.Ports;
using S2Attn.Reference;
using S2Attn.Reference.Upstream;

namespace S2Attn.Conformance.Xray;

/// <summary>Stages at one grid, compared with a film there.</summary>
internal sealed class GridPrediction(XrayFilm film, GridStages stages)
{
    private readonly XrayProbe probe = film.Probe;
    private readonly Closeness closeness = new(film.Probe.ElementType);
    private readonly GridPipeline pipeline = new(film.Probe.Grid!, stages);

    /// <summary>Whether every answer is the film's: first at equal scores, then for each score question, by rows in the given order, each with its logsumexp; then the gradients.</summary>
    public bool IsAsFilmed(IReadOnlyList<int> rows) =>
        Enumerable.Range(-1, film.LateScores.Length + 1).All(code => rows.All(row => IsAsFilmed(row, code))) && GradientsAsFilmed();

    /// <summary>Whether a row of o averages the rows of v that the film shows.</summary>
    public bool SeesAsFilmed(int row) => closeness.Same(EqualWeights(row), Shown(row, -1));

    /// <summary>The weights of a row of o by rows of v at equal scores.</summary>
    public double[] EqualWeights(int row) => Weights(row, -1).Weights;

    private bool IsAsFilmed(int row, int code)
    {
        (double[] weights, double lse) = Weights(row, code);
        return closeness.Same(weights, Shown(row, code)) && film.LogSums.All(answer => answer.Code != code || Closeness.SameLogSum(lse, answer.LogSumExp.Elements[row]));
    }

    private ReadOnlySpan<double> Shown(int row, int code) => (code < 0 ? film.Equal : film.LateScores[code].Value).Elements.Slice(row * probe.Sources, probe.Sources);

    /// <summary>The weights of a row of o by rows of v, and its logsumexp, for a score question, or for equal scores where the code is negative.</summary>
    private (double[] Weights, double LogSum) Weights(int row, int code)
    {
        double[] weights = new double[probe.Sources];
        Place place = probe.RowAt(row);
        GridRow read = pipeline.Row(place.Batch, place.Token, place.Head);
        if (read.Query < 0 || read.Keys.Length + read.Zeros == 0)
            return (weights, double.NegativeInfinity);
        int kvHead = probe.Config.KvHeadOf(place.Head), query = probe.IndexOfRow(place with { Token = read.Query });
        int[] sources = [.. read.Keys.Select(key => probe.IndexOfSource(new(place.Batch, key, kvHead)))];
        double[] scores = [.. sources.Select(source => code < 0 ? 0 : probe.Config.Scale * probe.Product(query, source, code)), .. new double[read.Zeros]];
        double lse = GridPipeline.Normalise(scores);
        for (int i = 0; i < sources.Length; i++)
            weights[sources[i]] += scores[i];
        return (weights, lse);
    }

    private bool GradientsAsFilmed()
    {
        if (film.LateGradients.IsEmpty)
            return true;
        PortCase question = probe.Backward();
        return closeness.Same(pipeline.Backward(question.Input, question.OutputGradient[0]), film.LateGradients[0].Value);
    }
}
