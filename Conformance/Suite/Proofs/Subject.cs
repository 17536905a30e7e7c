// What is there to prove and to refute? The plan of a run.
using System.Collections.Immutable;
using S2Attn.Spec;

namespace S2Attn.Conformance.Proofs;

/// <summary>A statement that is put before solvers.</summary>
/// <param name="Chapter">The heading under which it is reported.</param>
/// <param name="Name">Its unique name.</param>
/// <param name="Text">The statement in words and symbols.</param>
/// <param name="Region">Where it is claimed.</param>
public abstract record Subject(string Chapter, string Name, string Text, string Region)
{
    /// <summary>A statement that holds: every obligation must have the expected answer.</summary>
    public sealed record ToProve(string Chapter, string Name, string Text, string Region, ImmutableArray<Obligation> Obligations)
        : Subject(Chapter, Name, Text, Region);

    /// <summary>A claim that does not hold: a counterexample must be found, the smallest, and be one for Spec and Reference too.</summary>
    public sealed record ToRefute(string Chapter, string Name, string Text, string Region, Theorem Theorem)
        : Subject(Chapter, Name, Text, Region);

    /// <inheritdoc/>
    public sealed override string ToString() => Name;
}

/// <summary>Everything that <c>s2attn prove</c> does.</summary>
public static class Plan
{
    /// <summary>Lemmas, theorems, false claims, facts for kernels, and safe arithmetic.</summary>
    public static ImmutableArray<Subject> Everything() =>
    [
        .. Lemmas.All.Select(lemma => Prove("Lemmas", lemma.Text, lemma.Region, Goal.Of(lemma))),
        .. Theorems.Catalogue.Select(Of),
        .. Theorems.Patterns.Select(statement => Prove("Phases and layers", statement.Text, statement.Region, Goal.Of(statement))),
        .. Theorems.Grids.Select(statement => Prove("Several axes", statement.Text, statement.Region, Goal.Of(statement))),
        .. Theorems.Prefixes.Select(statement => Prove("Sinks and prefixes", statement.Text, statement.Region, Goal.Of(statement))),
        .. Theorems.Slices.Select(statement => Prove("Slices and cuts", statement.Text, statement.Region, Goal.Of(statement))),
        .. Theorems.Kernel.Select(statement => Prove("Tiles and offsets", statement.Text, statement.Region, Goal.Of(statement))),
        .. SafeArithmetic.Goals().Select(safe => Prove("Arithmetic", safe.Statement, safe.Goal.Variables[0].Name == "D" ? "every D that a plan accepts" : "every size that a configuration accepts", safe.Goal)),
    ];

    /// <summary>A theorem or false claim as a subject.</summary>
    public static Subject Of(Theorem theorem)
    {
        ArgumentNullException.ThrowIfNull(theorem);
        return theorem.IsTrue
            ? Prove("Theorems", theorem.Statement, theorem.Region, Goal.Of(theorem))
            : new Subject.ToRefute("False claims", theorem.Name, theorem.Statement, theorem.Region, theorem);
    }

    private static Subject.ToProve Prove(string chapter, string text, string region, Goal goal) =>
        new(chapter, goal.Name, text, region, [.. Obligation.Proofs(goal)]);
}
