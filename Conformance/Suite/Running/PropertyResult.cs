// What did checking one property of one subject find?
using System.Collections.Immutable;
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;

namespace S2Attn.Conformance.Running;

/// <summary>The outcome of one row of a report.</summary>
public enum Outcome
{
    /// <summary>Every case that ran holds, and some ran.</summary>
    Holds,

    /// <summary>Some case violates the property.</summary>
    Fails,

    /// <summary>Some case got no answer with tensors: an error, a crash, a time-out, malformed output.</summary>
    PortFailed,

    /// <summary>No case ran: the port does not claim what the property needs.</summary>
    Unsupported,

    /// <summary>Some case shows that the port lacks level 6, which it does not claim. It does not speak against conformance.</summary>
    Lacks,

    /// <summary>The run was stopped before the cases of this row were through; none of those that ran failed.</summary>
    Interrupted,
}

/// <summary>A case that shows a violation.</summary>
/// <param name="Case">The case on one line: sizes, element type and seed.</param>
/// <param name="Reason">The violation.</param>
/// <param name="Original">The case as it was drawn, before shrinking.</param>
/// <param name="Shrinks">How many steps led to it.</param>
public sealed record Counterexample(string Case, string Reason, string Original, int Shrinks)
{
    /// <summary>The case itself, to put it again; empty where the row is not about a port.</summary>
    public ImmutableArray<AttentionCase> Shrunk { get; init; } = [];
}

/// <summary>One row of a report.</summary>
/// <param name="Subject">Whose row it is: "Spec", "golden", or the name of a port.</param>
/// <param name="Name">The property, theorem or golden case.</param>
/// <param name="Statement">What is claimed.</param>
/// <param name="Region">Where.</param>
/// <param name="Outcome">What was found.</param>
/// <param name="Cases">How many cases ran.</param>
/// <param name="Unsupported">How many drawn cases the port does not claim as they were drawn, by reason; where no case ran, what stands in the way.</param>
/// <param name="Counterexample">The smallest case found that fails; empty where none does.</param>
/// <param name="Denied">The levels of the port protocol that failing cases deny.</param>
/// <param name="Elapsed">Time for the row.</param>
public sealed record PropertyResult(
    string Subject,
    string Name,
    string Statement,
    string Region,
    Outcome Outcome,
    int Cases,
    ImmutableSortedDictionary<string, int> Unsupported,
    ImmutableArray<Counterexample> Counterexample,
    ImmutableArray<PortLevel> Denied,
    TimeSpan Elapsed)
{
    /// <summary>How many cases held of each kind that a level rests on, by the name of the kind.</summary>
    public ImmutableSortedDictionary<string, int> Evidence { get; init; } = ImmutableSortedDictionary<string, int>.Empty;

    /// <summary>Whether any case was put to the port.</summary>
    public bool WasAsked => Cases > 0;

    /// <summary>Whether the row speaks against conformance.</summary>
    public bool IsBad => Outcome is Outcome.Fails or Outcome.PortFailed;
}

/// <summary>What a run reports while it goes.</summary>
public abstract record SuiteEvent
{
    private SuiteEvent() { }

    /// <summary>A row begins.</summary>
    public sealed record Started(string Subject, string Name, int Cases) : SuiteEvent;

    /// <summary>So many of its cases have run.</summary>
    public sealed record Progressed(string Subject, string Name, int Done, int Cases) : SuiteEvent;

    /// <summary>The rest of a subject's rows cannot be had, for a reason that is none of a port.</summary>
    public sealed record Troubled(string Subject, string Reason) : SuiteEvent;

    /// <summary>A row is through.</summary>
    public sealed record Finished(PropertyResult Result) : SuiteEvent;
}

/// <summary>How much to run.</summary>
public sealed record SuiteOptions
{
    /// <summary>Decides every case; the same seed gives the same cases whatever else is run.</summary>
    public int Seed { get; init; } = 1;

    /// <summary>Cases for each property.</summary>
    public int Cases { get; init; } = 100;

    /// <summary>The largest N of random cases.</summary>
    public int MaxTokens { get; init; } = 48;

    /// <summary>The longest border of a port's blocks at which cases are drawn.</summary>
    public int MaxBorder { get; init; } = 400;

    /// <summary>The longest that the shrinking of one failure may take.</summary>
    public TimeSpan ShrinkLimit { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>The longest that the suite's own work for one row may take, besides the port; cases beyond are left out and counted.</summary>
    public TimeSpan RowLimit { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Whether a row ends with its first failing case, instead of going on to see which levels hold.</summary>
    public bool StopAtFirstFailure { get; init; }
}
