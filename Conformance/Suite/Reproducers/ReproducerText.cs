// What does a bug report say? A failure as text that is small enough to paste.
using System.Globalization;
using System.Text;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Running;
using S2Attn.Conformance.Safetensors;
using S2Attn.Conformance.Text;

namespace S2Attn.Conformance.Reproducers;

/// <summary>Writes Markdown.</summary>
internal static class ReproducerText
{
    /// <summary>Tensors of up to so many elements are shown in full.</summary>
    public const int MaxShown = 64;

    /// <summary>What follows where the run was stopped.</summary>
    public const string Stopped = "The run was stopped before one question with a wrong answer was looked for; the command finds it.\n";

    /// <summary>What every report begins with.</summary>
    public static string Head(PropertyResult result, PortDescription port, string repeat) => $"""
        # {result.Name} {(result.Outcome is Outcome.Fails ? "fails" : "gets no tensors")} for {MarkdownText.Escape($"{port.Name} {port.Version} ({port.Language})")}

        - claim: {result.Statement} ({result.Region})
        - smallest case: {MarkdownText.Code(result.Counterexample[0].Case)}
        - found: {MarkdownText.Escape(result.Counterexample[0].Reason)}

        The same cases again:

            {Line(repeat)}


        """;

    /// <summary>A question whose answer alone is wrong, with its tensors.</summary>
    public static string Wrong(Reproducer reproducer, SearchResult.Wrong wrong, string fileName, string testName, string portArguments)
    {
        StringBuilder text = new();
        text.Append(CultureInfo.InvariantCulture, $"""
            ## One question with a wrong answer

            {ProtocolNames.Of(wrong.Case.Operation)}, with the configuration

                {ReproducerFile.ConfigText(wrong.Case)}
            {(wrong.Case.IsSlice ? $"\n    {ReproducerFile.SliceText(wrong.Case)}\n" : "")}
            and the tensors


            """);
        foreach (SafetensorsTensor tensor in PortTensors.Inputs(wrong.Case).Tensors)
            Append(tensor.Name, wrong.Case.ElementType, tensor);
        text.Append(CultureInfo.InvariantCulture, $"\n{MarkdownText.Escape(wrong.Difference.Text)}.\n\nThe definition gives\n\n");
        foreach (ExpectedTensor expected in reproducer.Expected.Where(expected => wrong.Difference.Tensor is "" || wrong.Difference.Tensor == expected.Name))
            Append(expected.Name, ElementType.F64, new(expected.Name, SafetensorsType.F64, expected.Exact));
        if (Computed(wrong) is [var computed])
        {
            text.Append("\nand the port\n\n");
            Append(computed.Name, computed.Name == "lse" ? PortTensors.LogSumExpType(wrong.Case.ElementType) : wrong.Case.ElementType, computed);
        }

        text.Append(CultureInfo.InvariantCulture, $"""

            This question alone:

                s2attn reproduce {fileName} {Line(portArguments)}

            Without s2attn: `{testName}` is a unit test in Python; put your function in at its marked line.

            """);
        return text.ToString();

        void Append(string name, ElementType type, SafetensorsTensor tensor)
        {
            string shape = $"    {name} [{string.Join(",", tensor.Values.Shape)}]";
            text.Append(tensor.Values.Elements.Length <= MaxShown ? $"{shape} = {PythonText.Nested(type, tensor.Values)}\n" : $"{shape}: {tensor.Values.Elements.Length} elements, in {fileName}\n");
        }
    }

    /// <summary>Why there is no single question.</summary>
    public static string None(SearchResult result) => result is SearchResult.InMemory
        ? "The question is where the tensors lie in memory (a layout, strides or packed sequences), which a file of dense tensors cannot ask: repeat the run.\n"
        : result is SearchResult.OnlyTogether ? "Each answer alone is within its error bound: what is wrong is that the answers to two questions contradict each other. There is no single question to keep; repeat the run.\n"
        : "Asked again, the port answered otherwise and the claim held: its answers to one question vary from call to call. There is no single question to keep; repeat the run.\n";

    private static SafetensorsTensor[] Computed(SearchResult.Wrong wrong) => wrong.Answer is PortAnswer.Forward or PortAnswer.Backward
        ? [.. PortTensors.Outputs(ElementType.F64, CaseMemory.Dense, wrong.Answer).Tensors.Where(tensor => tensor.Name == wrong.Difference.Tensor)]
        : [];

    // A command may hold anything; as an indented line it is code.
    private static string Line(string text) => ForeignText.Line(ForeignText.TextLimit, text);
}
