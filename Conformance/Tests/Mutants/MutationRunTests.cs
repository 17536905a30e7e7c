// Does the suite kill every mutant as it is run by default?
using S2Attn.Cli;
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

    /// <summary>One survivor among mutants that are found is enough: with a single case for each property some escape.</summary>
    [Fact]
    public void A_survivor_ends_the_command_with_1()
    {
        SuiteOptions few = new() { Cases = 1, Seed = 1 };
        MutantResult[] results = [.. MutationRun.UntilKilled(few, [.. MutantCatalogue.All.Where(mutant => mutant.Name.Contains("full-attention", StringComparison.Ordinal))])];
        Assert.Contains(results, result => result.KilledBy.IsEmpty);
        Assert.Contains(results, result => !result.KilledBy.IsEmpty);
        string[] arguments = ["--cases", "1", "--seed", "1", "--filter"];
        Assert.Equal(1, MutantsCommand.Create().Parse([.. arguments, "full-attention"]).Invoke());
        string found = results.First(result => !result.KilledBy.IsEmpty && results.Count(other => other.Mutant.Name.Contains(result.Mutant.Name, StringComparison.Ordinal)) == 1).Mutant.Name;
        Assert.Equal(0, MutantsCommand.Create().Parse([.. arguments, found]).Invoke());
    }
}
