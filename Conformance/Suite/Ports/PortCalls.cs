// How is a port asked when it may throw, or return tensors of any shape?
using System.Collections.Immutable;
using S2Attn.Conformance.Validation;
using S2Attn.Reference;

namespace S2Attn.Conformance.Ports;

/// <summary>Asks ports that run in this process as carefully as those that do not.</summary>
public static class PortCalls
{
    /// <summary>The port's answer, as failed where the port threw or its tensors have not the shapes that the case asks for.</summary>
    public static PortAnswer Ask(IAttentionPort port, PortCase portCase)
    {
        ArgumentNullException.ThrowIfNull(port);
        ArgumentNullException.ThrowIfNull(portCase);

        // An author's port runs in this process: what it throws must not end the run of the other cases.
        try
        {
            return Shaped(portCase, port.Run(portCase));
        }
        catch (Exception error) when (error is not TroubleException)
        {
            return new PortAnswer.Failed(PortFailureKind.Crash, $"the port threw {error.GetType().Name}: {error.Message}");
        }
    }

    // A port in this process may return anything; the process port has checked shapes already.
    private static PortAnswer Shaped(PortCase portCase, PortAnswer answer)
    {
        ImmutableArray<int> query = portCase.Input.Query.Shape, key = portCase.Input.Key.Shape;
        if (answer is PortAnswer.Forward { LogSumExp.Length: > 1 and var count })
            return Wrong($"The answer holds {count} tensors lse; at most one is asked for.");
        (string Name, Tensor<double> Tensor, ImmutableArray<int> Shape)[] tensors = answer switch
        {
            PortAnswer.Forward when portCase.Operation is not PortOperation.Forward => [],
            PortAnswer.Forward forward => [("o", forward.Output, query), .. forward.LogSumExp.Select(lse => ("lse", lse, query[..3]))],
            PortAnswer.Backward { Gradients: var gradients } when portCase.Operation is PortOperation.Backward => [("dq", gradients.Query, query), ("dk", gradients.Key, key), ("dv", gradients.Value, key)],
            _ => [],
        };
        if (tensors.Length == 0 && answer is PortAnswer.Forward or PortAnswer.Backward)
            return Wrong($"The answer to a {ProtocolNames.Of(portCase.Operation)} case is not a {ProtocolNames.Of(portCase.Operation)} answer.");
        foreach ((string name, Tensor<double> tensor, ImmutableArray<int> shape) in tensors)
            if (!tensor.Shape.AsSpan().SequenceEqual(shape.AsSpan()))
                return Wrong($"{name} is {tensor}; the case asks for [{string.Join(",", shape)}].");
        return answer;
    }

    private static PortAnswer.Failed Wrong(string message) => new(PortFailureKind.Output, message);
}
