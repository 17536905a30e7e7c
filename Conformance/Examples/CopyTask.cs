// Can one layer of S2-Attn learn to copy across group borders, and can unshifted groups?
using S2Attn.Optimized;
using S2Attn.Spec;

namespace S2Attn.Examples;

/// <summary>
/// Sequences of random symbols; wherever the symbol half a group back lies in the group before, the model must name it. It is one attention layer with learned
/// queries and keys for each position, a learned value for each symbol and a linear read-out, trained by Adam through the kernel's backward pass. A head whose groups are shifted
/// by half a group sees source and target together; an unshifted one never does.
/// </summary>
public sealed class CopyTask : IDisposable
{
    private const int Tokens = 64, Group = 16, Symbols = 8, Heads = 2, Dim = 16, Batch = 16;
    private const int Distance = Group / 2;

    private readonly S2AttentionPlan plan;
    private readonly Random random;
    private readonly Parameter queries, keys, values, readOut;
    private readonly float[] q = new float[Rows * Dim], k = new float[Rows * Dim], v = new float[Rows * Dim], o = new float[Rows * Dim], lse = new float[Rows];
    private readonly float[] dq = new float[Rows * Dim], dk = new float[Rows * Dim], dv = new float[Rows * Dim], dout = new float[Rows * Dim];
    private readonly int[] symbols = new int[Batch * Tokens];
    private int step;

    /// <summary>A model whose upper head is shifted, or none of whose heads is.</summary>
    public CopyTask(bool shifted, int seed)
    {
        random = new(seed);
        plan = new(S2Config.Create(new S2Request
        {
            Batch = Batch,
            Tokens = Tokens,
            Heads = Heads,
            HeadDim = Dim,
            GroupSize = GroupSizeRule.Of(Group),
            Mask = MaskPolicy.Split,
            ShiftedHeads = shifted ? HeadShift.SecondHalf : HeadShift.None,
        }));
        queries = new(Tokens * Heads * Dim, random);
        keys = new(Tokens * Heads * Dim, random);
        values = new(Symbols * Heads * Dim, random);
        readOut = new(Heads * Dim * Symbols, random);
    }

    private const int Rows = Batch * Tokens * Heads;

    /// <summary>The loss of a model that knows nothing: log of the number of symbols.</summary>
    public static double Chance => Math.Log(Symbols);

    /// <summary>One step of training on a fresh batch; the mean cross-entropy before the step, in nats.</summary>
    public double Step()
    {
        for (int i = 0; i < symbols.Length; i++)
            symbols[i] = random.Next(Symbols);
        Gather();
        plan.Forward<float>(q, k, v, o, lse);
        double loss = ReadOut();
        plan.Backward<float>(q, k, v, o, lse, dout, dq, dk, dv);
        Scatter();
        step++;
        foreach (Parameter parameter in new[] { queries, keys, values, readOut })
            parameter.Adam(step);
        return loss;
    }

    /// <inheritdoc/>
    public void Dispose() => plan.Dispose();

    private static int RowOf(int b, int t, int h) => Layout.Row(Tokens, Heads, Dim, b, t, h);

    // q and k depend on the position alone, v on the symbol alone.
    private void Gather()
    {
        ForEachRow((b, t, h, row) =>
        {
            queries.At(t * Heads + h).CopyTo(q.AsSpan(row));
            keys.At(t * Heads + h).CopyTo(k.AsSpan(row));
            values.At(symbols[b * Tokens + t] * Heads + h).CopyTo(v.AsSpan(row));
        });
    }

    private void Scatter()
    {
        ForEachRow((b, t, h, row) =>
        {
            queries.Accumulate(t * Heads + h, dq.AsSpan(row, Dim));
            keys.Accumulate(t * Heads + h, dk.AsSpan(row, Dim));
            values.Accumulate(symbols[b * Tokens + t] * Heads + h, dv.AsSpan(row, Dim));
        });
    }

    private static void ForEachRow(Action<int, int, int, int> visit)
    {
        for (int b = 0; b < Batch; b++)
            for (int t = 0; t < Tokens; t++)
                for (int h = 0; h < Heads; h++)
                    visit(b, t, h, RowOf(b, t, h));
    }

    // Softmax cross-entropy of o W at the positions whose source lies in the group before; fills do and the gradient of W.
    private double ReadOut()
    {
        Array.Clear(dout);
        double loss = 0;
        int targets = Batch * (Tokens / Group - 1) * Distance;
        Span<double> logits = stackalloc double[Symbols];
        for (int b = 0; b < Batch; b++)
            for (int t = Group; t < Tokens; t++)
                if (t % Group < Distance)
                {
                    ReadOnlySpan<float> row = o.AsSpan(RowOf(b, t, 0), Heads * Dim);
                    logits.Clear();
                    for (int d = 0; d < row.Length; d++)
                        for (int s = 0; s < Symbols; s++)
                            logits[s] += row[d] * readOut.Values[d * Symbols + s];
                    double max = double.NegativeInfinity, sum = 0;
                    foreach (double logit in logits)
                        max = Math.Max(max, logit);
                    foreach (double logit in logits)
                        sum += Math.Exp(logit - max);
                    int target = symbols[b * Tokens + t - Distance];
                    loss += max + Math.Log(sum) - logits[target];
                    for (int s = 0; s < Symbols; s++)
                    {
                        float gradient = (float)((Math.Exp(logits[s] - max) / sum - (s == target ? 1 : 0)) / targets);
                        for (int d = 0; d < row.Length; d++)
                        {
                            dout[RowOf(b, t, 0) + d] += gradient * readOut.Values[d * Symbols + s];
                            readOut.Gradients[d * Symbols + s] += gradient * row[d];
                        }
                    }
                }

        return loss / targets;
    }

    /// <summary>A table of parameters in rows of Dim, and what Adam (Kingma and Ba, arXiv 1412.6980) remembers of it.</summary>
    private sealed class Parameter
    {
        private const float LearningRate = 0.03f, Beta1 = 0.9f, Beta2 = 0.99f, Epsilon = 1e-8f;

        private readonly float[] mean, square;

        public Parameter(int count, Random random)
        {
            Values = new float[count];
            for (int i = 0; i < count; i++)
                Values[i] = random.NextSingle() - 0.5f;
            Gradients = new float[count];
            mean = new float[count];
            square = new float[count];
        }

        public float[] Values { get; }

        public float[] Gradients { get; }

        public ReadOnlySpan<float> At(int row) => Values.AsSpan(row * Dim, Dim);

        public void Accumulate(int row, ReadOnlySpan<float> gradient)
        {
            for (int d = 0; d < Dim; d++)
                Gradients[row * Dim + d] += gradient[d];
        }

        public void Adam(int step)
        {
            float correction1 = 1 - MathF.Pow(Beta1, step), correction2 = 1 - MathF.Pow(Beta2, step);
            for (int i = 0; i < Values.Length; i++)
            {
                mean[i] = Beta1 * mean[i] + (1 - Beta1) * Gradients[i];
                square[i] = Beta2 * square[i] + (1 - Beta2) * Gradients[i] * Gradients[i];
                Values[i] -= LearningRate * (mean[i] / correction1) / (MathF.Sqrt(square[i] / correction2) + Epsilon);
                Gradients[i] = 0;
            }
        }
    }
}
