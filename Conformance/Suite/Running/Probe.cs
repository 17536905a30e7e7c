// How does a property ask a port, and what does it know of the definition?
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
            : throw new ProbeEndedException(new Verdict.PortFailed(PortFailureKind.Output, "The answer to a forward case is not a forward answer."));

    /// <summary>Asks for the backward pass of a variation of the case.</summary>
    public Gradients<double> Backward(S2Config config, AttentionInput<double> input, Tensor<double> outputGradient) =>
        Ask(new PortCase(config, Case.Type, input, [outputGradient])) is PortAnswer.Backward answer
            ? answer.Gradients
            : throw new ProbeEndedException(new Verdict.PortFailed(PortFailureKind.Output, "The answer to a backward case is not a backward answer."));

    /// <summary>Whether the port claims a forward pass of another configuration, padded as the case is.</summary>
    public bool Claims(S2Config config) => PortSupport.Lacks(port.Description.Capabilities, config, Case.Type, PortOperation.Forward, Case.IsPadded).IsEmpty;

    /// <summary>A number of the case's element type.</summary>
    public double Round(double value) => Case.Type.Round(value);

    private PortAnswer Ask(PortCase portCase)
    {
        var lacks = PortSupport.Lacks(port.Description.Capabilities, portCase);
        if (!lacks.IsEmpty)
            throw new ProbeEndedException(new Verdict.Unsupported(lacks[0]));
        return port.Run(portCase) switch
        {
            PortAnswer.Unsupported unsupported => throw new ProbeEndedException(new Verdict.Unsupported(unsupported.Reason)),
            PortAnswer.Failed failed => throw new ProbeEndedException(new Verdict.PortFailed(failed.Kind, failed.Message)),
            PortAnswer.Forward answer => Shaped(portCase, answer),
            PortAnswer answer => answer,
        };
    }

    // A port in this process may return anything; the process port has checked shapes already.
    private static PortAnswer.Forward Shaped(PortCase portCase, PortAnswer.Forward answer)
    {
        ReadOnlySpan<int> shape = portCase.Input.Query.Shape.AsSpan();
        return answer.Output.Shape.AsSpan().SequenceEqual(shape) && answer.LogSumExp.All(lse => lse.Shape.AsSpan().SequenceEqual(portCase.Input.Query.Shape.AsSpan()[..3]))
            ? answer
            : throw new ProbeEndedException(new Verdict.PortFailed(PortFailureKind.Output, $"o is {answer.Output}; the case asks for [{string.Join(",", shape.ToArray())}]."));
    }
}

/// <summary>Ends a check whose port did not answer with tensors.</summary>
public sealed class ProbeEndedException(Verdict verdict) : Exception(verdict?.ToString())
{
    /// <summary>What the check says.</summary>
    public Verdict Verdict { get; } = verdict;
}
