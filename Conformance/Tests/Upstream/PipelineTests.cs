// Is the definition itself a pipeline, and does a pipeline's backward pass differentiate its forward pass?
using S2Attn.Conformance.Cases;
using S2Attn.Reference;
using S2Attn.Reference.Upstream;
using S2Attn.Spec;

namespace S2Attn.Tests.Upstream;

public sealed class PipelineTests
{
    public static TheoryData<MaskPolicy> Masks => [.. MaskPolicies.All];

    public static TheoryData<string> Profiles => [.. UpstreamProfiles.All.Select(profile => profile.Name)];

    [Theory]
    [MemberData(nameof(Masks))]
    public void The_definition_as_a_pipeline_is_bitwise_the_definition(MaskPolicy mask)
    {
        int configs = 0;
        foreach (S2Config plain in SmallConfigs.Of(mask, maxTokens: 9))
        {
            configs++;
            S2Config config = plain.With(request => request with { Prefix = configs % 3 == 0 ? configs % (plain.Tokens + 1) : 0, IsPrefixWhole = configs % 2 == 0 });
            Tensor<bool> valid = configs % 2 == 0 ? SmallConfigs.NoPadding(config) : Tensor<bool>.Build([config.Batch, config.Tokens], i => i * 7 % 5 != 0);
            AttentionInput<double> input = SmallConfigs.Input(config, valid, seed: configs);
            Tensor<double> dout = SmallConfigs.Random([config.Batch, config.Tokens, config.Heads, config.HeadDim], -configs);
            PipelineAttention pipeline = new(config, Pipeline.Definition(config, valid));
            AttentionOutput<double> expected = Attention.Forward(config, input), output = pipeline.Forward(input);
            Gradients<double> expectedGradients = AttentionGradients.Backward(config, input, dout), gradients = pipeline.Backward(input, dout);
            AssertBitwise(expected.Output, output.Output, config);
            AssertBitwise(expected.LogSumExp, output.LogSumExp, config);
            AssertBitwise(expectedGradients.Query, gradients.Query, config);
            AssertBitwise(expectedGradients.Key, gradients.Key, config);
            AssertBitwise(expectedGradients.Value, gradients.Value, config);
        }

        Assert.True(configs > 100, $"{configs} configurations");
    }

    [Theory]
    [MemberData(nameof(Profiles))]
    public void Gradients_of_a_profile_are_the_central_differences_of_its_output(string name)
    {
        UpstreamProfile profile = UpstreamProfiles.All.Single(candidate => candidate.Name == name);
        foreach (MaskPolicy mask in profile.Masks)
        {
            S2Config config = S2Config.Create(new S2Request
            {
                Batch = 2,
                Tokens = 6,
                Heads = 4,
                KvHeads = 2,
                HeadDim = 2,
                GroupSize = GroupSizeRule.Of(3),
                Shift = 1,
                Mask = mask,
                ShiftedHeads = HeadShift.Of([false, true, true, true]),
            });
            PipelineAttention pipeline = profile.For(config, SmallConfigs.NoPadding(config));
            AttentionInput<double> input = SmallConfigs.Input(config, SmallConfigs.NoPadding(config), seed: 3);
            Tensor<double> dout = SmallConfigs.Random([2, 6, 4, 2], 4);
            Gradients<double> gradients = pipeline.Backward(input, dout);
            AssertDifferences(gradients.Query, input.Query, q => pipeline.Forward(input with { Query = q }));
            AssertDifferences(gradients.Key, input.Key, k => pipeline.Forward(input with { Key = k }));
            AssertDifferences(gradients.Value, input.Value, v => pipeline.Forward(input with { Value = v }));

            void AssertDifferences(Tensor<double> gradient, Tensor<double> at, Func<Tensor<double>, AttentionOutput<double>> output)
            {
                const double Step = 1e-6;
                for (int i = 0; i < at.Elements.Length; i++)
                {
                    double slope = (Loss(i, Step) - Loss(i, -Step)) / (2 * Step);
                    Assert.True(Math.Abs(slope - gradient.Elements[i]) < 1e-7, $"{name}, {mask}, element {i}: {gradient.Elements[i]:R}, central difference {slope:R}");
                }

                double Loss(int i, double step)
                {
                    double[] moved = [.. at.Elements];
                    moved[i] += step;
                    double[] o = [.. output(Tensor<double>.Of(at.Shape.AsSpan(), moved)).Output.Elements];
                    return o.Zip(dout.Elements.ToArray(), (a, b) => a * b).Sum();
                }
            }
        }
    }

    [Fact]
    public void A_row_that_sees_lowered_keys_only_is_their_average()
    {
        // Left padding of two tokens in the one group: row 0 sees nothing, so what either mask alone hides is averaged; 0 and 1 are past, 2 and 3 are real.
        S2Config config = Config(batch: 1, tokens: 4, groupSize: 4, MaskPolicy.LocalCausal, heads: 1, HeadShift.None);
        Tensor<bool> valid = Tensor<bool>.Build([1, 4], t => t >= 2);
        PipelineAttention pipeline = UpstreamProfiles.LongLoraBatchMask.For(config, valid);
        ReadRow row = pipeline.Reads(0, 0, 0);
        Assert.True(row.Uniform);
        Assert.Equal([0, 2, 3], row.Keys.Select(key => key.Key.Token));
        AttentionInput<double> input = SmallConfigs.Input(config, valid, seed: 1);
        Assert.Equal((input.Value[0, 0, 0, 0] + input.Value[0, 2, 0, 0] + input.Value[0, 3, 0, 0]) / 3, pipeline.Forward(input).Output[0, 0, 0, 0], 1e-15);
        Assert.Equal(0, Attention.Forward(config, input).Output[0, 0, 0, 0]);
    }

    [Fact]
    public void Only_llama_sends_gradient_to_future_keys_of_a_uniform_row()
    {
        S2Config config = Config(batch: 1, tokens: 4, groupSize: 4, MaskPolicy.LocalCausal, heads: 1, HeadShift.None);
        Tensor<bool> valid = Tensor<bool>.Build([1, 4], t => t >= 2);
        Assert.Equal([true, true, true], Carries(LongLoraFunctions.LlamaEager));
        Assert.Equal([true, false, false], Carries(LongLoraFunctions.NeoxEager));

        IEnumerable<bool> Carries(LongLoraFunction function) =>
            new PipelineAttention(config, function.Build(config, valid)).Reads(0, 0, 0).Keys.Select(key => key.CarriesGradient);
    }

    internal static S2Config Config(int batch, int tokens, int groupSize, MaskPolicy mask, int heads, HeadShift shifted) => S2Config.Create(new S2Request
    {
        Batch = batch,
        Tokens = tokens,
        Heads = heads,
        HeadDim = 1,
        GroupSize = GroupSizeRule.Of(groupSize),
        Mask = mask,
        ShiftedHeads = shifted,
    });

    private static void AssertBitwise(Tensor<double> expected, Tensor<double> actual, S2Config config)
    {
        Assert.Equal(expected.Shape.ToArray(), actual.Shape.ToArray());
        for (int i = 0; i < expected.Elements.Length; i++)
            if (BitConverter.DoubleToInt64Bits(expected.Elements[i]) != BitConverter.DoubleToInt64Bits(actual.Elements[i]))
                Assert.Fail($"{config}: element {i} is {actual.Elements[i]:R}, the definition gives {expected.Elements[i]:R}");
    }
}
