// What is a mutant? A port that is wrong in one known way.
using S2Attn.Conformance.Ports;

namespace S2Attn.Conformance.Mutants;

/// <summary>A wrong port with its diagnosis.</summary>
public sealed record Mutant
{
    internal const string Prefix = "mutant:";

    internal Mutant(string name, string defect, string fix, MutablePipeline pipeline) => (Name, Defect, Fix, Pipeline) = (name, defect, fix, pipeline);

    /// <summary>Its name in reports; <see cref="PortFactory"/> opens "mutant:NAME".</summary>
    public string Name { get; }

    /// <summary>What is wrong, in one sentence.</summary>
    public string Defect { get; }

    /// <summary>What the author of such a port is to change, in one sentence.</summary>
    public string Fix { get; }

    /// <summary>Where the defect was seen; most are made up from what the definition makes easy to get wrong.</summary>
    public string SeenIn { get; init; } = "constructed";

    /// <summary>Whether fewer kv heads than query heads are claimed.</summary>
    internal bool GroupedQuery { get; init; } = true;

    internal MutablePipeline Pipeline { get; }

    /// <summary>A new instance of the port. It claims everything that Reference claims.</summary>
    public IAttentionPort Open()
    {
        using ReferencePort reference = new();
        return new MutantPort(Prefix + Name, reference.Description.Capabilities with { GroupedQuery = GroupedQuery }, Pipeline);
    }

    /// <inheritdoc/>
    public override string ToString() => Name;
}
