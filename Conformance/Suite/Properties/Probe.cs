// How does a property ask a port, and what does it know of the definition?
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Conformance.Properties;

/// <summary>One case put to one port. Questions that the port does not answer with tensors end the check with their verdict.</summary>
public sealed class Probe
{
    private readonly IAttentionPort port;
    private readonly RowClock clock;
    private readonly Lazy<PortAnswer.Forward> forward;
    private readonly Lazy<BoundedOutput> definition;

    /// <summary>Prepares a case; the port is asked when a property asks.</summary>
    /// <param name="port">The port.</param>
    /// <param name="item">The case.</param>
    /// <param name="clock">Ends the check between two evaluations when the row has had its time.</param>
    public Probe(IAttentionPort port, AttentionCase item, RowClock clock)
    {
        this.clock = clock;
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
    public BoundedOutput Bounds(S2Config config, AttentionInput<double> input) => InTime(() => ErrorBound.Forward(config, input, Model));

    /// <summary>What the suite computes for the case, unless the row has had its time.</summary>
    public T InTime<T>(Func<T> compute)
    {
        ArgumentNullException.ThrowIfNull(compute);
        return clock.IsOver(out string reason) ? throw new ProbeEndedException(new Verdict.Unsupported(reason)) : compute();
    }

    /// <summary>Asks for the forward pass of a variation of the case.</summary>
    public PortAnswer.Forward Forward(S2Config config, AttentionInput<double> input) =>
        (PortAnswer.Forward)Ask(new PortCase(config, Case.Type, input));

    /// <summary>Asks for the backward pass of a variation of the case.</summary>
    public Gradients<double> Backward(S2Config config, AttentionInput<double> input, Tensor<double> outputGradient) =>
        ((PortAnswer.Backward)Ask(new PortCase(config, Case.Type, input, [outputGradient]))).Gradients;

    /// <summary>Whether the port claims a forward pass of another configuration, padded as the case is.</summary>
    public bool Claims(S2Config config) => PortSupport.Lacks(port.Description.Capabilities, config, Case.Type, PortOperation.Forward, Case.IsPadded).IsEmpty;

    /// <summary>
    /// The violations of a question that follows one which the port answered: that it gives no tensors for this one is a violation too, and not a failure of the port.
    /// </summary>
    /// <param name="violations">The violations, which ask the port.</param>
    /// <param name="question">What is special about the question.</param>
    public static IEnumerable<string> Answered(IEnumerable<string> violations, string question)
    {
        ArgumentNullException.ThrowIfNull(violations);
        List<string> found = [];
        try
        {
            found.AddRange(violations.Take(1));
        }
        catch (ProbeEndedException ended) when (ended.Verdict is Verdict.PortFailed failed)
        {
            found.Add($"{question} the port gave no tensors, which it did without: {failed.Kind}: {failed.Message}");
        }

        return found;
    }

    /// <summary>What the port declares.</summary>
    public PortCapabilities Capabilities => port.Description.Capabilities;

    /// <summary>A number of the case's element type.</summary>
    public double Round(double value) => Case.Type.Round(value);

    /// <summary>Asks any question; the answer holds tensors.</summary>
    public PortAnswer Ask(PortCase portCase)
    {
        var lacks = PortSupport.Lacks(port.Description.Capabilities, portCase);
        if (!lacks.IsEmpty)
            throw new ProbeEndedException(new Verdict.Unsupported(lacks[0]));
        return InTime(() => clock.InPort(() => PortCalls.Ask(port, portCase))) switch
        {
            PortAnswer.Unsupported unsupported => throw Failure(
                PortFailureKind.Declaration, $"the port declares everything that this case needs, and answered that it does not support it: {unsupported.Reason}"),
            PortAnswer.Failed failed => throw Failure(failed.Kind, failed.Message),
            PortAnswer answer => answer,
        };
    }

    private static ProbeEndedException Failure(PortFailureKind kind, string message) => new(new Verdict.PortFailed(kind, message));
}

/// <summary>Ends a check whose port did not answer with tensors.</summary>
public sealed class ProbeEndedException(Verdict verdict) : Exception(verdict?.ToString())
{
    /// <summary>What the check says.</summary>
    public Verdict Verdict { get; } = verdict;
}
