// What does each row of o read in the profile that a golden case claims, and how far may upstream's rounding carry it?
using S2Attn.Conformance.Ports;
using S2Attn.Reference;
using S2Attn.Reference.Upstream;
using S2Attn.Spec;

namespace S2Attn.Conformance.Golden;

/// <summary>The profile of a case: what it computes, exactly, and what each row reads.</summary>
internal sealed class GoldenProfile
{
    private readonly GoldenCase golden;
    private readonly AttentionInput<double> input;
    private readonly PipelineAttention? pipeline;
    private readonly Func<int, int, int, AttentionRow> rows;

    public GoldenProfile(GoldenCase golden, AttentionInput<double> input)
    {
        this.golden = golden;
        this.input = input;
        rows = Attention.RowsOf(golden.Config, input);
        pipeline = golden.Defects.IsEmpty ? null : new(golden.Config, FunctionOf(golden).Build(golden.Config, input.Valid));
    }

    /// <summary>o [B,N,H,D].</summary>
    public Tensor<double> Output => (pipeline?.Forward(input) ?? Attention.Forward(golden.Config, input)).Output;

    public Gradients<double> Backward(Tensor<double> outputGradient) =>
        pipeline?.Backward(input, outputGradient) ?? AttentionGradients.Backward(golden.Config, input, outputGradient);

    /// <summary>What o[b,t,h] reads, and with which weights.</summary>
    public (ReadRow Row, IReadOnlyList<double> Weights) Row(int b, int t, int h)
    {
        if (pipeline is not null)
        {
            ReadRow row = pipeline.Reads(b, t, h);
            return (row, pipeline.Softmax(input, row).Weights);
        }

        AttentionRow softmax = rows(b, t, h);
        int kvHead = golden.Config.KvHeadOf(h);
        return (
            new(new(b, t, h), [.. softmax.Keys.Select(u => new ReadKey(new(b, u, kvHead), new Place(b, u, kvHead), CarriesGradient: true))], Uniform: false),
            softmax.Weights);
    }

    private static LongLoraFunction FunctionOf(GoldenCase golden) =>
        golden.Function.Contains("use_flash_attn=True", StringComparison.Ordinal) ? GptNeoxFlash.Function
        : golden.Function.StartsWith("gptneox", StringComparison.Ordinal) ? LongLoraFunctions.NeoxEager
        : golden.Config.Mask is MaskPolicy.LocalCausal ? LongLoraFunctions.LlamaEager
        : LongLoraFunctions.LlamaFlash;
}

/// <summary>
/// o, and a bound on the error of every element that upstream computed, from the number of its operations alone. Both come from one walk over the rows, because the weights of a
/// row are what costs.
/// </summary>
/// <remarks>
/// With u the unit roundoff of the narrowest sum or stage, n keys in the row and A = scale sum |q_d k_d|: a score is off by at most delta = (D + 4) u max A
/// (Higham, Accuracy and Stability, section 3.1), a weight by the factor exp(2 delta) (1 + (2n + 10) u), hence by epsilon = expm1(2 delta) + (2n + 10) u exp(2 delta). Then
/// |o error| &lt;= sum p |v| epsilon, and the same for dv with |do|. A score gradient p (dp - mean) is off by at most epsilon' p (|do|.|v| + sum p |do|.|v|) with
/// epsilon' = 2 epsilon + (D + n + 10) u, which multiplies |k| in dq and |q| in dk. Sums over the rows of a key, and the rounding of each tensor to storage, add their units.
/// </remarks>
internal sealed record GoldenBound(Tensor<double> ExactOutput, Tensor<double> Output, Gradients<double> Gradients)
{
    public static GoldenBound Of(GoldenCase golden, GoldenProfile profile, AttentionInput<double> input, Tensor<double> outputGradient)
    {
        S2Config config = golden.Config;
        double u = Math.Max(golden.SumType.UnitRoundoff(), golden.StageType.UnitRoundoff()), storage = golden.ElementType.UnitRoundoff();
        double smallest = Math.ScaleB(1, golden.ElementType is ElementType.F16 ? -24 : -126);
        double[] exact = new double[input.Query.Elements.Length], o = new double[exact.Length], dq = new double[o.Length], dk = new double[input.Key.Elements.Length], dv = new double[dk.Length];
        double rowsOfKey = (double)config.Tokens * config.Heads / config.KvHeads;
        for (int b = 0; b < config.Batch; b++)
            for (int t = 0; t < config.Tokens; t++)
                for (int h = 0; h < config.Heads; h++)
                    AddRow(b, t, h);
        return new(Tensor<double>.Of(input.Query.Shape.AsSpan(), exact), Shaped(input.Query, o), new(Shaped(input.Query, dq), Shaped(input.Key, dk), Shaped(input.Value, dv)));

        void AddRow(int b, int t, int h)
        {
            (ReadRow row, IReadOnlyList<double> weights) = profile.Row(b, t, h);
            int n = weights.Count, dim = config.HeadDim;
            ReadOnlySpan<double> query = input.Query.Row(row.Query.Batch, row.Query.Token, row.Query.Head), dout = outputGradient.Row(b, t, h);
            double largest = 0, mean = 0;
            double[] products = new double[n];
            for (int i = 0; i < n; i++)
            {
                Place key = row.Keys[i].Key;
                largest = Math.Max(largest, config.Scale * AbsoluteDot(query, input.Key.Row(key.Batch, key.Token, key.Head)));
                products[i] = row.Keys[i].Value is { } value ? AbsoluteDot(dout, input.Value.Row(value.Batch, value.Token, value.Head)) : 0;
                mean += weights[i] * products[i];
            }

            double delta = row.Uniform ? 0 : (dim + 4) * u * largest;
            double epsilon = Math.Exp(2 * delta) - 1 + (2 * n + 10) * u * Math.Exp(2 * delta);
            double gradientEpsilon = 2 * epsilon + (dim + n + 10 + rowsOfKey) * u + 2 * storage;
            Span<double> exactRow = At(exact, config.Heads, new(b, t, h)), oRow = At(o, config.Heads, new(b, t, h)), dqRow = At(dq, config.Heads, row.Query);
            for (int i = 0; i < n; i++)
            {
                if (row.Keys[i].Value is { } value)
                {
                    ReadOnlySpan<double> vector = input.Value.Row(value.Batch, value.Token, value.Head);
                    for (int d = 0; d < dim; d++)
                        exactRow[d] += weights[i] * vector[d];
                    Add(oRow, weights[i] * (epsilon + 2 * storage) + smallest, vector);
                    Add(At(dv, config.KvHeads, value), weights[i] * gradientEpsilon + smallest, dout);
                }

                Place key = row.Keys[i].Key;
                double error = config.Scale * (weights[i] * gradientEpsilon + smallest) * (products[i] + mean);
                Add(dqRow, error, input.Key.Row(key.Batch, key.Token, key.Head));
                Add(At(dk, config.KvHeads, key), error, query);
            }
        }

        Span<double> At(double[] elements, int heads, Place place) =>
            elements.AsSpan(Layout.Row(config.Tokens, heads, config.HeadDim, place.Batch, place.Token, place.Head), config.HeadDim);

        Tensor<double> Shaped(Tensor<double> like, double[] elements) => Tensor<double>.Build(like.Shape.AsSpan(), i => elements[i] + smallest);
    }

    private static double AbsoluteDot(ReadOnlySpan<double> a, ReadOnlySpan<double> b)
    {
        double sum = 0;
        for (int d = 0; d < a.Length; d++)
            sum += Math.Abs(a[d] * b[d]);
        return sum;
    }

    private static void Add(Span<double> sum, double factor, ReadOnlySpan<double> vector)
    {
        for (int d = 0; d < sum.Length; d++)
            sum[d] += factor * Math.Abs(vector[d]);
    }
}
