// Is a packed batch the same as each of its sequences alone?
using System.Collections.Immutable;
using FsCheck;
using FsCheck.Fluent;
using S2Attn.Conformance;
using S2Attn.Conformance.Campaigns;
using S2Attn.Conformance.Ports;
using S2Attn.Optimized;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Tests.Optimized;

public sealed class KernelPackedTests
{
    private static readonly Gen<(KernelCase Item, int[] Cuts)> Batches =
        from item in KernelCases.UpTo(150, 40, ElementType.F32)
        from cuts in Gen.Choose(1, Math.Max(item.Config.Tokens - 1, 1)).ArrayOf().Resize(4)
        select (item with { Batch = 1 }, cuts);

    [Theory]
    [MemberData(nameof(ExponentialTests.Widths), MemberType = typeof(ExponentialTests))]
    public void Each_sequence_of_a_packed_batch_is_attended_alone(VectorWidth width)
    {
        Prop.ForAll(
            Arb.From(Batches),
            batch => Agrees(batch.Item, batch.Cuts, new() { VectorWidth = width, Threads = 2 })).Check(Config.QuickThrowOnFailure.WithMaxTest(60));
    }

    private static Property Agrees(KernelCase item, int[] cuts, S2AttentionOptions options)
    {
        S2Config config = item.Config;
        int unit = config.Mask.CutsWrappedRun() ? 1 : config.GroupSize;
        int[] ends = [0, .. cuts.Select(cut => cut / unit * unit).Where(cut => cut > 0 && cut < config.Tokens).Distinct().Order(), config.Tokens];
        AttentionInput<double> input = item.Build();
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
}
