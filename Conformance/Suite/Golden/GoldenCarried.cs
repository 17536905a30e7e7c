// How far can errors of q, k and v carry o, with the rounding of the core itself?
using S2Attn.Conformance.Ports;
using S2Attn.Reference;
using S2Attn.Reference.Upstream;
using S2Attn.Spec;

namespace S2Attn.Conformance.Golden;

/// <summary>
/// A bound on o for a core whose inputs are off by e_q, e_k and e_v. A score is off by c = scale sum (|q| e_k + e_q |k| + e_q e_k), and its own rounding by (D + 4) u (A + c) with
/// A = scale sum |q k|; with delta the largest sum of the two in a row, a weight p is at most f p for f = exp(2 delta) (1 + (2n + 10) u), as in <see cref="GoldenBound"/>. So
/// |o error| &lt;= sum p (f - 1) |v| + f p e_v, and the roundings to storage on top.
/// </summary>
internal static class GoldenCarried
{
    public static Tensor<double> Of(GoldenCase golden, GoldenProfile profile, AttentionInput<double> input, AttentionInput<double> errors)
    {
        S2Config config = golden.Config;
        double u = Math.Max(golden.SumType.UnitRoundoff(), golden.StageType.UnitRoundoff()), storage = golden.ElementType.UnitRoundoff();
        double[] bound = new double[input.Query.Elements.Length];
        for (int b = 0; b < config.Batch; b++)
            for (int t = 0; t < config.Tokens; t++)
                for (int h = 0; h < config.Heads; h++)
                    Row(b, t, h).CopyTo(bound, Layout.Row(config.Tokens, config.Heads, config.HeadDim, b, t, h));
        return Tensor<double>.Of(input.Query.Shape.AsSpan(), bound);

        double[] Row(int b, int t, int h)
        {
            (ReadRow row, IReadOnlyList<double> weights) = profile.Row(b, t, h);
            int n = weights.Count;
            double delta = row.Uniform ? 0 : row.Keys.Take(n).Select(key => ScoreError(row.Query, key.Key)).DefaultIfEmpty().Max();
            double factor = Math.Exp(2 * delta) * (1 + (2 * n + 10) * u);
            double[] sums = new double[config.HeadDim];
            for (int i = 0; i < n; i++)
                if (row.Keys[i].Value is { } value)
                    for (int d = 0; d < sums.Length; d++)
                    {
                        double size = Math.Abs(input.Value[value.Batch, value.Token, value.Head, d]), error = errors.Value[value.Batch, value.Token, value.Head, d];
                        sums[d] += weights[i] * (((factor - 1) * size) + (factor * error) + (2 * storage * factor * (size + error)));
                    }

            return sums;
        }

        double ScoreError(Place query, Place key)
        {
            double carried = 0, size = 0;
            for (int d = 0; d < config.HeadDim; d++)
            {
                double q = Math.Abs(input.Query[query.Batch, query.Token, query.Head, d]), k = Math.Abs(input.Key[key.Batch, key.Token, key.Head, d]);
                double eq = errors.Query[query.Batch, query.Token, query.Head, d], ek = errors.Key[key.Batch, key.Token, key.Head, d];
                carried += (q * ek) + (eq * k) + (eq * ek);
                size += q * k;
            }

            return config.Scale * (carried + ((config.HeadDim + 4) * u * (size + carried)));
        }
    }
}
