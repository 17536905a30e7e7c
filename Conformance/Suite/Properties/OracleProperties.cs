// Does whole-group attention equal dense attention as a linear-algebra library computes it?
using System.Collections.Immutable;
using MathNet.Numerics.LinearAlgebra;
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Conformance.Properties;

/// <summary>An oracle that shares no line with Spec or Reference: full attention with MathNet.Numerics matrices.</summary>
public static class OracleProperties
{
    /// <summary>The properties of this file.</summary>
    public static ImmutableArray<Property> All { get; } =
    [
        new(
            "FullAttention", "at G = N, softmax(scale Q K^T + mask) V of dense matrices: for every head under PositionCausal and Bidirectional, for heads without a shift under the others",
            "N = G, no padding", ["FullAtWholeGroup.*"],
            item => item with { Padding = PaddingPattern.None, Config = item.Config.With(request => request with { GroupSize = GroupSizeRule.Of(item.Config.Tokens) }) },
            item => !item.IsPadded && item.Config.GroupSize == item.Config.Tokens && Enumerable.Range(0, item.Config.Heads).Any(head => IsFull(item.Config, head)), [PortOperation.Forward], FullAttention) { IsEvidence = true },
    ];

    // At G = N a shift turns the only group round: what a query sees changes where the mask goes by what came first there.
    private static bool IsFull(S2Config config, int head) => config.ShiftOf(head) == 0 || config.Mask is MaskPolicy.PositionCausal or MaskPolicy.Bidirectional;

    private static IEnumerable<string> FullAttention(Probe probe)
    {
        S2Config config = probe.Config;
        // The oracle rounds too, as any composition of binary64 operations does.
        BoundedOutput oracleBounds = probe.InTime(() => ErrorBound.Forward(config, probe.Input, RoundingModel.Composition(StorageFormat.Binary64)));
        for (int b = 0; b < config.Batch; b++)
            for (int h = 0; h < config.Heads; h++)
            {
                if (!IsFull(config, h))
                    continue;
                Matrix<double> o = Dense(Matrix(probe.Input.Query, b, h), Matrix(probe.Input.Key, b, config.KvHeadOf(h)), Matrix(probe.Input.Value, b, config.KvHeadOf(h)), config.Scale, config.Mask.IsCausal());
                for (int t = 0; t < config.Tokens; t++)
                    for (int d = 0; d < config.HeadDim; d++)
                    {
                        double given = probe.Answer.Output[b, t, h, d], allowed = probe.Definition.Bound.Output[b, t, h, d] + oracleBounds.Bound.Output[b, t, h, d];
                        if (!double.IsPositiveInfinity(allowed) && !(Math.Abs(given - o[t, d]) <= allowed))
                            yield return FormattableString.Invariant($"o[{b},{t},{h},{d}] = {given:R}; dense attention gives {o[t, d]:R}, the error bounds allow {allowed:G3} (head with shift {config.ShiftOf(h)})");
                    }
            }
    }

    private static Matrix<double> Matrix(Tensor<double> tensor, int b, int head) =>
        Matrix<double>.Build.Dense(tensor.Shape[1], tensor.Shape[3], (t, d) => tensor[b, t, head, d]);

    private static Matrix<double> Dense(Matrix<double> q, Matrix<double> k, Matrix<double> v, double scale, bool causal)
    {
        Matrix<double> scores = q.TransposeAndMultiply(k).Multiply(scale);
        Vector<double> max = Vector<double>.Build.Dense(scores.RowCount, t => (causal ? scores.Row(t, 0, t + 1) : scores.Row(t)).Maximum());
        Matrix<double> weights = scores.MapIndexed((t, u, score) => causal && u > t ? 0 : Math.Exp(score - max[t]), Zeros.Include);
        return Matrix<double>.Build.DiagonalOfDiagonalVector(weights.RowSums().DivideByThis(1)).Multiply(weights).Multiply(v);
    }
}
