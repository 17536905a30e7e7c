// What is the output of S2-Attn? The definition, evaluated row by row.
using System.Numerics;
using S2Attn.Spec;

namespace S2Attn.Reference;

/// <summary>o [B,N,H,D] and logsumexp [B,N,H].</summary>
public sealed record AttentionOutput<T>(Tensor<T> Output, Tensor<T> LogSumExp);

/// <summary>
/// The keys that one query row sees, the softmax weights that it gives them, and the logarithm of their sum before normalisation.
/// A row that sees no key has no weights and logsumexp -infinity.
/// </summary>
public sealed record AttentionRow(IReadOnlyList<int> Keys, IReadOnlyList<double> Weights, double LogSumExp);

/// <summary>
/// Forward S2-Attn. Elements are read as T, all arithmetic is done in double in the order of increasing key, and each result is
/// rounded once to T: for float, Half and narrower types that is the wider type, for double it is double itself.
/// </summary>
public static class Attention
{
    /// <summary>o[b,t,h,:] = sum over visible u of softmax(scale q.k) v, and lse[b,t,h] = log sum exp(scale q.k).</summary>
    /// <remarks>
    /// Masked keys and values are never read. Visible NaN propagates; visible infinities follow IEEE 754, so that a score of +infinity
    /// gives NaN. A row whose scores are all -infinity has an empty sum, as a row without visible keys: o = 0, logsumexp = -infinity.
    /// </remarks>
    /// <exception cref="ArgumentException">A tensor does not have the shape that the configuration asks for.</exception>
    public static AttentionOutput<T> Forward<T>(S2Config config, AttentionInput<T> input)
        where T : IBinaryFloatingPointIeee754<T>
    {
        ArgumentNullException.ThrowIfNull(input);
        input.CheckShapes(config);
        T[] output = new T[config.Batch * config.Tokens * config.Heads * config.HeadDim];
        T[] logSumExp = new T[config.Batch * config.Tokens * config.Heads];
        for (int b = 0; b < config.Batch; b++)
            for (int t = 0; t < config.Tokens; t++)
                for (int h = 0; h < config.Heads; h++)
                {
                    AttentionRow row = Row(config, input, b, t, h);
                    logSumExp[Layout.Row(config.Tokens, config.Heads, 1, b, t, h)] = T.CreateTruncating(row.LogSumExp);
                    double[] o = OutputRow(config, input, row, b, h);
                    int start = Layout.Row(config.Tokens, config.Heads, config.HeadDim, b, t, h);
                    for (int d = 0; d < config.HeadDim; d++)
                        output[start + d] = T.CreateTruncating(o[d]);
                }

        return new(
            Tensor<T>.Of([config.Batch, config.Tokens, config.Heads, config.HeadDim], output),
            Tensor<T>.Of([config.Batch, config.Tokens, config.Heads], logSumExp));
    }

    /// <summary>The softmax row of one query: for large N, a way to evaluate a few rows only.</summary>
    public static AttentionRow Row<T>(S2Config config, AttentionInput<T> input, int b, int t, int h)
        where T : IBinaryFloatingPointIeee754<T>
    {
        ArgumentNullException.ThrowIfNull(config);
        ArgumentNullException.ThrowIfNull(input);
        int kvHead = config.KvHeadOf(h);
        List<int> keys = VisibleKeys(config, input, b, t, h);
        double[] scores = new double[keys.Count];
        for (int i = 0; i < scores.Length; i++)
            scores[i] = config.Scale * Dot(input.Query.Row(b, t, h), input.Key.Row(b, keys[i], kvHead));
        return Softmax(keys, scores);
    }

    internal static List<int> VisibleKeys<T>(S2Config config, AttentionInput<T> input, int b, int t, int h)
        where T : IBinaryFloatingPointIeee754<T>
    {
        List<int> keys = [];
        for (int u = 0; u < config.Tokens; u++)
            if (Visibility.Visible(config, h, t, u) && input.Valid[b, u])
                keys.Add(u);
        return keys;
    }

    /// <summary>o of one query row, for weights that <see cref="Row"/> gave.</summary>
    public static double[] OutputRow<T>(S2Config config, AttentionInput<T> input, AttentionRow row, int b, int h)
        where T : IBinaryFloatingPointIeee754<T>
    {
        ArgumentNullException.ThrowIfNull(config);
        ArgumentNullException.ThrowIfNull(input);
        ArgumentNullException.ThrowIfNull(row);
        double[] o = new double[config.HeadDim];
        for (int i = 0; i < row.Weights.Count; i++)
        {
            ReadOnlySpan<T> value = input.Value.Row(b, row.Keys[i], config.KvHeadOf(h));
            for (int d = 0; d < o.Length; d++)
                o[d] += row.Weights[i] * double.CreateTruncating(value[d]);
        }

        return o;
    }

    internal static AttentionRow Softmax(IReadOnlyList<int> keys, double[] scores)
    {
        double max = double.NegativeInfinity;
        foreach (double score in scores)
            max = Math.Max(max, score);
        if (double.IsNegativeInfinity(max))
            return new([], [], double.NegativeInfinity);

        double sum = 0;
        double[] weights = new double[scores.Length];
        for (int i = 0; i < weights.Length; i++)
            sum += weights[i] = Math.Exp(scores[i] - max);
        for (int i = 0; i < weights.Length; i++)
            weights[i] /= sum;
        return new(keys, weights, max + Math.Log(sum));
    }

    internal static double Dot<T>(ReadOnlySpan<T> a, ReadOnlySpan<T> b)
        where T : IBinaryFloatingPointIeee754<T>
    {
        double sum = 0;
        for (int d = 0; d < a.Length; d++)
            sum += double.CreateTruncating(a[d]) * double.CreateTruncating(b[d]);
        return sum;
    }
}
