// Which plan of the kernel does each layer run?
using S2Attn.Optimized;
using S2Attn.Spec;

namespace S2Attn.Experiments.Model;

/// <summary>The plans of a decoder's layers; layers that are alike share one.</summary>
internal sealed class AttentionLayers : IAttention
{
    private readonly Dictionary<S2Config, S2AttentionPlan> plans = [];
    private readonly S2AttentionPlan[] ofLayer;

    public AttentionLayers(Arm arm, DecoderShape shape, int batch, int tokens, int group)
    {
        ofLayer = new S2AttentionPlan[shape.Layers];
        try
        {
            for (int layer = 0; layer < ofLayer.Length; layer++)
            {
                S2Config config = arm.ConfigOf(shape, batch, tokens, group, layer);
                if (!plans.TryGetValue(config, out S2AttentionPlan? plan))
                    plans[config] = plan = new(config, Options);
                ofLayer[layer] = plan;
            }
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>One thread, because runs are what is parallel, and 256 bits, because a wider register adds in another order: they are what most processors share.</summary>
    public static S2AttentionOptions Options { get; } = new() { Threads = 1, VectorWidth = VectorWidths.InUse == VectorWidth.Bits128 ? VectorWidth.Bits128 : VectorWidth.Bits256 };

    public S2AttentionPlan this[int layer] => ofLayer[layer];

    /// <inheritdoc/>
    public void Forward(int layer, ReadOnlySpan<float> query, ReadOnlySpan<float> key, ReadOnlySpan<float> value, Span<float> mixed, Span<float> logSumExp) =>
        ofLayer[layer].Forward<float>(query, key, value, mixed, logSumExp);

    public void Dispose()
    {
        foreach (S2AttentionPlan plan in plans.Values)
            plan.Dispose();
    }
}
