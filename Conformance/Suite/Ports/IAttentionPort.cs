// What is a port, and what does it answer? Every implementation under test is driven through this interface.
using System.Collections.Immutable;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Conformance.Ports;

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
