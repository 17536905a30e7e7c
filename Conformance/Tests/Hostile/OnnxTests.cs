// Is an ONNX model of any signature refused in words, and one that computes for ever ended by a limit or a signal?
using System.Diagnostics;
using S2Attn.Conformance.Onnx;
using S2Attn.Conformance.Ports;
using S2Attn.Tests.Ports;

namespace S2Attn.Tests.Hostile;

public sealed class OnnxTests
{
    private const int Float = 1, UInt8 = 2, Int64 = 7, Bool = 9, Double = 11;

    private static readonly string[] Attended = ["q", "k", "v"];

    private sealed record Tensor(string Name, int Type, params long[] Shape);

    [Theory]
    [InlineData("q", Float, new long[] { 1, 8, 2, 0 }, "headDim = 0")]
    [InlineData("q", Float, new long[] { 1, 1L << 40, 2, 4 }, "tokens = 0 (what passes 32 bits")]
    [InlineData("q", Float, new long[] { 1, 8, 1 << 20, 4 }, "o has heads = 2, but q has 1048576")]
    [InlineData("q", Float, new long[] { 1, 8, 2 }, "has 3 dimensions")]
    [InlineData("q", Int64, new long[] { 1, 8, 2, 4 }, "input q is Int64; it must be float")]
    [InlineData("k", Double, new long[] { 1, 8, 2, 4 }, "input k is Double; it must be Float, as q is")]
    [InlineData("k", Float, new long[] { 1, 8, 2, 5 }, "k has headDim = 5, but q has 4")]
    [InlineData("k", Float, new long[] { 2, 8, 2, 4 }, "k has batch = 2, but q has 1")]
    [InlineData("v", Double, new long[] { 1, 8, 2, 4 }, "input v is Double; it must be Float, as q is")]
    [InlineData("v", Float, new long[] { 1, 8, 1, 4 }, "v has heads = 1, but k has 2")]
    [InlineData("valid", Float, new long[] { 1, 8 }, "input valid is Float; it must be bool or uint8")]
    [InlineData("valid", Bool, new long[] { 1, 8, 1 }, "input valid has 3 dimensions")]
    [InlineData("valid", UInt8, new long[] { 1, 9 }, "valid has tokens = 9, but q has 8")]
    [InlineData("bias", Float, new long[] { 1 }, "an input bias, which nobody gives it")]
    public void A_signature_that_is_no_attention_is_refused_in_words(string name, int type, long[] shape, string rule) => SamplePortTests.InTemporary(directory =>
    {
        string path = Path.Combine(directory, "model.onnx");
        Tensor[] honest = [.. Attended.Select(tensor => new Tensor(tensor, Float, 1, 8, 2, 4))];
        File.WriteAllBytes(path, Model([.. honest.Where(tensor => tensor.Name != name), new(name, type, shape)]));
        PortStartException refused = Assert.Throws<PortStartException>(() => PortFactory.CreateOnnx(new ProcessPortOptions(), path, ["groupSize=1", "mask=Split"]));
        Assert.Contains(rule, refused.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", refused.Message, StringComparison.Ordinal);
    });

    [Theory]
    [InlineData("groupSize=0", "groupSize")]
    [InlineData("groupSize=-1", "groupSize")]
    [InlineData("groupSize=1e999", "groupSize")]
    [InlineData("groupSize=99999999999999999999", "groupSize")]
    [InlineData("groupSize=4 shift=4", "shift")]
    [InlineData("groupSize=4 scale=1e999", "scale")]
    [InlineData("groupSize=4 maxTokens=0", "maxTokens")]
    [InlineData("groupSize=4 shiftedHeads=[true", "shiftedHeads")]
    [InlineData("groupSize=9", "groupSize")]
    [InlineData("axes=[]", "axes")]
    [InlineData("axes=[{\"tokens\":8}]", "axes")]
    [InlineData("axes=[{\"tokens\":8,\"groupSize\":4,\"shift\":4}]", "Axes[0].Shift = 4")]
    [InlineData("axes=[{\"tokens\":8,\"groupSize\":4,\"shift\":2}] groupSize=4", "groupSize = 4: must not be given beside axes")]
    [InlineData("axes=[{\"tokens\":8,\"groupSize\":4,\"shift\":2}] prefix=4", "prefix = 4: must not be given beside axes")]
    [InlineData("groupSize=4 prefix=-1", "prefix = -1")]
    [InlineData("groupSize=4 prefix=9", "fixed.prefix = 9: must be at most tokens")]
    [InlineData("groupSize=4 prefix=4 prefixWhole=2", "prefixWhole = 2: must be true or false")]
    [InlineData("groupSize=4 prefixWhole=true", "prefixWhole = true: must be true or false, beside prefix")]
    [InlineData("groupSize=4 shifts=[0,\"1\"]", "shifts = [0,\"1\"]")]
    [InlineData("groupSize=4 shifts=0,-1", "fixed.shifts = -1")]
    [InlineData("groupSize=4 mask=\u001b[2J", "mask")]
    public void A_setting_out_of_range_is_refused_with_its_name(string settings, string named) => SamplePortTests.InTemporary(directory =>
    {
        string path = Path.Combine(directory, "model.onnx");
        File.WriteAllBytes(path, Model([.. Attended.Select(tensor => new Tensor(tensor, Float, 1, 8, 2, 4))]));
        string[] given = settings.Contains("mask", StringComparison.Ordinal) ? settings.Split(' ') : [.. settings.Split(' '), "mask=Split"];
        PortStartException refused = Assert.Throws<PortStartException>(() => PortFactory.CreateOnnx(new ProcessPortOptions(), path, given));
        Assert.Contains(named, refused.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\u001b', refused.Message);
        Assert.DoesNotContain("   at ", refused.Message, StringComparison.Ordinal);
    });

    [Fact]
    public void A_node_that_computes_for_long_is_ended_by_the_case_limit() => SamplePortTests.InTemporary(directory =>
    {
        string path = Slow(directory);
        Ended ended = HostileRun.S2Attn(directory, "check", "--onnx", path, "--onnx-config", "groupSize=1", "mask=Split", "--filter", "Determinism", "--cases", "1", "--case-limit", "1");
        Assert.True(ended.ExitCode == 1 && ended.Out.Contains("no answer within 1 s", StringComparison.Ordinal), $"{ended}");
    });

    [Fact]
    public void A_node_that_computes_for_long_is_ended_by_a_signal() => SamplePortTests.InTemporary(directory =>
    {
        if (OperatingSystem.IsWindows())
            return;
        Process process = HostileRun.Start(
            directory, "check", "--onnx", Slow(directory), "--onnx-config", "groupSize=1", "mask=Split", "--filter", "Determinism", "--cases", "1", "--case-limit", "600");
        Assert.True(SpinWait.SpinUntil(() => Directory.GetDirectories(directory, "s2attn-*-*").SelectMany(run => Directory.GetFiles(run, "*.safetensors")).Any(), TimeSpan.FromMinutes(1)));
        Stopwatch watch = Stopwatch.StartNew();
        HostileRun.Signal(process, "TERM");
        Ended ended = HostileRun.Finish(process, watch);
        Assert.True(ended.ExitCode == 143, $"{ended}");
        Assert.InRange(ended.Time.TotalSeconds, 0, 100);
        HostileRun.AssertNoneCarries($"TMPDIR={directory}");
    });

    // The product of two matrices that depend on q: minutes on one thread.
    private static string Slow(string directory)
    {
        string path = Path.Combine(directory, "slow.onnx");
        OnnxGraph graph = new("slow");
        string q = graph.Input("q", "b", "n", "h", "d");
        graph.Input("k", "b", "n", "h", "d");
        string v = graph.Input("v", "b", "n", "h", "d");
        string zeros = graph.Node("ConstantOfShape", [graph.Constant(7000L, 7000L)]);
        string large = graph.Node("Add", [zeros, graph.Node("ReduceMax", [q], ("keepdims", 0L))]);
        string product = large;
        for (int i = 0; i < 50; i++)
            product = graph.Node("MatMul", [product, large]);
        graph.Output("o", graph.Node("Add", [v, graph.Node("Mul", [graph.Node("ReduceMax", [product], ("keepdims", 0L)), graph.Constant([0f])])]), "b", "n", "h", "d");
        File.WriteAllBytes(path, graph.ToModel());
        return path;
    }

    // o is v.
    private static byte[] Model(Tensor[] inputs)
    {
        Tensor value = inputs.Single(tensor => tensor.Name == "v");
        ProtobufWriter graph = new ProtobufWriter()
            .Message(1, new ProtobufWriter().Text(1, "v").Text(2, "o").Text(4, "Identity"))
            .Text(2, "hostile");
        foreach (Tensor input in inputs)
            graph.Message(11, ValueInfo(input));
        return new ProtobufWriter()
            .Integer(1, 8)
            .Message(7, graph.Message(12, ValueInfo(value with { Name = "o" })))
            .Message(8, new ProtobufWriter().Text(1, "").Integer(2, 17))
            .ToArray();

        static ProtobufWriter ValueInfo(Tensor tensor)
        {
            ProtobufWriter shape = new();
            foreach (long length in tensor.Shape)
                shape.Message(1, new ProtobufWriter().Integer(1, length));
            return new ProtobufWriter().Text(1, tensor.Name).Message(2, new ProtobufWriter().Message(1, new ProtobufWriter().Integer(1, tensor.Type).Message(2, shape)));
        }
    }
}
