// Do arrows go down only: between the projects, and between the folders of Conformance/Suite?
using System.Reflection;
using S2Attn.Conformance.Ports;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Tests.Architecture;

public sealed class LayerTests
{
    [Fact]
    public void No_folder_of_the_suite_uses_one_that_stands_above_it() => Assert.Empty(Layers.Violations([.. Layers.Sources()]));

    [Theory]
    [InlineData("Ports/Planted.cs", "using S2Attn.Conformance.Running;\nnamespace S2Attn.Conformance.Ports;", "Ports uses Running, which stands above it: Ports/Planted.cs")]
    [InlineData("Cases/Planted.cs", "namespace S2Attn.Conformance.Cases;\nclass Planted { Ports.IAttentionPort port; }", "Cases uses Ports, which stands above it: Cases/Planted.cs")]
    [InlineData("Running/Planted.cs", "namespace S2Attn.Conformance.Running;\nclass Planted { object o = Conformance.Reports.Badge.Height; }", "Running uses Reports, which stands above it: Running/Planted.cs")]
    [InlineData("Xray/Planted.cs", "using S2Attn.Conformance.Mutants;\nnamespace S2Attn.Conformance.Xray;", "Xray uses Mutants, which stands above it: Xray/Planted.cs")]
    [InlineData("Helpers/Planted.cs", "namespace S2Attn.Conformance.Helpers;", "Helpers stands in no layer")]
    [InlineData("Ports/Planted.cs", "namespace S2Attn.Conformance.Reports;", "Ports/Planted.cs is of namespace Reports, not Ports")]
    public void A_planted_circle_is_seen(string path, string text, string expected)
    {
        SuiteSource[] sources = [.. Layers.Sources(), new(path, text)];
        Assert.Contains(expected, Layers.Violations(sources));
    }

    [Fact]
    public void Reference_and_Optimized_know_Spec_alone_and_Spec_knows_nobody()
    {
        Assert.Empty(Used(typeof(S2Config)));
        Assert.Equal(["S2Attn.Spec"], Used(typeof(Attention)));
        Assert.Equal(["S2Attn.Spec"], Used(typeof(S2Attn.Optimized.S2AttentionPlan)));
        Assert.Equal(["S2Attn.Optimized", "S2Attn.Reference", "S2Attn.Spec"], Used(typeof(IAttentionPort)));

        static string[] Used(Type type) =>
            [.. type.Assembly.GetReferencedAssemblies().Select(name => name.Name!).Where(name => name.StartsWith("S2Attn.", StringComparison.Ordinal)).Order(StringComparer.Ordinal)];
    }

    [Fact]
    public void The_page_of_the_architecture_draws_the_layers_as_they_are()
    {
        string page = File.ReadAllText(Path.Combine(Repository.Root, "docs", "architecture.md"));
        string drawn = string.Join('\n', Layers.All.Reverse().Select(layer => "    " + string.Join("  ", layer)));
        Assert.Contains(drawn, page, StringComparison.Ordinal);
    }
}
