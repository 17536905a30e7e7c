// Which Python unit test fails as long as the failure is there?
using System.Globalization;
using System.Text;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Safetensors;
using S2Attn.Conformance.Text;
using S2Attn.Spec;

namespace S2Attn.Conformance.Reproducers;

/// <summary>Writes a unit test that needs NumPy alone, for the author's own test suite.</summary>
internal static class PythonTest
{
    /// <summary>Up to so many elements stand in the test itself; more are read from the .safetensors file beside it.</summary>
    public const int MaxInline = 600;

    /// <summary>The text of the test.</summary>
    /// <param name="reproducer">The case.</param>
    /// <param name="tensor">The tensor that is wrong, which the function must return; empty where the answer held none.</param>
    /// <param name="fileName">The .safetensors file beside the test.</param>
    /// <param name="repeat">The command that found it.</param>
    public static string Write(Reproducer reproducer, string tensor, string fileName, string repeat)
    {
        SafetensorsFile file = ReproducerFile.Of(reproducer);
        bool inline = file.Tensors.Sum(item => (long)item.Values.Elements.Length) <= MaxInline;
        PortCase portCase = reproducer.Case;
        bool backward = portCase.Operation is PortOperation.Backward;
        string function = backward ? "attention_backward" : "attention", names = string.Join(", ", reproducer.Expected.Select(expected => expected.Name));
        StringBuilder text = new();
        text.Append($$""""
            """Does S2-Attn give what the definition gives, in the case that {{Doc(reproducer.Origin.Property)}} failed for {{Doc(reproducer.Origin.Port)}}?

            Written by: {{Doc(repeat)}}
            {{(backward
                ? "Put your own function in at the marked line: attention_backward(q, k, v, do, *, ...) returns (dq, dk, dv)."
                : "Put your own function in at the marked line: attention(q, k, v, *, ...) returns o, or (o, lse).")}}
            Arrays of NumPy go in and come out. q and o are [batch, token, query head, d], k and v [batch, token, kv head, d]; key_mask is None or [batch, token], True for real keys;
            shifted_heads has one flag for each query head.
            """

            """");
        text.Append(inline ? "import unittest\n\n" : "import json\nimport os\nimport struct\nimport unittest\n\n");
        text.Append("import numpy as np\nfrom numpy import inf, nan  # noqa: F401\n\n");
        text.Append(CultureInfo.InvariantCulture, $"from my_attention import {function}  # <- the one line to change\n\n");
        if (!inline)
            text.Append(Reader(fileName));
        AppendTensors(text, file, inline);
        text.Append(CultureInfo.InvariantCulture, $$""""
            CONFIG = dict(
                group_size={{portCase.Config.GroupSize}}, shift={{portCase.Config.Shift}}, mask={{PythonText.Text(portCase.Config.Mask.ToString())}},
                shifted_heads=[{{string.Join(", ", Enumerable.Range(0, portCase.Config.Heads).Select(h => PythonText.Flag(portCase.Config.ShiftedHeads.IsShifted(h, portCase.Config.Heads))))}}],{{OwnShifts(portCase.Config)}}{{Prefix(portCase.Config)}}{{Axes(portCase)}}{{Slice(portCase)}}
                scale={{PythonText.Number(ElementType.F64, portCase.Config.Scale)}}, key_mask={{(portCase.IsPadded ? "VALID.astype(bool)" : "None")}})


            def within(got, expected, bound):
                """Whether one number is right. Where NaN or infinities are visible, any of them may come out."""
                if not np.isfinite(expected):
                    return got == expected or (np.isnan(got) and np.isnan(expected)) or (bound == inf and not np.isfinite(got))
                return bound == inf or got == expected or abs(got - expected) <= bound


            class {{ClassName(reproducer.Origin.Property)}}(unittest.TestCase):
                def test_every_element_is_within_its_bound(self):
                    result = {{function}}(Q, K, V{{(backward ? ", DO" : "")}}, **CONFIG)
                    result = dict(zip({{Tuple(names)}}, result if isinstance(result, (tuple, list)) else (result,)))
                    self.assertIn("{{(tensor.Length > 0 ? tensor : reproducer.Expected[0].Name)}}", result, "return ({{names}}): this case is about it")
                    for name, got in result.items():
                        got, expected, bound = np.asarray(got, dtype=np.float64), EXPECTED[name], BOUND[name]
                        self.assertEqual(got.shape, expected.shape, f"the shape of {name}")
                        for index in np.ndindex(*expected.shape):
                            if not within(got[index], expected[index], bound[index]):
                                self.fail(f"{name}{list(index)} is {got[index]}; the definition gives {expected[index]}, and an error of {bound[index]:.3g} is allowed")


            if __name__ == "__main__":
                unittest.main()

            """");
        return text.ToString();
    }

    private static void AppendTensors(StringBuilder text, SafetensorsFile file, bool inline)
    {
        foreach (SafetensorsTensor tensor in file.Tensors.Where(tensor => !tensor.Name.Contains('.', StringComparison.Ordinal)))
            text.Append(CultureInfo.InvariantCulture, $"{tensor.Name.ToUpperInvariant()} = {(inline ? Array(tensor, "") : $"TENSORS[\"{tensor.Name}\"]")}\n");
        foreach ((string name, string prefix) in new[] { ("EXPECTED", "expected."), ("BOUND", "bound.") })
        {
            text.Append(CultureInfo.InvariantCulture, $"{name} = {{\n");
            foreach (SafetensorsTensor tensor in file.Tensors.Where(tensor => tensor.Name.StartsWith(prefix, StringComparison.Ordinal)))
                text.Append(CultureInfo.InvariantCulture, $"    \"{tensor.Name[prefix.Length..]}\": {(inline ? Array(tensor, "    ") : $"TENSORS[\"{tensor.Name}\"]")},\n");
            text.Append("}\n");
        }
    }

    // NumPy has no bfloat16; each bfloat16 is a float32.
    private static string Array(SafetensorsTensor tensor, string indent) => tensor.Type switch
    {
        SafetensorsType.U8 => $"np.array({PythonText.Lines(indent, ElementType.F32, tensor.Values)}, dtype=np.uint8)",
        SafetensorsType.F64 => $"np.array({PythonText.Lines(indent, ElementType.F64, tensor.Values)}, dtype=np.float64)",
        SafetensorsType.F16 => $"np.array({PythonText.Lines(indent, ElementType.F16, tensor.Values)}, dtype=np.float16)",
        _ => $"np.array({PythonText.Lines(indent, ElementType.F32, tensor.Values)}, dtype=np.float32)",
    };

    private static string Reader(string fileName) => $$"""
        TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "U8": "u1"}


        def read_tensors(path):
            with open(path, "rb") as file:
                (length,) = struct.unpack("<Q", file.read(8))
                header, data = json.loads(file.read(length)), file.read()
            tensors = {}
            for name, entry in header.items():
                if name != "__metadata__":
                    begin, end = entry["data_offsets"]
                    values = np.frombuffer(data[begin:end], TYPES[entry["dtype"]])
                    if entry["dtype"] == "BF16":  # NumPy has no bfloat16: it is the upper half of a float32
                        values = (values.astype("<u4") << 16).view("<f4")
                    tensors[name] = values.reshape(entry["shape"]).copy()
            return tensors


        TENSORS = read_tensors(os.path.join(os.path.dirname(os.path.abspath(__file__)), {{PythonText.Text(fileName)}}))

        """;

    // An argument that only functions need which were asked for such heads.
    private static string OwnShifts(S2Config config) => config.ShiftedHeads.HasOwnShifts ? $" shifts=[{string.Join(", ", Enumerable.Range(0, config.Heads).Select(config.ShiftOf))}]," : "";

    private static string Prefix(S2Config config) => config.Prefix > 0 ? $" prefix={config.Prefix}, whole_prefix={PythonText.Flag(config.IsPrefixWhole)}," : "";

    private static string Axes(PortCase portCase) => portCase.Grid is { } grid ? $" axes=[{string.Join(", ", grid.Axes.Select(axis => $"({axis.Tokens}, {axis.GroupSize}, {axis.Shift})"))}]," : "";

    // Of a part of a sequence which queries and keys the arrays hold, counted from its start; and what no function takes that has no gradient of lse.
    private static string Slice(PortCase portCase) =>
        (portCase.IsSlice
            ? $" queries=({portCase.Part.Queries.Start}, {portCase.Part.Queries.End}), keys=({portCase.Part.Keys.Start}, {portCase.Part.Keys.End}), unbounded={PythonText.Flag(portCase.Part.IsUnbounded)},"
            : "")
        + (portCase.LogSumExpGradient.IsEmpty ? "" : " dlse=DLSE,");

    private static string Tuple(string names) => $"({string.Join(", ", names.Split(", ").Select(name => $"\"{name}\""))})";

    private static string ClassName(string property) => string.Concat(property.Where(char.IsAsciiLetterOrDigit)) + "Test";

    // Within a docstring: nothing may end it or escape.
    private static string Doc(string text) => ForeignText.Line(ForeignText.TextLimit, text).Replace('"', '\'').Replace('\\', '/');
}
