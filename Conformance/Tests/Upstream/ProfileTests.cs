// Does each profile differ from the definition exactly where its region says, by the rows and pairs that were measured?
using S2Attn.Conformance.Ports;
using S2Attn.Reference;
using S2Attn.Reference.Upstream;
using S2Attn.Spec;
using S2Attn.Spec.Algebra;

namespace S2Attn.Tests.Upstream;

public sealed class ProfileTests
{
    // The names that docs and reports use.
    private static readonly string[] Known =
    [
        "longlora-odd-group", "longlora-batch-mask", "longlora-flash-padding", "ingroup-unshift", "unshift-only", "head-token-scramble",
        "shift-axis-heads", "ingroup-rotation", "kv-shift-before-repeat", "no-mask", "v-not-rolled", "plus-direction-odd",
    ];

    public static TheoryData<string, MaskPolicy> ProfilesAndMasks()
    {
        TheoryData<string, MaskPolicy> data = [];
        foreach (UpstreamProfile profile in UpstreamProfiles.All)
            foreach (MaskPolicy mask in profile.Masks)
                data.Add(profile.Name, mask);
        return data;
    }

    [Fact]
    public void The_catalogue_holds_every_known_profile_once() => Assert.Equal(Known, UpstreamProfiles.All.Select(profile => profile.Name));

    [Theory]
    [MemberData(nameof(ProfilesAndMasks))]
    public void Without_padding_a_profile_differs_exactly_in_its_region(string name, MaskPolicy mask)
    {
        UpstreamProfile profile = Named(name);
        int inside = 0, outside = 0;
        foreach (S2Config config in SmallConfigs.Of(mask, maxTokens: 8).Where(profile.AppliesTo))
        {
            bool expected = profile.MayDiffer(config, SmallConfigs.NoPadding(config));
            Assert.True(expected == DifferingRows(profile, config, SmallConfigs.NoPadding(config)).Any(), $"{name}: {Describe(config)}");
            inside += expected ? 1 : 0;
            outside += expected ? 0 : 1;
        }

        Assert.True(outside > 0 && (inside > 0 || name is "longlora-batch-mask" or "longlora-flash-padding"), $"{inside} configurations in the region, {outside} outside");
    }

    [Theory]
    [MemberData(nameof(ProfilesAndMasks))]
    public void With_padding_a_profile_differs_nowhere_outside_its_region(string name, MaskPolicy mask)
    {
        UpstreamProfile profile = Named(name);
        int inside = 0;
        foreach (S2Config config in SmallConfigs.Of(mask, maxTokens: 6).Where(profile.AppliesTo))
            foreach (int step in new[] { 2, 3 })
            {
                Tensor<bool> valid = Tensor<bool>.Build([config.Batch, config.Tokens], i => i % step != 0);
                if (!profile.MayDiffer(config, valid))
                    Assert.False(DifferingRows(profile, config, valid).Any(), $"{name}: {Describe(config)}, every key {step}i padded");
                else
                    inside += DifferingRows(profile, config, valid).Any() ? 1 : 0;
            }

        Assert.True(inside > 0, "No padded configuration shows the difference.");
    }

    [Fact]
    public void Odd_groups_of_LongLoRA_leak_23_pairs_and_hide_4_tokens_from_themselves()
    {
        S2Config config = PipelineTests.Config(1, 20, 5, MaskPolicy.LocalCausal, heads: 1, HeadShift.All);
        List<(int Query, int Key)> pairs = Pairs(UpstreamProfiles.LongLoraOddGroup.For(config, SmallConfigs.NoPadding(config)), config);
        Assert.Equal(23, pairs.Count(pair => pair.Key > pair.Query));
        Assert.Equal(4, Enumerable.Range(0, 20).Count(t => !pairs.Contains((t, t))));
        Assert.Equal(20, DifferingRows(UpstreamProfiles.LongLoraOddGroup, config, SmallConfigs.NoPadding(config)).Count());
    }

    [Fact]
    public void Observed_leaks_of_LocalCausal_are_counted_by_the_closed_form()
    {
        foreach (S2Config config in SmallConfigs.Of(MaskPolicy.LocalCausal, 12).Where(config => config.Heads == 1))
        {
            List<(int Query, int Key)> pairs = Pairs(new(config, Pipeline.Definition(config, SmallConfigs.NoPadding(config))), config);
            Assert.Equal(Costs.LeakingPairs<Int, Bool>(config.GroupSize, config.Shift).Value, pairs.Count(pair => pair.Key > pair.Query));
            Assert.All(pairs.Where(pair => pair.Key > pair.Query), pair =>
                Assert.True(pair.Query < config.Shift && pair.Key >= config.Tokens - config.GroupSize + config.Shift));
        }
    }

    [Fact]
    public void The_unshift_inside_groups_gives_half_of_the_rows_to_another_token()
    {
        S2Config config = PipelineTests.Config(1, 16, 4, MaskPolicy.LocalCausal, heads: 2, HeadShift.SecondHalf);
        Assert.Equal(
            [0, 1, 4, 5, 8, 9, 12, 13],
            DifferingRows(UpstreamProfiles.InGroupUnshift, config, SmallConfigs.NoPadding(config)).Select(row => row.Head == 1 ? row.Token : -1));
    }

    [Fact]
    public void Rotation_inside_groups_lets_nothing_cross()
    {
        S2Config config = PipelineTests.Config(1, 16, 4, MaskPolicy.Bidirectional, heads: 2, HeadShift.SecondHalf);
        Assert.All(Pairs(UpstreamProfiles.InGroupRotation.For(config, SmallConfigs.NoPadding(config)), config), pair => Assert.Equal(pair.Query / 4, pair.Key / 4));
    }

    [Fact]
    public void A_kv_head_of_MQA_is_read_shifted_by_heads_that_do_not_shift()
    {
        S2Config config = S2Config.Create(new S2Request { Tokens = 8, Heads = 2, KvHeads = 1, HeadDim = 1, GroupSize = GroupSizeRule.Of(4), Mask = MaskPolicy.LocalCausal });
        Assert.All(DifferingRows(UpstreamProfiles.KvShiftBeforeRepeat, config, SmallConfigs.NoPadding(config)), row => Assert.Equal(0, row.Head));
    }

    [Fact]
    public void Padding_past_the_first_group_is_ignored_and_the_first_block_is_tiled()
    {
        S2Config config = PipelineTests.Config(2, 16, 4, MaskPolicy.LocalCausal, heads: 1, HeadShift.None);
        Tensor<bool> late = Tensor<bool>.Build([2, 16], i => i % 16 < 13);
        Assert.All(Enumerable.Range(0, 16), t => Assert.Equal(t % 4 + 1, UpstreamProfiles.LongLoraBatchMask.For(config, late).Reads(0, t, 0).Keys.Count));

        // Entry 1 pads its token 0. Its block serves groups 1 and 3 of entry 0 too, and only those of its own.
        Tensor<bool> early = Tensor<bool>.Build([2, 16], i => i != 16);
        PipelineAttention pipeline = UpstreamProfiles.LongLoraBatchMask.For(config, early);
        Assert.Equal([true, false, true, false], Enumerable.Range(0, 4).Select(group => Sees(0, group)));
        Assert.Equal([true, false, true, false], Enumerable.Range(0, 4).Select(group => Sees(1, group)));

        bool Sees(int b, int group) => pipeline.Reads(b, 4 * group + 3, 0).Keys.Any(key => key.Key.Token == 4 * group);
    }

    [Fact]
    public void Rows_of_the_flash_path_are_packed_by_the_mask_of_another_entry()
    {
        S2Config config = PipelineTests.Config(2, 8, 4, MaskPolicy.Split, heads: 2, HeadShift.SecondHalf);
        Tensor<bool> valid = Tensor<bool>.Build([2, 8], i => i is < 8 or >= 13);
        PipelineAttention pipeline = UpstreamProfiles.LongLoraFlashPadding.For(config, valid);

        // Half 0 of both entries takes entry 0, where nothing is padded; half 1 takes entry 1, which keeps tokens 5, 6, 7 and counts them as 0, 1, 2.
        Assert.All(Enumerable.Range(0, 8), t => Assert.Equal(t % 4 + 1, pipeline.Reads(1, t, 0).Keys.Count));
        Assert.Equal([0, 0, 0, 0, 0, 1, 2, 1], Enumerable.Range(0, 8).Select(t => pipeline.Reads(0, t, 1).Keys.Count));
    }

    [Fact]
    public void A_profile_refuses_what_it_is_not_defined_for()
    {
        S2Config config = PipelineTests.Config(1, 8, 4, MaskPolicy.Split, heads: 1, HeadShift.All);
        ArgumentException error = Assert.Throws<ArgumentException>(() => UpstreamProfiles.LongLoraOddGroup.For(config, SmallConfigs.NoPadding(config)));
        Assert.Contains("longlora-odd-group is defined for LocalCausal and whole groups, not for Split", error.Message, StringComparison.Ordinal);
        using ProfilePort port = new(UpstreamProfiles.LongLoraOddGroup);
        Assert.IsType<PortAnswer.Unsupported>(port.Run(new PortCase(config, ElementType.F64, SmallConfigs.Input(config, SmallConfigs.NoPadding(config), 1))));
    }

    [Fact]
    public void Functions_of_LongLoRA_exhibit_the_profiles_of_their_padding_and_group()
    {
        S2Config odd = PipelineTests.Config(2, 20, 5, MaskPolicy.LocalCausal, heads: 2, HeadShift.SecondHalf), even = PipelineTests.Config(2, 16, 4, MaskPolicy.LocalCausal, heads: 2, HeadShift.SecondHalf);
        Tensor<bool> padded = Tensor<bool>.Build([2, 20], i => i > 0);
        Assert.Equal([UpstreamProfiles.LongLoraOddGroup, UpstreamProfiles.LongLoraBatchMask], LongLoraFunctions.LlamaEager.Defects(odd, padded).ToArray());
        Assert.Empty(LongLoraFunctions.LlamaEager.Defects(even, SmallConfigs.NoPadding(even)));
        foreach (LongLoraFunction function in LongLoraFunctions.All)
        {
            S2Config config = PipelineTests.Config(2, 16, 4, function.Mask, heads: 2, HeadShift.SecondHalf);
            PipelineAttention definition = new(config, Pipeline.Definition(config, SmallConfigs.NoPadding(config)));
            PipelineAttention upstream = new(config, function.Build(config, SmallConfigs.NoPadding(config)));
            Assert.All(Rows(config), row => Assert.True(definition.Reads(row.Batch, row.Token, row.Head).IsSameAs(upstream.Reads(row.Batch, row.Token, row.Head)), $"{function.Name}: {row}"));
        }
    }

    private static UpstreamProfile Named(string name) => UpstreamProfiles.All.Single(profile => profile.Name == name);

    private static IEnumerable<Place> Rows(S2Config config) =>
        from b in Enumerable.Range(0, config.Batch)
        from t in Enumerable.Range(0, config.Tokens)
        from h in Enumerable.Range(0, config.Heads)
        select new Place(b, t, h);

    private static IEnumerable<Place> DifferingRows(UpstreamProfile profile, S2Config config, Tensor<bool> valid)
    {
        PipelineAttention definition = new(config, Pipeline.Definition(config, valid)), other = profile.For(config, valid);
        return Rows(config).Where(row => !definition.Reads(row.Batch, row.Token, row.Head).IsSameAs(other.Reads(row.Batch, row.Token, row.Head)));
    }

    private static List<(int Query, int Key)> Pairs(PipelineAttention attention, S2Config config) =>
        [.. Enumerable.Range(0, config.Tokens).SelectMany(t => attention.Reads(0, t, config.Heads - 1).Keys.Select(key => (t, key.Key.Token)))];

    private static string Describe(S2Config config) => $"N={config.Tokens} G={config.GroupSize} S={config.Shift} H={config.Heads} K={config.KvHeads} {config.Mask} {config.ShiftedHeads}";
}
