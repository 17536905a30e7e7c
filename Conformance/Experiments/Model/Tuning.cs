// Which parameters does fine-tuning change, and through what?
using System.Collections.Immutable;
using S2Attn.Experiments.Numerics;

namespace S2Attn.Experiments.Model;

/// <summary>What is trained.</summary>
public enum Tuning
{
    /// <summary>Every parameter.</summary>
    Full,

    /// <summary>Low-rank adapters of the attention's four weights alone (LoRA, arXiv 2106.09685).</summary>
    Lora,

    /// <summary>The adapters, and norms and embedding: LoRA+ as LongLoRA means it (arXiv 2309.12307, section 3.3). The embedding is the head too here.</summary>
    LoraPlus,
}

/// <summary>
/// W = W0 + 2 A B of rank r for a weight that the decoder reads as W, with A [rows, r] random and B [r, columns] 0 at first. The decoder knows nothing of it: its dW
/// gives dA = 2 dW Bᵀ and dB = 2 Aᵀ dW.
/// </summary>
internal sealed class Adapter
{
    // LoRA's alpha / r; alpha = 2 r as in LongLoRA's recipe of r = 8 and alpha = 16.
    private const float Scale = 2;

    private readonly Parameter target;
    private readonly float[] frozen, transposed, product;

    public Adapter(Parameter target, int rank, Randomness random)
    {
        this.target = target;
        frozen = [.. target.Values];
        A = new Parameter(target.Name + ".lora_a", target.Rows, rank).Drawn(random, 1 / Math.Sqrt(target.Rows));
        B = new Parameter(target.Name + ".lora_b", rank, target.Columns);
        transposed = new float[rank * target.Columns];
        product = new float[target.Values.Length];
    }

    public Parameter A { get; }

    public Parameter B { get; }

    /// <summary>Gives the decoder W0 + 2 A B.</summary>
    public void Apply()
    {
        Product.Multiply(A.Values, B.Values, product, target.Rows, A.Columns, target.Columns);
        for (int i = 0; i < product.Length; i++)
            target.Values[i] = frozen[i] + Scale * product[i];
    }

    /// <summary>dA and dB from the decoder's dW.</summary>
    public void Backward()
    {
        Product.Transpose(B.Values, transposed, B.Rows, B.Columns);
        Product.Multiply(target.Gradient, transposed, A.Gradient, target.Rows, target.Columns, A.Columns);
        Product.MultiplyTransposed(A.Values, target.Gradient, B.Gradient, A.Columns, target.Rows, target.Columns);
        foreach (float[] gradient in new[] { A.Gradient, B.Gradient })
            foreach (ref float value in gradient.AsSpan())
                value *= Scale;
    }
}

/// <summary>What an optimiser changes, and what has to be done before and after the decoder runs.</summary>
/// <param name="Parameters">The tensors that are trained.</param>
/// <param name="Adapters">The adapters among them.</param>
internal sealed record Trainable(ImmutableArray<Parameter> Parameters, ImmutableArray<Adapter> Adapters)
{
    /// <summary>What <paramref name="tuning"/> trains of a decoder.</summary>
    public static Trainable Of(DecoderParameters decoder, Tuning tuning, int rank, long seed)
    {
        if (tuning == Tuning.Full)
            return new([.. decoder.All], []);
        int number = 0;
        ImmutableArray<Adapter> adapters =
        [
            .. decoder.Layers.SelectMany(layer => new[] { layer.Query, layer.Key, layer.Value, layer.Output })
                .Select(weight => new Adapter(weight, rank, new Randomness(seed, number++, rank))),
        ];
        IEnumerable<Parameter> low = adapters.SelectMany(adapter => new[] { adapter.A, adapter.B });
        return tuning switch
        {
            Tuning.Lora => new([.. low], adapters),
            Tuning.LoraPlus => new([.. low, decoder.Embedding, .. decoder.All.Where(parameter => parameter.IsGain)], adapters),
            _ => throw new ArgumentOutOfRangeException(nameof(tuning), tuning, "must be Full, Lora or LoraPlus"),
        };
    }
}
