// Do the kernels compute heads that have shifts of their own: within the bound, with the same bits for any number of threads, in slices, packed and from a cache?
using System.Globalization;
using FsCheck;
using FsCheck.Fluent;
using S2Attn.Conformance.Campaigns;
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Optimized;
using S2Attn.Optimized.Kernels;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Tests.Optimized;

public sealed class KernelPhaseTests
{
    private static readonly Gen<AttentionCase> Phased =
        from item in CaseGenerator.Kernels(80, 40, ElementType.F32, ElementType.F16, ElementType.BF16)
        from config in CaseGenerator.WithOwnShifts(item.Config)
        select item with { Config = config };

    // Four shifts over kv heads that are each read with several of them.
    private static readonly AttentionCase Unphased = Cases.Of(300, 50, MaskPolicy.LocalCausal, batch: 2, heads: 6, kvHeads: 2, headDim: 24, padding: PaddingPattern.Sparse, seed: 12);
    private static readonly AttentionCase Example = With(Unphased, HeadShift.Each([37, 0, 12, 49, 12, 0]));

    public static TheoryData<MaskPolicy> Masks => [.. MaskPolicies.All];

    [Theory]
    [MemberData(nameof(ExponentialTests.Widths), MemberType = typeof(ExponentialTests))]
    public void Heads_with_shifts_of_their_own_stay_within_the_bound(VectorWidth width) => KernelRun.StaysWithinTheBound(Phased, width, 60);

    [Theory]
    [MemberData(nameof(Masks))]
    public void One_to_eight_threads_and_both_sides_of_a_guard_page_give_the_same_bits(MaskPolicy mask)
    {
        AttentionCase item = Example with { Config = Example.Config.With(request => request with { Mask = mask }) };
        KernelBits one = KernelRun.Run(item, new() { Threads = 1 });
        one.AssertSame(KernelRun.Run(item, new() { Threads = 1 }, GuardSide.Before), $"the other guard page, {item}");
        for (int threads = 2; threads <= 8; threads++)
            one.AssertSame(KernelRun.Run(item, new() { Threads = threads }), $"{threads} threads, {item}");
    }

    /// <summary>Two phases are LongLoRA's halves, and shifts of 0 and S are flags: the same classes, the same order of additions.</summary>
    [Fact]
    public void Two_phases_and_flags_written_as_shifts_have_the_bits_of_what_they_are()
    {
        foreach (MaskPolicy mask in MaskPolicies.All)
        {
            AttentionCase half = Cases.Of(96, 24, mask, heads: 6, kvHeads: 2, headDim: 10, seed: 3);
            KernelBits expected = KernelRun.Run(half, new() { Threads = 1 });
            foreach (HeadShift same in new[] { HeadShift.Phased(2), HeadShift.Each([0, 0, 0, 12, 12, 12]) })
                expected.AssertSame(KernelRun.Run(With(half, same), new() { Threads = 2 }), $"{same} {mask}");
        }
    }

    /// <summary>What a query does not see does not touch it: a key of NaN makes NaN of the rows that see it in a head, of their gradients, and of no other.</summary>
    [Theory]
    [MemberData(nameof(Masks))]
    public void A_key_that_is_NaN_touches_the_rows_that_see_it_and_no_other(MaskPolicy mask)
    {
        S2Config config = S2Config.Create(new() { Tokens = 32, Heads = 4, KvHeads = 1, HeadDim = 8, GroupSize = GroupSizeRule.Of(8), Mask = mask, ShiftedHeads = HeadShift.Each([5, 0, 2, 7]) });
        float[] q = Noise(32 * 4 * 8, 1), k = Noise(32 * 8, 2), v = Noise(32 * 8, 3), o = new float[q.Length], lse = new float[32 * 4];
        using S2AttentionPlan plan = new(config, new() { Threads = 2 });
        for (int poisoned = 0; poisoned < 32; poisoned += 5)
        {
            float[] bad = [.. k];
            bad.AsSpan(poisoned * 8, 8).Fill(float.NaN);
            plan.Forward<float>(q, bad, v, o, lse);
            for (int t = 0; t < 32; t++)
                for (int head = 0; head < 4; head++)
                    Assert.Equal(Visibility.Visible(config, head, t, poisoned), !o.AsSpan((t * 4 + head) * 8, 8).ToArray().All(float.IsFinite));
        }
    }

    /// <summary>Each sequence has the phases of its own groups, or the given shifts that it has tokens for. Phases that are not rotated ascend with the heads: then dk and dv have the bits too.</summary>
    [Theory]
    [InlineData("3", "given", "Split", "5 30 0 1 12 33 2")]
    [InlineData("4r", "given", "BidirectionalSplit", "3 8 13 16 1")]
    [InlineData("0 5 3 2", "given", "Split", "8 1 3 21")]
    [InlineData("4", "given", "LocalCausal", "8 4 0 24 1")]
    [InlineData("3", "ratio", "LocalCausal", "16 4 0 40 12")]
    [InlineData("5r", "ratio", "PositionCausal", "32 8")]
    [InlineData("1 0 1 0", "ratio", "Split", "8 16")]
    [InlineData("3", "sft", "Split", "7 4096 11")]
    // Phases that floor to one shift in the longest sequence, and to two in a shorter one; a shift of just as many tokens as a sequence has.
    [InlineData("5", "ratio", "Split", "12 8 4")]
    [InlineData("7", "ratio", "LocalCausal", "20 8 12 16")]
    [InlineData("0 5 3 2", "given", "LocalCausal", "8 3 16 5 2")]
    public void A_packed_sequence_has_the_bits_that_it_has_alone(string shifts, string rule, string mask, string lengths)
    {
        int[] numbers = [.. shifts.TrimEnd('r').Split(' ').Select(text => int.Parse(text, CultureInfo.InvariantCulture))], sizes = [.. lengths.Split(' ').Select(text => int.Parse(text, CultureInfo.InvariantCulture))];
        S2Request request = new()
        {
            Tokens = sizes.Sum(),
            Heads = 4,
            KvHeads = 2,
            HeadDim = 3,
            GroupSize = rule switch { "given" => GroupSizeRule.Of(8), "ratio" => GroupSizeRule.LongLora, _ => GroupSizeRule.LongLoraSft },
            Mask = Enum.Parse<MaskPolicy>(mask),
            ShiftedHeads = numbers.Length > 1 ? HeadShift.Each(numbers) : HeadShift.Phased(numbers[0], isRotated: shifts.EndsWith('r')),
        };
        int[] starts = new int[sizes.Length + 1];
        for (int i = 0; i < sizes.Length; i++)
            starts[i + 1] = starts[i] + sizes[i];
        float[] q = Noise(request.Tokens * 12, 1), k = Noise(request.Tokens * 6, 2), v = Noise(request.Tokens * 6, 3), dout = Noise(q.Length, 4);
        Results all = new(q.Length, k.Length);
        using (S2AttentionPlan packed = S2AttentionPlan.Packed(request, starts, new() { Threads = 3 }))
            Run(packed, q, k, v, dout, all);
        for (int i = 0; i < sizes.Length; i++)
        {
            if (sizes[i] == 0)
                continue;
            S2Config alone = S2Config.Create(request.OfPackedSequence(sizes[i]));
            Results expected = new(sizes[i] * 12, sizes[i] * 6);
            using S2AttentionPlan plan = new(alone, new() { Threads = 1 });
            Run(plan, Of(q, 12), Of(k, 6), Of(v, 6), Of(dout, 12), expected);
            Assert.Equal(expected.O, Of(all.O, 12));
            Assert.Equal(expected.Lse, Of(all.Lse, 4));
            Assert.Equal(expected.Dq, Of(all.Dq, 12));

            // Where a shift has more tokens than the sequence its head is of another class alone, and dk and dv are summed in another order.
            Near(expected.Dk, Of(all.Dk, 6));
            Near(expected.Dv, Of(all.Dv, 6));

            void Near(float[] a, float[] b)
            {
                if (numbers.Length == 1 && !shifts.EndsWith('r') || numbers.Max() < sizes[i])
                    Assert.Equal(a, b);
                else
                    Assert.All(a.Zip(b), pair => Assert.Equal(pair.First, pair.Second, 1e-6f));
            }

            float[] Of(float[] packed, int perToken) => packed[(starts[i] * perToken)..(starts[i + 1] * perToken)];
        }
    }

    /// <summary>Where the shifts of a request suit no length, the request is refused whatever the lengths are.</summary>
    [Fact]
    public void Shifts_that_do_not_suit_a_packed_batch_are_refused_by_name()
    {
        S2Request request = new() { Tokens = 12, Heads = 2, HeadDim = 1, GroupSize = GroupSizeRule.Of(4), Mask = MaskPolicy.Split };
        Assert.Contains("ShiftedHeads = [0,4]: must hold shifts from 0 to", Assert.Throws<InvalidConfigException>(() => S2AttentionPlan.Packed(request with { ShiftedHeads = HeadShift.Each([0, 4]) }, [0, 12])).Message, StringComparison.Ordinal);
        Assert.Contains("one shift for each of the 2", Assert.Throws<InvalidConfigException>(() => S2AttentionPlan.Packed(request with { ShiftedHeads = HeadShift.Each([0]) }, [0, 2, 12])).Message, StringComparison.Ordinal);
        Assert.Contains("Sequence 1 has 4 tokens: ShiftedHeads = [0,3]", Assert.Throws<ArgumentException>(() => S2AttentionPlan.Packed(request with { GroupSize = GroupSizeRule.LongLora, ShiftedHeads = HeadShift.Each([0, 3]), Tokens = 20 }, [0, 16, 20])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Text_in_pieces_has_what_the_whole_has()
    {
        S2Config config = S2Config.Create(new() { Tokens = 70, Heads = 6, KvHeads = 2, HeadDim = 16, GroupSize = GroupSizeRule.Of(12), Mask = MaskPolicy.Split, ShiftedHeads = HeadShift.Each([4, 0, 8, 3, 3, 11]) });
        float[] q = Noise(70 * 96, 1), k = Noise(70 * 32, 2), v = Noise(70 * 32, 3), o = new float[q.Length], lse = new float[70 * 6], part = new float[20 * 96];
        using (S2AttentionPlan plan = new(config))
            plan.Forward<float>(q, k, v, o, lse);
        using KeyValueCache<float> cache = new(config, new() { Threads = 2, MaxChunk = 20 });
        for (int start = 0, count = 1; start < 70; start += count, count = Math.Min(70 - start, 1 + (3 * count) % 20))
        {
            cache.Append(k.AsSpan(start * 32, count * 32), v.AsSpan(start * 32, count * 32));
            cache.Attend(q.AsSpan(start * 96, count * 96), part.AsSpan(0, count * 96));
            Assert.All(Enumerable.Range(0, count * 96), i => Assert.Equal(o[start * 96 + i], part[i], 1e-5f));
            Assert.True(start + count - cache.FirstKeyOf(0) <= 12);
        }
    }

    private static AttentionCase With(AttentionCase item, HeadShift heads) =>
        item with { Config = item.Config.With(request => request with { Shift = null, ShiftedHeads = heads }) };

    private sealed record Results(int Queries, int Keys)
    {
        public float[] O { get; } = new float[Queries];

        public float[] Lse { get; } = new float[Queries / 3];

        public float[] Dq { get; } = new float[Queries];

        public float[] Dk { get; } = new float[Keys];

        public float[] Dv { get; } = new float[Keys];
    }

    private static void Run(S2AttentionPlan plan, float[] q, float[] k, float[] v, float[] dout, Results results)
    {
        plan.Forward<float>(q, k, v, results.O, results.Lse);
        plan.Backward<float>(q, k, v, results.O, results.Lse, dout, results.Dq, results.Dk, results.Dv);
    }

    private static float[] Noise(int count, int seed)
    {
        Random random = new(seed);
        return [.. Enumerable.Range(0, count).Select(_ => random.NextSingle() - 0.5f)];
    }
}
