// Which steps make up S2-Attn, so that each can be put wrong alone?
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Properties;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Conformance.Mutants;

/// <summary>One call of a mutant: the configuration as the mutant understands it, and its tensors.</summary>
internal sealed record MutantCall(S2Config Config, AttentionInput<double> Input, ElementType Type)
{
    public bool IsShifted(int head) => Config.ShiftedHeads.IsShifted(head, Config.Heads);

    /// <summary>Whether a query sees a key under another policy than the configuration's.</summary>
    public bool Sees(MaskPolicy mask, Row row, int u) => Visibility.Visible<Spec.Algebra.Int, Spec.Algebra.Bool>(
        mask, Config.Tokens, Config.GroupSize, Config.ShiftOf(row.H), row.T, u);
}

/// <summary>The scores of one query row.</summary>
/// <param name="Keys">The tokens whose score is computed.</param>
/// <param name="Seen">Which of them the query sees.</param>
/// <param name="Products">q.k.</param>
/// <param name="Scores">q.k times the scale.</param>
internal sealed record ScoreRow(int[] Keys, bool[] Seen, double[] Products, double[] Scores);

/// <summary>One row of o with its logsumexp, before rounding.</summary>
internal sealed record RowOutput(double[] Output, double LogSumExp, bool SeesKeys);

/// <summary>What a mutant carries from call to call and from row to row.</summary>
internal sealed class MutantMemory
{
    public Random Random { get; } = new(1);

    public double[] LastOutput { get; set; } = [];
}

/// <summary>
/// S2-Attn as a sequence of small functions whose defaults are the definition's. A mutant replaces one of them. A row is a row of o; Row also names a
/// vector of k or v by batch entry, token and kv head.
/// </summary>
internal sealed record MutablePipeline
{
    /// <summary>The configuration that is obeyed, from the one that was asked for.</summary>
    public Func<S2Config, S2Config> Obeys { get; init; } = config => config;

    /// <summary>The row whose result is written as this row of o; none for a row that is not computed.</summary>
    public Func<MutantCall, Row, Row?> ResultOf { get; init; } = (_, row) => row;

    /// <summary>Where the query of a row is read.</summary>
    public Func<MutantCall, Row, Row> QueryAt { get; init; } = (_, row) => row;

    /// <summary>Where key u of a row is read.</summary>
    public Func<MutantCall, Row, int, Row> KeyAt { get; init; } = Place;

    /// <summary>Where value u of a row is read.</summary>
    public Func<MutantCall, Row, int, Row> ValueAt { get; init; } = Place;

    /// <summary>The mask, without padding.</summary>
    public Func<MutantCall, Row, int, bool> Sees { get; init; } = (call, row, u) => Visibility.Visible(call.Config, row.H, row.T, u);

    /// <summary>Whether a key counts as no padding.</summary>
    public Func<MutantCall, Row, int, bool> IsValid { get; init; } = (call, row, u) => call.Input.Valid[row.B, u];

    /// <summary>Whether keys that are not seen take part with a weight, and which.</summary>
    public Func<MutantCall, Row, int, bool> AlsoReads { get; init; } = (_, _, _) => false;

    /// <summary>The keys that are walked, from those that should be.</summary>
    public Func<int[], int[]> Walk { get; init; } = keys => keys;

    /// <summary>The factor of the products.</summary>
    public Func<S2Config, double> Scale { get; init; } = config => config.Scale;

    /// <summary>The weights of the keys of a row.</summary>
    public Func<MutantCall, ScoreRow, double[]> Weights { get; init; } = (_, row) => Softmax(row);

    /// <summary>The logsumexp of a row.</summary>
    public Func<MutantCall, ScoreRow, double> LogSumExp { get; init; } = (_, row) => LogOfSum(row.Seen, row.Scores);

    /// <summary>Rounds each partial sum of o.</summary>
    public Func<double, double> Accumulator { get; init; } = sum => sum;

    /// <summary>The last touch on a row of o.</summary>
    public Func<MutantMemory, MutantCall, Row, RowOutput, RowOutput> Finish { get; init; } = (_, _, _, output) => output;

    /// <summary>sum p dp as it is subtracted from dp.</summary>
    public Func<double, double> Delta { get; init; } = delta => delta;

    /// <summary>The factor of dq; that of dk is <see cref="Scale"/>.</summary>
    public Func<S2Config, double> QueryGradientScale { get; init; } = config => config.Scale;

    /// <summary>The factors of do in dv, from the weights.</summary>
    public Func<ScoreRow, double[], double[]> ValueGradientWeights { get; init; } = (_, weights) => weights;

    /// <summary>Where dq of a row is written.</summary>
    public Func<MutantCall, Row, Row> QueryGradientAt { get; init; } = (_, row) => row;

    /// <summary>Joins the dk that two query heads of one kv head give.</summary>
    public Func<double, double, double> JoinKeyGradients { get; init; } = (sum, next) => sum + next;

    /// <summary>The last touch on the gradients.</summary>
    public Func<Gradients<double>, Gradients<double>> FinishGradients { get; init; } = gradients => gradients;

    /// <summary>The definition's place of k and v.</summary>
    public static Row Place(MutantCall call, Row row, int u) => new(row.B, u, call.Config.KvHeadOf(row.H));

    /// <summary>The softmax over the seen keys; 0 for the others.</summary>
    public static double[] Softmax(ScoreRow row)
    {
        double max = Max(row.Seen, row.Scores), sum = 0;
        double[] weights = new double[row.Scores.Length];
        if (double.IsNegativeInfinity(max))
            return weights;
        for (int i = 0; i < weights.Length; i++)
            sum += weights[i] = row.Seen[i] ? Math.Exp(row.Scores[i] - max) : 0;
        return [.. weights.Select(weight => weight / sum)];
    }

    /// <summary>log sum exp of the seen scores.</summary>
    public static double LogOfSum(bool[] seen, double[] scores)
    {
        double max = Max(seen, scores), sum = 0;
        if (double.IsNegativeInfinity(max))
            return max;
        for (int i = 0; i < scores.Length; i++)
            sum += seen[i] ? Math.Exp(scores[i] - max) : 0;
        return max + Math.Log(sum);
    }

    /// <summary>The greatest seen score; NaN where one is NaN.</summary>
    public static double Max(bool[] seen, double[] scores)
    {
        double max = double.NegativeInfinity;
        for (int i = 0; i < scores.Length; i++)
            if (seen[i])
                max = Math.Max(max, scores[i]);
        return max;
    }
}
