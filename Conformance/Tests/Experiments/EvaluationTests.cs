// Does a text that is read in slices give the losses of the text read at once?
using S2Attn.Experiments.Data;
using S2Attn.Experiments.Model;
using S2Attn.Experiments.Training;

namespace S2Attn.Tests.Experiments;

public sealed class EvaluationTests
{
    private const int Tokens = 32, Texts = 3;

    private static readonly DecoderShape Shape = new(Vocabulary: 16, Width: 32, Layers: 2, Heads: 2, Hidden: 64);
    private static readonly LeakTask Task = new(Shape.Vocabulary, Tokens / 4);

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(4)]
    [InlineData(32)]
    public void A_text_read_in_slices_has_the_losses_of_the_whole_to_the_last_bit(int slices)
    {
        TrainingSetup whole = Setups.Of(Shape, Arm.Full, Tokens) with { Batch = 1 };
        using Trainer run = new(whole with { Batch = 8 }, Task, DecoderParameters.Drawn(Shape, 1));
        while (run.Done < whole.Steps)
            run.Step();
        Evaluation expected = Evaluation.Of(whole, Arm.Full, Task, run.Parameters, Portion.Test, Texts);
        Evaluation sliced = Evaluation.InSlices(whole with { Tokens = Tokens / slices }, Tokens, Task, run.Parameters, Portion.Test, Texts);
        Assert.Equal(expected.Loss, sliced.Loss);
        Assert.Equal(expected.LossOf.AsEnumerable(), sliced.LossOf);
        Assert.Equal(expected.AccuracyOf.AsEnumerable(), sliced.AccuracyOf);
    }

    [Fact]
    public void Beyond_the_length_of_training_angles_go_on_as_they_were()
    {
        TrainingSetup half = Setups.Of(Shape, Arm.Full, Tokens / 2) with { Batch = 1, Scaling = RopeScaling.Ntk, Pretrained = Tokens / 4 };
        DecoderParameters parameters = DecoderParameters.Drawn(Shape, 1);
        double beyond = Evaluation.InSlices(half, Tokens, Task, parameters, Portion.Test, Texts).Loss;
        // The same stretch of 2 for the whole length.
        double whole = Evaluation.Of(half with { Tokens = Tokens, Pretrained = Tokens / 2 }, Arm.Full, Task, parameters, Portion.Test, Texts).Loss;
        double stretchedAnew = Evaluation.Of(half with { Tokens = Tokens }, Arm.Full, Task, parameters, Portion.Test, Texts).Loss;
        Assert.Equal(whole, beyond);
        Assert.NotEqual(stretchedAnew, beyond);
    }

    [Fact]
    public void A_text_that_is_not_made_of_whole_slices_is_refused() =>
        Assert.Contains("tokens = 33: must be a multiple of the 16 of a slice", Assert.Throws<ArgumentException>(() => new SlicedAttention(Shape, 33, 16)).Message, StringComparison.Ordinal);

    [Fact]
    public void What_is_read_in_slices_has_no_gradients()
    {
        using Decoder decoder = new(Shape, DecoderParameters.Drawn(Shape, 1), new SlicedAttention(Shape, 32, 16), new(Shape.HeadDim, 32, 32, RopeScaling.None), 16);
        Assert.Contains("read in slices has no gradients", Assert.Throws<InvalidOperationException>(decoder.Backward).Message, StringComparison.Ordinal);
    }
}
