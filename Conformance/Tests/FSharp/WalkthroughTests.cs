// Does the F# consumer of Spec and Reference compute what it says?
using S2Attn.FSharp;
using S2Attn.Spec;

namespace S2Attn.Tests.FSharp;

public sealed class WalkthroughTests
{
    private static S2Config Config(int tokens, int groupSize, MaskPolicy mask) =>
        Walkthrough.configure(Walkthrough.request(tokens, groupSize, mask)).ResultValue;

    [Fact]
    public void An_invalid_request_matches_as_an_error_with_field_and_rule()
    {
        var result = Walkthrough.configure(Walkthrough.request(16, 5, MaskPolicy.LocalCausal));
        Assert.Equal([Tuple.Create("GroupSize", "must divide Tokens = 16 under LocalCausal")], result.ErrorValue);
    }

    [Fact]
    public void Partial_application_gives_the_map_of_one_size()
    {
        var position = Enumerable.Range(0, 8).Select(token => Walkthrough.position(8, 2, token));
        Assert.Equal([6, 7, 0, 1, 2, 3, 4, 5], position);
    }

    [Fact]
    public void Pipes_find_the_leak_of_LocalCausal_and_none_in_Split()
    {
        Assert.Equal([(0, 6), (0, 7), (1, 6), (1, 7)], Walkthrough.leaks(Config(8, 4, MaskPolicy.LocalCausal), 1).Select(pair => (pair.Item1, pair.Item2)));
        Assert.Empty(Walkthrough.leaks(Config(8, 4, MaskPolicy.Split), 1));
    }

    [Fact]
    public void Every_false_claim_is_refuted()
    {
        var found = Walkthrough.counterexamples(12);
        Assert.Equal(Theorems.False().Select(claim => claim.Name).Order(), found.Keys.Order());
        Assert.Equal("N=2 G=2 S=1 x=0 y=1", found["NoLeakage.LocalCausal"]);
    }

    [Fact]
    public void Reference_is_called_with_the_configuration_first() =>
        Assert.Equal([0.0, 0.5, 2.0, 2.5, 3.0, 3.5, 6.0, 6.5], Walkthrough.meansOfVisible(Config(8, 4, MaskPolicy.Split)));
}
