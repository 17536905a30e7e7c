// How is an ONNX model asked?
using System.Collections.Immutable;
using Microsoft.ML.OnnxRuntime;
using S2Attn.Conformance.Safetensors;
using S2Attn.Conformance.Validation;
using S2Attn.Reference;
using S2Attn.Spec;
using TensorElementType = Microsoft.ML.OnnxRuntime.Tensors.TensorElementType;

namespace S2Attn.Conformance.Ports;

/// <summary>
/// A model with inputs q [B,N,H,D], k and v [B,N,K,D], perhaps valid [B,N] (bool or uint8), and outputs o (or a single output of any name) and perhaps lse.
/// It runs in ONNX Runtime on one thread. A node that never ends ends its process only, so the suite does not use this directly:
/// <see cref="PortFactory.CreateOnnx"/> lets a second process serve it.
/// </summary>
public sealed class OnnxPort : IAttentionPort
{
    private readonly InferenceSession session;
    private readonly string output;
    private readonly ImmutableArray<string> lse;

    /// <summary>Loads a model.</summary>
    /// <param name="path">The .onnx file.</param>
    /// <param name="settings">name=value pairs that replace or complete the model's metadata: groupSize, shift, mask, shiftedHeads (or shifts, or phases and rotated), or axes instead of groupSize and shift, prefix and prefixWhole, scale, gqa, ragged, maxTokens, name; library=PATH registers custom operators.</param>
    /// <exception cref="PortStartException">The model cannot be loaded, or its declaration is incomplete.</exception>
    public OnnxPort(string path, IEnumerable<string> settings)
    {
        ArgumentNullException.ThrowIfNull(path);
        ArgumentNullException.ThrowIfNull(settings);
        ImmutableDictionary<string, string> given = OnnxSettings.Split(settings);
        try
        {
            // Looked at first: a pipe in its place would be waited for.
            RegularFile.Open(long.MaxValue, path).Dispose();
            OnnxTelemetry.TurnOff();
            using SessionOptions options = new() { IntraOpNumThreads = 1, InterOpNumThreads = 1, LogSeverityLevel = OrtLoggingLevel.ORT_LOGGING_LEVEL_FATAL };
            if (given.TryGetValue(OnnxSettings.Library, out string? library))
                options.RegisterCustomOpLibraryV2(library, out _);
            session = new(path, options);
        }
        catch (Exception error) when (error is OnnxRuntimeException or IOException or UnauthorizedAccessException)
        {
            throw new PortStartException($"The model {path} cannot be loaded: {error.Message}", error);
        }

        try
        {
            output = session.OutputMetadata.ContainsKey("o") ? "o"
                : session.OutputNames.Count == 1 ? session.OutputNames[0]
                : throw new PortStartException($"The model has no output o; it has {string.Join(", ", session.OutputNames)}.");
            lse = session.OutputMetadata.ContainsKey("lse") ? ["lse"] : [];
            OnnxSignature.Check(session, output);
            Description = OnnxSettings.Describe(path, session, given);
        }
        catch (PortStartException)
        {
            session.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public PortDescription Description { get; }

    /// <inheritdoc/>
    public PortAnswer Run(PortCase portCase)
    {
        ArgumentNullException.ThrowIfNull(portCase);
        ImmutableArray<string> lacks = PortSupport.Lacks(Description.Capabilities, portCase);
        if (!lacks.IsEmpty)
            return new PortAnswer.Unsupported(string.Join(", ", lacks));
        SafetensorsType type = portCase.ElementType.ToSafetensors();
        Dictionary<string, OrtValue> inputs = [];
        using RunOptions options = new();
        try
        {
            inputs["q"] = ToOrt("q", type, portCase.Input.Query);
            inputs["k"] = ToOrt("k", type, portCase.Input.Key);
            inputs["v"] = ToOrt("v", type, portCase.Input.Value);
            if (session.InputMetadata.ContainsKey("valid"))
                inputs["valid"] = ToOrt("valid", SafetensorsType.U8, portCase.Input.Valid.Map(valid => valid ? 1.0 : 0.0));
            using IDisposableReadOnlyCollection<OrtValue> results = session.Run(options, inputs, [output, .. lse]);
            S2Config config = portCase.Config;
            ImmutableArray<int> rows = [config.Batch, config.Tokens, config.Heads];
            return new PortAnswer.Forward(
                FromOrt(output, results[0], portCase.ElementType, rows.Add(config.HeadDim)),
                [.. lse.Select(name => FromOrt(name, results[1], PortTensors.LogSumExpType(portCase.ElementType), rows))]);
        }
        catch (OnnxRuntimeException error)
        {
            return new PortAnswer.Failed(PortFailureKind.Error, $"ONNX Runtime reports: {error.Message}");
        }
        catch (FormatException error)
        {
            return new PortAnswer.Failed(PortFailureKind.Output, error.Message);
        }
        finally
        {
            foreach (OrtValue input in inputs.Values)
                input.Dispose();
        }
    }

    /// <inheritdoc/>
    public void Dispose() => session.Dispose();

    private OrtValue ToOrt(string name, SafetensorsType type, Tensor<double> tensor)
    {
        OrtValue value = OrtValue.CreateAllocatedTensorValue(
            OrtAllocator.DefaultInstance, session.InputMetadata[name].ElementDataType, [.. tensor.Shape.Select(length => (long)length)]);
        Span<byte> bytes = value.GetTensorMutableRawData();
        for (int i = 0; i < tensor.Elements.Length; i++)
            type.Encode(tensor.Elements[i], bytes.Slice(i * type.Size(), type.Size()));
        return value;
    }

    private static Tensor<double> FromOrt(string name, OrtValue value, ElementType elementType, ImmutableArray<int> shape)
    {
        SafetensorsType type = elementType.ToSafetensors();
        OrtTensorTypeAndShapeInfo info = value.GetTensorTypeAndShape();
        TensorElementType wanted = OnnxSignature.TypeOf(elementType);
        if (info.ElementDataType != wanted)
            throw new FormatException($"{name} is {info.ElementDataType}, but must be {wanted}");
        if (!info.Shape.SequenceEqual(shape.Select(length => (long)length)))
            throw new FormatException($"{name} has shape [{string.Join(",", info.Shape)}], but must have [{string.Join(",", shape)}]");
        byte[] bytes = value.GetTensorMutableRawData().ToArray();
        return Tensor<double>.Build(shape.AsSpan(), i =>
        {
            type.TryDecode(bytes.AsSpan(i * type.Size(), type.Size()), out double element);
            return element;
        });
    }
}
