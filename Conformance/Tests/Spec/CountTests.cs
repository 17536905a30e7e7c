// Do Spec's closed forms count what there is to count, for every small size and not for a few rows of a table?
using S2Attn.Spec;

namespace S2Attn.Tests.Spec;

public sealed class CountTests
{
    /// <summary>Pairs counted one by one over batch, head, query and key; 4 D operations each forward and 10 D backward, however many kv heads there are.</summary>
    [Fact]
    public void Pairs_and_operations_are_counted_for_every_shape()
    {
        int seed = 0;
        foreach (MaskPolicy mask in MaskPolicies.All)
            for (int heads = 1; heads <= 17; heads++)
                foreach (int kvHeads in Enumerable.Range(1, heads).Where(kv => heads % kv == 0))
                {
                    int batch = 1 + seed % 19, groupSize = 1 + seed % 5, tokens = groupSize * (1 + seed % 3), dim = 1 + seed++ % 7;
                    S2Config config = S2Config.Create(new()
                    {
                        Batch = batch,
                        Tokens = tokens,
                        Heads = heads,
                        KvHeads = kvHeads,
                        HeadDim = dim,
                        GroupSize = GroupSizeRule.Of(groupSize),
                        Mask = mask,
                        ShiftedHeads = Choice(seed % 6, heads, groupSize),
                    });
                    long pairs = 0;
                    for (int b = 0; b < batch; b++)
                        for (int h = 0; h < heads; h++)
                            for (int t = 0; t < tokens; t++)
                                for (int u = 0; u < tokens; u++)
                                    pairs += Visibility.Visible(config, h, t, u) ? 1 : 0;
                    Assert.Equal((pairs, 4.0 * dim * pairs, 10.0 * dim * pairs), (Costs.VisiblePairs(config), Costs.ForwardFlops(config), Costs.BackwardFlops(config)));
                }

        static HeadShift Choice(int of, int heads, int groupSize) => of switch
        {
            0 => HeadShift.SecondHalf,
            1 => HeadShift.All,
            2 => HeadShift.None,
            3 => HeadShift.Each(Enumerable.Range(0, heads).Select(head => (7 * head + 3) % groupSize)),
            4 => HeadShift.Phased(1 + heads % 5),
            _ => HeadShift.Phased(2, isRotated: true),
        };
    }

    /// <summary>The heads that shift are the last H - H div 2, for every H.</summary>
    [Fact]
    public void The_second_half_shifts_for_every_number_of_heads()
    {
        for (int heads = 1; heads <= 130; heads++)
            for (int head = 0; head < heads; head++)
                Assert.Equal(2 * head >= heads - heads % 2, HeadShift.SecondHalf.IsShifted(head, heads));
    }

    /// <summary>Query heads in order fill the kv heads one after the other, H / K each.</summary>
    [Fact]
    public void Kv_heads_are_filled_in_order_for_every_H_and_K()
    {
        for (int kvHeads = 1; kvHeads <= 12; kvHeads++)
            for (int share = 1; share <= 12; share++)
            {
                S2Config config = S2Config.Create(new() { Tokens = 1, Heads = kvHeads * share, KvHeads = kvHeads, HeadDim = 1, GroupSize = GroupSizeRule.Of(1), Mask = MaskPolicy.Split });
                Assert.Equal(Enumerable.Range(0, kvHeads).SelectMany(kvHead => Enumerable.Repeat(kvHead, share)), Enumerable.Range(0, config.Heads).Select(config.KvHeadOf));
            }
    }

    /// <summary>N times 1 / n, for every n and multiple of it, is what Python's int(q_len * ratio) gives: double arithmetic, truncated.</summary>
    [Fact]
    public void The_ratio_rule_computes_in_double()
    {
        for (int parts = 1; parts <= 200; parts++)
            for (int group = 1; group <= 50; group++)
                Assert.Equal((int)Math.Truncate(group * parts * (1.0 / parts)), new GroupSizeRule.Ratio(1.0 / parts).Resolve(group * parts).GroupSize);

        // 1 / 25 is just above the nearest float.
        Assert.Equal((4, 2), new GroupSizeRule.Ratio(0.04).Resolve(100));
    }

    /// <summary>The product of the sizes is checked in more bits than it has, in whichever field the factors stand.</summary>
    [Theory]
    [InlineData(1 << 16, 1 << 16, 1 << 16, 1 << 16)] // 2^64, which is 0 in 64 bits
    [InlineData(1 << 30, 1 << 30, 4, 1)]
    [InlineData(int.MaxValue, int.MaxValue, int.MaxValue, int.MaxValue)]
    [InlineData(1 << 30, 1, 1 << 30, 1 << 5)] // 2^65
    [InlineData(1, 1 << 30, 1 << 15, 2)]
    public void A_product_of_sizes_that_leaves_the_address_space_is_refused(int batch, int tokens, int heads, int headDim)
    {
        S2Request request = new() { Batch = batch, Tokens = tokens, Heads = heads, HeadDim = headDim, GroupSize = GroupSizeRule.Of(1), Mask = MaskPolicy.Split };
        Assert.Contains("Batch*Tokens*Heads*HeadDim = ", $"{Assert.IsType<ConfigResult.Invalid>(S2Config.TryCreate(request))}", StringComparison.Ordinal);
    }

    /// <summary>2^15 sequences of 2^30 tokens that see each other are 2^75 pairs, and operations as a double of that size.</summary>
    [Fact]
    public void Pairs_that_leave_64_bits_are_refused_and_operations_are_not()
    {
        S2Config config = S2Config.Create(new() { Batch = 1 << 15, Tokens = 1 << 30, HeadDim = 1, GroupSize = GroupSizeRule.Of(1 << 30), Mask = MaskPolicy.Bidirectional });
        Assert.Throws<OverflowException>(() => Costs.VisiblePairs(config));
        Assert.Equal((Math.ScaleB(4, 75), Math.ScaleB(10, 75)), (Costs.ForwardFlops(config), Costs.BackwardFlops(config)));
    }

    [Fact]
    public void The_largest_tensor_is_accepted() =>
        Assert.IsType<ConfigResult.Valid>(S2Config.TryCreate(new() { Batch = 1 << 15, Tokens = 1 << 30, HeadDim = 1, GroupSize = GroupSizeRule.Of(1), Mask = MaskPolicy.Split }));

    /// <summary>A configuration and the request that it gives are the same, field by field; so is the request of a packed sequence as long as the configuration's.</summary>
    [Fact]
    public void A_configuration_is_made_again_from_its_own_request()
    {
        foreach (double scale in new[] { 0.25, -0.25, 0.0, 1.0, -1.0, 2.0, -1e300, 1e-300 })
            foreach (int shift in Enumerable.Range(0, 7))
                foreach (HeadShift heads in new[] { HeadShift.None, HeadShift.SecondHalf, HeadShift.All, HeadShift.Of([true, false, false, true]), HeadShift.Of([false, true, true, false]) })
                {
                    S2Config config = S2Config.Create(new()
                    {
                        Tokens = 21,
                        Heads = 4,
                        KvHeads = 2,
                        HeadDim = 3,
                        GroupSize = GroupSizeRule.Of(7),
                        Shift = shift,
                        Mask = MaskPolicy.BidirectionalSplit,
                        ShiftedHeads = heads,
                        Scale = scale,
                    });
                    Assert.Equal(config, S2Config.Create(config.ToRequest()));
                    Assert.Equal(config, S2Config.Create(config.ToRequest().OfPackedSequence(21)));
                    Assert.Equal((7, shift, scale, heads), (config.GroupSize, config.Shift, config.Scale, config.ShiftedHeads));
                }
    }

    /// <summary>
    /// Every field of a packed sequence of every length, counted from the given G and S: one shorter than G is one group, and a shift that it has no tokens for is none, for all heads or each alone.
    /// A head shifts where its shift is above 0.
    /// </summary>
    [Fact]
    public void A_packed_sequence_of_any_length_has_the_shifts_that_it_has_tokens_for()
    {
        foreach (HeadShift heads in new[] { HeadShift.SecondHalf, HeadShift.Of([true, false, true]), HeadShift.Each([5, 0, 2]), HeadShift.Phased(3), HeadShift.Phased(2, isRotated: true) })
            foreach (int? shift in heads.HasOwnShifts ? [null] : Enumerable.Range(0, 7).Select(given => (int?)given))
                for (int tokens = 1; tokens <= 21; tokens++)
                {
                    S2Request request = new() { Tokens = 21, Heads = 3, KvHeads = 1, HeadDim = 2, GroupSize = GroupSizeRule.Of(7), Shift = shift, Mask = MaskPolicy.Split, ShiftedHeads = heads };
                    S2Config whole = S2Config.Create(request), alone = S2Config.Create(request.OfPackedSequence(tokens));
                    int[] expected = [.. Enumerable.Range(0, 3).Select(whole.ShiftOf).Select(of => of < tokens ? of : 0)];
                    Assert.Equal((1, tokens, Math.Min(7, tokens)), (alone.Batch, alone.Tokens, alone.GroupSize));
                    Assert.Equal(expected, Enumerable.Range(0, 3).Select(alone.ShiftOf));
                    if (!heads.HasOwnShifts)
                        continue;
                    Assert.Equal(expected.Max(), alone.Shift);
                    Assert.Equal(expected.Select(of => of > 0), Enumerable.Range(0, 3).Select(head => alone.ShiftedHeads.IsShifted(head, 3)));
                }
    }
}
