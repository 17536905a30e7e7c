// Reference as a port, so that the suite tests itself.
using System.Collections.Immutable;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Conformance.Ports;

/// <summary>The definition behind the interface of a port: results are rounded once to the storage format.</summary>
public sealed class ReferencePort : IAttentionPort
{
    /// <inheritdoc/>
    public PortDescription Description { get; } = new(
        "reference",
        typeof(Attention).Assembly.GetName().Version!.ToString(3),
        "C#",
        new PortCapabilities(
            [PortOperation.Forward, PortOperation.Backward],
            [.. Enum.GetValues<ElementType>()],
            [.. MaskPolicies.All],
            GroupedQuery: true,
            Padding: true,
            OddGroup: true,
            Ragged: true,
            MaxTokens: int.MaxValue)
        {
            Isolation = true,
            HeadMajor = true,
            Packed = true,
            Slices = true,
            LogSumExpGradient = true,
            Phases = true,
            Grids = true,
            Prefixes = true,
            Strides = [.. Enum.GetValues<StrideKind>()],
        });

    /// <inheritdoc/>
    public PortAnswer Run(PortCase portCase)
    {
        ArgumentNullException.ThrowIfNull(portCase);
        if (!portCase.Memory.Starts.IsEmpty)
            return PackedCase.Joined(portCase, [.. PackedCase.Sequences(portCase).Select(Run)]);
        if (portCase.Operation is PortOperation.Backward)
        {
            Gradients<double> gradients = portCase.Grid is { } windows
                ? GridAttention.Backward(windows, portCase.Input, portCase.OutputGradient[0], portCase.LogSumExpGradientOrZero)
                : AttentionGradients.Backward(portCase.Part, portCase.Input, portCase.OutputGradient[0], portCase.LogSumExpGradientOrZero);
            return new PortAnswer.Backward(new(Round(gradients.Query), Round(gradients.Key), Round(gradients.Value)));
        }

        AttentionOutput<double> output = portCase.Grid is { } grid ? GridAttention.Forward(grid, portCase.Input) : Attention.Forward(portCase.Part, portCase.Input);

        // The protocol returns the logsumexp in F32 for every format but F64.
        ElementType lseType = portCase.ElementType is ElementType.F64 ? ElementType.F64 : ElementType.F32;
        ImmutableArray<Tensor<double>> lse = [output.LogSumExp.Map(value => lseType.Round(value))];
        return new PortAnswer.Forward(Round(output.Output), lse);

        Tensor<double> Round(Tensor<double> tensor) => tensor.Map(value => portCase.ElementType.Round(value));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
    }
}
