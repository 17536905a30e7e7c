// Which of the group's keys may a query see?
namespace S2Attn.Spec;

/// <summary>The five ways to mask a shifted group. <see cref="Visibility"/> defines each in one line.</summary>
public enum MaskPolicy
{
    /// <summary>Causal in shifted positions: LongLoRA's eager path and the paper's Algorithm 1. Leaks the future where the roll wraps.</summary>
    LocalCausal,

    /// <summary>Causal, and the wrapped run is cut off: LongLoRA's flash path (cu_seqlens 0, S, S+G, ..., N). Defined for every N.</summary>
    Split,

    /// <summary>Causal in original positions: no leak, and the tail of the text still sees its head.</summary>
    PositionCausal,

    /// <summary>The whole group, for encoders.</summary>
    Bidirectional,

    /// <summary>The whole group but for the wrapped run, as in Swin. Defined for every N.</summary>
    BidirectionalSplit,
}

/// <summary>What is known of a policy without sizes.</summary>
public static class MaskPolicies
{
    /// <summary>All policies, in the order of their definition.</summary>
    public static IReadOnlyList<MaskPolicy> All { get; } = Enum.GetValues<MaskPolicy>();

    /// <summary>Whether a query is kept from later keys (in shifted or in original positions).</summary>
    public static bool IsCausal(this MaskPolicy mask) => mask is MaskPolicy.LocalCausal or MaskPolicy.Split or MaskPolicy.PositionCausal;

    /// <summary>Whether the wrapped run is cut off, so that N need not be a multiple of G.</summary>
    public static bool CutsWrappedRun(this MaskPolicy mask) => mask is MaskPolicy.Split or MaskPolicy.BidirectionalSplit;
}
