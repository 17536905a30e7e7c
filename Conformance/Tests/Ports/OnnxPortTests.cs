// Do the project's ONNX graphs agree with Reference, and is a model that is none of S2-Attn refused with a reason?
using S2Attn.Conformance;
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Onnx;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Properties;
using S2Attn.Conformance.Reports;
using S2Attn.Conformance.Running;
using S2Attn.Spec;

namespace S2Attn.Tests.Ports;

public sealed class OnnxPortTests
{
    [Theory]
    [InlineData(MaskPolicy.LocalCausal)]
    [InlineData(MaskPolicy.Split)]
    public void The_sample_graph_is_what_its_script_writes(MaskPolicy mask) =>
        Assert.Equal(S2AttnGraph.Build(mask, groupSize: 4, shift: 2), File.ReadAllBytes(SamplePortTests.Sample("onnx", $"s2attn-{mask}-g4.onnx")));

    [Theory]
    [InlineData(MaskPolicy.LocalCausal)]
    [InlineData(MaskPolicy.Split)]
    public void The_sample_graph_claims_level_1_and_agrees_with_Reference(MaskPolicy mask)
    {
        using IAttentionPort port = PortFactory.CreateOnnx(new ProcessPortOptions(), SamplePortTests.Sample("onnx", $"s2attn-{mask}-g4.onnx"), []);
        Assert.Equal([PortLevel.Forward], PortLevels.Claimed(port.Description.Capabilities).ToArray());
        foreach ((int batch, int tokens, int heads, int headDim) in new[] { (1, 4, 1, 1), (2, 12, 4, 8), (3, 8, 5, 3), (1, 64, 2, 64) })
            AssertAgrees(port, new() { Batch = batch, Tokens = tokens, Heads = heads, HeadDim = headDim, GroupSize = GroupSizeRule.Of(4), Mask = mask });
        PropertyResult[] results = [.. SuiteRunner.Results(new SuiteOptions { Seed = 1, Cases = 20 }, PropertyCatalogue.All, "graph", port)];
        Assert.Equal([PortLevel.Forward, PortLevel.Isolation], ReportPort.Of("graph", port.Description, results, whole: true).Earned.ToArray());
    }

    [Theory]
    [InlineData(MaskPolicy.LocalCausal, 5, 2)]
    [InlineData(MaskPolicy.Split, 5, 4)]
    [InlineData(MaskPolicy.Split, 3, 0)]
    [InlineData(MaskPolicy.LocalCausal, 1, 0)]
    public void A_graph_of_any_group_and_shift_agrees_with_Reference(MaskPolicy mask, int groupSize, int shift) => SamplePortTests.InTemporary(directory =>
    {
        string path = Path.Combine(directory, "model.onnx");
        File.WriteAllBytes(path, S2AttnGraph.Build(mask, groupSize, shift));
        using IAttentionPort port = PortFactory.CreateOnnx(new ProcessPortOptions(), path, []);
        AssertAgrees(port, new() { Batch = 2, Tokens = 3 * groupSize, Heads = 3, HeadDim = 4, GroupSize = GroupSizeRule.Of(groupSize), Shift = shift, Mask = mask });
    });

    /// <summary>Groups that lie in the prefix, partly or whole, prefixes that end in a group, and the wrapped run: each key counts once.</summary>
    [Theory]
    [InlineData(MaskPolicy.LocalCausal, 5, 2, 1, false)]
    [InlineData(MaskPolicy.LocalCausal, 4, 2, 7, false)]
    [InlineData(MaskPolicy.LocalCausal, 4, 3, 12, false)]
    [InlineData(MaskPolicy.LocalCausal, 4, 2, 7, true)]
    [InlineData(MaskPolicy.Split, 5, 4, 3, false)]
    [InlineData(MaskPolicy.Split, 4, 2, 12, false)]
    [InlineData(MaskPolicy.Split, 3, 0, 4, true)]
    [InlineData(MaskPolicy.Split, 4, 2, 12, true)]
    [InlineData(MaskPolicy.Split, 1, 0, 1, true)]
    public void A_graph_with_a_prefix_agrees_with_Reference(MaskPolicy mask, int groupSize, int shift, int prefix, bool isWhole) => SamplePortTests.InTemporary(directory =>
    {
        string path = Path.Combine(directory, "model.onnx");
        File.WriteAllBytes(path, S2AttnGraph.Build(mask, groupSize, shift, prefix, isWhole));
        using IAttentionPort port = PortFactory.CreateOnnx(new ProcessPortOptions(), path, []);
        AssertAgrees(port, new() { Batch = 2, Tokens = 3 * groupSize, Heads = 3, HeadDim = 4, GroupSize = GroupSizeRule.Of(groupSize), Shift = shift, Mask = mask, Prefix = prefix, IsPrefixWhole = isWhole });
    });

    /// <summary>A model has its prefix built in: the suite asks it about this one, and about no other text; one that declares the other kind does not conform.</summary>
    [Fact]
    public void A_graph_with_a_prefix_is_checked_by_the_suite() => SamplePortTests.InTemporary(directory =>
    {
        string path = Path.Combine(directory, "model.onnx");
        File.WriteAllBytes(path, S2AttnGraph.Build(MaskPolicy.Split, groupSize: 4, shift: 2, prefix: 5));
        PropertyResult[] results = Results();
        Assert.Empty(results.Where(result => result.IsBad).Select(result => $"{result.Name}: {result.Counterexample[0].Case}: {result.Counterexample[0].Reason}"));
        Assert.All(["Prefixes.Visibility", "Prefixes.Cost", "Prefixes.Output"], name => Assert.True(results.Single(result => result.Name == name) is { Outcome: Outcome.Holds, Cases: > 0 }, name));
        Assert.Contains("fixed.prefix=5", results.First(result => result.Name == "Agreement.Output").Unsupported.Keys);
        Assert.Equal(Outcome.Fails, Results("prefixWhole=true").Single(result => result.Name == "Prefixes.Visibility").Outcome);

        PropertyResult[] Results(params string[] settings)
        {
            using IAttentionPort port = PortFactory.CreateOnnx(new ProcessPortOptions(), path, settings);
            return [.. SuiteRunner.Results(new SuiteOptions { Seed = 1, Cases = 10 }, PropertyCatalogue.All, "graph", port)];
        }
    });

    /// <summary>ONNX Runtime's own builds did both, and reported the model to their maker, wherever no variable of a CI was set.</summary>
    [Fact]
    public void A_check_of_a_model_leaves_nothing_in_the_home_folder_nor_among_temporary_files() => SamplePortTests.InTemporary(home =>
    {
        string[] command = ["-i", $"PATH={Environment.GetEnvironmentVariable("PATH")}", $"HOME={home}", $"TMPDIR={home}", "dotnet", Path.Combine(AppContext.BaseDirectory, "s2attn.dll")];
        (int code, string output) = PortTool.Run("env", [.. command, "describe", "--onnx", SamplePortTests.Sample("onnx", "s2attn-Split-g4.onnx")]);
        Assert.True(code == 0, output);
        Assert.Empty(Directory.EnumerateFileSystemEntries(home, "*", SearchOption.AllDirectories));
    });

    [Fact]
    public void A_case_that_the_graph_cannot_be_asked_is_unsupported_with_the_fixed_value()
    {
        using IAttentionPort port = PortFactory.CreateOnnx(new ProcessPortOptions(), SamplePortTests.Sample("onnx", "s2attn-Split-g4.onnx"), []);
        S2Config config = S2Config.Create(new() { Tokens = 8, Heads = 2, KvHeads = 1, HeadDim = 2, GroupSize = GroupSizeRule.Of(2), Scale = 1, Mask = MaskPolicy.Split });
        PortAnswer answer = port.Run(PortCases.Draw(config, ElementType.F32, backward: false, padded: false, seed: 3));
        Assert.Equal("gqa, fixed.groupSize=4, fixed.shift=2, fixed.scale=default", Assert.IsType<PortAnswer.Unsupported>(answer).Reason);
    }

    [Fact]
    public void Settings_complete_a_model_without_metadata_and_replace_what_it_declares()
    {
        SamplePortTests.InTemporary(directory =>
        {
            string path = Path.Combine(directory, "plain.onnx");
            OnnxGraph graph = new("plain");
            string q = graph.Input("q", 1, 8, 2, 4);
            graph.Input("k", 1, 8, 2, 4);
            graph.Output("attention", graph.Node("Neg", [graph.Node("Neg", [graph.Input("v", 1, 8, 2, 4)])]), 1, 8, 2, 4);
            File.WriteAllBytes(path, graph.ToModel());
            Assert.Contains("--onnx-config groupSize=", Refusal(path), StringComparison.Ordinal);
            Assert.Contains("mask = split: must be one of", Refusal(path, "groupSize=1", "mask=split"), StringComparison.Ordinal);
            Assert.Contains("groupsize is no setting", Refusal(path, "groupsize=1"), StringComparison.Ordinal);

            // With groups of one token, attention is the identity on v.
            using IAttentionPort port = PortFactory.CreateOnnx(new ProcessPortOptions(), path, ["groupSize=1", "mask=Split", "shiftedHeads=[true,false]", "scale=0.5"]);
            FixedConfig fixedConfig = port.Description.Capabilities.Fixed;
            Assert.Equal((1, 8, 2, 2, 4, 1, 0), (fixedConfig.Batch, fixedConfig.Tokens, fixedConfig.Heads, fixedConfig.KvHeads, fixedConfig.HeadDim, fixedConfig.GroupSize, fixedConfig.Shift));
            S2Config smallest = S2Config.Create(new() { Tokens = 1, HeadDim = 1, GroupSize = GroupSizeRule.Of(1), Mask = MaskPolicy.Split });
            AttentionCase fitted = CaseFitting.Fit(port.Description.Capabilities, new(smallest, ElementType.F32, TensorKind.Normal, PaddingPattern.None, 0));
            AssertAgrees(port, fitted.Config.ToRequest());
        });
    }

    [Fact]
    public void A_model_that_is_no_model_or_has_other_inputs_is_refused_with_the_reason() => SamplePortTests.InTemporary(directory =>
    {
        string text = Path.Combine(directory, "text.onnx"), other = Path.Combine(directory, "other.onnx");
        File.WriteAllText(text, "no model");
        OnnxGraph graph = new("other");
        graph.Output("y", graph.Input("x", 2), 2);
        File.WriteAllBytes(other, graph.ToModel());
        Assert.Contains("cannot be loaded", Refusal(text), StringComparison.Ordinal);
        Assert.Contains("cannot be loaded", Refusal(Path.Combine(directory, "missing.onnx")), StringComparison.Ordinal);
        string refusal = Refusal(other);
        Assert.True(refusal.Contains("no input q; it has x", StringComparison.Ordinal), refusal);
        Assert.Throws<FormatException>(() => PortFactory.CreateOnnx(new ProcessPortOptions(), other, ["groupSize"]));
    });

    [Theory]
    [InlineData(MaskPolicy.Bidirectional, 4, 2)]
    [InlineData(MaskPolicy.Split, 0, 0)]
    [InlineData(MaskPolicy.Split, 4, 4)]
    [InlineData(MaskPolicy.Split, 4, -1)]
    [InlineData(MaskPolicy.Split, 4, 2, -1)]
    [InlineData(MaskPolicy.Split, 4, 2, 0, true)]
    public void A_graph_that_cannot_be_made_is_refused(MaskPolicy mask, int groupSize, int shift, int prefix = 0, bool isWhole = false) =>
        Assert.Throws<ArgumentException>(() => S2AttnGraph.Build(mask, groupSize, shift, prefix, isWhole));

    private static string Refusal(string path, params string[] settings) =>
        Assert.Throws<PortStartException>(() => PortFactory.CreateOnnx(new ProcessPortOptions(), path, settings)).Message;

    private static void AssertAgrees(IAttentionPort port, S2Request request)
    {
        PortCase portCase = PortCases.Draw(S2Config.Create(request), ElementType.F32, backward: false, padded: false, seed: 5);
        foreach (TensorAgreement tensor in Agreement.Compare(portCase, port.Run(portCase), Agreement.ModelOf(ElementType.F32)))
            Assert.True(tensor.Agrees, $"{portCase.Config}: {tensor}");
    }
}
