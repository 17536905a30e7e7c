// Is a wrong port named that answers only some sizes, operations and formats? And are habits named beside what is wrong?
using System.Collections.Immutable;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Xray;
using S2Attn.Reference.Upstream;
using S2Attn.Spec;

namespace S2Attn.Tests.Xray;

public sealed class BentPortTests
{
    private const string Wrong = "longlora-odd-group+unshift-missing";

    [Theory]
    [InlineData("scale-missing")]
    [InlineData(Wrong)]
    public void A_port_that_throws_at_some_sizes_is_named_by_the_others(string name)
    {
        Diagnosis diagnosis = Named(name, port => port, item => item.Config.KvHeads == 1 || item.Config.Batch > 1 && !item.Input.Valid.Elements.Contains(false)
            ? throw new InvalidOperationException("not here")
            : item);
        Assert.Contains(diagnosis.Sentences, sentence => sentence.StartsWith("Not looked at: ", StringComparison.Ordinal) && sentence.Contains("not here", StringComparison.Ordinal));
    }

    [Fact]
    public void A_forward_only_port_is_named() => Named(Wrong, port => port with { Operations = [PortOperation.Forward] }, Forward);

    [Fact]
    public void A_port_that_takes_one_sequence_at_a_time_is_named() => Named(Wrong, port => port with { Fixed = new() { Batch = 1 } }, item => item.Config.Batch == 1 ? item : throw new InvalidOperationException("batch"));

    [Fact]
    public void A_port_of_one_head_dimension_is_named() => Named(Wrong, port => port with { Fixed = new() { HeadDim = 16 } }, item => item);

    /// <summary>A kernel has its own group size. It was looked at in one group of that size, where no shift can be seen.</summary>
    [Theory]
    [InlineData(32)]
    [InlineData(64)]
    public void A_port_of_one_group_size_is_looked_at_in_several_groups(int groupSize) => Named(
        "unshift-missing", port => port with { Operations = [PortOperation.Forward], ElementTypes = [ElementType.F32], Masks = [MaskPolicy.LocalCausal], Ragged = false, Fixed = new() { GroupSize = groupSize, Heads = 2, HalfShift = true } }, Forward);

    [Theory]
    [InlineData(ElementType.F16)]
    [InlineData(ElementType.BF16)]
    public void A_port_of_half_precision_alone_is_named(ElementType type)
    {
        Named(Wrong, port => port with { ElementTypes = [type] }, item => item);
        Named("scale-squared", port => port with { ElementTypes = [type] }, item => item);
    }

    [Fact]
    public void A_port_without_logsumexp_is_named() => Named(Wrong, port => port, item => item, answer => answer is PortAnswer.Forward forward ? forward with { LogSumExp = [] } : answer);

    [Fact]
    public void A_port_with_nothing_beside_the_forward_pass_at_one_size_is_named() => Named(
        "unshift-missing",
        port => port with { Operations = [PortOperation.Forward], ElementTypes = [ElementType.F32], Masks = [MaskPolicy.LocalCausal], GroupedQuery = false, Padding = false, OddGroup = false, Ragged = false, Fixed = new() { Batch = 1, Tokens = 8, Heads = 2, KvHeads = 2, HeadDim = 4, GroupSize = 4, HalfShift = true, DefaultScale = true } },
        Forward,
        answer => answer is PortAnswer.Forward forward ? forward with { LogSumExp = [] } : answer);

    /// <summary>It answers alike whatever S is, as a port that kept a mask from another call does, and keeps nothing.</summary>
    [Fact]
    public void A_shift_of_a_rule_that_nobody_knows_is_measured_and_not_called_kept()
    {
        using CompositionPort port = new("three", Composition.Of([DefectCatalogue.AnotherShift(config => Math.Min(3, config.GroupSize - 1), "three")]));
        Diagnosis diagnosis = Diagnosis.Of(port);
        Assert.StartsWith("three is another-shift at all", diagnosis.Sentences[0], StringComparison.Ordinal);
        Assert.DoesNotContain(diagnosis.Sentences, sentence => sentence.Contains("earlier call", StringComparison.Ordinal));
    }

    /// <summary>Keys of zeros take the weight where all scores are far below 0, and values that no row sees never react: both were called habits that the port does not have.</summary>
    [Theory]
    [InlineData("tile-fill-seen-16")]
    [InlineData("shift-filled-with-zeros")]
    [InlineData("ragged-fill-seen")]
    [InlineData("later-entries-zero")]
    public void What_a_mistake_does_is_not_called_a_habit(string name)
    {
        using CompositionPort port = new(name, Of(name));
        Diagnosis diagnosis = Diagnosis.Of(port);
        Assert.Contains(name, diagnosis.Names);
        Assert.Empty(diagnosis.Report.Single().Habits);
    }

    public static TheoryData<string, string> Habits()
    {
        TheoryData<string, string> data = [];
        foreach (NumericalHabit habit in NumericalHabit.All)
            data.Add(habit.Name, Wrong);
        data.Add("mask-is-added", "kv-head-modulo+dk-detached");
        data.Add("accumulates-in-f16", "scale-missing");
        return data;
    }

    [Theory]
    [MemberData(nameof(Habits))]
    public void A_habit_is_named_beside_what_is_wrong(string habit, string wrong)
    {
        Composition composition = Of(wrong);
        using CompositionPort port = new(habit, composition, NumericalHabit.All.Single(known => known.Name == habit));
        Diagnosis diagnosis = Diagnosis.Of(port);
        string said = string.Join("\n", diagnosis.Sentences);
        Assert.True(diagnosis.Names.Contains(composition.Name), said);
        Assert.True(diagnosis.Names.Contains(habit), said);
    }

    private static Diagnosis Named(string name, Func<PortCapabilities, PortCapabilities> declare, Func<PortCase, PortCase> take, params ImmutableArray<Func<PortAnswer, PortAnswer>> give)
    {
        using CompositionPort inner = new(name, Of(name));
        using BentPort port = new(inner, declare, item => give.Aggregate(inner.Run(take(item)), (answer, change) => change(answer)));
        Diagnosis diagnosis = Diagnosis.Of(port);
        Assert.True(diagnosis.Names.Contains(name), string.Join("\n", diagnosis.Sentences));
        return diagnosis;
    }

    private static PortCase Forward(PortCase item) => item.Operation is PortOperation.Forward ? item : throw new InvalidOperationException("there is no backward pass");

    private static Composition Of(string name) => Composition.Of(name.Split('+').Select(DefectCatalogue.Named));

    private sealed class BentPort(CompositionPort inner, Func<PortCapabilities, PortCapabilities> declare, Func<PortCase, PortAnswer> run) : IAttentionPort
    {
        public PortDescription Description { get; } = inner.Description with { Capabilities = declare(inner.Description.Capabilities) };

        public PortAnswer Run(PortCase portCase) => run(portCase);

        public void Dispose()
        {
        }
    }
}
