// Does every query see of a prefix what it should, once, at the price of the closed form?
using S2Attn.Spec;
using S2Attn.Spec.Algebra;
using S2Attn.Spec.Claims;

namespace S2Attn.Tests.Spec;

public sealed class PrefixTests
{
    private const int MaxTokens = 24;

    public static TheoryData<string> Statements => [.. Theorems.Prefixes.Select(statement => statement.Name)];

    /// <summary>All values up to a small N, and random ones up to 24 tokens.</summary>
    [Theory]
    [MemberData(nameof(Statements))]
    public void Statements_about_prefixes_hold(string name)
    {
        Statement statement = Theorems.Prefixes.Single(statement => statement.Name == name);
        int most = statement.Variables.Length switch { <= 4 => MaxTokens, 5 => 12, 6 => 8, _ => 4 }, claimed = 0;
        for (int n = 1; n <= most; n++)
            for (int g = 1; g <= n; g++)
                for (int s = 0; s < g; s++)
                    for (int others = 0; others < (int)Math.Pow(n + 1, statement.Variables.Length - 3); others++)
                        Check([n, g, s, .. Enumerable.Range(0, statement.Variables.Length - 3).Select(i => (Int)(others / (int)Math.Pow(n + 1, i) % (n + 1)))]);
        Assert.NotEqual(0, claimed);
        claimed = 0;
        Random random = new(7);
        for (int drawn = 0; drawn < 200_000 && claimed < 3000; drawn++)
        {
            int g = random.Next(1, MaxTokens / 2), n = random.Next(3) > 0 ? g * random.Next(1, MaxTokens / g + 1) : random.Next(g, MaxTokens + 1);
            Int[] values = [n, g, random.Next(g), .. statement.Variables.Skip(3).Select(variable => (Int)(variable == "P" && name.StartsWith("PrefixExtremes", StringComparison.Ordinal) ? n : random.Next(n + 1)))];
            Check(values);
        }

        Assert.Equal(3000, claimed);

        void Check(Int[] values)
        {
            if (!statement.Claim.Assumes<Int, Bool>(values).Value)
                return;
            claimed++;
            Assert.True(statement.Claim.Holds<Int, Bool>(values).Value, $"{name} ({statement.Text}) fails at {string.Join(' ', statement.Variables.Zip(values))}.");
        }
    }

    /// <summary>The definition, counted pair by pair: the closed form of a head, and what a configuration costs.</summary>
    [Theory]
    [MemberData(nameof(MasksAndKinds))]
    public void Costs_equal_a_count_over_all_pairs(MaskPolicy mask, bool isWhole)
    {
        for (int n = 1; n <= 12; n++)
            for (int g = 1; g <= n; g++)
                for (int s = 0; s < g && (mask.CutsWrappedRun() || n % g == 0); s++)
                    for (int p = 0; p <= n; p++)
                    {
                        S2Config config = S2Config.Create(new() { Tokens = n, HeadDim = 1, GroupSize = GroupSizeRule.Of(g), Shift = s, Mask = mask, ShiftedHeads = HeadShift.All, Prefix = p, IsPrefixWhole = isWhole });
                        int pairs = 0;
                        for (int t = 0; t < n; t++)
                            for (int u = 0; u < n; u++)
                            {
                                bool sees = Visibility.Visible(config, 0, t, u), policy = Visibility.Visible<Int, Bool>(mask, n, g, s, t, u);
                                Assert.Equal(policy || (u < p && (u <= t || isWhole || !mask.IsCausal())), sees);
                                pairs += sees ? 1 : 0;
                            }

                        Assert.Equal(pairs, Costs.VisiblePairs(config));
                    }
    }

    public static TheoryData<MaskPolicy, bool> MasksAndKinds
    {
        get
        {
            TheoryData<MaskPolicy, bool> data = [];
            foreach (MaskPolicy mask in MaskPolicies.All)
                foreach (bool isWhole in new[] { false, true })
                    data.Add(mask, isWhole);
            return data;
        }
    }

    [Theory]
    [InlineData(-1, "Prefix = -1: must be at least 0")]
    [InlineData(9, "Prefix = 9: must be at most Tokens = 8")]
    public void A_prefix_outside_of_the_text_is_refused(int prefix, string expected) =>
        Assert.Contains(expected, Assert.Throws<InvalidConfigException>(() => S2Config.Create(Request(prefix))).Message, StringComparison.Ordinal);

    [Fact]
    public void A_grid_has_no_prefix() => Assert.Contains(
        "Prefix = 2: must be 0", Assert.Throws<InvalidConfigException>(() => S2Grid.Create(S2Config.Create(Request(2)), new GridAxis<int>(8, 4, 0))).Message, StringComparison.Ordinal);

    [Fact]
    public void A_configuration_keeps_its_prefix_and_packed_sequences_have_their_own()
    {
        S2Config config = S2Config.Create(Request(5) with { IsPrefixWhole = true });
        Assert.Equal(config, S2Config.Create(config.ToRequest()));
        Assert.NotEqual(config, S2Config.Create(Request(5)));
        Assert.Equal(S2Config.Create(Request(0)), S2Config.Create(Request(0) with { IsPrefixWhole = true }));
        Assert.Equal((3, 3), (config.ToRequest().OfPackedSequence(3).Prefix, S2Config.Create(config.ToRequest().OfPackedSequence(3)).Tokens));
        Assert.Equal(5, config.ToRequest().OfPackedSequence(8).Prefix);
    }

    /// <summary>A slice begins at key 0, and ends behind a prefix that is seen whole.</summary>
    [Theory]
    [InlineData(0, false, 6, 8, 4, 8)]
    [InlineData(1, false, 6, 8, 0, 8)]
    [InlineData(5, true, 1, 2, 0, 5)]
    [InlineData(5, false, 1, 2, 0, 2)]
    public void A_slice_needs_the_keys_from_0_on(int prefix, bool isWhole, int first, int end, int firstKey, int endKey)
    {
        S2Config config = S2Config.Create(Request(prefix) with { IsPrefixWhole = isWhole });
        foreach (bool grows in new[] { false, true })
        {
            Assert.Equal(new TokenRange<int>(firstKey, endKey), S2Slice.Create(config, new() { FirstQuery = first, EndQuery = end, IsUnbounded = grows }).Keys);
            if (prefix > 0)
                Assert.Contains("FirstKey = 1: must be from 0 to 0", S2Slice.TryCreate(config, new() { FirstQuery = first, EndQuery = end, FirstKey = 1, IsUnbounded = grows }).ToString(), StringComparison.Ordinal);
        }
    }

    /// <summary>A slice that lacks keys is told why from key 0 on: a prefix, and of how many tokens; nothing of it where there is none.</summary>
    [Theory]
    [InlineData(0, "FirstKey = 5: must be from 0 to 4, the first key that a query of the slice sees")]
    [InlineData(3, "FirstKey = 5: must be from 0 to 0, the first key that a query of the slice sees of a prefix of 3")]
    public void A_slice_without_its_first_keys_is_told_of_the_prefix(int prefix, string expected) =>
        Assert.Equal(expected, S2Slice.TryCreate(S2Config.Create(Request(prefix)), new() { FirstQuery = 6, EndQuery = 8, FirstKey = 5 }).ToString());

    private static S2Request Request(int prefix) => new() { Tokens = 8, Heads = 2, HeadDim = 1, GroupSize = GroupSizeRule.Of(4), Shift = 0, Mask = MaskPolicy.Split, Prefix = prefix };
}
