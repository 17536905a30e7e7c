// Is a port that keeps a relation between its own answers left alone by the row that claims it, however wrong it is elsewhere?
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Properties;
using S2Attn.Conformance.Running;
using S2Attn.Reference;
using S2Attn.Reference.Upstream;
using S2Attn.Spec;

namespace S2Attn.Tests.Properties;

public sealed class RelationBoundTests
{
    private const int Drawn = 12;

    // Far above what sums in double lose, far below what a wrong stage moves.
    private const double Kept = 1e-9;

    private static readonly SuiteOptions Options = new() { Seed = 20230921, Cases = Drawn, MaxTokens = 24 };

    /// <summary>A composition computes in double. Where its answers in double keep the relation, those in a narrower format differ by rounding alone.</summary>
    [Theory]
    [InlineData("KvHead.Gradients")]
    [InlineData("Gradients.Adjoint")]
    [InlineData("Convexity")]
    public void A_wrong_port_that_keeps_the_relation_holds_the_row(string name)
    {
        Property property = PropertyTests.Named(name);
        var found = DefectCatalogue.All.AsParallel().AsOrdered().SelectMany(defect =>
        {
            using CompositionPort port = new(defect.Name, Composition.Of(defect));
            return SuiteRunner.Draw(Options, property, port.Description.Capabilities).Select(drawn => drawn.Case).Where(property.Covers)
                .Select(item => (defect.Name, Case: item, IsKept: Keeps(name, new(port, item with { Type = ElementType.F64 }, RowClock.Unlimited)), Verdict: SuiteRunner.Check(property, port, item))).ToArray();
        }).ToArray();
        Assert.Empty(found.Where(item => item.IsKept && item.Verdict is not Verdict.Holds).Select(item => $"{item.Name}: {item.Case}: {item.Verdict}"));
        Assert.Contains(found, item => !item.IsKept && item.Verdict is Verdict.Fails);
        Assert.True(found.Count(item => item.IsKept) > found.Length / 3);
    }

    /// <summary>A port that puts the whole weight on other keys than the definition does, and rounds up: the definition's own bound is that of a small mean.</summary>
    [Fact]
    public void A_mean_with_other_weights_may_be_rounded_out_of_its_values()
    {
        using ReferencePort right = new();
        using MutantPort port = new("greatest", item => right.Run(item) is PortAnswer.Forward answer && item.ElementType is ElementType.F32
            ? answer with
            {
                Output = Conformance.Properties.Rows.Change(answer.Output, (b, t, h, d, old) => Enumerable.Range(0, item.Config.Tokens).Where(u => item.Input.Valid[b, u] && Visibility.Visible(item.Config, h, t, u))
                    .Select(u => item.Input.Value[b, u, item.Config.KvHeadOf(h), d]).ToArray() is { Length: > 0 } values ? MathF.BitIncrement((float)values.Max()) : old),
            }
            : right.Run(item));
        PropertyResult row = SuiteRunner.Results(Options with { Cases = 60 }, [PropertyTests.Named("Convexity")], "port", port).Single();
        Assert.True(row.Outcome is Outcome.Holds, string.Join("; ", row.Counterexample));
    }

    /// <summary>Where padded keys hold NaN, what is claimed of the others is judged all the same.</summary>
    [Theory]
    [InlineData("KvHead.Gradients", "dv-of-one-query-head")]
    [InlineData("KvHead.Mapping", "kv-head-modulo")]
    [InlineData("Batch.Alone", "entries-round-far-apart")]
    public void NaN_in_padded_keys_hides_nothing(string name, string mutant)
    {
        using ReferencePort right = new();
        using IAttentionPort port = mutant == "entries-round-far-apart" ? FarApart(right) : MutantPort.All().Single(port => port.Description.Name == mutant);
        Property property = PropertyTests.Named(name);
        AttentionCase[] padded = [.. SuiteRunner.Draw(Options with { Cases = 80 }, property, port.Description.Capabilities).Select(drawn => drawn.Case with { PadsAreNaN = true }).Where(item => item.IsPadded && property.Covers(item))];
        Assert.Contains(padded, item => SuiteRunner.Check(property, port, item) is Verdict.Fails);
    }

    // Every entry but the first is a percent off.
    private static MutantPort FarApart(ReferencePort right) => new("entries-round-far-apart", item => right.Run(item) is PortAnswer.Forward answer
        ? answer with { Output = Tensor<double>.Build(answer.Output.Shape.AsSpan(), i => i < answer.Output.Elements.Length / item.Config.Batch ? answer.Output.Elements[i] : item.ElementType.Round(1.5 * answer.Output.Elements[i])) }
        : right.Run(item));

    private static bool Keeps(string name, Probe probe)
    {
        try
        {
            return name switch
            {
                "KvHead.Gradients" => PlacementProperties.GradientsOfSharedHeads(probe).All(pair => Near(pair.Shared, PlacementProperties.OverSharingHeads(probe.Config, pair.Repeated))),
                "Gradients.Adjoint" => GradientProperties.Identities(probe).All(identity => Math.Abs(identity.Left - identity.Right) <= Kept * (1e-3 + identity.Terms)),
                _ => Conformance.Properties.Rows.Of(probe.Config).All(row => IsInside(probe, row)),
            };
        }
        catch (ProbeEndedException)
        {
            return false;
        }
    }

    private static bool Near(Tensor<double> a, Tensor<double> b)
    {
        double greatest = UnknownWeights.Largest(a);
        return a.Elements.ToArray().Zip(b.Elements.ToArray()).All(pair => pair.First.Equals(pair.Second) || Math.Abs(pair.First - pair.Second) <= Kept * (1e-3 + greatest));
    }

    private static bool IsInside(Probe probe, Conformance.Properties.Row row)
    {
        int kvHead = probe.Config.KvHeadOf(row.H);
        int[] keys = [.. Conformance.Properties.Rows.Keys(probe, row)];
        return keys.Length == 0 || Enumerable.Range(0, probe.Config.HeadDim).All(d =>
            keys.Select(u => probe.Input.Value[row.B, u, kvHead, d]).ToArray() is var values
            && probe.Answer.Output[row.B, row.T, row.H, d] is var o && o >= values.Min() - Kept * (1 + Math.Abs(values.Min())) && o <= values.Max() + Kept * (1 + Math.Abs(values.Max())));
    }
}
