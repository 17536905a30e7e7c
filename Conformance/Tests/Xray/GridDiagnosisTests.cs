// Is what goes wrong over grids of tokens told by its name, in singles (IdentificationTests) and in pairs, and shown where it has none?
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Xray;
using S2Attn.Reference.Upstream;
using S2Attn.Spec;

namespace S2Attn.Tests.Xray;

public sealed class GridDiagnosisTests
{
    [Fact]
    public void Pairs_of_grid_defects_are_explained_by_as_few() => PartDiagnosis.AssertExplained(DefectCatalogue.PairsOfGrids, 0.75);

    [Fact]
    public void What_is_wrong_comes_first_and_what_to_change_second() => PartDiagnosis.AssertSaidFirst(
        "grid-mask-missing+grid-not-rolled-back", "where tokens stand on several axes, at all 8 probed grids: (1) The mask of shifted windows is missing", "(1) Hide what is of another run on any axis");

    [Fact]
    public void A_right_port_is_the_definition_on_all_axes_and_one_that_knows_of_none_is_not_asked()
    {
        using ReferencePort reference = new();
        PartFinding right = Assert.IsType<PartFinding>(PartDiagnosis.Take(reference).Grids);
        Assert.True(right.IsDefinition);
        Assert.Equal([1, 2, 3], right.Looked.Select(probe => probe.Grid!.Axes.Length).Append(1).Distinct().Order());
        using CompositionPort texts = new("texts", Composition.Definition);
        Assert.Null(PartDiagnosis.Take(texts).Grids);
    }

    /// <summary>A port of few capabilities is looked at within them.</summary>
    [Theory]
    [InlineData(true, false)]
    [InlineData(false, true)]
    public void A_port_of_even_windows_or_of_one_mask_is_told_too(bool even, bool oneMask)
    {
        using CompositionPort port = PartDiagnosis.Of(
            DefectCatalogue.OfGrids.Single(defect => defect.Name == "grid-rolled-back-on-first-axis"),
            all => all with { OddGroup = !even, Ragged = !even, GroupedQuery = !oneMask, Padding = false, Masks = oneMask ? [MaskPolicy.Bidirectional] : all.Masks });
        Diagnosis diagnosis = Diagnosis.Of(port);
        Assert.Contains("grid-rolled-back-on-first-axis", diagnosis.Names);
        Assert.All(diagnosis.Report[0].Grids!.Looked, probe => Assert.Empty(PortSupport.Lacks(port.Description.Capabilities, probe.Backward())));
    }

    /// <summary>A port whose axes are built in is no text, and is told by its grid alone.</summary>
    [Fact]
    public void A_port_of_built_in_axes_is_told_too()
    {
        using CompositionPort port = PartDiagnosis.Of(
            DefectCatalogue.OfGrids.Single(defect => defect.Name == "grid-mask-of-last-axis"), all => all with { Fixed = new() { Axes = [new(8, 4, 2), new(12, 4, 2)] } });
        Diagnosis diagnosis = Diagnosis.Of(port);
        Assert.Equal(["grid-mask-of-last-axis"], diagnosis.Names.ToArray());
        Assert.StartsWith("To fix: Hide what is of another run", diagnosis.Sentences[1], StringComparison.Ordinal);
    }

    [Fact]
    public void What_has_no_name_is_shown_by_its_first_token()
    {
        using ReferencePort reference = new();
        using Tests.Properties.MutantPort port = new("alone", item => item.Grid is null ? reference.Run(item) : PartDiagnosis.Alone(item)) { Description = reference.Description with { Name = "alone" } };
        Diagnosis diagnosis = Diagnosis.Of(port);
        Assert.Empty(diagnosis.Names);
        Assert.StartsWith("Where tokens stand on several axes alone is nothing that up to 3 known defects explain.", diagnosis.Sentences[0], StringComparison.Ordinal);
        Assert.Contains("in head 1, which shifts, token (0,1) does not see (0,0)", diagnosis.Sentences[1], StringComparison.Ordinal);
    }

    [Fact]
    public void A_port_that_does_not_answer_grids_is_told_so()
    {
        using ReferencePort reference = new();
        using Tests.Properties.MutantPort port = new("texts-alone", item => item.Grid is null ? reference.Run(item) : new PortAnswer.Unsupported("axes")) { Description = reference.Description with { Name = "texts-alone" } };
        XrayReport report = PartDiagnosis.Take(port);
        Assert.False(report.IsDefinition);
        Assert.Contains("or do not declare grids", report.Verdict.First(), StringComparison.Ordinal);
    }
}
