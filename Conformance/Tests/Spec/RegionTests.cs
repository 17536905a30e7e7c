// Does each theorem cover exactly the sizes that its words say, and is nothing of what it says lost unseen?
using System.Collections.Immutable;
using S2Attn.Conformance.Running;
using S2Attn.Spec;
using S2Attn.Spec.Algebra;
using S2Attn.Spec.Claims;
using S2Attn.Tests.Docs;

namespace S2Attn.Tests.Spec;

public sealed class RegionTests
{
    private const int MaxTokens = 24;

    /// <summary>The regions in words, said a second time in C#, and how many (N, G, S) each has up to 24: sums of n (n + 1) / 2, of divisors and the like.</summary>
    private static readonly Dictionary<string, (int Sizes, Func<int, int, int, bool> Covers)> Regions = new()
    {
        ["every N, 1 <= G <= N, 0 <= S < G"] = (2600, (n, g, s) => true),
        ["N = nG, 0 <= S < G"] = (491, (n, g, s) => n % g == 0),
        ["N = nG, 0 < S < G"] = (407, (n, g, s) => n % g == 0 && s > 0),
        ["N = nG, N >= 2, odd G"] = (236, (n, g, s) => n % g == 0 && n >= 2 && g % 2 == 1),
        ["N = nG, 2S = G"] = (35, (n, g, s) => n % g == 0 && 2 * s == g),
        ["N = nG, n >= 2, odd G >= 3, S = G / 2"] = (14, (n, g, s) => n % g == 0 && n / g >= 2 && g % 2 == 1 && g >= 3 && s == g / 2),
        ["N not a multiple of G"] = (2109, (n, g, s) => n % g != 0),
        ["N = G"] = (300, (n, g, s) => n == g),
        ["N = G, S = 0"] = (24, (n, g, s) => n == g && s == 0),
        ["N = G, 0 < S < G"] = (276, (n, g, s) => n == g && s > 0),
        ["every N, S = 0"] = (300, (n, g, s) => s == 0),
        ["every N, 0 < S < G"] = (2300, (n, g, s) => s > 0),
        ["every N, G >= 2, S = G / 2"] = (276, (n, g, s) => g >= 2 && s == g / 2),
    };

    public static TheoryData<string> All => [.. Theorems.Catalogue.Select(theorem => theorem.Name)];

    [Theory]
    [MemberData(nameof(All))]
    public void A_theorem_covers_exactly_the_sizes_of_its_words(string name)
    {
        Theorem theorem = Theorems.Catalogue.Single(theorem => theorem.Name == name);
        (int sizes, Func<int, int, int, bool> covers) = Regions[theorem.Region];
        (int N, int G, int S)[] expected =
        [
            .. from n in Enumerable.Range(1, MaxTokens)
               from g in Enumerable.Range(1, n)
               from s in Enumerable.Range(0, g)
               where covers(n, g, s)
               select (n, g, s),
        ];
        Assert.Equal(sizes, expected.Length);
        Assert.Equal(expected, theorem.SizesUpTo(MaxTokens));
    }

    /// <summary>1 &lt;= G &lt;= N and 0 &lt;= S &lt; G are implied whatever a region says.</summary>
    [Fact]
    public void No_theorem_covers_sizes_that_no_configuration_has() => Assert.All(Theorems.Catalogue, theorem =>
    {
        foreach ((int n, int g, int s) in new[] { (4, 0, 0), (4, 5, 0), (4, 4, 4), (4, 2, 2), (4, 2, -1), (0, 0, 0), (0, 1, 0), (4, -1, -2) })
            Assert.False(theorem.Covers(n, g, s), $"{theorem} covers N={n} G={g} S={s}");
    });

    /// <summary>
    /// Outside of its region a statement holds at some points and fails at others. How many, is recorded: a statement that was weakened until it says nothing still holds inside,
    /// but no longer fails outside.
    /// </summary>
    [Fact]
    public void Each_statement_holds_outside_of_its_region_as_often_as_recorded() => RecordedLines.AssertEqualOrUpdate(
        "Conformance/Tests/Spec/statements.txt",
        "Points (N, G, S, x, y) with N <= 6, G <= 8, S < 9 at which each statement holds, whether they lie in its region or not.",
        Theorems.Catalogue.Select(theorem => (theorem.Name, Held(theorem))));

    private static string Held(Theorem theorem)
    {
        (int holds, int points) = (0, 0);
        for (int n = 1; n <= 6; n++)
            for (int g = 1; g <= 8; g++)
                for (int s = 0; s < 9; s++)
                    for (int x = 0; x < n; x++)
                        for (int y = 0; y < n; y++, points++)
                            holds += theorem.Claim.Holds<Int, Bool>(new(n, g, s), x, y).Value ? 1 : 0;
        return $"{holds} of {points}";
    }

    /// <summary>
    /// The same of the facts about patterns, slices, grids, prefixes and kernels, at points that are drawn about the border of their regions: at how many a fact is claimed, and at how many it holds.
    /// A region that was made smaller still holds, and so does a statement that says less.
    /// </summary>
    [Fact]
    public void Each_fact_is_claimed_and_holds_at_as_many_points_as_recorded() => RecordedLines.AssertEqualOrUpdate(
        "Conformance/Tests/Spec/facts.txt",
        $"Of {Points} points about the border of its region, those at which each fact is claimed, and at which it holds, claimed or not.",
        new[] { Theorems.Patterns, Theorems.Slices, Theorems.Grids, Theorems.Prefixes, Theorems.Kernel }.SelectMany(facts => facts).Select(fact => (fact.Name, ClaimedAndHeld(fact))));

    private const int Points = 500;

    private static string ClaimedAndHeld(Statement fact)
    {
        Random random = new(1);
        (int claimed, int holds) = (0, 0);
        for (int i = 0; i < Points; i++)
        {
            Int[] point = Drawn(random, fact.Variables);
            claimed += fact.Claim.Assumes<Int, Bool>(point).Value ? 1 : 0;
            holds += fact.Claim.Holds<Int, Bool>(point).Value ? 1 : 0;
        }

        return $"claimed at {claimed}, holds at {holds}";
    }

    // Mostly values that a region has, whatever it demands of others, and some one before the first or one behind the last; no divisor is below 1.
    private static Int[] Drawn(Random random, ImmutableArray<string> names)
    {
        const int Most = 6;
        bool isText = names.Any(name => name.StartsWith('N'));
        (int n, int g) = (Most, Most);
        return [.. names.Select(name => new Int(name.TrimEnd('0', '1', '2', '3') switch
        {
            "N" => n = random.Next(1, Most + 1),
            "G" => g = random.Next(2) == 0 ? n / random.Next(1, n + 1) : Math.Max(1, Near(1, n)),
            "S" => Near(0, g - 1),
            "c" => random.Next(3) == 0 ? Near(0, n) : g * random.Next(1, 3),
            "H" or "K" or "M" or "r" => random.Next(1, Most + 1),
            "P" => isText ? Near(0, n) : random.Next(1, Most + 1),
            _ => Near(0, n - 1),
        }))];

        int Near(int first, int last) => random.Next(8) == 0 ? random.Next(first - 1, last + 2) : random.Next(first, last + 1);
    }
}
