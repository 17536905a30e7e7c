// How well does a decoder do, on average and by bucket?
using System.Collections.Immutable;
using S2Attn.Experiments.Data;
using S2Attn.Experiments.Model;
using S2Attn.Experiments.Numerics;

namespace S2Attn.Experiments.Training;

/// <summary>Means over the targets of each bucket; NaN where it has none.</summary>
/// <param name="Loss">Nats for each target, over all.</param>
/// <param name="LossOf">Nats, by bucket.</param>
/// <param name="AccuracyOf">How often the likeliest token is the right one, by bucket.</param>
internal sealed record Evaluation(double Loss, ImmutableArray<double> LossOf, ImmutableArray<double> AccuracyOf)
{
    /// <summary>Evaluates with an arm's attention on the same sequences whatever the arm is.</summary>
    /// <param name="setup">Sizes, scaling and batch.</param>
    /// <param name="arm">The attention: the arm's own, or full.</param>
    /// <param name="task">The task.</param>
    /// <param name="parameters">The decoder.</param>
    /// <param name="portion">Which texts.</param>
    /// <param name="batches">Batches of the setup's size.</param>
    public static Evaluation Of(TrainingSetup setup, Arm arm, ITask task, DecoderParameters parameters, Portion portion, int batches)
    {
        const long EvaluationSeed = -1_000;
        using Decoder decoder = new(
            setup.Shape, parameters, arm, new(setup.Shape.HeadDim, setup.Tokens, setup.Pretrained, setup.Scaling), setup.Batch, setup.Tokens, setup.Group);
        int rows = setup.Batch * setup.Tokens;
        byte[] tokens = new byte[rows];
        int[] targets = new int[rows], buckets = new int[rows], positions = [.. Enumerable.Range(0, rows).Select(row => row % setup.Tokens)];
        double[] losses = new double[task.Buckets.Count], right = new double[losses.Length];
        int[] counts = new int[losses.Length];
        for (int batch = 0; batch < batches; batch++)
        {
            for (int b = 0; b < setup.Batch; b++)
            {
                Range part = (b * setup.Tokens)..((b + 1) * setup.Tokens);
                task.Draw(portion, new Randomness(EvaluationSeed, (int)portion, batch, b), tokens.AsSpan(part), targets.AsSpan(part), buckets.AsSpan(part));
            }

            decoder.Forward(tokens, positions);
            for (int row = 0; row < rows; row++)
                if (targets[row] >= 0)
                {
                    Span<float> logits = decoder.Logits(row);
                    right[buckets[row]] += Rows.Largest(logits) == targets[row] ? 1 : 0;
                    losses[buckets[row]] += Rows.CrossEntropy(logits, targets[row], 1);
                    counts[buckets[row]]++;
                }
        }

        return new(
            losses.Sum() / counts.Sum(),
            [.. losses.Zip(counts, (sum, count) => sum / count)],
            [.. right.Zip(counts, (sum, count) => sum / count)]);
    }
}
