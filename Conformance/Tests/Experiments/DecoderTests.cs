// Are the decoder's hand-written gradients those of its loss, and does scaling positions change only what it should?
using S2Attn.Experiments.Data;
using S2Attn.Experiments.Grid;
using S2Attn.Experiments.Model;
using S2Attn.Experiments.Numerics;
using S2Attn.Experiments.Training;

namespace S2Attn.Tests.Experiments;

public sealed class DecoderTests
{
    private const int Tokens = 16, Batch = 3;

    private static readonly DecoderShape Shape = new(Vocabulary: 24, Width: 32, Layers: 2, Heads: 2, Hidden: 40);

    public static TheoryData<string> Arms => [.. Arm.All.Where(arm => arm != Arm.Untrained && IsRun(arm)).Select(arm => arm.Name)];

    [Theory]
    [MemberData(nameof(Arms))]
    public void Gradients_are_those_of_finite_differences(string name)
    {
        Arm arm = Arm.All.Single(candidate => candidate.Name == name);
        DecoderParameters parameters = DecoderParameters.Drawn(Shape, 1);
        (byte[] tokens, int[] targets, int[] positions) = Batches();
        using Decoder decoder = new(Shape, parameters, arm, new(Shape.HeadDim, Tokens, Tokens / 2, RopeScaling.Ntk), Batch, Tokens, group: 8);
        decoder.Forward(tokens, positions);
        decoder.Loss(targets);
        decoder.Backward();
        Dictionary<Parameter, float[]> gradients = parameters.All.ToDictionary(parameter => parameter, parameter => parameter.Gradient.ToArray());
        foreach ((Parameter parameter, float[] gradient) in gradients)
            foreach (float[] direction in new[] { gradient, Drawn(gradient.Length) })
            {
                double slope = gradient.Zip(direction, (g, u) => (double)g * u).Sum();
                double reach = 1e-2 / Math.Sqrt(direction.Sum(u => (double)u * u));
                double Difference(double h) => (Moved(h) - Moved(-h)) / (2 * h);
                // Richardson: the error of h² cancels.
                double measured = (4 * Difference(reach / 2) - Difference(reach)) / 3;
                double rounding = 3e-7 / reach;
                Assert.True(Math.Abs(measured - slope) <= 1e-3 * Math.Abs(slope) + 4 * rounding, $"{name} {parameter.Name}: {measured} is measured, {slope} computed; rounding is {rounding}");

                double Moved(double h)
                {
                    float[] before = [.. parameter.Values];
                    for (int i = 0; i < before.Length; i++)
                        parameter.Values[i] = (float)(before[i] + h * direction[i]);
                    decoder.Forward(tokens, positions);
                    double loss = decoder.Loss(targets);
                    before.CopyTo(parameter.Values, 0);
                    return loss;
                }
            }
    }

    [Fact]
    public void Gradients_of_adapters_are_those_of_finite_differences()
    {
        DecoderParameters parameters = DecoderParameters.Drawn(Shape, 1);
        Trainable trainable = Trainable.Of(parameters, Tuning.LoraPlus, rank: 4, seed: 5);
        (byte[] tokens, int[] targets, int[] positions) = Batches();
        using Decoder decoder = new(Shape, parameters, Arm.Split, new(Shape.HeadDim, Tokens, Tokens, RopeScaling.None), Batch, Tokens, group: 8);
        // B is 0 at first, and the gradient of A with it.
        foreach (Adapter adapter in trainable.Adapters)
            adapter.B.Drawn(new Randomness(6), 0.1);
        Run();
        decoder.Backward();
        foreach (Adapter adapter in trainable.Adapters)
        {
            adapter.Backward();
            foreach (Parameter low in new[] { adapter.A, adapter.B })
            {
                float[] gradient = [.. low.Gradient], before = [.. low.Values];
                double slope = gradient.Sum(g => (double)g * g), h = 3e-2 / Math.Sqrt(slope);
                double measured = (At(h) - At(-h)) / (2 * h);
                Assert.True(Math.Abs(measured / slope - 1) < 1e-2, $"{low.Name}: {measured} is measured, {slope} computed");
                At(0);

                double At(double step)
                {
                    for (int i = 0; i < before.Length; i++)
                        low.Values[i] = (float)(before[i] + step * gradient[i]);
                    return Run();
                }
            }
        }

        double Run()
        {
            foreach (Adapter adapter in trainable.Adapters)
                adapter.Apply();
            decoder.Forward(tokens, positions);
            return decoder.Loss(targets);
        }
    }

    [Theory]
    [InlineData(RopeScaling.Interpolated)]
    [InlineData(RopeScaling.Ntk)]
    public void At_the_length_of_pretraining_scaled_positions_reproduce_the_loss_of_the_base(RopeScaling scaling)
    {
        LeakTask task = new(Shape.Vocabulary, 4);
        DecoderParameters parameters = DecoderParameters.Drawn(Shape, 1);
        TrainingSetup setup = Setups.Of(Shape, Arm.Full, Tokens) with { Scaling = scaling };
        double LossOf(TrainingSetup of) => Evaluation.Of(of, Arm.Full, task, parameters, Portion.Test, batches: 1).Loss;
        Assert.Equal(LossOf(setup with { Scaling = RopeScaling.None }), LossOf(setup));
        Assert.NotEqual(LossOf(setup), LossOf(setup with { Pretrained = Tokens / 2 }));
    }

    [Fact]
    public void An_adapter_that_has_learned_nothing_changes_no_bit()
    {
        DecoderParameters parameters = DecoderParameters.Drawn(Shape, 1);
        float[] before = [.. parameters.Layers[1].Key.Values];
        foreach (Adapter adapter in Trainable.Of(parameters, Tuning.Lora, rank: 8, seed: 1).Adapters)
            adapter.Apply();
        Assert.Equal(before, parameters.Layers[1].Key.Values);
    }

    [Theory]
    [InlineData(20, 32, "Vocabulary = 20: must be a multiple of 8 up to 256")]
    [InlineData(24, 40, "Width = 40: must be a multiple of 16 Heads = 32 up to 16384")]
    public void Sizes_that_a_vector_would_be_cut_by_are_refused(int vocabulary, int width, string rule) =>
        Assert.Contains(rule, Assert.Throws<ArgumentException>(() => (Shape with { Vocabulary = vocabulary, Width = width }).Checked()).Message);

    // An arm that the kernel learns to run is tested from then on.
    private static bool IsRun(Arm arm) => (Catalogue.All[0] with { Shape = Shape }).RefusalOf(new(arm, Tokens, 8, RopeScaling.None, Tuning.Full)).Length == 0;

    private static (byte[] Tokens, int[] Targets, int[] Positions) Batches()
    {
        Randomness random = new(3);
        byte[] tokens = [.. Enumerable.Range(0, Batch * Tokens).Select(_ => (byte)random.Next(Shape.Vocabulary))];
        int[] targets = [.. tokens.Select((_, i) => i % 5 == 0 ? -1 : random.Next(Shape.Vocabulary))];
        return (tokens, targets, [.. Enumerable.Range(0, Batch * Tokens).Select(i => i % Tokens)]);
    }

    private static float[] Drawn(int count)
    {
        Randomness random = new(count);
        return [.. Enumerable.Range(0, count).Select(_ => random.NextSigned())];
    }
}
