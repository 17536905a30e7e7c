// What does training change: the decoder's tensors, their gradients, and low-rank adapters of them?
using System.Collections.Immutable;
using S2Attn.Experiments.Numerics;

namespace S2Attn.Experiments.Model;

/// <summary>A matrix [rows, columns] with its gradient; a norm's gain has one row.</summary>
internal sealed class Parameter(string name, int rows, int columns)
{
    public string Name { get; } = name;

    public int Rows { get; } = rows;

    public int Columns { get; } = columns;

    public bool IsGain => Rows == 1;

    public float[] Values { get; } = new float[rows * columns];

    public float[] Gradient { get; } = new float[rows * columns];

    /// <summary>Uniform with this standard deviation.</summary>
    public Parameter Drawn(Randomness random, double deviation)
    {
        float bound = (float)(deviation * Math.Sqrt(3));
        foreach (ref float value in Values.AsSpan())
            value = random.NextSigned() * bound;
        return this;
    }

    public Parameter Filled(float value)
    {
        Values.AsSpan().Fill(value);
        return this;
    }
}

/// <summary>The tensors of a layer.</summary>
internal sealed record LayerParameters(
    Parameter AttentionNorm, Parameter Query, Parameter Key, Parameter Value, Parameter Output, Parameter MlpNorm, Parameter Up, Parameter Down);

/// <summary>The tensors of a decoder. The embedding is the head too.</summary>
internal sealed record DecoderParameters(Parameter Embedding, ImmutableArray<LayerParameters> Layers, Parameter Norm)
{
    private const double EmbeddingDeviation = 0.05;

    /// <summary>A decoder that has learned nothing: weights of variance 1 / rows, those that write to the residual stream smaller by sqrt(2 L), as in GPT-2.</summary>
    public static DecoderParameters Drawn(DecoderShape shape, long seed)
    {
        shape.Checked();
        int tensor = 0;
        double residual = 1 / Math.Sqrt(2 * shape.Layers);
        Parameter Weight(string name, int rows, int columns, double factor = 1) =>
            new Parameter(name, rows, columns).Drawn(new Randomness(seed, tensor++), factor / Math.Sqrt(rows));
        Parameter Gain(string name) => new Parameter(name, 1, shape.Width).Filled(1);
        int width = shape.Width;
        return new(
            new Parameter("embedding", shape.Vocabulary, width).Drawn(new Randomness(seed, -1), EmbeddingDeviation),
            [
                .. Enumerable.Range(0, shape.Layers).Select(layer => new LayerParameters(
                    Gain($"layers.{layer}.attention_norm"),
                    Weight($"layers.{layer}.query", width, width),
                    Weight($"layers.{layer}.key", width, width),
                    Weight($"layers.{layer}.value", width, width),
                    Weight($"layers.{layer}.output", width, width, residual),
                    Gain($"layers.{layer}.mlp_norm"),
                    Weight($"layers.{layer}.up", width, shape.Hidden),
                    Weight($"layers.{layer}.down", shape.Hidden, width, residual))),
            ],
            Gain("norm"));
    }

    /// <summary>All tensors, in one order.</summary>
    public IEnumerable<Parameter> All =>
        [Embedding, .. Layers.SelectMany(l => new[] { l.AttentionNorm, l.Query, l.Key, l.Value, l.Output, l.MlpNorm, l.Up, l.Down }), Norm];

    /// <summary>The number of elements.</summary>
    public int Count => All.Sum(parameter => parameter.Values.Length);
}
