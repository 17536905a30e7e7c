// Runs a peer's graph on ONNX Runtime over tensors that stay where they are.
using Microsoft.ML.OnnxRuntime;
using S2Attn.Conformance.Ports;

namespace S2Attn.Conformance.Bench;

/// <summary>A graph with its inputs and outputs bound once, so that a run measures the graph and no copies of ours.</summary>
internal sealed class OnnxPeer : IDisposable
{
    private readonly InferenceSession session;
    private readonly OrtIoBinding binding;
    private readonly RunOptions options = new();
    private readonly List<OrtValue> values = [];

    /// <summary>Loads the model and binds every tensor by name.</summary>
    public OnnxPeer(byte[] model, int threads, IReadOnlyList<(string Name, float[] Elements)> inputs, IReadOnlyList<(string Name, float[] Elements)> outputs, ReadOnlySpan<int> shape)
    {
        OnnxTelemetry.TurnOff();
        using SessionOptions sessionOptions = new() { IntraOpNumThreads = threads, InterOpNumThreads = 1, GraphOptimizationLevel = GraphOptimizationLevel.ORT_ENABLE_ALL };

        // Its threads would spin after a run and take a core from whatever is measured next.
        sessionOptions.AddSessionConfigEntry("session.intra_op.allow_spinning", "0");
        session = new(model, sessionOptions);
        binding = session.CreateIoBinding();
        long[] dimensions = [.. shape.ToArray().Select(length => (long)length)];
        foreach ((string name, float[] elements) in inputs)
            binding.BindInput(name, Tensor(elements, dimensions));
        foreach ((string name, float[] elements) in outputs)
            binding.BindOutput(name, Tensor(elements, dimensions));
    }

    /// <summary>Computes the outputs.</summary>
    public void Run() => session.RunWithBinding(options, binding);

    /// <inheritdoc/>
    public void Dispose()
    {
        binding.Dispose();
        values.ForEach(value => value.Dispose());
        options.Dispose();
        session.Dispose();
    }

    private OrtValue Tensor(float[] elements, long[] dimensions)
    {
        OrtValue value = OrtValue.CreateTensorValueFromMemory(elements, dimensions);
        values.Add(value);
        return value;
    }
}
