// How do two results over disjoint keys become one?
using System.Numerics;

namespace S2Attn.Reference;

/// <summary>do [B,T,H,D] and dlse [B,T,H] of one result.</summary>
public sealed record OutputGradient<T>(Tensor<T> Output, Tensor<T> LogSumExp);

/// <summary>
/// Merges attention over parts of the keys by logsumexp, forward and backward. With l = log(e^la + e^lb) and wa = e^(la - l): o = wa oa + wb ob. All arithmetic is in double.
/// </summary>
public static class AttentionMerge
{
    /// <summary>o and logsumexp over the keys of both, which have no key in common. A part that sees nothing (logsumexp -infinity) changes nothing.</summary>
    /// <exception cref="ArgumentException">The two have different shapes.</exception>
    public static AttentionOutput<T> Forward<T>(AttentionOutput<T> a, AttentionOutput<T> b)
        where T : IBinaryFloatingPointIeee754<T>
    {
        CheckSame(a, b);
        double[] merged = Merged(a, b);
        int headDim = a.Output.Shape[^1];
        return new(
            Tensor<T>.Build(a.Output.Shape.AsSpan(), i => T.CreateTruncating(
                (Weight(a, merged, i / headDim) * Of(a.Output, i)) + (Weight(b, merged, i / headDim) * Of(b.Output, i)))),
            Tensor<T>.Build(a.LogSumExp.Shape.AsSpan(), i => T.CreateTruncating(merged[i])));
    }

    /// <summary>
    /// The gradients that the two parts receive from those of the merged result: doa = wa do, dlsea = wa (dlse + do.(oa - o)), and b alike, because the derivative of wa by
    /// la is wa wb.
    /// </summary>
    /// <exception cref="ArgumentException">The two, or the gradients, have different shapes.</exception>
    public static (OutputGradient<T> A, OutputGradient<T> B) Backward<T>(AttentionOutput<T> a, AttentionOutput<T> b, OutputGradient<T> gradient)
        where T : IBinaryFloatingPointIeee754<T>
    {
        ArgumentNullException.ThrowIfNull(gradient);
        CheckSame(a, b);
        AttentionInput<T>.CheckShape(nameof(gradient) + ".Output", gradient.Output, a.Output.Shape.AsSpan());
        AttentionInput<T>.CheckShape(nameof(gradient) + ".LogSumExp", gradient.LogSumExp, a.LogSumExp.Shape.AsSpan());
        double[] merged = Merged(a, b);
        int headDim = a.Output.Shape[^1];
        return (Share(a), Share(b));

        OutputGradient<T> Share(AttentionOutput<T> part) => new(
            Tensor<T>.Build(part.Output.Shape.AsSpan(), i => T.CreateTruncating(Weight(part, merged, i / headDim) * Of(gradient.Output, i))),
            Tensor<T>.Build(part.LogSumExp.Shape.AsSpan(), row =>
            {
                double sum = Of(gradient.LogSumExp, row);
                for (int i = row * headDim; i < (row + 1) * headDim; i++)
                    sum += Of(gradient.Output, i) * (Of(part.Output, i) - (Weight(a, merged, row) * Of(a.Output, i)) - (Weight(b, merged, row) * Of(b.Output, i)));
                return T.CreateTruncating(Weight(part, merged, row) * sum);
            }));
    }

    private static void CheckSame<T>(AttentionOutput<T> a, AttentionOutput<T> b)
        where T : IBinaryFloatingPointIeee754<T>
    {
        ArgumentNullException.ThrowIfNull(a);
        ArgumentNullException.ThrowIfNull(b);
        AttentionInput<T>.CheckShape(nameof(b) + ".Output", b.Output, a.Output.Shape.AsSpan());
        AttentionInput<T>.CheckShape(nameof(b) + ".LogSumExp", b.LogSumExp, a.LogSumExp.Shape.AsSpan());
    }

    private static double[] Merged<T>(AttentionOutput<T> a, AttentionOutput<T> b)
        where T : IBinaryFloatingPointIeee754<T>
    {
        double[] merged = new double[a.LogSumExp.Elements.Length];
        for (int i = 0; i < merged.Length; i++)
        {
            (double x, double y) = (Of(a.LogSumExp, i), Of(b.LogSumExp, i));
            double max = Math.Max(x, y);
            merged[i] = double.IsNegativeInfinity(max) ? max : max + Math.Log(Math.Exp(x - max) + Math.Exp(y - max));
        }

        return merged;
    }

    private static double Weight<T>(AttentionOutput<T> part, double[] merged, int row)
        where T : IBinaryFloatingPointIeee754<T>
        => double.IsNegativeInfinity(Of(part.LogSumExp, row)) ? 0 : Math.Exp(Of(part.LogSumExp, row) - merged[row]);

    private static double Of<T>(Tensor<T> tensor, int i)
        where T : IBinaryFloatingPointIeee754<T>
        => double.CreateTruncating(tensor.Elements[i]);
}
