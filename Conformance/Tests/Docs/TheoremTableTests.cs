// Does docs/semantics.md show the catalogue of theorems as it is?
using S2Attn.Conformance.Reports;

namespace S2Attn.Tests.Docs;

public sealed class TheoremTableTests
{
    [Fact]
    public void The_page_of_definitions_shows_every_theorem_as_Spec_states_it() =>
        GeneratedBlock.AssertEqualOrUpdate("docs/semantics.md", "theorems", TheoremTable.Markdown());
}
