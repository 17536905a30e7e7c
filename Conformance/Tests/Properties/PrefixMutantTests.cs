// Does each property about prefixes see a mistake about them, and is each mistake seen?
using System.Collections.Immutable;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Properties;
using S2Attn.Conformance.Running;

namespace S2Attn.Tests.Properties;

public sealed class PrefixMutantTests
{
    private static readonly SuiteOptions Options = new() { Seed = 20230921, Cases = 40, StopAtFirstFailure = true, ShrinkLimit = TimeSpan.Zero };

    [Fact]
    public void Every_mistake_is_seen_and_every_property_sees_one()
    {
        Dictionary<string, string[]> seenBy = [];
        foreach (IAttentionPort mutant in PrefixMutants.All())
            using (mutant)
                seenBy[mutant.Description.Name] = [.. SuiteRunner.Results(Options, PrefixProperties.All, mutant.Description.Name, mutant).Where(result => result.IsBad).Select(result => result.Name)];
        Assert.All(seenBy, pair => Assert.NotEmpty(pair.Value));
        Assert.All(PrefixProperties.All, property => Assert.Contains(seenBy.Values, names => names.Contains(property.Name)));
    }

    /// <summary>A port that does not declare prefixes is not asked, and one that does gets as many cases as of any property.</summary>
    [Fact]
    public void A_port_that_declares_no_prefixes_is_not_asked()
    {
        using ReferencePort right = new();
        using MutantPort silent = new("silent", right.Run) { Description = right.Description with { Capabilities = right.Description.Capabilities with { Prefixes = false } } };
        ImmutableArray<PropertyResult> asked = [.. SuiteRunner.Results(Options, PrefixProperties.All, "reference", right)], notAsked = [.. SuiteRunner.Results(Options, PrefixProperties.All, "silent", silent)];
        Assert.All(asked, result => Assert.True(result.Outcome is Outcome.Holds && result.Cases >= Options.Cases / 2, $"{result.Name}: {result.Outcome} {result.Cases} {string.Join("; ", result.Counterexample)}"));
        Assert.All(notAsked, result => Assert.Equal((Outcome.Unsupported, 0), (result.Outcome, result.Cases)));
    }
}
