// Is what each query sees of a prefix, and each number that follows from it, the one on a sheet of paper? Tables by hand, in literals alone.
using S2Attn.Spec;
using S2Attn.Spec.Algebra;

namespace S2Attn.Tests.Spec;

/// <summary>But where a table says otherwise: N = 12, G = 4, S = 2, whose runs are [0,2), [2,6), [6,10) and [10,12). Under the policies that do not cut, the wrap joins the first and the last.</summary>
public sealed class PrefixTableTests
{
    /// <summary>Keys of each run: its own, those that the wrap joins to it, and those of the prefix, all without the ones before.</summary>
    [Theory]
    [InlineData(MaskPolicy.Split, false, 0, "0+2 - 0; 2+4 - 0; 6+4 - 0; 10+2 - 0")]
    [InlineData(MaskPolicy.Split, false, 3, "0+2 - 0; 2+4 - 2; 6+4 - 3; 10+2 - 3")]
    [InlineData(MaskPolicy.Split, true, 3, "- - 3; 3+3 - 3; 6+4 - 3; 10+2 - 3")]
    [InlineData(MaskPolicy.BidirectionalSplit, false, 7, "- - 7; - - 7; 7+3 - 7; 10+2 - 7")]
    [InlineData(MaskPolicy.LocalCausal, false, 3, "0+2 10+2 0; 2+4 - 2; 6+4 - 3; 10+2 - 3")]
    [InlineData(MaskPolicy.LocalCausal, true, 11, "- 11+1 11; - - 11; - - 11; 11+1 - 11")]
    [InlineData(MaskPolicy.PositionCausal, false, 1, "0+2 - 0; 2+4 - 1; 6+4 - 1; 10+2 1+1 1")]
    [InlineData(MaskPolicy.Bidirectional, false, 1, "1+1 10+2 1; 2+4 - 1; 6+4 - 1; 10+2 1+1 1")]
    [InlineData(MaskPolicy.Bidirectional, true, 12, "- - 12; - - 12; - - 12; - - 12")]
    public void Runs_give_up_the_keys_of_the_prefix(MaskPolicy mask, bool isWhole, int prefix, string runs)
    {
        S2Config config = S2Config.Create(new() { Tokens = 12, HeadDim = 1, GroupSize = GroupSizeRule.Of(4), Mask = mask, ShiftedHeads = HeadShift.All, Prefix = prefix, IsPrefixWhole = isWhole });
        Assert.Equal(4, Segments.Count(config, 0));
        QueryRun<int>[] all = [.. Enumerable.Range(0, 4).Select(k => Segments.Run(config, 0, k))];
        Assert.Equal(runs, string.Join("; ", all.Select(run => $"{Text(run.Own)} {Text(run.Other)} {run.Prefix.Length}")));
        Assert.Equal("0+2; 2+4; 6+4; 10+2", string.Join("; ", all.Select(run => $"{run.Start}+{run.Length}")));
        Assert.All(all, run => Assert.Equal((mask.IsCausal(), false, false, 0), (run.Own.Causal, run.Other.Causal, run.Prefix.Causal, run.Prefix.Start)));
        Assert.Equal(prefix > 0 ? 3 : 2, Segments.OfRun(config));
        Assert.All(Enumerable.Range(0, 4), k => Assert.Equal(new(0, 0, Causal: false), Segments.Run<Int, Bool>(mask, 12, 4, 2, k).Prefix));

        static string Text(KeySegment<int> segment) => segment.Length == 0 ? "-" : $"{segment.Start}+{segment.Length}";
    }

    /// <summary>Keys that queries 0 to 11 see, and their sum, beside a prefix of 3.</summary>
    [Theory]
    [InlineData(MaskPolicy.Split, false, "1 2 3 4 5 6 4 5 6 7 4 5", 52)]
    [InlineData(MaskPolicy.Split, true, "3 3 3 4 5 6 4 5 6 7 4 5", 55)]
    [InlineData(MaskPolicy.LocalCausal, false, "3 4 3 4 5 6 4 5 6 7 4 5", 56)]
    [InlineData(MaskPolicy.LocalCausal, true, "5 5 3 4 5 6 4 5 6 7 4 5", 59)]
    [InlineData(MaskPolicy.PositionCausal, false, "1 2 3 4 5 6 4 5 6 7 4 5", 52)]
    [InlineData(MaskPolicy.PositionCausal, true, "3 3 3 4 5 6 4 5 6 7 4 5", 55)]
    [InlineData(MaskPolicy.Bidirectional, false, "5 5 6 6 6 6 7 7 7 7 5 5", 72)]
    [InlineData(MaskPolicy.BidirectionalSplit, false, "3 3 6 6 6 6 7 7 7 7 5 5", 68)]
    public void Keys_that_each_query_sees(MaskPolicy mask, bool isWhole, string keys, long pairs)
    {
        Assert.Equal(keys, string.Join(' ', Enumerable.Range(0, 12).Select(t => Prefixes.KeysSeen<Int, Bool>(mask, isWhole, 12, 4, 2, 3, t))));
        Assert.Equal(pairs, Prefixes.VisiblePairs<Int, Bool>(mask, isWhole, 12, 4, 2, 3).Value);
    }

    /// <summary>
    /// A prefix of 11: of sinks all 78 pairs in order, and what a policy shows against it; of a whole one 11 keys for each of 12 queries, and key 11 for those to which the policy shows it.
    /// </summary>
    [Theory]
    [InlineData(MaskPolicy.Split, false, 78)]
    [InlineData(MaskPolicy.Split, true, 133)]
    [InlineData(MaskPolicy.LocalCausal, false, 82)]
    [InlineData(MaskPolicy.LocalCausal, true, 135)]
    [InlineData(MaskPolicy.PositionCausal, false, 78)]
    [InlineData(MaskPolicy.PositionCausal, true, 133)]
    [InlineData(MaskPolicy.Bidirectional, false, 136)]
    [InlineData(MaskPolicy.BidirectionalSplit, false, 134)]
    public void Pairs_beside_a_prefix_that_ends_in_the_last_run(MaskPolicy mask, bool isWhole, long pairs) =>
        Assert.Equal(pairs, Prefixes.VisiblePairs<Int, Bool>(mask, isWhole, 12, 4, 2, 11).Value);

    /// <summary>Five sinks, which end inside a run: 21 pairs of the first six queries in order, then 6 7 8 9 and 6 7.</summary>
    [Fact]
    public void Pairs_beside_sinks_that_end_inside_a_run() => Assert.Equal(64, Prefixes.VisiblePairs<Int, Bool>(MaskPolicy.Split, false, 12, 4, 2, 5).Value);

    /// <summary>Of three sinks query 2 sees all, itself among them, and query 1 two.</summary>
    [Fact]
    public void A_sink_sees_itself()
    {
        Assert.Equal("0 1 2", string.Join(' ', Enumerable.Range(0, 5).Where(u => Prefixes.Sees<Int, Bool>(MaskPolicy.Split, false, 3, 2, u))));
        Assert.Equal("0 1", string.Join(' ', Enumerable.Range(0, 5).Where(u => Prefixes.Sees<Int, Bool>(MaskPolicy.Split, false, 3, 1, u))));
    }

    /// <summary>Queries to which keys 0 to 11 are shown by a prefix alone, that has them all.</summary>
    [Theory]
    [InlineData(MaskPolicy.Split, false, "10 10 6 6 6 6 2 2 2 2 0 0")]
    [InlineData(MaskPolicy.Split, true, "10 11 8 9 10 11 8 9 10 11 10 11")]
    [InlineData(MaskPolicy.LocalCausal, false, "10 10 6 6 6 6 2 2 2 2 0 0")]
    [InlineData(MaskPolicy.LocalCausal, true, "10 11 8 9 10 11 8 9 10 11 8 9")]
    [InlineData(MaskPolicy.PositionCausal, false, "8 8 6 6 6 6 2 2 2 2 0 0")]
    [InlineData(MaskPolicy.PositionCausal, true, "8 9 8 9 10 11 8 9 10 11 10 11")]
    [InlineData(MaskPolicy.Bidirectional, false, "8 8 8 8 8 8 8 8 8 8 8 8")]
    [InlineData(MaskPolicy.BidirectionalSplit, true, "10 10 8 8 8 8 8 8 8 8 10 10")]
    public void Queries_that_gain_each_key(MaskPolicy mask, bool isWhole, string queries) =>
        Assert.Equal(queries, string.Join(' ', Enumerable.Range(0, 12).Select(u => Prefixes.QueriesGained<Int, Bool>(mask, isWhole, 12, 4, 2, u))));

    /// <summary>N = 8, G = 4, S = 0: nothing is joined. A head that does not shift is no head that shifts by a group.</summary>
    [Theory]
    [InlineData(MaskPolicy.LocalCausal, true, "2 2 3 4 3 4 5 6", "4 5 6 7 4 5 6 7", 29)]
    [InlineData(MaskPolicy.PositionCausal, false, "1 2 3 4 3 4 5 6", "4 4 4 4 0 0 0 0", 28)]
    [InlineData(MaskPolicy.Bidirectional, true, "4 4 4 4 6 6 6 6", "4 4 4 4 4 4 4 4", 40)]
    public void Without_a_shift_nothing_is_joined(MaskPolicy mask, bool isWhole, string keys, string queries, long pairs)
    {
        Assert.Equal(keys, string.Join(' ', Enumerable.Range(0, 8).Select(t => Prefixes.KeysSeen<Int, Bool>(mask, isWhole, 8, 4, 0, 2, t))));
        Assert.Equal(queries, string.Join(' ', Enumerable.Range(0, 8).Select(u => Prefixes.QueriesGained<Int, Bool>(mask, isWhole, 8, 4, 0, u))));
        Assert.Equal(pairs, Prefixes.VisiblePairs<Int, Bool>(mask, isWhole, 8, 4, 0, 2).Value);
    }

    /// <summary>Pairs of the runs before runs 0 to 3: triangles of 2 and of 4, or their squares, and with what the wrap joins to the first run.</summary>
    [Theory]
    [InlineData(MaskPolicy.Split, "0 3 13 23")]
    [InlineData(MaskPolicy.PositionCausal, "0 3 13 23")]
    [InlineData(MaskPolicy.LocalCausal, "0 7 17 27")]
    [InlineData(MaskPolicy.BidirectionalSplit, "0 4 20 36")]
    [InlineData(MaskPolicy.Bidirectional, "0 8 24 40")]
    public void Pairs_of_the_runs_before(MaskPolicy mask, string pairs) =>
        Assert.Equal(pairs, string.Join(' ', Enumerable.Range(0, 4).Select(k => Costs.VisiblePairsBefore<Int, Bool>(mask, 12, 4, 2, k))));

    /// <summary>Pairs of the first 0, 1 and 2 rows of a run.</summary>
    [Theory]
    [InlineData(MaskPolicy.Split, 1, "0 1 3")]
    [InlineData(MaskPolicy.BidirectionalSplit, 1, "0 4 8")]
    [InlineData(MaskPolicy.LocalCausal, 0, "0 3 7")]
    [InlineData(MaskPolicy.Bidirectional, 3, "0 4 8")]
    public void Pairs_of_the_first_rows(MaskPolicy mask, int k, string pairs) =>
        Assert.Equal(pairs, string.Join(' ', Enumerable.Range(0, 3).Select(rows => Costs.VisiblePairsOfRows<Int, Bool>(Segments.Run<Int, Bool>(mask, 12, 4, 2, k), rows))));

    /// <summary>Under Split beside a prefix of 3: keys up to queries 0 to 11 that one of them or a later one needs.</summary>
    [Fact]
    public void Keys_alive() => Assert.Equal("1 2 3 4 5 6 4 5 6 7 4 5", string.Join(' ', Enumerable.Range(0, 12).Select(t => Prefixes.KeysAlive<Int, Bool>(4, 2, 3, t))));

    [Theory]
    [InlineData(MaskPolicy.Split, false, 0, 7, 9, 6, 9)]
    [InlineData(MaskPolicy.Split, false, 1, 7, 9, 0, 9)]
    [InlineData(MaskPolicy.Split, true, 8, 7, 9, 0, 9)]
    [InlineData(MaskPolicy.Split, true, 10, 7, 9, 0, 10)]
    [InlineData(MaskPolicy.Split, false, 10, 7, 9, 0, 9)]
    [InlineData(MaskPolicy.Bidirectional, false, 0, 3, 5, 2, 6)]
    [InlineData(MaskPolicy.Bidirectional, false, 11, 3, 5, 0, 11)]
    [InlineData(MaskPolicy.Bidirectional, false, 3, 1, 2, 0, 12)]
    [InlineData(MaskPolicy.Bidirectional, false, 0, 10, 11, 0, 12)]
    [InlineData(MaskPolicy.LocalCausal, false, 0, 1, 3, 0, 12)]
    [InlineData(MaskPolicy.PositionCausal, false, 0, 9, 11, 0, 11)]
    [InlineData(MaskPolicy.PositionCausal, false, 0, 1, 3, 0, 3)]
    public void Keys_that_a_range_of_queries_needs(MaskPolicy mask, bool isWhole, int prefix, int t0, int t1, int first, int end)
    {
        TokenRange<Int> keys = Prefixes.KeysNeeded<Int, Bool>(mask, isWhole, 12, 4, 2, prefix, t0, t1);
        Assert.Equal((first, end), (keys.Start.ToIndex(), keys.End.ToIndex()));
    }

    /// <summary>Keys of a prefix of p that go over a cut: to those behind it, and to those before it.</summary>
    [Theory]
    [InlineData(MaskPolicy.Split, false, 3, 4, 3, 0)]
    [InlineData(MaskPolicy.Split, false, 6, 4, 4, 0)]
    [InlineData(MaskPolicy.Split, true, 6, 4, 4, 2)]
    [InlineData(MaskPolicy.Split, true, 3, 4, 3, 0)]
    [InlineData(MaskPolicy.Bidirectional, false, 6, 4, 4, 2)]
    public void Keys_of_a_prefix_that_cross_a_cut(MaskPolicy mask, bool isWhole, int prefix, int cut, int right, int left) =>
        Assert.Equal((right, left), (Prefixes.KeysToTheRight<Int, Bool>(prefix, cut).ToIndex(), Prefixes.KeysToTheLeft<Int, Bool>(mask, isWhole, prefix, cut).ToIndex()));

    /// <summary>Which keys a text without an end shows to query 5, of 0 to 8: its run begins at 2.</summary>
    [Theory]
    [InlineData(false, 0, "2 3 4 5")]
    [InlineData(false, 1, "0 2 3 4 5")]
    [InlineData(false, 8, "0 1 2 3 4 5")]
    [InlineData(true, 8, "0 1 2 3 4 5 6 7")]
    public void A_text_without_an_end_shows_its_prefix(bool isWhole, int prefix, string keys) =>
        Assert.Equal(keys, string.Join(' ', Enumerable.Range(0, 9).Where(u => Prefixes.Visible<Int, Bool>(isWhole, 4, 2, prefix, 5, u).Value)));

    /// <summary>Rows before a cut, G - S where the head shifts; and elements of B = 2, D = 5 and two kv heads, of which the second alone is read by heads that shift by 1: 2 B 3 D, and with a prefix of 2 2 B (3 + 2 + 2) D.</summary>
    [Fact]
    public void Halo_and_traffic_of_a_cut()
    {
        Assert.Equal("0 3 2 1", string.Join(' ', Enumerable.Range(0, 4).Select(s => Slices.Halo<Int, Bool>(4, s))));
        S2Request request = new() { Batch = 2, Tokens = 12, Heads = 4, KvHeads = 2, HeadDim = 5, GroupSize = GroupSizeRule.Of(4), Shift = 1, Mask = MaskPolicy.Split };

        // Both kv heads are read by heads that shift, and one by a head that does and a head that does not.
        Assert.Equal(120, Slices.TrafficOfCut(S2Config.Create(request with { ShiftedHeads = HeadShift.All })));
        Assert.Equal(60, Slices.TrafficOfCut(S2Config.Create(request with { KvHeads = 1 })));
        Assert.Equal((60, 140), (Slices.TrafficOfCut(S2Config.Create(request)), Slices.TrafficOfCut(S2Config.Create(request with { Prefix = 2 }))));
    }
}
