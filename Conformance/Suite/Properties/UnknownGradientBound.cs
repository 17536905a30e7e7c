// How far may gradients through a softmax over keys that nobody knows lie from their exact values?
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Conformance.Properties;

/// <summary>
/// The bound for relations between gradients that one port returned, as <see cref="UnknownRowBound"/> is for its outputs. The weights of a row add up to 1 whatever its keys are, so that what all
/// of its keys together can be off by is what one key with the whole weight can be: <see cref="Key"/> and <see cref="Value"/> bound an element's error, and also the sum of the errors of its column
/// over all tokens and heads. All are of gradients before they are stored.
/// </summary>
/// <param name="Query">For an element of dq.</param>
/// <param name="Key">For an element of dk, or for all of a column.</param>
/// <param name="Value">For an element of dv, or for all of a column.</param>
internal readonly record struct UnknownGradientBound(double Query, double Key, double Value)
{
    /// <summary>The bound for tensors of this size: docs/error-bounds.md, steps 8 to 11, with the greatest magnitudes for those of a row.</summary>
    public static UnknownGradientBound Of(S2Config config, AttentionInput<double> input, Tensor<double> outputGradient, RoundingModel model)
    {
        UnknownWeights weights = UnknownWeights.Of(config, input, model);
        int keys = weights.Keys, rows = keys * config.Heads, dim = config.HeadDim;
        (double q, double k, double v, double dout) = (
            UnknownWeights.Largest(input.Query), UnknownWeights.Largest(input.Key), UnknownWeights.Largest(input.Value), UnknownWeights.Largest(outputGradient));
        double scale = Math.Abs(config.Scale), products = dim * dout * v;
        double stored = model.StoresWeights ? model.Storage.Unit : 0, storedUnderflow = model.StoresWeights ? model.Storage.Underflow : 0;

        double log = weights.LogError + weights.LogSumExp(model) + model.Gamma(model.LogRoundings) * (weights.Scores + Math.Log(keys));
        log += model.Gamma(2) * (2 * weights.Scores + Math.Log(keys) + log);
        double weight = double.ExpM1(log) + keys * (model.ExpUnderflow + model.Underflow + storedUnderflow);

        double output = UnknownRowBound.Of(config, input, model).Output;
        double fromOutput = dim * (dout * (output + model.Gamma(dim) * (v + output)) + model.Underflow);
        double product = (model.Gamma(dim) + stored) * products + dim * model.Underflow;
        double fromWeights = weight * products + (1 + weight) * product + model.Gamma(model.Chain(keys) + 2) * (1 + weight) * (products + product) + keys * model.Underflow;
        double delta = model.Recomputes ? fromOutput : Math.Max(fromOutput, fromWeights);

        double difference = delta + model.Gamma(dim + 2) * (2 * products + delta) + stored * products + storedUnderflow + (dim + 2) * model.Underflow;
        double largest = 2 * products + difference;
        double score = weight * 2 * products + (1 + weight) * (difference + (model.Gamma(2) + 2 * stored) * largest) + keys * (model.Underflow + storedUnderflow);
        double value = weight + stored * (1 + weight);
        return Math.Max(largest, weights.Scores) > model.Largest / 2
            ? new(double.PositiveInfinity, double.PositiveInfinity, double.PositiveInfinity)
            : new(Sum(score, 2 * products, k, keys, 1, scale), Sum(score, 2 * products, q, keys, rows, scale), Sum(value, 1, dout, keys, rows, 1));

        // Rows whose keys' coefficients add up to no more than a magnitude, with errors that add up to no more than another; each has a term for every key.
        double Sum(double error, double magnitude, double operand, int keys, int rows, double scale)
        {
            double shared = model.StoresWeights ? UnknownWeights.StoredGamma(config.Heads, model) : 0, terms = (double)rows * keys;
            double sum = rows * operand * (error + (model.Gamma(model.Chain(Math.Max(rows, keys)) + 4) + shared) * (magnitude + error));
            double bound = scale * (sum + model.Underflow * terms * (operand + 3)) + model.Underflow * terms * (operand + 1);
            return double.IsNaN(bound) ? double.PositiveInfinity : bound;
        }
    }

    /// <summary>A bound of each element of what a port stored: of the element before, and of storing it.</summary>
    public static Tensor<double> OfStored(Tensor<double> given, double before, RoundingModel model) => given.Map(value =>
    {
        double magnitude = double.IsFinite(value) ? Math.Abs(value) : 0;
        double bound = before + (magnitude + before) * model.Storage.Unit + model.Storage.Underflow;
        return magnitude + bound > model.Storage.Largest ? double.PositiveInfinity : bound;
    });
}
