// Do the theorems of Spec hold, at every small size and at random larger ones?
using System.Collections.Immutable;
using System.Diagnostics;
using S2Attn.Conformance.Ports;
using S2Attn.Spec;

namespace S2Attn.Conformance.Running;

/// <summary>Evaluates the catalogue of theorems on integers. A false claim is a row that holds where it is refuted inside its region.</summary>
public static class TheoremRunner
{
    /// <summary>The name of the subject of these rows.</summary>
    public const string Subject = "Spec";

    /// <summary>All sizes up to this N are tried.</summary>
    public const int Exhaustive = 24;

    private const int RandomSizes = 4;
    private const int LargestRandom = 72;

    /// <summary>One row for each statement.</summary>
    /// <param name="options">The seed of the random sizes.</param>
    /// <param name="theorems">The statements.</param>
    /// <param name="cancellation">Ends the run between sizes.</param>
    public static IEnumerable<SuiteEvent> Run(SuiteOptions options, IEnumerable<Theorem> theorems, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(theorems);
        foreach (Theorem theorem in theorems)
        {
            if (cancellation.IsCancellationRequested)
                yield break;
            yield return new SuiteEvent.Started(Subject, theorem.Name, 1);
            yield return new SuiteEvent.Finished(Check(options, theorem, cancellation));
        }
    }

    private static PropertyResult Check(SuiteOptions options, Theorem theorem, CancellationToken cancellation)
    {
        Stopwatch watch = Stopwatch.StartNew();
        int sizes = 0;
        ImmutableArray<Counterexample> refuted = [];
        foreach ((int n, int g, int s) in theorem.SizesUpTo(Exhaustive).Concat(Larger(options.Seed, theorem)))
        {
            if (cancellation.IsCancellationRequested)
                break;
            sizes++;
            if (!theorem.TryRefute(n, g, s, out Witness witness))
                continue;
            refuted = [new(witness.ToString(), theorem.IsTrue ? "the statement is false here" : "false, as the catalogue says", witness.ToString(), 0)];
            break;
        }

        bool asStated = theorem.IsTrue == refuted.IsEmpty;
        Outcome outcome = cancellation.IsCancellationRequested && refuted.IsEmpty ? Outcome.Interrupted : asStated && sizes > 0 ? Outcome.Holds : Outcome.Fails;
        if (outcome is Outcome.Fails && refuted.IsEmpty)
            refuted = [new("", sizes == 0 ? "no size lies in the region" : $"the catalogue calls it false, but it holds for all sizes up to N = {Exhaustive}", "", 0)];
        return new(Subject, theorem.Name, theorem.Statement, theorem.Region, outcome, sizes, ImmutableSortedDictionary<string, int>.Empty, refuted, [], watch.Elapsed);
    }

    private static IEnumerable<(int N, int G, int S)> Larger(int seed, Theorem theorem)
    {
        // Random sizes rarely lie in a narrow region (N = G, 2S = G), so several shapes of each are tried.
        Random random = new(seed);
        for (int i = 0; i < RandomSizes; i++)
        {
            int n = random.Next(Exhaustive + 1, LargestRandom + 1);
            int[] divisors = [.. Enumerable.Range(1, n).Where(g => n % g == 0)];
            int[] groups = [n, divisors[random.Next(divisors.Length)], random.Next(1, n + 1)];
            foreach (int g in groups.Distinct())
                foreach (int s in new[] { 0, g / 2, random.Next(g) }.Distinct())
                    if (theorem.Covers(n, g, s))
                        yield return (n, g, s);
        }
    }
}
