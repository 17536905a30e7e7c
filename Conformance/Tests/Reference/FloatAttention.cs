// A plain float implementation, the other side of the tests of the error bound: rounded, in any order of the keys, with a block-wise running maximum.
using S2Attn.Conformance.Ports;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Tests.Reference;

/// <summary>S2-Attn in float with every intermediate optionally rounded to the storage type, and with defects that a test may ask for.</summary>
internal sealed record FloatAttention(int Seed, int KeyBlock = 0, bool StoresIntermediates = false)
{
    /// <summary>What the weight of the key at this place among a row's keys is multiplied by: 0 drops it, 2 counts it twice.</summary>
    public Func<int, int, double> Defect { get; init; } = (_, _) => 1;

    public PortAnswer.Forward Forward(PortCase portCase)
    {
        S2Config config = portCase.Config;
        double[] output = new double[config.Batch * config.Tokens * config.Heads * config.HeadDim];
        double[] lse = new double[config.Batch * config.Tokens * config.Heads];
        for (int b = 0; b < config.Batch; b++)
            for (int t = 0; t < config.Tokens; t++)
                for (int h = 0; h < config.Heads; h++)
                {
                    int row = Layout.Row(config.Tokens, config.Heads, 1, b, t, h);
                    lse[row] = Row(portCase, b, t, h, output.AsSpan(row * config.HeadDim, config.HeadDim));
                }

        return new(
            Tensor<double>.Of([config.Batch, config.Tokens, config.Heads, config.HeadDim], output),
            [Tensor<double>.Of([config.Batch, config.Tokens, config.Heads], lse)]);
    }

    /// <summary>Recomputation from the logsumexp, in float, rows in the order of the seed.</summary>
    public PortAnswer.Backward Backward(PortCase portCase)
    {
        S2Config config = portCase.Config;
        AttentionInput<double> input = portCase.Input;
        PortAnswer.Forward forward = Forward(portCase);
        Tensor<double> gradient = portCase.OutputGradient[0];
        float[] dq = new float[input.Query.Elements.Length], dk = new float[input.Key.Elements.Length], dv = new float[input.Value.Elements.Length];
        int[] rows = [.. Enumerable.Range(0, config.Tokens)];
        new Random(Seed).Shuffle(rows);
        for (int b = 0; b < config.Batch; b++)
            for (int h = 0; h < config.Heads; h++)
                foreach (int t in rows)
                {
                    int kvHead = config.KvHeadOf(h);
                    int queryStart = Layout.Row(config.Tokens, config.Heads, config.HeadDim, b, t, h);
                    float lse = (float)forward.LogSumExp[0][b, t, h];
                    float delta = Dot(gradient.Row(b, t, h), forward.Output.Row(b, t, h));
                    foreach (int u in VisibleKeys(portCase, b, t, h))
                    {
                        int keyStart = Layout.Row(config.Tokens, config.KvHeads, config.HeadDim, b, u, kvHead);
                        float p = MathF.Exp(Dot(input.Query.Row(b, t, h), input.Key.Row(b, u, kvHead)) * (float)config.Scale - lse);
                        float ds = p * (Dot(gradient.Row(b, t, h), input.Value.Row(b, u, kvHead)) - delta);
                        for (int d = 0; d < config.HeadDim; d++)
                        {
                            dq[queryStart + d] += ds * (float)config.Scale * (float)input.Key.Elements[keyStart + d];
                            dk[keyStart + d] += ds * (float)config.Scale * (float)input.Query.Elements[queryStart + d];
                            dv[keyStart + d] += p * (float)gradient.Elements[queryStart + d];
                        }
                    }
                }

        return new(new(Stored(input.Query, dq), Stored(input.Key, dk), Stored(input.Value, dv)));

        Tensor<double> Stored(Tensor<double> like, float[] values) => Tensor<double>.Build(like.Shape.AsSpan(), i => portCase.ElementType.Round(values[i]));
    }

    private static int[] VisibleKeys(PortCase portCase, int b, int t, int h) =>
        [.. Enumerable.Range(0, portCase.Config.Tokens).Where(u => Visibility.Visible(portCase.Config, h, t, u) && portCase.Input.Valid[b, u])];

    private double Row(PortCase portCase, int b, int t, int h, Span<double> output)
    {
        S2Config config = portCase.Config;
        AttentionInput<double> input = portCase.Input;
        int kvHead = config.KvHeadOf(h);
        int[] keys = VisibleKeys(portCase, b, t, h);
        if (keys.Length == 0)
            return double.NegativeInfinity;
        int[] order = [.. Enumerable.Range(0, keys.Length)];
        new Random(Seed + t).Shuffle(order);
        float[] scores = [.. keys.Select(u => Stored(Stored(Dot(input.Query.Row(b, t, h), input.Key.Row(b, u, kvHead))) * (float)config.Scale))];
        int block = KeyBlock == 0 ? keys.Length : KeyBlock;
        float max = float.NegativeInfinity, sum = 0;
        float[] o = new float[output.Length];
        for (int first = 0; first < keys.Length; first += block)
        {
            int[] members = order[first..Math.Min(first + block, keys.Length)];
            float newMax = members.Aggregate(max, (m, i) => Math.Max(m, scores[i]));
            float rescale = MathF.Exp(max - newMax);
            max = newMax;
            sum *= rescale;
            for (int d = 0; d < o.Length; d++)
                o[d] *= rescale;
            foreach (int i in members)
            {
                float weight = MathF.Exp(scores[i] - max) * (float)Defect(t, i);
                sum += weight;
                for (int d = 0; d < o.Length; d++)
                    o[d] = MathF.FusedMultiplyAdd(Stored(weight), (float)input.Value[b, keys[i], kvHead, d], o[d]);
            }
        }

        for (int d = 0; d < o.Length; d++)
            output[d] = portCase.ElementType.Round(o[d] / sum);
        return max + MathF.Log(sum);

        float Stored(float value) => StoresIntermediates ? (float)portCase.ElementType.Round(value) : value;
    }

    // Not fused, from either end at random: the bound holds for any order.
    private float Dot(ReadOnlySpan<double> q, ReadOnlySpan<double> k)
    {
        float sum = 0;
        for (int i = 0; i < q.Length; i++)
        {
            int d = Seed % 2 == 0 ? i : q.Length - 1 - i;
            sum += (float)q[d] * (float)k[d];
        }

        return sum;
    }
}
