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
                        ShiftedHeads = new[] { HeadShift.SecondHalf, HeadShift.All, HeadShift.None }[seed % 3],
                    });
                    long pairs = 0;
                    for (int b = 0; b < batch; b++)
                        for (int h = 0; h < heads; h++)
                            for (int t = 0; t < tokens; t++)
                                for (int u = 0; u < tokens; u++)
                                    pairs += Visibility.Visible(config, h, t, u) ? 1 : 0;
                    Assert.Equal((pairs, 4.0 * dim * pairs, 10.0 * dim * pairs), (Costs.VisiblePairs(config), Costs.ForwardFlops(config), Costs.BackwardFlops(config)));
                }
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

    [Fact]
    public void The_largest_tensor_is_accepted() =>
        Assert.IsType<ConfigResult.Valid>(S2Config.TryCreate(new() { Batch = 1 << 15, Tokens = 1 << 30, HeadDim = 1, GroupSize = GroupSizeRule.Of(1), Mask = MaskPolicy.Split }));

    /// <summary>A configuration and the request that it gives are the same, field by field; so is the request of a packed sequence as long as the configuration's.</summary>
    [Fact]
    public void A_configuration_is_made_again_from_its_own_request()
    {
        foreach (double scale in new[] { 0.25, -0.25, 0.0, -1e300, 1e-300 })
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
}
