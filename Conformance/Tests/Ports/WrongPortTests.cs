// Are the mistakes of PyTorch code, written as they are made and with no use of the catalogue, named by the diagnosis? And do they lose the levels that they break?
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Properties;
using S2Attn.Conformance.Reports;
using S2Attn.Conformance.Running;
using S2Attn.Conformance.Xray;

namespace S2Attn.Tests.Ports;

public sealed class WrongPortTests
{
    /// <summary>The port, and the composition that it is. What is wrong in each stands in wrong_ports.py, in PyTorch.</summary>
    public static TheoryData<string, string> Ports() => new()
    {
        { "floor", "longlora-odd-group" },
        { "ungroup", "ingroup-unshift" },
        { "floor+ungroup", "longlora-odd-group+ingroup-unshift" },
        { "ungroup+corner", "batch-mask-block+empty-row-nan+ingroup-unshift" },
        { "transposed", "output-not-transposed" },
        { "cat-batch", "halves-joined-along-batch" },
        { "half-shift", "explicit-shift-ignored" },
        { "plus", "plus-direction-odd" },
        { "only-q-and-k", "v-not-rolled" },
        { "never-grouped", "not-grouped" },
        { "never-rolled-back", "unshift-missing" },
        { "first-half", "wrong-half-shifted" },
        { "joined-backwards", "unshift-wrong-half" },
        { "unscaled", "scale-missing" },
        { "scaled-twice", "scale-squared" },
        { "softmax-over-queries", "softmax-over-queries" },
        { "no-mask", "no-mask" },
        { "triu-2", "mask-next-token" },
        { "viewed", "group-scramble" },
        { "tile", "kv-head-modulo" },
        { "log2", "lse-base-2" },
        { "detached-k", "dk-detached" },
        { "forgotten-dk", "dk-not-unshifted" },
        { "corner", "batch-mask-block+empty-row-nan" },
        { "first-entry", "padding-of-first-entry+empty-row-nan" },
        { "mask-before-roll", "padding-not-rolled+empty-row-nan" },
        { "tile+detached-k", "kv-head-modulo+dk-detached" },
    };

    [RequiresTorchTheory]
    [MemberData(nameof(Ports))]
    public void The_mistake_is_named_and_its_author_is_told_what_to_change(string name, string composition)
    {
        using ProcessPort port = Start(name);
        Diagnosis diagnosis = Diagnosis.Of(port);
        string said = string.Join("\n", diagnosis.Sentences);
        Assert.True(diagnosis.Names.Contains(composition), said);
        Assert.Contains("To fix", said, StringComparison.Ordinal);

        // Beside it: every one of these ports adds its mask.
        Assert.True(diagnosis.Names.Contains("mask-is-added") || name is "no-mask", said);
    }

    [RequiresPythonFact("torch")]
    public void The_same_code_without_a_mistake_is_the_definition()
    {
        using ProcessPort port = Start("right");
        Diagnosis diagnosis = Diagnosis.Of(port);
        Assert.True(diagnosis.Report[0].Explanation.IsDefinition, string.Join("\n", diagnosis.Sentences));
    }

    [RequiresPythonFact("torch")]
    public void What_is_no_composition_of_known_mistakes_is_given_no_name()
    {
        using ProcessPort port = Start("liar");
        Diagnosis diagnosis = Diagnosis.Of(port);
        Assert.Empty(diagnosis.Names);
        Assert.Contains("returns one number whatever q, k and v are", diagnosis.Sentences[0], StringComparison.Ordinal);
    }

    [RequiresTorchTheory]
    [InlineData("liar")]
    [InlineData("log2")]
    [InlineData("floor", PortLevel.Forward)]
    [InlineData("tile", PortLevel.Forward)]
    [InlineData("detached-k", PortLevel.Forward)]
    public void It_earns_the_levels_that_the_mistake_leaves_whole(string name, params PortLevel[] levels)
    {
        using ProcessPort port = Start(name);
        PropertyResult[] rows = [.. SuiteRunner.Results(new() { Seed = 1, Cases = 10, MaxBorder = 48, ShrinkLimit = TimeSpan.Zero }, PropertyCatalogue.All, name, port)];
        Assert.Equal(levels, ReportPort.Of(name, port.Description, rows, whole: true).Earned.ToArray());
    }

    private static ProcessPort Start(string name)
    {
        string script = Path.Combine(Repository.Root, "Conformance", "Tests", "Ports", "wrong_ports.py");
        return ProcessPort.Start(PortTool.TorchPort($"'{script}' '{SamplePortTests.Sample("pytorch", "pytorch_port.py")}' {name}"), new());
    }
}
