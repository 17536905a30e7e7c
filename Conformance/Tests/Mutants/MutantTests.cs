// Are the mutants wrong, and only by their one function?
using S2Attn.Conformance.Mutants;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Properties;
using S2Attn.Conformance.Running;
using S2Attn.Reference.Upstream;

namespace S2Attn.Tests.Mutants;

public sealed class MutantTests
{
    [Fact]
    public void The_composition_of_no_defects_is_the_definition()
    {
        using CompositionPort port = new("unmutated", Composition.Definition);
        PropertyResult[] rows = [.. SuiteRunner.Results(new SuiteOptions { Cases = 25 }, PropertyCatalogue.All, "unmutated", port)];
        // A composition is about dense tensors: it declares nothing of how they lie in memory, nor of slices and prefixes; of grids only where it is wrong about them.
        string[] ofMemory = ["Layout.", "Packed.", "Strides.", "Slice.", "LogSumExp.Gradient", "Grids.", "Prefixes."];
        Assert.All(rows, row => Assert.True(
            row.Outcome == (ofMemory.Any(name => row.Name.StartsWith(name, StringComparison.Ordinal)) ? Outcome.Unsupported : Outcome.Holds),
            $"{row.Name}: {row.Outcome} {row.Counterexample.FirstOrDefault()}"));
    }

    [Fact]
    public void There_are_at_least_forty_of_different_name_that_the_factory_opens()
    {
        Assert.True(MutantCatalogue.All.Length >= 40);
        Assert.Equal(MutantCatalogue.All.Length, MutantCatalogue.All.Select(mutant => mutant.Name).Distinct().Count());
        Assert.All(MutantCatalogue.All, mutant =>
        {
            using IAttentionPort port = PortFactory.Create(new(), "mutant:" + mutant.Name);
            Assert.Equal("mutant:" + mutant.Name, port.Description.Name);
        });
    }
}
