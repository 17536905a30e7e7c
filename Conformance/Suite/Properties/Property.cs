// What is a property, and what does one check of it say?
using System.Collections.Immutable;
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;

namespace S2Attn.Conformance.Properties;

/// <summary>
/// Something that is true of every right implementation and can be seen from outside, through tensors. A property steers a random case into its region,
/// asks the port, and yields each violation as a sentence; none means that it holds for the case.
/// </summary>
/// <param name="Name">A stable identifier, such as NoLeakage.Future.</param>
/// <param name="Statement">What is claimed, in one sentence.</param>
/// <param name="Region">Where it is claimed, in words.</param>
/// <param name="Theorems">The theorems of Spec that it observes in data; a name ending in * stands for all that begin so. Empty for statements about arithmetic.</param>
/// <param name="Arrange">Changes a random case so that it lies in the region and is worth looking at.</param>
/// <param name="Covers">Whether a case lies in the region: a port's limits may have led an arranged case out of it.</param>
/// <param name="Operations">The passes that the property asks for.</param>
/// <param name="Check">The violations that one case shows, lazily.</param>
public sealed record Property(
    string Name,
    string Statement,
    string Region,
    ImmutableArray<string> Theorems,
    Func<AttentionCase, AttentionCase> Arrange,
    Func<AttentionCase, bool> Covers,
    ImmutableArray<PortOperation> Operations,
    Func<Probe, IEnumerable<string>> Check)
{
    /// <summary>Whether a case that holds is evidence for the levels: the answer was held against the definition, and not only against another answer.</summary>
    public bool IsEvidence { get; init; }

    /// <summary>Whether it asks what NaN and infinity do that a query may not see; a violation then denies level 6 alone.</summary>
    public bool IsIsolation { get; init; }

    /// <summary>Whether its cases are moved to the borders of the port's own blocks.</summary>
    public bool AtBorders { get; init; }

    /// <inheritdoc/>
    public override string ToString() => Name;
}

/// <summary>What one check says.</summary>
public abstract record Verdict
{
    private Verdict() { }

    /// <summary>The property holds for the case.</summary>
    public sealed record Holds : Verdict;

    /// <summary>It does not; the first violation.</summary>
    public sealed record Fails(string Reason) : Verdict;

    /// <summary>The port does not claim the case, or the property says nothing about it.</summary>
    public sealed record Unsupported(string Reason) : Verdict;

    /// <summary>The port did not deliver.</summary>
    public sealed record PortFailed(PortFailureKind Kind, string Message) : Verdict;

    /// <summary>Whether the port is to blame.</summary>
    public bool IsBad => this is Fails or PortFailed;
}
