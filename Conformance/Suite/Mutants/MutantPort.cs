// What does a mutated pipeline compute? Forward and backward, row by row, behind the interface of a port.
using System.Collections.Immutable;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Properties;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Conformance.Mutants;

/// <summary>Evaluates a pipeline in double and rounds each result once, as <see cref="ReferencePort"/> does for the definition.</summary>
internal sealed class MutantPort(string name, PortCapabilities capabilities, MutablePipeline pipeline) : IAttentionPort
{
    private readonly MutantMemory memory = new();

    public PortDescription Description { get; } = new(name, "1.0", "C#", capabilities);

    public PortAnswer Run(PortCase portCase)
    {
        ArgumentNullException.ThrowIfNull(portCase);
        portCase.Input.CheckShapes(portCase.Config);
        MutantCall call = new(pipeline.Obeys(portCase.Config), portCase.Input, portCase.ElementType);
        return portCase.Operation is PortOperation.Forward ? Forward(call) : Backward(call, portCase.OutputGradient[0]);
    }

    public void Dispose()
    {
    }

    private PortAnswer.Forward Forward(MutantCall call)
    {
        S2Config config = call.Config;
        double[] output = new double[call.Input.Query.Elements.Length], logSumExp = new double[output.Length / config.HeadDim];
        foreach (Row row in Rows.Of(config))
        {
            RowOutput result = pipeline.Finish(memory, call, row, Compute(call, row));
            logSumExp[Layout.Row(config.Tokens, config.Heads, 1, row.B, row.T, row.H)] = result.LogSumExp;
            result.Output.CopyTo(Vector(output, config, config.Heads, row));
        }

        memory.LastOutput = output;
        ElementType lseType = call.Type is ElementType.F64 ? ElementType.F64 : ElementType.F32;
        ImmutableArray<Tensor<double>> lse = [Tensor<double>.Build([config.Batch, config.Tokens, config.Heads], i => lseType.Round(logSumExp[i]))];
        return new(Rounded(call, call.Input.Query, output), lse);
    }

    private RowOutput Compute(MutantCall call, Row row)
    {
        double[] output = new double[call.Config.HeadDim];
        if (pipeline.ResultOf(call, row) is not { } computed)
            return new(output, double.NegativeInfinity, SeesKeys: false);
        ScoreRow scores = Scores(call, computed);
        double[] weights = pipeline.Weights(call, scores);
        for (int i = 0; i < weights.Length; i++)
        {
            ReadOnlySpan<double> value = At(call.Input.Value, pipeline.ValueAt(call, computed, scores.Keys[i]));
            for (int d = 0; d < output.Length; d++)
                output[d] = pipeline.Accumulator(output[d] + weights[i] * value[d]);
        }

        return new(output, pipeline.LogSumExp(call, scores), scores.Seen.Contains(true));
    }

    private ScoreRow Scores(MutantCall call, Row row)
    {
        bool[] seen = new bool[call.Config.Tokens];
        List<int> keys = [];
        for (int u = 0; u < seen.Length; u++)
        {
            seen[u] = pipeline.Sees(call, row, u) && pipeline.IsValid(call, row, u);
            if (seen[u] || pipeline.AlsoReads(call, row, u))
                keys.Add(u);
        }

        int[] walked = pipeline.Walk([.. keys]);
        double scale = pipeline.Scale(call.Config);
        double[] products = new double[walked.Length];
        ReadOnlySpan<double> query = At(call.Input.Query, pipeline.QueryAt(call, row));
        for (int i = 0; i < products.Length; i++)
            products[i] = Dot(query, At(call.Input.Key, pipeline.KeyAt(call, row, walked[i])));
        return new(walked, [.. walked.Select(u => seen[u])], products, [.. products.Select(product => scale * product)]);
    }

    private PortAnswer.Backward Backward(MutantCall call, Tensor<double> outputGradient)
    {
        S2Config config = call.Config;
        AttentionInput<double> input = call.Input;
        double[] dq = new double[input.Query.Elements.Length], dk = new double[input.Key.Elements.Length], dv = new double[dk.Length];
        for (int h = 0; h < config.Heads; h++)
        {
            double[] dkOfHead = new double[dk.Length];
            int[] read = [.. Rows.Of(config).Where(row => row.H == h).SelectMany(row => AddRow(call, outputGradient, row, dq, dkOfHead, dv)).Distinct()];
            foreach (int start in read)
                for (int i = start; i < start + config.HeadDim; i++)
                    dk[i] = pipeline.JoinKeyGradients(dk[i], dkOfHead[i]);
        }

        Gradients<double> gradients = pipeline.FinishGradients(new(
            Rounded(call, input.Query, dq), Rounded(call, input.Key, dk), Rounded(call, input.Value, dv)));
        return new(gradients);
    }

    // Returns the offsets of the key vectors that it wrote to.
    private List<int> AddRow(MutantCall call, Tensor<double> outputGradient, Row row, double[] dq, double[] dk, double[] dv)
    {
        List<int> read = [];
        if (pipeline.ResultOf(call, row) is not { } computed)
            return read;
        S2Config config = call.Config;
        ScoreRow scores = Scores(call, computed);
        double[] weights = pipeline.Weights(call, scores), valueWeights = pipeline.ValueGradientWeights(scores, weights), dp = new double[weights.Length];
        ReadOnlySpan<double> dout = At(outputGradient, row);
        double mean = 0;
        for (int i = 0; i < dp.Length; i++)
            mean += weights[i] * (dp[i] = Dot(dout, At(call.Input.Value, pipeline.ValueAt(call, computed, scores.Keys[i]))));

        Row queryAt = pipeline.QueryAt(call, computed);
        for (int i = 0; i < dp.Length; i++)
        {
            double ds = weights[i] * (dp[i] - pipeline.Delta(mean));
            Row key = pipeline.KeyAt(call, computed, scores.Keys[i]);
            AddTo(Vector(dq, config, config.Heads, pipeline.QueryGradientAt(call, queryAt)), pipeline.QueryGradientScale(config) * ds, At(call.Input.Key, key));
            AddTo(Vector(dk, config, config.KvHeads, key), pipeline.Scale(config) * ds, At(call.Input.Query, queryAt));
            AddTo(Vector(dv, config, config.KvHeads, pipeline.ValueAt(call, computed, scores.Keys[i])), valueWeights[i], dout);
            read.Add(Layout.Row(config.Tokens, config.KvHeads, config.HeadDim, key.B, key.T, key.H));
        }

        return read;
    }

    private static Span<double> Vector(double[] elements, S2Config config, int heads, Row row) =>
        elements.AsSpan(Layout.Row(config.Tokens, heads, config.HeadDim, row.B, row.T, row.H), config.HeadDim);

    private static Tensor<double> Rounded(MutantCall call, Tensor<double> like, double[] elements) =>
        Tensor<double>.Build(like.Shape.AsSpan(), i => call.Type.Round(elements[i]));

    private static ReadOnlySpan<double> At(Tensor<double> tensor, Row row) => tensor.Row(row.B, row.T, row.H);

    private static void AddTo(Span<double> sum, double factor, ReadOnlySpan<double> vector)
    {
        for (int d = 0; d < sum.Length; d++)
            sum[d] += factor * vector[d];
    }

    private static double Dot(ReadOnlySpan<double> a, ReadOnlySpan<double> b)
    {
        double sum = 0;
        for (int d = 0; d < a.Length; d++)
            sum += a[d] * b[d];
        return sum;
    }
}
