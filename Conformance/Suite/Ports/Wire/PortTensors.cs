// Which tensors pass between suite and port, and are the port's what they must be?
using System.Collections.Immutable;
using S2Attn.Conformance.Safetensors;
using S2Attn.Conformance.Text;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Conformance.Ports;

/// <summary>
/// The tensors of a case: q [B,N,H,D], k and v [B,N,K,D], valid [B,N] where a key is padded, do [B,N,H,D] and perhaps dlse [B,N,H] for the backward pass; and of an answer:
/// o [B,N,H,D] and perhaps lse [B,N,H], or dq, dk, dv. Of a slice the N of q, do, dlse, o, lse and dq is its number of queries, that of k, v, valid, dk and dv its number of keys.
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
            Placed(portCase.Memory, "q", type, double.NaN, portCase.Input.Query),
            Placed(portCase.Memory, "k", type, double.NaN, portCase.Input.Key),
            Placed(portCase.Memory, "v", type, double.NaN, portCase.Input.Value),
            .. portCase.IsPadded ? [new("valid", SafetensorsType.U8, portCase.Input.Valid.Map(valid => valid ? 1.0 : 0.0))] : Array.Empty<SafetensorsTensor>(),
            .. portCase.OutputGradient.Select(gradient => Placed(portCase.Memory, "do", type, double.NaN, gradient)),
            .. portCase.LogSumExpGradient.Select(gradient => new SafetensorsTensor("dlse", LogSumExpType(portCase.ElementType).ToSafetensors(), gradient)),
            .. OutputsOf(portCase).Where(output => portCase.Memory.Views.ContainsKey(output.Name)).Select(output => new SafetensorsTensor(
                output.Name, output.Type, Tensor<double>.Build(portCase.Memory.FileShape(output.Name, output.Shape), _ => TensorView.Untouched))),
        ]);
    }

    /// <summary>The case of an input file.</summary>
    /// <exception cref="FormatException">A tensor is missing or has another type or shape.</exception>
    public static PortCase ReadInputs(S2Slice part, ElementType elementType, PortOperation operation, CaseMemory memory, SafetensorsFile file)
    {
        ArgumentNullException.ThrowIfNull(part);
        ArgumentNullException.ThrowIfNull(memory);
        ArgumentNullException.ThrowIfNull(file);
        SafetensorsType type = elementType.ToSafetensors();
        Tensor<double> query = GetPlaced(memory, file, "q", type, QueryShape(part));
        Tensor<double> key = GetPlaced(memory, file, "k", type, KeyShape(part));
        Tensor<double> value = GetPlaced(memory, file, "v", type, KeyShape(part));
        Tensor<bool> valid = file.TryGet("valid", out _)
            ? Get(file, "valid", SafetensorsType.U8, KeyShape(part)[..2]).Map(flag => flag != 0)
            : Tensor<bool>.Build(KeyShape(part).AsSpan(..2), _ => true);
        PortCase portCase = new(
            part.Config, elementType, new(query, key, value, valid), operation is PortOperation.Backward ? [GetPlaced(memory, file, "do", type, QueryShape(part))] : [])
        {
            Part = part,
            Memory = memory,
            LogSumExpGradient = operation is PortOperation.Backward && file.TryGet("dlse", out _) ? [Get(file, "dlse", LogSumExpType(elementType).ToSafetensors(), QueryShape(part)[..3])] : [],
        };
        foreach ((string name, SafetensorsType written, int[] shape) in OutputsOf(portCase))
            if (memory.Views.ContainsKey(name))
                GetPlaced(memory, file, name, written, shape);
        return portCase;
    }

    /// <summary>An answer as a file.</summary>
    /// <exception cref="ArgumentException">A value is no number of its element type, or the answer holds no tensors.</exception>
    public static SafetensorsFile Outputs(ElementType elementType, CaseMemory memory, PortAnswer answer)
    {
        SafetensorsType type = elementType.ToSafetensors();
        return answer switch
        {
            PortAnswer.Forward forward => new(
            [
                Placed(memory, "o", type, TensorView.Untouched, forward.Output),
                .. forward.LogSumExp.Select(lse => Placed(memory, "lse", LogSumExpType(elementType).ToSafetensors(), TensorView.Untouched, lse)),
            ]),
            PortAnswer.Backward { Gradients: var gradients } => new(
            [
                Placed(memory, "dq", type, TensorView.Untouched, gradients.Query),
                Placed(memory, "dk", type, TensorView.Untouched, gradients.Key),
                Placed(memory, "dv", type, TensorView.Untouched, gradients.Value),
            ]),
            _ => throw new ArgumentException($"{answer} holds no tensors.", nameof(answer)),
        };
    }

    /// <summary>The answer in an output file. Further tensors are ignored.</summary>
    /// <exception cref="FormatException">A tensor is missing or has another type or shape, or something was written between its rows.</exception>
    public static PortAnswer ReadOutputs(PortCase portCase, SafetensorsFile file)
    {
        ArgumentNullException.ThrowIfNull(portCase);
        ArgumentNullException.ThrowIfNull(file);
        Tensor<double>[] given = [.. OutputsOf(portCase).Where(output => output.Name != "lse" || file.TryGet("lse", out _))
            .Select(output => GetPlaced(portCase.Memory, file, output.Name, output.Type, output.Shape, mayTouch: false))];
        return portCase.Operation is PortOperation.Backward
            ? new PortAnswer.Backward(new(given[0], given[1], given[2]))
            : new PortAnswer.Forward(given[0], [.. given[1..]]);
    }

    /// <summary>More bytes than any honest answer has: twice the tensors that are asked for, and room for a header.</summary>
    public static long MaxOutputBytes(PortCase portCase)
    {
        ArgumentNullException.ThrowIfNull(portCase);
        const long HeaderBytes = 1 << 20, Widest = 8, Slack = 2;
        S2Config config = portCase.Config;
        long rows = (long)config.Batch * Math.Max(portCase.Part.QueryCount, portCase.Part.KeyCount);
        return HeaderBytes + Slack * Widest * portCase.Memory.Views.Values.Sum(view => (long)view.Length) + Slack * Widest * rows * (config.Heads * (config.HeadDim + 1L) + 2L * config.KvHeads * config.HeadDim);
    }

    /// <summary>The tensors of an answer.</summary>
    private static (string Name, SafetensorsType Type, int[] Shape)[] OutputsOf(PortCase portCase)
    {
        S2Slice part = portCase.Part;
        SafetensorsType type = portCase.ElementType.ToSafetensors();
        return portCase.Operation is PortOperation.Backward
            ? [("dq", type, QueryShape(part)), ("dk", type, KeyShape(part)), ("dv", type, KeyShape(part))]
            : [("o", type, QueryShape(part)), ("lse", LogSumExpType(portCase.ElementType).ToSafetensors(), QueryShape(part)[..3])];
    }

    private static SafetensorsTensor Placed(CaseMemory memory, string name, SafetensorsType type, double between, Tensor<double> tensor) => memory.IsDense
        ? new(name, type, tensor)
        : new(name, type, Tensor<double>.Of(memory.FileShape(name, tensor.Shape.AsSpan()), memory.ViewOf(name, tensor.Shape.AsSpan()).Scatter(between, value => value, tensor)));

    private static Tensor<double> GetPlaced(CaseMemory memory, SafetensorsFile file, string name, SafetensorsType type, int[] shape, bool mayTouch = true)
    {
        Tensor<double> stored = Get(file, name, type, memory.FileShape(name, shape));
        if (memory.IsDense)
            return stored;
        TensorView view = memory.ViewOf(name, shape);
        if (!view.Holds(shape))
            throw new FormatException($"the view of {name} leads out of its storage of {view.Length} elements");
        int touched = mayTouch ? -1 : view.FirstTouched(value => value == TensorView.Untouched, shape, stored.Elements);
        return touched < 0
            ? view.Gather(value => value, shape, stored.Elements)
            : throw new FormatException(FormattableString.Invariant($"{name} was written between its rows: element {touched} of its storage became {stored.Elements[touched]:R}"));
    }

    private static int[] QueryShape(S2Slice part) => [part.Config.Batch, part.QueryCount, part.Config.Heads, part.Config.HeadDim];

    private static int[] KeyShape(S2Slice part) => [part.Config.Batch, part.KeyCount, part.Config.KvHeads, part.Config.HeadDim];

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
