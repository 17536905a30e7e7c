// Which heads shift in which layer?
namespace S2Attn.Spec;

/// <summary>How the shift changes from layer to layer. S2-Attn is the same in each; Swin alternates.</summary>
public abstract record LayerPattern
{
    private LayerPattern() { }

    /// <summary>The same heads in each layer.</summary>
    public sealed record SameInEach(HeadShift Heads) : LayerPattern;

    /// <summary>No head in layers 0, 2, ..., every head in layers 1, 3, ...: Swin (arXiv 2103.14030), and LongLoRA's "cross-layers" (arXiv 2309.12307, table 6).</summary>
    public sealed record AlternateLayers : LayerPattern;

    /// <summary>P phases in each layer; in layers 1, 3, ... every phase is half a step later: floor(G (2p + 1) / 2P).</summary>
    public sealed record RotatedPhases(int Count) : LayerPattern;

    /// <summary>The same heads in each layer.</summary>
    public static LayerPattern Same(HeadShift heads) => new SameInEach(heads);

    /// <summary>Unshifted and wholly shifted layers in turn.</summary>
    public static LayerPattern Alternate { get; } = new AlternateLayers();

    /// <summary>P phases that are half a step later in every second layer.</summary>
    public static LayerPattern Rotated(int phases) => new RotatedPhases(phases);

    /// <summary>The heads of a layer, counted from 0.</summary>
    public HeadShift HeadsOf(int layer)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(layer);
        return this switch
        {
            SameInEach same => same.Heads,
            AlternateLayers => layer % 2 == 0 ? HeadShift.None : HeadShift.All,
            RotatedPhases rotated => HeadShift.Phased(rotated.Count, isRotated: layer % 2 == 1),
            _ => throw new InvalidOperationException($"Unknown layer pattern {this}."),
        };
    }
}
