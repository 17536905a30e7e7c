// Is a packed batch the same as each of its sequences alone?
using System.Collections.Immutable;
using FsCheck;
using FsCheck.Fluent;
using S2Attn.Conformance;
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Optimized;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Tests.Optimized;

public sealed class KernelPackedTests
{
    private static readonly Gen<(AttentionCase Item, int[] Cuts)> Batches =
        from item in CaseGenerator.Kernels(150, 40, ElementType.F32)
        from cuts in Gen.Choose(1, Math.Max(item.Config.Tokens - 1, 1)).ArrayOf().Resize(4)
        select (item with { Config = item.Config.With(request => request with { Batch = 1 }) }, cuts);

    [Theory]
    [MemberData(nameof(ExponentialTests.Widths), MemberType = typeof(ExponentialTests))]
    public void Each_sequence_of_a_packed_batch_is_attended_alone(VectorWidth width)
    {
        Prop.ForAll(
            Arb.From(Batches),
            batch => Agrees(batch.Item, batch.Cuts, new() { VectorWidth = width, Threads = 2 })).Check(Config.QuickThrowOnFailure.WithMaxTest(60));
    }

    private static Property Agrees(AttentionCase item, int[] cuts, S2AttentionOptions options)
    {
        S2Config config = item.Config;
        int unit = config.Mask.CutsWrappedRun() ? 1 : config.GroupSize;
        int[] ends = [0, .. cuts.Select(cut => cut / unit * unit).Where(cut => cut > 0 && cut < config.Tokens).Distinct().Order(), config.Tokens];
        AttentionInput<double> input = item.BuildInput();
        Tensor<double> outputGradient = item.BuildOutputGradient();
        float[] q = Floats(input.Query), k = Floats(input.Key), v = Floats(input.Value), o = Lost(q.Length), lse = Lost(config.Tokens * config.Heads);
        float[] dq = Lost(q.Length), dk = Lost(k.Length), dv = Lost(v.Length);
        byte[] valid = [.. input.Valid.Map(real => real ? (byte)1 : (byte)0).Elements];
        using S2AttentionPlan plan = S2AttentionPlan.Packed(config.ToRequest(), ends, options);
        plan.Forward<float>(q, k, v, o, lse, valid);
        plan.Backward<float>(q, k, v, o, lse, Floats(outputGradient), dq, dk, dv, valid);

        List<TensorAgreement> agreements = [];
        for (int i = 1; i < ends.Length; i++)
        {
            int first = ends[i - 1], length = ends[i] - first;
            S2Config alone = S2Config.Create(config.ToRequest() with
            {
                Tokens = length,
                GroupSize = GroupSizeRule.Of(Math.Min(config.GroupSize, length)),
                Shift = config.Shift < length ? config.Shift : 0,
            });
            AttentionInput<double> part = new(Part(input.Query), Part(input.Key), Part(input.Value), Tensor<bool>.Build([1, length], t => input.Valid[0, first + t]));
            Tensor<double> PartOf(float[] values, ImmutableArray<int> shape) =>
                Tensor<double>.Build([1, length, .. shape[2..]], at => values[first * shape[2..].Aggregate(1, (a, b) => a * b) + at]);
            ImmutableArray<int> queryShape = input.Query.Shape, keyShape = input.Key.Shape;
            RoundingModel model = OptimizedPort.ModelOf(config, ElementType.F32);
            agreements.AddRange(Agreement.Compare(
                new PortCase(alone, ElementType.F32, part),
                new PortAnswer.Forward(PartOf(o, queryShape), [PartOf(lse, queryShape[..3])]),
                model));
            agreements.AddRange(Agreement.Compare(
                new PortCase(alone, ElementType.F32, part, [Part(outputGradient)]),
                new PortAnswer.Backward(new(PartOf(dq, queryShape), PartOf(dk, keyShape), PartOf(dv, keyShape))),
                model));

            Tensor<double> Part(Tensor<double> tensor) =>
                Tensor<double>.Build([1, length, tensor.Shape[2], tensor.Shape[3]], at => tensor.Elements[first * tensor.Shape[2] * tensor.Shape[3] + at]);
        }

        return agreements.All(agreement => agreement.Agrees).Label($"[{string.Join(",", ends)}]: {string.Join("; ", agreements.Where(agreement => !agreement.Agrees))}");

        static float[] Floats(Tensor<double> tensor) => [.. tensor.Map(value => (float)value).Elements];

        static float[] Lost(int length) => [.. Enumerable.Repeat(float.NaN, length)];
    }

    /// <summary>Sequences of any length, also of none: each has the bits that a plan of its own gives, with the G and S of its own length.</summary>
    [Fact]
    public void Short_and_empty_sequences_and_rules_have_the_bits_of_a_plan_of_their_own()
    {
        S2Request request = new() { Tokens = 0, Heads = 4, KvHeads = 2, HeadDim = 6, GroupSize = GroupSizeRule.Of(1024), Mask = MaskPolicy.Split };
        AssertAlone(request, 8, 8);
        AssertAlone(request with { Mask = MaskPolicy.LocalCausal }, 8, 0, 3, 1);
        AssertAlone(request with { Shift = 5 }, 0, 8, 0, 0, 5, 6, 1, 0);
        AssertAlone(request with { GroupSize = GroupSizeRule.Of(4), Mask = MaskPolicy.Bidirectional }, 3, 12, 0, 4, 2);
        AssertAlone(request with { GroupSize = GroupSizeRule.LongLora, Mask = MaskPolicy.LocalCausal }, 16, 4, 0, 40);
        AssertAlone(request with { Heads = 2, KvHeads = 1, HeadDim = 1, GroupSize = GroupSizeRule.LongLoraSft }, 4096, 4095);
        AssertAlone(request, 0, 0);
        AssertAlone(request);
    }

    private static void AssertAlone(S2Request request, params int[] lengths)
    {
        int total = lengths.Sum();
        int[] cumulative = new int[lengths.Length + 1];
        for (int i = 0; i < lengths.Length; i++)
            cumulative[i + 1] = cumulative[i] + lengths[i];
        int heads = request.Heads, kvHeads = request.KvHeads ?? heads, dim = request.HeadDim;
        float[] q = Noise(1, heads * dim), k = Noise(2, kvHeads * dim), v = Noise(3, kvHeads * dim), dout = Noise(4, heads * dim);
        float[] o = new float[q.Length], lse = new float[total * heads], dq = new float[q.Length], dk = new float[k.Length], dv = new float[k.Length];
        using S2AttentionPlan packed = S2AttentionPlan.Packed(request with { Tokens = total }, cumulative, new() { Threads = 3 });
        packed.Forward<float>(q, k, v, o, lse);
        packed.Backward<float>(q, k, v, o, lse, dout, dq, dk, dv);
        for (int i = 0; i < lengths.Length; i++)
        {
            (int first, int length) = (cumulative[i], lengths[i]);
            if (length == 0)
                continue;
            S2Config alone = S2Config.Create(request.GroupSize is GroupSizeRule.Explicit { GroupSize: var g }
                ? request with { Tokens = length, GroupSize = GroupSizeRule.Of(Math.Min(g, length)), Shift = (request.Shift ?? g / 2) < length ? request.Shift ?? g / 2 : 0 }
                : request with { Tokens = length });
            float[] o1 = new float[length * heads * dim], lse1 = new float[length * heads], dq1 = new float[o1.Length], dk1 = new float[length * kvHeads * dim], dv1 = new float[dk1.Length];
            using S2AttentionPlan plan = new(alone, new() { Threads = 1 });
            plan.Forward<float>(Of(q, heads * dim), Of(k, kvHeads * dim), Of(v, kvHeads * dim), o1, lse1);
            plan.Backward<float>(Of(q, heads * dim), Of(k, kvHeads * dim), Of(v, kvHeads * dim), o1, lse1, Of(dout, heads * dim), dq1, dk1, dv1);
            Assert.Equal(o1, Of(o, heads * dim));
            Assert.Equal(lse1, Of(lse, heads));
            Assert.Equal(dq1, Of(dq, heads * dim));
            Assert.Equal(dk1, Of(dk, kvHeads * dim));
            Assert.Equal(dv1, Of(dv, kvHeads * dim));

            float[] Of(float[] packed, int perToken) => packed[(first * perToken)..((first + length) * perToken)];
        }

        float[] Noise(int seed, int perToken)
        {
            Random random = new(seed);
            return [.. Enumerable.Range(0, total * perToken).Select(_ => random.NextSingle() - 0.5f)];
        }
    }

    [Fact]
    public void An_empty_batch_writes_nothing()
    {
        S2Config config = S2Config.Create(new() { Batch = 3, Tokens = 8, HeadDim = 2, GroupSize = GroupSizeRule.Of(4), Mask = MaskPolicy.LocalCausal });
        using S2AttentionPlan plan = new(config, new() { Batch = 0 });
        float[] untouched = [7, 7, 7, 7];
        plan.Forward<float>([], [], [], [], []);
        plan.Forward<float>(untouched, untouched, untouched, untouched);
        plan.Backward<float>([], [], [], [], [], [], [], [], []);
        plan.Backward<BFloat16, BFloat16>([], [], [], [], [], [], [], [], []);
        Assert.All(untouched, element => Assert.Equal(7, element));
    }

    /// <summary>N = 16M with G = 1 took 3 GB and 11 s; 400,000 packed sequences took 220 MB.</summary>
    [Fact]
    public void A_plan_takes_no_memory_for_groups_and_little_for_packed_sequences()
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        using S2AttentionPlan groups = new(S2Config.Create(new() { Tokens = 1 << 24, HeadDim = 1, Heads = 8, GroupSize = GroupSizeRule.Of(1), Mask = MaskPolicy.Split }), new() { Threads = 1 });
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 100_000);

        const int Sequences = 400_000, Length = 5;
        int[] starts = [.. Enumerable.Range(0, Sequences + 1).Select(i => i * Length)];
        before = GC.GetAllocatedBytesForCurrentThread();
        using S2AttentionPlan packed = S2AttentionPlan.Packed(
            new() { Tokens = Sequences * Length, HeadDim = 1, Heads = 2, GroupSize = GroupSizeRule.Of(4), Mask = MaskPolicy.Split }, starts, new() { Threads = 1 });
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 32 * Sequences + 100_000);
    }
}
