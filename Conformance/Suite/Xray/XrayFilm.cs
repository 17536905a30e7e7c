// What did a port answer to the questions of an X-ray?
using System.Collections.Immutable;
using S2Attn.Conformance.Ports;
using S2Attn.Reference;
using S2Attn.Reference.Upstream;

namespace S2Attn.Conformance.Xray;

/// <summary>Thrown where a port gives no tensors, so that nothing can be seen.</summary>
public sealed class XrayFailedException(string message) : Exception(message);

/// <summary>A size that could not be looked at, and why.</summary>
public sealed record XrayFailure(XrayProbe Probe, string Reason)
{
    /// <summary>Whether the port declares what the size needs, so that a right one would have answered.</summary>
    public bool IsClaimed { get; init; }

    /// <inheritdoc/>
    public override string ToString() => $"{Probe}: {Reason}";
}

/// <summary>The logsumexp that a port returned with the answers to one question: score question, or -1 for equal scores.</summary>
internal sealed record LogSumAnswer(int Code, Lazy<Tensor<double>> Late)
{
    public Tensor<double> LogSumExp => Late.Value;
}

/// <summary>The answers of one port at one size, undeveloped.</summary>
internal sealed class XrayFilm
{
    private readonly Lazy<ImmutableArray<int>> tellingRows;

    private XrayFilm(XrayProbe probe) => (Probe, tellingRows) = (probe, new(() => Prediction.TellingRows(this)));

    public XrayProbe Probe { get; }

    /// <summary>All rows of o in the order in which a wrong explanation shows soon.</summary>
    public ImmutableArray<int> TellingRows => tellingRows.Value;

    /// <summary>Rows that told the last wrong explanations of what is read from the port.</summary>
    public TellingLately TellingLately { get; } = new();

    /// <summary>The same of scores.</summary>
    public TellingLately TellingOfScores { get; } = new();

    /// <summary>Weights [rows of o, rows of v] at equal scores; of films that are made up, as all else of them, computed when they are looked at.</summary>
    public required Lazy<Tensor<double>> LateEqual { get; init; }

    /// <summary>The same.</summary>
    public Tensor<double> Equal => LateEqual.Value;

    /// <summary>Weights for each score question; none where scores are not looked at.</summary>
    public required ImmutableArray<Lazy<Tensor<double>>> LateScores { get; init; }

    /// <summary>The same, all of them.</summary>
    public ImmutableArray<Tensor<double>> Scores => [.. LateScores.Select(late => late.Value)];

    /// <summary>Where the port gives a logsumexp.</summary>
    public required ImmutableArray<LogSumAnswer> LogSums { get; init; }

    /// <summary>dq, dk, dv, or nothing where the port has no backward pass.</summary>
    public required ImmutableArray<Lazy<Gradients<double>>> LateGradients { get; init; }

    /// <summary>The same.</summary>
    public ImmutableArray<Gradients<double>> Gradients => [.. LateGradients.Select(late => late.Value)];

    /// <summary>The composition that the answers are made up from; none of a port's.</summary>
    public ImmutableArray<Composition> MadeOf { get; init; } = [];

    /// <summary>Why the backward pass gave nothing; empty where it did.</summary>
    public required string GradientFailure { get; init; }

    /// <summary>Rows whose answer to a padded question depends on the question before it.</summary>
    public required ImmutableArray<bool> Stale { get; init; }

    /// <summary>Whether the same question, put twice in a row, gets the same bits.</summary>
    public required bool Repeats { get; init; }

    /// <summary>Whether it gets the same answer, but for rounding.</summary>
    public bool RepeatsNearly { get; init; } = true;

    /// <summary>Whether the first question, put again after others, gets the same bits.</summary>
    public required bool Forgets { get; init; }

    /// <summary>Whether scores weigh alike in the first and in the last element of q and k.</summary>
    public bool ElementsAreAlike { get; init; } = true;

    /// <summary>Whether another shift gets the same bits.</summary>
    public bool KeepsItsShift { get; init; }

    /// <summary>o of the first question in f64; none where the port does not claim f64, or gave no tensors.</summary>
    public required ImmutableArray<Tensor<double>> Wide { get; init; }

    /// <summary>o for scores past the range of a naive exp; none where the port gave no tensors.</summary>
    public required ImmutableArray<Tensor<double>> Large { get; init; }

    /// <summary>o for values that 16 bits do not hold; none where the port gave no tensors.</summary>
    public ImmutableArray<Tensor<double>> Fine { get; init; } = [];

    /// <summary>o for scores far below 0; none where the port gave no tensors.</summary>
    public ImmutableArray<Tensor<double>> FarBelow { get; init; } = [];

    /// <summary>o where one token's key is NaN, and where its value is; none where the port gave no tensors.</summary>
    public required ImmutableArray<(Operand Operand, Tensor<double> Output)> Poisoned { get; init; }

    /// <summary>Puts all questions of a size, or those about the structure alone.</summary>
    /// <exception cref="XrayFailedException">The port gave no tensors to a question about the structure.</exception>
    public static XrayFilm Expose(XrayProbe probe, IAttentionPort port, bool ofStructure)
    {
        // Buffers hold something when it is asked for with padding.
        if (probe.IsPadded)
            _ = Forward(probe.WarmUp());
        PortAnswer.Forward[] equal = [.. probe.EqualScores().Select(Forward)];
        bool[] stale = new bool[probe.Rows];
        Tensor<double> weights = WeightsOf(probe, equal);
        if (probe.IsPadded)
        {
            _ = Forward(probe.OtherWarmUp());
            Tensor<double> again = Forward(probe.EqualScores().First()).Output;
            for (int i = 0; i < again.Elements.Length; i++)
                stale[i / probe.Config.HeadDim] |= LeftOver(again.Elements[i], equal[0].Output.Elements[i]);
            weights = Tensor<double>.Build(weights.Shape.AsSpan(), i => stale[i / probe.Sources] ? 0 : weights.Elements[i]);
        }

        List<LogSumAnswer> logSums = [.. equal[0].LogSumExp.Select(lse => new LogSumAnswer(-1, new(lse)))];
        List<Lazy<Tensor<double>>> scores = [];
        for (int code = 0; code < probe.ScoreQuestions; code++)
        {
            PortAnswer.Forward[] answers = [.. probe.Scores(code).Select(Forward)];
            Tensor<double> own = WeightsOf(probe, answers);
            scores.Add(new(stale.Contains(true) ? Tensor<double>.Build(own.Shape.AsSpan(), i => stale[i / probe.Sources] ? 0 : own.Elements[i]) : own));
            if (code < LogSumsOfScores)
                logSums.AddRange(answers[0].LogSumExp.Select(lse => new LogSumAnswer(code, new(lse))));
        }

        string failure = "";
        ImmutableArray<Lazy<Gradients<double>>> gradients = [];
        if (PortSupport.Lacks(port.Description.Capabilities, probe.Backward()).IsEmpty)
        {
            PortAnswer answer = PortCalls.Ask(port, probe.Backward());
            gradients = answer is PortAnswer.Backward backward ? [new(backward.Gradients)] : [];
            failure = answer is PortAnswer.Backward ? "" : Reason(answer);
        }

        PortAnswer[] twice = ofStructure ? [] : [.. Enumerable.Range(0, 2).Select(_ => PortCalls.Ask(port, probe.EqualScores().First()))];
        bool repeats = ofStructure || Same(twice[0], twice[1]);
        return new(probe)
        {
            LateEqual = new(weights),
            LateScores = [.. scores],
            LogSums = [.. logSums],
            LateGradients = gradients,
            GradientFailure = failure,
            Stale = [.. stale],
            Wide = !ofStructure && probe.ShowsScores && port.Description.Capabilities.ElementTypes.Contains(ElementType.F64) && PortCalls.Ask(port, probe.InF64()) is PortAnswer.Forward wide ? [wide.Output] : [],
            Large = ofStructure ? [] : [.. probe.Large().Select(item => PortCalls.Ask(port, item)).OfType<PortAnswer.Forward>().Select(answer => answer.Output)],
            Fine = ofStructure ? [] : [.. probe.Fine().Select(item => PortCalls.Ask(port, item)).OfType<PortAnswer.Forward>().Select(answer => answer.Output)],
            FarBelow = ofStructure ? [] : [.. probe.FarBelow().Select(item => PortCalls.Ask(port, item)).OfType<PortAnswer.Forward>().Select(answer => answer.Output)],
            Poisoned = ofStructure ? [] : [.. probe.Poisoned().SelectMany(item => PortCalls.Ask(port, item.Case) is PortAnswer.Forward answer ? new[] { (item.Operand, answer.Output) } : [])],
            ElementsAreAlike = ofStructure || probe.ScoresAtTheEnd().All(item => PortCalls.Ask(port, item) is not PortAnswer.Forward end || AreAlike(end.Output)),
            KeepsItsShift = !ofStructure && probe.WithAnotherShift().Select(other => other.EqualScores().First())
                .Any(item => PortSupport.Lacks(port.Description.Capabilities, item).IsEmpty && Same(PortCalls.Ask(port, item), twice[0])),
            Repeats = repeats,
            RepeatsNearly = repeats || stale.Contains(true) || twice[0] is not PortAnswer.Forward once || twice[1] is not PortAnswer.Forward later
                || new Closeness(probe.ElementType).Same(once.Output.Elements, later.Output.Elements),
            Forgets = ofStructure || stale.Contains(true) || !repeats || Same(twice[0], equal[0]),
        };

        bool AreAlike(Tensor<double> end)
        {
            int dim = probe.Config.HeadDim;
            Closeness closeness = new(probe.ElementType);
            return Enumerable.Range(0, probe.Rows).All(row => stale[row] || closeness.Same(end.Elements.Slice(row * dim, Math.Min(dim, probe.Sources)), scores[0].Value.Elements.Slice(row * probe.Sources, Math.Min(dim, probe.Sources))));
        }

        PortAnswer.Forward Forward(PortCase portCase) => PortCalls.Ask(port, portCase) is var answer && answer is PortAnswer.Forward forward
            ? forward
            : throw new XrayFailedException(Reason(answer));
    }

    /// <summary>
    /// What a port of a composition answers to the questions about the structure, without tensors: values are one-hot there, so that o holds the weights themselves. For runs that look through many compositions, of
    /// whose answers few are needed: each is made up when it is looked at, on one thread.
    /// </summary>
    public static XrayFilm Of(XrayProbe probe, Composition composition)
    {
        PipelineAttention attention = new(probe.Config, new Pipeline(probe.Config, probe.Valid, composition.Build()));
        ElementType type = probe.ElementType, wide = type is ElementType.F64 ? type : ElementType.F32;
        return new(probe)
        {
            MadeOf = [composition],
            LateEqual = Late(() => Rounded(Prediction.EqualWeightsOf(probe, attention), type, probe.Rows, probe.Sources)),
            LateScores = [.. Enumerable.Range(0, probe.ScoreQuestions).Select(code => Late(() => Rounded(Prediction.WeightsOf(probe, attention, probe.ProductsOf(code)), type, probe.Rows, probe.Sources)))],
            LogSums =
            [
                .. Enumerable.Range(-1, 1 + Math.Min(LogSumsOfScores, probe.ScoreQuestions))
                    .Select(code => new LogSumAnswer(code, Late(() => Rounded(attention.LogSums(probe.ProductsOf(code)), wide, probe.Config.Batch, probe.Config.Tokens, probe.Config.Heads)))),
            ],
            LateGradients = [Late(Backward)],
            GradientFailure = "",
            Stale = [.. new bool[probe.Rows]],
            Wide = [],
            Large = [],
            Poisoned = [],
            Repeats = true,
            Forgets = true,
        };

        Gradients<double> Backward()
        {
            PortCase asked = probe.Backward();
            Gradients<double> gradients = attention.Backward(asked.Input, asked.OutputGradient[0]);
            return new(gradients.Query.Map(value => type.Round(value)), gradients.Key.Map(value => type.Round(value)), gradients.Value.Map(value => type.Round(value)));
        }

        static Lazy<T> Late<T>(Func<T> make) => new(make, isThreadSafe: false);

        static Tensor<double> Rounded(double[] values, ElementType type, params int[] shape) => Tensor<double>.Build(shape, i => type.Round(values[i]));
    }

    private const int LogSumsOfScores = 2;

    // What the warm-ups leave differs by 1; noise does not.
    private static bool LeftOver(double after, double before) => !(Math.Abs(after - before) <= 0.5) && !(double.IsNaN(after) && double.IsNaN(before));

    private static bool Same(PortAnswer first, PortAnswer second) =>
        first is PortAnswer.Forward a && second is PortAnswer.Forward b && a.Output.Elements.SequenceEqual(b.Output.Elements);

    private static string Reason(PortAnswer answer) => answer switch
    {
        PortAnswer.Failed failed => $"{failed.Kind}: {failed.Message}",
        PortAnswer.Unsupported unsupported => $"the port declares what this size needs, and answers that it does not support it: {unsupported.Reason}",
        _ => "the answer is of another operation",
    };

    // Weights from the answers to questions with v one-hot, one for each chunk of D rows of v.
    private static Tensor<double> WeightsOf(XrayProbe probe, PortAnswer.Forward[] chunks)
    {
        int dim = probe.Config.HeadDim;
        double[] weights = new double[probe.Rows * probe.Sources];
        for (int chunk = 0; chunk < chunks.Length; chunk++)
            for (int row = 0; row < probe.Rows; row++)
                chunks[chunk].Output.Elements.Slice(row * dim, Math.Min(dim, probe.Sources - chunk * dim)).CopyTo(weights.AsSpan(row * probe.Sources + chunk * dim));
        return Tensor<double>.Of([probe.Rows, probe.Sources], weights);
    }
}
