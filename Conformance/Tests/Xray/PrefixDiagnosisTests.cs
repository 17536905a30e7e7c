// Is what goes wrong with a prefix told by its name, in singles (IdentificationTests) and in pairs, beside what is wrong without one, and of ports that share no code with the catalogue?
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Xray;
using S2Attn.Reference.Upstream;
using S2Attn.Spec;
using S2Attn.Tests.Properties;

namespace S2Attn.Tests.Xray;

public sealed class PrefixDiagnosisTests
{
    [Fact]
    public void Pairs_of_prefix_defects_are_explained_by_as_few() => PartDiagnosis.AssertExplained(DefectCatalogue.PairsOfPrefixes, 0.5);

    [Fact]
    public void What_is_wrong_comes_first_and_what_to_change_second() => PartDiagnosis.AssertSaidFirst(
        "prefix-not-in-shifted-heads+prefix-dv-missing", "where the text has a prefix, at all 9 probed sizes with a prefix: (1) Heads that shift have no prefix.", "(1) Put the prefix before the keys of every query head");

    [Theory]
    [InlineData("mask-strict", "prefix-one-short")]
    [InlineData("unshift-missing", "prefix-not-in-shifted-heads")]
    [InlineData("scale-missing", "prefix-counted-twice")]
    [InlineData("dk-last-head-wins", "prefix-gradients-averaged")]
    public void A_mistake_about_prefixes_is_told_beside_one_of_texts(string ofTexts, string ofPrefixes)
    {
        using IAttentionPort port = PortFactory.Create(new(), $"mutant:{ofTexts}+{ofPrefixes}");
        Diagnosis diagnosis = Diagnosis.Of(port);
        Assert.Contains(ofTexts, diagnosis.Names);
        Assert.Contains(ofPrefixes, diagnosis.Names);
    }

    /// <summary>These are written with the definition's own functions; those whose backward pass stays right are asked for the forward pass alone.</summary>
    [Theory]
    [InlineData("prefix-one-short", false)]
    [InlineData("prefix-ignored", false)]
    [InlineData("prefix-kinds-swapped", false)]
    [InlineData("prefix-padding-ignored", false)]
    [InlineData("prefix-dv-missing", false)]
    [InlineData("prefix-forgotten-in-dq", false)]
    [InlineData("prefix-not-in-shifted-heads", true)]
    [InlineData("prefix-of-own-group", true)]
    [InlineData("prefix-hidden-from-itself", true)]
    [InlineData("prefix-counted-twice", true)]
    public void Ports_that_share_no_code_with_the_catalogue_are_named(string name, bool isForward)
    {
        using IAttentionPort mutant = PrefixMutants.All().Single(port => port.Description.Name == name);
        using MutantPort port = new(name, mutant.Run)
        {
            Description = mutant.Description with { Capabilities = mutant.Description.Capabilities with { Operations = isForward ? [PortOperation.Forward] : mutant.Description.Capabilities.Operations } },
        };
        PartFinding finding = Assert.IsType<PartFinding>(PartDiagnosis.Take(port).Prefixes);
        Assert.True(finding.Names.Contains(name), string.Join("\n", finding.Sentences(name)));
    }

    [Fact]
    public void A_right_port_is_the_definition_with_a_prefix_and_one_that_knows_of_none_is_not_asked()
    {
        using ReferencePort reference = new();
        PartFinding right = Assert.IsType<PartFinding>(PartDiagnosis.Take(reference).Prefixes);
        Assert.True(right.IsDefinition);
        Assert.Equal([false, true], right.Looked.Select(probe => probe.Config.IsPrefixWhole).Distinct().Order());
        Assert.Contains(right.Looked, probe => probe.IsPadded);
        using CompositionPort texts = new("texts", Composition.Definition);
        Assert.Null(PartDiagnosis.Take(texts).Prefixes);
    }

    /// <summary>A port of few capabilities is looked at within them.</summary>
    [Fact]
    public void A_port_of_few_capabilities_is_told_too()
    {
        using CompositionPort port = PartDiagnosis.Of(
            DefectCatalogue.OfPrefixes.Single(defect => defect.Name == "prefix-after-roll"), all => all with { OddGroup = false, Ragged = false, GroupedQuery = false, Padding = false, Masks = [MaskPolicy.LocalCausal] });
        Diagnosis diagnosis = Diagnosis.Of(port);
        Assert.Contains("prefix-after-roll", diagnosis.Names);
        Assert.All(diagnosis.Report[0].Prefixes!.Looked, probe => Assert.Empty(PortSupport.Lacks(port.Description.Capabilities, probe.Backward())));
    }

    /// <summary>A port whose prefix is built in has no text without it, and is looked at with it.</summary>
    [Theory]
    [InlineData("definition", 3, false)]
    [InlineData("prefix-causal-by-position", 3, false)]
    [InlineData("prefix-always-causal", 6, true)]
    [InlineData("unshift-missing", 5, false)]
    public void A_port_of_a_built_in_prefix_is_told_too(string name, int prefix, bool isWhole)
    {
        Composition composition = name == "definition" ? Composition.Definition : Composition.Of(DefectCatalogue.Anywhere.Single(defect => defect.Name == name));
        using CompositionPort port = PartDiagnosis.Of(composition, all => all with { Prefixes = true, Grids = false, Fixed = new() { Prefix = prefix, IsPrefixWhole = isWhole } });
        XrayReport report = PartDiagnosis.Take(port);
        Assert.Equal(name, report.Explanation.Composition.Name);
        Assert.Equal(composition.Defects.IsEmpty, report.IsDefinition);
        Assert.All(report.Pictures, picture => Assert.Equal((prefix, isWhole), (picture.Probe.Config.Prefix, picture.Probe.Config.IsPrefixWhole)));
        Assert.Contains(name == "definition" ? "it equals the definition at all" : $"is {name} at all", Diagnosis.Of(report).Sentences[0] + string.Concat(report.Verdict), StringComparison.Ordinal);
    }

    [Fact]
    public void What_has_no_name_is_shown_and_what_is_not_answered_is_said()
    {
        using ReferencePort reference = new();
        using MutantPort alone = new("alone", item => item.Config.Prefix == 0 ? reference.Run(item) : PartDiagnosis.Alone(item)) { Description = reference.Description with { Name = "alone" } };
        string[] said = [.. PartDiagnosis.Take(alone).Verdict];
        Assert.StartsWith("Where the text has a prefix alone is nothing that up to 3 known defects explain.", said[0], StringComparison.Ordinal);
        Assert.StartsWith("At Split B=2 N=12", said[1], StringComparison.Ordinal);

        using MutantPort silent = new("silent", item => item.Config.Prefix == 0 ? reference.Run(item) : new PortAnswer.Unsupported("prefix")) { Description = reference.Description with { Name = "silent" } };
        XrayReport report = PartDiagnosis.Take(silent);
        Assert.False(report.IsDefinition);
        Assert.Contains("or do not declare prefixes", report.Verdict.First(), StringComparison.Ordinal);
    }
}
