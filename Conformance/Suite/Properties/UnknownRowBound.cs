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
        UnknownWeights weights = UnknownWeights.Of(config, input, model);
        double v = UnknownWeights.Largest(input.Value), log = weights.LogError;
        return weights.IsKnown ? new(Finite(weights.Mean(v, 2 * v * Math.Min(double.ExpM1(log) * Math.Exp(log), 1), log, model)), Finite(weights.LogSumExp(model))) : new(double.PositiveInfinity, double.PositiveInfinity);
    }

    /// <summary>How far a computed mean of v may lie outside of the values that it averages, whatever weights they have.</summary>
    public static double OfMean(S2Config config, AttentionInput<double> input, RoundingModel model)
    {
        UnknownWeights weights = UnknownWeights.Of(config, input, model);
        return weights.IsKnown ? Finite(weights.Mean(UnknownWeights.Largest(input.Value), 0, 0, model)) : double.PositiveInfinity;
    }

    private static double Finite(double bound) => double.IsNaN(bound) ? double.PositiveInfinity : bound;
}

/// <summary>How far off the weights of a row over unknown keys may be.</summary>
/// <param name="Keys">How many keys it may have.</param>
/// <param name="Scores">The greatest magnitude of a score; infinite where one may overflow.</param>
/// <param name="LogError">How far the logarithm of a weight may be off, relative to the row's greatest.</param>
/// <param name="Rescalings">How often the row is rescaled, at most.</param>
internal readonly record struct UnknownWeights(int Keys, double Scores, double LogError, double Rescalings)
{
    /// <summary>Whether no score can overflow.</summary>
    public bool IsKnown => double.IsFinite(Scores);

    /// <summary>Those of tensors of this size: docs/error-bounds.md, steps 1 and 2, with the greatest A for A_j and scores that differ by at most 2 A.</summary>
    public static UnknownWeights Of(S2Config config, AttentionInput<double> input, RoundingModel model)
    {
        int keys = config.Batch * config.Tokens;
        double scale = Math.Abs(config.Scale);
        (double q, double k) = (Largest(input.Query), Largest(input.Key));
        double scores = scale * config.HeadDim * q * k, rescalings = model.Rescalings(keys, keys, Segments.OfRun(config));
        if (Math.Max(scores, config.HeadDim * q * k) > model.Largest / 2 || scores > model.Storage.Largest / 2)
            return new(keys, double.PositiveInfinity, double.PositiveInfinity, rescalings);
        double scoreGamma = model.Gamma(config.HeadDim + model.ScoreRoundings) + StoredGamma(model.StoredScores, model);
        double error = scoreGamma * scores + model.Underflow * (config.HeadDim * (k + Math.Max(scale, 1)) + 2) + model.StoredScores * model.Storage.Underflow;
        return new(keys, scores, error - double.LogP1(-model.ExpError) * (rescalings + 1) + model.Gamma(1) * 2 * (scores + error), rescalings);
    }

    /// <summary>The error of a stored mean of values up to v, which wrong weights move by so much, and whose logarithms are off by so much.</summary>
    public double Mean(double v, double movedByWeights, double log, RoundingModel model)
    {
        // Weights that are off by exp(+-log) move the mean by (exp(log) - 1) exp(log) times the spread of the values, and never out of it.
        double sumGamma = SumGamma(model);
        double numerator = sumGamma + (model.StoresWeights ? model.Storage.Unit * (1 + sumGamma) : 0);
        double quotient = model.Gamma(model.Chain(Keys) + Rescalings + 3) / (1 - sumGamma);
        double before = movedByWeights + 2 * v * Underflow(model) * Math.Exp(log) + numerator * v * Math.Exp(2 * log) + (Keys + Rescalings + 2) * model.Underflow;
        double divided = before + (v + before) * quotient + model.Underflow;
        return divided + (v + divided) * model.Storage.Unit + model.Storage.Underflow;
    }

    /// <summary>The error of a logsumexp.</summary>
    public double LogSumExp(RoundingModel model)
    {
        double sumGamma = SumGamma(model);
        double weights = LogError + Underflow(model) + (sumGamma < 1 ? -double.LogP1(-sumGamma) : double.PositiveInfinity);
        double terms = Scores + 2 * Math.Log(Keys);
        return weights + model.LogRoundings * model.Unit * (terms + 1 + weights) + model.Underflow;
    }

    /// <summary>The greatest magnitude in a tensor. NaN, which stands in padded keys, is none: where it reaches an answer it is seen there.</summary>
    public static double Largest(Tensor<double> tensor)
    {
        double largest = 0;
        foreach (double element in tensor.Elements)
            largest = double.IsNaN(element) ? largest : Math.Max(largest, Math.Abs(element));
        return largest;
    }

    /// <summary>gamma_n of the storage format's unit.</summary>
    public static double StoredGamma(int roundings, RoundingModel model) =>
        roundings * model.Storage.Unit is < 1 and double product ? product / (1 - product) : double.PositiveInfinity;

    private double SumGamma(RoundingModel model) => model.Gamma(model.Chain(Keys) + Rescalings + 1);

    private double Underflow(RoundingModel model) => Keys * ((Rescalings + 1) * (model.ExpUnderflow + model.Underflow) + (model.StoresWeights ? model.Storage.Underflow : 0));
}
