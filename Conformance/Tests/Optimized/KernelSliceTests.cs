// Do the kernels over a part of a sequence give the rows of the whole, to the bit, and shares of its gradients, whatever the cut?
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Optimized;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Tests.Optimized;

public sealed class KernelSliceTests
{
    private const float Canary = -777.5f;

    public static TheoryData<MaskPolicy> Masks => [.. MaskPolicies.All];

    /// <summary>Theorem SlicesCompose, observed: every slice of every small sequence.</summary>
    [Theory]
    [MemberData(nameof(Masks))]
    public void Every_slice_of_a_small_sequence_has_the_rows_of_the_whole(MaskPolicy mask)
    {
        int seed = 0, slices = 0;
        for (int tokens = 1; tokens <= 10; tokens++)
            for (int groupSize = 1; groupSize <= tokens; groupSize++)
                for (int shift = 0; shift < groupSize; shift += Math.Max(1, groupSize / 3))
                {
                    if (S2Config.TryCreate(RequestOf(mask, tokens, groupSize, shift)) is not ConfigResult.Valid { Config: S2Config config })
                        continue;
                    Whole whole = new(new(config, ElementType.F32, TensorKind.Normal, seed % 3 == 0 ? PaddingPattern.Sparse : PaddingPattern.None, seed++));
                    for (int t0 = 0; t0 < tokens; t0++)
                        for (int t1 = t0 + 1; t1 <= tokens; t1++, slices++)
                            whole.CheckSlice(S2Slice.Create(config, new() { FirstQuery = t0, EndQuery = t1 }), gradients: (t0 + t1 + groupSize) % 3 == 0);
                }

        Assert.True(slices > 1000, $"{slices} slices");
    }

    /// <summary>Every slice again, of heads that have shifts of their own and read one kv head with several.</summary>
    [Theory]
    [MemberData(nameof(Masks))]
    public void Every_slice_of_heads_with_shifts_of_their_own_has_the_rows_of_the_whole(MaskPolicy mask)
    {
        int seed = 0, slices = 0;
        foreach ((int tokens, int groupSize) in new[] { (10, 5), (12, 4), (12, 12), (11, 4) })
            foreach (HeadShift heads in new[] { HeadShift.Each([groupSize - 1, 0, 1, groupSize / 2]), HeadShift.Phased(4), HeadShift.Phased(3, isRotated: true) })
            {
                if (S2Config.TryCreate(RequestOf(mask, tokens, groupSize, 0) with { Shift = null, ShiftedHeads = heads }) is not ConfigResult.Valid { Config: S2Config config })
                    continue;
                Whole whole = new(new(config, ElementType.F32, TensorKind.Normal, seed % 3 == 0 ? PaddingPattern.Sparse : PaddingPattern.None, seed++));
                for (int t0 = 0; t0 < tokens; t0++)
                    for (int t1 = t0 + 1; t1 <= tokens; t1++, slices++)
                        whole.CheckSlice(S2Slice.Create(config, new() { FirstQuery = t0, EndQuery = t1 }), gradients: (t0 + t1 + groupSize) % 3 == 0);
            }

        Assert.True(slices > 500, $"{slices} slices");
    }

    [Theory]
    [MemberData(nameof(Masks))]
    public void Random_slices_of_longer_sequences_have_the_rows_of_the_whole(MaskPolicy mask)
    {
        Random random = new(11);
        for (int i = 0; i < 6; i++)
        {
            int groupSize = random.Next(20, 260), tokens = groupSize * random.Next(1, 4), shift = random.Next(groupSize);
            S2Config config = S2Config.Create(RequestOf(mask, tokens, groupSize, shift) with { HeadDim = random.Next(1, 40) });
            Whole whole = new(new(config, ElementType.F32, TensorKind.Normal, i % 2 == 0 ? PaddingPattern.Sparse : PaddingPattern.None, i));
            for (int j = 0; j < 3; j++)
            {
                int t0 = random.Next(tokens), t1 = random.Next(t0, tokens) + 1;
                TokenRange<int> needed = Slices.KeysNeeded(config, t0, t1);
                whole.CheckSlice(
                    S2Slice.Create(config, new() { FirstQuery = t0, EndQuery = t1, FirstKey = random.Next(needed.Start + 1), EndKey = random.Next(needed.End, tokens + 1) }),
                    gradients: tokens < 400);
            }
        }
    }

    /// <summary>Where no run is cut each query and key has one owner, and the gradients have the bits of the whole.</summary>
    [Fact]
    public void Slices_cut_at_groups_that_do_not_shift_have_the_gradients_of_the_whole_to_the_bit()
    {
        S2Config config = S2Config.Create(RequestOf(MaskPolicy.Split, 120, 40, 0) with { HeadDim = 24 });
        Whole whole = new(new(config, ElementType.F32, TensorKind.Normal, PaddingPattern.None, 3));
        for (int group = 0; group < 3; group++)
            whole.CheckSlice(S2Slice.Create(config, new() { FirstQuery = 40 * group, EndQuery = 40 * (group + 1) }), gradients: true, gradientBits: true);
    }

    /// <summary>Theorem PrefixStable: no N is needed under Split, and the configuration's own does not matter.</summary>
    [Fact]
    public void A_slice_of_a_text_that_still_grows_has_the_rows_of_any_longer_text()
    {
        S2Config longer = S2Config.Create(RequestOf(MaskPolicy.Split, 211, 16, 5)), shorter = S2Config.Create(RequestOf(MaskPolicy.Split, 16, 16, 5));
        Whole whole = new(new(longer, ElementType.F32, TensorKind.Normal, PaddingPattern.None, 4));
        for (int t = 0; t < 200; t += 7)
            whole.CheckSlice(S2Slice.Create(shorter, new() { FirstQuery = t, EndQuery = t + 9, IsUnbounded = true }), gradients: false);
    }

    [Fact]
    public void A_span_that_is_too_short_for_its_slice_is_refused_by_name()
    {
        S2Config config = S2Config.Create(RequestOf(MaskPolicy.Split, 12, 4, 2) with { Batch = 1 });
        using S2AttentionPlan plan = S2AttentionPlan.OfSlice(S2Slice.Create(config, new() { FirstQuery = 5, EndQuery = 8 }));
        float[] q = new float[3 * 4 * config.HeadDim], k = new float[6 * 2 * config.HeadDim];
        Assert.Equal("value", Assert.Throws<ArgumentException>(() => plan.Forward<float>(q, k, k.AsSpan(1), new float[q.Length])).ParamName);
        Assert.Equal("query", Assert.Throws<ArgumentException>(() => plan.Forward<float>(q.AsSpan(1), k, k, new float[q.Length])).ParamName);
        Assert.Equal("valid", Assert.Throws<ArgumentException>(() => plan.Forward<float>(q, k, k, new float[q.Length], valid: new byte[5])).ParamName);
        plan.Forward<float>(q, k, k, new float[q.Length], valid: new byte[6]);
        Assert.Throws<ArgumentNullException>(() => S2AttentionPlan.OfSlice(null!));
    }

    private static S2Request RequestOf(MaskPolicy mask, int tokens, int groupSize, int shift) => new()
    {
        Batch = 2,
        Tokens = tokens,
        Heads = 4,
        KvHeads = 2,
        HeadDim = 5,
        GroupSize = GroupSizeRule.Of(groupSize),
        Shift = shift,
        Mask = mask,
        ShiftedHeads = HeadShift.Of([true, false, false, true]),
    };

    /// <summary>A case computed whole by a plan, in f32.</summary>
    private sealed class Whole
    {
        private readonly AttentionCase item;
        private readonly AttentionInput<double> input;
        private readonly Tensor<double> outputGradient;
        private readonly float[] q, k, v, dout, o, lse, dq, dk, dv;

        public Whole(AttentionCase item)
        {
            this.item = item;
            input = item.BuildInput();
            outputGradient = item.BuildOutputGradient();
            (q, k, v, dout) = (Floats(input.Query), Floats(input.Key), Floats(input.Value), Floats(outputGradient));
            (o, lse, dq, dk, dv) = (new float[q.Length], new float[q.Length / item.Config.HeadDim], new float[q.Length], new float[k.Length], new float[k.Length]);
            using S2AttentionPlan plan = new(item.Config, new() { Threads = 1 });
            plan.Forward<float>(q, k, v, o, lse, Valid);
            plan.Backward<float>(q, k, v, o, lse, dout, dq, dk, dv, Valid);
        }

        private byte[] Valid => [.. input.Valid.Elements.ToArray().Select(valid => valid ? (byte)1 : (byte)0)];

        /// <summary>The slice alone, in guarded memory and with NaN in every key that the theorem does not need, against the rows of the whole.</summary>
        public void CheckSlice(S2Slice slice, bool gradients, bool gradientBits = false)
        {
            S2Config config = item.Config;
            int dim = config.HeadDim, batch = config.Batch, rows = batch * slice.QueryCount * config.Heads, keys = batch * slice.KeyCount * config.KvHeads;
            string name = $"{item} queries {slice.Queries} keys {slice.Keys}";
            TokenRange<int> needed = slice.IsUnbounded ? slice.Keys : Slices.KeysNeeded(config, slice.Queries.Start, slice.Queries.End);
            using GuardedMemory<float> sq = Part(q, config.Heads * dim, slice.Queries), sdout = Part(dout, config.Heads * dim, slice.Queries);
            using GuardedMemory<float> sk = Part(k, config.KvHeads * dim, slice.Keys, needed), sv = Part(v, config.KvHeads * dim, slice.Keys, needed);
            using GuardedMemory<byte> valid = Part(Valid, 1, slice.Keys);
            using GuardedMemory<float> so = new(rows * dim, GuardSide.After), slse = new(rows, GuardSide.After), sdq = new(rows * dim, GuardSide.After);
            using GuardedMemory<float> sdk = new(keys * dim, GuardSide.After), sdv = new(keys * dim, GuardSide.After);
            foreach (GuardedMemory<float> written in new[] { so, slse, sdq, sdk, sdv })
                written.Span.Fill(Canary);
            using S2AttentionPlan plan = S2AttentionPlan.OfSlice(slice, new() { Threads = gradients ? 2 : 1, Batch = batch });
            plan.Forward<float>(sq.Span, sk.Span, sv.Span, so.Span, slse.Span, valid.Span);
            Same("o", o, config.Heads * dim, slice.Queries, so, name);
            Same("lse", lse, config.Heads, slice.Queries, slse, name);
            if (!gradients)
                return;
            plan.Backward<float>(sq.Span, sk.Span, sv.Span, so.Span, slse.Span, sdout.Span, sdq.Span, sdk.Span, sdv.Span, valid.Span);
            Same("dq", dq, config.Heads * dim, slice.Queries, sdq, name);
            if (gradientBits)
            {
                Same("dk", dk, config.KvHeads * dim, slice.Keys, sdk, name);
                Same("dv", dv, config.KvHeads * dim, slice.Keys, sdv, name);
            }

            // The share of the slice is the gradient of the whole for a do that is 0 elsewhere.
            Tensor<double> masked = Tensor<double>.Build(
                outputGradient.Shape.AsSpan(),
                i => i / (config.Heads * dim) % config.Tokens is int t && t >= slice.Queries.Start && t < slice.Queries.End ? outputGradient.Elements[i] : 0);
            BoundedGradients expected = GradientErrorBound.Backward(config, input, masked, OptimizedPort.ModelOf(config, ElementType.F32));
            InBound("dk", expected.Exact.Key, expected.Bound.Key, slice.Keys, sdk, name);
            InBound("dv", expected.Exact.Value, expected.Bound.Value, slice.Keys, sdv, name);
        }

        private void Same(string tensor, float[] whole, int row, TokenRange<int> range, GuardedMemory<float> part, string name)
        {
            foreach ((int at, int i) in Indices(whole.Length, row, range))
                if (BitConverter.SingleToInt32Bits(whole[at]) != BitConverter.SingleToInt32Bits(part.Span[i]))
                    Assert.Fail($"{tensor}[{i}] of {name}: {part.Span[i]:R}, but {whole[at]:R} in the whole");
        }

        private void InBound(string tensor, Tensor<double> exact, Tensor<double> bound, TokenRange<int> range, GuardedMemory<float> part, string name)
        {
            foreach ((int at, int i) in Indices(exact.Elements.Length, item.Config.KvHeads * item.Config.HeadDim, range))
                if (Agreement.Ratio(part.Span[i], exact.Elements[at], bound.Elements[at]) is var ratio and not <= 1)
                    Assert.Fail($"{tensor}[{i}] of {name}: {part.Span[i]:R} is {ratio} bounds from {exact.Elements[at]:R}");
        }

        private GuardedMemory<T> Part<T>(T[] whole, int row, TokenRange<int> range, TokenRange<int>? needed = null)
            where T : unmanaged
        {
            GuardedMemory<T> part = new(whole.Length / (row * item.Config.Tokens) * (range.End - range.Start) * row, GuardSide.After);
            foreach ((int at, int i) in Indices(whole.Length, row, range))
                part.Span[i] = needed is { } keys && (at / row % item.Config.Tokens < keys.Start || at / row % item.Config.Tokens >= keys.End) && whole[at] is float ? (T)(object)float.NaN : whole[at];
            return part;
        }

        private IEnumerable<(int Whole, int Part)> Indices(int length, int row, TokenRange<int> range)
        {
            int i = 0;
            for (int at = 0; at < length; at++)
                if (at / row % item.Config.Tokens is int t && t >= range.Start && t < range.End)
                    yield return (at, i++);
        }

        private static float[] Floats(Tensor<double> tensor) => [.. tensor.Elements.ToArray().Select(value => (float)value)];
    }
}
