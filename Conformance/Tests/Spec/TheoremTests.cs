// Does every theorem of Spec hold, and every false claim fail, at all small sizes?
using S2Attn.Spec;
using S2Attn.Spec.Algebra;

namespace S2Attn.Tests.Spec;

public sealed class TheoremTests
{
    private const int MaxTokens = 24;

    public static TheoryData<string> TrueTheorems => [.. Theorems.True().Select(theorem => theorem.Name)];

    public static TheoryData<string> FalseClaims => [.. Theorems.False().Select(theorem => theorem.Name)];

    [Theory]
    [MemberData(nameof(TrueTheorems))]
    public void True_theorems_hold_for_all_sizes_up_to_24_tokens(string name)
    {
        Theorem theorem = Named(name);
        int sizes = 0;
        foreach ((int n, int g, int s) in theorem.SizesUpTo(MaxTokens))
        {
            sizes++;
            Assert.False(theorem.TryRefute(n, g, s, out Witness witness), $"{name} ({theorem.Statement}) fails at {witness}.");
        }

        Assert.NotEqual(0, sizes);
    }

    [Theory]
    [MemberData(nameof(FalseClaims))]
    public void False_claims_have_a_counterexample_inside_their_region(string name)
    {
        Theorem theorem = Named(name);
        Assert.Contains(theorem.SizesUpTo(MaxTokens), size => theorem.TryRefute(size.N, size.G, size.S, out _));
    }

    [Theory]
    [MemberData(nameof(KernelStatements))]
    public void Statements_for_kernels_hold_for_all_values_up_to_a_limit(string name)
    {
        S2Attn.Spec.Claims.Statement statement = Theorems.Kernel.Single(statement => statement.Name == name);
        Assert.Empty(statement.Refutation(0, statement.Variables.Length <= 6 ? 5 : statement.Variables.Length == 7 ? 4 : 2));
    }

    public static TheoryData<string> KernelStatements => [.. Theorems.Kernel.Select(statement => statement.Name)];

    [Fact]
    public void Names_are_unique() =>
        Assert.Equal(Theorems.Catalogue.Count, Theorems.Catalogue.Select(theorem => theorem.Name).Distinct().Count());

    [Fact]
    public void Costs_equal_a_count_over_all_pairs()
    {
        foreach (MaskPolicy mask in MaskPolicies.All)
            foreach ((int n, int g, int s) in SizesOf(mask))
            {
                long seen = 0, leaking = 0;
                for (int t = 0; t < n; t++)
                    for (int u = 0; u < n; u++)
                        if (Visibility.Visible<Int, Bool>(mask, n, g, s, t, u))
                        {
                            seen++;
                            leaking += u > t ? 1 : 0;
                        }

                Assert.Equal(seen, Costs.VisiblePairs<Int, Bool>(mask, n, g, s).Value);
                if (mask is MaskPolicy.LocalCausal)
                    Assert.Equal(leaking, Costs.LeakingPairs<Int, Bool>(g, s).Value);
            }
    }

    [Fact]
    public void Groups_have_exactly_G_tokens_each()
    {
        foreach ((int n, int g, int s) in SizesOf(MaskPolicy.Bidirectional))
        {
            int[] sizes = new int[n / g];
            for (int t = 0; t < n; t++)
                sizes[IndexMaps.Group<Int, Bool>(n, g, s, t).ToIndex()]++;
            Assert.All(sizes, size => Assert.Equal(g, size));
        }
    }

    private static Theorem Named(string name) => Theorems.Catalogue.Single(theorem => theorem.Name == name);

    private static IEnumerable<(int N, int G, int S)> SizesOf(MaskPolicy mask) =>
        Theorems.Catalogue.Single(theorem => theorem.Name == $"Diagonal.{mask}").SizesUpTo(MaxTokens);
}
