// What is said of a mistake that the catalogue does not have?
using System.Collections.Immutable;
using System.Diagnostics;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Xray;
using S2Attn.Reference.Upstream;
using S2Attn.Spec;

namespace S2Attn.Conformance.Mutants;

/// <summary>What an X-ray says of a port with one defect while that is left out of the catalogue.</summary>
/// <param name="Defect">What is wrong.</param>
/// <param name="Same">The defects that give the same answers at every probed size, which are left out too.</param>
/// <param name="Report">The X-ray.</param>
/// <param name="Elapsed">How long the search took.</param>
public sealed record LeftOut(Defect Defect, ImmutableArray<Defect> Same, XrayReport Report, TimeSpan Elapsed)
{
    /// <summary>Whether other defects are said to be all that is wrong.</summary>
    public bool IsNamed => Report.Explanation.IsWhole && !Report.Explanation.IsDefinition;

    /// <summary>Whether other defects are said to be what is wrong at some sizes, or in the forward pass alone.</summary>
    public bool IsNamedInPart => !Report.Explanation.IsWhole && Report.Explanation.IsClaimed && !Report.Explanation.Composition.Defects.IsEmpty;
}

/// <summary>Takes one defect after the other out of the catalogue, and looks at a port that has it.</summary>
public static class LeaveOneOut
{
    private const int FewestToIndex = 8;

    /// <summary>Looks at ports of some defects that show in a text, one after the other.</summary>
    /// <exception cref="OperationCanceledException">The run was cancelled, when a result is asked for.</exception>
    public static IEnumerable<LeftOut> Of(IReadOnlyCollection<Defect> defects, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(defects);
        if (defects.Count == 0)
            yield break;
        using CompositionPort any = new("port", Composition.Definition);
        PortCapabilities capabilities = any.Description.Capabilities;
        ImmutableArray<XrayProbe> probes = Xrays.Probes(capabilities, capabilities.Masks, S2Config.Create(Xrays.Widened(capabilities, Xrays.Fitting(capabilities, capabilities.Masks[0]))));
        ImmutableArray<StructureIndex> index = defects.Count < FewestToIndex ? [] : [ExplanationSearch.NewIndex()];
        foreach (Defect defect in defects)
        {
            using CompositionPort port = new("port", Composition.Of(defect));
            ImmutableArray<Defect> same = [.. ExplanationSearch.Of(probes.Select(probe => XrayFilm.Of(probe, Composition.Of(defect))), index, cancellation).Compositions
                .Where(composition => composition.Defects.Length == 1).SelectMany(composition => composition.Defects).Where(other => other != defect)];
            Stopwatch watch = Stopwatch.StartNew();
            yield return new(defect, same, Xrays.Take(port, probes, Suspects.All.Without([defect, .. same]), index, cancellation), watch.Elapsed);
        }
    }
}
