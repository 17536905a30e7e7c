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
/// <param name="Pictures">One for each size, that which was asked for first.</param>
/// <param name="Identification">What the port is.</param>
/// <param name="Calls">How many questions were put to the port.</param>
public sealed record XrayReport(PortDescription Port, ImmutableArray<XrayPicture> Pictures, Identification Identification, int Calls)
{
    /// <summary>Whether the port answers as the definition that was asked for.</summary>
    public bool IsDefinition => Identification is Identification.Definition;

    /// <summary>Who the port is, in sentences.</summary>
    public IEnumerable<string> Verdict => Identification switch
    {
        Identification.Definition => [$"{Port.Name} equals the definition at {Sizes}."],
        Identification.Known known =>
        [
            $"{Port.Name} is {known.Suspects[0].Name} at {Sizes}: {known.Suspects[0].Defect}",
            $"To fix: {known.Suspects[0].Fix}",
            .. known.Suspects.Length > 1 ? [$"Not to be told apart there: {string.Join(", ", known.Suspects.Skip(1))}."] : Array.Empty<string>(),
        ],
        Identification.Unknown { Nearest.IsEmpty: false, Cells: > 0 } unknown =>
            [$"{Port.Name} is nothing that is known. Nearest is {unknown.Nearest[0].Name}, from which {unknown.Cells} pairs differ, the first {unknown.First}."],
        Identification.Unknown { Nearest.IsEmpty: false } unknown =>
            [$"{Port.Name} is nothing that is known. It sees the keys that {unknown.Nearest[0].Name} sees, and computes other numbers from them."],
        _ => [$"{Port.Name} is nothing that is known."],
    };

    private string Sizes => Pictures.Length == 1 ? "the probed size" : $"all {Pictures.Length} probed sizes";
}
