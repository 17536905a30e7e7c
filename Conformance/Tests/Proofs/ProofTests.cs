// Are the theorems proved, the false claims refuted, and wrong formulas found?
using System.Collections.Immutable;
using S2Attn.Conformance.Proofs;
using S2Attn.Spec;
using S2Attn.Tests.Docs;
using S2Attn.Tests.Tools;

namespace S2Attn.Tests.Proofs;

public sealed class ProofTests
{
    [RequiresAnyToolFact("cvc5", "z3")]
    public async Task Every_theorem_is_proved_and_every_false_claim_refuted_and_trust_says_so()
    {
        ImmutableArray<SubjectResult> results = await Run([.. Plan.Everything()]);
        Assert.All(results, result => Assert.True(result.IsGood, $"{result.Subject}: {result.Outcome}, {result.Detail}"));
        Assert.All(results, result => Assert.Equal(result.Subject is Subject.ToRefute, result.Outcome is Outcome.Refuted));
        if (Environment.GetEnvironmentVariable("S2ATTN_UPDATE_DOCS") == "1")
            GeneratedBlock.AssertEqualOrUpdate("docs/trust.md", "proofs", Report.Markdown(results));
        Assert.Equal(WithoutMeasurements(Report.Markdown(results)), WithoutMeasurements(GeneratedBlock.Read("docs/trust.md", "proofs")));
    }

    [RequiresAnyToolFact("cvc5", "z3")]
    public async Task Smallest_counterexamples_of_the_solver_are_the_first_that_Spec_enumerates()
    {
        foreach (Theorem theorem in Theorems.False())
        {
            SubjectResult result = Assert.Single(await Run(Plan.Of(theorem)));
            Witness first = theorem.SizesUpTo(16).Select(size => theorem.TryRefute(size.N, size.G, size.S, out Witness witness) ? witness : default).First(witness => witness.N > 0);
            Assert.StartsWith($"{first}: ", result.Detail, StringComparison.Ordinal);
        }
    }

    [RequiresAnyToolTheory("cvc5", "z3")]
    [MemberData(nameof(Mutants.Names), MemberType = typeof(Mutants))]
    public async Task A_wrong_formula_is_not_proved(string name)
    {
        SubjectResult result = Assert.Single(await Run(Plan.Of(Mutants.Named(name))));
        Assert.True(result.Outcome is Outcome.Fails, $"{name}: {result.Outcome}, {result.Detail}");
        Assert.Contains("fails at N=", result.Detail, StringComparison.Ordinal);
    }

    [RequiresAnyToolFact("cvc5", "z3")]
    public async Task A_theorem_whose_region_is_empty_is_vacuous() =>
        Assert.Equal(Outcome.Vacuous, Assert.Single(await Run(Plan.Of(new("Empty", 0, "", "", IsTrue: true, new Mutants.EmptyRegion())))).Outcome);

    [RequiresAnyToolFact("cvc5", "z3")]
    public async Task A_true_theorem_filed_as_false_is_not_refuted()
    {
        Theorem theorem = Theorems.Catalogue.Single(theorem => theorem.Name == "Diagonal.Split") with { IsTrue = false };
        Assert.Equal(Outcome.NotRefuted, Assert.Single(await Run(Plan.Of(theorem))).Outcome);
    }

    [Fact]
    public void A_counterexample_that_Spec_does_not_confirm_is_a_disagreement()
    {
        Theorem leak = Theorems.False().Single(theorem => theorem.Name == "NoLeakage.LocalCausal");
        Assert.True(Counterexamples.Confirm(leak, new(2, 2, 1, 0, 1)).IsConfirmed);
        Assert.False(Counterexamples.Confirm(leak, new(2, 2, 1, 1, 0)).IsConfirmed);
        Assert.False(Counterexamples.Confirm(leak, new(2, 3, 1, 0, 1)).IsConfirmed);
        Assert.False(Counterexamples.Confirm(leak, new(2, 2, 1, 0, 2)).IsConfirmed);
    }

    /// <summary>A claim that computes to true and is translated as false: the solver's counterexample is none for Spec, and is not taken.</summary>
    [RequiresAnyToolFact("cvc5", "z3")]
    public async Task What_the_solver_refutes_and_Spec_does_not_is_a_disagreement() =>
        Assert.Equal(Outcome.Disagreement, Assert.Single(await Run(Plan.Of(new("Torn", 0, "", "", IsTrue: false, new Mutants.TrueWhereComputed())))).Outcome);

    /// <summary>The premise of each part must be met, not only that of the first.</summary>
    [RequiresAnyToolFact("cvc5", "z3")]
    public async Task A_part_whose_premise_nothing_meets_is_vacuous()
    {
        Term.Variable x = new("x");
        Prop right = Prop.Implies(x >= 1, x >= 0), empty = Prop.Implies(x >= 1 & x < 1, x >= 7);
        foreach (Prop conclusion in new[] { right & empty, empty & right, right & right & empty })
        {
            Goal goal = new("Parts", [x], [("any x", Prop.Of(true))], conclusion, Help.None with { Parts = true });
            Obligation[] obligations = [.. Obligation.Proofs(goal)];
            Assert.Equal(obligations.Count(asked => asked.Expected is Verdict.Unsat), obligations.Count(asked => asked is { Expected: Verdict.Sat } && asked.Name.EndsWith(".vacuity", StringComparison.Ordinal)));
            Assert.Equal(Outcome.Vacuous, Assert.Single(await Run(new Subject.ToProve("", "Parts", "", "", [.. obligations]))).Outcome);
        }
    }

    /// <summary>That a region can be met is shown or it is not: a solver that gives up on that question alone has proved nothing.</summary>
    [RequiresToolFact("z3")]
    public async Task A_region_that_no_solver_meets_leaves_the_proof_open()
    {
        if (OperatingSystem.IsWindows())
            return;
        string folder = Directory.CreateTempSubdirectory("s2attn-proofs-").FullName;
        try
        {
            string path = Path.Combine(folder, "solver");
            await File.WriteAllTextAsync(path, $"#!/bin/sh\ncase \"$1\" in *vacuity*) echo unknown ;; *) exec {Tool.PathOf("z3")} -T:20 \"$1\" ;; esac\n");
            File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            Assert.True(Solver.TryFind(path, out Solver solver));
            Theorem theorem = Theorems.Catalogue.Single(theorem => theorem.Name == "Diagonal.Split");
            SubjectResult result = Assert.Single(await ProofRun.RunAsync([Plan.Of(theorem)], new([solver], folder, TimeSpan.FromSeconds(20), 1), _ => { }, CancellationToken.None));
            Assert.Equal(Outcome.Undecided, result.Outcome);
            Assert.False(result.IsGood);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public void Every_statement_of_Spec_is_in_the_plan()
    {
        string[] names = [.. Plan.Everything().Select(subject => subject.Name)];
        Assert.Equal(names.Length, names.Distinct().Count());
        Assert.Empty(Theorems.Catalogue.Select(theorem => theorem.Name).Concat(Theorems.Kernel.Concat(Theorems.Slices).Concat(Theorems.Patterns).Concat(Theorems.Grids).Concat(Theorems.Prefixes).Select(statement => statement.Name)).Except(names));
    }

    [Fact]
    public void Lemmas_hold_for_small_integers_of_either_sign()
    {
        foreach (S2Attn.Spec.Claims.Statement lemma in Lemmas.All)
            Assert.Empty(lemma.Refutation(-3, 4));
    }

    [Fact]
    public void The_proof_of_a_lemma_uses_only_lemmas_before_it()
    {
        for (int i = 0; i < Lemmas.All.Length; i++)
        {
            Goal goal = Goal.Of(Lemmas.All[i]);
            SmtScript script = new();
            script.Meet(goal.Conclusion);
            Assert.All(Instances.For(script, goal.Help), instance => Assert.InRange(Lemmas.All.IndexOf(instance.Lemma), 0, i - 1));
        }
    }

    [Fact]
    public void A_division_becomes_one_witness_and_common_parts_are_written_once()
    {
        Term.Variable a = new("a"), b = new("b");
        SmtScript script = new();
        script.Assert("shared", Term.Equal((a + b) / b, (a + b) / b + (a + b)));
        string text = script.Write(["title"], "QF_NIA", [a]);
        Assert.DoesNotContain("div", text, StringComparison.Ordinal);
        Assert.Equal(
            """
            ; title
            (set-option :produce-models true)
            (set-logic QF_NIA)
            (declare-const a Int)
            (declare-const b Int)
            (define-fun i1 () Int (+ a b))
            (declare-const q1 Int) ; floor of i1 / b
            (assert (=> (> b 0) (and (<= (* q1 b) i1) (< i1 (+ (* q1 b) b)))))
            ; shared
            (assert (= q1 (+ q1 i1)))
            (check-sat)
            (get-value (a))

            """,
            text);
    }

    /// <summary>Of a product that is some function nothing holds but what lemmas say: that it commutes is no proof then, and that a b / b is b / b where a is 1 is one.</summary>
    [RequiresAnyToolFact("cvc5", "z3")]
    public async Task Of_a_product_that_is_any_function_only_lemmas_are_known()
    {
        Term.Variable a = new("a"), b = new("b");
        Prop commutes = Term.Equal(a * b, b * a), isUnit = Prop.Implies(Term.Equal(a, 1) & b >= 1, Term.Equal(a * b / b, b / b));
        Help any = Help.None with { AnyProduct = true, Instances = [new(Lemmas.Units, [a, b])] };
        Assert.Equal(Outcome.Proved, await Proved(commutes, any with { AnyProduct = false }));
        Assert.Equal(Outcome.Fails, await Proved(commutes, any));
        Assert.Equal(Outcome.Proved, await Proved(isUnit, any));
        Obligation asked = Obligation.Proofs(new("Unit", [a, b], [], isUnit, any)).Single(asked => asked.Expected is Verdict.Unsat);
        Assert.Contains("(declare-fun times (Int Int) Int)", asked.Script, StringComparison.Ordinal);
        Assert.Contains("(times q1 b)", asked.Script, StringComparison.Ordinal);
        Assert.DoesNotContain("(* a b)", asked.Script, StringComparison.Ordinal);

        async Task<Outcome> Proved(Prop conclusion, Help help) =>
            Assert.Single(await Run(new Subject.ToProve("", "Any", "", "", [.. Obligation.Proofs(new("Any", [a, b], [("any a, b", Prop.Of(true))], conclusion, help))]))).Outcome;
    }

    [RequiresAnyToolFact("cvc5", "z3")]
    public async Task Dividing_by_zero_proves_nothing() =>
        Assert.Equal(Outcome.Fails, Assert.Single(await Run(Plan.Of(new("DivideByZero", 0, "", "", IsTrue: true, new Mutants.DividesByZero())))).Outcome);

    /// <summary>Formulas that leave their bits, or divide by something not positive, at one end of what a configuration or a plan accepts, beside those that just do not.</summary>
    public static TheoryData<string, bool> Formulas() => new()
    {
        { "N * N", true }, { "N * N * N", false }, { "x - N * N", true }, { "x - N * N * N", false },
        { "x / (S + 1)", true }, { "x / S", false }, { "x / (S - 1)", false }, { "x / G", true }, { "x / (G - 1)", false }, { "1 + x / 0", false },
        { "N / (N - x)", true }, { "N / (N - P)", false }, { "P * N", true },
        { "D * 16", true }, { "D * D", false }, { "D - D * D", false }, { "D / D", true }, { "D / (D - 1)", false }, { "D / (D - 2)", false },
    };

    [RequiresAnyToolTheory("cvc5", "z3")]
    [MemberData(nameof(Formulas))]
    public async Task A_formula_that_does_not_fit_is_not_proved_to_fit(string formula, bool fits)
    {
        Term.Variable headDim = new("D");
        Goal goal = formula[0] == 'D'
            ? SafeArithmetic.Blocks("Planted", formula, [headDim], [Written(formula, headDim)], Prop.Of(true)).Goal
            : SafeArithmetic.Of("Planted", formula, MaskPolicy.Split, (sizes, x, y) => [Written(formula, sizes.N, sizes.G, sizes.S, x)], (sizes, x) => [], formula.Contains('P', StringComparison.Ordinal) ? "P" : "x").Goal;
        SubjectResult result = Assert.Single(await Run(new Subject.ToProve("", "Planted", formula, "", [.. Obligation.Proofs(goal)])));
        Assert.True(fits == result.IsGood, $"{formula}: {result.Outcome}, {result.Detail}");

        static Term Written(string formula, params Term[] values)
        {
            Term first = values[^1], g = values.Length > 1 ? values[1] : first, s = values.Length > 2 ? values[2] : first, n = values[0];
            return formula switch
            {
                "N * N" => n * n,
                "N * N * N" => n * n * n,
                "x - N * N" => first - n * n,
                "x - N * N * N" => first - n * n * n,
                "x / (S + 1)" => first / (s + 1),
                "x / S" => first / s,
                "x / (S - 1)" => first / (s - 1),
                "x / G" => first / g,
                "x / (G - 1)" => first / (g - 1),
                "1 + x / 0" => 1 + first / 0,
                "N / (N - x)" or "N / (N - P)" => n / (n - first),
                "P * N" => first * n,
                "D * 16" => n * 16,
                "D * D" => n * n,
                "D - D * D" => n - n * n,
                "D / D" => n / n,
                "D / (D - 1)" => n / (n - 1),
                "D / (D - 2)" => n / (n - 2),
                _ => throw new ArgumentException(formula, nameof(formula)),
            };
        }
    }

    private static async Task<ImmutableArray<SubjectResult>> Run(params ImmutableArray<Subject> subjects)
    {
        IReadOnlyList<Solver> solvers = Solver.OnPath();
        Assert.True(solvers.Count > 0, Solver.InstallHint);
        string folder = Directory.CreateTempSubdirectory("s2attn-proofs-").FullName;
        try
        {
            return await ProofRun.RunAsync(subjects, new([.. solvers], folder, TimeSpan.FromSeconds(60), Environment.ProcessorCount), _ => { }, CancellationToken.None);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    // The last two columns count scripts, which depend on the solver's models, and seconds.
    private static string WithoutMeasurements(string markdown) =>
        string.Join('\n', markdown.Split('\n').Select(line => line.StartsWith('|') ? string.Join('|', line.Split('|')[..^3]) : line));
}
