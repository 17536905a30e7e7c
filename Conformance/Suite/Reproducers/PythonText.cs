// How are numbers and tensors written so that Python and people read them, exactly?
using System.Collections.Immutable;
using System.Globalization;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Text;
using S2Attn.Reference;

namespace S2Attn.Conformance.Reproducers;

/// <summary>Python literals. Each number is the shortest that gives the same number of its type again.</summary>
internal static class PythonText
{
    /// <summary>A number of an element type: nan and inf are names that the test file imports.</summary>
    public static string Number(ElementType type, double value) => value switch
    {
        _ when double.IsNaN(value) => "nan",
        _ when double.IsInfinity(value) => value > 0 ? "inf" : "-inf",
        _ => type switch
        {
            ElementType.F64 => value.ToString("R", CultureInfo.InvariantCulture),
            ElementType.F16 => ((Half)value).ToString(CultureInfo.InvariantCulture),
            _ => ((float)value).ToString("R", CultureInfo.InvariantCulture),
        },
    };

    /// <summary>A tensor as nested lists on one line.</summary>
    public static string Nested(ElementType type, Tensor<double> tensor)
    {
        int at = 0;
        return Level(0);

        string Level(int axis) => axis == tensor.Shape.Length
            ? Number(type, tensor.Elements[at++])
            : $"[{string.Join(", ", Enumerable.Range(0, tensor.Shape[axis]).Select(_ => Level(axis + 1)))}]";
    }

    /// <summary>A tensor as nested lists on one line, or, where that is long, with a line for each token.</summary>
    public static string Lines(string indent, ElementType type, Tensor<double> tensor)
    {
        const int MaxLine = 110;
        if (Nested(type, tensor) is { Length: <= MaxLine } line)
            return line;
        ImmutableArray<int> rest = tensor.Shape[2..];
        int row = rest.Aggregate(1, (product, length) => product * length);
        double[] elements = [.. tensor.Elements];
        IEnumerable<string> batches = Enumerable.Range(0, tensor.Shape[0]).Select(b =>
        {
            IEnumerable<string> tokens = Enumerable.Range(0, tensor.Shape[1])
                .Select(t => indent + " " + Nested(type, Tensor<double>.Of(rest.AsSpan(), elements.AsSpan((b * tensor.Shape[1] + t) * row, row))));
            return $"{indent}[\n{string.Join(",\n", tokens)}\n{indent}]";
        });
        return $"[\n{string.Join(",\n", batches)}\n{indent}]";
    }

    /// <summary>True or False.</summary>
    public static string Flag(bool value) => value ? "True" : "False";

    /// <summary>A string literal.</summary>
    public static string Text(string text) =>
        $"\"{string.Concat(ForeignText.Line(ForeignText.TextLimit, text).Select(c => c is '"' or '\\' ? $"\\{c}" : c.ToString()))}\"";
}
