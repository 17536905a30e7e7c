// How does a property ask a port, and what does it know of the definition?
using System.Collections.Immutable;
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Conformance.Running;

/// <summary>One case put to one port. Questions that the port does not answer with tensors end the check with their verdict.</summary>
public sealed class Probe
{
    private readonly IAttentionPort port;
    private readonly Lazy<PortAnswer.Forward> forward;
    private readonly Lazy<BoundedOutput> definition;

    /// <summary>Prepares a case; the port is asked when a property asks.</summary>
    public Probe(IAttentionPort port, AttentionCase item)
    {
        ArgumentNullException.ThrowIfNull(item);
        this.port = port;
        Case = item;
        Input = item.BuildInput();
        forward = new(() => Forward(Config, Input));
        definition = new(() => Bounds(Config, Input));
    }

    /// <summary>The case.</summary>
    public AttentionCase Case { get; }

    /// <summary>Its configuration.</summary>
    public S2Config Config => Case.Config;

    /// <summary>Its q, k, v and valid keys.</summary>
    public AttentionInput<double> Input { get; }

    /// <summary>do for it, [B,N,H,D].</summary>
    public Tensor<double> OutputGradient => Case.BuildOutputGradient();

    /// <summary>How a sane implementation rounds; the kernels are held to their own model.</summary>
    public RoundingModel Model => Agreement.ModelOf(port, Config, Case.Type);

    /// <summary>A source of choices that depends on the case alone.</summary>
    public Random Choices() => new(Case.Seed ^ 0x0c401ce);

    /// <summary>The port's answer to the case itself, asked once.</summary>
    public PortAnswer.Forward Answer => forward.Value;

    /// <summary>The definition's answer to the case itself, with the error bound of its element type.</summary>
    public BoundedOutput Definition => definition.Value;

    /// <summary>The definition's answer to a variation of the case, with bounds.</summary>
    public BoundedOutput Bounds(S2Config config, AttentionInput<double> input) => ErrorBound.Forward(config, input, Model);

    /// <summary>Asks for the forward pass of a variation of the case.</summary>
    public PortAnswer.Forward Forward(S2Config config, AttentionInput<double> input) =>
        Ask(new PortCase(config, Case.Type, input)) is PortAnswer.Forward answer
            ? answer
            : throw Failure(PortFailureKind.Output, "The answer to a forward case is not a forward answer.");

    /// <summary>Asks for the backward pass of a variation of the case.</summary>
    public Gradients<double> Backward(S2Config config, AttentionInput<double> input, Tensor<double> outputGradient) =>
        Ask(new PortCase(config, Case.Type, input, [outputGradient])) is PortAnswer.Backward answer
            ? answer.Gradients
            : throw Failure(PortFailureKind.Output, "The answer to a backward case is not a backward answer.");

    /// <summary>Whether the port claims a forward pass of another configuration, padded as the case is.</summary>
    public bool Claims(S2Config config) => PortSupport.Lacks(port.Description.Capabilities, config, Case.Type, PortOperation.Forward, Case.IsPadded).IsEmpty;

    /// <summary>A number of the case's element type.</summary>
    public double Round(double value) => Case.Type.Round(value);

    private PortAnswer Ask(PortCase portCase)
    {
        var lacks = PortSupport.Lacks(port.Description.Capabilities, portCase);
        if (!lacks.IsEmpty)
            throw new ProbeEndedException(new Verdict.Unsupported(lacks[0]));
        return Answered(portCase) switch
        {
            PortAnswer.Unsupported unsupported => throw Failure(
                PortFailureKind.Declaration, $"the port declares everything that this case needs, and answered that it does not support it: {unsupported.Reason}"),
            PortAnswer.Failed failed => throw Failure(failed.Kind, failed.Message),
            PortAnswer answer => Shaped(portCase, answer),
        };
    }

    // An author's port runs in this process: what it throws must not end the run of the other properties.
    private PortAnswer Answered(PortCase portCase)
    {
        try
        {
            return port.Run(portCase);
        }
        catch (Exception error)
        {
            return new PortAnswer.Failed(PortFailureKind.Crash, $"the port threw {error.GetType().Name}: {error.Message}");
        }
    }

    // A port in this process may return anything; the process port has checked shapes already.
    private static PortAnswer Shaped(PortCase portCase, PortAnswer answer)
    {
        ImmutableArray<int> query = portCase.Input.Query.Shape, key = portCase.Input.Key.Shape;
        (string Name, Tensor<double> Tensor, ImmutableArray<int> Shape)[] tensors = answer switch
        {
            PortAnswer.Forward { LogSumExp.Length: > 1 } forward => throw Failure(PortFailureKind.Output, $"The answer holds {forward.LogSumExp.Length} tensors lse; at most one is asked for."),
            PortAnswer.Forward forward => [("o", forward.Output, query), .. forward.LogSumExp.Select(lse => ("lse", lse, query[..3]))],
            PortAnswer.Backward { Gradients: var gradients } => [("dq", gradients.Query, query), ("dk", gradients.Key, key), ("dv", gradients.Value, key)],
            _ => [],
        };
        foreach ((string name, Tensor<double> tensor, ImmutableArray<int> shape) in tensors)
            if (!tensor.Shape.AsSpan().SequenceEqual(shape.AsSpan()))
                throw Failure(PortFailureKind.Output, $"{name} is {tensor}; the case asks for [{string.Join(",", shape)}].");
        return answer;
    }

    private static ProbeEndedException Failure(PortFailureKind kind, string message) => new(new Verdict.PortFailed(kind, message));
}

/// <summary>Ends a check whose port did not answer with tensors.</summary>
public sealed class ProbeEndedException(Verdict verdict) : Exception(verdict?.ToString())
{
    /// <summary>What the check says.</summary>
    public Verdict Verdict { get; } = verdict;
}
