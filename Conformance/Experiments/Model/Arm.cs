// In which way is a decoder trained: which attention, in which layers, at which positions?
using S2Attn.Spec;

namespace S2Attn.Experiments.Model;

/// <summary>A way to train. Evaluation is always with <see cref="Full"/> too.</summary>
/// <param name="Name">As in tables and on the command line.</param>
/// <param name="Layers">Which heads shift in which layer.</param>
/// <param name="Mask">The mask.</param>
/// <param name="IsFull">Whether a sequence is one group.</param>
/// <param name="HasGaps">
/// Whether positions jump at a random place of each group by a random amount, so that a group meets the distances of the whole text (PoSE, arXiv 2309.10400): exposure without information.
/// </param>
public sealed record Arm(string Name, LayerPattern Layers, MaskPolicy Mask, bool IsFull = false, bool HasGaps = false)
{
    private const int FourPhases = 4, FourSinks = 4;

    /// <summary>So many first tokens are keys of every later one, as sinks.</summary>
    public int Prefix { get; init; }

    /// <summary>No training: what the others begin with.</summary>
    public static Arm Untrained { get; } = new("untrained", LayerPattern.Same(HeadShift.None), MaskPolicy.LocalCausal, IsFull: true);

    /// <summary>Causal attention over the whole sequence.</summary>
    public static Arm Full { get; } = new("full", LayerPattern.Same(HeadShift.None), MaskPolicy.LocalCausal, IsFull: true);

    /// <summary>Groups, no shift.</summary>
    public static Arm NoShift { get; } = new("no-shift", LayerPattern.Same(HeadShift.None), MaskPolicy.LocalCausal);

    /// <summary>S2 as the paper writes it.</summary>
    public static Arm LocalCausal { get; } = new("s2-local", LayerPattern.Same(HeadShift.SecondHalf), MaskPolicy.LocalCausal);

    /// <summary>S2 with the wrapped run cut off.</summary>
    public static Arm Split { get; } = new("s2-split", LayerPattern.Same(HeadShift.SecondHalf), MaskPolicy.Split);

    /// <summary>S2, causal in original positions.</summary>
    public static Arm PositionCausal { get; } = new("s2-position", LayerPattern.Same(HeadShift.SecondHalf), MaskPolicy.PositionCausal);

    /// <summary>Every arm, in the order of tables.</summary>
    public static IReadOnlyList<Arm> All { get; } =
    [
        Untrained,
        Full,
        NoShift,
        LocalCausal,
        Split,
        PositionCausal,
        new("alternate", LayerPattern.Alternate, MaskPolicy.Split),
        new("all-shifted", LayerPattern.Same(HeadShift.All), MaskPolicy.Split),
        new("phases-4", LayerPattern.Same(HeadShift.Phased(FourPhases)), MaskPolicy.Split),
        new("rotated-4", LayerPattern.Rotated(FourPhases), MaskPolicy.Split),
        new("sinks-4", LayerPattern.Same(HeadShift.SecondHalf), MaskPolicy.Split) { Prefix = FourSinks },
        new("no-shift-gaps", LayerPattern.Same(HeadShift.None), MaskPolicy.LocalCausal, HasGaps: true),
    ];

    /// <summary>The attention of a layer.</summary>
    /// <exception cref="InvalidConfigException">N, G and mask do not suit each other.</exception>
    public S2Config ConfigOf(DecoderShape shape, int batch, int tokens, int group, int layer)
    {
        HeadShift heads = Layers.HeadsOf(layer);
        return S2Config.Create(new S2Request
        {
            Batch = batch,
            Tokens = tokens,
            Heads = shape.Heads,
            HeadDim = shape.HeadDim,
            GroupSize = GroupSizeRule.Of(IsFull ? tokens : group),
            Mask = Mask,
            ShiftedHeads = heads,
            Prefix = Prefix,
        });
    }
}
