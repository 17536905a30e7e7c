// Is what goes wrong over grids of tokens told by its name, in singles (IdentificationTests) and in pairs, and shown where it has none?
using System.Collections.Immutable;
using S2Attn.Conformance.Mutants;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Xray;
using S2Attn.Reference;
using S2Attn.Reference.Upstream;
using S2Attn.Spec;

namespace S2Attn.Tests.Xray;

public sealed class GridDiagnosisTests
{
    // `s2attn mutants --pairs 1000 --filter grid-` looks at all.
    private const int PairsInTests = 80;

    [Fact]
    public void Pairs_of_grid_defects_are_explained_by_as_few()
    {
        ImmutableArray<Composition> pairs = PairRun.Spread([.. DefectCatalogue.PairsOfGrids], PairsInTests);
        PairResult[] results = [.. PairRun.Of(pairs)];
        Assert.Equal(pairs.Length, results.Length);
        Assert.Empty(results.Where(result => result.Outcome is PairOutcome.Missed).Select(result => $"{result.Pair}: {result.Said}"));
        Assert.True(results.Count(result => result.Outcome is PairOutcome.Named) >= pairs.Length * 3 / 4, string.Join("\n", results.Where(result => result.Outcome is not PairOutcome.Named).Select(result => $"{result.Pair}: {result.Outcome}: {result.Said}")));
    }

    [Fact]
    public void What_is_wrong_comes_first_and_what_to_change_second()
    {
        using IAttentionPort port = PortFactory.Create(new(), "mutant:grid-mask-missing+grid-not-rolled-back");
        Diagnosis diagnosis = Diagnosis.Of(port);
        Assert.Equal(["grid-mask-missing+grid-not-rolled-back"], diagnosis.Names.ToArray());
        Assert.StartsWith($"{port.Description.Name} is grid-mask-missing + grid-not-rolled-back where tokens stand on several axes, at all 8 probed grids: (1) The mask of shifted windows is missing", diagnosis.Sentences[0], StringComparison.Ordinal);
        Assert.StartsWith("To fix: (1) Hide what is of another run on any axis", diagnosis.Sentences[1], StringComparison.Ordinal);
        Assert.Contains(diagnosis.Sentences, sentence => sentence.Contains("it equals the definition at all", StringComparison.Ordinal));
    }

    [Fact]
    public void A_right_port_is_the_definition_on_all_axes_and_one_that_knows_of_none_is_not_asked()
    {
        using ReferencePort reference = new();
        PartFinding right = Assert.IsType<PartFinding>(Take(reference).Grids);
        Assert.True(right.IsDefinition);
        Assert.Equal([1, 2, 3], right.Looked.Select(probe => probe.Grid!.Axes.Length).Append(1).Distinct().Order());
        using CompositionPort texts = new("texts", Composition.Definition);
        Assert.Null(Take(texts).Grids);
    }

    /// <summary>A port of few capabilities is looked at within them.</summary>
    [Theory]
    [InlineData(true, false)]
    [InlineData(false, true)]
    public void A_port_of_even_windows_or_of_one_mask_is_told_too(bool even, bool oneMask)
    {
        using CompositionPort whole = new("few", Composition.Of(DefectCatalogue.OfGrids.Single(defect => defect.Name == "grid-rolled-back-on-first-axis")));
        PortCapabilities all = whole.Description.Capabilities;
        using CompositionPort port = new("few", Composition.Of(DefectCatalogue.OfGrids.Single(defect => defect.Name == "grid-rolled-back-on-first-axis")))
        {
            Description = whole.Description with { Capabilities = all with { OddGroup = !even, Ragged = !even, GroupedQuery = !oneMask, Padding = false, Masks = oneMask ? [MaskPolicy.Bidirectional] : all.Masks } },
        };
        Diagnosis diagnosis = Diagnosis.Of(port);
        Assert.Contains("grid-rolled-back-on-first-axis", diagnosis.Names);
        Assert.All(diagnosis.Report[0].Grids!.Looked, probe => Assert.Empty(PortSupport.Lacks(port.Description.Capabilities, probe.Backward())));
    }

    /// <summary>A port whose axes are built in is no text, and is told by its grid alone.</summary>
    [Fact]
    public void A_port_of_built_in_axes_is_told_too()
    {
        using CompositionPort whole = new("built-in", Composition.Of(DefectCatalogue.OfGrids.Single(defect => defect.Name == "grid-mask-of-last-axis")));
        using CompositionPort port = new("built-in", Composition.Of(DefectCatalogue.OfGrids.Single(defect => defect.Name == "grid-mask-of-last-axis")))
        {
            Description = whole.Description with { Capabilities = whole.Description.Capabilities with { Fixed = new() { Axes = [new(8, 4, 2), new(12, 4, 2)] } } },
        };
        Diagnosis diagnosis = Diagnosis.Of(port);
        Assert.Equal(["grid-mask-of-last-axis"], diagnosis.Names.ToArray());
        Assert.StartsWith("To fix: Hide what is of another run", diagnosis.Sentences[1], StringComparison.Ordinal);
    }

    [Fact]
    public void What_has_no_name_is_shown_by_its_first_token()
    {
        using ReferencePort reference = new();
        using Tests.Properties.MutantPort port = new("alone", item => item.Grid is null ? reference.Run(item) : Alone(item)) { Description = reference.Description with { Name = "alone" } };
        Diagnosis diagnosis = Diagnosis.Of(port);
        Assert.Empty(diagnosis.Names);
        Assert.StartsWith("Where tokens stand on several axes alone is nothing that up to 3 known defects explain.", diagnosis.Sentences[0], StringComparison.Ordinal);
        Assert.Contains("in head 1, which shifts, token (0,1) does not see (0,0)", diagnosis.Sentences[1], StringComparison.Ordinal);

        // Every token of an image sees itself alone.
        static PortAnswer Alone(PortCase item) => item.Operation is PortOperation.Backward
            ? new PortAnswer.Failed(PortFailureKind.Error, "forward only")
            : new PortAnswer.Forward(Tensor<double>.Build(item.Input.Query.Shape.AsSpan(), i => item.Input.Value[i / item.Config.HeadDim / item.Config.Heads / item.Config.Tokens, i / item.Config.HeadDim / item.Config.Heads % item.Config.Tokens, 0, i % item.Config.HeadDim]), []);
    }

    [Fact]
    public void A_port_that_does_not_answer_grids_is_told_so()
    {
        using ReferencePort reference = new();
        using Tests.Properties.MutantPort port = new("texts-alone", item => item.Grid is null ? reference.Run(item) : new PortAnswer.Unsupported("axes")) { Description = reference.Description with { Name = "texts-alone" } };
        XrayReport report = Take(port);
        Assert.False(report.IsDefinition);
        Assert.Contains("or do not declare grids", report.Verdict.First(), StringComparison.Ordinal);
    }

    private static XrayReport Take(IAttentionPort port)
    {
        PortCapabilities capabilities = port.Description.Capabilities;
        return Xrays.Take(port, Xrays.Probes(capabilities, capabilities.Masks, S2Config.Create(Xrays.Widened(capabilities, Xrays.Fitting(capabilities, capabilities.Masks[0])))));
    }
}
