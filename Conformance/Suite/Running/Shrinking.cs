// What is the smallest case that still fails?
using System.Diagnostics;
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Properties;

namespace S2Attn.Conformance.Running;

/// <summary>The end of a descent.</summary>
public sealed record Shrunk(AttentionCase Case, Verdict Verdict, int Steps);

/// <summary>Greedy descent: the first simpler case that fails takes the place of the failing one, until none does or time is up.</summary>
public static class Shrinking
{
    /// <summary>Descends from a failing case. A case counts where it fails in the same way: a violation, or a failure of the port.</summary>
    public static Shrunk Shrink(
        TimeSpan limit, Property property, IAttentionPort port, AttentionCase failing, Verdict verdict, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(property);
        ArgumentNullException.ThrowIfNull(port);
        ArgumentNullException.ThrowIfNull(verdict);
        Stopwatch watch = Stopwatch.StartNew();
        int steps = 0;
        for (bool smaller = true; smaller;)
        {
            smaller = false;
            foreach (AttentionCase candidate in CaseShrinker.Simpler(failing, item => CaseFitting.Fit(port.Description.Capabilities, item)))
            {
                if (watch.Elapsed >= limit || cancellation.IsCancellationRequested)
                    return new(failing, verdict, steps);
                Verdict next = SuiteRunner.Check(property, port, candidate);
                if (next.GetType() != verdict.GetType() || cancellation.IsCancellationRequested)
                    continue;
                (failing, verdict, smaller) = (candidate, next, true);
                steps++;
                break;
            }
        }

        return new(failing, verdict, steps);
    }
}
