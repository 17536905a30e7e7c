// Are configurations that break a rule refused, with field, value and rule?
using S2Attn.Spec;

namespace S2Attn.Tests.Spec;

public sealed class S2ConfigTests
{
    private static S2Request Valid => new() { Tokens = 16, Heads = 4, HeadDim = 8, GroupSize = GroupSizeRule.Of(4), Mask = MaskPolicy.LocalCausal };

    public static TheoryData<S2Request, string> Broken => new()
    {
        { Valid with { Batch = 0 }, "Batch = 0: must be at least 1" },
        { Valid with { Batch = int.MinValue }, "Batch = -2147483648: must be at least 1" },
        { Valid with { Tokens = 0 }, "Tokens = 0: must be at least 1" },
        { Valid with { Tokens = -1 }, "Tokens = -1: must be at least 1" },
        { Valid with { Heads = 0 }, "Heads = 0: must be at least 1" },
        { Valid with { Heads = 0, KvHeads = 1 }, "Heads = 0: must be at least 1" },
        { Valid with { Heads = -4 }, "Heads = -4: must be at least 1; KvHeads = -4: must be at least 1" },
        { Valid with { KvHeads = 0 }, "KvHeads = 0: must be at least 1" },
        { Valid with { KvHeads = -2 }, "KvHeads = -2: must be at least 1" },
        { Valid with { KvHeads = 8 }, "KvHeads = 8: must divide Heads = 4" },
        { Valid with { HeadDim = 0 }, "HeadDim = 0: must be at least 1" },
        { Valid with { GroupSize = GroupSizeRule.Of(0) }, "GroupSize = 0: must be from 1 to Tokens = 16" },
        { Valid with { GroupSize = GroupSizeRule.Of(-4) }, "GroupSize = -4: must be from 1 to Tokens = 16" },
        { Valid with { GroupSize = new GroupSizeRule.Ratio(0) }, "GroupSize = 0: must be from 1 to Tokens = 16" },
        { Valid with { GroupSize = new GroupSizeRule.Ratio(double.NaN) }, "GroupSize = 0: must be from 1 to Tokens = 16" },
        { Valid with { GroupSize = new GroupSizeRule.Ratio(-0.25) }, "GroupSize = -4: must be from 1 to Tokens = 16" },
        { Valid with { GroupSize = new GroupSizeRule.Ratio(1.25) }, "GroupSize = 20: must be from 1 to Tokens = 16" },
        { Valid with { GroupSize = GroupSizeRule.Of(5), Mask = MaskPolicy.PositionCausal }, "GroupSize = 5: must divide Tokens = 16 under PositionCausal" },
        { Valid with { GroupSize = GroupSizeRule.Of(5), Mask = MaskPolicy.Bidirectional }, "GroupSize = 5: must divide Tokens = 16 under Bidirectional" },
        { Valid with { Tokens = 18, GroupSize = GroupSizeRule.LongLora, Mask = MaskPolicy.BidirectionalSplit }, "GroupSize = 4: must divide Tokens = 18 under the ratio rule" },
        { Valid with { KvHeads = 3 }, "KvHeads = 3: must divide Heads = 4" },
        { Valid with { GroupSize = GroupSizeRule.Of(5) }, "GroupSize = 5: must divide Tokens = 16 under LocalCausal" },
        { Valid with { GroupSize = GroupSizeRule.Of(17) }, "GroupSize = 17: must be from 1 to Tokens = 16" },
        { Valid with { Tokens = 18, GroupSize = GroupSizeRule.LongLora, Mask = MaskPolicy.Split }, "GroupSize = 4: must divide Tokens = 18 under the ratio rule" },
        { Valid with { Shift = 4 }, "Shift = 4: must be from 0 to GroupSize - 1 = 3" },
        { Valid with { Shift = -1 }, "Shift = -1: must be from 0 to GroupSize - 1 = 3" },
        { Valid with { Shift = int.MinValue }, "Shift = -2147483648: must be from 0 to GroupSize - 1 = 3" },
        { Valid with { GroupSize = GroupSizeRule.Of(1), Shift = 1 }, "Shift = 1: must be from 0 to GroupSize - 1 = 0" },
        { Valid with { Scale = double.NaN }, "Scale = NaN: must be finite" },
        { Valid with { Scale = double.PositiveInfinity }, "Scale = Infinity: must be finite" },
        { Valid with { Scale = double.NegativeInfinity }, "Scale = -Infinity: must be finite" },
        { Valid with { Mask = (MaskPolicy)(-1) }, "Mask = -1: must be one of LocalCausal, Split, PositionCausal, Bidirectional, BidirectionalSplit" },
        { Valid with { ShiftedHeads = HeadShift.Of([true, true, true, true, true]) }, "must hold one flag for each of the 4 query heads" },
        { Valid with { ShiftedHeads = new HeadShift.Given(default) }, "ShiftedHeads = default: must hold one flag for each of the 4 query heads" },
        { Valid with { ShiftedHeads = HeadShift.Of([]) }, "ShiftedHeads = []: must hold one flag for each of the 4 query heads" },
        { Valid with { Batch = 1 << 30, HeadDim = 513 }, "Batch*Tokens*Heads*HeadDim = 1073741824*16*4*513: must be at most 35184372088832, the f32 elements of an address space" },
        { Valid with { GroupSize = null! }, "GroupSize = null: must be given" },
        { Valid with { ShiftedHeads = null! }, "ShiftedHeads = null: must be given" },
        { Valid with { Mask = (MaskPolicy)9 }, "Mask = 9: must be one of LocalCausal" },
        { Valid with { ShiftedHeads = HeadShift.Of([true]) }, "ShiftedHeads = [true]: must hold one flag for each of the 4 query heads" },
        { Valid with { ShiftedHeads = HeadShift.Each([0, 1, 2]) }, "ShiftedHeads = [0,1,2]: must hold one shift for each of the 4 query heads" },
        { Valid with { ShiftedHeads = new HeadShift.ByEach(default) }, "ShiftedHeads = default: must hold one shift for each of the 4 query heads" },
        { Valid with { ShiftedHeads = HeadShift.Each([0, 1, 2, 4]) }, "ShiftedHeads = [0,1,2,4]: must hold shifts from 0 to GroupSize - 1 = 3" },
        { Valid with { ShiftedHeads = HeadShift.Each([0, -1, 2, 3]) }, "ShiftedHeads = [0,-1,2,3]: must hold shifts from 0 to GroupSize - 1 = 3" },
        { Valid with { ShiftedHeads = HeadShift.Phased(0) }, "ShiftedHeads = Phases(0): must have at least 1 phase" },
        { Valid with { ShiftedHeads = HeadShift.Phased(-2, isRotated: true) }, "ShiftedHeads = Rotated(-2): must have at least 1 phase" },
        { Valid with { ShiftedHeads = HeadShift.Phased(4), Shift = 2 }, "Shift = 2: must not be given, or be 3, the largest shift of Phases(4)" },
        { Valid with { ShiftedHeads = HeadShift.Each([0, 2, 1, 0]), Shift = 1 }, "Shift = 1: must not be given, or be 2, the largest shift of [0,2,1,0]" },
        { Valid with { Batch = 1 << 20, HeadDim = 1 << 20 }, "Batch*Tokens*Heads*HeadDim = 1048576*16*4*1048576: must be at most" },
    };

    [Theory]
    [MemberData(nameof(Broken))]
    public void A_broken_rule_is_named_with_field_and_value(S2Request request, string message)
    {
        ConfigResult.Invalid invalid = Assert.IsType<ConfigResult.Invalid>(S2Config.TryCreate(request));
        Assert.Contains(message, invalid.ToString(), StringComparison.Ordinal);
        Assert.Equal(invalid.ToString(), Assert.Throws<InvalidConfigException>(() => S2Config.Create(request)).Message);
    }

    [Fact]
    public void Defaults_are_those_of_LongLoRA()
    {
        S2Config config = S2Config.Create(Valid with { Heads = 5, GroupSize = GroupSizeRule.LongLora });
        Assert.Equal((4, 2, 1 / Math.Sqrt(8)), (config.GroupSize, config.Shift, config.Scale));
        Assert.Equal([0, 0, 2, 2, 2], Enumerable.Range(0, 5).Select(config.ShiftOf));
        Assert.Equal(config, S2Config.Create(config.ToRequest()));
    }

    /// <summary>Every rule at the last value that it allows.</summary>
    public static TheoryData<S2Request> AtTheEdge =>
    [
        Valid with { Batch = 1, Tokens = 1, Heads = 1, HeadDim = 1, GroupSize = GroupSizeRule.Of(1) },
        Valid with { Shift = 3 },
        Valid with { Shift = 0 },
        Valid with { GroupSize = GroupSizeRule.Of(1), Shift = 0 },
        Valid with { GroupSize = GroupSizeRule.Of(16) },
        Valid with { GroupSize = new GroupSizeRule.Ratio(1) },
        Valid with { KvHeads = 4 },
        Valid with { KvHeads = 1 },
        Valid with { GroupSize = GroupSizeRule.Of(5), Mask = MaskPolicy.Split },
        Valid with { GroupSize = GroupSizeRule.Of(5), Mask = MaskPolicy.BidirectionalSplit },
        Valid with { Scale = double.MaxValue },
        Valid with { Scale = -double.Epsilon },
        Valid with { ShiftedHeads = HeadShift.Of([true, false, false, true]) },
        Valid with { Batch = 2147483591, Tokens = 1, Heads = 1, HeadDim = 1, GroupSize = GroupSizeRule.Of(1) },
    ];

    [Theory]
    [MemberData(nameof(AtTheEdge))]
    public void What_a_rule_just_allows_is_a_configuration_that_gives_its_request_again(S2Request request)
    {
        S2Config config = Assert.IsType<ConfigResult.Valid>(S2Config.TryCreate(request)).Config;
        Assert.Equal(
            (request.Batch, request.Tokens, request.Heads, request.KvHeads ?? request.Heads, request.HeadDim, request.Mask),
            (config.Batch, config.Tokens, config.Heads, config.KvHeads, config.HeadDim, config.Mask));
        Assert.Equal(request.Scale ?? config.Scale, config.Scale);
        Assert.Equal(request.ShiftedHeads, config.ShiftedHeads);
        Assert.Equal(config, S2Config.Create(config.ToRequest()));
    }

    /// <summary>2^45 = 2^30 2^4 2^2 2^9, and 2^45 + 1 = 32769 x 1073709057.</summary>
    [Fact]
    public void One_element_more_than_an_address_space_holds_is_refused()
    {
        Assert.IsType<ConfigResult.Valid>(S2Config.TryCreate(Valid with { Batch = 1 << 30, HeadDim = 512 }));
        Assert.IsType<ConfigResult.Invalid>(S2Config.TryCreate(Valid with { Batch = 32769, Tokens = 1, Heads = 1, HeadDim = 1073709057, GroupSize = GroupSizeRule.Of(1) }));
    }

    [Fact]
    public void Every_broken_rule_is_named_and_none_that_is_kept()
    {
        ConfigResult.Invalid invalid = Assert.IsType<ConfigResult.Invalid>(S2Config.TryCreate(Valid with { Batch = 0, KvHeads = 0, Scale = double.NaN, Mask = (MaskPolicy)7 }));
        Assert.Equal(["Batch", "KvHeads", "Mask", "Scale"], invalid.Errors.Select(error => error.Field));
        invalid = Assert.IsType<ConfigResult.Invalid>(S2Config.TryCreate(Valid with { KvHeads = 3, GroupSize = GroupSizeRule.Of(5), Shift = 5 }));
        Assert.Equal(["KvHeads", "GroupSize", "Shift"], invalid.Errors.Select(error => error.Field));
    }

    /// <summary>One rule broken, beside others that could be taken for broken with it: the fields that are named, and no more.</summary>
    public static TheoryData<S2Request, string> OneRule => new()
    {
        { Valid with { GroupSize = null! }, "GroupSize" },
        { Valid with { GroupSize = null!, Tokens = 0 }, "Tokens GroupSize" },
        { Valid with { Tokens = 0, Prefix = 1 }, "Tokens" },
        { Valid with { Tokens = 0, Prefix = -1 }, "Tokens Prefix" },
        { Valid with { GroupSize = GroupSizeRule.Of(17), Shift = 17 }, "GroupSize" },
        { Valid with { ShiftedHeads = null!, Shift = 1 }, "ShiftedHeads" },
        { Valid with { ShiftedHeads = new HeadShift.Given(default), Shift = 1 }, "ShiftedHeads" },
        { Valid with { ShiftedHeads = new HeadShift.ByEach(default), Shift = 1 }, "ShiftedHeads" },
        { Valid with { ShiftedHeads = HeadShift.Each([0, 1, 2]), Shift = 1 }, "ShiftedHeads" },
        { Valid with { ShiftedHeads = HeadShift.Each([0, 1, 2, 3, 0]), Shift = 1 }, "ShiftedHeads" },
        { Valid with { ShiftedHeads = HeadShift.Each([0, 1, 2, -1]), Shift = 1 }, "ShiftedHeads" },
        { Valid with { ShiftedHeads = HeadShift.Each([0, 4, 2, 1]), Shift = 1 }, "ShiftedHeads" },
        { Valid with { ShiftedHeads = HeadShift.Phased(0), Shift = 1 }, "ShiftedHeads" },
        { Valid with { ShiftedHeads = HeadShift.Phased(1), Shift = 1 }, "Shift" },
        { Valid with { ShiftedHeads = HeadShift.Each([0, 3, 0, 1]), Shift = 0 }, "Shift" },
        { Valid with { GroupSize = GroupSizeRule.Of(5), Shift = 5 }, "GroupSize Shift" },
        { Valid with { Prefix = 17, Scale = double.NaN }, "Scale Prefix" },
        { Valid with { ShiftedHeads = HeadShift.Each([0, 3, 0, 3]), Shift = 3 }, "" },
        { Valid with { ShiftedHeads = HeadShift.Phased(1), Shift = 0 }, "" },
        { Valid with { ShiftedHeads = HeadShift.Phased(4), Shift = 3 }, "" },
        { Valid with { Prefix = 16 }, "" },
        { Valid with { Scale = 0 }, "" },
    };

    [Theory]
    [MemberData(nameof(OneRule))]
    public void No_rule_but_the_broken_one_is_named(S2Request request, string fields) =>
        Assert.Equal(fields, S2Config.TryCreate(request) is ConfigResult.Invalid invalid ? string.Join(' ', invalid.Errors.Select(error => error.Field)) : "");

    /// <summary>Heads are compared by what they hold.</summary>
    [Fact]
    public void Heads_are_equal_where_they_shift_alike_and_are_of_one_kind()
    {
        HeadShift[] all =
        [
            HeadShift.None, HeadShift.SecondHalf, HeadShift.All, HeadShift.Of([true, false]), HeadShift.Of([true, true]), HeadShift.Of([true]), HeadShift.Each([1, 0]), HeadShift.Each([1, 2]), HeadShift.Each([1]),
            HeadShift.Phased(2), HeadShift.Phased(3), HeadShift.Phased(2, isRotated: true),
        ];
        for (int i = 0; i < all.Length; i++)
        {
            Assert.False(all[i].Equals(null));
            for (int j = 0; j < all.Length; j++)
                Assert.Equal(i == j, all[i].Equals(all[j]));
        }

        Assert.Equal(HeadShift.Each([1, 0]), HeadShift.Each([1, 0]));
        Assert.Equal(HeadShift.Each([1, 0]).GetHashCode(), HeadShift.Each([1, 0]).GetHashCode());
        Assert.Equal("[1,0] Phases(3) Rotated(2)", $"{HeadShift.Each([1, 0])} {HeadShift.Phased(3)} {HeadShift.Phased(2, isRotated: true)}");
    }

    [Fact]
    public void Layers_are_counted_from_0()
    {
        foreach (LayerPattern pattern in new[] { LayerPattern.Same(HeadShift.All), LayerPattern.Alternate, LayerPattern.Rotated(2) })
            Assert.Equal("layer", Assert.Throws<ArgumentOutOfRangeException>(() => pattern.HeadsOf(-1)).ParamName);
        Assert.Equal("None All None All", string.Join(' ', Enumerable.Range(0, 4).Select(LayerPattern.Alternate.HeadsOf)));
        Assert.Equal("Phases(2) Rotated(2) Phases(2) Rotated(2)", string.Join(' ', Enumerable.Range(0, 4).Select(LayerPattern.Rotated(2).HeadsOf)));
    }
}
