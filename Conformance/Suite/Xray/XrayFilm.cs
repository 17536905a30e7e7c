// What did a port answer to the questions of an X-ray?
using System.Collections.Immutable;
using S2Attn.Conformance.Ports;
using S2Attn.Reference;

namespace S2Attn.Conformance.Xray;

/// <summary>Thrown where a port gives no tensors, so that nothing can be seen.</summary>
public sealed class XrayFailedException(string message) : Exception(message);

/// <summary>The answers of one port at one size, undeveloped. Questions are put when an answer is first needed.</summary>
internal sealed class XrayFilm
{
    private readonly IAttentionPort port;
    private readonly Lazy<ImmutableArray<PortAnswer.Forward>> equal;
    private readonly Lazy<ImmutableArray<ImmutableArray<PortAnswer.Forward>>> scores;
    private readonly Lazy<ImmutableArray<PortAnswer.Forward>> stresses, again;
    private readonly Lazy<ImmutableArray<Gradients<double>>> backward;

    public XrayFilm(XrayProbe probe, IAttentionPort port)
    {
        (Probe, this.port) = (probe, port);
        equal = new(() => [.. (probe.IsPadded ? [probe.WarmUp()] : Array.Empty<PortCase>()).Concat(probe.EqualScores()).Select(Forward).ToArray()[(probe.IsPadded ? 1 : 0)..]]);
        scores = new(() => [.. Enumerable.Range(0, probe.ScoreQuestions).Select(code => probe.Scores(code).Select(Forward).ToImmutableArray())]);
        stresses = new(() => [.. probe.Stresses().Select(Forward)]);
        again = new(() => [.. probe.EqualScores().Take(1).Concat(Enumerable.Range(0, probe.ScoreQuestions).Take(1).SelectMany(code => probe.Scores(code).Take(1))).Select(Forward)]);
        backward = new(() => PortSupport.Lacks(port.Description.Capabilities, probe.Backward()).IsEmpty ? [Backward(probe.Backward())] : []);
    }

    public XrayProbe Probe { get; }

    /// <summary>For each chunk of D rows of v.</summary>
    public ImmutableArray<PortAnswer.Forward> Equal => equal.Value;

    /// <summary>For each code, each chunk; none where scores are not looked at.</summary>
    public ImmutableArray<ImmutableArray<PortAnswer.Forward>> Scores => scores.Value;

    /// <summary>dq, dk, dv, or nothing where the port has no backward pass.</summary>
    public ImmutableArray<Gradients<double>> Gradients => backward.Value;

    /// <summary>Whether the same questions, put again after all others, get the same bits.</summary>
    public bool Repeats
    {
        get
        {
            ImmutableArray<PortAnswer.Forward> first = [Equal[0], .. Scores.Take(1).Select(chunks => chunks[0])];
            _ = stresses.Value;
            return first.Zip(again.Value).All(pair => pair.First.Output.Elements.SequenceEqual(pair.Second.Output.Elements));
        }
    }

    /// <summary>The answers one after the other, the most telling first.</summary>
    public IEnumerable<PortAnswer> All()
    {
        foreach (PortAnswer answer in Equal)
            yield return answer;
        foreach (PortAnswer answer in Scores.SelectMany(chunks => chunks))
            yield return answer;
        foreach (Gradients<double> gradients in Gradients)
            yield return new PortAnswer.Backward(gradients);
        foreach (PortAnswer answer in stresses.Value)
            yield return answer;
    }

    /// <summary>
    /// Whether two ports gave the same answers, up to what arithmetic in the storage format may differ by. The other port is asked in the order in which this one was, because
    /// some remember what they were asked.
    /// </summary>
    public bool IsSameAs(XrayFilm other) => All().Zip(other.All()).All(pair => Same(pair.First, pair.Second)) && Repeats == other.Repeats;

    private bool Same(PortAnswer a, PortAnswer b) => (a, b) switch
    {
        (PortAnswer.Forward x, PortAnswer.Forward y) =>
            Same(x.Output, y.Output) && (x.LogSumExp.IsEmpty || y.LogSumExp.IsEmpty || Same(x.LogSumExp[0], y.LogSumExp[0])),
        (PortAnswer.Backward x, PortAnswer.Backward y) =>
            Same(x.Gradients.Query, y.Gradients.Query) && Same(x.Gradients.Key, y.Gradients.Key) && Same(x.Gradients.Value, y.Gradients.Value),
        _ => false,
    };

    private bool Same(Tensor<double> a, Tensor<double> b)
    {
        if (!a.Shape.AsSpan().SequenceEqual(b.Shape.AsSpan()))
            return false;
        double tolerance = Math.Max(512 * Probe.ElementType.UnitRoundoff(), 1e-9);
        double greatest = 0;
        foreach (double value in a.Elements)
            greatest = double.IsFinite(value) ? Math.Max(greatest, Math.Abs(value)) : greatest;
        tolerance = Math.Min(tolerance, 0.1) * Math.Min(greatest, 64);
        for (int i = 0; i < a.Elements.Length; i++)
        {
            double x = a.Elements[i], y = b.Elements[i];
            if (!(x.Equals(y) || Math.Abs(x - y) <= tolerance))
                return false;
        }

        return true;
    }

    private PortAnswer.Forward Forward(PortCase portCase) => port.Run(portCase) switch
    {
        PortAnswer.Forward answer when answer.Output.Shape.AsSpan().SequenceEqual(portCase.Input.Query.Shape.AsSpan()) => answer,
        PortAnswer.Forward answer => throw new XrayFailedException($"{Probe}: o is {answer.Output}, not of q's shape"),
        var other => throw Failed(other),
    };

    private Gradients<double> Backward(PortCase portCase) => port.Run(portCase) is var answer && answer is PortAnswer.Backward backward
        ? backward.Gradients
        : throw Failed(answer);

    private XrayFailedException Failed(PortAnswer answer) => new(answer switch
    {
        PortAnswer.Failed failed => $"{Probe}: {failed.Kind}: {failed.Message}",
        PortAnswer.Unsupported unsupported => $"{Probe}: the port declares what this size needs, and answers that it does not support it: {unsupported.Reason}",
        _ => $"{Probe}: the answer is of another operation",
    });
}
