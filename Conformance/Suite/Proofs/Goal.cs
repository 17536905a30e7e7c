// What is to be shown, with the help that is given for it?
using System.Collections.Immutable;
using S2Attn.Spec;
using S2Attn.Spec.Algebra;
using S2Attn.Spec.Claims;

namespace S2Attn.Conformance.Proofs;

/// <summary>A lemma at these values.</summary>
public sealed record LemmaInstance(Statement Lemma, ImmutableArray<Term> Values)
{
    /// <summary>Assumption implies conclusion.</summary>
    public Prop Prop => Prop.Implies(Lemma.Claim.Assumes<Term, Prop>(Values), Lemma.Claim.Holds<Term, Prop>(Values));
}

/// <summary>Under the assumptions, the conclusion, for all values of the variables.</summary>
/// <param name="Name">The name of the theorem, statement or lemma.</param>
/// <param name="Variables">The variables.</param>
/// <param name="Assumptions">What is assumed, each with a comment.</param>
/// <param name="Conclusion">What is shown.</param>
/// <param name="Help">How the proof is found; it does not change what is shown.</param>
public sealed record Goal(
    string Name, ImmutableArray<Term.Variable> Variables, ImmutableArray<(string Comment, Prop Prop)> Assumptions, Prop Conclusion, Help Help)
{
    /// <summary>The goal of a claim over sizes and two integers in [0, N).</summary>
    public static Goal Of(Theorem theorem)
    {
        ArgumentNullException.ThrowIfNull(theorem);
        Term.Variable[] variables = [new("N"), new("G"), new("S"), new("x"), new("y")];
        Sizes<Term> sizes = new(variables[0], variables[1], variables[2]);
        return new(
            theorem.Name,
            [.. variables],
            [
                ($"region: {theorem.Region}", theorem.Claim.Region<Term, Prop>(sizes)),
                ("x in [0, N)", Regions.Contains<Term, Prop>(0, sizes.N, variables[3])),
                ("y in [0, N)", Regions.Contains<Term, Prop>(0, sizes.N, variables[4])),
            ],
            theorem.Claim.Holds<Term, Prop>(sizes, variables[3], variables[4]),
            Help.For(theorem.Claim, sizes, variables[3]));
    }

    /// <summary>The goal of a statement.</summary>
    public static Goal Of(Statement statement)
    {
        ArgumentNullException.ThrowIfNull(statement);
        Term.Variable[] variables = [.. statement.Variables.Select(name => new Term.Variable(name))];
        return new(
            statement.Name,
            [.. variables],
            [($"region: {statement.Region}", statement.Claim.Assumes<Term, Prop>(variables))],
            statement.Claim.Holds<Term, Prop>(variables),
            Help.For(statement.Claim, variables));
    }
}
