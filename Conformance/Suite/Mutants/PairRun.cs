// Is every pair of defects named from its answers alone?
using System.Collections.Immutable;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Xray;
using S2Attn.Reference.Upstream;

namespace S2Attn.Conformance.Mutants;

/// <summary>What the diagnosis said of two defects that were put together.</summary>
/// <param name="Pair">What was put together.</param>
/// <param name="IsNamed">Whether the pair is among the explanations.</param>
/// <param name="IsExplained">Whether it is, or as few or fewer defects give the same answers at every size: one defect may hide the other.</param>
/// <param name="Said">The first sentence.</param>
public sealed record PairResult(Composition Pair, bool IsNamed, bool IsExplained, string Said);

/// <summary>Diagnoses ports with two defects; the expected names come from the composition itself.</summary>
public static class PairRun
{
    /// <summary>So many pairs, spread evenly over all of the catalogue; all where there are fewer.</summary>
    public static ImmutableArray<Composition> Spread(int count)
    {
        ImmutableArray<Composition> all = [.. DefectCatalogue.Pairs];
        int chosen = Math.Clamp(count, 1, all.Length);
        return [.. Enumerable.Range(0, chosen).Select(i => all[(int)((long)i * all.Length / chosen)])];
    }

    /// <summary>Diagnoses each pair, several at a time.</summary>
    public static IEnumerable<PairResult> Of(IReadOnlyList<Composition> pairs, CancellationToken cancellation = default) =>
        pairs.AsParallel().AsOrdered().WithMergeOptions(ParallelMergeOptions.NotBuffered).TakeWhile(_ => !cancellation.IsCancellationRequested).Select(One);

    private static PairResult One(Composition pair)
    {
        using CompositionPort port = new(pair.Name, pair);
        Diagnosis diagnosis = Diagnosis.Of(port);
        bool whole = diagnosis.Report.Any(report => report.Explanation.IsWhole && report.Explanation.Composition.Defects.Length <= pair.Defects.Length);
        return new(pair, diagnosis.Report.Any(report => report.Explanation.Names.Contains(pair.Name)), whole, diagnosis.Sentences[0]);
    }
}
