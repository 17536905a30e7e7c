// Does a run repeat itself to the last bit, whole or resumed, and does it learn what it must?
using S2Attn.Conformance.Safetensors;
using S2Attn.Experiments.Data;
using S2Attn.Experiments.Model;
using S2Attn.Experiments.Training;

namespace S2Attn.Tests.Experiments;

public sealed class TrainingTests : IDisposable
{
    private static readonly DecoderShape Shape = new(Vocabulary: 16, Width: 32, Layers: 2, Heads: 2, Hidden: 64);

    private readonly string folder = Directory.CreateTempSubdirectory("s2attn-experiments-").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Theory]
    [InlineData(Tuning.Full)]
    [InlineData(Tuning.Lora)]
    [InlineData(Tuning.LoraPlus)]
    public void A_run_that_was_stopped_and_resumed_has_the_bits_of_one_that_was_not(Tuning tuning)
    {
        TrainingSetup setup = Setups.Of(Shape, Arm.Split, 16) with { Tuning = tuning };
        string path = Path.Combine(folder, "run.safetensors");
        using Trainer whole = Begin(setup), again = Begin(setup), first = Begin(setup), second = Begin(setup);
        double[] losses = [.. Enumerable.Range(0, setup.Steps).Select(_ => whole.Step())];
        Assert.Equal(losses, Enumerable.Range(0, setup.Steps).Select(_ => again.Step()));
        Assert.Equal(losses[..5], Enumerable.Range(0, 5).Select(_ => first.Step()));
        Checkpoint.WriteRun(path, first);
        Checkpoint.ReadRun(path, second);
        Assert.Equal(losses[5..], Enumerable.Range(5, setup.Steps - 5).Select(_ => second.Step()));
        foreach ((Parameter expected, Parameter actual) in whole.Parameters.All.Zip(second.Parameters.All))
            Assert.Equal(expected.Values, actual.Values);
    }

    [Fact]
    public void Another_seed_is_another_run()
    {
        TrainingSetup setup = Setups.Of(Shape, Arm.Split, 16);
        using Trainer one = Begin(setup), other = Begin(setup with { Seed = 2 });
        Assert.NotEqual(one.Step(), other.Step());
    }

    [Fact]
    public void A_checkpoint_of_another_run_is_refused()
    {
        TrainingSetup setup = Setups.Of(Shape, Arm.Split, 16);
        string path = Path.Combine(folder, "run.safetensors");
        using Trainer one = Begin(setup), other = Begin(setup with { LearningRate = 1e-3 });
        Checkpoint.WriteRun(path, one);
        Assert.Contains("it is of another run", Assert.Throws<SafetensorsException>(() => Checkpoint.ReadRun(path, other)).Message);
    }

    [Fact]
    public void LoRA_leaves_norms_and_embedding_alone_and_LoRA_plus_does_not()
    {
        foreach (Tuning tuning in new[] { Tuning.Lora, Tuning.LoraPlus })
        {
            using Trainer run = Begin(Setups.Of(Shape, Arm.Split, 16) with { Tuning = tuning });
            float[] embedding = [.. run.Parameters.Embedding.Values], norm = [.. run.Parameters.Norm.Values];
            float[] query = [.. run.Parameters.Layers[0].Query.Values], up = [.. run.Parameters.Layers[0].Up.Values];
            run.Step();
            run.Step();
            Assert.Equal(tuning == Tuning.Lora, embedding.SequenceEqual(run.Parameters.Embedding.Values));
            Assert.Equal(tuning == Tuning.Lora, norm.SequenceEqual(run.Parameters.Norm.Values));
            Assert.NotEqual(query, run.Parameters.Layers[0].Query.Values);
            Assert.Equal(up, run.Parameters.Layers[0].Up.Values);
        }
    }

    [Fact]
    public void The_learning_rate_rises_in_a_line_and_falls_to_a_tenth()
    {
        TrainingSetup setup = Setups.Of(Shape, Arm.Split, 16) with { Steps = 1000, WarmUp = 10, LearningRate = 1 };
        Assert.Equal(0.1, setup.RateOf(0), 12);
        Assert.Equal(1, setup.RateOf(10), 12);
        Assert.Equal(0.55, setup.RateOf(505), 12);
        Assert.Equal(0.1, setup.RateOf(1000), 12);
    }

    [Fact]
    public void LocalCausal_teaches_to_read_the_future_and_Split_does_not()
    {
        const int Tokens = 32, Steps = 240;
        LeakTask task = new(Shape.Vocabulary, Tokens / 4);
        (double own, double full) = HeadLosses(Arm.LocalCausal);
        Assert.True(own < 0.75 * task.Chance, $"under LocalCausal the head's loss is {own}, chance is {task.Chance}");
        Assert.True(full > 0.99 * task.Chance, $"with full attention it is {full}: nothing can be known");
        (own, full) = HeadLosses(Arm.Split);
        Assert.InRange(own, 0.99 * task.Chance, 1.05 * task.Chance);
        Assert.InRange(full, 0.99 * task.Chance, 1.05 * task.Chance);

        (double Own, double Full) HeadLosses(Arm arm)
        {
            TrainingSetup setup = Setups.Of(Shape, arm, Tokens) with { Steps = Steps, WarmUp = 20, Batch = 16 };
            using Trainer run = new(setup, task, DecoderParameters.Drawn(Shape, 1));
            while (run.Done < Steps)
                run.Step();
            double Head(Arm with) => Evaluation.Of(setup, with, task, run.Parameters, Portion.Test, batches: 4).LossOf[0];
            return (Head(arm), Head(Arm.Full));
        }
    }

    private static Trainer Begin(TrainingSetup setup) => new(setup, new LeakTask(Shape.Vocabulary, 4), DecoderParameters.Drawn(Shape, 1));
}
