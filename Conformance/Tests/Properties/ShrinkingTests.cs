// Does a failure come back as the smallest case that shows it?
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Running;
using S2Attn.Spec;

namespace S2Attn.Tests.Properties;

public sealed class ShrinkingTests
{
    [Theory]
    // Four heads over two kv heads are the fewest for which h / 2 and h % 2 differ.
    [InlineData("kv-head-modulo", "Agreement.Output", "N=1 G=1 S=0 H=4 K=2 D=1")]
    // Two tokens in one shifted group: the first sees the second.
    [InlineData("local-causal-for-split", "NoLeakage.Future", "Split B=1 N=2 G=2 S=1 H=1 K=1 D=1")]
    [InlineData("local-causal-for-split", "Agreement.Output", "Split B=1 N=2 G=2 S=1 H=1 K=1 D=1")]
    // A group of one token and its neighbour.
    [InlineData("one-big-group", "Visibility", "B=1 N=2 G=1 S=0 H=1 K=1 D=1")]
    [InlineData("never-shifts", "Agreement.Output", "N=2 G=2 S=1 H=1 K=1 D=1")]
    [InlineData("strictly-before", "Diagonal", "B=1 N=1 G=1 S=0 H=1 K=1 D=1")]
    [InlineData("empty-rows-are-nan", "EmptyRows", "B=1 N=1 G=1 S=0 H=1 K=1 D=1")]
    [InlineData("ignores-scale", "Agreement.Output", "B=1 N=2 G=2 S=0 H=1 K=1")]
    [InlineData("dv-of-one-query-head", "KvHead.Gradients", "B=1 N=1 G=1 S=0 H=2 K=1 D=1")]
    public void A_defect_shrinks_to_its_known_smallest_configuration(string defect, string property, string expected)
    {
        SuiteOptions options = new() { Seed = 7, Cases = 100, StopAtFirstFailure = true, ShrinkLimit = TimeSpan.FromMinutes(4) };
        using IAttentionPort port = Defects.Named(defect);
        PropertyResult result = SuiteRunner.Results(options, [PropertyTests.Named(property)], defect, port).Single();
        Assert.Contains(expected, Assert.Single(result.Counterexample).Case, StringComparison.Ordinal);
    }

    [Fact]
    public void Simpler_cases_are_valid_smaller_and_end()
    {
        foreach (AttentionCase item in CaseGenerator.Sample(48, 100, 3))
        {
            AttentionCase[] simpler = [.. CaseShrinker.Simpler(item)];
            Assert.All(simpler, candidate =>
            {
                Assert.True(CaseShrinker.Size(candidate).CompareTo(CaseShrinker.Size(item)) < 0, $"{candidate} is not smaller than {item}.");
                Assert.IsType<ConfigResult.Valid>(S2Config.TryCreate(candidate.Config.ToRequest()));
            });
        }
    }

    /// <summary>Whatever a case has beyond the simplest one, it can lose alone, in one step.</summary>
    [Fact]
    public void What_is_the_simplest_case_but_for_one_thing_shrinks_to_it()
    {
        AttentionCase simplest = new(Configs.Create(new() { Tokens = 1, HeadDim = 1, GroupSize = GroupSizeRule.Of(1), Mask = MaskPolicy.Split, ShiftedHeads = HeadShift.None }), ElementType.F32, TensorKind.EqualScores, PaddingPattern.None, 0);
        AttentionCase pair = simplest with { Config = simplest.Config.With(request => request with { Tokens = 2, GroupSize = GroupSizeRule.Of(2) }) };
        AssertLoses(simplest, item => item with { PadsAreNaN = true });
        AssertLoses(simplest, item => item with { Type = ElementType.BF16 });
        AssertLoses(simplest, item => item with { Seed = 77 });
        foreach (PaddingPattern padding in Enum.GetValues<PaddingPattern>())
            AssertLoses(simplest, item => item with { Padding = padding });
        foreach (TensorKind kind in Enum.GetValues<TensorKind>())
            AssertLoses(simplest, item => item with { Kind = kind });
        AssertLoses(simplest, Vary(request => request with { Batch = 5 }));
        AssertLoses(simplest, Vary(request => request with { Tokens = 9 }));
        AssertLoses(simplest, Vary(request => request with { Heads = 3 }));
        AssertLoses(simplest, Vary(request => request with { Heads = 4, KvHeads = 2 }));
        AssertLoses(simplest, Vary(request => request with { HeadDim = 9 }));
        AssertLoses(simplest, Vary(request => request with { Scale = 0.5 }));
        AssertLoses(pair, Vary(request => request with { Shift = 1 }));
        AssertLoses(pair, Vary(request => request with { GroupSize = GroupSizeRule.Of(1) }), backwards: true);
        foreach (HeadShift heads in new[] { HeadShift.All, HeadShift.SecondHalf, HeadShift.Of([true]) })
            AssertLoses(pair, Vary(request => request with { ShiftedHeads = heads }));

        static Func<AttentionCase, AttentionCase> Vary(Func<S2Request, S2Request> change) => item => item with { Config = item.Config.With(change) };

        static void AssertLoses(AttentionCase least, Func<AttentionCase, AttentionCase> more, bool backwards = false)
        {
            (AttentionCase from, AttentionCase to) = backwards ? (least, more(least)) : (more(least), least);
            Assert.True(from == to || CaseShrinker.Simpler(from).Contains(to), $"{from} does not shrink to {to}, but to {string.Join("; ", CaseShrinker.Simpler(from))}");
        }
    }

    [Fact]
    public void Shrinking_stops_at_its_limit()
    {
        SuiteOptions options = new() { Seed = 7, Cases = 100, StopAtFirstFailure = true, ShrinkLimit = TimeSpan.Zero };
        using IAttentionPort port = Defects.Named("never-shifts");
        Counterexample example = SuiteRunner.Results(options, [PropertyTests.Named("Agreement.Output")], "x", port).Single().Counterexample[0];
        Assert.Equal((0, example.Original), (example.Shrinks, example.Case));
    }
}
