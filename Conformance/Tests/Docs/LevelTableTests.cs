// Does docs/port-protocol.md show the levels and their evidence as the suite judges them?
using S2Attn.Conformance.Reports;

namespace S2Attn.Tests.Docs;

public sealed class LevelTableTests
{
    [Fact]
    public void The_page_of_the_protocol_shows_every_level_with_its_evidence() =>
        GeneratedBlock.AssertEqualOrUpdate("docs/port-protocol.md", "levels", LevelTable.Markdown());
}
