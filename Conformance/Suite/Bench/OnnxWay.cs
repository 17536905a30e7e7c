// The kernel through ONNX Runtime: a graph bound to the tensors that all ways share.
using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.OnnxRuntime.Tensors;
using S2Attn.Conformance.Ports;

namespace S2Attn.Conformance.Bench;

internal static unsafe class OnnxWay
{
    /// <summary>Loads a model with inputs q, k, v, perhaps valid, and outputs o and perhaps lse, on one thread.</summary>
    /// <param name="model">The model.</param>
    /// <param name="library">libs2attn.so, for the model that has its operator; empty for one of ONNX's own.</param>
    /// <param name="item">The case.</param>
    /// <param name="t">Where the tensors lie.</param>
    /// <exception cref="InvalidOperationException">ONNX Runtime refuses the library or the model.</exception>
    public static CalledWay Open(byte[] model, string library, ThroughCase item, BenchTensors<float> t)
    {
        try
        {
            OnnxTelemetry.TurnOff();
            using SessionOptions options = new() { IntraOpNumThreads = 1, InterOpNumThreads = 1, GraphOptimizationLevel = GraphOptimizationLevel.ORT_ENABLE_ALL };
            if (library.Length > 0)
                options.RegisterCustomOpLibraryV2(library, out _);
            InferenceSession session = new(model, options);
            OrtIoBinding binding = session.CreateIoBinding();
            RunOptions run = new();
            long[] rows = [1, item.Tokens, item.Heads, item.HeadDim];
            List<IDisposable> owned = [run, binding];
            binding.BindInput("q", Tensor(t.Query, rows));
            binding.BindInput("k", Tensor(t.Key, rows));
            binding.BindInput("v", Tensor(t.Value, rows));
            if (session.InputMetadata.ContainsKey("valid"))
            {
                byte[] real = new byte[item.Tokens];
                Array.Fill(real, (byte)1);
                OrtValue valid = OrtValue.CreateTensorValueFromMemory(real, [1, item.Tokens]);
                owned.Add(valid);
                binding.BindInput("valid", valid);
            }

            binding.BindOutput("o", Tensor(t.Output, rows));
            if (session.OutputMetadata.ContainsKey("lse"))
                binding.BindOutput("lse", Tensor(t.LogSumExp, [1, item.Tokens, item.Heads]));
            owned.Add(session);
            return new(() => session.RunWithBinding(run, binding), [.. owned]);

            OrtValue Tensor(float* data, long[] shape)
            {
                OrtValue value = OnnxBound.Over((nint)data, shape);
                owned.Add(value);
                return value;
            }
        }
        catch (OnnxRuntimeException error)
        {
            throw new InvalidOperationException(error.Message, error);
        }
    }
}
