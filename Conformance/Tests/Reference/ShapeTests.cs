// Is each tensor's shape checked on each axis, each slice accepted exactly where its keys suffice, and each pair of parts merged, also where they tie?
using S2Attn.Conformance.Cases;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Tests.Reference;

public sealed class ShapeTests
{
    /// <summary>One axis of one tensor is one too long: the message names the tensor, and nothing is computed.</summary>
    [Fact]
    public void Each_axis_of_each_tensor_is_checked()
    {
        AttentionCase item = Cases.Of(6, 3, MaskPolicy.Split, batch: 2, heads: 4, kvHeads: 2, headDim: 5);
        AttentionInput<double> input = item.BuildInput();
        Tensor<double> outputGradient = item.BuildOutputGradient(), logSumExpGradient = Tensor<double>.Build([2, 6, 4], _ => 1);
        S2Slice slice = S2Slice.Whole(item.Config);
        AttentionOutput<double> output = Attention.Forward(item.Config, input);
        OutputGradient<double> gradient = new(outputGradient, logSumExpGradient);
        S2Grid grid = S2Grid.Create(item.Config, new GridAxis<int>(6, 3, 1));
        for (int axis = 0; axis < 4; axis++)
        {
            Refused("Query", () => Attention.Forward(item.Config, input with { Query = Longer(input.Query, axis) }));
            Refused("Key", () => Attention.Forward(item.Config, input with { Key = Longer(input.Key, axis) }));
            Refused("Value", () => Attention.Forward(item.Config, input with { Value = Longer(input.Value, axis) }));
            foreach ((string name, AttentionInput<double> wrong) in new[] { ("Query", input with { Query = Longer(input.Query, axis) }), ("Key", input with { Key = Longer(input.Key, axis) }), ("Value", input with { Value = Longer(input.Value, axis) }) })
            {
                Refused(name, () => AttentionGradients.Backward(item.Config, wrong, Longer(outputGradient, axis)));
                Refused(name, () => ErrorBound.Forward(item.Config, wrong, RoundingModel.Double));
                Refused(name, () => GridAttention.Parts(grid, wrong));
                Refused(name, () => GradientErrorBound.Backward(item.Config, wrong, outputGradient, RoundingModel.Double));
            }

            Refused("b.Output", () => AttentionMerge.Forward(output, output with { Output = Longer(output.Output, axis) }));
            Refused("gradient.Output", () => AttentionMerge.Backward(output, output, gradient with { Output = Longer(outputGradient, axis) }));
            Refused("outputGradient", () => AttentionGradients.Backward(item.Config, input, Longer(outputGradient, axis)));
            if (axis < 3)
            {
                Refused("logSumExpGradient", () => AttentionGradients.Backward(slice, input, outputGradient, Longer(logSumExpGradient, axis)));
                Refused("b.LogSumExp", () => AttentionMerge.Forward(output, output with { LogSumExp = Longer(output.LogSumExp, axis) }));
                Refused("gradient.LogSumExp", () => AttentionMerge.Backward(output, output, gradient with { LogSumExp = Longer(logSumExpGradient, axis) }));
            }

            if (axis < 2)
                Refused("Valid", () => Attention.Forward(item.Config, input with { Valid = Longer(input.Valid, axis) }));
        }

        static void Refused(string name, Action call) => Assert.StartsWith($"{name} has shape [", Assert.Throws<ArgumentException>(call).Message, StringComparison.Ordinal);

        static Tensor<T> Longer<T>(Tensor<T> tensor, int axis)
        {
            int[] shape = [.. tensor.Shape];
            shape[axis]++;
            return Tensor<T>.Build(shape, i => tensor.Elements[i % tensor.Elements.Length]);
        }
    }

    /// <summary>Every request of queries and keys of a short text: accepted exactly where every key that some query sees is there, and nothing lies outside the text.</summary>
    [Theory]
    [InlineData(MaskPolicy.Split, false)]
    [InlineData(MaskPolicy.Split, true)]
    [InlineData(MaskPolicy.LocalCausal, false)]
    [InlineData(MaskPolicy.PositionCausal, false)]
    [InlineData(MaskPolicy.Bidirectional, false)]
    [InlineData(MaskPolicy.BidirectionalSplit, false)]
    public void A_slice_is_accepted_exactly_where_it_has_the_keys_that_it_sees(MaskPolicy mask, bool unbounded)
    {
        const int Tokens = 8, Last = 11;
        S2Config config = Cases.Of(Tokens, 4, mask, shift: 3, heads: 2).Config, longer = Cases.Of(4 * Tokens, 4, mask, shift: 3, heads: 2).Config;
        for (int t0 = -1; t0 <= Last; t0++)
            for (int t1 = t0 - 1; t1 <= Last; t1++)
                for (int u0 = -1; u0 <= Last; u0++)
                    for (int u1 = u0; u1 <= Last; u1++)
                    {
                        bool isRange = t0 >= 0 && t0 < t1 && u0 >= 0 && (unbounded || (t1 <= Tokens && u1 <= Tokens));
                        bool expected = isRange && Enumerable.Range(t0, t1 - t0).All(t => Enumerable.Range(0, unbounded ? 4 * Tokens : Tokens).All(u =>
                            (u >= u0 && u < u1) || !Enumerable.Range(0, 2).Any(head => Visibility.Visible(unbounded ? longer : config, head, t, u))));
                        SliceResult result = S2Slice.TryCreate(config, new() { FirstQuery = t0, EndQuery = t1, FirstKey = u0, EndKey = u1, IsUnbounded = unbounded });
                        Assert.True(result is SliceResult.Valid == expected, $"queries [{t0}, {t1}), keys [{u0}, {u1}): {result}");
                    }
    }

    /// <summary>Parts whose scores tie have equal logsumexps: o is their mean, and the whole's logsumexp is log 2 more. Three kinds of ties, and a part that sees nothing.</summary>
    [Theory]
    [InlineData(TensorKind.EqualScores)]
    [InlineData(TensorKind.Ties)]
    [InlineData(TensorKind.OneHot)]
    [InlineData(TensorKind.LargeScores)]
    public void Parts_that_tie_merge_to_the_whole(TensorKind kind)
    {
        AttentionCase item = Cases.Of(12, 6, MaskPolicy.BidirectionalSplit, heads: 2, headDim: 4, kind: kind);
        AttentionInput<double> whole = item.BuildInput();
        foreach (int part in new[] { 1, 2, 3, 4 })
        {
            Tensor<bool> some = Tensor<bool>.Build([1, 12], i => part < 4 ? i / part % 2 == 0 : i >= 0);
            AttentionOutput<double> a = Attention.Forward(item.Config, whole with { Valid = some }), b = Attention.Forward(item.Config, whole with { Valid = some.Map(valid => !valid) });
            AttentionOutput<double> expected = Attention.Forward(item.Config, whole);
            foreach (AttentionOutput<double> merged in new[] { AttentionMerge.Forward(a, b), AttentionMerge.Forward(b, a) })
            {
                Assert.All(expected.LogSumExp.Elements.ToArray().Zip(merged.LogSumExp.Elements.ToArray()), pair => Assert.Equal(pair.First, pair.Second, 1e-12 * (1 + Math.Abs(pair.First))));
                Assert.All(expected.Output.Elements.ToArray().Zip(merged.Output.Elements.ToArray()), pair => Assert.Equal(pair.First, pair.Second, 1e-10 * (1 + Math.Abs(pair.First))));
            }
        }
    }
}
