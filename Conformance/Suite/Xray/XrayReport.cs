// What did an X-ray of a port show?
using System.Collections.Immutable;
using S2Attn.Conformance.Ports;

namespace S2Attn.Conformance.Xray;

/// <summary>What was seen at one size.</summary>
/// <param name="Probe">The size.</param>
/// <param name="Seen">Which values each row averages.</param>
/// <param name="Definition">The same, of the definition.</param>
/// <param name="Scores">Which queries and keys make the scores.</param>
/// <param name="Gradients">The gradients; empty where the port has none, or its forward pass is no softmax of scores.</param>
/// <param name="Words">Each way in which it differs from the definition; none where it does not.</param>
public sealed record XrayPicture(
    XrayProbe Probe, VisibilityMap Seen, VisibilityMap Definition, ScoreMap Scores, ImmutableArray<GradientMap> Gradients, ImmutableArray<string> Words);

/// <summary>What was seen at all probed sizes.</summary>
/// <param name="Port">Who was asked.</param>
/// <param name="Pictures">One for each size that answered, that which was asked for first.</param>
/// <param name="Failures">The sizes that did not answer.</param>
/// <param name="Explanation">What the port is.</param>
/// <param name="Habits">What is found beside the structure.</param>
/// <param name="Calls">How many questions were put to the port.</param>
public sealed record XrayReport(
    PortDescription Port, ImmutableArray<XrayPicture> Pictures, ImmutableArray<XrayFailure> Failures, Explanation Explanation, ImmutableArray<HabitFinding> Habits, int Calls)
{
    /// <summary>What it is where tokens stand on several axes; null where that was not looked at: it does not declare grids, or what it is of texts is not known.</summary>
    public PartFinding? Grids { get; init; }

    /// <summary>What it is where the text has a prefix; null where that was not looked at.</summary>
    public PartFinding? Prefixes { get; init; }

    /// <summary>How it differs from the definition where no known mistake explains it.</summary>
    internal ImmutableArray<XrayDifference> Differences { get; init; } = [];

    /// <summary>What was looked at beside texts.</summary>
    internal ImmutableArray<PartFinding> Parts => [.. new[] { Prefixes, Grids }.OfType<PartFinding>()];

    /// <summary>Whether the port answers as the definition wherever it claims to answer, without a numerical habit that speaks against what it claims.</summary>
    public bool IsDefinition => Explanation.IsDefinition && Faults.IsEmpty && Silent.IsEmpty && Parts.All(part => part.IsDefinition);

    /// <summary>The sizes that the port claims, and at which it gave no tensors.</summary>
    public ImmutableArray<XrayFailure> Silent => [.. Failures.Where(failure => failure.IsClaimed)];

    /// <summary>The habits to change: hidden NaN that spreads is none to a port that does not claim isolation.</summary>
    public ImmutableArray<HabitFinding> Faults => [.. Habits.Where(habit => !habit.IsIsolation || Port.Capabilities.Isolation)];

    /// <summary>Who the port is, in sentences: what it is, what to change, what else could not be told.</summary>
    public IEnumerable<string> Verdict => XrayVerdict.Of(this);
}
