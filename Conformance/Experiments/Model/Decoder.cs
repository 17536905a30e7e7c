// What does the decoder predict, and how does its loss change with its parameters?
using S2Attn.Experiments.Numerics;
using S2Attn.Optimized;

namespace S2Attn.Experiments.Model;

/// <summary>
/// A decoder as in Llama, small: embedding, and in each layer x += Attention(Norm(x)) and x += W2 max(Norm(x) W1, 0)², a last norm, and the embedding once more as
/// the head. It runs on one thread, because runs are what is parallel in an experiment. Gradients are written by hand and checked against differences in the tests.
/// </summary>
internal sealed class Decoder : IDisposable
{
    private readonly DecoderShape shape;
    private readonly DecoderParameters parameters;
    private readonly IAttention attention;
    private readonly Rope rope;
    private readonly int rows;
    private readonly LayerState[] states;
    private readonly float[] last, lastNormed, lastInverse, logits, transposed, dx, dnormed, dhidden, dq, dk, dv, dout;
    private readonly byte[] tokens;
    private readonly int[] positions;

    /// <summary>A decoder for batches of this many sequences of <paramref name="length"/> tokens.</summary>
    public Decoder(DecoderShape shape, DecoderParameters parameters, Arm arm, Rope rope, int batch, int length, int group)
        : this(shape, parameters, new AttentionLayers(arm, shape, batch, length, group), rope, batch * length)
    {
    }

    /// <summary>A decoder for this many rows, whose attention it takes over.</summary>
    public Decoder(DecoderShape shape, DecoderParameters parameters, IAttention attention, Rope rope, int rows)
    {
        this.shape = shape.Checked();
        this.parameters = parameters;
        this.rope = rope;
        this.attention = attention;
        this.rows = rows;
        states = [.. Enumerable.Range(0, shape.Layers).Select(_ => new LayerState(shape, rows))];
        int size = rows * shape.Width;
        last = new float[size];
        lastNormed = new float[size];
        lastInverse = new float[rows];
        logits = new float[rows * shape.Vocabulary];
        transposed = new float[shape.Width * Math.Max(shape.Width, Math.Max(shape.Hidden, shape.Vocabulary))];
        dx = new float[size];
        dnormed = new float[size];
        dhidden = new float[rows * shape.Hidden];
        dq = new float[size];
        dk = new float[size];
        dv = new float[size];
        dout = new float[size];
        tokens = new byte[rows];
        positions = new int[rows];
    }

    /// <summary>Predicts the token behind each token. What <see cref="Logits"/> says holds until the next call.</summary>
    /// <param name="input">Tokens below V, [batch, length].</param>
    /// <param name="places">The position of each, for its angles.</param>
    public void Forward(ReadOnlySpan<byte> input, ReadOnlySpan<int> places)
    {
        input.CopyTo(tokens);
        places.CopyTo(positions);
        int d = shape.Width;
        for (int row = 0; row < rows; row++)
            parameters.Embedding.Values.AsSpan(tokens[row] * d, d).CopyTo(states[0].Input.AsSpan(row * d));
        for (int layer = 0; layer < states.Length; layer++)
            LayerForward(layer, layer + 1 < states.Length ? states[layer + 1].Input : last);
        Rows.Norm(last, parameters.Norm.Values, lastNormed, lastInverse);
        Product.Transpose(parameters.Embedding.Values, transposed, shape.Vocabulary, d);
        Product.Multiply(lastNormed, transposed, logits, rows, d, shape.Vocabulary);
    }

    /// <summary>The logits of a row.</summary>
    public Span<float> Logits(int row) => logits.AsSpan(row * shape.Vocabulary, shape.Vocabulary);

    /// <summary>The mean loss over the rows that have a target, in nats; the logits become its gradient, from which <see cref="Backward"/> goes on.</summary>
    /// <param name="targets">The right next token of each row; negative where none is asked for.</param>
    public double Loss(ReadOnlySpan<int> targets)
    {
        int count = 0;
        foreach (int target in targets)
            count += target >= 0 ? 1 : 0;
        float weight = 1f / Math.Max(1, count);
        double sum = 0;
        for (int row = 0; row < rows; row++)
            if (targets[row] >= 0)
                sum += Rows.CrossEntropy(Logits(row), targets[row], weight);
            else
                Logits(row).Clear();
        return sum / Math.Max(1, count);
    }

    /// <summary>Writes the gradient of the loss to every parameter.</summary>
    /// <exception cref="InvalidOperationException">The text is read in slices: what a slice's keys are to later ones is not known yet.</exception>
    public void Backward()
    {
        if (attention is not AttentionLayers whole)
            throw new InvalidOperationException("a text that is read in slices has no gradients");
        foreach (Parameter parameter in parameters.All)
            Array.Clear(parameter.Gradient);
        Parameter embedding = parameters.Embedding;
        int d = shape.Width;
        Product.MultiplyTransposed(logits, lastNormed, embedding.Gradient, shape.Vocabulary, rows, d, accumulate: true);
        Product.Multiply(logits, embedding.Values, dnormed, rows, shape.Vocabulary, d);
        Array.Clear(dx);
        Rows.NormBackward(dnormed, last, parameters.Norm.Values, lastInverse, dx, parameters.Norm.Gradient);
        for (int layer = states.Length - 1; layer >= 0; layer--)
            LayerBackward(layer, whole[layer]);
        for (int row = 0; row < rows; row++)
            Rows.Add(dx.AsSpan(row * d, d), embedding.Gradient.AsSpan(tokens[row] * d, d));
    }

    /// <inheritdoc/>
    public void Dispose() => attention.Dispose();

    private void LayerForward(int layer, float[] output)
    {
        LayerParameters weights = parameters.Layers[layer];
        LayerState s = states[layer];
        int d = shape.Width;
        Rows.Norm(s.Input, weights.AttentionNorm.Values, s.Normed, s.Inverse);
        Product.Multiply(s.Normed, weights.Query.Values, s.Query, rows, d, d);
        Product.Multiply(s.Normed, weights.Key.Values, s.Key, rows, d, d);
        Product.Multiply(s.Normed, weights.Value.Values, s.Value, rows, d, d);
        rope.Turn(s.Query, positions, backward: false);
        rope.Turn(s.Key, positions, backward: false);
        attention.Forward(layer, s.Query, s.Key, s.Value, s.Mixed, s.LogSumExp);
        s.Input.CopyTo(s.Middle, 0);
        Product.Multiply(s.Mixed, weights.Output.Values, s.Middle, rows, d, d, accumulate: true);
        Rows.Norm(s.Middle, weights.MlpNorm.Values, s.MiddleNormed, s.MiddleInverse);
        Product.Multiply(s.MiddleNormed, weights.Up.Values, s.Hidden, rows, d, shape.Hidden);
        Rows.SquaredRelu(s.Hidden, s.Active);
        s.Middle.CopyTo(output, 0);
        Product.Multiply(s.Active, weights.Down.Values, output, rows, shape.Hidden, d, accumulate: true);
    }

    // dx holds the gradient of the layer's output, and then that of its input.
    private void LayerBackward(int layer, S2AttentionPlan plan)
    {
        LayerParameters weights = parameters.Layers[layer];
        LayerState s = states[layer];
        WeightBackward(s.Active, dx, weights.Down, dhidden, accumulate: false);
        Rows.SquaredReluBackward(s.Hidden, dhidden);
        WeightBackward(s.MiddleNormed, dhidden, weights.Up, dnormed, accumulate: false);
        Rows.NormBackward(dnormed, s.Middle, weights.MlpNorm.Values, s.MiddleInverse, dx, weights.MlpNorm.Gradient);
        WeightBackward(s.Mixed, dx, weights.Output, dout, accumulate: false);
        plan.Backward<float>(s.Query, s.Key, s.Value, s.Mixed, s.LogSumExp, dout, dq, dk, dv);
        rope.Turn(dq, positions, backward: true);
        rope.Turn(dk, positions, backward: true);
        WeightBackward(s.Normed, dq, weights.Query, dnormed, accumulate: false);
        WeightBackward(s.Normed, dk, weights.Key, dnormed, accumulate: true);
        WeightBackward(s.Normed, dv, weights.Value, dnormed, accumulate: true);
        Rows.NormBackward(dnormed, s.Input, weights.AttentionNorm.Values, s.Inverse, dx, weights.AttentionNorm.Gradient);
    }

    // For y = x W: dW = xᵀ dy, and dx = dy Wᵀ or dx += dy Wᵀ.
    private void WeightBackward(float[] x, float[] dy, Parameter weight, float[] dxOut, bool accumulate)
    {
        Product.MultiplyTransposed(x, dy, weight.Gradient, weight.Rows, rows, weight.Columns);
        Product.Transpose(weight.Values, transposed, weight.Rows, weight.Columns);
        Product.Multiply(dy, transposed, dxOut, rows, weight.Columns, weight.Rows, accumulate);
    }

    // What a layer's backward pass reads of its forward pass.
    private sealed class LayerState(DecoderShape shape, int rows)
    {
        public readonly float[] Input = new float[rows * shape.Width], Normed = new float[rows * shape.Width], Inverse = new float[rows];
        public readonly float[] Query = new float[rows * shape.Width], Key = new float[rows * shape.Width], Value = new float[rows * shape.Width];
        public readonly float[] Mixed = new float[rows * shape.Width], LogSumExp = new float[rows * shape.Heads];
        public readonly float[] Middle = new float[rows * shape.Width], MiddleNormed = new float[rows * shape.Width], MiddleInverse = new float[rows];
        public readonly float[] Hidden = new float[rows * shape.Hidden], Active = new float[rows * shape.Hidden];
    }
}
