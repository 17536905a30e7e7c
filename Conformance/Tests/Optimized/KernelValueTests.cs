// Do NaN, infinities and invisible keys reach exactly the outputs that the definition lets them reach?
using FsCheck;
using FsCheck.Fluent;
using S2Attn.Conformance;
using S2Attn.Conformance.Campaigns;
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Optimized;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Tests.Optimized;

public sealed class KernelValueTests
{
    /// <summary>Some keys, values and queries hold one NaN or infinity: rows that see them are lost, all others stay within their bound.</summary>
    [Theory]
    [MemberData(nameof(ExponentialTests.Widths), MemberType = typeof(ExponentialTests))]
    public void Poisoned_tokens_spoil_only_the_rows_that_see_them(VectorWidth width)
    {
        using OptimizedPort port = new(new S2AttentionOptions { VectorWidth = width, Threads = 1 });
        Prop.ForAll(
            Arb.From(CaseGenerator.Kernels(150, 40, ElementType.F32, ElementType.BF16), CaseShrinker.Simpler),
            item =>
            {
                TensorAgreement[] agreements = [.. AgreementCampaign.Try(port, OptimizedPort.ModelOf, item with { Kind = item.Seed % 2 == 0 ? TensorKind.ManyPoisoned : TensorKind.OnePoisoned })];
                return agreements.All(agreement => agreement.Agrees).Label(string.Join("; ", agreements.Where(agreement => !agreement.Agrees)));
            }).Check(Config.QuickThrowOnFailure.WithMaxTest(80));
    }

    /// <summary>
    /// A tile or block is looked through for NaN and infinities once, and then multiplied whole or element by element: one of them stands in each panel and each register block of keys in turn, in q, k, v
    /// and do, with no, one and two tiles before it; and a key of infinity that weighs nothing, because every query has the other sign there.
    /// </summary>
    [Theory]
    [MemberData(nameof(ExponentialTests.Widths), MemberType = typeof(ExponentialTests))]
    public void A_poisoned_number_in_any_part_of_a_block_spoils_only_the_rows_that_see_it(VectorWidth width)
    {
        using OptimizedPort port = new(new S2AttentionOptions { VectorWidth = width, Threads = 1 });
        double[] poisons = [double.NaN, double.PositiveInfinity, double.NegativeInfinity];
        int turn = 0;
        foreach (int dim in new[] { 3, 100 })
        {
            KernelTiles tiles = KernelTiles.Of(dim, width);
            int step = Math.Min(tiles.PanelQueries, tiles.BlockKeys);
            for (int at = step - 1; at < tiles.BackwardQueries + tiles.PanelQueries; at += step)
                for (int kind = 0; kind < 5; kind++, turn++)
                {
                    // Rows stand before and behind the poisoned one in its panel. Every third token of long blocks: each remainder comes to each tensor in some width.
                    int tokens = at + 1 + step / 2;
                    if (tokens > 100 && (turn + at) % 3 != 0)
                        continue;
                    MaskPolicy mask = (turn / 5 % 4) switch { 0 or 1 => MaskPolicy.Split, 2 => MaskPolicy.PositionCausal, _ => MaskPolicy.Bidirectional };
                    AttentionCase item = Cases.Of(tokens, tokens, mask, shifted: HeadShift.None, headDim: dim, seed: turn);
                    AttentionInput<double> input = item.BuildInput();
                    Tensor<double>[] tensors = [input.Query, input.Key, input.Value, item.BuildOutputGradient()];
                    int tensor = kind == 4 ? 1 : kind, poisoned = (at * dim) + (turn % dim);
                    double poison = kind < 4 ? poisons[turn % 3] : double.PositiveInfinity;
                    Tensor<double> clean = tensors[tensor], query = tensors[0];
                    tensors[tensor] = Tensor<double>.Build(clean.Shape.AsSpan(), i => i == poisoned ? poison : clean.Elements[i]);
                    if (kind == 4)
                        tensors[0] = Tensor<double>.Build(query.Shape.AsSpan(), i => i % dim == turn % dim ? -Math.Abs(query.Elements[i]) : query.Elements[i]);
                    PortCase asked = new(item.Config, item.Type, new(tensors[0], tensors[1], tensors[2], input.Valid), [tensors[3]]);
                    Assert.All(
                        AgreementCampaign.Try(port, OptimizedPort.ModelOf(item.Config, item.Type), asked),
                        agreement => Assert.True(agreement.Agrees, $"kind {kind}, token {at} of {tokens}, D = {dim}: {agreement}"));
                }
        }
    }

    /// <summary>
    /// A scale of 1e39 with q of 1e-30 gave NaN where 1.4875 was right: q scale log2 e overflowed, though the score is an ordinary number. Powers of two moved between q, k and the
    /// scale change nothing of o and dv, and move dq and dk by as much. A scale of 1e-42 with q and k of 1e22 gave NaN likewise: q.k overflowed before it was scaled.
    /// Between the two, from 2^-126 down to 2^-150, a float would hold a part of the scale's bits.
    /// </summary>
    [Theory]
    [InlineData(-100, 0, 100)]
    [InlineData(-110, -20, 130)]
    [InlineData(100, -100, 0)]
    [InlineData(60, -100, 40)]
    [InlineData(124, 0, -124)]
    [InlineData(64, 64, -128)]
    [InlineData(68, 68, -136)]
    [InlineData(72, 72, -144)]
    [InlineData(75, 75, -150)]
    [InlineData(80, 80, -160)]
    [InlineData(110, 100, -210)]
    public void A_scale_that_no_float_holds_gives_the_scores_of_the_definition(int powerOfQuery, int powerOfKey, int powerOfScale)
    {
        Random random = new(3);
        float[] q = Noise(), k = Noise(), v = Noise(), outputGradient = Noise();
        float[][] plain = Run(0, 0, 0), moved = Run(powerOfQuery, powerOfKey, powerOfScale);
        Assert.True(plain.SelectMany(tensor => tensor).All(float.IsFinite));
        AssertClose(plain[0], moved[0], 0);
        AssertClose(plain[1], moved[1], 0);
        AssertClose(plain[2], moved[2], powerOfQuery);
        AssertClose(plain[3], moved[3], powerOfKey);

        // Not the same bits: where all of q.k lies just above the subnormal numbers, its underflow is multiplied by the scale.
        static void AssertClose(float[] expected, float[] actual, int power) =>
            Assert.All(expected.Zip(actual), pair => Assert.Equal(pair.First, Math.ScaleB(pair.Second, power), 2e-5));

        float[] Noise() => [.. Enumerable.Range(0, 48 * 2 * 4).Select(_ => (random.Next(7, 60) - 33) / 16f)];

        // o, dv, dq, dk.
        float[][] Run(int ofQuery, int ofKey, int ofScale)
        {
            S2Config config = S2Config.Create(new S2Request { Tokens = 48, Heads = 2, HeadDim = 4, GroupSize = GroupSizeRule.Of(24), Mask = MaskPolicy.LocalCausal, Scale = Math.ScaleB(0.15, ofScale) });
            using S2AttentionPlan plan = new(config, new() { Threads = 1 });
            float[] query = Moved(q, ofQuery), key = Moved(k, ofKey), o = new float[q.Length], lse = new float[96], dq = new float[q.Length], dk = new float[q.Length], dv = new float[q.Length];
            plan.Forward<float>(query, key, v, o, lse);
            plan.Backward<float>(query, key, v, o, lse, outputGradient, dq, dk, dv);

            // The last token once more, as a model that speaks asks for it.
            float[] whole = new float[q.Length], last = new float[8];
            S2Config split = S2Config.Create(config.ToRequest() with { Mask = MaskPolicy.Split });
            using S2AttentionPlan spoken = new(split, new() { Threads = 1 });
            spoken.Forward<float>(query, key, v, whole, lse);
            using KeyValueCache<float> cache = new(split, new() { Threads = 1, MaxChunk = 48 });
            cache.Append(key, v);
            cache.Attend(query.AsSpan(47 * 8), last);
            AssertClose(whole[(47 * 8)..], last, 0);
            return [o, dv, dq, dk];
        }

        static float[] Moved(float[] tensor, int power) => [.. tensor.Select(x => MathF.ScaleB(x, power))];
    }

    /// <summary>
    /// Two keys alike, so that lse is the score, and the score and ln 2: wherever the score is a number of f32, from -2^126 on, by whatever sizes of q, k and scale it comes about. No row is taken
    /// for an empty one, and no power of two is cut.
    /// </summary>
    [Fact]
    public void Scores_are_what_they_are_however_large_q_k_and_the_scale_are()
    {
        int[] sizes = [-120, -70, -8, 0, 70, 120];
        int looked = 0;
        foreach (int scale in new[] { -1000, -300, -260, -200, -130, -60, 0, 60, 125, 126, 127, 128, 200, 255, 260, 275 })
            foreach (int query in sizes)
                foreach (int key in sizes)
                {
                    // A product below the normal numbers loses bits before a great scale multiplies it, as the bound says; a score past f32 is lost.
                    int score = scale + query + key;
                    if (score > 126 || (scale > 0 && query + key < -126))
                        continue;
                    looked++;
                    S2Config config = S2Config.Create(new() { Tokens = 2, HeadDim = 1, GroupSize = GroupSizeRule.Of(2), Mask = MaskPolicy.PositionCausal, Scale = Math.ScaleB(1, scale) });
                    using S2AttentionPlan plan = new(config, new() { Threads = 1 });
                    float q = -MathF.ScaleB(1, query), k = MathF.ScaleB(1, key);
                    float[] o = new float[2], lse = new float[2], dq = new float[2], dk = new float[2], dv = new float[2];
                    plan.Forward<float>([q, q], [k, k], [3, 3], o, lse);
                    plan.Backward<float>([q, q], [k, k], [3, 3], o, lse, [1, 1], dq, dk, dv);
                    double expected = -Math.ScaleB(1, score);
                    string where = $"q = 2^{query}, k = 2^{key}, scale 2^{scale}: lse {lse[0]} and {lse[1]}, o {o[0]} and {o[1]}, dv {dv[0]} and {dv[1]}";
                    Assert.True(Near(lse[0], expected) && Near(lse[1], expected + Math.Log(2)) && o[0] == 3 && o[1] == 3, where);
                    if (score < 15)
                        Assert.True(Math.Abs(dv[0] - 1.5) < 0.02 && Math.Abs(dv[1] - 0.5) < 0.02, where);
                }

        Assert.True(looked > 200, $"{looked}");

        static bool Near(float found, double expected) => Math.Abs(found - expected) <= 1e-6 * Math.Max(1, Math.Abs(expected));
    }

    /// <summary>The largest number of f32 in q or k, and a scale of any mantissa: the score is 30, and no product on the way to it is infinite.</summary>
    [Theory]
    [MemberData(nameof(ExponentialTests.Widths), MemberType = typeof(ExponentialTests))]
    public void The_largest_numbers_have_the_scores_of_the_definition_under_any_scale(VectorWidth width)
    {
        foreach (double scale in new[] { 0.1, 0.5, 0.7, 0.9, 1, 1.2, 1.38, 1.5, 1.9, 2, 2.7, 3, 100, 1e-3, 1e30, 1e-30 })
            foreach (bool isQuery in new[] { true, false })
            {
                S2Config config = S2Config.Create(new() { Tokens = 2, HeadDim = 1, GroupSize = GroupSizeRule.Of(2), Mask = MaskPolicy.PositionCausal, ShiftedHeads = HeadShift.None, Scale = scale });
                double small = 30 / scale / float.MaxValue;
                if (small is < 1e-37 or > 1e37)
                    continue;
                using S2AttentionPlan plan = new(config, new() { Threads = 1, VectorWidth = width });
                float q = isQuery ? float.MaxValue : (float)small, k = isQuery ? (float)small : float.MaxValue;
                float[] o = new float[2], lse = new float[2], dq = new float[2], dk = new float[2], dv = new float[2];
                plan.Forward<float>([q, q], [k, k], [3, 3], o, lse);
                plan.Backward<float>([q, q], [k, k], [3, 3], o, lse, [1, 1], dq, dk, dv);
                double score = (double)q * k * scale;
                string where = $"scale {scale}, q = {q}, k = {k}: lse {lse[0]} and {lse[1]}, o {o[0]} and {o[1]}, dv {dv[0]} and {dv[1]}";
                Assert.True(Math.Abs(lse[0] - score) < 1e-4 && Math.Abs(lse[1] - score - Math.Log(2)) < 1e-4 && o[0] == 3 && o[1] == 3, where);
                Assert.True(Math.Abs(dv[0] - 1.5) < 1e-3 && Math.Abs(dv[1] - 0.5) < 1e-3, where);
            }
    }

    /// <summary>The same bits whatever the keys and values hold that nobody sees: with causal masks every key after the last query of its segment, and padded keys.</summary>
    [Fact]
    public void Invisible_keys_have_no_influence_and_gradients_of_exactly_zero()
    {
        foreach (MaskPolicy mask in MaskPolicies.All)
            foreach (double poison in new[] { double.NaN, double.PositiveInfinity, 3e38 })
            {
                // do is 0 but for one row, and all tokens that the row does not see are poisoned.
                AttentionCase item = Cases.Of(120, 60, mask, heads: 2, kvHeads: 1, headDim: 20, seed: 17);
                S2Config config = item.Config;
                AttentionInput<double> clean = item.BuildInput();
                foreach (int t in new[] { 0, 29, 30, 59, 75, 119 })
                {
                    bool[] seen = [.. Enumerable.Range(0, config.Tokens).Select(u => Visibility.Visible(config, 1, t, u))];
                    AttentionInput<double> poisoned = clean with { Key = Poison(clean.Key, seen, poison), Value = Poison(clean.Value, seen, poison) };
                    Tensor<double> outputGradient = Tensor<double>.Build(clean.Query.Shape.AsSpan(), i => i / (config.HeadDim * config.Heads) == t && i / config.HeadDim % 2 == 1 ? 1 : 0);
                    using OptimizedPort port = new();
                    PortAnswer.Forward forward = (PortAnswer.Forward)port.Run(new PortCase(config, ElementType.F32, poisoned));
                    PortAnswer.Forward expected = (PortAnswer.Forward)port.Run(new PortCase(config, ElementType.F32, clean));
                    Assert.Equal(expected.Output.Row(0, t, 1).ToArray(), forward.Output.Row(0, t, 1).ToArray());
                    Assert.Equal(expected.LogSumExp[0][0, t, 1], forward.LogSumExp[0][0, t, 1]);

                    PortAnswer.Backward gradients = (PortAnswer.Backward)port.Run(new PortCase(config, ElementType.F32, clean, [outputGradient]));
                    for (int u = 0; u < config.Tokens; u++)
                    {
                        Assert.Equal(seen[u], gradients.Gradients.Value.Row(0, u, 0).ContainsAnyExcept(0.0));
                        Assert.True(seen[u] || !gradients.Gradients.Key.Row(0, u, 0).ContainsAnyExcept(0.0));
                        Assert.True(u == t || !gradients.Gradients.Query.Row(0, u, 1).ContainsAnyExcept(0.0));
                    }
                }
            }
    }

    [Fact]
    public void A_row_of_infinite_negative_scores_is_empty()
    {
        S2Config config = S2Config.Create(new() { Tokens = 2, HeadDim = 1, GroupSize = GroupSizeRule.Of(2), Mask = MaskPolicy.Bidirectional });
        using S2AttentionPlan plan = new(config);
        float[] o = [7, 7], lse = [7, 7];
        plan.Forward<float>([1, 1], [float.NegativeInfinity, float.NegativeInfinity], [1, 2], o, lse);
        Assert.Equal([0, 0], o);
        Assert.Equal([float.NegativeInfinity, float.NegativeInfinity], lse);
    }

    /// <summary>Query 1 sees a score of +infinity and is lost; key 3, which it does not see, stands in the same tile.</summary>
    [Fact]
    public void A_lost_query_spoils_no_gradient_of_a_key_that_it_does_not_see()
    {
        S2Config config = S2Config.Create(new()
        {
            Tokens = 4,
            HeadDim = 1,
            GroupSize = GroupSizeRule.Of(4),
            Shift = 1,
            ShiftedHeads = HeadShift.All,
            Mask = MaskPolicy.PositionCausal,
        });
        using S2AttentionPlan plan = new(config);
        float[] q = [1, 1, -1, -1], k = [float.PositiveInfinity, 1, 1, 1], v = [1, 1, 1, 1], o = new float[4], lse = new float[4];
        float[] dq = new float[4], dk = new float[4], dv = new float[4];
        plan.Forward<float>(q, k, v, o, lse);
        plan.Backward<float>(q, k, v, o, lse, [1, 1, 1, 1], dq, dk, dv);
        Assert.Equal(1 / 3f, dv[3], 1e-6f);
        Assert.Equal(0, dk[3], 1e-6f);
    }

    private static Tensor<double> Poison(Tensor<double> tensor, bool[] seen, double poison) =>
        Tensor<double>.Build(tensor.Shape.AsSpan(), i => seen[i / tensor.Shape[3]] ? tensor.Elements[i] : poison);
}
