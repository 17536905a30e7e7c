// Does the kernel compute the paper's longest sequence, N = 100,000 in groups of 25,000?
using S2Attn.Conformance.Ports;
using S2Attn.Optimized;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Conformance.Campaigns;

/// <summary>What a long run showed.</summary>
/// <param name="Rows">Rows of o that were compared with Reference.</param>
/// <param name="WorstRatio">The largest error / bound of o and lse over them.</param>
/// <param name="ForwardSeconds">Time of the forward pass.</param>
/// <param name="WorstAdjoint">The largest of |&lt;v, dv&gt; - &lt;o, do&gt;| and |&lt;q, dq&gt; - &lt;k, dk&gt;|, relative to |o| |do|; 0 where no backward pass was asked for.</param>
public sealed record LongestReport(int Rows, double WorstRatio, double ForwardSeconds, double WorstAdjoint);

/// <summary>One long sequence in f32, rows sampled at the borders of runs and at random.</summary>
public static class LongestCampaign
{
    /// <summary>A defect of whole rows shows far above this; measured 3e-10 at N = 100,000. Single keys are seen by the sampled rows, not here.</summary>
    public const double AdjointTolerance = 1e-7;

    /// <summary>Runs forward, and backward where asked, on normal q, k and v.</summary>
    public static LongestReport Run(S2Config config, int rows, bool backward, int seed)
    {
        ArgumentNullException.ThrowIfNull(config);
        Random random = new(seed);
        AttentionInput<float> input = new(Normal(config.Heads), Normal(config.KvHeads), Normal(config.KvHeads));
        float[] o = new float[input.Query.Elements.Length], lse = new float[o.Length / config.HeadDim];
        using S2AttentionPlan plan = new(config);
        long start = TimeProvider.System.GetTimestamp();
        plan.Forward<float>(input.Query.Elements, input.Key.Elements, input.Value.Elements, o, lse);
        double seconds = TimeProvider.System.GetElapsedTime(start).TotalSeconds;

        RoundingModel model = OptimizedPort.ModelOf(config, ElementType.F32);
        int[] borders = [0, config.Shift - 1, config.Shift, config.GroupSize - 1, config.GroupSize, config.Tokens - config.GroupSize + config.Shift, config.Tokens - 1];
        (int Token, int Head)[] sample =
        [
            .. borders.Where(t => t >= 0 && t < config.Tokens).Select((t, i) => (t, (i % 2 == 0 ? config.Heads - 1 : 0))),
            .. Enumerable.Range(0, rows).Select(_ => (random.Next(config.Tokens), random.Next(config.Heads))),
        ];
        double worst = sample.AsParallel().Max(at => Ratio(at.Token, at.Head));
        return new(sample.Length, worst, seconds, backward ? Adjoint() : 0);

        double Ratio(int t, int h)
        {
            BoundedRow row = ErrorBound.Row(config, input, 0, t, h, model);
            int vector = Layout.Row(config.Tokens, config.Heads, 1, 0, t, h);
            double ratio = Agreement.Ratio(lse[vector], row.Row.LogSumExp, row.LogSumExpBound);
            for (int d = 0; d < config.HeadDim; d++)
                ratio = Math.Max(ratio, Agreement.Ratio(o[vector * config.HeadDim + d], row.Output[d], row.OutputBound[d]));
            return ratio;
        }

        double Adjoint()
        {
            ReadOnlySpan<float> outputGradient = Normal(config.Heads).Elements;
            float[] dq = new float[o.Length], dk = new float[input.Key.Elements.Length], dv = new float[dk.Length];
            plan.Backward<float>(input.Query.Elements, input.Key.Elements, input.Value.Elements, o, lse, outputGradient, dq, dk, dv);
            double size = Math.Sqrt(Dot(o, o) * Dot(outputGradient, outputGradient));
            double byValue = Dot(input.Value.Elements, dv) - Dot(o, outputGradient), byScore = Dot(input.Query.Elements, dq) - Dot(input.Key.Elements, dk);
            return Math.Max(Math.Abs(byValue), Math.Abs(byScore)) / size;
        }

        Tensor<float> Normal(int heads) => Tensor<float>.Build(
            [1, config.Tokens, heads, config.HeadDim],
            _ => (float)(Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble())));
    }

    private static double Dot(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        double sum = 0;
        for (int i = 0; i < a.Length; i++)
            sum += (double)a[i] * b[i];
        return sum;
    }
}
