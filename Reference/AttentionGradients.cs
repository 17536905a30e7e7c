// What are the gradients of S2-Attn? The derivative of the definition, row by row.
using System.Numerics;
using S2Attn.Spec;

namespace S2Attn.Reference;

/// <summary>dq [B,N,H,D], dk and dv [B,N,K,D].</summary>
public sealed record Gradients<T>(Tensor<T> Query, Tensor<T> Key, Tensor<T> Value);

/// <summary>Backward S2-Attn, with the arithmetic of <see cref="Attention"/>.</summary>
public static class AttentionGradients
{
    /// <summary>The gradients of sum(o * outputGradient) with respect to q, k and v.</summary>
    /// <remarks>
    /// With p = softmax(s) and s = scale q.k over the visible keys of a row: dv = sum p do, dp = do.v, ds = p (dp - sum p dp),
    /// dq = scale sum ds k, dk = scale sum ds q; dk and dv sum over the query heads that share the kv head.
    /// </remarks>
    /// <param name="config">The configuration.</param>
    /// <param name="input">q, k, v and the valid keys.</param>
    /// <param name="outputGradient">do [B,N,H,D].</param>
    /// <exception cref="ArgumentException">A tensor does not have the shape that the configuration asks for.</exception>
    public static Gradients<T> Backward<T>(S2Config config, AttentionInput<T> input, Tensor<T> outputGradient)
        where T : IBinaryFloatingPointIeee754<T>
        => Backward(S2Slice.Whole(config), input, outputGradient);

    /// <summary>The same for a part of a sequence: dk and dv are this slice's shares, and the shares of slices that make up the whole add up to the whole's.</summary>
    /// <exception cref="ArgumentException">A tensor does not have the shape that the slice asks for.</exception>
    public static Gradients<T> Backward<T>(S2Slice slice, AttentionInput<T> input, Tensor<T> outputGradient)
        where T : IBinaryFloatingPointIeee754<T>
    {
        ArgumentNullException.ThrowIfNull(slice);
        return Backward(slice, input, outputGradient, Tensor<T>.Build([slice.Config.Batch, slice.QueryCount, slice.Config.Heads], _ => T.Zero));
    }

    /// <summary>
    /// The gradients of sum(o * outputGradient) + sum(lse * logSumExpGradient): ds = p (dp - sum p dp + dlse), because the derivative of logsumexp by a score is its weight.
    /// With it, results over parts of the keys can be merged by their logsumexp and differentiated (<see cref="AttentionMerge"/>).
    /// </summary>
    /// <param name="slice">The slice.</param>
    /// <param name="input">q, k, v and the valid keys of the slice.</param>
    /// <param name="outputGradient">do [B,t1-t0,H,D].</param>
    /// <param name="logSumExpGradient">dlse [B,t1-t0,H].</param>
    /// <exception cref="ArgumentException">A tensor does not have the shape that the slice asks for.</exception>
    public static Gradients<T> Backward<T>(S2Slice slice, AttentionInput<T> input, Tensor<T> outputGradient, Tensor<T> logSumExpGradient)
        where T : IBinaryFloatingPointIeee754<T>
    {
        ArgumentNullException.ThrowIfNull(slice);
        ArgumentNullException.ThrowIfNull(input);
        ArgumentNullException.ThrowIfNull(outputGradient);
        ArgumentNullException.ThrowIfNull(logSumExpGradient);
        VisibleKeys visible = new(slice);
        GradientSums<T> sums = new(slice, input, outputGradient, logSumExpGradient);
        for (int b = 0; b < slice.Config.Batch; b++)
            for (int h = 0; h < slice.Config.Heads; h++)
                for (int t = slice.Queries.Start; t < slice.Queries.End; t++)
                    sums.Add(Attention.Row(visible, input, b, t, h), b, t, h);
        return sums.Rounded();
    }
}

/// <summary>dq, dk and dv while rows are added to them, in double.</summary>
internal sealed class GradientSums<T>
    where T : IBinaryFloatingPointIeee754<T>
{
    private readonly S2Slice slice;
    private readonly AttentionInput<T> input;
    private readonly Tensor<T> outputGradient, logSumExpGradient;
    private readonly double[] dq, dk, dv;

    /// <exception cref="ArgumentException">A tensor does not have the shape that the slice asks for.</exception>
    public GradientSums(S2Slice slice, AttentionInput<T> input, Tensor<T> outputGradient, Tensor<T> logSumExpGradient)
    {
        input.CheckShapes(slice);
        AttentionInput<T>.CheckShape(nameof(outputGradient), outputGradient, input.Query.Shape.AsSpan());
        AttentionInput<T>.CheckShape(nameof(logSumExpGradient), logSumExpGradient, input.Query.Shape.AsSpan()[..3]);
        (this.slice, this.input, this.outputGradient, this.logSumExpGradient) = (slice, input, outputGradient, logSumExpGradient);
        (dq, dk, dv) = (new double[input.Query.Elements.Length], new double[input.Key.Elements.Length], new double[input.Value.Elements.Length]);
    }

    /// <summary>Each element rounded once.</summary>
    public Gradients<T> Rounded()
    {
        return new(Of(input.Query, dq), Of(input.Key, dk), Of(input.Value, dv));

        static Tensor<T> Of(Tensor<T> like, double[] gradient) => Tensor<T>.Build(like.Shape.AsSpan(), i => T.CreateTruncating(gradient[i]));
    }

    /// <summary>Adds what query t of a head gives, whose keys and weights the row holds.</summary>
    /// <returns>do.v of each of its keys.</returns>
    public double[] Add(AttentionRow row, int b, int t, int h)
    {
        S2Config config = slice.Config;
        int kvHead = config.KvHeadOf(h), queryRow = t - slice.Queries.Start;
        ReadOnlySpan<T> query = input.Query.Row(b, queryRow, h);
        ReadOnlySpan<T> dout = outputGradient.Row(b, queryRow, h);
        double dlse = double.CreateTruncating(logSumExpGradient[b, queryRow, h]);

        ReadOnlySpan<int> keys = row.KeySpan;
        ReadOnlySpan<double> weights = row.WeightSpan;
        double[] dp = new double[weights.Length];
        double mean = 0;
        for (int i = 0; i < dp.Length; i++)
        {
            dp[i] = Attention.Dot(dout, input.Value.Row(b, keys[i] - slice.Keys.Start, kvHead));
            mean += weights[i] * dp[i];
        }

        Span<double> dqRow = dq.AsSpan(Layout.Row(slice.QueryCount, config.Heads, config.HeadDim, b, queryRow, h), config.HeadDim);
        for (int i = 0; i < dp.Length; i++)
        {
            int keyRow = keys[i] - slice.Keys.Start, keyStart = Layout.Row(slice.KeyCount, config.KvHeads, config.HeadDim, b, keyRow, kvHead);
            ReadOnlySpan<T> key = input.Key.Row(b, keyRow, kvHead);
            Span<double> dkRow = dk.AsSpan(keyStart, config.HeadDim), dvRow = dv.AsSpan(keyStart, config.HeadDim);
            double weight = weights[i], ds = config.Scale * weight * (dp[i] - mean + dlse);
            for (int d = 0; d < dqRow.Length; d++)
            {
                dqRow[d] += ds * double.CreateTruncating(key[d]);
                dkRow[d] += ds * double.CreateTruncating(query[d]);
                dvRow[d] += weight * double.CreateTruncating(dout[d]);
            }
        }

        return dp;
    }
}
