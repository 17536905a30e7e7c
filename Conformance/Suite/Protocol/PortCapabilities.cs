// What does a port say of itself?
using System.Collections.Immutable;
using S2Attn.Spec;

namespace S2Attn.Conformance.Protocol;

/// <summary>What a port may be asked to compute.</summary>
public enum PortOperation
{
    /// <summary>o and logsumexp from q, k, v.</summary>
    Forward,

    /// <summary>dq, dk, dv from q, k, v and do.</summary>
    Backward,
}

/// <summary>What a port declares. A capability that is not declared is not tested; a declared one that is not delivered is a failure.</summary>
/// <param name="Operations">Passes.</param>
/// <param name="ElementTypes">Storage formats.</param>
/// <param name="Masks">Mask policies.</param>
/// <param name="GroupedQuery">Whether kv heads may be fewer than query heads.</param>
/// <param name="Padding">Whether padded keys may be given.</param>
/// <param name="OddGroup">Whether G may be odd.</param>
/// <param name="Ragged">Whether N may be no multiple of G (Split policies).</param>
/// <param name="MaxTokens">The largest N.</param>
public sealed record PortCapabilities(
    ImmutableArray<PortOperation> Operations,
    ImmutableArray<ElementType> ElementTypes,
    ImmutableArray<MaskPolicy> Masks,
    bool GroupedQuery,
    bool Padding,
    bool OddGroup,
    bool Ragged,
    int MaxTokens)
{
    /// <summary>Values that the port does not let the caller choose.</summary>
    public FixedConfig Fixed { get; init; } = FixedConfig.None;

    /// <summary>Whether NaN and infinity that a query may not see are said to change nothing; they are tried on every port, and only then count against it.</summary>
    public bool Isolation { get; init; }

    /// <summary>Whether tensors may also be [B,heads,N,D].</summary>
    public bool HeadMajor { get; init; }

    /// <summary>Whether heads may have shifts of their own, in phases or one for each; since protocol 1.1.</summary>
    public bool Phases { get; init; }

    /// <summary>Whether tokens may stand on several axes; since protocol 1.2.</summary>
    public bool Grids { get; init; }

    /// <summary>Whether the first tokens may be keys of every query, as sinks and seen whole; since protocol 1.3.</summary>
    public bool Prefixes { get; init; }

    /// <summary>Whether sequences of different lengths may be packed one behind the other.</summary>
    public bool Packed { get; init; }

    /// <summary>Whether a part of the queries may be asked, with the keys that are there for it.</summary>
    public bool Slices { get; init; }

    /// <summary>Whether the backward pass takes the gradient of lse.</summary>
    public bool LogSumExpGradient { get; init; }

    /// <summary>The strides that the port takes, which are tried only where it says so.</summary>
    public ImmutableArray<StrideKind> Strides { get; init; } = [];

    /// <summary>Lengths of the blocks in which the port works, in tokens, where it says them: cases are then also drawn at their borders.</summary>
    public ImmutableArray<int> Tiles { get; init; } = [];
}

/// <summary>Who a port is.</summary>
public sealed record PortDescription(string Name, string Version, string Language, PortCapabilities Capabilities);
