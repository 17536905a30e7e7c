// How far may a softmax mean over keys that nobody knows lie from its exact value?
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Conformance.Properties;

/// <summary>
/// The bound for relations between two answers of one port. <see cref="ErrorBound"/> speaks of the keys that the definition lets a row see; a wrong port weighs others, rounds as
/// they make it round, and may keep the relation all the same. So every quantity is the largest that any row over any keys of the tensors can have.
/// </summary>
/// <param name="Output">For every element of o.</param>
/// <param name="LogSumExp">For every logsumexp.</param>
internal readonly record struct UnknownRowBound(double Output, double LogSumExp)
{
    /// <summary>The same bound at every element of the answer to a variation of a case.</summary>
    public static (Tensor<double> Output, Tensor<double> LogSumExp) Tensors(Probe probe, S2Config config, AttentionInput<double> input)
    {
        (double output, double lse) = Of(config, input, probe.Model);
        return (
            Tensor<double>.Build([config.Batch, config.Tokens, config.Heads, config.HeadDim], _ => output),
            Tensor<double>.Build([config.Batch, config.Tokens, config.Heads], _ => lse));
    }

    /// <summary>The bound for tensors of this size.</summary>
    public static UnknownRowBound Of(S2Config config, AttentionInput<double> input, RoundingModel model)
    {
        // |score| <= A. The log of a weight is off by the score's own roundings, exp's, and those of an argument of at most 2 A: docs/error-bounds.md, with A for A_u.
        int keys = config.Batch * config.Tokens;
        double scale = Math.Abs(config.Scale);
        (double q, double k, double v) = (Largest(input.Query), Largest(input.Key), Largest(input.Value));
        double scores = scale * config.HeadDim * q * k, rescalings = model.Rescalings(keys, keys, Segments.OfRun(config));
        if (Math.Max(scores, config.HeadDim * q * k) > model.Largest / 2 || scores > model.Storage.Largest / 2)
            return new(double.PositiveInfinity, double.PositiveInfinity);
        double scoreGamma = model.Gamma(config.HeadDim + model.ScoreRoundings) + Stored(model);
        double error = scoreGamma * scores + model.Underflow * (config.HeadDim * (k + Math.Max(scale, 1)) + 2) + model.StoredScores * model.Storage.Underflow;
        double log = error - double.LogP1(-model.ExpError) * (rescalings + 1) + model.Gamma(1) * 2 * (scores + error);

        // Weights that are off by exp(+-log) move the mean by (exp(log) - 1) exp(log) times the spread of the values, and never out of it.
        double sumGamma = model.Gamma(model.Chain(keys) + rescalings + 1);
        double numerator = sumGamma + (model.StoresWeights ? model.Storage.Unit * (1 + sumGamma) : 0);
        double quotient = model.Gamma(model.Chain(keys) + rescalings + 3) / (1 - sumGamma);
        double underflow = keys * ((rescalings + 1) * (model.ExpUnderflow + model.Underflow) + (model.StoresWeights ? model.Storage.Underflow : 0));
        double moved = 2 * v * (Math.Min(double.ExpM1(log) * Math.Exp(log), 1) + underflow * Math.Exp(log));
        double before = moved + numerator * v * Math.Exp(2 * log) + (keys + rescalings + 2) * model.Underflow;
        double divided = before + (v + before) * quotient + model.Underflow;
        double output = divided + (v + divided) * model.Storage.Unit + model.Storage.Underflow;

        double weights = log + underflow + (sumGamma < 1 ? -double.LogP1(-sumGamma) : double.PositiveInfinity);
        double terms = scores + 2 * Math.Log(keys);
        double lse = weights + model.LogRoundings * model.Unit * (terms + 1 + weights) + model.Underflow;
        return new(Finite(output), Finite(lse));
    }

    // gamma_n of the storage format's unit, n roundings.
    private static double Stored(RoundingModel model)
    {
        double roundings = model.StoredScores * model.Storage.Unit;
        return roundings / (1 - roundings);
    }

    private static double Largest(Tensor<double> tensor)
    {
        double largest = 0;
        foreach (double element in tensor.Elements)
            largest = Math.Max(largest, Math.Abs(element));
        return largest;
    }

    private static double Finite(double bound) => double.IsNaN(bound) ? double.PositiveInfinity : bound;
}
