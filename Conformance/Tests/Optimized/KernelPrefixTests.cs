// Do the kernels compute prefixes, as sinks and seen whole: within the bound, with the same bits for any number of threads, in slices, packed and from a cache?
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

public sealed class KernelPrefixTests
{
    private static readonly Gen<AttentionCase> Prefixed =
        from item in CaseGenerator.Kernels(90, 40, ElementType.F32, ElementType.F16, ElementType.BF16)
        from own in Gen.Frequency((3, Gen.Constant(item.Config)), (1, CaseGenerator.WithOwnShifts(item.Config)))
        from config in CaseGenerator.WithPrefix(own)
        select item with { Config = config };

    public static TheoryData<MaskPolicy, bool> Kinds
    {
        get
        {
            TheoryData<MaskPolicy, bool> kinds = [];
            foreach (MaskPolicy mask in MaskPolicies.All)
            {
                kinds.Add(mask, false);
                kinds.Add(mask, true);
            }

            return kinds;
        }
    }

    [Theory]
    [MemberData(nameof(ExponentialTests.Widths), MemberType = typeof(ExponentialTests))]
    public void Prefixes_stay_within_the_bound(VectorWidth width) => KernelRun.StaysWithinTheBound(Prefixed, width, 150);

    /// <summary>Every prefix of a small text that has runs of several kinds, against the definition; every other one with a kv head that heads of both kinds read.</summary>
    [Theory]
    [MemberData(nameof(Kinds))]
    public void Every_prefix_of_a_small_text_stays_within_the_bound(MaskPolicy mask, bool isWhole)
    {
        using OptimizedPort port = new(new S2AttentionOptions { Threads = 2 });
        foreach ((int tokens, int group, int shift) in new[] { (12, 4, 1), (12, 6, 5), (9, 9, 4), (8, 1, 0), (10, 5, 0) })
            for (int prefix = 0; prefix <= tokens; prefix++)
            {
                AttentionCase item = With(Cases.Of(tokens, group, mask, heads: 4, kvHeads: 2 - (prefix % 2), headDim: 3, padding: prefix % 3 == 0 ? PaddingPattern.Sparse : PaddingPattern.None, seed: prefix), prefix, isWhole, shift);
                Assert.All(AgreementCampaign.Try(port, OptimizedPort.ModelOf, item), agreement => Assert.True(agreement.Agrees, $"{agreement}: {item}"));
            }
    }

    /// <summary>Prefixes of several tiles, which end in the middle of a run, of a block of queries and of a panel.</summary>
    [Theory]
    [MemberData(nameof(Kinds))]
    public void One_to_eight_threads_and_both_sides_of_a_guard_page_give_the_same_bits(MaskPolicy mask, bool isWhole)
    {
        foreach (int prefix in new[] { 3, 77, 261 })
        {
            AttentionCase item = With(Cases.Of(300, 50, mask, batch: 2, heads: 6, kvHeads: 2, headDim: 24, padding: PaddingPattern.Sparse, seed: 12), prefix, isWhole, 23);
            KernelBits one = KernelRun.Run(item, new() { Threads = 1 });
            one.AssertSame(KernelRun.Run(item, new() { Threads = 1 }, GuardSide.Before), $"the other guard page, {item}");
            for (int threads = 2; threads <= 8; threads++)
                one.AssertSame(KernelRun.Run(item, new() { Threads = threads }), $"{threads} threads, {item}");
            using OptimizedPort port = new();
            Assert.All(AgreementCampaign.Try(port, OptimizedPort.ModelOf, item), agreement => Assert.True(agreement.Agrees, $"{agreement}: {item}"));
        }
    }

    /// <summary>Without a prefix nothing changes; one of all tokens is attention to everything, or to everything before.</summary>
    [Fact]
    public void A_prefix_of_all_tokens_is_full_attention()
    {
        foreach (MaskPolicy mask in MaskPolicies.All.Where(mask => mask is not MaskPolicy.LocalCausal))
        {
            AttentionCase grouped = With(Cases.Of(60, 12, mask, heads: 4, kvHeads: 2, headDim: 10, seed: 3), 60, false, 5);
            AttentionCase full = Cases.Of(60, 60, mask.IsCausal() ? MaskPolicy.PositionCausal : MaskPolicy.Bidirectional, heads: 4, kvHeads: 2, headDim: 10, seed: 3);
            using OptimizedPort port = new();
            PortAnswer.Forward one = (PortAnswer.Forward)port.Run(grouped.Forward()), other = (PortAnswer.Forward)port.Run(full.Forward());
            Assert.All(one.Output.Elements.ToArray().Zip(other.Output.Elements.ToArray()), pair => Assert.Equal(pair.First, pair.Second, 1e-5));
        }
    }

    /// <summary>A key that is NaN touches the rows that see it, through the policy or the prefix, and no other.</summary>
    [Theory]
    [MemberData(nameof(Kinds))]
    public void A_key_that_is_NaN_touches_the_rows_that_see_it_and_no_other(MaskPolicy mask, bool isWhole)
    {
        S2Config config = Create(11, isWhole, new() { Tokens = 32, Heads = 4, KvHeads = 1, HeadDim = 8, GroupSize = GroupSizeRule.Of(8), Mask = mask, ShiftedHeads = HeadShift.Each([5, 0, 2, 7]) });
        float[] q = Noise(32 * 4 * 8, 1), k = Noise(32 * 8, 2), v = Noise(32 * 8, 3), dout = Noise(q.Length, 4), o = new float[q.Length], lse = new float[32 * 4], dq = new float[q.Length], dk = new float[k.Length], dv = new float[k.Length];
        using S2AttentionPlan plan = new(config, new() { Threads = 2 });
        for (int poisoned = 0; poisoned < 32; poisoned += 3)
        {
            float[] bad = [.. k];
            bad.AsSpan(poisoned * 8, 8).Fill(float.NaN);
            plan.Forward<float>(q, bad, v, o, lse);
            plan.Backward<float>(q, bad, v, o, lse, dout, dq, dk, dv);
            for (int t = 0; t < 32; t++)
                for (int head = 0; head < 4; head++)
                {
                    bool sees = Visibility.Visible(config, head, t, poisoned);
                    Assert.Equal(sees, !o.AsSpan((t * 4 + head) * 8, 8).ToArray().All(float.IsFinite));
                    Assert.Equal(sees, !dq.AsSpan((t * 4 + head) * 8, 8).ToArray().All(float.IsFinite));
                }
        }
    }

    /// <summary>Each packed sequence has a prefix of its own first tokens, at most all of them.</summary>
    [Theory]
    [InlineData(3, false, MaskPolicy.Split, 8, 1, 3, 21)]
    [InlineData(5, true, MaskPolicy.Split, 5, 30, 0, 1, 12)]
    [InlineData(9, true, MaskPolicy.BidirectionalSplit, 3, 8, 13, 16)]
    [InlineData(6, false, MaskPolicy.LocalCausal, 8, 4, 0, 24)]
    [InlineData(6, false, MaskPolicy.PositionCausal, 16, 8)]
    public void A_packed_sequence_has_the_bits_that_it_has_alone(int prefix, bool isWhole, MaskPolicy mask, params int[] sizes)
    {
        S2Request request = new() { Tokens = sizes.Sum(), Heads = 4, KvHeads = 2, HeadDim = 3, GroupSize = GroupSizeRule.Of(8), Mask = mask, Prefix = prefix, IsPrefixWhole = isWhole };
        int[] starts = [.. sizes.Aggregate(new List<int> { 0 }, (all, size) => [.. all, all[^1] + size])];
        float[] q = Noise(request.Tokens * 12, 1), k = Noise(request.Tokens * 6, 2), v = Noise(request.Tokens * 6, 3), dout = Noise(q.Length, 4);
        using S2AttentionPlan packed = S2AttentionPlan.Packed(request, starts, new() { Threads = 3 });
        float[][] all = Run(packed, q, k, v, dout);
        for (int i = 0; i < sizes.Length; i++)
        {
            if (sizes[i] == 0)
                continue;
            using S2AttentionPlan plan = new(S2Config.Create(request.OfPackedSequence(sizes[i])), new() { Threads = 1 });
            float[][] alone = Run(plan, Of(q, 12), Of(k, 6), Of(v, 6), Of(dout, 12));
            foreach ((float[] one, float[] part) in alone.Zip(all.Zip([12, 4, 12, 6, 6], (tensor, perToken) => Of(tensor, perToken))))
                Assert.Equal(one, part);

            float[] Of(float[] tensor, int perToken) => tensor[(starts[i] * perToken)..(starts[i + 1] * perToken)];
        }
    }

    /// <summary>A slice begins at key 0: its rows have the bits of the whole's, and shares of dk and dv add up.</summary>
    [Theory]
    [MemberData(nameof(Kinds))]
    public void Slices_have_the_rows_of_the_whole_and_shares_add_up(MaskPolicy mask, bool isWhole)
    {
        foreach (int prefix in new[] { 1, 5, 14 })
        {
            S2Config config = Create(prefix, isWhole, new() { Tokens = 24, Heads = 4, KvHeads = 2, HeadDim = 3, GroupSize = GroupSizeRule.Of(8), Mask = mask });
            float[] q = Noise(24 * 12, 1), k = Noise(24 * 6, 2), v = Noise(24 * 6, 3), dout = Noise(q.Length, 4);
            using S2AttentionPlan plan = new(config, new() { Threads = 1 });
            float[][] whole = Run(plan, q, k, v, dout);
            double[] dk = new double[k.Length], dv = new double[k.Length];
            foreach ((int first, int end) in new[] { (0, 3), (3, 10), (10, 11), (11, 24) })
            {
                S2Slice slice = S2Slice.Create(config, new() { FirstQuery = first, EndQuery = end });
                Assert.Equal(0, slice.Keys.Start);
                using S2AttentionPlan part = S2AttentionPlan.OfSlice(slice, new() { Threads = 2 });
                int keys = slice.KeyCount * 6;
                float[][] of = Run(part, q[(first * 12)..(end * 12)], k[..keys], v[..keys], dout[(first * 12)..(end * 12)]);
                Assert.Equal(whole[0][(first * 12)..(end * 12)], of[0]);
                Assert.Equal(whole[1][(first * 4)..(end * 4)], of[1]);
                Assert.Equal(whole[2][(first * 12)..(end * 12)], of[2]);
                for (int i = 0; i < keys; i++)
                    (dk[i], dv[i]) = (dk[i] + of[3][i], dv[i] + of[4][i]);
                if (mask is not MaskPolicy.Split)
                    continue;
                using S2AttentionPlan growing = S2AttentionPlan.OfSlice(S2Slice.Create(config, new() { FirstQuery = first, EndQuery = end, IsUnbounded = true }), new() { Threads = 2 });
                Assert.Equal(of[0], Run(growing, q[(first * 12)..(end * 12)], k[..keys], v[..keys], dout[(first * 12)..(end * 12)])[0]);
            }

            Assert.All(Enumerable.Range(0, dk.Length), i => Assert.Equal(whole[3][i], dk[i], 1e-5));
            Assert.All(Enumerable.Range(0, dv.Length), i => Assert.Equal(whole[4][i], dv[i], 1e-5));
        }
    }

    /// <summary>The keys of a prefix receive from every run, after the runs have given theirs: what is stored is rounded behind both.</summary>
    [Theory]
    [MemberData(nameof(Kinds))]
    public void Gradients_in_the_storage_type_are_rounded_once(MaskPolicy mask, bool isWhole)
    {
        foreach (int prefix in new[] { 2, 37 })
        {
            S2Config config = Create(prefix, isWhole, new() { Batch = 2, Tokens = 60, Heads = 4, KvHeads = 2, HeadDim = 8, GroupSize = GroupSizeRule.Of(12), Mask = mask });
            using S2AttentionPlan plan = new(config, new() { Threads = 2 });
            KernelRun.RoundsStoredGradientsOnce(plan, config);
        }
    }

    /// <summary>A cache keeps the prefix however long the text gets; steps and chunks, and appended at once.</summary>
    [Theory]
    [InlineData(1, false, 20)]
    [InlineData(5, false, 3)]
    [InlineData(5, true, 7)]
    [InlineData(15, false, 20)]
    [InlineData(33, true, 40)]
    public void A_cache_keeps_the_prefix(int prefix, bool isWhole, int most)
    {
        S2Config config = Create(prefix, isWhole, new() { Tokens = 170, Heads = 6, KvHeads = 2, HeadDim = 16, GroupSize = GroupSizeRule.Of(12), Mask = MaskPolicy.Split, ShiftedHeads = HeadShift.Each([4, 0, 8, 3, 3, 11]) });
        float[] q = Noise(170 * 96, 1), k = Noise(170 * 32, 2), v = Noise(170 * 32, 3), o = new float[q.Length], lse = new float[170 * 6], part = new float[most * 96], partLse = new float[most * 6];
        using (S2AttentionPlan plan = new(config))
            plan.Forward<float>(q, k, v, o, lse);
        using KeyValueCache<float> cache = new(config, new() { Threads = 2, MaxChunk = most });
        Assert.Equal(prefix + 12 + most, cache.MaxRows);
        for (int round = 0; round < 2; round++)
        {
            // What another sequence left in the rows must not be seen.
            float[] left = [.. Enumerable.Repeat(float.NaN, prefix * 32)];
            cache.Reset(0);
            cache.Append(left, left);
            cache.Reset(0);
            int start = round == 0 ? 0 : 150;
            cache.Append(k.AsSpan(0, start * 32), v.AsSpan(0, start * 32));
            for (int count = Math.Min(170 - start, isWhole ? Math.Min(most, prefix) : 1); start < 170; start += count, count = Math.Min(170 - start, 1 + (3 * count) % most))
            {
                // Queries of a prefix that is seen whole wait for all of it.
                int appended = isWhole && start + count < prefix ? prefix : start + count;
                if (appended > cache.LengthOf(0))
                    cache.Append(k.AsSpan(cache.LengthOf(0) * 32, (appended - cache.LengthOf(0)) * 32), v.AsSpan(cache.LengthOf(0) * 32, (appended - cache.LengthOf(0)) * 32));
                if (appended != start + count)
                    continue;
                cache.Attend(q.AsSpan(start * 96, count * 96), part.AsSpan(0, count * 96), partLse.AsSpan(0, count * 6));
                Assert.All(Enumerable.Range(0, count * 96), i => Assert.Equal(o[start * 96 + i], part[i], 1e-5f));
                Assert.All(Enumerable.Range(0, count * 6), i => Assert.Equal(lse[start * 6 + i], partLse[i], 1e-5f));
            }

            Assert.True(cache.Bytes <= 2L * 2 * cache.MaxRows * 16 * sizeof(float));
        }

        // A prefix that is seen whole must be there.
        if (!isWhole)
            return;
        cache.Reset(0);
        cache.Append(k.AsSpan(0, 32), v.AsSpan(0, 32));
        Assert.Contains($"all of its {prefix} tokens", Assert.Throws<ArgumentOutOfRangeException>(() => cache.Attend(q.AsSpan(0, 96), part.AsSpan(0, 96))).Message, StringComparison.Ordinal);
    }

    /// <summary>A prefix of one to three parts of keys, each less one, whole and one more; more and fewer other keys than that, and a step before the prefix is complete.</summary>
    [Theory]
    [InlineData(-1, false)]
    [InlineData(0, true)]
    [InlineData(1, false)]
    [InlineData(1, true)]
    public void A_cache_keeps_a_prefix_of_several_parts(int offset, bool isWhole)
    {
        const int Part = DecodeWork<float>.KeysOfPart;
        for (int parts = 1; parts <= 3; parts++)
        {
            int prefix = (parts * Part) + offset, tokens = prefix + 12;
            S2Config config = Create(prefix, isWhole, new() { Tokens = tokens, Heads = 2, KvHeads = 1, HeadDim = 8, GroupSize = GroupSizeRule.Of(5), Mask = MaskPolicy.Split });
            AttentionInput<double> input = new AttentionCase(config, ElementType.F32, TensorKind.Normal, PaddingPattern.None, parts).BuildInput();
            float[] q = [.. input.Query.Map(value => (float)value).Elements], k = [.. input.Key.Map(value => (float)value).Elements], v = [.. input.Value.Map(value => (float)value).Elements];
            float[] o = new float[3 * 16], lse = new float[3 * 2];
            using KeyValueCache<float> cache = new(config, new() { Threads = 2, MaxChunk = 3 });
            foreach (int end in isWhole ? new[] { prefix, tokens } : [3, prefix - 2, prefix + 1, tokens])
            {
                cache.Append(k.AsSpan(cache.LengthOf(0) * 8, (end - cache.LengthOf(0)) * 8), v.AsSpan(cache.LengthOf(0) * 8, (end - cache.LengthOf(0)) * 8));
                cache.Attend(q.AsSpan((end - 3) * 16, 3 * 16), o, lse);
                for (int i = 0; i < lse.Length; i++)
                {
                    AttentionRow row = Attention.Row(config, input, 0, end - 3 + (i / 2), i % 2);
                    Assert.Equal(row.LogSumExp, lse[i], 1e-4);
                    Assert.All(Attention.OutputRow(config, input, row, 0, i % 2).Zip(o[(i * 8)..((i + 1) * 8)]), pair => Assert.Equal(pair.First, pair.Second, 1e-4));
                }
            }
        }
    }

    [Fact]
    public void A_call_with_a_prefix_allocates_nothing()
    {
        S2Config config = S2Config.Create(new() { Tokens = 64, Heads = 4, KvHeads = 2, HeadDim = 8, GroupSize = GroupSizeRule.Of(16), Mask = MaskPolicy.Split, Prefix = 20 });
        float[] q = Noise(64 * 32, 1), k = Noise(64 * 16, 2), v = Noise(64 * 16, 3), o = new float[q.Length], lse = new float[64 * 4], dq = new float[q.Length], dk = new float[k.Length], dv = new float[k.Length];
        using S2AttentionPlan plan = new(config, new() { Threads = 1 });
        long before = 0;
        for (int i = 0; i < 4; i++)
        {
            if (i == 3)
                before = GC.GetAllocatedBytesForCurrentThread();
            plan.Forward<float>(q, k, v, o, lse);
            plan.Backward<float>(q, k, v, o, lse, o, dq, dk, dv);
        }

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    private static S2Config Create(int prefix, bool isWhole, S2Request request) => S2Config.Create(request with { Prefix = prefix, IsPrefixWhole = isWhole });

    private static AttentionCase With(AttentionCase item, int prefix, bool isWhole, int shift) =>
        item with { Config = item.Config.With(request => request with { Shift = shift, Prefix = prefix, IsPrefixWhole = isWhole }) };

    // o, lse, dq, dk, dv.
    private static float[][] Run(S2AttentionPlan plan, float[] q, float[] k, float[] v, float[] dout)
    {
        float[] o = new float[q.Length], lse = new float[q.Length / 3], dq = new float[q.Length], dk = new float[k.Length], dv = new float[k.Length];
        plan.Forward<float>(q, k, v, o, lse);
        plan.Backward<float>(q, k, v, o, lse, dout, dq, dk, dv);
        return [o, lse, dq, dk, dv];
    }

    private static float[] Noise(int count, int seed)
    {
        Random random = new(seed);
        return [.. Enumerable.Range(0, count).Select(_ => random.NextSingle() - 0.5f)];
    }
}
