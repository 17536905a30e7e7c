// Which property kills each mutant, after how many cases, and how fast?
using System.Collections.Immutable;
using System.Diagnostics;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Properties;
using S2Attn.Conformance.Running;

namespace S2Attn.Conformance.Mutants;

/// <summary>How a mutant fared.</summary>
/// <param name="Mutant">The mutant.</param>
/// <param name="KilledBy">The properties that fail, in the order in which they were asked; one where the run stops at the first, none for a survivor.</param>
/// <param name="Cases">Cases that were checked until the first failure.</param>
/// <param name="Elapsed">Time until then.</param>
public sealed record MutantResult(Mutant Mutant, ImmutableArray<string> KilledBy, int Cases, TimeSpan Elapsed);

/// <summary>Runs the suite against its mutants.</summary>
public static class MutationRun
{
    // A mutant that one property alone sees would have each one before it asked about all its cases in vain: where one killer is enough, a few cases of every property come first.
    private static readonly ImmutableArray<(int First, int End)> AtOnce = [(0, int.MaxValue)], FewFirst = [(0, 4), (4, int.MaxValue)];

    /// <summary>Every mutant until its first killing property, several at a time, in the order of the catalogue.</summary>
    /// <param name="options">How much to run; failures are not shrunk.</param>
    /// <param name="mutants">The mutants.</param>
    /// <param name="cancellation">Stops the run; mutants not run through by then count as survivors.</param>
    public static IEnumerable<MutantResult> UntilKilled(SuiteOptions options, IReadOnlyList<Mutant> mutants, CancellationToken cancellation = default) =>
        mutants.AsParallel().AsOrdered().WithMergeOptions(ParallelMergeOptions.NotBuffered).Select(mutant => One(options, mutant, stop: true, cancellation));

    /// <summary>Every mutant through every property.</summary>
    public static IEnumerable<MutantResult> Through(SuiteOptions options, IReadOnlyList<Mutant> mutants) =>
        mutants.AsParallel().AsOrdered().Select(mutant => One(options, mutant, stop: false, CancellationToken.None));

    private static MutantResult One(SuiteOptions options, Mutant mutant, bool stop, CancellationToken cancellation)
    {
        Stopwatch watch = Stopwatch.StartNew();
        TimeSpan found = TimeSpan.Zero;
        int cases = 0;
        List<string> killers = [];
        using IAttentionPort port = mutant.Open();

        // A port that declares slices, or else grids or prefixes, is wrong about those, if at all where mutants are concerned: they are asked first.
        PortCapabilities capabilities = port.Description.Capabilities;
        ImmutableArray<Property> special = capabilities.Slices ? SliceProperties.All : [.. capabilities.Grids ? GridProperties.All : [], .. capabilities.Prefixes ? PrefixProperties.All : []];
        ImmutableArray<Property> order = [.. special, .. PropertyCatalogue.All.Except(special)];
        foreach ((int first, int end) in stop ? FewFirst : AtOnce)
            foreach (Property property in order.TakeWhile(_ => !cancellation.IsCancellationRequested && !(stop && killers.Count > 0)))
            {
                int drawn = 0;
                bool killed = SuiteRunner.Draw(options, property, port.Description.Capabilities).Take(end).Skip(first).TakeWhile(_ => !cancellation.IsCancellationRequested)
                    .Any(item => ++drawn > 0 && SuiteRunner.Check(property, port, item.Case).IsBad);
                cases += killers.Count == 0 ? drawn : 0;
                if (!killed)
                    continue;
                found = killers.Count == 0 ? watch.Elapsed : found;
                killers.Add(property.Name);
            }

        return new(mutant, [.. killers], cases, killers.Count == 0 ? watch.Elapsed : found);
    }
}
