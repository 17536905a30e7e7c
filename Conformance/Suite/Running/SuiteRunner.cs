// How are properties run against a port? Draw, fit, check, shrink, report.
using System.Collections.Immutable;
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Properties;
using S2Attn.Spec;

namespace S2Attn.Conformance.Running;

/// <summary>A case for a port.</summary>
/// <param name="Case">The case, bent to what the port claims.</param>
/// <param name="Lacks">Why the port does not claim the case as it was first drawn; empty where it does.</param>
/// <param name="StillLacks">Why it does not claim what the property makes of a case that it claims.</param>
public sealed record DrawnCase(AttentionCase Case, ImmutableArray<string> Lacks, ImmutableArray<string> StillLacks);

/// <summary>Runs properties against a port. Cases depend on the seed, the property's name and the port's declaration alone.</summary>
public static class SuiteRunner
{
    private const int MaxPortFailures = 3;

    // Where the scale is always 1 / sqrt(D), the value in the reason differs from case to case.
    private const string FixedScale = "fixed.scale";

    /// <summary>Runs the properties one after the other, as a sequence of events; a row ends with <see cref="SuiteEvent.Finished"/>.</summary>
    /// <param name="options">How much to run.</param>
    /// <param name="properties">What to check.</param>
    /// <param name="subject">What rows call the port.</param>
    /// <param name="port">The port; it is not disposed.</param>
    /// <param name="cancellation">Ends the run between cases; the row under way is then reported as far as it came, and later ones are not begun.</param>
    public static IEnumerable<SuiteEvent> Run(
        SuiteOptions options, IEnumerable<Property> properties, string subject, IAttentionPort port, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(properties);
        ArgumentNullException.ThrowIfNull(port);
        foreach (Property property in properties)
        {
            if (cancellation.IsCancellationRequested)
                yield break;
            foreach (SuiteEvent step in RunOne(options, property, subject, port, cancellation))
                yield return step;
        }
    }

    /// <summary>The rows alone.</summary>
    public static IEnumerable<PropertyResult> Results(
        SuiteOptions options, IEnumerable<Property> properties, string subject, IAttentionPort port, CancellationToken cancellation = default) =>
        Run(options, properties, subject, port, cancellation).OfType<SuiteEvent.Finished>().Select(finished => finished.Result);

    /// <summary>One check of one case.</summary>
    public static Verdict Check(Property property, IAttentionPort port, AttentionCase item) => Check(property, port, item, RowClock.Unlimited);

    private static Verdict Check(Property property, IAttentionPort port, AttentionCase item, RowClock clock)
    {
        ArgumentNullException.ThrowIfNull(property);
        if (!property.Covers(item))
            return new Verdict.Unsupported("outside the region");
        try
        {
            return property.Check(new Probe(port, item, clock)).Select(reason => (Verdict)new Verdict.Fails(reason)).FirstOrDefault(new Verdict.Holds());
        }
        catch (ProbeEndedException ended)
        {
            return ended.Verdict;
        }
    }

    /// <summary>A case that a run found to fail, made smaller for about so long.</summary>
    public static Counterexample Smaller(TimeSpan limit, Property property, IAttentionPort port, AttentionCase failing, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(failing);
        return Of(failing, Shrinking.Shrink(limit, property, port, failing, Check(property, port, failing), cancellation));
    }

    /// <summary>The cases that a property draws for a port.</summary>
    public static IEnumerable<DrawnCase> Draw(SuiteOptions options, Property property, PortCapabilities capabilities)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(property);
        ArgumentNullException.ThrowIfNull(capabilities);
        IEnumerable<AttentionCase> cases = CaseGenerator.Sample(options.MaxTokens, options.Cases, StableHash(property.Name) ^ options.Seed);
        foreach (AttentionCase drawn in property.AtBorders ? cases.Select(item => BorderCases.Near(capabilities, options.MaxBorder, item)) : cases)
        {
            AttentionCase wanted = property.Arrange(drawn);
            ImmutableArray<string> lacks = Lacks(wanted);
            if (lacks.IsEmpty)
            {
                yield return new(wanted, lacks, []);
                continue;
            }

            AttentionCase near = property.Arrange(CaseFitting.Fit(capabilities, drawn));
            yield return new(CaseFitting.Fit(capabilities, near), lacks, Lacks(near));
        }

        ImmutableArray<string> Lacks(AttentionCase item) =>
        [
            .. property.Operations.SelectMany(operation => PortSupport.Lacks(capabilities, item.Config, item.Type, operation, item.IsPadded))
                .Select(reason => reason.StartsWith(FixedScale, StringComparison.Ordinal) ? FixedScale : reason).Distinct(),
        ];
    }

    private static IEnumerable<SuiteEvent> RunOne(SuiteOptions options, Property property, string subject, IAttentionPort port, CancellationToken cancellation)
    {
        PortDescription description = port.Description;
        yield return new SuiteEvent.Started(subject, property.Name, options.Cases);
        RowClock clock = new(options.RowLimit, cancellation);
        Dictionary<string, int> unsupported = [], obstacles = [];
        HashSet<PortLevel> denied = [];
        Dictionary<string, int> evidence = [];
        int ran = 0, seen = 0, portFailures = 0;
        List<(AttentionCase Case, Verdict Verdict)> failures = [];
        foreach ((AttentionCase item, ImmutableArray<string> lacks, ImmutableArray<string> stillLacks) in Draw(options, property, description.Capabilities))
        {
            if (cancellation.IsCancellationRequested)
                break;
            Add(unsupported, lacks);
            string beyond = !CaseBudget.Holds(item.Config) ? RowClock.BySuite + "case too large" : clock.IsOver(out string over) ? over : "";
            if (beyond.Length > 0)
            {
                seen++;
                Add(unsupported, [beyond]);
                Add(obstacles, [beyond]);
                continue;
            }

            Verdict verdict = Check(property, port, item, clock);
            if (verdict is not Verdict.Holds && cancellation.IsCancellationRequested)
                break;
            seen++;
            if (verdict is Verdict.Unsupported none)
            {
                Add(obstacles, stillLacks.IsEmpty ? [none.Reason] : stillLacks);
                Add(unsupported, lacks.IsEmpty ? [none.Reason] : []);
            }

            ran += verdict is Verdict.Unsupported ? 0 : 1;
            if (verdict is Verdict.Holds && property.IsEvidence)
                Add(evidence, [.. TraitsOf(property, item, property.IsIsolation).SelectMany(traits => LevelEvidence.Shown(description.Capabilities, traits)).Select(kind => kind.Name).Distinct()]);
            if (verdict.IsBad)
            {
                failures.Add((item, verdict));
                denied.UnionWith(LevelsOf(property, description.Capabilities, item, verdict));
                portFailures += verdict is Verdict.PortFailed ? 1 : 0;
                if (options.StopAtFirstFailure || portFailures >= MaxPortFailures)
                    break;
            }

            yield return new SuiteEvent.Progressed(subject, property.Name, seen, options.Cases);
        }

        ImmutableArray<Counterexample> counterexample = [];
        Outcome outcome = ran == 0 ? Outcome.Unsupported : Outcome.Holds;
        if (cancellation.IsCancellationRequested && seen < options.Cases)
            outcome = Outcome.Interrupted;
        if (failures.Count > 0)
        {
            (AttentionCase first, Verdict verdict) = failures[0];
            outcome = verdict is not Verdict.Fails ? Outcome.PortFailed
                : property.IsIsolation && !description.Capabilities.Isolation && failures.All(failure => failure.Verdict is Verdict.Fails) ? Outcome.Lacks
                : Outcome.Fails;
            Shrunk shrunk = Shrinking.Shrink(options.ShrinkLimit, property, port, first, verdict, cancellation);
            denied.UnionWith(LevelsOf(property, description.Capabilities, shrunk.Case, shrunk.Verdict));

            // What fails at an odd size may fail at a plain one too, which the draw happened to leave out.
            if (shrunk.Verdict is Verdict.Fails && !denied.Contains(PortLevel.Forward) && !cancellation.IsCancellationRequested)
            {
                AttentionCase plain = CaseFitting.Fit(description.Capabilities, property.Arrange(CaseFitting.Fit(description.Capabilities, Plainer(description.Capabilities, shrunk.Case))));
                if (Check(property, port, plain) is { IsBad: true } also)
                    denied.UnionWith(LevelsOf(property, description.Capabilities, plain, also));
            }

            counterexample = [Of(first, shrunk)];
        }

        yield return new SuiteEvent.Finished(new(
            subject, property.Name, property.Statement, property.Region, outcome, ran,
            (ran == 0 ? obstacles : unsupported).ToImmutableSortedDictionary(StringComparer.Ordinal), counterexample, [.. denied.Order()], clock.Elapsed)
        {
            Evidence = evidence.ToImmutableSortedDictionary(StringComparer.Ordinal),
        });
    }

    // The next greater even G, whole groups, a kv head for each query head, no padding, f32.
    private static AttentionCase Plainer(PortCapabilities capabilities, AttentionCase item)
    {
        int group = item.Config.GroupSize + item.Config.GroupSize % 2, groups = (item.Config.Tokens + item.Config.GroupSize - 1) / item.Config.GroupSize;
        return item with
        {
            Type = ElementType.F32,
            Padding = PaddingPattern.None,
            Config = item.Config.With(request => request with
            {
                Tokens = groups * group,
                GroupSize = GroupSizeRule.Of(group),
                KvHeads = request.Heads,
                Mask = capabilities.Masks.IsEmpty ? request.Mask : capabilities.Masks[0],
            }),
        };
    }

    private static Counterexample Of(AttentionCase drawn, Shrunk shrunk) =>
        new(shrunk.Case.ToString(), ReasonOf(shrunk.Verdict), drawn.ToString(), shrunk.Steps) { Shrunk = [shrunk.Case] };

    private static void Add(Dictionary<string, int> counts, ImmutableArray<string> reasons)
    {
        foreach (string reason in reasons)
            counts[reason] = counts.GetValueOrDefault(reason) + 1;
    }

    // A port that gives no tensors for a question about hidden NaN fails before it comes to that.
    // Where gradients contradict the outputs they are derived from, the gradients are what is claimed; that outputs are right has rows of its own.
    private static IEnumerable<PortLevel> LevelsOf(Property property, PortCapabilities capabilities, AttentionCase item, Verdict verdict) =>
        TraitsOf(property, item, property.IsIsolation && verdict is Verdict.Fails)
            .Where(traits => traits.Operation is PortOperation.Backward || verdict is not Verdict.Fails || !property.Operations.Contains(PortOperation.Backward))
            .SelectMany(traits => PortLevels.Of(capabilities, traits));

    private static IEnumerable<CaseTraits> TraitsOf(Property property, AttentionCase item, bool hidden) =>
        property.Operations.Select(operation => new CaseTraits(item.Config, item.Type, operation, item.IsPadded, hidden));

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
