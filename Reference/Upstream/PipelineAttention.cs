// What does a pipeline compute? Forward and backward, row by row, with the arithmetic of the definition.
using S2Attn.Spec;

namespace S2Attn.Reference.Upstream;

/// <summary>A pipeline evaluated for given sizes. Arithmetic and order of summation are those of <see cref="Attention"/>.</summary>
public sealed class PipelineAttention
{
    private readonly S2Config config;
    private readonly Pipeline pipeline;
    private readonly ILookup<(int Batch, int Head, int Group), Slot> keySlots;

    /// <summary>Prepares a pipeline for the sizes of a configuration.</summary>
    public PipelineAttention(S2Config config, Pipeline pipeline)
    {
        ArgumentNullException.ThrowIfNull(config);
        ArgumentNullException.ThrowIfNull(pipeline);
        (this.config, this.pipeline) = (config, pipeline);
        keySlots = (
            from b in Enumerable.Range(0, config.Batch)
            from h in Enumerable.Range(0, config.Heads)
            from p in Enumerable.Range(0, pipeline.Positions)
            let slot = new Slot(b, p, h)
            let key = pipeline.Key(slot)
            where key is not null
            orderby key.Value.Token
            select slot).ToLookup(slot => (slot.Batch, slot.Head, pipeline.Group(slot)));
    }

    /// <summary>What o[b,t,h] reads.</summary>
    public ReadRow Reads(int b, int t, int h)
    {
        if (pipeline.Output(new(b, t, h)) is not { } slot || pipeline.Query(slot) is not { } query)
            return new(new(b, t, h), [], Uniform: false);
        List<ReadKey> seen = [], lowered = [];
        foreach (Slot keySlot in keySlots[(slot.Batch, slot.Head, pipeline.Group(slot))])
        {
            PairMask mask = pipeline.Mask(slot, keySlot);
            ReadKey key = new(pipeline.Key(keySlot)!.Value, pipeline.Value(keySlot), CarriesGradient: mask is not PairMask.Replaced);
            if (mask is PairMask.Seen)
                seen.Add(key);
            else if (mask is not PairMask.Hidden)
                lowered.Add(key);
        }

        bool uniform = seen.Count == 0 && lowered.Count > 0;
        return new(query, uniform ? lowered : seen, uniform);
    }

    /// <summary>o [B,N,H,D] and logsumexp [B,N,H]; the logsumexp of a uniform row is the lowest double.</summary>
    /// <exception cref="ArgumentException">A tensor does not have the shape that the configuration asks for.</exception>
    public AttentionOutput<double> Forward(AttentionInput<double> input)
    {
        ArgumentNullException.ThrowIfNull(input);
        input.CheckShapes(config);
        double[] output = new double[input.Query.Elements.Length];
        double[] logSumExp = new double[output.Length / config.HeadDim];
        foreach ((int b, int t, int h) in Rows())
        {
            ReadRow row = Reads(b, t, h);
            (double[] weights, double lse) = Softmax(input, row);
            Span<double> o = output.AsSpan(Layout.Row(config.Tokens, config.Heads, config.HeadDim, b, t, h), config.HeadDim);
            for (int i = 0; i < weights.Length; i++)
                if (row.Keys[i].Value is { } value)
                    AddTo(o, weights[i], Vector(input.Value, value));
            logSumExp[Layout.Row(config.Tokens, config.Heads, 1, b, t, h)] = lse;
        }

        return new(Tensor<double>.Of(input.Query.Shape.AsSpan(), output), Tensor<double>.Of([config.Batch, config.Tokens, config.Heads], logSumExp));
    }

    /// <summary>The gradients of sum(o * outputGradient), as <see cref="AttentionGradients"/> states them, through the pipeline's maps.</summary>
    /// <param name="input">q, k, v and the valid keys.</param>
    /// <param name="outputGradient">do [B,N,H,D].</param>
    /// <exception cref="ArgumentException">A tensor does not have the shape that the configuration asks for.</exception>
    public Gradients<double> Backward(AttentionInput<double> input, Tensor<double> outputGradient)
    {
        ArgumentNullException.ThrowIfNull(input);
        ArgumentNullException.ThrowIfNull(outputGradient);
        input.CheckShapes(config);
        AttentionInput<double>.CheckShape(nameof(outputGradient), outputGradient, input.Query.Shape.AsSpan());
        double[] dq = new double[input.Query.Elements.Length];
        double[] dk = new double[input.Key.Elements.Length];
        double[] dv = new double[input.Value.Elements.Length];
        foreach ((int b, int h, int t) in from b in Enumerable.Range(0, config.Batch)
                                          from h in Enumerable.Range(0, config.Heads)
                                          from t in Enumerable.Range(0, config.Tokens)
                                          select (b, h, t))
        {
            ReadRow row = Reads(b, t, h);
            (double[] weights, _) = Softmax(input, row);
            ReadOnlySpan<double> dout = outputGradient.Row(b, t, h);
            double[] dp = new double[weights.Length];
            double mean = 0;
            for (int i = 0; i < weights.Length; i++)
            {
                dp[i] = row.Keys[i].Value is { } value ? Attention.Dot(dout, Vector(input.Value, value)) : 0;
                mean += weights[i] * dp[i];
            }

            Span<double> dqRow = Gradient(dq, row.Query, config.Heads);
            for (int i = 0; i < weights.Length; i++)
            {
                if (row.Keys[i].Value is { } value)
                    AddTo(Gradient(dv, value, config.KvHeads), weights[i], dout);
                if (!row.Keys[i].CarriesGradient)
                    continue;
                double ds = config.Scale * weights[i] * (dp[i] - mean);
                AddTo(dqRow, ds, Vector(input.Key, row.Keys[i].Key));
                AddTo(Gradient(dk, row.Keys[i].Key, config.KvHeads), ds, Vector(input.Query, row.Query));
            }
        }

        return new(
            Tensor<double>.Of(input.Query.Shape.AsSpan(), dq),
            Tensor<double>.Of(input.Key.Shape.AsSpan(), dk),
            Tensor<double>.Of(input.Value.Shape.AsSpan(), dv));
    }

    private IEnumerable<(int Batch, int Token, int Head)> Rows() =>
        from b in Enumerable.Range(0, config.Batch)
        from t in Enumerable.Range(0, config.Tokens)
        from h in Enumerable.Range(0, config.Heads)
        select (b, t, h);

    /// <summary>The softmax weights of a row's keys, in their order, and the logsumexp.</summary>
    public (double[] Weights, double LogSumExp) Softmax(AttentionInput<double> input, ReadRow row)
    {
        ArgumentNullException.ThrowIfNull(input);
        ArgumentNullException.ThrowIfNull(row);
        double[] scores = [.. row.Keys.Select(key =>
            row.Uniform ? double.MinValue : config.Scale * Attention.Dot(Vector(input.Query, row.Query), Vector(input.Key, key.Key)))];
        AttentionRow softmax = Attention.Softmax([.. Enumerable.Range(0, scores.Length)], scores);

        // Where all scores are -infinity Softmax keeps no key; the row is then 0, as in the definition.
        return (softmax.Weights.Count == scores.Length ? [.. softmax.Weights] : new double[scores.Length], softmax.LogSumExp);
    }

    private Span<double> Gradient(double[] gradient, Place place, int heads) =>
        gradient.AsSpan(Layout.Row(config.Tokens, heads, config.HeadDim, place.Batch, place.Token, place.Head), config.HeadDim);

    private static ReadOnlySpan<double> Vector(Tensor<double> tensor, Place place) => tensor.Row(place.Batch, place.Token, place.Head);

    private static void AddTo(Span<double> sum, double factor, ReadOnlySpan<double> vector)
    {
        for (int d = 0; d < sum.Length; d++)
            sum[d] += factor * vector[d];
    }
}
