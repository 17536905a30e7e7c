// What does S2-Attn read?
using System.Numerics;
using S2Attn.Spec;

namespace S2Attn.Reference;

/// <summary>The tensors that S2-Attn reads.</summary>
/// <param name="Query">q [B,N,H,D].</param>
/// <param name="Key">k [B,N,K,D].</param>
/// <param name="Value">v [B,N,K,D].</param>
/// <param name="Valid">valid [B,N]: false for a padded key, which no query sees.</param>
public sealed record AttentionInput<T>(Tensor<T> Query, Tensor<T> Key, Tensor<T> Value, Tensor<bool> Valid)
    where T : IBinaryFloatingPointIeee754<T>
{
    /// <summary>Input without padding.</summary>
    public AttentionInput(Tensor<T> query, Tensor<T> key, Tensor<T> value)
        : this(query, key, value, Tensor<bool>.Build(key.Shape.AsSpan()[..2], _ => true))
    {
    }

    /// <summary>Checks the shapes against a configuration.</summary>
    /// <exception cref="ArgumentException">A tensor has another shape; the message names tensor, shape and rule.</exception>
    public void CheckShapes(S2Config config) => CheckShapes(S2Slice.Whole(config));

    /// <summary>Checks the shapes against a slice: q [B,t1-t0,H,D], k and v [B,u1-u0,K,D], valid [B,u1-u0].</summary>
    /// <exception cref="ArgumentException">A tensor has another shape; the message names tensor, shape and rule.</exception>
    public void CheckShapes(S2Slice slice)
    {
        ArgumentNullException.ThrowIfNull(slice);
        S2Config config = slice.Config;
        CheckShape(nameof(Query), Query, [config.Batch, slice.QueryCount, config.Heads, config.HeadDim]);
        CheckShape(nameof(Key), Key, [config.Batch, slice.KeyCount, config.KvHeads, config.HeadDim]);
        CheckShape(nameof(Value), Value, [config.Batch, slice.KeyCount, config.KvHeads, config.HeadDim]);
        CheckShape(nameof(Valid), Valid, [config.Batch, slice.KeyCount]);
    }

    internal static void CheckShape<TElement>(string name, Tensor<TElement> tensor, ReadOnlySpan<int> expected)
    {
        if (!tensor.Shape.AsSpan().SequenceEqual(expected))
            throw new ArgumentException($"{name} has shape [{string.Join(",", tensor.Shape)}]; the configuration asks for [{string.Join(",", expected.ToArray())}].", name);
    }
}
