// Which questions are put to a solver for a goal?
using System.Collections.Immutable;

namespace S2Attn.Conformance.Proofs;

/// <summary>What a solver can answer.</summary>
public enum Verdict
{
    /// <summary>No values satisfy the assertions.</summary>
    Unsat,

    /// <summary>Some values do.</summary>
    Sat,

    /// <summary>The solver gave up, ran out of time, failed or was not understood.</summary>
    Unknown,
}

/// <summary>A question to a solver and the answer that is expected.</summary>
/// <param name="Name">A unique name; the script's file is Name.smt2.</param>
/// <param name="Subject">The theorem, statement or lemma that it serves.</param>
/// <param name="Expected">Unsat for a proof, Sat for a counterexample and for the check that a proof is not vacuous.</param>
/// <param name="Script">The script.</param>
/// <param name="ScriptWithModel">The same script, asking for values: shown where a proof fails.</param>
public sealed record Obligation(string Name, string Subject, Verdict Expected, string Script, string ScriptWithModel)
{
    // Solvers keep products whole under this logic; under QF_NIA z3 first searches for small models bit by bit.
    private const string ProofLogic = "QF_UFNIA", LinearLogic = "QF_UFLIA";
    private const string ModelLogic = "QF_NIA";
    private const long SmallValue = 8;

    /// <summary>The proofs of a goal, one for each part and case, and the checks that its assumptions can be met.</summary>
    public static IEnumerable<Obligation> Proofs(Goal goal)
    {
        ArgumentNullException.ThrowIfNull(goal);
        ImmutableArray<Prop> parts = goal.Help.Parts ? [.. Conjuncts(goal.Conclusion)] : [goal.Conclusion];
        for (int part = 0; part < parts.Length; part++)
        {
            (Prop premise, Prop conclusion) = parts[part] is Prop.Connective { Symbol: "=>" } implication
                ? (implication.A, implication.B)
                : (Prop.Of(true), parts[part]);
            string name = goal.Name + (parts.Length > 1 ? FormattableString.Invariant($".part{part + 1}") : "");
            Goal whole = goal with { Assumptions = goal.Assumptions.Add(("premise of this part", premise)), Conclusion = conclusion };
            // A case whose assumptions contradict each other is no proof of anything, but it is no gap either: only the whole must not be vacuous.
            yield return Question(whole, name + ".vacuity", Verdict.Sat);
            for (int number = 0; number < 1 << goal.Help.Splits.Length; number++)
            {
                int bits = number;
                IEnumerable<(string, Prop)> cases = goal.Help.Splits.Select((split, i) => ("case", (bits >> i & 1) == 0 ? split : !split));
                yield return Question(
                    whole with { Assumptions = [.. whole.Assumptions, .. cases] },
                    goal.Help.Splits.IsEmpty ? name : FormattableString.Invariant($"{name}.case{number + 1}"),
                    Verdict.Unsat);
            }
        }
    }

    /// <summary>The search for a counterexample of a false claim where some of its variables have these values.</summary>
    public static Obligation Refutation(Goal goal, string suffix, params IReadOnlyList<Prop> bounds)
    {
        ArgumentNullException.ThrowIfNull(goal);
        ArgumentNullException.ThrowIfNull(bounds);
        SmtScript script = new();
        AddAssumptions(script, goal);
        foreach (Prop bound in bounds)
            script.Assert("bound", bound);
        script.Assert("the claim fails", !goal.Conclusion);
        string text = script.Write([$"{goal.Name}: a false claim; sat gives a counterexample within the bounds, unsat says that there is none."], ModelLogic, goal.Variables);
        return new(goal.Name + suffix, goal.Name, Verdict.Sat, text, text);
    }

    private static Obligation Question(Goal goal, string name, Verdict expected)
    {
        SmtScript script = new();
        AddAssumptions(script, goal);
        if (expected is Verdict.Unsat)
            script.Assert("the conclusion fails", !goal.Conclusion);
        else
            script.Assert("small values suffice to meet the assumptions", Prop.All(goal.Variables.Select(variable => 0 <= variable & variable <= SmallValue)));
        IEnumerable<LemmaInstance> instances = expected is Verdict.Unsat ? Instances.For(script, goal.Help) : [];
        foreach (LemmaInstance instance in instances)
            script.Assert($"lemma {instance.Lemma.Name}", instance.Prop);
        string[] header = [$"{name}: {expected.Word()} is expected."];
        string logic = expected is Verdict.Unsat ? ProofLogic : ModelLogic;
        bool anyProduct = expected is Verdict.Unsat && goal.Help.AnyProduct;
        return new(name, goal.Name, expected, script.Write(header, anyProduct ? LinearLogic : logic, [], anyProduct), script.Write(header, logic, goal.Variables));
    }

    private static void AddAssumptions(SmtScript script, Goal goal)
    {
        foreach ((string comment, Prop prop) in goal.Assumptions)
            script.Assert(comment, prop);
    }

    private static IEnumerable<Prop> Conjuncts(Prop prop) =>
        prop is Prop.Connective { Symbol: "and" } and ? Conjuncts(and.A).Concat(Conjuncts(and.B)) : [prop];
}

/// <summary>Verdicts as SMT-LIB writes them.</summary>
public static class Verdicts
{
    /// <summary>sat, unsat or unknown.</summary>
    public static string Word(this Verdict verdict) => verdict switch
    {
        Verdict.Sat => "sat",
        Verdict.Unsat => "unsat",
        _ => "unknown",
    };
}
