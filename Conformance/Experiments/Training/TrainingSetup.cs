// What decides a training run to the last bit?
using System.Globalization;
using S2Attn.Experiments.Model;

namespace S2Attn.Experiments.Training;

/// <summary>Everything that a run depends on but its data and the parameters it starts from.</summary>
internal sealed record TrainingSetup
{
    private const double LastShare = 0.1;

    public required DecoderShape Shape { get; init; }

    public required Arm Arm { get; init; }

    /// <summary>N, tokens of a sequence.</summary>
    public required int Tokens { get; init; }

    /// <summary>G, tokens of a group.</summary>
    public required int Group { get; init; }

    /// <summary>P, tokens of a sequence in pretraining.</summary>
    public required int Pretrained { get; init; }

    public RopeScaling Scaling { get; init; } = RopeScaling.None;

    public Tuning Tuning { get; init; } = Tuning.Full;

    /// <summary>Rank of the adapters.</summary>
    public int Rank { get; init; } = 8;

    /// <summary>Sequences of a batch.</summary>
    public required int Batch { get; init; }

    public required int Steps { get; init; }

    /// <summary>Steps in which the learning rate rises.</summary>
    public int WarmUp { get; init; } = 10;

    /// <summary>The largest learning rate.</summary>
    public required double LearningRate { get; init; }

    /// <summary>Decides the order of the data, and adapters.</summary>
    public required long Seed { get; init; }

    /// <summary>The learning rate of a step, counted from 0: it rises in a line and falls as a cosine to a tenth.</summary>
    public double RateOf(int step)
    {
        double risen = Math.Min(1, (step + 1.0) / Math.Max(1, WarmUp));
        double done = Math.Clamp((step - WarmUp) / (double)Math.Max(1, Steps - WarmUp), 0, 1);
        return LearningRate * risen * (LastShare + (1 - LastShare) * (1 + Math.Cos(Math.PI * done)) / 2);
    }

    /// <summary>The setup in one line, to tell whether a checkpoint is of this run.</summary>
    public string Describe() => string.Create(
        CultureInfo.InvariantCulture,
        $"{Shape}; {Arm}; N={Tokens} G={Group} P={Pretrained} {Scaling} {Tuning} r={Rank} B={Batch} steps={Steps} warm-up={WarmUp} rate={LearningRate:R} seed={Seed}");
}
