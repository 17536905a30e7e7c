// What is a mutant? A port that is wrong in one known way.
using System.Collections.Immutable;
using S2Attn.Conformance.Ports;
using S2Attn.Reference.Upstream;

namespace S2Attn.Conformance.Mutants;

/// <summary>A wrong port with its diagnosis: a defect of the catalogue, a numerical habit, or a mistake about slices.</summary>
/// <param name="Name">Its name in reports; <see cref="PortFactory"/> opens "mutant:NAME".</param>
/// <param name="Defect">What is wrong, in one sentence.</param>
/// <param name="Fix">What the author of such a port is to change, in one sentence.</param>
/// <param name="SeenIn">Where the defect was seen; most are made up from what the definition makes easy to get wrong.</param>
public sealed record Mutant(string Name, string Defect, string Fix, string SeenIn)
{
    /// <summary>Whether it was seen in code that people use.</summary>
    public bool IsSeen => SeenIn != Reference.Upstream.Defect.Constructed;

    /// <summary>A new instance of the port. It claims everything that Reference claims.</summary>
    public IAttentionPort Open() => PortFactory.Create(new(), PortFactory.MutantPrefix + Name);

    /// <inheritdoc/>
    public override string ToString() => Name;
}

/// <summary>Wrong ports, each in one way. The suite is right about them where some property of the default run fails on each.</summary>
public static class MutantCatalogue
{
    /// <summary>All mutants, in the order of the stages.</summary>
    public static ImmutableArray<Mutant> All { get; } =
    [
        .. DefectCatalogue.Anywhere.Select(defect => new Mutant(defect.Name, defect.What, defect.Fix, defect.SeenIn)),
        .. NumericalHabit.All.Select(habit => new Mutant(habit.Name, habit.What, habit.Fix, Reference.Upstream.Defect.Constructed)),
        .. SliceMistake.All.Select(mistake => new Mutant(mistake.Name, mistake.What, mistake.Fix, mistake.SeenIn)),
    ];
}
