// How is an ONNX model built? Nodes and constants in, the bytes of a ModelProto out.
using System.Collections.Immutable;
using System.Runtime.InteropServices;

namespace S2Attn.Conformance.Onnx;

/// <summary>
/// Builds ONNX models of float tensors; each operator returns the name of its result. Field numbers are those of onnx.proto3, operators those of
/// the default domain's opset 17 unless a domain is named or another opset asked for.
/// </summary>
public sealed class OnnxGraph
{
    private const int IrVersion = 8, ContribVersion = 1;
    private const string Contrib = "com.microsoft", Ours = "s2attn";
    private const int FloatType = 1, Int64Type = 7, BoolType = 9;

    private readonly ProtobufWriter graph = new(), metadata = new();
    private int names;

    /// <summary>An empty graph with this name.</summary>
    public OnnxGraph(string name) => graph.Text(2, name);

    /// <summary>Version of the default domain's operators.</summary>
    public int Opset { get; init; } = 17;

    /// <summary>Declares a float input of fixed shape.</summary>
    public string Input(string name, params ReadOnlySpan<int> shape)
    {
        graph.Message(11, ValueInfo(name, shape));
        return name;
    }

    /// <summary>Declares that a value is an output, under a name of its own.</summary>
    public void Output(string name, string value, params ReadOnlySpan<int> shape)
    {
        graph.Message(1, new ProtobufWriter().Text(1, value).Text(2, name).Text(4, "Identity"));
        graph.Message(12, ValueInfo(name, shape));
    }

    /// <summary>Declares a float input whose dimensions have these names instead of sizes.</summary>
    public string Input(string name, params ImmutableArray<string> dimensions)
    {
        graph.Message(11, ValueInfo(name, dimensions));
        return name;
    }

    /// <summary>Declares that a value is an output, under a name of its own, with named dimensions.</summary>
    public void Output(string name, string value, params ImmutableArray<string> dimensions)
    {
        graph.Message(1, new ProtobufWriter().Text(1, value).Text(2, name).Text(4, "Identity"));
        graph.Message(12, ValueInfo(name, dimensions));
    }

    /// <summary>Declares an input of this element type (a number of TensorProto.DataType) whose dimensions have these names.</summary>
    public string TypedInput(string name, int elementType, params ImmutableArray<string> dimensions)
    {
        graph.Message(11, ValueInfo(name, dimensions, elementType));
        return name;
    }

    /// <summary>Adds an operator of this project's library whose results are outputs of the graph: their names, element types and dimensions.</summary>
    public void CustomNode(
        string operation, ImmutableArray<string> inputs, ImmutableArray<(string Name, int ElementType, ImmutableArray<string> Dimensions)> outputs, params ImmutableArray<(string Name, object Value)> attributes) =>
        OutputNode(Ours, operation, inputs, outputs, attributes);

    /// <summary>Adds an operator of ONNX Runtime's own domain whose results are outputs of the graph.</summary>
    public void ContribOutputs(
        string operation, ImmutableArray<string> inputs, ImmutableArray<(string Name, int ElementType, ImmutableArray<string> Dimensions)> outputs, params ImmutableArray<(string Name, object Value)> attributes) =>
        OutputNode(Contrib, operation, inputs, outputs, attributes);

    /// <summary>Adds a pair to the model's metadata_props.</summary>
    public void Metadata(string key, string value) => metadata.Message(14, new ProtobufWriter().Text(1, key).Text(2, value));

    /// <summary>A constant tensor of truth values.</summary>
    public string Constant(ReadOnlySpan<bool> elements, params ReadOnlySpan<int> shape) =>
        Initializer(BoolType, MemoryMarshal.AsBytes(elements), shape);

    /// <summary>A constant float tensor.</summary>
    public string Constant(ReadOnlySpan<float> elements, params ReadOnlySpan<int> shape) =>
        Initializer(FloatType, MemoryMarshal.AsBytes(elements), shape);

    /// <summary>A constant vector of integers, for shapes and axes.</summary>
    public string Constant(params ReadOnlySpan<long> elements) =>
        Initializer(Int64Type, MemoryMarshal.AsBytes(elements), [elements.Length]);

    /// <summary>Adds an operator with one result.</summary>
    /// <param name="operation">Its name, such as MatMul.</param>
    /// <param name="inputs">The values that it reads.</param>
    /// <param name="attributes">Integer, integer vector or float attributes.</param>
    public string Node(string operation, ImmutableArray<string> inputs, params ImmutableArray<(string Name, object Value)> attributes) =>
        NodeOf("", operation, inputs, attributes);

    /// <summary>Adds an operator of ONNX Runtime's own domain.</summary>
    public string ContribNode(string operation, ImmutableArray<string> inputs, params ImmutableArray<(string Name, object Value)> attributes) =>
        NodeOf(Contrib, operation, inputs, attributes);

    /// <summary>Tensor with its axes permuted.</summary>
    public string Transpose(string value, params long[] permutation) => Node("Transpose", [value], ("perm", permutation));

    /// <summary>Tensor with another shape of the same size.</summary>
    public string Reshape(string value, params ReadOnlySpan<long> shape) => Node("Reshape", [value, Constant(shape)]);

    /// <summary>Elements [start, end) of an axis.</summary>
    public string Slice(string value, long axis, long start, long end) =>
        Node("Slice", [value, Constant(start), Constant(end), Constant(axis)]);

    /// <summary>Tensors joined along an axis.</summary>
    public string Concat(long axis, params ImmutableArray<string> values) => Node("Concat", values, ("axis", axis));

    /// <summary>The bytes of the model file.</summary>
    public byte[] ToModel() => ToModel(Contrib);

    /// <summary>The bytes of the model file of a graph that uses this project's operator.</summary>
    public byte[] ToCustomModel() => ToModel(Ours);

    private byte[] ToModel(string extra) => new ProtobufWriter()
        .Integer(1, IrVersion)
        .Text(2, "S2Attn.Verified")
        .Message(7, graph)
        .Message(8, new ProtobufWriter().Text(1, "").Integer(2, Opset))
        .Message(8, new ProtobufWriter().Text(1, extra).Integer(2, ContribVersion))
        .Append(metadata)
        .ToArray();

    private void OutputNode(
        string domain, string operation, ImmutableArray<string> inputs, ImmutableArray<(string Name, int ElementType, ImmutableArray<string> Dimensions)> outputs, ImmutableArray<(string Name, object Value)> attributes)
    {
        graph.Message(1, new ProtobufWriter()
            .Each(inputs, (node, input) => node.Text(1, input))
            .Each(outputs, (node, output) => node.Text(2, output.Name))
            .Text(4, operation)
            .Each(attributes, (node, attribute) => node.Message(5, Attribute(attribute.Name, attribute.Value)))
            .Text(7, domain));
        foreach ((string name, int elementType, ImmutableArray<string> dimensions) in outputs)
            graph.Message(12, ValueInfo(name, dimensions, elementType));
    }

    private string NodeOf(string domain, string operation, ImmutableArray<string> inputs, ImmutableArray<(string Name, object Value)> attributes)
    {
        string result = NextName();
        graph.Message(1, new ProtobufWriter()
            .Each(inputs, (node, input) => node.Text(1, input))
            .Text(2, result)
            .Text(4, operation)
            .Each(attributes, (node, attribute) => node.Message(5, Attribute(attribute.Name, attribute.Value)))
            .Text(7, domain));
        return result;
    }

    private string Initializer(int type, ReadOnlySpan<byte> elements, ReadOnlySpan<int> shape)
    {
        string name = NextName();
        graph.Message(5, new ProtobufWriter()
            .Each(shape.ToArray(), (tensor, length) => tensor.Integer(1, length))
            .Integer(2, type)
            .Text(8, name)
            .Bytes(9, elements));
        return name;
    }

    private string NextName() => FormattableString.Invariant($"t{names++}");

    private static ProtobufWriter Attribute(string name, object value)
    {
        const int FloatKind = 1, IntKind = 2, StringKind = 3, IntsKind = 7;
        ProtobufWriter attribute = new ProtobufWriter().Text(1, name);
        return value switch
        {
            float number => attribute.Float(2, number).Integer(20, FloatKind),
            long number => attribute.Integer(3, number).Integer(20, IntKind),
            int number => attribute.Integer(3, number).Integer(20, IntKind),
            string text => attribute.Text(4, text).Integer(20, StringKind),
            long[] numbers => attribute.Each(numbers, (writer, number) => writer.Integer(8, number)).Integer(20, IntsKind),
            _ => throw new ArgumentException($"Attribute {name} has a {value.GetType().Name}; float, long, long[] and string are written.", nameof(value)),
        };
    }

    private static ProtobufWriter ValueInfo(string name, ReadOnlySpan<int> shape) =>
        ValueInfo(name, new ProtobufWriter().Each(shape.ToArray(), (writer, length) => writer.Message(1, new ProtobufWriter().Integer(1, length))));

    private static ProtobufWriter ValueInfo(string name, ImmutableArray<string> dimensions, int elementType = FloatType) =>
        ValueInfo(name, new ProtobufWriter().Each(dimensions, (writer, dimension) => writer.Message(1, new ProtobufWriter().Text(2, dimension))), elementType);

    private static ProtobufWriter ValueInfo(string name, ProtobufWriter dimensions, int elementType = FloatType)
    {
        ProtobufWriter tensor = new ProtobufWriter().Integer(1, elementType).Message(2, dimensions);
        return new ProtobufWriter().Text(1, name).Message(2, new ProtobufWriter().Message(1, tensor));
    }
}
