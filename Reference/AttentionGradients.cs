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
    {
        ArgumentNullException.ThrowIfNull(input);
        ArgumentNullException.ThrowIfNull(outputGradient);
        input.CheckShapes(config);
        AttentionInput<T>.CheckShape(nameof(outputGradient), outputGradient, input.Query.Shape.AsSpan());
        double[] dq = new double[input.Query.Elements.Length];
        double[] dk = new double[input.Key.Elements.Length];
        double[] dv = new double[input.Value.Elements.Length];
        for (int b = 0; b < config.Batch; b++)
            for (int h = 0; h < config.Heads; h++)
                for (int t = 0; t < config.Tokens; t++)
                    AddRow(config, input, outputGradient, b, t, h, dq, dk, dv);

        return new(Rounded(input.Query, dq), Rounded(input.Key, dk), Rounded(input.Value, dv));

        static Tensor<T> Rounded(Tensor<T> like, double[] gradient) => Tensor<T>.Build(like.Shape.AsSpan(), i => T.CreateTruncating(gradient[i]));
    }

    private static void AddRow<T>(S2Config config, AttentionInput<T> input, Tensor<T> outputGradient, int b, int t, int h, double[] dq, double[] dk, double[] dv)
        where T : IBinaryFloatingPointIeee754<T>
    {
        int kvHead = config.KvHeadOf(h);
        ReadOnlySpan<T> query = input.Query.Row(b, t, h);
        ReadOnlySpan<T> dout = outputGradient.Row(b, t, h);
        AttentionRow row = Attention.Row(config, input, b, t, h);

        double[] dp = new double[row.Weights.Count];
        double mean = 0;
        for (int i = 0; i < dp.Length; i++)
        {
            dp[i] = Attention.Dot(dout, input.Value.Row(b, row.Keys[i], kvHead));
            mean += row.Weights[i] * dp[i];
        }

        Span<double> dqRow = dq.AsSpan(Layout.Row(config.Tokens, config.Heads, config.HeadDim, b, t, h), config.HeadDim);
        for (int i = 0; i < dp.Length; i++)
        {
            int keyRow = Layout.Row(config.Tokens, config.KvHeads, config.HeadDim, b, row.Keys[i], kvHead);
            ReadOnlySpan<T> key = input.Key.Row(b, row.Keys[i], kvHead);
            double ds = config.Scale * row.Weights[i] * (dp[i] - mean);
            for (int d = 0; d < config.HeadDim; d++)
            {
                dqRow[d] += ds * double.CreateTruncating(key[d]);
                dk[keyRow + d] += ds * double.CreateTruncating(query[d]);
                dv[keyRow + d] += row.Weights[i] * double.CreateTruncating(dout[d]);
            }
        }
    }
}
