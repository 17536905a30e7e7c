// Does the suite kill every mutant as it is run by default?
using S2Attn.Conformance.Mutants;
using S2Attn.Conformance.Running;

namespace S2Attn.Tests.Mutants;

public sealed class MutationRunTests
{
    [Fact]
    public void Every_mutant_is_killed_at_default_settings()
    {
        string[] survivors = [.. MutationRun.UntilKilled(new SuiteOptions(), MutantCatalogue.All).Where(result => result.KilledBy.IsEmpty).Select(result => result.Mutant.Name)];
        Assert.True(survivors.Length == 0, "survived: " + string.Join(", ", survivors));
    }
}
