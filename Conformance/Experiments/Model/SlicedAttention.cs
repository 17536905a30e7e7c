// How does a decoder read a text that is longer than its buffers?
using S2Attn.Optimized;
using S2Attn.Spec;

namespace S2Attn.Experiments.Model;

/// <summary>
/// Causal attention over a whole text of which one slice of queries is there at a time: keys and values of what was read are kept, for each layer. Every sum has the bits of the text read at once
/// (<see cref="S2AttentionPlan.OfSlice"/>).
/// </summary>
internal sealed class SlicedAttention : IAttention
{
    private readonly S2AttentionPlan[] plans;
    private readonly float[][] keys, values;
    private readonly int elements;

    /// <summary>Attention over one text of so many tokens, of which <paramref name="slice"/> are there at a time.</summary>
    /// <exception cref="ArgumentException">The text is not made of whole slices.</exception>
    public SlicedAttention(DecoderShape shape, int tokens, int slice)
    {
        if (slice < 1 || tokens % slice != 0)
            throw new ArgumentException($"tokens = {tokens}: must be a multiple of the {slice} of a slice", nameof(tokens));
        elements = slice * shape.Width;
        keys = [.. Enumerable.Range(0, shape.Layers).Select(_ => new float[tokens * shape.Width])];
        values = [.. keys.Select(of => new float[of.Length])];
        S2Config config = Arm.Full.ConfigOf(shape, batch: 1, tokens, tokens, layer: 0);
        plans =
        [
            .. Enumerable.Range(0, tokens / slice).Select(i => S2AttentionPlan.OfSlice(
                S2Slice.Create(config, new() { FirstQuery = i * slice, EndQuery = (i + 1) * slice, FirstKey = 0 }), AttentionLayers.Options)),
        ];
    }

    /// <summary>Slices of a text.</summary>
    public int Count => plans.Length;

    /// <summary>Which slice is read; those before it must have been.</summary>
    public int Slice { get; set; }

    /// <inheritdoc/>
    public void Forward(int layer, ReadOnlySpan<float> query, ReadOnlySpan<float> key, ReadOnlySpan<float> value, Span<float> mixed, Span<float> logSumExp)
    {
        int end = (Slice + 1) * elements;
        key.CopyTo(keys[layer].AsSpan(end - elements));
        value.CopyTo(values[layer].AsSpan(end - elements));
        plans[Slice].Forward<float>(query, keys[layer].AsSpan(0, end), values[layer].AsSpan(0, end), mixed, logSumExp);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (S2AttentionPlan plan in plans)
            plan.Dispose();
    }
}
