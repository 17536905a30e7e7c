// Which tensors pass between suite and port, and are the port's what they must be?
using System.Collections.Immutable;
using S2Attn.Conformance.Safetensors;
using S2Attn.Conformance.Text;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Conformance.Ports;

/// <summary>
/// The tensors of a case: q [B,N,H,D], k and v [B,N,K,D], valid [B,N] where a key is padded, do [B,N,H,D] for the backward pass; and of an answer:
/// o [B,N,H,D] and perhaps lse [B,N,H], or dq, dk, dv.
/// </summary>
public static class PortTensors
{
    /// <summary>The format of lse: F64 for an f64 case, else F32.</summary>
    public static ElementType LogSumExpType(ElementType caseType) => caseType is ElementType.F64 ? ElementType.F64 : ElementType.F32;

    /// <summary>The inputs of a case as a file.</summary>
    /// <exception cref="ArgumentException">A value is no number of the case's element type.</exception>
    public static SafetensorsFile Inputs(PortCase portCase)
    {
        ArgumentNullException.ThrowIfNull(portCase);
        SafetensorsType type = portCase.ElementType.ToSafetensors();
        return new(
        [
            new("q", type, portCase.Input.Query),
            new("k", type, portCase.Input.Key),
            new("v", type, portCase.Input.Value),
            .. portCase.IsPadded ? [new("valid", SafetensorsType.U8, portCase.Input.Valid.Map(valid => valid ? 1.0 : 0.0))] : Array.Empty<SafetensorsTensor>(),
            .. portCase.OutputGradient.Select(gradient => new SafetensorsTensor("do", type, gradient)),
        ]);
    }

    /// <summary>The case of an input file.</summary>
    /// <exception cref="FormatException">A tensor is missing or has another type or shape.</exception>
    public static PortCase ReadInputs(S2Config config, ElementType elementType, PortOperation operation, SafetensorsFile file)
    {
        ArgumentNullException.ThrowIfNull(config);
        ArgumentNullException.ThrowIfNull(file);
        SafetensorsType type = elementType.ToSafetensors();
        Tensor<double> query = Get(file, "q", type, QueryShape(config));
        Tensor<double> key = Get(file, "k", type, KeyShape(config));
        Tensor<double> value = Get(file, "v", type, KeyShape(config));
        Tensor<bool> valid = file.TryGet("valid", out _)
            ? Get(file, "valid", SafetensorsType.U8, [config.Batch, config.Tokens]).Map(flag => flag != 0)
            : Tensor<bool>.Build([config.Batch, config.Tokens], _ => true);
        return new(
            config, elementType, new(query, key, value, valid), operation is PortOperation.Backward ? [Get(file, "do", type, QueryShape(config))] : []);
    }

    /// <summary>An answer as a file.</summary>
    /// <exception cref="ArgumentException">A value is no number of its element type, or the answer holds no tensors.</exception>
    public static SafetensorsFile Outputs(ElementType elementType, PortAnswer answer)
    {
        SafetensorsType type = elementType.ToSafetensors();
        return answer switch
        {
            PortAnswer.Forward forward => new(
            [
                new("o", type, forward.Output),
                .. forward.LogSumExp.Select(lse => new SafetensorsTensor("lse", LogSumExpType(elementType).ToSafetensors(), lse)),
            ]),
            PortAnswer.Backward { Gradients: var gradients } => new(
                [new("dq", type, gradients.Query), new("dk", type, gradients.Key), new("dv", type, gradients.Value)]),
            _ => throw new ArgumentException($"{answer} holds no tensors.", nameof(answer)),
        };
    }

    /// <summary>The answer in an output file. Further tensors are ignored.</summary>
    /// <exception cref="FormatException">A tensor is missing or has another type or shape.</exception>
    public static PortAnswer ReadOutputs(PortCase portCase, SafetensorsFile file)
    {
        ArgumentNullException.ThrowIfNull(portCase);
        ArgumentNullException.ThrowIfNull(file);
        S2Config config = portCase.Config;
        SafetensorsType type = portCase.ElementType.ToSafetensors();
        if (portCase.Operation is PortOperation.Backward)
            return new PortAnswer.Backward(new(
                Get(file, "dq", type, QueryShape(config)), Get(file, "dk", type, KeyShape(config)), Get(file, "dv", type, KeyShape(config))));
        Tensor<double> output = Get(file, "o", type, QueryShape(config));
        ImmutableArray<Tensor<double>> lse = file.TryGet("lse", out _)
            ? [Get(file, "lse", LogSumExpType(portCase.ElementType).ToSafetensors(), [config.Batch, config.Tokens, config.Heads])]
            : [];
        return new PortAnswer.Forward(output, lse);
    }

    /// <summary>More bytes than any honest answer has: twice the tensors that are asked for, and room for a header.</summary>
    public static long MaxOutputBytes(PortCase portCase)
    {
        ArgumentNullException.ThrowIfNull(portCase);
        const long HeaderBytes = 1 << 20, Widest = 8, Slack = 2;
        S2Config config = portCase.Config;
        long rows = (long)config.Batch * config.Tokens;
        return HeaderBytes + Slack * Widest * rows * (config.Heads * (config.HeadDim + 1L) + 2L * config.KvHeads * config.HeadDim);
    }

    private static int[] QueryShape(S2Config config) => [config.Batch, config.Tokens, config.Heads, config.HeadDim];

    private static int[] KeyShape(S2Config config) => [config.Batch, config.Tokens, config.KvHeads, config.HeadDim];

    internal static Tensor<double> Get(SafetensorsFile file, string name, SafetensorsType type, int[] shape)
    {
        if (!file.TryGet(name, out SafetensorsTensor? tensor))
            throw new FormatException($"the file has no tensor {name}; it has {ForeignText.Name(string.Join(", ", file.Tensors.Select(other => other.Name)))}");
        if (tensor.Type != type)
            throw new FormatException($"{name} is {tensor.Type.Name()}, but must be {type.Name()}");
        return tensor.Values.Shape.AsSpan().SequenceEqual(shape)
            ? tensor.Values
            : throw new FormatException($"{name} has shape [{string.Join(",", tensor.Values.Shape)}], but must have [{string.Join(",", shape)}]");
    }
}
