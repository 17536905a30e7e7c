// How does a run go on, step by step?
using S2Attn.Experiments.Data;
using S2Attn.Experiments.Model;
using S2Attn.Experiments.Numerics;

namespace S2Attn.Experiments.Training;

/// <summary>A run that can be stopped between any two steps and resumed from what <see cref="Checkpoint"/> keeps: a batch is a function of seed and step.</summary>
internal sealed class Trainer : IDisposable
{
    private const int GapStream = 1, DataStream = 0;

    private readonly ITask task;
    private readonly Decoder decoder;
    private readonly byte[] tokens;
    private readonly int[] targets, buckets, positions;

    /// <summary>A run that begins with these parameters, which it changes.</summary>
    public Trainer(TrainingSetup setup, ITask task, DecoderParameters parameters)
    {
        Setup = setup;
        this.task = task;
        Parameters = parameters;
        Trainable = Trainable.Of(parameters, setup.Tuning, setup.Rank, setup.Seed);
        Optimizer = new(Trainable.Parameters);
        decoder = new(setup.Shape, parameters, setup.Arm, new(setup.Shape.HeadDim, setup.Tokens, setup.Pretrained, setup.Scaling), setup.Batch, setup.Tokens, setup.Group);
        int rows = setup.Batch * setup.Tokens;
        tokens = new byte[rows];
        targets = new int[rows];
        buckets = new int[rows];
        positions = new int[rows];
    }

    public TrainingSetup Setup { get; }

    public DecoderParameters Parameters { get; }

    public Trainable Trainable { get; }

    public AdamW Optimizer { get; }

    /// <summary>The loss before each step that is done, in nats.</summary>
    public List<double> Losses { get; } = [];

    /// <summary>Steps that are done.</summary>
    public int Done => Losses.Count;

    /// <summary>One step; the loss before it, in nats.</summary>
    public double Step()
    {
        for (int b = 0; b < Setup.Batch; b++)
        {
            Range part = (b * Setup.Tokens)..((b + 1) * Setup.Tokens);
            task.Draw(Portion.Train, new Randomness(Setup.Seed, DataStream, Done, b), tokens.AsSpan(part), targets.AsSpan(part), buckets.AsSpan(part));
            Place(positions.AsSpan(part), new Randomness(Setup.Seed, GapStream, Done, b));
        }

        decoder.Forward(tokens, positions);
        double loss = decoder.Loss(targets);
        decoder.Backward();
        foreach (Adapter adapter in Trainable.Adapters)
            adapter.Backward();
        Optimizer.Step(Done + 1, Setup.RateOf(Done));
        ApplyAdapters();
        Losses.Add(loss);
        return loss;
    }

    /// <summary>Gives the decoder what the adapters hold.</summary>
    public void ApplyAdapters()
    {
        foreach (Adapter adapter in Trainable.Adapters)
            adapter.Apply();
    }

    /// <inheritdoc/>
    public void Dispose() => decoder.Dispose();

    // Where an arm has gaps, each group is a text of its own: it begins at 0, and jumps once to as far as the whole text reaches.
    private void Place(Span<int> places, Randomness random)
    {
        for (int start = 0; start < places.Length; start += Setup.Group)
        {
            int length = Math.Min(Setup.Group, places.Length - start);
            int cut = Setup.Arm.HasGaps ? random.Next(length) : 0;
            int gap = Setup.Arm.HasGaps ? random.Next(places.Length - length + 1) : 0;
            for (int t = 0; t < length; t++)
                places[start + t] = Setup.Arm.HasGaps ? t + (t < cut ? 0 : gap) : start + t;
        }
    }
}
