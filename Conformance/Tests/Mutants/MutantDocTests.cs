// Does docs/mutants.md show the mutants, and what finds them, as they are?
using S2Attn.Conformance.Mutants;
using S2Attn.Tests.Docs;

namespace S2Attn.Tests.Mutants;

public sealed class MutantDocTests
{
    [Fact]
    public void The_page_of_mutants_lists_each_with_its_defect() => GeneratedBlock.AssertEqualOrUpdate("docs/mutants.md", "mutants", MutantTable.Catalogue());

    [Fact]
    public void The_page_of_mutants_shows_which_property_finds_which() => GeneratedBlock.AssertEqualOrUpdate("docs/mutants.md", "matrix", MutantTable.Matrix());
}
