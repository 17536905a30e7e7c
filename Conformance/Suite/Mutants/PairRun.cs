// Is every pair of defects named from its answers alone?
using System.Collections.Immutable;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Xray;
using S2Attn.Reference.Upstream;
using S2Attn.Spec;

namespace S2Attn.Conformance.Mutants;

/// <summary>What a search through the answers of two defects that were put together ends with.</summary>
public enum PairOutcome
{
    /// <summary>The pair, and nothing else of as few defects.</summary>
    Named,

    /// <summary>The pair and others, which give the same answers at every probed size.</summary>
    NamedAmongOthers,

    /// <summary>Fewer defects, or two others, that give the same answers at every probed size: one of the pair hides the other.</summary>
    SameAsOthers,

    /// <summary>Nothing of two defects gives the same answers.</summary>
    Missed,
}

/// <summary>What was said of two defects that were put together.</summary>
/// <param name="Pair">What was put together.</param>
/// <param name="Outcome">Whether it was found.</param>
/// <param name="Said">The compositions that explain all answers; what explains most, where none does.</param>
public sealed record PairResult(Composition Pair, PairOutcome Outcome, string Said)
{
    private const int MostSaid = 3;

    internal static PairResult Of(Composition pair, Explanation explanation)
    {
        bool whole = explanation.IsWhole && explanation.Composition.Defects.Length <= pair.Defects.Length;
        bool named = explanation.Compositions.Any(composition => composition.Name == pair.Name);
        string said = string.Join("; ", explanation.Compositions.Take(MostSaid)) + (explanation.Compositions.Length > MostSaid ? "; ..." : "");
        return new(
            pair,
            !whole ? PairOutcome.Missed : !named ? PairOutcome.SameAsOthers : explanation.Compositions.Length > 1 ? PairOutcome.NamedAmongOthers : PairOutcome.Named,
            explanation.IsWhole ? said : $"{said} at {explanation.ExplainedAt} sizes only{string.Concat(explanation.Unseen.Select(unseen => $", without {unseen}"))}");
    }
}

/// <summary>
/// Looks through ports with two defects; the expected names come from the composition itself. Two defects of one stage are no pair: a stage is one function, and the second would
/// take the first's place or change its result into that of a third.
/// </summary>
public static class PairRun
{
    /// <summary>Every pair of which one defect's name contains one of some texts, with commas between; all pairs for an empty text. Defects of grids pair with each other, and those of prefixes.</summary>
    public static ImmutableArray<Composition> With(string names)
    {
        ArgumentNullException.ThrowIfNull(names);
        string[] texts = names.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        return [.. DefectCatalogue.Pairs.Concat(DefectCatalogue.PairsOfGrids).Concat(DefectCatalogue.PairsOfPrefixes).Where(pair => pair.Defects.Any(defect => texts.Length == 0 || Array.Exists(texts, text => defect.Name.Contains(text, StringComparison.OrdinalIgnoreCase))))];
    }

    /// <summary>So many of some pairs, spread evenly over them; all where there are fewer.</summary>
    public static ImmutableArray<Composition> Spread(ImmutableArray<Composition> all, int count)
    {
        int chosen = Math.Clamp(count, 1, all.Length);
        return [.. Enumerable.Range(0, chosen).Select(i => all[(int)((long)i * all.Length / chosen)])];
    }

    /// <summary>One of several parts of some pairs, each as mixed as the whole, so that a long run can be made in pieces.</summary>
    /// <param name="all">The pairs.</param>
    /// <param name="part">Which part, from 1.</param>
    /// <param name="parts">How many there are.</param>
    public static ImmutableArray<Composition> Shard(ImmutableArray<Composition> all, int part, int parts) => [.. all.Where((_, i) => i % parts == part - 1)];

    /// <summary>So many pairs, drawn by a seed.</summary>
    public static ImmutableArray<Composition> Drawn(int seed, int count)
    {
        Composition[] all = [.. DefectCatalogue.Pairs];
        new Random(seed).Shuffle(all);
        return [.. all.Take(count)];
    }

    /// <summary>Looks through each pair, several at a time; results come in the order of the pairs.</summary>
    /// <exception cref="OperationCanceledException">The run was cancelled, when a result is asked for.</exception>
    public static IEnumerable<PairResult> Of(IReadOnlyList<Composition> pairs, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        if (pairs.Count == 0)
            return [];

        // All pairs claim the same but grids and prefixes, so the sizes are the same too.
        using CompositionPort any = new(pairs[0].Name, Composition.Definition);
        PortCapabilities capabilities = any.Description.Capabilities;
        ImmutableArray<XrayProbe> probes = Xrays.Probes(capabilities, capabilities.Masks, S2Config.Create(Xrays.Widened(capabilities, Xrays.Fitting(capabilities, capabilities.Masks[0]))));
        ImmutableArray<StructureIndex> index = pairs.Count < FewestToIndex ? [] : [ExplanationSearch.NewIndex()];
        ImmutableArray<XrayProbe> grids = GridProbes.Of(capabilities with { Grids = true }, probes[0].ElementType), prefixes = PrefixProbes.Of(capabilities with { Prefixes = true }, probes[0].ElementType);
        return pairs.AsParallel().AsOrdered().WithCancellation(cancellation).WithMergeOptions(ParallelMergeOptions.NotBuffered)
            .Select(pair => pair.Defects.Any(defect => defect.IsOfGrids) ? Of(pair, port => Xrays.FindGrids(port, grids, cancellation).Explanation!)
                : pair.Defects.Any(defect => defect.IsOfPrefixes) ? Of(pair, port => Xrays.FindPrefixes(port, prefixes, [Composition.Definition], cancellation).Explanation!)
                : PairResult.Of(pair, ExplanationSearch.Of(probes.Select(probe => XrayFilm.Of(probe, pair)), index, cancellation)));
    }

    private const int FewestToIndex = 500;

    private static PairResult Of(Composition pair, Func<CompositionPort, Explanation> explain)
    {
        using CompositionPort port = new(pair.Name, pair);
        return PairResult.Of(pair, explain(port));
    }
}
