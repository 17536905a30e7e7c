// Does each single assertion see the defect that no other one sees: of a property, of a golden case, of a report, of the check of strides?
using System.Collections.Immutable;
using System.Text.Json;
using System.Xml.Linq;
using S2Attn.Conformance;
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Golden;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Reports;
using S2Attn.Conformance.Running;
using S2Attn.Optimized;
using S2Attn.Reference;
using S2Attn.Spec;
using S2Attn.Tests.Golden;

namespace S2Attn.Tests.Properties;

public sealed class AssertionTests : IDisposable
{
    private static readonly ReferencePort Right = new();

    private readonly string copy = Directory.CreateTempSubdirectory("s2attn-assertions-").FullName;

    public void Dispose() => Directory.Delete(copy, recursive: true);

    /// <summary>Each half of Gradients.Invisible: what the invisible token gets, and what it does to the gradients of others.</summary>
    [Theory]
    [InlineData("dk")]
    [InlineData("dv")]
    [InlineData("dq")]
    public void Each_half_of_the_invisible_gradients_is_seen(string tensor)
    {
        using MutantPort port = new("one gradient", item => Right.Run(item) is PortAnswer.Backward { Gradients: { } gradients }
            ? new PortAnswer.Backward(tensor switch
            {
                "dk" => gradients with { Key = gradients.Key.Map(value => value == 0 ? 1e-30 : value) },
                "dv" => gradients with { Value = gradients.Value.Map(value => value == 0 ? 1e-30 : value) },
                _ => gradients with { Query = gradients.Query.Map(value => value + item.Input.Key.Elements.ToArray().Sum() * 0.01) },
            })
            : Right.Run(item));
        Assert.StartsWith(tensor + "[", ReasonOf("Gradients.Invisible", port), StringComparison.Ordinal);
    }

    /// <summary>lse alone is wrong: in a row without keys, in a row that must not change, at a border, and as NaN.</summary>
    [Theory]
    [InlineData("EmptyRows", "lse[")]
    [InlineData("NoLeakage.Invisible", "lse[")]
    [InlineData("Agreement.LogSumExp", "lse[")]
    [InlineData("Borders.Output", "lse[")]
    public void A_wrong_logsumexp_beside_a_right_output_is_seen(string property, string reason)
    {
        using MutantPort port = new("lse", item => Right.Run(item) is PortAnswer.Forward answer
            ? answer with { LogSumExp = [answer.LogSumExp[0].Map(lse => double.IsNegativeInfinity(lse) ? -1e30 : item.ElementType.Round(lse * (1 + 0.01 * Math.Tanh(item.Input.Key.Elements.ToArray().Where(double.IsFinite).Sum()))))] }
            : Right.Run(item));
        Assert.Contains(reason, ReasonOf(property, port), StringComparison.Ordinal);
    }

    /// <summary>NaN in one answer and a number in the other are never the same.</summary>
    [Fact]
    public void NaN_passes_no_comparison()
    {
        Tensor<double> number = Tensor<double>.Of([1], [1.0]), nan = Tensor<double>.Of([1], [double.NaN]), wide = Tensor<double>.Of([1], [1e9]);
        Assert.Single(Conformance.Properties.Rows.Apart("o", number, nan, wide, wide, "again"));
        Assert.Single(Conformance.Properties.Rows.Apart("o", nan, number, wide, wide, "again"));
        Assert.Empty(Conformance.Properties.Rows.Apart("o", nan, nan, wide, wide, "again"));
        Assert.False(Agreement.Compare("o", nan, number, wide).Agrees);
        Assert.False(Agreement.Compare("o", number, nan, wide).Agrees);
        Assert.Equal(0, Conformance.Properties.Rows.FirstDifference([double.NaN], [1.0]));
        Assert.Equal(-1, Conformance.Properties.Rows.FirstDifference([double.NaN], [double.NaN]));
        Assert.Equal(0, Conformance.Properties.Rows.FirstDifference([0.0], [-0.0]));
    }

    /// <summary>A number that is not finite agrees with itself alone, also where the row is empty and its bound 0; without a bound, with any that is not finite.</summary>
    [Fact]
    public void What_is_not_finite_agrees_with_itself_alone_where_there_is_a_bound()
    {
        double[] numbers = [double.NaN, double.PositiveInfinity, double.NegativeInfinity, 0, 3];
        foreach (double computed in numbers)
            foreach (double exact in numbers)
            {
                foreach (double bound in new[] { 0, 2, double.MaxValue })
                    Assert.True(
                        Agreement.Ratio(computed, exact, bound) <= 1 == (computed.Equals(exact) || (double.IsFinite(computed) && double.IsFinite(exact) && Math.Abs(computed - exact) <= bound)),
                        $"{computed} for {exact}, bound {bound}");
                Assert.True(
                    Agreement.Ratio(computed, exact, double.PositiveInfinity) <= 1 == (double.IsFinite(exact) || !double.IsFinite(computed)),
                    $"{computed} for {exact}, without a bound");
            }
    }

    /// <summary>One element of one tensor is another number, and the hash is put right: only the comparison of that tensor can tell.</summary>
    [Theory]
    [MemberData(nameof(BrokenGolden.Tensors), MemberType = typeof(BrokenGolden))]
    public void A_wrong_number_in_any_golden_tensor_is_told_by_its_name(string name, string tensor)
    {
        GoldenCase golden = GoldenFolder.Read(Path.Combine(Repository.Root, "golden")).Single(golden => golden.Name == name);
        PropertyResult row = GoldenSuite.Verify(BrokenGolden.Write(copy, golden, tensor));
        Assert.Equal(Outcome.Fails, row.Outcome);
        Assert.StartsWith(tensor + "[", row.Counterexample[0].Reason, StringComparison.Ordinal);
    }

    /// <summary>What passes through the core of a layer is told by its own name, before the core that it passes through disagrees.</summary>
    [Theory]
    [InlineData("q")]
    [InlineData("k")]
    [InlineData("v")]
    public void A_wrong_number_in_a_step_of_a_layer_is_told_by_its_name(string tensor)
    {
        GoldenCase golden = GoldenFolder.Read(Path.Combine(Repository.Root, "golden")).First(golden =>
            golden is { Family: "layer", ElementType: ElementType.F64 or ElementType.F32 } && golden.Config.Tokens <= 64 && GoldenFolder.Load(golden).TryGet(tensor, out _));
        PropertyResult row = GoldenSuite.Verify(BrokenGolden.Write(copy, golden, tensor));
        Assert.Equal(Outcome.Fails, row.Outcome);
        Assert.StartsWith(tensor + "[", row.Counterexample[0].Reason, StringComparison.Ordinal);
    }

    /// <summary>A failing row of the theorems or of the golden tensors speaks against the project as one of a port does.</summary>
    [Theory]
    [InlineData("Spec", Outcome.Fails)]
    [InlineData("golden", Outcome.Fails)]
    [InlineData("port", Outcome.Fails)]
    [InlineData("port", Outcome.PortFailed)]
    public void One_bad_row_of_any_subject_ends_conformance(string subject, Outcome outcome)
    {
        Assert.True(Of(Row("Spec", Outcome.Holds), Row("golden", Outcome.Holds), Row("port", Outcome.Holds)).Conforms);
        Assert.False(Of(Row("Spec", Outcome.Holds), Row("golden", Outcome.Holds), Row("port", Outcome.Holds), Row(subject, outcome)).Conforms);
    }

    /// <summary>A port to which no question could be put is not one that conforms, whatever others do beside it.</summary>
    [Fact]
    public void A_port_that_was_asked_nothing_does_not_conform()
    {
        PortDescription description = Right.Description;
        foreach ((Outcome outcome, bool conforms) in new[] { (Outcome.Holds, true), (Outcome.Unsupported, false) })
        {
            ImmutableArray<PropertyResult> rows = [Row("Spec", Outcome.Holds), Row("other", Outcome.Holds), Row("port", outcome)];
            Assert.Equal(conforms, (Of(rows) with { Ports = [ReportPort.Of("other", description, rows, whole: true), ReportPort.Of("port", description, rows, whole: true)] }).Conforms);
        }
    }

    [Fact]
    public void JUnit_counts_each_outcome_and_holds_an_element_for_each()
    {
        Report report = Of(
            Row("port", Outcome.Fails), Row("port", Outcome.Fails), Row("port", Outcome.PortFailed), Row("port", Outcome.Holds), Row("port", Outcome.Unsupported), Row("port", Outcome.Interrupted), Row("port", Outcome.Interrupted));
        XElement suite = XDocument.Parse(JUnitReport.Write(report)).Root!.Elements("testsuite").Single();
        Assert.Equal("7 2 1 3", string.Join(' ', from name in "tests failures errors skipped".Split(' ') select suite.Attribute(name)!.Value));
        Assert.Equal("7 2 1 3", string.Join(' ', from name in "testcase failure error skipped".Split(' ') select suite.Descendants(name).Count()));
        Assert.All(suite.Descendants("failure"), failure => Assert.Contains("the reason", failure.ToString(), StringComparison.Ordinal));
        using JsonDocument json = JsonDocument.Parse(JsonReport.Write(report));
        Assert.False(json.RootElement.GetProperty("conforms").GetBoolean());
        Assert.Equal(
            "fails fails portFailed holds unsupported interrupted interrupted",
            string.Join(' ', json.RootElement.GetProperty("results").EnumerateArray().Select(row => row.GetProperty("outcome").GetString())));
    }

    /// <summary>Rows of o and of gradients that share elements are refused on every pair of axes, and also where an axis has but two places.</summary>
    [Theory]
    [InlineData(12, 6, 2)]
    [InlineData(12, 2, 6)]
    [InlineData(12, 3, 3)]
    [InlineData(11, 6, 3)]
    [InlineData(8, 6, 3)]
    [InlineData(3, 6, 6)]
    [InlineData(0, 6, 3)]
    public void Overlapping_strides_are_refused_on_axes_of_two(long batch, long token, long head)
    {
        S2Config config = S2Config.Create(new() { Batch = 2, Tokens = 2, Heads = 2, HeadDim = 3, GroupSize = GroupSizeRule.Of(2), Mask = MaskPolicy.Split });
        foreach (S2AttentionOptions options in new S2AttentionOptions[]
        {
            new() { Output = new(batch, token, head) }, new() { QueryGradient = new(batch, token, head) }, new() { KeyGradient = new(batch, token, head) }, new() { ValueGradient = new(batch, token, head) },
        })
            Assert.ThrowsAny<ArgumentException>(() => new S2AttentionPlan(config, options).Dispose());
        new S2AttentionPlan(config, new() { Query = new(12, 6, 3), Key = new(12, 3, 6), Value = new(3, 12, 6), Output = new(6, 3, 12) }).Dispose();
    }

    private static string ReasonOf(string property, IAttentionPort port) =>
        SuiteRunner.Results(new SuiteOptions { Seed = 4, Cases = 40, ShrinkLimit = TimeSpan.Zero, StopAtFirstFailure = true }, [PropertyTests.Named(property)], "port", port).Single().Counterexample.Select(found => found.Reason).FirstOrDefault("");

    private static Report Of(params ImmutableArray<PropertyResult> rows) => new("test", 1, 1, "", Complete: true, TimeSpan.Zero, rows, [], []);

    private static PropertyResult Row(string subject, Outcome outcome) => new(
        subject, $"row of {subject}", "a statement", "everywhere", outcome, outcome is Outcome.Unsupported ? 0 : 1, ImmutableSortedDictionary<string, int>.Empty,
        outcome is Outcome.Fails or Outcome.PortFailed ? [new Counterexample("a case", "the reason", "a case", 0)] : [], [], TimeSpan.Zero);
}
