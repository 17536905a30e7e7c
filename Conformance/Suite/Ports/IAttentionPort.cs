// What is a port, and what does it answer? Every implementation under test is driven through this interface.
using System.Collections.Immutable;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Conformance.Ports;

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

    /// <summary>Lengths of the blocks in which the port works, in tokens, where it says them: cases are then also drawn at their borders.</summary>
    public ImmutableArray<int> Tiles { get; init; } = [];
}

/// <summary>Who a port is.</summary>
public sealed record PortDescription(string Name, string Version, string Language, PortCapabilities Capabilities);

/// <summary>
/// One question to a port. Values are carried as double whatever the format; each is a number of <paramref name="ElementType"/>, and so must the
/// answer's be.
/// </summary>
/// <param name="Config">The configuration.</param>
/// <param name="ElementType">The storage format of every tensor.</param>
/// <param name="Input">q, k, v and the valid keys.</param>
/// <param name="OutputGradient">do [B,N,H,D] for the backward pass; empty for the forward pass.</param>
public sealed record PortCase(S2Config Config, ElementType ElementType, AttentionInput<double> Input, ImmutableArray<Tensor<double>> OutputGradient)
{
    /// <summary>A forward case.</summary>
    public PortCase(S2Config config, ElementType elementType, AttentionInput<double> input)
        : this(config, elementType, input, [])
    {
    }

    /// <summary>Backward where do is given, else forward.</summary>
    public PortOperation Operation => OutputGradient.IsEmpty ? PortOperation.Forward : PortOperation.Backward;

    /// <summary>Whether some key is padded.</summary>
    public bool IsPadded => Input.Valid.Elements.Contains(false);
}

/// <summary>What a port did not deliver.</summary>
public enum PortFailureKind
{
    /// <summary>The port reported an error of its own.</summary>
    Error,

    /// <summary>The port's process ended, or its code threw.</summary>
    Crash,

    /// <summary>No answer within the time limit.</summary>
    Timeout,

    /// <summary>Something that is not the protocol: garbage on stdout, a wrong id, an oversized line.</summary>
    Protocol,

    /// <summary>Output that is missing, truncated or malformed, or of wrong name, shape or element type.</summary>
    Output,

    /// <summary>The port declares the capabilities that the case needs, and answered that it does not support it.</summary>
    Declaration,
}

/// <summary>A port's answer to one case.</summary>
public abstract record PortAnswer
{
    private PortAnswer() { }

    /// <summary>Forward results; a port may leave out the logsumexp.</summary>
    /// <param name="Output">o [B,N,H,D].</param>
    /// <param name="LogSumExp">lse [B,N,H], or empty.</param>
    public sealed record Forward(Tensor<double> Output, ImmutableArray<Tensor<double>> LogSumExp) : PortAnswer;

    /// <summary>Backward results: dq [B,N,H,D], dk and dv [B,N,K,D].</summary>
    public sealed record Backward(Gradients<double> Gradients) : PortAnswer;

    /// <summary>The port says that it does not support the case.</summary>
    public sealed record Unsupported(string Reason) : PortAnswer;

    /// <summary>The port did not deliver.</summary>
    public sealed record Failed(PortFailureKind Kind, string Message) : PortAnswer;
}

/// <summary>An implementation under test. Misbehaviour is an answer, never an exception; a port that failed a case takes the next one.</summary>
public interface IAttentionPort : IDisposable
{
    /// <summary>Who the port is and what it declares.</summary>
    PortDescription Description { get; }

    /// <summary>Computes one case.</summary>
    PortAnswer Run(PortCase portCase);
}
