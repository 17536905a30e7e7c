// Is a claim that is false at exactly one place refuted there, wherever it lies: first, last x, last y, largest size?
using S2Attn.Conformance.Proofs;
using S2Attn.Conformance.Running;
using S2Attn.Spec;
using S2Attn.Spec.Algebra;
using S2Attn.Spec.Claims;
using Outcome = S2Attn.Conformance.Running.Outcome;

namespace S2Attn.Tests.Spec;

public sealed class RefutationTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(5)]
    public void The_one_pair_at_which_a_claim_fails_is_found_wherever_it_lies(int n)
    {
        for (int x = 0; x < n; x++)
            for (int y = 0; y < n; y++)
            {
                Theorem theorem = FalseAt(new(n, 1, 0, x, y));
                Assert.True(theorem.TryRefute(n, 1, 0, out Witness witness));
                Assert.Equal(new Witness(n, 1, 0, x, y), witness);
                Assert.Equal($"N={n} G=1 S=0 x={x} y={y}", witness.ToString());
                Assert.False(theorem.TryRefute(n + 1, 1, 0, out witness));
                Assert.Equal(default, witness);
            }
    }

    /// <summary>The first pair in order of x, then y.</summary>
    [Fact]
    public void Of_several_pairs_the_first_is_told()
    {
        Theorem theorem = Of(new Everywhere(false));
        Assert.True(theorem.TryRefute(3, 2, 1, out Witness witness));
        Assert.Equal(new Witness(3, 2, 1, 0, 0), witness);
    }

    [Fact]
    public void The_one_size_at_which_a_claim_fails_is_found_wherever_it_lies()
    {
        foreach ((int n, int g, int s) in new[] { (1, 1, 0), (2, 2, 1), (7, 3, 0), (24, 1, 0), (24, 24, 0), (24, 24, 23), (24, 13, 12) })
            foreach ((int x, int y) in new[] { (0, 0), (n - 1, 0), (0, n - 1), (n - 1, n - 1) })
            {
                PropertyResult row = Row(FalseAt(new(n, g, s, x, y)));
                Assert.Equal((Outcome.Fails, $"N={n} G={g} S={s} x={x} y={y}"), (row.Outcome, row.Counterexample.Single().Case));
                Assert.True(row.IsBad);
            }
    }

    [Fact]
    public void A_true_claim_holds_and_counts_every_size()
    {
        PropertyResult row = Row(Of(new Everywhere(true)));
        Assert.Equal(Outcome.Holds, row.Outcome);
        Assert.Empty(row.Counterexample);
        Assert.True(row.Cases > 2600, $"{row.Cases} sizes");
    }

    [Fact]
    public void A_claim_that_is_called_false_but_holds_everywhere_fails_its_row()
    {
        PropertyResult row = Row(Of(new Everywhere(true)) with { IsTrue = false });
        Assert.Equal(Outcome.Fails, row.Outcome);
        Assert.Contains("holds for all sizes up to N = 24", row.Counterexample.Single().Reason, StringComparison.Ordinal);
        Assert.Equal(Outcome.Holds, Row(FalseAt(new(24, 24, 23, 23, 23)) with { IsTrue = false }).Outcome);
    }

    [Fact]
    public void A_claim_about_no_size_fails_its_row()
    {
        PropertyResult row = Row(new("nothing", 0, "nothing", "nowhere", IsTrue: true, new Nowhere()));
        Assert.Equal((Outcome.Fails, 0), (row.Outcome, row.Cases));
    }

    [Fact]
    public void A_statement_that_is_false_at_one_corner_is_refuted_there()
    {
        foreach (long[] corner in new[] { new long[] { 0, 0, 0 }, [3, 0, 0], [0, 0, 3], [0, 3, 0], [3, 3, 3], [1, 2, 3] })
            Assert.Equal(corner, new Statement("one", "", "", ["a", "b", "c"], new FalseAtPoint(corner)).Refutation(0, 3));
        Assert.Empty(new Statement("one", "", "", ["a", "b", "c"], new FalseAtPoint([4, 0, 0])).Refutation(0, 3));
        Assert.Equal(-2, new Statement("one", "", "", ["a"], new FalseAtPoint([-2])).Refutation(-2, 3).Single());
    }

    /// <summary>A solver's word is taken only for a point inside of the region at which the claim fails.</summary>
    [Fact]
    public void A_counterexample_is_confirmed_only_where_it_is_one()
    {
        Theorem theorem = FalseAt(new(4, 2, 1, 3, 3));
        Assert.True(Counterexamples.Confirm(theorem, new(4, 2, 1, 3, 3)).IsConfirmed);
        foreach (Witness other in new Witness[] { new(4, 2, 1, 3, 2), new(4, 2, 1, 4, 3), new(4, 2, 1, 3, 4), new(4, 2, 1, -1, 3), new(4, 2, 1, 3, -1), new(4, 2, 2, 3, 3), new(4, 5, 1, 3, 3) })
            Assert.False(Counterexamples.Confirm(theorem, other).IsConfirmed, other.ToString());
    }

    private static PropertyResult Row(Theorem theorem) =>
        TheoremRunner.Run(new SuiteOptions(), [theorem]).OfType<SuiteEvent.Finished>().Single().Result;

    internal static Theorem Of(IClaim claim) => new("claim", 0, "a claim", "every N, 1 <= G <= N, 0 <= S < G", IsTrue: true, claim);

    internal static Theorem FalseAt(Witness witness) => Of(new FalseAtOne(witness));

    internal sealed record Everywhere(bool IsTrue) : IClaim
    {
        public B Region<I, B>(Sizes<I> sizes)
            where I : IInteger<I, B>
            where B : IProposition<B>
            => Regions.Valid<I, B>(sizes);

        public B Holds<I, B>(Sizes<I> sizes, I x, I y)
            where I : IInteger<I, B>
            where B : IProposition<B>
            => B.Of(IsTrue);
    }

    private sealed record Nowhere : IClaim
    {
        public B Region<I, B>(Sizes<I> sizes)
            where I : IInteger<I, B>
            where B : IProposition<B>
            => B.Of(false);

        public B Holds<I, B>(Sizes<I> sizes, I x, I y)
            where I : IInteger<I, B>
            where B : IProposition<B>
            => B.Of(true);
    }

    private sealed record FalseAtOne(Witness At) : IClaim
    {
        public B Region<I, B>(Sizes<I> sizes)
            where I : IInteger<I, B>
            where B : IProposition<B>
            => Regions.Valid<I, B>(sizes);

        public B Holds<I, B>(Sizes<I> sizes, I x, I y)
            where I : IInteger<I, B>
            where B : IProposition<B>
            => !(I.Equal(sizes.N, At.N) & I.Equal(sizes.G, At.G) & I.Equal(sizes.S, At.S) & I.Equal(x, At.X) & I.Equal(y, At.Y));
    }

    private sealed record FalseAtPoint(long[] At) : IStatement
    {
        public B Assumes<I, B>(IReadOnlyList<I> values)
            where I : IInteger<I, B>
            where B : IProposition<B>
            => B.Of(true);

        public B Holds<I, B>(IReadOnlyList<I> values)
            where I : IInteger<I, B>
            where B : IProposition<B>
            => !values.Select((value, i) => I.Equal(value, At[i])).Aggregate(B.Of(true), (all, one) => all & one);
    }
}
