// Is every number that Spec computes the one that the paper, upstream's code and a sheet of paper give? A table by hand, in literals alone.
using S2Attn.Spec;
using S2Attn.Spec.Algebra;
using S2Attn.Spec.Claims;

namespace S2Attn.Tests.Spec;

public sealed class ArithmeticTableTests
{
    /// <summary>llama_attn_replace.py: group_size = int(q_len * group_size_ratio) with 1/4, shifted by group_size // 2. 100,000 tokens are the paper's longest (section 4).</summary>
    [Theory]
    [InlineData(4, 1, 0)]
    [InlineData(7, 1, 0)]
    [InlineData(8, 2, 1)]
    [InlineData(12, 3, 1)]
    [InlineData(20, 5, 2)]
    [InlineData(1022, 255, 127)]
    [InlineData(1023, 255, 127)]
    [InlineData(2048, 512, 256)]
    [InlineData(8192, 2048, 1024)]
    [InlineData(16384, 4096, 2048)]
    [InlineData(32768, 8192, 4096)]
    [InlineData(65536, 16384, 8192)]
    [InlineData(100000, 25000, 12500)]
    public void The_ratio_rule_is_the_truncated_quarter_and_half_of_it(int tokens, int groupSize, int shift) =>
        Assert.Equal((groupSize, shift), GroupSizeRule.LongLora.Resolve(tokens));

    /// <summary>int() truncates: 3.3 and 3.99 are 3.</summary>
    [Theory]
    [InlineData(10, 0.33, 3, 1)]
    [InlineData(10, 0.399, 3, 1)]
    [InlineData(10, 1.0, 10, 5)]
    [InlineData(9, 0.5, 4, 2)]
    [InlineData(9, 0.05, 0, 0)]
    public void Another_ratio_truncates_too(int tokens, double ratio, int groupSize, int shift) =>
        Assert.Equal((groupSize, shift), new GroupSizeRule.Ratio(ratio).Resolve(tokens));

    [Theory]
    [InlineData(1, 0)]
    [InlineData(2, 1)]
    [InlineData(3, 1)]
    [InlineData(5, 2)]
    [InlineData(2048, 1024)]
    public void A_given_group_size_shifts_by_its_half_rounded_down(int groupSize, int shift) =>
        Assert.Equal((groupSize, shift), GroupSizeRule.Of(groupSize).Resolve(1 << 20));

    /// <summary>llama_attn_replace_sft.py: a quarter where q_len % 4096 == 0, else 8192, and starts past the end are cut to q_len.</summary>
    [Theory]
    [InlineData(1, 1, 0)]
    [InlineData(2047, 2047, 0)]
    [InlineData(2048, 2048, 0)]
    [InlineData(4095, 4095, 0)]
    [InlineData(4096, 1024, 512)]
    [InlineData(4097, 4097, 4096)]
    [InlineData(5000, 5000, 4096)]
    [InlineData(6144, 6144, 4096)]
    [InlineData(8191, 8191, 4096)]
    [InlineData(8192, 2048, 1024)]
    [InlineData(8193, 8192, 4096)]
    [InlineData(10240, 8192, 4096)]
    [InlineData(12288, 3072, 1536)]
    [InlineData(16384, 4096, 2048)]
    [InlineData(20000, 8192, 4096)]
    [InlineData(65536, 16384, 8192)]
    public void The_fine_tuning_rule_is_a_quarter_of_multiples_of_4096_and_else_8192(int tokens, int groupSize, int shift)
    {
        Assert.Equal((groupSize, shift), GroupSizeRule.LongLoraSft.Resolve(tokens));
        S2Config config = S2Config.Create(new() { Tokens = tokens, HeadDim = 1, GroupSize = GroupSizeRule.LongLoraSft, Mask = MaskPolicy.Split });
        Assert.Equal((groupSize, shift), (config.GroupSize, config.Shift));
    }

    /// <summary>In a packed batch a given G is cut to the sequence, and a given S that it has no tokens for is 0; what the other rules choose stays, to be refused where it does not fit.</summary>
    [Fact]
    public void Only_a_given_group_size_is_cut_to_a_packed_sequence()
    {
        Assert.Equal((3, 0), GroupSizeRule.Of(8).ResolvePacked(3, 5));
        Assert.Equal((3, 2), GroupSizeRule.Of(8).ResolvePacked(3, 2));
        Assert.Equal((6, 5), new GroupSizeRule.Ratio(2).ResolvePacked(3, 5));
        Assert.Equal((6, 3), new GroupSizeRule.Ratio(2).ResolvePacked(3, null));
        Assert.Equal((3, 5), GroupSizeRule.LongLoraSft.ResolvePacked(3, 5));
    }

    [Theory]
    [InlineData(1, 1.0)]
    [InlineData(2, 0.7071067811865475)]
    [InlineData(3, 0.5773502691896258)]
    [InlineData(4, 0.5)]
    [InlineData(16, 0.25)]
    [InlineData(64, 0.125)]
    [InlineData(80, 0.11180339887498948)]
    [InlineData(100, 0.1)]
    [InlineData(128, 0.08838834764831843)]
    [InlineData(256, 0.0625)]
    public void The_default_scale_is_one_over_the_root_of_D(int headDim, double scale) =>
        Assert.Equal(scale, Config(4, 4, MaskPolicy.Split, headDim: headDim).Scale, Math.ScaleB(scale, -52));

    [Theory]
    [InlineData(0.0)]
    [InlineData(-0.25)]
    [InlineData(3.5)]
    public void A_given_scale_is_kept(double scale) =>
        Assert.Equal(scale, S2Config.Create(new() { Tokens = 4, HeadDim = 64, GroupSize = GroupSizeRule.Of(4), Mask = MaskPolicy.Split, Scale = scale }).Scale);

    /// <summary>qkv[:, :, num_heads // 2:] is rolled: for one head that is all of it.</summary>
    [Theory]
    [InlineData(1, "1")]
    [InlineData(2, "01")]
    [InlineData(3, "011")]
    [InlineData(5, "00111")]
    [InlineData(8, "00001111")]
    [InlineData(32, "00000000000000001111111111111111")]
    public void The_second_half_of_the_heads_shifts(int heads, string shifted) => Assert.Equal(shifted, Shifted(HeadShift.SecondHalf, heads));

    [Fact]
    public void No_head_all_heads_and_given_heads_shift()
    {
        Assert.Equal("000", Shifted(HeadShift.None, 3));
        Assert.Equal("111", Shifted(HeadShift.All, 3));
        Assert.Equal("100", Shifted(HeadShift.Of([true, false, false]), 3));
        Assert.Equal("0110", Shifted(HeadShift.Of([false, true, true, false]), 4));
        Assert.Equal("[true,false,false]", HeadShift.Of([true, false, false]).ToString());
        Assert.Equal("None, SecondHalf, All", $"{HeadShift.None}, {HeadShift.SecondHalf}, {HeadShift.All}");
        Assert.Equal(HeadShift.Of([true, false]), HeadShift.Of([true, false]));
        Assert.NotEqual(HeadShift.Of([true, false]), HeadShift.Of([false, true]));
        Assert.Equal(HeadShift.Of([true, false]).GetHashCode(), HeadShift.Of([true, false]).GetHashCode());
    }

    /// <summary>Phases 0 and up shift by floor(G p / P), so that the first does not; half a step later every one does.</summary>
    [Fact]
    public void Heads_in_phases_or_with_shifts_of_their_own_shift()
    {
        Assert.Equal("01", Shifted(HeadShift.Phased(2), 2));
        Assert.Equal("00111111", Shifted(HeadShift.Phased(4), 8));
        Assert.Equal("000", Shifted(HeadShift.Phased(1), 3));
        Assert.Equal("11", Shifted(HeadShift.Phased(2, isRotated: true), 2));
        Assert.Equal("1111", Shifted(HeadShift.Phased(1, isRotated: true), 4));
        Assert.Equal("0101", Shifted(HeadShift.Each([0, 3, 0, 1]), 4));

        // Where a group has room for every phase, exactly those heads shift by more than nothing.
        foreach (HeadShift heads in new[] { HeadShift.None, HeadShift.SecondHalf, HeadShift.All, HeadShift.Phased(3), HeadShift.Phased(3, isRotated: true), HeadShift.Phased(5), HeadShift.Each([0, 1, 5, 0, 2, 0]) })
            Assert.All(Enumerable.Range(0, 6), head => Assert.Equal(heads.ShiftOf(head, 6, 32, 7) > 0, heads.IsShifted(head, 6)));
    }

    [Fact]
    public void A_shift_is_of_the_heads_that_shift_alone()
    {
        S2Config config = S2Config.Create(new() { Tokens = 12, Heads = 3, HeadDim = 1, GroupSize = GroupSizeRule.Of(6), Shift = 5, Mask = MaskPolicy.LocalCausal, ShiftedHeads = HeadShift.Of([true, false, true]) });
        Assert.Equal([5, 0, 5], Enumerable.Range(0, 3).Select(config.ShiftOf));
    }

    /// <summary>repeat_kv repeats each kv head H / K times in a row.</summary>
    [Theory]
    [InlineData(1, 1, "0")]
    [InlineData(4, 4, "0 1 2 3")]
    [InlineData(4, 1, "0 0 0 0")]
    [InlineData(6, 3, "0 0 1 1 2 2")]
    [InlineData(8, 2, "0 0 0 0 1 1 1 1")]
    [InlineData(32, 4, "0 0 0 0 0 0 0 0 1 1 1 1 1 1 1 1 2 2 2 2 2 2 2 2 3 3 3 3 3 3 3 3")]
    public void Query_heads_share_a_kv_head_with_their_neighbours(int heads, int kvHeads, string expected)
    {
        S2Config config = S2Config.Create(new() { Tokens = 4, Heads = heads, KvHeads = kvHeads, HeadDim = 1, GroupSize = GroupSizeRule.Of(4), Mask = MaskPolicy.Split });
        Assert.Equal(expected, string.Join(' ', Enumerable.Range(0, heads).Select(config.KvHeadOf)));
    }

    /// <summary>Pairs counted on paper: triangles n (n + 1) / 2 and squares n n of the runs. 4 D operations a pair forward, 10 D backward.</summary>
    [Theory]
    [InlineData(MaskPolicy.Bidirectional, 8, 8, 1, 1, 4, 64, 1024.0, 2560.0)]
    [InlineData(MaskPolicy.Split, 8, 8, 1, 1, 4, 20, 320.0, 800.0)] // one head, which shifts by 4: 10 + 10
    [InlineData(MaskPolicy.PositionCausal, 8, 8, 1, 1, 4, 36, 576.0, 1440.0)]
    [InlineData(MaskPolicy.LocalCausal, 8, 4, 2, 1, 1, 40, 160.0, 400.0)] // 10 + 10 in each of two heads
    [InlineData(MaskPolicy.Split, 8, 4, 2, 1, 1, 36, 144.0, 360.0)] // 10 + 10, and 3 + 10 + 3
    [InlineData(MaskPolicy.BidirectionalSplit, 8, 4, 2, 1, 1, 56, 224.0, 560.0)] // 16 + 16, and 4 + 16 + 4
    [InlineData(MaskPolicy.Split, 10, 4, 2, 1, 1, 46, 184.0, 460.0)] // 10 + 10 + 3, and 3 + 10 + 10
    [InlineData(MaskPolicy.Split, 8192, 2048, 32, 1, 128, 251789312, 128916127744.0, 322290319360.0)] // Llama 2 7B at 8192
    [InlineData(MaskPolicy.Split, 8, 4, 2, 3, 2, 108, 864.0, 2160.0)] // three sequences
    public void Pairs_and_operations_are_those_of_the_paper_sheet(MaskPolicy mask, int tokens, int groupSize, int heads, int batch, int headDim, long pairs, double forward, double backward)
    {
        S2Config config = Config(tokens, groupSize, mask, heads, batch, headDim);
        Assert.Equal((pairs, forward, backward), (Costs.VisiblePairs(config), Costs.ForwardFlops(config), Costs.BackwardFlops(config)));
    }

    /// <summary>S (G - S); G G / 4 at half a group.</summary>
    [Theory]
    [InlineData(4, 2, 4)]
    [InlineData(5, 2, 6)]
    [InlineData(5, 4, 4)]
    [InlineData(5, 0, 0)]
    [InlineData(2048, 1024, 1048576)]
    public void Leaking_pairs(int groupSize, int shift, long pairs) => Assert.Equal(pairs, Costs.LeakingPairs<Int, Bool>(groupSize, shift).Value);

    [Theory]
    [InlineData(8, 2, "6 7 0 1 2 3 4 5", "2 3 4 5 6 7 0 1")]
    [InlineData(5, 4, "1 2 3 4 0", "4 0 1 2 3")]
    [InlineData(3, 0, "0 1 2", "0 1 2")]
    public void Positions_and_tokens_of_a_roll(int n, int s, string positions, string tokens)
    {
        Assert.Equal(positions, string.Join(' ', Enumerable.Range(0, n).Select(t => IndexMaps.Position<Int, Bool>(n, s, t))));
        Assert.Equal(tokens, string.Join(' ', Enumerable.Range(0, n).Select(p => IndexMaps.Token<Int, Bool>(n, s, p))));
    }

    [Theory]
    [InlineData(8, 4, 2, 8, "1 1 0 0 0 0 1 1", "0 0 1 1 1 1 1 1")]
    [InlineData(10, 4, 1, 12, "2 0 0 0 0 1 1 1 1 2", "0 1 1 1 1 1 1 1 1 1")]
    [InlineData(6, 3, 0, 6, "0 0 0 1 1 1", "1 1 1 1 1 1")]
    public void Ring_groups_and_the_wrapped_run(int n, int g, int s, int ring, string groups, string unwrapped)
    {
        Assert.Equal(ring, IndexMaps.Ring<Int, Bool>(n, g).Value);
        Assert.Equal(groups, string.Join(' ', Enumerable.Range(0, n).Select(t => IndexMaps.Group<Int, Bool>(n, g, s, t))));
        Assert.Equal(unwrapped, string.Join(' ', Enumerable.Range(0, n).Select(t => IndexMaps.Run<Int, Bool>(s, t).Value ? 1 : 0)));
    }

    [Theory]
    [InlineData(0, 0, 0, 0)]
    [InlineData(0, 0, 1, 8)]
    [InlineData(0, 1, 0, 24)]
    [InlineData(1, 0, 0, 120)]
    [InlineData(1, 4, 2, 232)]
    public void Rows_of_a_dense_tensor_of_5_tokens_3_heads_and_D_8(int b, int t, int h, int offset) => Assert.Equal(offset, Layout.Row(5, 3, 8, b, t, h));

    /// <summary>Borders 0, S, G, G + S, 2G of G = 4, S = 2, and how far tokens reach back through layers.</summary>
    [Fact]
    public void Borders_and_reach()
    {
        Sizes<Int> sizes = new(12, 4, 2);
        Assert.Equal("0 2 4 6 8 10", string.Join(' ', Enumerable.Range(0, 6).Select(k => Reach.Border<Int, Bool>(sizes, k))));
        Assert.Equal("0 0 1 1 2 2 3 3 4 4 5 5", string.Join(' ', Enumerable.Range(0, 12).Select(t => Reach.Index<Int, Bool>(sizes, t))));
        Assert.Equal("8 6 4 0", string.Join(' ', from layers in Enumerable.Range(1, 3).Append(5) select Reach.Earliest<Int, Bool>(sizes, layers, 11)));
        Assert.Equal(0, Reach.Earliest<Int, Bool>(sizes, 4, 3).Value);
        Sizes<Int> uneven = new(12, 5, 1);
        Assert.Equal("0 1 5 6 10 11", string.Join(' ', Enumerable.Range(0, 6).Select(k => Reach.Border<Int, Bool>(uneven, k))));
    }

    /// <summary>Causal: queries [4, 6) and keys. Not causal: every tile is full.</summary>
    [Theory]
    [InlineData(true, 4, 2, 6, 3, TileKind.Empty)]
    [InlineData(true, 4, 2, 5, 3, TileKind.Partial)]
    [InlineData(true, 4, 2, 4, 1, TileKind.Full)]
    [InlineData(true, 4, 2, 4, 2, TileKind.Partial)]
    [InlineData(true, 4, 2, 2, 3, TileKind.Full)]
    [InlineData(true, 4, 1, 4, 1, TileKind.Full)]
    [InlineData(true, 4, 1, 5, 1, TileKind.Empty)]
    [InlineData(false, 4, 2, 60, 3, TileKind.Full)]
    public void Tiles_beside_across_and_below_the_diagonal(bool causal, int t, int rows, int u, int columns, TileKind kind) =>
        Assert.Equal(kind, Tiles.Classify(causal, t, rows, u, columns));

    [Fact]
    public void The_largest_tensor_is_what_an_address_space_holds_in_f32() => Assert.Equal(35_184_372_088_832, S2Config.MaxElements);

    [Fact]
    public void Policies_are_causal_and_cut_as_their_names_say()
    {
        Assert.Equal("LocalCausal Split PositionCausal", string.Join(' ', MaskPolicies.All.Where(mask => mask.IsCausal())));
        Assert.Equal("Split BidirectionalSplit", string.Join(' ', MaskPolicies.All.Where(mask => mask.CutsWrappedRun())));
    }

    [Theory]
    [InlineData(7, 2, 3)]
    [InlineData(-7, 2, -4)]
    [InlineData(-6, 2, -3)]
    [InlineData(0, 5, 0)]
    public void Division_rounds_down(long a, long b, long quotient) => Assert.Equal(quotient, (new Int(a) / new Int(b)).Value);

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    public void Division_by_what_is_not_positive_is_refused(long divisor) =>
        Assert.Contains(divisor.ToString(System.Globalization.CultureInfo.InvariantCulture), Assert.Throws<DivideByZeroException>(() => new Int(1) / new Int(divisor)).Message, StringComparison.Ordinal);

    [Fact]
    public void Arithmetic_that_leaves_its_bits_throws()
    {
        Assert.Throws<OverflowException>(() => new Int(long.MaxValue) + 1);
        Assert.Throws<OverflowException>(() => new Int(long.MinValue) - 1);
        Assert.Throws<OverflowException>(() => new Int(long.MaxValue) * 2);
        Assert.Throws<OverflowException>(() => new Int(1L + int.MaxValue).ToIndex());
        Assert.Equal(int.MaxValue, new Int(int.MaxValue).ToIndex());
    }

    private static S2Config Config(int tokens, int groupSize, MaskPolicy mask, int heads = 1, int batch = 1, int headDim = 1) =>
        S2Config.Create(new() { Batch = batch, Tokens = tokens, Heads = heads, HeadDim = headDim, GroupSize = GroupSizeRule.Of(groupSize), Mask = mask });

    private static string Shifted(HeadShift shift, int heads) => string.Concat(Enumerable.Range(0, heads).Select(head => shift.IsShifted(head, heads) ? '1' : '0'));
}
