// A known deviation as a port, so that properties can be shown to catch it.
using S2Attn.Reference;
using S2Attn.Reference.Upstream;
using S2Attn.Spec;

namespace S2Attn.Conformance.Ports;

/// <summary>An upstream profile behind the interface of a port; it claims what the profile is defined for.</summary>
public sealed class ProfilePort(UpstreamProfile profile) : IAttentionPort
{
    /// <inheritdoc/>
    public PortDescription Description { get; } = new(
        profile.Name,
        typeof(UpstreamProfile).Assembly.GetName().Version!.ToString(3),
        "C#",
        new PortCapabilities(
            [PortOperation.Forward, PortOperation.Backward],
            [ElementType.F32, ElementType.F64],
            profile.Masks,
            GroupedQuery: true,
            Padding: true,
            OddGroup: true,
            Ragged: profile.Ragged,
            MaxTokens: int.MaxValue)
        {
            Isolation = true,
        });

    /// <inheritdoc/>
    public PortAnswer Run(PortCase portCase)
    {
        ArgumentNullException.ThrowIfNull(portCase);
        if (!profile.AppliesTo(portCase.Config))
            return new PortAnswer.Unsupported($"{profile.Name} is not defined for {portCase.Config.Mask} with N = {portCase.Config.Tokens}, G = {portCase.Config.GroupSize}");
        PipelineAttention pipeline = profile.For(portCase.Config, portCase.Input.Valid);
        if (portCase.Operation is PortOperation.Backward)
        {
            Gradients<double> gradients = pipeline.Backward(portCase.Input, portCase.OutputGradient[0]);
            return new PortAnswer.Backward(new(Round(gradients.Query), Round(gradients.Key), Round(gradients.Value)));
        }

        AttentionOutput<double> output = pipeline.Forward(portCase.Input);
        return new PortAnswer.Forward(Round(output.Output), [Round(output.LogSumExp)]);

        Tensor<double> Round(Tensor<double> tensor) => tensor.Map(value => portCase.ElementType.Round(value));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
    }
}
