// Which levels does a declaration claim, and which does a case belong to?
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Spec;

namespace S2Attn.Tests.Ports;

public sealed class PortLevelTests
{
    private static readonly PortCapabilities Everything = new ReferencePort().Description.Capabilities;

    private static readonly PortCapabilities Least = new(
        [PortOperation.Forward], [ElementType.F32], [MaskPolicy.LocalCausal], GroupedQuery: false, Padding: false, OddGroup: false, Ragged: false, int.MaxValue);

    [Fact]
    public void The_reference_claims_every_level() => Assert.Equal(PortLevels.All.ToArray(), PortLevels.Claimed(Everything).ToArray());

    [Fact]
    public void One_mask_forward_in_f32_claims_level_1_only() => Assert.Equal([PortLevel.Forward], PortLevels.Claimed(Least).ToArray());

    [Fact]
    public void Without_f32_forward_nothing_is_claimed()
    {
        Assert.Empty(PortLevels.Claimed(Everything with { ElementTypes = [ElementType.F64, ElementType.BF16] }));
        Assert.Equal(["dtypes:f32"], PortLevel.Gradients.Lacks(Everything with { ElementTypes = [ElementType.F64] }).ToArray());
    }

    [Fact]
    public void Ragged_is_asked_only_of_masks_that_allow_it()
    {
        PortCapabilities odd = Least with { GroupedQuery = true, OddGroup = true };
        Assert.Contains(PortLevel.GroupedAndOddSizes, PortLevels.Claimed(odd));
        Assert.Equal(["ragged"], PortLevel.GroupedAndOddSizes.Lacks(odd with { Masks = [MaskPolicy.LocalCausal, MaskPolicy.Split] }).ToArray());
    }

    [Fact]
    public void A_case_belongs_to_every_level_that_it_needs_and_a_plain_one_to_level_1()
    {
        S2Config plain = S2Config.Create(new() { Tokens = 8, Heads = 2, HeadDim = 2, GroupSize = GroupSizeRule.Of(4), Mask = MaskPolicy.LocalCausal });
        S2Config odd = S2Config.Create(plain.ToRequest() with { Tokens = 7, KvHeads = 1, Mask = MaskPolicy.Split, GroupSize = GroupSizeRule.Of(3), Shift = 1 });
        Assert.Equal([PortLevel.Forward], PortLevels.Of(Everything, new(plain, ElementType.F32, PortOperation.Forward, Padded: false, Hidden: false)).ToArray());
        Assert.Equal(
            [PortLevel.MasksAndPadding, PortLevel.GroupedAndOddSizes, PortLevel.HalfPrecision, PortLevel.Gradients],
            PortLevels.Of(Everything, new(odd, ElementType.BF16, PortOperation.Backward, Padded: true, Hidden: false)).ToArray());
        PortCapabilities twoMasks = Least with { Masks = [MaskPolicy.LocalCausal, MaskPolicy.Split] };
        S2Config split = S2Config.Create(plain.ToRequest() with { Mask = MaskPolicy.Split });
        Assert.Equal([PortLevel.Forward], PortLevels.Of(twoMasks, new(split, ElementType.F32, PortOperation.Forward, Padded: false, Hidden: false)).ToArray());
        Assert.Equal([PortLevel.MasksAndPadding], PortLevels.Of(Everything, new(split, ElementType.F32, PortOperation.Forward, Padded: false, Hidden: false)).ToArray());
    }

    [Fact]
    public void A_fixed_value_bends_a_case_and_names_what_contradicts_it()
    {
        FixedConfig graph = new() { GroupSize = 4, Shift = 2, ShiftedHeads = HeadShift.Of([false, true]), DefaultScale = true };
        S2Config free = S2Config.Create(
            new() { Tokens = 8, Heads = 2, HeadDim = 4, GroupSize = GroupSizeRule.Of(2), Shift = 0, Mask = MaskPolicy.Split, ShiftedHeads = HeadShift.All, Scale = 3 });
        Assert.Equal(["fixed.groupSize=4", "fixed.shift=2", "fixed.shiftedHeads=[false,true]", "fixed.scale=default"], graph.Contradictions(free).ToArray());
        S2Config config = CaseFitting.Fit(Least with { Fixed = graph, Masks = [MaskPolicy.Split] }, new(free, ElementType.F32, TensorKind.Normal, PaddingPattern.None, 0)).Config;
        Assert.Empty(graph.Contradictions(config));
        Assert.Equal((4, 2, 0.5), (config.GroupSize, config.Shift, config.Scale));
        Assert.Empty(graph.Contradictions(S2Config.Create(config.ToRequest() with { ShiftedHeads = HeadShift.SecondHalf })));
    }
}
