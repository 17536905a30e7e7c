// What does a run leave behind? One record that every format is written from.
using System.Collections.Immutable;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Running;
using S2Attn.Conformance.Xray;

namespace S2Attn.Conformance.Reports;

/// <summary>What a port declared, claimed and earned.</summary>
/// <param name="Subject">The name of its rows.</param>
/// <param name="Description">What it declared.</param>
/// <param name="Levels">How each level stands, in order.</param>
public sealed record ReportPort(string Subject, PortDescription Description, ImmutableArray<LevelJudgement> Levels)
{
    /// <summary>The levels that its declaration claims.</summary>
    public ImmutableArray<PortLevel> Claimed => PortLevels.Claimed(Description.Capabilities);

    /// <summary>The levels that it earned.</summary>
    public ImmutableArray<PortLevel> Earned => [.. Levels.Where(level => level.Standing is LevelStanding.Earned).Select(level => level.Level)];

    /// <summary>What an X-ray of the port says; empty where nothing speaks against it, and where the run was stopped.</summary>
    public ImmutableArray<Diagnosis> Diagnosis { get; init; } = [];

    /// <summary>The X-ray of a port that nothing speaks against, taken where a report draws it; empty otherwise.</summary>
    public ImmutableArray<XrayReport> Portrait { get; init; } = [];

    /// <summary>The port's part of a run.</summary>
    /// <param name="subject">The name of its rows.</param>
    /// <param name="description">What it declared.</param>
    /// <param name="results">All rows.</param>
    /// <param name="whole">Whether all properties ran to their end: a part of them proves no level.</param>
    public static ReportPort Of(string subject, PortDescription description, IEnumerable<PropertyResult> results, bool whole)
    {
        ArgumentNullException.ThrowIfNull(description);
        return new(subject, description, LevelJudgement.Of(description.Capabilities, [.. results.Where(result => result.Subject == subject)], whole));
    }

    /// <summary>The same with what an X-ray says, where some answer of the port is wrong; a port that gave no tensors is not asked again.</summary>
    public ReportPort Diagnosed(IAttentionPort port, IEnumerable<PropertyResult> results, CancellationToken cancellation) =>
        !cancellation.IsCancellationRequested && results.Any(result => result.Subject == Subject && result.Outcome is Outcome.Fails)
            ? this with { Diagnosis = [Xray.Diagnosis.Of(port, cancellation)] }
            : this;

    /// <summary>The same with an X-ray to draw, where the rows of the port speak for it; one that failed or gave no tensors is not asked again.</summary>
    public ReportPort Portrayed(IAttentionPort port, IEnumerable<PropertyResult> results, CancellationToken cancellation) =>
        !cancellation.IsCancellationRequested && results.Where(result => result.Subject == Subject) is var own && own.Any(result => result.Cases > 0) && own.All(result => !result.IsBad)
            ? this with { Portrait = Xray.Diagnosis.Of(port, cancellation).Report }
            : this;
}

/// <summary>A known deviation, and the properties that see it.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Difference">What differs.</param>
/// <param name="CaughtBy">The properties that fail for it.</param>
/// <param name="Example">The smallest case of one of them.</param>
public sealed record ReportVariant(string Name, string Difference, ImmutableArray<string> CaughtBy, ImmutableArray<Counterexample> Example);

/// <summary>A run.</summary>
/// <param name="Tool">Name and version of the program.</param>
/// <param name="Seed">The seed that gives the same cases again.</param>
/// <param name="Cases">Cases for each property.</param>
/// <param name="Filter">Only names that contain this text; empty for all.</param>
/// <param name="Complete">False where the run was stopped, and rows are missing or cut short.</param>
/// <param name="Elapsed">Time for all.</param>
/// <param name="Results">The rows.</param>
/// <param name="Ports">The ports.</param>
/// <param name="Variants">What the known deviations do; empty where they were not run.</param>
public sealed record Report(
    string Tool,
    int Seed,
    int Cases,
    string Filter,
    bool Complete,
    TimeSpan Elapsed,
    ImmutableArray<PropertyResult> Results,
    ImmutableArray<ReportPort> Ports,
    ImmutableArray<ReportVariant> Variants)
{
    /// <summary>The arguments that name the ports again, as a shell takes them; empty where the project checked itself.</summary>
    public ImmutableArray<string> Arguments { get; init; } = [];

    /// <summary>The version of report.schema.json that the JSON form follows.</summary>
    public const int SchemaVersion = 1;

    /// <summary>Whether everything that was asked for was run and nothing speaks against conformance. A port of which a filter asks nothing says nothing.</summary>
    public bool Conforms => Complete
        && Results.Any(result => result.Outcome is Outcome.Holds)
        && Results.All(result => !result.IsBad)
        && Ports.All(port => Results.All(result => result.Subject != port.Subject) || Results.Any(result => result.Subject == port.Subject && result.Cases > 0));
}
