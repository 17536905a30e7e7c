// Are results right for every D, at every length of a sequence's last part, after whatever a plan computed before, for any number of packed sequences, and for scores and scales of any size?
using S2Attn.Conformance;
using S2Attn.Conformance.Campaigns;
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Optimized;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Tests.Optimized;

public sealed class KernelSizeTests
{
    private static readonly ElementType[] Types = [ElementType.F32, ElementType.F16, ElementType.BF16];

    /// <summary>D decides pads, tails of registers and the blocks of rows: each D from 1 to 160 stands for itself, and above that each at a border and every second.</summary>
    [Theory]
    [MemberData(nameof(ExponentialTests.Widths), MemberType = typeof(ExponentialTests))]
    public void Vectors_of_any_length_agree(VectorWidth width)
    {
        using OptimizedPort port = new(new S2AttentionOptions { VectorWidth = width, Threads = 1 });
        for (int dim = 1; dim <= 288; dim += dim < 160 || dim % 16 is 0 or 14 or 15 ? 1 : 2)
        {
            AttentionCase item = Cases.Of(5, 5, MaskPolicies.All[dim % 5], headDim: dim, type: Types[dim % 3], seed: dim);
            Assert.All(AgreementCampaign.Try(port, OptimizedPort.ModelOf, item), agreement => Assert.True(agreement.Agrees, $"{item}: {agreement}"));
        }
    }

    /// <summary>NaN in the last element of the last key of a tile, which fills no register, for every length of the tile's rest.</summary>
    [Theory]
    [MemberData(nameof(ExponentialTests.Widths), MemberType = typeof(ExponentialTests))]
    public void NaN_in_the_last_element_of_any_key_is_noticed(VectorWidth width)
    {
        for (int dim = 1; dim <= 24; dim++)
            for (int tokens = 2; tokens <= 26; tokens++)
                foreach (bool inKey in new[] { false, true })
                {
                    S2Config config = S2Config.Create(new() { Tokens = tokens, HeadDim = dim, GroupSize = GroupSizeRule.Of(tokens), Mask = MaskPolicy.Split, ShiftedHeads = HeadShift.None });
                    float[] q = Ones(), k = Ones(), v = Ones(), o = Ones(), lse = new float[tokens], dq = Ones(), dk = Ones(), dv = Ones(), dout = Ones();
                    (inKey ? k : v)[^1] = float.NaN;
                    using S2AttentionPlan plan = new(config, new() { VectorWidth = width, Threads = 1 });
                    plan.Forward<float>(q, k, v, o, lse);
                    plan.Backward<float>(q, k, v, o, lse, dout, dq, dk, dv);
                    foreach (float[] tensor in new[] { o, dq })
                        Assert.True(tensor.AsSpan(0, (tokens - 1) * dim).IndexOfAnyExceptInRange(-1e9f, 1e9f) < 0, $"D = {dim}, N = {tokens}: NaN in the last element of {(inKey ? "k" : "v")} is seen by earlier queries");

                    float[] Ones() => [.. Enumerable.Repeat(1f, tokens * dim)];
                }
    }

    /// <summary>
    /// Panels, tiles and blocks that are not full have room for what stood there before: after a call whose every number was NaN, each G up to two blocks, with vectors that fill registers and that do not, gives the bits of a new plan.
    /// </summary>
    [Theory]
    [MemberData(nameof(ExponentialTests.Widths), MemberType = typeof(ExponentialTests))]
    public void What_a_plan_computed_before_leaves_nothing_in_its_workspace(VectorWidth width)
    {
        const int Longest = 260, MaxDim = 63;
        int[] dims = [3, 47, 31, 12, MaxDim];
        Random random = new(5);
        float[][] noise = [.. Enumerable.Range(0, 4).Select(_ => Enumerable.Range(0, Longest * MaxDim).Select(_ => random.NextSingle() - 0.5f).ToArray())];
        for (int tokens = 1; tokens <= Longest; tokens += tokens < 140 ? 1 : 7)
        {
            int dim = dims[tokens % dims.Length];
            S2Config config = S2Config.Create(new() { Tokens = tokens, HeadDim = dim, GroupSize = GroupSizeRule.Of(tokens), Mask = MaskPolicy.Bidirectional });
            float[] lost = [.. Enumerable.Repeat(float.NaN, tokens * dim)];
            using S2AttentionPlan used = new(config, new() { VectorWidth = width, Threads = 1 }), fresh = new(config, new() { VectorWidth = width, Threads = 1 });
            Run(used, [lost, lost, lost, lost]);
            float[][] inputs = [.. noise.Select(tensor => tensor[..(tokens * dim)])];
            foreach ((float[] expected, float[] found) in Run(fresh, inputs).Zip(Run(used, inputs)))
                Assert.True(expected.AsSpan().SequenceEqual(found), $"G = {tokens}, D = {dim}");

            float[][] Run(S2AttentionPlan plan, float[][] inputs)
            {
                float[] o = new float[tokens * dim], lse = new float[tokens], dq = new float[o.Length], dk = new float[o.Length], dv = new float[o.Length];
                plan.Forward<float>(inputs[0], inputs[1], inputs[2], o, lse);
                plan.Backward<float>(inputs[0], inputs[1], inputs[2], o, lse, inputs[3], dq, dk, dv);
                return [o, lse, dq, dk, dv];
            }
        }
    }

    /// <summary>A key of minus infinity has weight 0 for every query of a whole segment; lanes without a query, for which its score is 0 times infinity, do not give it their NaN.</summary>
    [Theory]
    [MemberData(nameof(ExponentialTests.Widths), MemberType = typeof(ExponentialTests))]
    public void A_score_of_minus_infinity_gives_its_key_nothing_at_any_length(VectorWidth width)
    {
        for (int tokens = 2; tokens <= 300; tokens += tokens < 140 ? 1 : 9)
        {
            S2Config config = S2Config.Create(new() { Tokens = tokens, HeadDim = 1, GroupSize = GroupSizeRule.Of(tokens), Mask = MaskPolicy.Bidirectional });
            float[] ones = [.. Enumerable.Repeat(1f, tokens)], k = [.. ones], o = new float[tokens], lse = new float[tokens], dq = new float[tokens], dk = new float[tokens], dv = new float[tokens];
            k[tokens / 2] = float.NegativeInfinity;
            using S2AttentionPlan plan = new(config, new() { VectorWidth = width, Threads = 1 });
            plan.Forward<float>(ones, k, ones, o, lse);
            plan.Backward<float>(ones, k, ones, o, lse, ones, dq, dk, dv);
            Assert.All(o, value => Assert.Equal(1, value, 1e-5));
            Assert.Equal(0, dv[tokens / 2]);
            Assert.Equal(tokens, dv.Sum(), 1e-3);
        }
    }

    /// <summary>dk and dv are rounded to storage in portions of tokens: the borders of three portions and every third N up to 200, in two sequences and two kv heads.</summary>
    [Fact]
    public void Gradients_are_stored_for_any_N()
    {
        for (int tokens = 1; tokens <= 200; tokens += tokens % 64 is < 3 or > 61 ? 1 : 3)
        {
            S2Config config = S2Config.Create(new() { Batch = 2, Tokens = tokens, Heads = 2, HeadDim = 3, GroupSize = GroupSizeRule.Of(Math.Min(tokens, 4)), Mask = MaskPolicy.Split });
            Random random = new(tokens);
            BFloat16[] q = Noise(), k = Noise(), v = Noise(), dout = Noise(), o = new BFloat16[q.Length], dq = Lost(), dk = Lost(), dv = Lost();
            float[] lse = new float[q.Length / 3], exactQ = new float[q.Length], exactK = new float[q.Length], exactV = new float[q.Length];
            using S2AttentionPlan plan = new(config, new() { Threads = 1 + tokens % 2 });
            plan.Forward<BFloat16>(q, k, v, o, lse);
            plan.Backward<BFloat16>(q, k, v, o, lse, dout, exactQ, exactK, exactV);
            plan.Backward<BFloat16, BFloat16>(q, k, v, o, lse, dout, dq, dk, dv);
            Assert.Equal(exactQ.Select(value => (BFloat16)value), dq);
            Assert.Equal(exactK.Select(value => (BFloat16)value), dk);
            Assert.Equal(exactV.Select(value => (BFloat16)value), dv);

            BFloat16[] Noise() => [.. Enumerable.Range(0, 2 * tokens * 2 * 3).Select(_ => (BFloat16)(random.NextSingle() - 0.5f))];

            BFloat16[] Lost() => [.. Enumerable.Repeat((BFloat16)float.NaN, 2 * tokens * 2 * 3)];
        }
    }

    /// <summary>The sequence of an item is searched for: each of 1 to 130 sequences of growing length has the bits of a plan of its own.</summary>
    [Fact]
    public void Any_number_of_packed_sequences_finds_its_items()
    {
        foreach (int count in new[] { 1, 2, 3, 31, 32, 33, 63, 64, 65, 127, 128, 130 })
        {
            int[] lengths = [.. Enumerable.Range(0, count).Select(i => 1 + i * 7 % 11)], starts = [0, .. lengths.Select((_, i) => lengths.Take(i + 1).Sum())];
            S2Request request = new() { Tokens = starts[^1], Heads = 2, KvHeads = 1, HeadDim = 2, GroupSize = GroupSizeRule.Of(4), Mask = MaskPolicy.Split };
            Random random = new(count);
            float[] q = Noise(4), k = Noise(2), v = Noise(2), o = new float[q.Length], lse = new float[q.Length / 2], dq = new float[q.Length], dk = new float[k.Length], dv = new float[k.Length];
            using S2AttentionPlan packed = S2AttentionPlan.Packed(request, starts, new() { Threads = 2 });
            packed.Forward<float>(q, k, v, o, lse);
            packed.Backward<float>(q, k, v, o, lse, q, dq, dk, dv);
            for (int i = 0; i < count; i++)
            {
                float[] oneO = new float[lengths[i] * 4], oneLse = new float[lengths[i] * 2], oneDq = new float[oneO.Length], oneDk = new float[lengths[i] * 2], oneDv = new float[oneDk.Length];
                using S2AttentionPlan alone = new(S2Config.Create(request.OfPackedSequence(lengths[i])), new() { Threads = 1 });
                alone.Forward<float>(Of(q, 4), Of(k, 2), Of(v, 2), oneO, oneLse);
                alone.Backward<float>(Of(q, 4), Of(k, 2), Of(v, 2), oneO, oneLse, Of(q, 4), oneDq, oneDk, oneDv);
                Assert.Equal(oneO, Of(o, 4));
                Assert.Equal(oneLse, Of(lse, 2));
                Assert.Equal(oneDq, Of(dq, 4));
                Assert.Equal(oneDk, Of(dk, 2));
                Assert.Equal(oneDv, Of(dv, 2));

                float[] Of(float[] tensor, int perToken) => tensor[(starts[i] * perToken)..(starts[i + 1] * perToken)];
            }

            float[] Noise(int perToken) => [.. Enumerable.Range(0, starts[^1] * perToken).Select(_ => random.NextSingle() - 0.5f)];
        }
    }

    /// <summary>Every length is validated as it would be alone, whichever others were seen before it: one bad length among all good ones, at each place.</summary>
    [Fact]
    public void One_bad_length_among_good_ones_is_refused()
    {
        S2Request request = new() { Tokens = 0, HeadDim = 1, GroupSize = GroupSizeRule.Of(6), Mask = MaskPolicy.LocalCausal };
        int[] good = [.. Enumerable.Range(1, 600).Where(length => IsGood(request, length))];
        Packed(good).Dispose();
        foreach (int bad in Enumerable.Range(1, 600).Except(good))
            Assert.Contains($" has {bad} tokens", Assert.Throws<ArgumentException>(() => Packed([.. good, bad])).Message, StringComparison.Ordinal);

        S2AttentionPlan Packed(int[] lengths)
        {
            int[] starts = new int[lengths.Length + 1];
            for (int i = 0; i < lengths.Length; i++)
                starts[i + 1] = starts[i] + lengths[i];
            return S2AttentionPlan.Packed(request with { Tokens = starts[^1] }, starts, new() { Threads = 1 });
        }

        static bool IsGood(S2Request request, int length) => S2Config.TryCreate(request.OfPackedSequence(length)) is ConfigResult.Valid;
    }

    /// <summary>
    /// Scores from 2^-140 to 2^126, all of one sign or of both, made by q and k of ordinary size and a scale, or by a scale and q or k of any: wherever the bound judges, o, lse
    /// and the gradients are within it.
    /// </summary>
    [Fact]
    public void Scores_and_scales_of_any_size_agree()
    {
        using OptimizedPort port = new(new S2AttentionOptions { Threads = 1 });
        int judged = 0;
        for (int power = -140; power <= 126; power += 7)
            foreach (int ofScale in new[] { -1000, -300, -149, -140, -127, -126, -60, 0, 60, 127, 128, 200, 255, 300 })
                foreach (int sign in new[] { -1, 0, 1 })
                {
                    // power = that of the scale, of q and of k.
                    int rest = power - ofScale, ofQuery = Math.Clamp(rest / 2, -140, 125), ofKey = rest - ofQuery;
                    if (ofKey is < -148 or > 125)
                        continue;
                    S2Config config = S2Config.Create(new() { Tokens = 4, HeadDim = 2, GroupSize = GroupSizeRule.Of(4), Mask = MaskPolicy.PositionCausal, Scale = Math.ScaleB(1.4375, ofScale) });
                    Random random = new((power * 400) + ofScale);
                    PortCase question = new(
                        config, ElementType.F32,
                        new(Noise(ofQuery, sign == 0 ? 0 : 1), Noise(ofKey, sign), Noise(0, 0)));
                    foreach (PortCase one in new[] { question, question with { OutputGradient = [Noise(0, 0)] } })
                        foreach (TensorAgreement agreement in Agreement.Compare(one, port.Run(one), OptimizedPort.ModelOf(config, ElementType.F32)))
                        {
                            judged += agreement.Unjudged == 0 ? 1 : 0;
                            Assert.True(agreement.Agrees, $"scores of 2^{power} by a scale of 2^{ofScale}, sign {sign}: {agreement}");
                        }

                    Tensor<double> Noise(int power, int sign) => Tensor<double>.Build([1, 4, 1, 2], _ =>
                        (float)Math.ScaleB((random.Next(8, 16) / 8.0) * (sign == 0 ? (2 * random.Next(2)) - 1 : sign), power));
                }

        Assert.True(judged > 1500, $"{judged} tensors were judged");
    }
}
