// s2attn::S2Attention as a port with every mask: what a model fixes in its attributes is made anew for each case.
using S2Attn.Conformance.Onnx;
using S2Attn.Conformance.Ports;

namespace S2Attn.Tests.Native;

/// <summary>The operator of libs2attn inside ONNX Runtime, by a model of one node for each case.</summary>
/// <param name="directory">Where the models are written.</param>
/// <param name="library">libs2attn.so.</param>
internal sealed class OperatorPort(string directory, string library) : IAttentionPort
{
    private int models;

    /// <inheritdoc/>
    public PortDescription Description { get; } = OfForward(new OptimizedPort().Description);

    /// <inheritdoc/>
    public PortAnswer Run(PortCase portCase)
    {
        S2Attn.Spec.S2Config config = portCase.Config;
        string path = Path.Combine(directory, $"case-{models++}.onnx");
        File.WriteAllBytes(path, portCase.Grid is { } grid ? CustomOpGraph.Build(grid, portCase.ElementType, threads: 1, (float)config.Scale) : CustomOpGraph.Build(config.Mask, config.GroupSize, config.Shift, portCase.ElementType, config.ShiftedHeads, threads: 1, (float)config.Scale, config.Prefix, config.IsPrefixWhole));
        using OnnxPort port = new(path, ["library=" + library, "scale=" + config.Scale.ToString("R", System.Globalization.CultureInfo.InvariantCulture), "gqa=true"]);
        PortAnswer answer = port.Run(portCase);
        File.Delete(path);
        return answer;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
    }

    // Level 6 is asked of every port, whether it claims it or not.
    private static PortDescription OfForward(PortDescription kernel) =>
        kernel with { Name = "s2attn::S2Attention", Capabilities = kernel.Capabilities with { Operations = [PortOperation.Forward], Isolation = false, HeadMajor = false, Packed = false, Strides = [], Slices = false, LogSumExpGradient = false } };
}
