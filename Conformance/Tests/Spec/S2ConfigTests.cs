// Are configurations that break a rule refused, with field, value and rule?
using S2Attn.Spec;

namespace S2Attn.Tests.Spec;

public sealed class S2ConfigTests
{
    private static S2Request Valid => new() { Tokens = 16, Heads = 4, HeadDim = 8, GroupSize = GroupSizeRule.Of(4), Mask = MaskPolicy.LocalCausal };

    public static TheoryData<S2Request, string> Broken => new()
    {
        { Valid with { Batch = 0 }, "Batch = 0: must be at least 1" },
        { Valid with { Tokens = -1 }, "Tokens = -1: must be at least 1" },
        { Valid with { HeadDim = 0 }, "HeadDim = 0: must be at least 1" },
        { Valid with { KvHeads = 3 }, "KvHeads = 3: must divide Heads = 4" },
        { Valid with { GroupSize = GroupSizeRule.Of(5) }, "GroupSize = 5: must divide Tokens = 16 under LocalCausal" },
        { Valid with { GroupSize = GroupSizeRule.Of(17) }, "GroupSize = 17: must be from 1 to Tokens = 16" },
        { Valid with { Tokens = 18, GroupSize = GroupSizeRule.LongLora, Mask = MaskPolicy.Split }, "GroupSize = 4: must divide Tokens = 18 under the ratio rule" },
        { Valid with { Shift = 4 }, "Shift = 4: must be from 0 to GroupSize - 1 = 3" },
        { Valid with { Shift = -1 }, "Shift = -1: must be from 0 to GroupSize - 1 = 3" },
        { Valid with { Scale = double.NaN }, "Scale = NaN: must be finite" },
        { Valid with { Mask = (MaskPolicy)9 }, "Mask = 9: must be one of LocalCausal" },
        { Valid with { ShiftedHeads = HeadShift.Of([true]) }, "ShiftedHeads = [true]: must hold one flag for each of the 4 query heads" },
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

    [Theory]
    [InlineData(8192, 2048, 1024)]
    [InlineData(12, 12, 0)]
    [InlineData(5000, 5000, 4096)]
    [InlineData(20000, 8192, 4096)]
    public void The_fine_tuning_rule_leaves_the_segments_of_upstream(int tokens, int groupSize, int shift) =>
        Assert.Equal((groupSize, shift), GroupSizeRule.LongLoraSft.Resolve(tokens));
}
