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
public sealed record AttentionRow(IReadOnlyList<int> Keys, IReadOnlyList<double> Weights, double LogSumExp)
{
    // For loops over them: through the interface each would take longer than what is done with it.
    internal ReadOnlySpan<int> KeySpan => Keys as int[] ?? [.. Keys];

    internal ReadOnlySpan<double> WeightSpan => Weights as double[] ?? [.. Weights];
}

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
        => Forward(S2Slice.Whole(config), input);

    /// <summary>The same for a part of a sequence: q and o [B,t1-t0,H,D], k and v [B,u1-u0,K,D], valid [B,u1-u0], logsumexp [B,t1-t0,H].</summary>
    /// <exception cref="ArgumentException">A tensor does not have the shape that the slice asks for.</exception>
    public static AttentionOutput<T> Forward<T>(S2Slice slice, AttentionInput<T> input)
        where T : IBinaryFloatingPointIeee754<T>
    {
        ArgumentNullException.ThrowIfNull(slice);
        ArgumentNullException.ThrowIfNull(input);
        input.CheckShapes(slice);
        S2Config config = slice.Config;
        VisibleKeys visible = new(slice);
        T[] output = new T[config.Batch * slice.QueryCount * config.Heads * config.HeadDim];
        T[] logSumExp = new T[config.Batch * slice.QueryCount * config.Heads];
        for (int b = 0; b < config.Batch; b++)
            for (int t = slice.Queries.Start; t < slice.Queries.End; t++)
                for (int h = 0; h < config.Heads; h++)
                {
                    AttentionRow row = Row(visible, input, b, t, h);
                    logSumExp[Layout.Row(slice.QueryCount, config.Heads, 1, b, t - slice.Queries.Start, h)] = T.CreateTruncating(row.LogSumExp);
                    double[] o = OutputRow(slice, input, row, b, h);
                    int start = Layout.Row(slice.QueryCount, config.Heads, config.HeadDim, b, t - slice.Queries.Start, h);
                    for (int d = 0; d < config.HeadDim; d++)
                        output[start + d] = T.CreateTruncating(o[d]);
                }

        return new(
            Tensor<T>.Of([config.Batch, slice.QueryCount, config.Heads, config.HeadDim], output),
            Tensor<T>.Of([config.Batch, slice.QueryCount, config.Heads], logSumExp));
    }

    /// <summary>The softmax row of one query: for large N, a way to evaluate a few rows only.</summary>
    public static AttentionRow Row<T>(S2Config config, AttentionInput<T> input, int b, int t, int h)
        where T : IBinaryFloatingPointIeee754<T>
        => Row(S2Slice.Whole(config), input, b, t, h);

    /// <summary>The softmax row of query t of a slice, counted from the start of the sequence, as its keys are.</summary>
    public static AttentionRow Row<T>(S2Slice slice, AttentionInput<T> input, int b, int t, int h)
        where T : IBinaryFloatingPointIeee754<T>
    {
        ArgumentNullException.ThrowIfNull(slice);
        ArgumentNullException.ThrowIfNull(input);
        return Row(new VisibleKeys(slice), input, b, t, h);
    }

    /// <summary>The softmax row of query t of batch entry b and head h, for many of them.</summary>
    public static Func<int, int, int, AttentionRow> RowsOf<T>(S2Config config, AttentionInput<T> input)
        where T : IBinaryFloatingPointIeee754<T>
    {
        ArgumentNullException.ThrowIfNull(input);
        VisibleKeys visible = new(S2Slice.Whole(config));
        return (b, t, h) => Row(visible, input, b, t, h);
    }

    internal static AttentionRow Row<T>(VisibleKeys visible, AttentionInput<T> input, int b, int t, int h)
        where T : IBinaryFloatingPointIeee754<T>
    {
        S2Slice slice = visible.Slice;
        int kvHead = slice.Config.KvHeadOf(h);
        int[] keys = visible.Of(input, b, t, h);
        double[] scores = new double[keys.Length];
        ReadOnlySpan<T> query = input.Query.Row(b, t - slice.Queries.Start, h);
        for (int i = 0; i < scores.Length; i++)
            scores[i] = slice.Config.Scale * Dot(query, input.Key.Row(b, keys[i] - slice.Keys.Start, kvHead));
        return Softmax(keys, scores);
    }

    /// <summary>o of one query row, for weights that <see cref="Row{T}(S2Config, AttentionInput{T}, int, int, int)"/> gave.</summary>
    public static double[] OutputRow<T>(S2Config config, AttentionInput<T> input, AttentionRow row, int b, int h)
        where T : IBinaryFloatingPointIeee754<T>
        => OutputRow(S2Slice.Whole(config), input, row, b, h);

    /// <summary>o of one query row of a slice.</summary>
    public static double[] OutputRow<T>(S2Slice slice, AttentionInput<T> input, AttentionRow row, int b, int h)
        where T : IBinaryFloatingPointIeee754<T>
    {
        ArgumentNullException.ThrowIfNull(slice);
        ArgumentNullException.ThrowIfNull(input);
        ArgumentNullException.ThrowIfNull(row);
        double[] o = new double[slice.Config.HeadDim];
        int kvHead = slice.Config.KvHeadOf(h);
        ReadOnlySpan<int> keys = row.KeySpan;
        ReadOnlySpan<double> weights = row.WeightSpan;
        for (int i = 0; i < weights.Length; i++)
        {
            double weight = weights[i];
            ReadOnlySpan<T> value = input.Value.Row(b, keys[i] - slice.Keys.Start, kvHead);
            for (int d = 0; d < o.Length; d++)
                o[d] += weight * double.CreateTruncating(value[d]);
        }

        return o;
    }

    internal static AttentionRow Softmax(IReadOnlyList<int> keys, double[] scores)
    {
        double[] weights = (double[])scores.Clone();
        double logSumExp = Softmax(weights);
        return double.IsNegativeInfinity(logSumExp) ? new([], [], logSumExp) : new(keys, weights, logSumExp);
    }

    /// <summary>Puts the weights of scores in their place and returns the logsumexp; weights of 0 and -infinity where all scores are -infinity.</summary>
    internal static double Softmax(Span<double> scores)
    {
        double max = double.NegativeInfinity;
        foreach (double score in scores)
            max = Math.Max(max, score);
        if (double.IsNegativeInfinity(max))
        {
            scores.Clear();
            return max;
        }

        double sum = 0;
        for (int i = 0; i < scores.Length; i++)
            sum += scores[i] = Math.Exp(scores[i] - max);
        for (int i = 0; i < scores.Length; i++)
            scores[i] /= sum;
        return max + Math.Log(sum);
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
