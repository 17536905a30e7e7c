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
    private const long Seed = -1_000;

    /// <summary>Evaluates with an arm's attention on the same sequences whatever the arm is.</summary>
    /// <param name="setup">Sizes, scaling and batch.</param>
    /// <param name="arm">The attention: the arm's own, or full.</param>
    /// <param name="task">The task.</param>
    /// <param name="parameters">The decoder.</param>
    /// <param name="portion">Which texts.</param>
    /// <param name="batches">Batches of the setup's size.</param>
    public static Evaluation Of(TrainingSetup setup, Arm arm, ITask task, DecoderParameters parameters, Portion portion, int batches)
    {
        using Decoder decoder = new(
            setup.Shape, parameters, arm, new(setup.Shape.HeadDim, setup.Tokens, setup.Pretrained, setup.Scaling), setup.Batch, setup.Tokens, setup.Group);
        Tally tally = new(task, setup.Batch * setup.Tokens);
        int[] positions = [.. Enumerable.Range(0, setup.Batch * setup.Tokens).Select(row => row % setup.Tokens)];
        for (int batch = 0; batch < batches; batch++)
        {
            for (int b = 0; b < setup.Batch; b++)
                tally.Draw(portion, new Randomness(Seed, (int)portion, batch, b), b * setup.Tokens, setup.Tokens);
            decoder.Forward(tally.Tokens, positions);
            tally.Count(decoder, 0, positions.Length);
        }

        return tally.Means;
    }

    /// <summary>Evaluates with full attention on texts of <paramref name="length"/> tokens, each read in slices of the setup's N. Angles are those of training, and go on where it ended.</summary>
    /// <param name="setup">Sizes and scaling of training.</param>
    /// <param name="length">Tokens of a text, a multiple of N.</param>
    /// <param name="task">The task.</param>
    /// <param name="parameters">The decoder.</param>
    /// <param name="portion">Which texts.</param>
    /// <param name="texts">How many.</param>
    /// <exception cref="ArgumentException">The length is not made of whole slices.</exception>
    public static Evaluation InSlices(TrainingSetup setup, int length, ITask task, DecoderParameters parameters, Portion portion, int texts)
    {
        int slice = setup.Tokens;
        SlicedAttention attention = new(setup.Shape, length, slice);
        using Decoder decoder = new(setup.Shape, parameters, attention, new(setup.Shape.HeadDim, setup.Tokens, setup.Pretrained, setup.Scaling, length), slice);
        Tally tally = new(task, length);
        int[] positions = [.. Enumerable.Range(0, length)];
        for (int text = 0; text < texts; text++)
        {
            tally.Draw(portion, new Randomness(Seed, (int)portion, text, 0), 0, length);
            for (int i = 0; i < attention.Count; i++)
            {
                attention.Slice = i;
                decoder.Forward(tally.Tokens.AsSpan(i * slice, slice), positions.AsSpan(i * slice, slice));
                tally.Count(decoder, i * slice, slice);
            }
        }

        return tally.Means;
    }

    // Sequences, and what a decoder makes of them.
    private sealed class Tally(ITask task, int rows)
    {
        private readonly int[] targets = new int[rows], buckets = new int[rows], counts = new int[task.Buckets.Count];
        private readonly double[] losses = new double[task.Buckets.Count], right = new double[task.Buckets.Count];

        public byte[] Tokens { get; } = new byte[rows];

        public Evaluation Means => new(
            losses.Sum() / counts.Sum(),
            [.. losses.Zip(counts, (sum, count) => sum / count)],
            [.. right.Zip(counts, (sum, count) => sum / count)]);

        public void Draw(Portion portion, Randomness random, int start, int length) =>
            task.Draw(portion, random, Tokens.AsSpan(start, length), targets.AsSpan(start, length), buckets.AsSpan(start, length));

        // The rows of the decoder are those from start on.
        public void Count(Decoder decoder, int start, int length)
        {
            for (int row = start; row < start + length; row++)
                if (targets[row] >= 0)
                {
                    Span<float> logits = decoder.Logits(row - start);
                    right[buckets[row]] += Rows.Largest(logits) == targets[row] ? 1 : 0;
                    losses[buckets[row]] += Rows.CrossEntropy(logits, targets[row], 1);
                    counts[buckets[row]]++;
                }
        }
    }
}
