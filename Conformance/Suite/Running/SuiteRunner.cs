// How are properties run against a port? Draw, fit, check, shrink, report.
using System.Collections.Immutable;
using System.Diagnostics;
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;

namespace S2Attn.Conformance.Running;

/// <summary>Runs properties against a port. Cases depend on the seed, the property's name and the port's declaration alone.</summary>
public static class SuiteRunner
{
    private const int MaxPortFailures = 3;

    /// <summary>Runs the properties one after the other, as a sequence of events; a row ends with <see cref="SuiteEvent.Finished"/>.</summary>
    /// <param name="options">How much to run.</param>
    /// <param name="properties">What to check.</param>
    /// <param name="port">The port; it is not disposed.</param>
    /// <param name="cancellation">Ends the run between cases; the row under way is then reported as far as it came, and later ones are not begun.</param>
    public static IEnumerable<SuiteEvent> Run(
        SuiteOptions options, IEnumerable<Property> properties, IAttentionPort port, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(properties);
        ArgumentNullException.ThrowIfNull(port);
        foreach (Property property in properties)
        {
            if (cancellation.IsCancellationRequested)
                yield break;
            foreach (SuiteEvent step in RunOne(options, property, port, cancellation))
                yield return step;
        }
    }

    /// <summary>The rows alone.</summary>
    public static IEnumerable<PropertyResult> Results(
        SuiteOptions options, IEnumerable<Property> properties, IAttentionPort port, CancellationToken cancellation = default) =>
        Run(options, properties, port, cancellation).OfType<SuiteEvent.Finished>().Select(finished => finished.Result);

    /// <summary>One check of one case.</summary>
    public static Verdict Check(Property property, IAttentionPort port, AttentionCase item)
    {
        ArgumentNullException.ThrowIfNull(property);
        if (!property.Covers(item))
            return new Verdict.Unsupported("region");
        try
        {
            return property.Check(new Probe(port, item)).Select(reason => (Verdict)new Verdict.Fails(reason)).FirstOrDefault(new Verdict.Holds());
        }
        catch (ProbeEndedException ended)
        {
            return ended.Verdict;
        }
    }

    /// <summary>The cases that a property draws for a port, each with the reasons for which the port does not claim the case as it was first drawn.</summary>
    public static IEnumerable<(AttentionCase Case, ImmutableArray<string> Lacks)> Draw(SuiteOptions options, Property property, PortCapabilities capabilities)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(property);
        ArgumentNullException.ThrowIfNull(capabilities);
        foreach (AttentionCase drawn in CaseGenerator.Sample(options.MaxTokens, options.Cases, StableHash(property.Name) ^ options.Seed))
        {
            AttentionCase wanted = property.Arrange(drawn);
            ImmutableArray<string> lacks = Lacks(wanted);
            yield return (lacks.IsEmpty ? wanted : CaseFitting.Fit(capabilities, wanted, property.Arrange), lacks);
        }

        ImmutableArray<string> Lacks(AttentionCase item) =>
            [.. property.Operations.SelectMany(operation => PortSupport.Lacks(capabilities, item.Config, item.Type, operation, item.IsPadded)).Distinct()];
    }

    private static IEnumerable<SuiteEvent> RunOne(SuiteOptions options, Property property, IAttentionPort port, CancellationToken cancellation)
    {
        PortDescription description = port.Description;
        yield return new SuiteEvent.Started(description.Name, property.Name, options.Cases);
        Stopwatch watch = Stopwatch.StartNew();
        Dictionary<string, int> unsupported = [];
        HashSet<PortLevel> denied = [];
        int ran = 0, seen = 0, portFailures = 0;
        List<(AttentionCase Case, Verdict Verdict)> failures = [];
        foreach ((AttentionCase item, ImmutableArray<string> lacks) in Draw(options, property, description.Capabilities))
        {
            if (cancellation.IsCancellationRequested)
                break;
            foreach (string reason in lacks)
                unsupported[reason] = unsupported.GetValueOrDefault(reason) + 1;
            Verdict verdict = Check(property, port, item);
            if (verdict.IsBad && cancellation.IsCancellationRequested)
                break;
            seen++;
            if (verdict is Verdict.Unsupported none && lacks.IsEmpty)
                unsupported[none.Reason] = unsupported.GetValueOrDefault(none.Reason) + 1;
            ran += verdict is Verdict.Unsupported ? 0 : 1;
            if (verdict.IsBad)
            {
                failures.Add((item, verdict));
                denied.UnionWith(LevelsOf(property, description.Capabilities, item));
                portFailures += verdict is Verdict.PortFailed ? 1 : 0;
                if (options.StopAtFirstFailure || portFailures >= MaxPortFailures)
                    break;
            }

            yield return new SuiteEvent.Progressed(description.Name, property.Name, seen, options.Cases);
        }

        ImmutableArray<Counterexample> counterexample = [];
        Outcome outcome = ran == 0 ? Outcome.Unsupported : Outcome.Holds;
        if (cancellation.IsCancellationRequested && seen < options.Cases)
            outcome = Outcome.Interrupted;
        if (failures.Count > 0)
        {
            (AttentionCase first, Verdict verdict) = failures[0];
            outcome = verdict is Verdict.Fails ? Outcome.Fails : Outcome.PortFailed;
            Shrunk shrunk = Shrinking.Shrink(options.ShrinkLimit, property, port, first, verdict, cancellation);
            denied.UnionWith(LevelsOf(property, description.Capabilities, shrunk.Case));
            counterexample = [new(shrunk.Case.ToString(), ReasonOf(shrunk.Verdict), first.ToString(), shrunk.Steps)];
        }

        yield return new SuiteEvent.Finished(new(
            description.Name, property.Name, property.Statement, property.Region, outcome, ran,
            unsupported.ToImmutableSortedDictionary(StringComparer.Ordinal), counterexample, [.. denied.Order()], watch.Elapsed));
    }

    private static IEnumerable<PortLevel> LevelsOf(Property property, PortCapabilities capabilities, AttentionCase item) =>
        property.Operations.SelectMany(operation => PortLevels.Of(capabilities, item.Config, item.Type, operation, item.IsPadded));

    private static string ReasonOf(Verdict verdict) => verdict switch
    {
        Verdict.Fails fails => fails.Reason,
        Verdict.PortFailed failed => $"{failed.Kind}: {failed.Message}",
        _ => verdict.ToString(),
    };

    // string.GetHashCode differs from run to run.
    private static int StableHash(string text)
    {
        uint hash = 2166136261;
        foreach (char c in text)
            hash = (hash ^ c) * 16777619;
        return (int)hash;
    }
}
