// How far may a rounded computation of o and logsumexp lie from the definition?
using System.Numerics;
using S2Attn.Spec;
using S2Attn.Spec.Algebra;

namespace S2Attn.Reference;

/// <summary>Exact values of a forward pass, and beside each the largest error that the arithmetic allows (infinite where it may overflow).</summary>
public sealed record BoundedOutput(AttentionOutput<double> Exact, AttentionOutput<double> Bound);

/// <summary>One row of a forward pass with its bounds.</summary>
/// <param name="Row">Visible keys, exact weights p and logsumexp.</param>
/// <param name="Output">o [D].</param>
/// <param name="OutputBound">Bound of |computed o - o|, per element.</param>
/// <param name="LogSumExpBound">Bound of |computed lse - lse|.</param>
/// <param name="LogWeightBounds">Delta_u: the computed unnormalised weight of the row's u-th key is exp(s_u) exp(delta), |delta| &lt;= Delta_u, times a factor of the whole row.</param>
public sealed record BoundedRow(
    AttentionRow Row, double[] Output, double[] OutputBound, double LogSumExpBound, double[] LogWeightBounds);

/// <summary>
/// A forward error bound of S2-Attn, per element, from quantities of the element's own row: gamma_n, chains of sums and Lemma 3.1 of Higham, Accuracy and
/// Stability of Numerical Algorithms, 2nd ed., chapter 3; the shifted softmax and log-sum-exp of Blanchard, Higham and Higham, IMA J. Numer. Anal. 41 (2021).
/// docs/error-bounds.md derives each line.
/// </summary>
/// <remarks>Inputs are exact in their format. The bound is evaluated in double and covers the rounding of <see cref="Attention"/> as well.</remarks>
public static class ErrorBound
{
    /// <summary>Further below the largest score no exp of any model reaches.</summary>
    internal static readonly double Farthest = -2 * Math.Log(double.Epsilon);

    /// <summary>o, logsumexp and their bounds for an implementation that rounds as the model says.</summary>
    /// <exception cref="ArgumentException">A tensor does not have the shape that the configuration asks for.</exception>
    public static BoundedOutput Forward<T>(S2Config config, AttentionInput<T> input, RoundingModel model)
        where T : IBinaryFloatingPointIeee754<T>
        => Forward(S2Slice.Whole(config), input, model);

    /// <summary>The same for a part of a sequence: o [B,t1-t0,H,D] and logsumexp [B,t1-t0,H].</summary>
    /// <exception cref="ArgumentException">A tensor does not have the shape that the slice asks for.</exception>
    public static BoundedOutput Forward<T>(S2Slice slice, AttentionInput<T> input, RoundingModel model)
        where T : IBinaryFloatingPointIeee754<T>
    {
        ArgumentNullException.ThrowIfNull(slice);
        ArgumentNullException.ThrowIfNull(input);
        ArgumentNullException.ThrowIfNull(model);
        input.CheckShapes(slice);
        S2Config config = slice.Config;
        BoundedRows rows = new(slice);
        VisibleKeys visible = new(slice);
        for (int b = 0; b < config.Batch; b++)
            for (int t = slice.Queries.Start; t < slice.Queries.End; t++)
                for (int h = 0; h < config.Heads; h++)
                    rows.Put(Row(visible, input, b, t, h, model), b, t, h);
        return rows.Output();
    }

    /// <summary>One row with its bounds: for large N, a way to check a few rows only.</summary>
    public static BoundedRow Row<T>(S2Config config, AttentionInput<T> input, int b, int t, int h, RoundingModel model)
        where T : IBinaryFloatingPointIeee754<T>
        => Row(S2Slice.Whole(config), input, b, t, h, model);

    /// <summary>Query t of a slice, counted from the start of the sequence, with its bounds.</summary>
    public static BoundedRow Row<T>(S2Slice slice, AttentionInput<T> input, int b, int t, int h, RoundingModel model)
        where T : IBinaryFloatingPointIeee754<T>
    {
        ArgumentNullException.ThrowIfNull(slice);
        ArgumentNullException.ThrowIfNull(input);
        ArgumentNullException.ThrowIfNull(model);
        return Row(new VisibleKeys(slice), input, b, t, h, model);
    }

    internal static BoundedRow Row<T>(VisibleKeys visible, AttentionInput<T> input, int b, int t, int h, RoundingModel model)
        where T : IBinaryFloatingPointIeee754<T>
    {
        S2Slice slice = visible.Slice;
        S2Config config = slice.Config;
        AttentionRow row = Attention.Row(visible, input, b, t, h);
        double[] output = Attention.OutputRow(slice, input, row, b, h);
        int kvHead = config.KvHeadOf(h);
        if (row.Keys.Count == 0)
            return new(row, output, EmptyRowBounds(visible, input, b, t, h, kvHead), 0, []);

        int tokens = slice.IsUnbounded ? Math.Max(config.Tokens, t + 1) : config.Tokens;
        int span = Prefixes.KeysSeen<Int, Bool>(config.Mask, config.IsPrefixWhole, tokens, config.GroupSize, config.ShiftOf(h), config.Prefix, t).ToIndex();
        double rescalings = model.Rescalings(row.Keys.Count, span, Segments.OfRun(config));
        double[] logBounds = LogWeightBounds(slice, input, row, rescalings, b, t, h, model);
        double[] growths = Growths(row, logBounds);
        double least = LeastSum(row, logBounds);
        double[] bound = OutputBounds(slice, input, row, output, logBounds, growths, least, rescalings, b, kvHead, model);
        double total = model.CoverReference;
        for (int d = 0; d < bound.Length; d++)
            bound[d] = double.IsNaN(bound[d]) || bound[d] + Math.Abs(output[d]) > model.Storage.Largest
                ? double.PositiveInfinity
                : bound[d] * total;
        return new(row, output, bound, LogSumExpBound(row, growths, least, rescalings, model) * total, logBounds);
    }

    /// <summary>Zeros, exactly; but weights of 0 (scores of -infinity) times a value that is not finite may be NaN.</summary>
    private static double[] EmptyRowBounds<T>(VisibleKeys visible, AttentionInput<T> input, int b, int t, int h, int kvHead)
        where T : IBinaryFloatingPointIeee754<T>
    {
        S2Slice slice = visible.Slice;
        double[] bound = new double[slice.Config.HeadDim];
        foreach (int u in visible.Of(input, b, t, h))
            for (int d = 0; d < bound.Length; d++)
                if (!T.IsFinite(input.Value.Row(b, u - slice.Keys.Start, kvHead)[d]))
                    bound[d] = double.PositiveInfinity;
        return bound;
    }

    /// <summary>
    /// Delta_u = gamma_{D+c} A_u + stored roundings + (R+1) log-error of exp + u (max - s_u), with A_u = |scale| sum |q||k_u|: the rounding of the score itself,
    /// of exp, of its argument and of the rescalings, whose arguments telescope to max - s_u.
    /// </summary>
    private static double[] LogWeightBounds<T>(S2Slice slice, AttentionInput<T> input, AttentionRow row, double rescalings, int b, int t, int h, RoundingModel model)
        where T : IBinaryFloatingPointIeee754<T>
    {
        S2Config config = slice.Config;
        double scale = Math.Abs(config.Scale);
        double scoreGamma = model.Gamma(config.HeadDim + model.ScoreRoundings) + RoundingModel.Gamma(model.StoredScores, model.Storage.Unit);
        double storeUnderflow = model.StoredScores * model.Storage.Underflow;
        double expLog = -double.LogP1(-model.ExpError) * (rescalings + 1);
        ReadOnlySpan<int> keys = row.KeySpan;
        ReadOnlySpan<double> weights = row.WeightSpan;
        double[] bounds = new double[keys.Length], magnitudes = new double[keys.Length], logs = new double[keys.Length];
        int kvHead = config.KvHeadOf(h);
        ReadOnlySpan<T> query = input.Query.Row(b, t - slice.Queries.Start, h);
        double largestQuery = 0;
        foreach (T q in query)
            largestQuery = Math.Max(largestQuery, Math.Abs(double.CreateTruncating(q)));
        double largestError = 0, largestLog = double.NegativeInfinity;
        for (int i = 0; i < bounds.Length; i++)
        {
            // q may be scaled before the dot product, so an underflow there is multiplied by k.
            (double dot, double keySum) = AbsoluteDot(query, input.Key.Row(b, keys[i] - slice.Keys.Start, kvHead));
            magnitudes[i] = scale * dot;
            double underflow = model.Underflow * (keySum + config.HeadDim * Math.Max(scale, 1) + 2) + storeUnderflow;
            bounds[i] = scoreGamma * magnitudes[i] + underflow;
            double largest = Math.Max(Math.Max(dot, magnitudes[i]), largestQuery * scale);
            if (weights[i] == 0 && double.IsPositiveInfinity(magnitudes[i]))
                bounds[i] = 0; // A score of -infinity is exact, and so is its weight 0.
            else if (largest > model.Largest / 2 || (model.StoredScores > 0 && largest > model.Storage.Largest / 2))
                bounds[i] = double.PositiveInfinity;
            largestError = Math.Max(largestError, bounds[i]);
            logs[i] = Math.Log(weights[i]);
            largestLog = Math.Max(largestLog, logs[i]);
        }

        // max - s_u is log(p_max / p_u); a weight that underflowed in double lies further away than any exp of the model reaches.
        double once = model.Gamma(1);
        for (int i = 0; i < bounds.Length; i++)
        {
            double distance = Math.Min(largestLog - logs[i], Farthest);
            bounds[i] += expLog + once * (distance + bounds[i] + largestError);
        }

        return bounds;
    }

    /// <summary>
    /// |computed o - o|: the errors of the weights act on v - o, because weights that change by one factor change nothing; the roundings of the sums act on
    /// |v| in the numerator and on o through the denominator; then division and storage.
    /// </summary>
    private static double[] OutputBounds<T>(
        S2Slice slice, AttentionInput<T> input, AttentionRow row, double[] output, double[] logBounds, double[] growths, double least, double rescalings, int b, int kvHead, RoundingModel model)
        where T : IBinaryFloatingPointIeee754<T>
    {
        double[] bound = new double[slice.Config.HeadDim];
        if (logBounds.Contains(double.PositiveInfinity))
        {
            Array.Fill(bound, double.PositiveInfinity);
            return bound;
        }

        int keys = row.Keys.Count;
        double sumGamma = model.Gamma(model.Chain(keys) + rescalings + 1);
        double numerator = sumGamma + (model.StoresWeights ? model.Storage.Unit * (1 + sumGamma) : 0);
        double quotient = model.Gamma(model.Chain(keys) + rescalings + 3) / (1 - sumGamma);

        // Weights are compared with the largest, 1: what exp, a rescaling or the stored weight loses to underflow is absolute.
        double weightUnderflow = (rescalings + 1) * (model.ExpUnderflow + model.Underflow) + (model.StoresWeights ? model.Storage.Underflow : 0);
        double kept = Math.Max(least - keys * weightUnderflow, 0);

        ReadOnlySpan<int> keysSeen = row.KeySpan;
        ReadOnlySpan<double> weights = row.WeightSpan;
        double[] spread = new double[bound.Length];
        double[] largest = new double[bound.Length];
        for (int i = 0; i < keys; i++)
        {
            ReadOnlySpan<T> value = input.Value.Row(b, keysSeen[i] - slice.Keys.Start, kvHead);
            double change = growths[i] + weightUnderflow, rounded = numerator * (weights[i] * Math.Exp(logBounds[i]));
            for (int d = 0; d < bound.Length; d++)
            {
                double v = double.CreateTruncating(value[d]), magnitude = Math.Abs(v), apart = Math.Abs(v - output[d]);
                bound[d] += change * apart + rounded * magnitude;
                spread[d] = Math.Max(spread[d], apart);
                largest[d] = Math.Max(largest[d], magnitude);
            }
        }

        for (int d = 0; d < bound.Length; d++)
        {
            double products = (keys + rescalings + 2) * model.Underflow;
            double weighted = bound[d] / kept + products / kept;

            // Whatever the weights, their mean of the values stays among the values: this bounds rows whose scores are lost to cancellation.
            double hull = spread[d] + numerator * largest[d] + products;
            double before = Math.Min(double.IsNaN(weighted) ? double.PositiveInfinity : weighted, hull);
            double divided = before + (Math.Abs(output[d]) + before) * quotient + model.Underflow;
            bound[d] = divided + (Math.Abs(output[d]) + divided) * model.Storage.Unit + model.Storage.Underflow;
        }

        return bound;
    }

    /// <summary>|computed lse - lse|: the weighted mean growth of the weights, the sum's chain, and the roundings of log, of max + log and of base 2.</summary>
    private static double LogSumExpBound(AttentionRow row, double[] growths, double least, double rescalings, RoundingModel model)
    {
        int keys = row.Keys.Count;
        double growth = keys * (rescalings + 1) * (model.ExpUnderflow + model.Underflow);
        foreach (double grown in growths)
            growth += grown;
        double sumGamma = model.Gamma(model.Chain(keys) + rescalings + 1);
        double weights = Math.Max(double.LogP1(growth), -Math.Log(least)) + LogLoss(sumGamma);

        // lse = max + log sum with 0 <= log sum <= log n: neither term is larger than |lse| + log n.
        double terms = Math.Abs(row.LogSumExp) + Math.Log(keys);
        double lossless = weights + model.LogRoundings * model.Unit * (terms + 1 + weights) + model.Underflow;
        return double.IsNaN(lossless) ? double.PositiveInfinity : lossless;
    }

    /// <summary>By how much each weight can grow, relative to the exact sum.</summary>
    private static double[] Growths(AttentionRow row, double[] logBounds)
    {
        ReadOnlySpan<double> weights = row.WeightSpan;
        double[] growths = new double[weights.Length];
        for (int i = 0; i < growths.Length; i++)
            growths[i] = weights[i] == 0 ? 0 : weights[i] * double.ExpM1(logBounds[i]);
        return growths;
    }

    /// <summary>The least that the sum of the weights can become, relative to the exact sum.</summary>
    private static double LeastSum(AttentionRow row, double[] logBounds)
    {
        ReadOnlySpan<double> weights = row.WeightSpan;
        double sum = 0;
        for (int i = 0; i < weights.Length; i++)
            sum += weights[i] * Math.Exp(-logBounds[i]);
        return sum;
    }

    private static double LogLoss(double relative) => relative < 1 ? -double.LogP1(-relative) : double.PositiveInfinity;

    internal static (double Dot, double KeySum) AbsoluteDot<T>(ReadOnlySpan<T> query, ReadOnlySpan<T> key)
        where T : IBinaryFloatingPointIeee754<T>
    {
        double dot = 0, keySum = 0;
        for (int d = 0; d < query.Length; d++)
        {
            double k = Math.Abs(double.CreateTruncating(key[d]));
            dot += Math.Abs(double.CreateTruncating(query[d])) * k;
            keySum += k;
        }

        return (dot, keySum);
    }
}

/// <summary>o and logsumexp of a slice with their bounds, while rows are put into them.</summary>
internal sealed class BoundedRows(S2Slice slice)
{
    private readonly double[] output = new double[Vectors(slice) * slice.Config.HeadDim], outputBound = new double[Vectors(slice) * slice.Config.HeadDim];
    private readonly double[] lse = new double[Vectors(slice)], lseBound = new double[Vectors(slice)];

    /// <summary>Puts query t of a head at its place.</summary>
    public void Put(BoundedRow row, int b, int t, int h)
    {
        int vector = Layout.Row(slice.QueryCount, slice.Config.Heads, 1, b, t - slice.Queries.Start, h), start = vector * slice.Config.HeadDim;
        row.Output.CopyTo(output.AsSpan(start));
        row.OutputBound.CopyTo(outputBound.AsSpan(start));
        (lse[vector], lseBound[vector]) = (row.Row.LogSumExp, row.LogSumExpBound);
    }

    /// <summary>All rows.</summary>
    public BoundedOutput Output() => new(Pack(output, lse), Pack(outputBound, lseBound));

    private AttentionOutput<double> Pack(double[] o, double[] l) => new(
        Tensor<double>.Of([slice.Config.Batch, slice.QueryCount, slice.Config.Heads, slice.Config.HeadDim], o),
        Tensor<double>.Of([slice.Config.Batch, slice.QueryCount, slice.Config.Heads], l));

    private static int Vectors(S2Slice slice) => slice.Config.Batch * slice.QueryCount * slice.Config.Heads;
}
