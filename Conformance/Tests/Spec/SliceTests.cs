// Do the closed forms of slices, caches and cuts count what the definition shows?
using S2Attn.Spec;
using S2Attn.Spec.Algebra;
using S2Attn.Spec.Claims;

namespace S2Attn.Tests.Spec;

public sealed class SliceTests
{
    private const int MaxTokens = 14;

    public static TheoryData<string> Statements => [.. Theorems.Slices.Select(statement => statement.Name)];

    [Theory]
    [MemberData(nameof(Statements))]
    public void Statements_about_slices_hold_for_all_values_up_to_a_limit(string name)
    {
        Statement statement = Theorems.Slices.Single(statement => statement.Name == name);
        int claimed = 0, rest = statement.Variables.Length - 3, limit = rest == 4 ? 7 : 10;
        foreach ((int n, int g, int s) in SizesOf(MaskPolicy.Split).Where(size => size.N <= limit))
            for (int code = 0; code < (int)Math.Pow(n + 1, rest); code++)
            {
                Int[] values = [n, g, s, .. Enumerable.Range(0, rest).Select(i => (Int)(code / (int)Math.Pow(n + 1, i) % (n + 1)))];
                if (!statement.Claim.Assumes<Int, Bool>(values).Value)
                    continue;
                claimed++;
                Assert.True(statement.Claim.Holds<Int, Bool>(values).Value, $"{name} ({statement.Text}) fails at {string.Join(' ', statement.Variables.Zip(values))}.");
            }

        Assert.True(claimed > 100, $"{name} claims something at {claimed} points only.");
    }

    [Fact]
    public void Only_Split_is_prefix_stable() => Assert.Equal([MaskPolicy.Split], MaskPolicies.All.Where(mask => mask.IsPrefixStable()));

    [Fact]
    public void Keys_needed_are_the_first_and_the_last_that_a_query_of_the_range_sees()
    {
        foreach (MaskPolicy mask in MaskPolicies.All)
            foreach ((int n, int g, int s) in SizesOf(mask))
                for (int t0 = 0; t0 < n; t0++)
                    for (int t1 = t0 + 1; t1 <= n; t1++)
                    {
                        int[] seen = [.. Enumerable.Range(0, n).Where(u => Enumerable.Range(t0, t1 - t0).Any(t => Visible(mask, n, g, s, t, u)))];
                        TokenRange<Int> keys = Slices.KeysNeeded<Int, Bool>(mask, n, g, s, t0, t1);
                        Assert.True((seen[0], seen[^1] + 1) == (keys.Start.Value, keys.End.Value), $"{mask} N={n} G={g} S={s} [{t0},{t1}): {keys}, but keys {seen[0]} to {seen[^1]} are seen");
                    }
    }

    [Fact]
    public void Keys_alive_are_those_that_this_or_a_later_query_sees()
    {
        foreach ((int n, int g, int s) in SizesOf(MaskPolicy.Split))
            for (int t = 0; t < n; t++)
            {
                int alive = Enumerable.Range(0, t + 1).Count(u => Enumerable.Range(t, n - t).Any(later => Visible(MaskPolicy.Split, n, g, s, later, u)));
                // The cache must also keep a key that only later tokens of the same run will see: none is dropped before the run ends.
                Assert.Equal(alive, Slices.KeysAlive<Int, Bool>(g, s, t).Value);
                Assert.InRange(alive, 1, g);
            }
    }

    [Theory]
    [InlineData(2, 4, 2, 1)]
    [InlineData(1, 4, 1, 1)]
    [InlineData(3, 6, 3, 2)]
    [InlineData(1, 2, 2, 1)]
    public void Traffic_of_a_cut_is_what_shifted_heads_see_across_it(int batch, int heads, int kvHeads, int kvHeadsRead)
    {
        foreach ((int n, int g, int s) in SizesOf(MaskPolicy.Split).Where(size => size.N > size.G))
        {
            S2Config config = S2Config.Create(new S2Request
            {
                Batch = batch,
                Tokens = n,
                Heads = heads,
                KvHeads = kvHeads,
                HeadDim = 5,
                GroupSize = GroupSizeRule.Of(g),
                Shift = s,
                Mask = MaskPolicy.Split,
            });
            for (int cut = g; cut < n; cut += g)
            {
                int rows = (from head in Enumerable.Range(0, heads)
                            from u in Enumerable.Range(0, cut)
                            where Enumerable.Range(cut, n - cut).Any(t => Visibility.Visible(config, head, t, u))
                            select (config.KvHeadOf(head), u)).Distinct().Count();
                Assert.Equal(s > 0 ? kvHeadsRead * (g - s) : 0, rows);
                Assert.Equal(2L * batch * rows * 5, Slices.TrafficOfCut(config));
            }
        }
    }

    /// <summary>It took the largest shift of all heads, and so the shortest halo, where heads have shifts of their own. The tokens of a prefix, which end where the halo begins or before, cross once for each kv head.</summary>
    [Fact]
    public void Traffic_of_a_cut_follows_the_longest_halo_of_each_kv_head()
    {
        foreach (HeadShift heads in new[] { HeadShift.Each([0, 3, 1, 7]), HeadShift.Each([0, 0, 5, 5]), HeadShift.Phased(4), HeadShift.Phased(2, isRotated: true) })
            foreach (int prefix in new[] { 0, 1, 8 })
            {
                S2Config config = S2Config.Create(new() { Tokens = 30, Heads = 4, KvHeads = 2, HeadDim = 5, GroupSize = GroupSizeRule.Of(8), Mask = MaskPolicy.Split, ShiftedHeads = heads, Prefix = prefix });
                int rows = (from head in Enumerable.Range(0, 4)
                            from u in Enumerable.Range(0, 16)
                            where Enumerable.Range(16, 14).Any(t => Visibility.Visible(config, head, t, u))
                            select (config.KvHeadOf(head), u)).Distinct().Count();
                Assert.Equal(2L * rows * 5, Slices.TrafficOfCut(config));
            }
    }

    [Fact]
    public void First_key_needed_of_a_kv_head_is_that_of_the_head_that_looks_back_furthest()
    {
        S2Config config = S2Config.Create(new S2Request { Tokens = 12, Heads = 4, KvHeads = 1, HeadDim = 1, GroupSize = GroupSizeRule.Of(4), Mask = MaskPolicy.Split });
        Assert.Equal([0, 0, 0, 0, 2, 2, 4, 4, 6, 6, 8, 8], Enumerable.Range(0, 12).Select(t => Slices.FirstKeyNeeded(config, 0, t)));
        Assert.Equal(new TokenRange<int>(2, 6), Slices.KeysNeeded(config, 4, 6));
    }

    /// <summary>N = 12, G = 4, S = 2, two heads, of which the second shifts: queries [5, 7) see keys 2 to 6. Each end at the last value that is allowed, and at the first that is not.</summary>
    [Theory]
    [InlineData(5, 7, null, null, "")]
    [InlineData(5, 7, 2, 7, "")]
    [InlineData(5, 7, 0, 12, "")]
    [InlineData(0, 12, 0, 12, "")]
    [InlineData(11, 12, null, null, "")]
    [InlineData(5, 7, -1, null, "FirstKey = -1: must be from 0 to 2")]
    [InlineData(5, 7, 3, null, "FirstKey = 3: must be from 0 to 2")]
    [InlineData(5, 7, null, 6, "EndKey = 6: must be at least 7")]
    [InlineData(5, 7, null, 13, "EndKey = 13: must be at most Tokens = 12")]
    [InlineData(-1, 7, null, null, "FirstQuery = -1: must be at least 0")]
    [InlineData(5, 5, null, null, "EndQuery = 5: must be more than FirstQuery = 5")]
    [InlineData(5, 4, null, null, "EndQuery = 4: must be more than FirstQuery = 5")]
    [InlineData(5, 13, null, null, "EndQuery = 13: must be at most Tokens = 12")]
    public void Each_end_of_a_slice_is_checked(int firstQuery, int endQuery, int? firstKey, int? endKey, string expected)
    {
        S2Config config = S2Config.Create(new S2Request { Tokens = 12, Heads = 2, HeadDim = 1, GroupSize = GroupSizeRule.Of(4), Mask = MaskPolicy.Split });
        SliceRequest request = new() { FirstQuery = firstQuery, EndQuery = endQuery, FirstKey = firstKey, EndKey = endKey };
        Assert.Equal(expected, Told(S2Slice.TryCreate(config, request)));

        // Of a text that may still grow no end is too far, but all others hold.
        bool isTooFar = expected.Contains("at most Tokens", StringComparison.Ordinal);
        Assert.Equal(isTooFar ? "" : expected, Told(S2Slice.TryCreate(config, request with { IsUnbounded = true })));

        string Told(SliceResult result) => result is SliceResult.Invalid invalid ? Start(invalid.ToString(), expected) : "";

        static string Start(string text, string like) => text.StartsWith(like, StringComparison.Ordinal) ? like : text;
    }

    /// <summary>Queries [5, 7) with the keys [2, 7) that they need. Where its head shifts, the run of query 5 begins at 2 and that of query 6 at 6; where not, both see keys from 4 on.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_slice_has_the_rows_of_its_queries(bool isUnbounded)
    {
        S2Config config = S2Config.Create(new S2Request { Tokens = 12, Heads = 2, HeadDim = 1, GroupSize = GroupSizeRule.Of(4), Mask = MaskPolicy.Split });
        S2Slice slice = S2Slice.Create(config, new() { FirstQuery = 5, EndQuery = 7, IsUnbounded = isUnbounded });
        Assert.Equal((2, 5), (slice.QueryCount, slice.KeyCount));
        foreach ((int head, int t, string keys) in new[] { (0, 5, "4 5"), (0, 6, "4 5 6"), (1, 5, "2 3 4 5"), (1, 6, "6") })
        {
            Func<int, int, bool> visible = slice.VisibleIn(head);
            Assert.Equal(keys, string.Join(' ', Enumerable.Range(2, 5).Where(u => slice.Visible(head, t, u))));
            Assert.Equal(keys, string.Join(' ', Enumerable.Range(2, 5).Where(u => visible(t, u))));
        }

        Assert.Equal((12, 12, false), (S2Slice.Whole(config).QueryCount, S2Slice.Whole(config).KeyCount, S2Slice.Whole(config).IsUnbounded));
    }

    /// <summary>Under policies that join the first run and the last, in a head that shifts by 2: query 0 sees 10 and 11 under LocalCausal. Query 3 of both heads needs keys 0 to 3 and 2 to 5.</summary>
    [Fact]
    public void What_the_wrap_joins_is_seen_in_a_slice()
    {
        S2Request request = new() { Tokens = 12, Heads = 2, HeadDim = 1, GroupSize = GroupSizeRule.Of(4), Mask = MaskPolicy.LocalCausal };
        Assert.Equal("0 10 11", string.Join(' ', Enumerable.Range(0, 12).Where(u => S2Slice.Whole(S2Config.Create(request)).Visible(1, 0, u))));
        Assert.Equal(new TokenRange<int>(0, 6), Slices.KeysNeeded(S2Config.Create(request with { Mask = MaskPolicy.Bidirectional }), 3, 4));
    }

    private static bool Visible(MaskPolicy mask, int n, int g, int s, int t, int u) => Visibility.Visible<Int, Bool>(mask, n, g, s, t, u).Value;

    private static IEnumerable<(int N, int G, int S)> SizesOf(MaskPolicy mask) =>
        Theorems.Catalogue.Single(theorem => theorem.Name == $"Diagonal.{mask}").SizesUpTo(MaxTokens);
}
