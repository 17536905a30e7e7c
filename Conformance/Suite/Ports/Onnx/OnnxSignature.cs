// Do the inputs and outputs of an ONNX model have types and sizes of one attention?
using Microsoft.ML.OnnxRuntime;
using S2Attn.Conformance.Text;
using TensorElementType = Microsoft.ML.OnnxRuntime.Tensors.TensorElementType;

namespace S2Attn.Conformance.Ports;

/// <summary>Reads a model's signature before the first case, so that what can never fit is told in its own words and not by a failing case.</summary>
internal static class OnnxSignature
{
    private static readonly string[] Axes = ["batch", "tokens", "heads", "headDim"], Attended = ["q", "k", "v"];

    /// <summary>Checks q, k, v, valid, the output and lse against each other.</summary>
    /// <exception cref="PortStartException">One is missing, or of another type, rank or size; the message names tensor, value and rule.</exception>
    public static void Check(InferenceSession session, string output)
    {
        foreach (string name in Attended)
            CheckTensor($"input {name}", Input(session, name), rank: 4);
        foreach (string name in session.InputNames.Except(Attended).Where(name => name != "valid"))
            throw new PortStartException($"The model has an input {ForeignText.Name(name)}, which nobody gives it; inputs are q, k, v and perhaps valid.");
        NodeMetadata query = Input(session, "q"), key = Input(session, "k"), value = Input(session, "v"), result = session.OutputMetadata[output];
        ElementType type = TypeOf("input q", query);
        foreach ((string name, NodeMetadata tensor) in new[] { ("input k", key), ("input v", value), ($"output {ForeignText.Name(output)}", result) })
            if (TypeOf(name, tensor) != type)
                throw new PortStartException($"The model's {name} is {tensor.ElementDataType}; it must be {query.ElementDataType}, as q is.");
        CheckOutput(ForeignText.Name(output), result, rank: 4);
        Same("k", key, "q", query, [0, 1, 3]);
        Same("v", value, "k", key, [0, 1, 2, 3]);
        Same(ForeignText.Name(output), result, "q", query, [0, 1, 2, 3]);
        if (session.InputMetadata.TryGetValue("valid", out NodeMetadata? valid))
        {
            CheckTensor("input valid", valid, rank: 2);
            if (valid.ElementDataType is not (TensorElementType.Bool or TensorElementType.UInt8))
                throw new PortStartException($"The model's input valid is {valid.ElementDataType}; it must be bool or uint8.");
            Same("valid", valid, "q", query, [0, 1]);
        }

        if (session.OutputMetadata.TryGetValue("lse", out NodeMetadata? lse) && output != "lse")
        {
            CheckOutput("lse", lse, rank: 3);
            TensorElementType wanted = TypeOf(PortTensors.LogSumExpType(type));
            if (lse.ElementDataType != wanted)
                throw new PortStartException($"The model's output lse is {lse.ElementDataType}; it must be {wanted}.");
            Same("lse", lse, "q", query, [0, 1, 2]);
        }
    }

    /// <summary>The element type of a tensor of the model.</summary>
    /// <exception cref="PortStartException">It is none that a port can have.</exception>
    public static ElementType TypeOf(string name, NodeMetadata tensor) => tensor.IsTensor
        ? tensor.ElementDataType switch
        {
            TensorElementType.Float => ElementType.F32,
            TensorElementType.Double => ElementType.F64,
            TensorElementType.Float16 => ElementType.F16,
            TensorElementType.BFloat16 => ElementType.BF16,
            var other => throw new PortStartException($"The model's {name} is {other}; it must be float, double, float16 or bfloat16."),
        }
        : throw new PortStartException($"The model's {name} is a {tensor.OnnxValueType}; it must be a tensor.");

    /// <summary>What ONNX calls an element type.</summary>
    public static TensorElementType TypeOf(ElementType type) => type switch
    {
        ElementType.F64 => TensorElementType.Double,
        ElementType.F16 => TensorElementType.Float16,
        ElementType.BF16 => TensorElementType.BFloat16,
        _ => TensorElementType.Float,
    };

    private static NodeMetadata Input(InferenceSession session, string name) => session.InputMetadata.TryGetValue(name, out NodeMetadata? input)
        ? input
        : throw new PortStartException($"The model has no input {name}; it has {ForeignText.Name(string.Join(", ", session.InputNames))}. Rename its inputs to q, k and v.");

    // Of an output whose shape nobody wrote down, ONNX Runtime says no dimensions.
    private static void CheckOutput(string name, NodeMetadata tensor, int rank)
    {
        if (tensor.Dimensions.Length > 0)
            CheckTensor($"output {name}", tensor, rank);
    }

    private static void CheckTensor(string name, NodeMetadata tensor, int rank)
    {
        if (!tensor.IsTensor)
            throw new PortStartException($"The model's {name} is a {tensor.OnnxValueType}; it must be a tensor.");
        if (tensor.Dimensions.Length != rank)
            throw new PortStartException($"The model's {name} has {tensor.Dimensions.Length} dimensions; it must be [{string.Join(", ", Axes[..rank])}].");

        // ONNX Runtime says -1 of what is free, and lets 0 and what overflows 32 bits through.
        for (int axis = 0; axis < rank; axis++)
            if (tensor.Dimensions[axis] is 0 or < -1)
                throw new PortStartException($"The model's {name} has {Axes[axis]} = {tensor.Dimensions[axis]} (what passes 32 bits shows as its rest); a fixed dimension must be from 1 to {int.MaxValue}.");
    }

    private static void Same(string name, NodeMetadata tensor, string otherName, NodeMetadata other, int[] axes)
    {
        foreach (int axis in axes)
            if (tensor.Dimensions.Length > axis && tensor.Dimensions[axis] > 0 && other.Dimensions[axis] > 0 && tensor.Dimensions[axis] != other.Dimensions[axis])
                throw new PortStartException($"The model's {name} has {Axes[axis]} = {tensor.Dimensions[axis]}, but {otherName} has {other.Dimensions[axis]}.");
    }
}
