// Is ONNX Runtime's own Attention operator, which nobody here wrote, judged and named as what it is between LongLoRA's rolls?
using S2Attn.Conformance.Onnx;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Properties;
using S2Attn.Conformance.Reports;
using S2Attn.Conformance.Running;
using S2Attn.Conformance.Xray;

namespace S2Attn.Tests.Ports;

public sealed class OnnxAttentionTests
{
    private const int GroupSize = 4, Shift = 2;

    [Fact]
    public void Between_the_right_rolls_it_is_the_definition_and_earns_what_it_claims() => With(Mistake.None, port =>
    {
        PropertyResult[] rows = [.. SuiteRunner.Results(new() { Seed = 1, Cases = 10 }, PropertyCatalogue.All, "attention", port)];
        Assert.Empty(rows.Where(row => row.IsBad).Select(row => $"{row.Name}: {row.Counterexample[0].Case}: {row.Counterexample[0].Reason}"));
        Assert.Contains(PortLevel.Forward, ReportPort.Of("attention", port.Description, rows, whole: true).Earned);
        Diagnosis diagnosis = Diagnosis.Of(port);
        Assert.StartsWith("attention is LocalCausal: it equals the definition", diagnosis.Sentences[0], StringComparison.Ordinal);
    });

    [Theory]
    [InlineData(Mistake.ValueNotRolled, "v-not-rolled")]
    [InlineData(Mistake.NotRolledBack, "unshift-missing")]
    [InlineData(Mistake.NotCausal, "no-mask")]
    [InlineData(Mistake.ScaleLeftOut, "scale-missing")]
    public void With_a_mistake_around_it_that_is_named(Mistake mistake, string name) => With(mistake, port =>
    {
        Diagnosis diagnosis = Diagnosis.Of(port);
        string said = string.Join("\n", diagnosis.Sentences);
        Assert.True(diagnosis.Names.Contains(name), said);
        Assert.Contains("To fix", said, StringComparison.Ordinal);
    });

    public enum Mistake
    {
        None,
        ValueNotRolled,
        NotRolledBack,
        NotCausal,
        ScaleLeftOut,
    }

    private static void With(Mistake mistake, Action<IAttentionPort> judge) => SamplePortTests.InTemporary(directory =>
    {
        string path = Path.Combine(directory, "attention.onnx");
        File.WriteAllBytes(path, Model(mistake));
        using IAttentionPort port = PortFactory.CreateOnnx(new ProcessPortOptions(), path, [$"groupSize={GroupSize}", $"shift={Shift}", "mask=LocalCausal", "shiftedHeads=SecondHalf", "scale=default"]);
        judge(port);
    });

    // q [B,N,H,D], k and v [B,N,K,D]; the operator takes [B N/G, H, G, D].
    private static byte[] Model(Mistake mistake)
    {
        OnnxGraph graph = new("attention") { Opset = 23 };
        string q = graph.Input("q", "B", "N", "H", "D"), k = graph.Input("k", "B", "N", "K", "D"), v = graph.Input("v", "B", "N", "K", "D");
        string shape = graph.Node("Shape", [q]), heads = graph.Slice(shape, 0, 2, 3), keyHeads = graph.Slice(graph.Node("Shape", [k]), 0, 2, 3);

        // Which kv heads shift is not defined where shifted and unshifted heads share one: k and v are repeated first, as Llama's code does.
        string repeat = graph.Concat(0, graph.Constant(1L, 1L), keyHeads, graph.Node("Div", [heads, keyHeads]), graph.Constant(1L));
        (string, object)[] attributes = mistake is Mistake.NotCausal ? [("is_causal", 0)] : [("is_causal", 1)];
        if (mistake is Mistake.ScaleLeftOut)
            attributes = [.. attributes, ("scale", 1f)];
        string attended = graph.Node("Attention", [Grouped(q, Shift), Grouped(Repeated(k), Shift), Grouped(Repeated(v), mistake is Mistake.ValueNotRolled ? 0 : Shift)], [.. attributes]);
        string tokens = graph.Node("Reshape", [graph.Transpose(attended, 0, 2, 1, 3), shape]);
        graph.Output("o", Rolled(tokens, mistake is Mistake.NotRolledBack ? 0 : -Shift), "B", "N", "H", "D");
        return graph.ToModel();

        string Repeated(string tensor)
        {
            string spread = graph.Node("Unsqueeze", [tensor, graph.Constant(3L)]);
            return graph.Node("Reshape", [graph.Node("Expand", [spread, repeat]), shape]);
        }

        string Grouped(string tensor, long by)
        {
            string groups = graph.Concat(0, graph.Constant(-1L, GroupSize), graph.Slice(shape, 0, 2, 4));
            return graph.Transpose(graph.Node("Reshape", [Rolled(tensor, by), groups]), 0, 2, 1, 3);
        }

        string Rolled(string tensor, long by)
        {
            if (by == 0)
                return tensor;
            string half = graph.Node("Div", [heads, graph.Constant(2L)]), axis = graph.Constant(2L);
            string still = graph.Node("Slice", [tensor, graph.Constant(0L), half, axis]), moving = graph.Node("Slice", [tensor, half, graph.Constant(long.MaxValue), axis]);
            return graph.Concat(2, still, graph.Concat(1, graph.Slice(moving, 1, by, long.MaxValue), graph.Slice(moving, 1, 0, by)));
        }
    }
}
