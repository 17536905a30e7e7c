// Runs a peer's graph on ONNX Runtime over tensors that stay where they are.
using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.OnnxRuntime.Tensors;
using S2Attn.Conformance.Ports;

namespace S2Attn.Conformance.Bench;

/// <summary>A session on ONNX Runtime whose inputs and outputs are bound once.</summary>
internal abstract class OnnxBound : IDisposable
{
    private readonly InferenceSession session;
    private readonly RunOptions options = new();
    private readonly List<OrtValue> values = [];

    /// <summary>Loads the model.</summary>
    protected OnnxBound(byte[] model, int threads)
    {
        OnnxTelemetry.TurnOff();
        using SessionOptions sessionOptions = new() { IntraOpNumThreads = threads, InterOpNumThreads = 1, GraphOptimizationLevel = GraphOptimizationLevel.ORT_ENABLE_ALL };

        // Its threads would spin after a run and take a core from whatever is measured next.
        sessionOptions.AddSessionConfigEntry("session.intra_op.allow_spinning", "0");
        session = new(model, sessionOptions);
        Binding = session.CreateIoBinding();
    }

    protected OrtIoBinding Binding { get; }

    /// <summary>Computes the outputs.</summary>
    public void Run() => session.RunWithBinding(options, Binding);

    /// <inheritdoc/>
    public void Dispose()
    {
        Binding.Dispose();
        values.ForEach(value => value.Dispose());
        options.Dispose();
        session.Dispose();
    }

    /// <summary>A tensor over memory that stays where it is.</summary>
    protected OrtValue Tensor<T>(T[] elements, params long[] shape)
        where T : unmanaged =>
        Owned(OrtValue.CreateTensorValueFromMemory(elements, shape));

    /// <summary>A tensor of f32 over native memory, which the caller disposes of.</summary>
    public static OrtValue Over(nint elements, params long[] shape) =>
        OrtValue.CreateTensorValueWithData(OrtMemoryInfo.DefaultInstance, TensorElementType.Float, shape, elements, shape.Aggregate((long)sizeof(float), (bytes, length) => bytes * length));

    /// <summary>The same, disposed of with this.</summary>
    protected OrtValue Tensor(nint elements, params long[] shape) => Owned(Over(elements, shape));

    private OrtValue Owned(OrtValue value)
    {
        values.Add(value);
        return value;
    }
}

/// <summary>A graph with its inputs and outputs bound once, so that a run measures the graph and no copies of ours.</summary>
internal sealed class OnnxPeer : OnnxBound
{
    /// <summary>Loads the model and binds every tensor by name.</summary>
    public OnnxPeer(byte[] model, int threads, IReadOnlyList<(string Name, nint Elements)> inputs, IReadOnlyList<(string Name, nint Elements)> outputs, ReadOnlySpan<int> shape)
        : base(model, threads)
    {
        long[] dimensions = [.. shape.ToArray().Select(length => (long)length)];
        foreach ((string name, nint elements) in inputs)
            Binding.BindInput(name, Tensor(elements, dimensions));
        foreach ((string name, nint elements) in outputs)
            Binding.BindOutput(name, Tensor(elements, dimensions));
    }
}
