// Which single question of a failing check has a wrong answer, and what is the plainest one that has?
using System.Diagnostics;
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Properties;
using S2Attn.Conformance.Running;

namespace S2Attn.Conformance.Reproducers;

/// <summary>What asking again found.</summary>
public abstract record SearchResult
{
    private SearchResult() { }

    /// <summary>A question whose answer alone is wrong.</summary>
    public sealed record Wrong(PortCase Case, PortAnswer Answer, Difference Difference) : SearchResult;

    /// <summary>The check fails again on a question about where tensors lie in memory, which a file of dense tensors cannot ask.</summary>
    public sealed record InMemory : SearchResult;

    /// <summary>The check fails again, but each answer alone is within its bound: they contradict each other.</summary>
    public sealed record OnlyTogether : SearchResult;

    /// <summary>The check does not fail again: the same question gets another answer than before.</summary>
    public sealed record NotAgain : SearchResult;
}

/// <summary>Finds a question for a reproducer.</summary>
public static class ReproducerSearch
{
    /// <summary>Checks the case again, and takes the first of its questions whose answer is outside the bound of the definition.</summary>
    /// <param name="limit">The longest that the search for plainer tensors may take.</param>
    /// <param name="property">The property that failed.</param>
    /// <param name="port">The port.</param>
    /// <param name="item">The smallest case that was found.</param>
    /// <param name="cancellation">Ends the search for plainer tensors.</param>
    public static SearchResult Find(TimeSpan limit, Property property, IAttentionPort port, AttentionCase item, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(port);
        Recorder recorder = new(port);
        Verdict verdict = SuiteRunner.Check(property, recorder, item);
        if (verdict.IsBad && recorder.Answers.Any(pair => !pair.Question.Memory.IsDense))
            return new SearchResult.InMemory();
        foreach ((PortCase question, PortAnswer answer) in recorder.Answers)
            if (DifferenceOf(port, question, answer) is [var difference])
                return Plainest(limit, port, new(question, answer, difference), cancellation);
        return verdict.IsBad ? new SearchResult.OnlyTogether() : new SearchResult.NotAgain();
    }

    // Greedy descent over the tensors, as Shrinking descends over configurations.
    private static SearchResult.Wrong Plainest(TimeSpan limit, IAttentionPort port, SearchResult.Wrong wrong, CancellationToken cancellation)
    {
        // Each further question would cost the whole time limit of a case.
        if (wrong.Answer is PortAnswer.Failed { Kind: PortFailureKind.Timeout })
            return wrong;
        Stopwatch watch = Stopwatch.StartNew();
        for (bool plainer = true; plainer;)
        {
            plainer = false;
            foreach (Func<PortCase, IEnumerable<PortCase>> step in TensorSimplifier.Steps(wrong.Case))
                foreach (PortCase candidate in step(wrong.Case))
                {
                    if (watch.Elapsed >= limit || cancellation.IsCancellationRequested)
                        return wrong;
                    PortAnswer answer = PortCalls.Ask(port, candidate);
                    if (DifferenceOf(port, candidate, answer) is not [var difference] || difference.Tensor != wrong.Difference.Tensor)
                        continue;
                    (wrong, plainer) = (new(candidate, answer, difference), true);
                    break;
                }
        }

        return wrong;
    }

    private static Difference[] DifferenceOf(IAttentionPort port, PortCase question, PortAnswer answer) =>
        [.. Reproducer.Differences(Reproducer.Expect(question, Agreement.ModelOf(port, question.Config, question.ElementType)), answer).Take(1)];

    private sealed class Recorder(IAttentionPort port) : IAttentionPort
    {
        public List<(PortCase Question, PortAnswer Answer)> Answers { get; } = [];

        public PortDescription Description => port.Description;

        public PortAnswer Run(PortCase portCase)
        {
            PortAnswer answer = PortCalls.Ask(port, portCase);
            Answers.Add((portCase, answer));
            return answer;
        }

        // The port is its owner's.
        public void Dispose()
        {
        }
    }
}
