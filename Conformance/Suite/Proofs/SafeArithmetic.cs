// Can a formula leave 64 bits, or divide by something not positive, for sizes that a configuration accepts?
using System.Collections.Immutable;
using S2Attn.Spec;
using S2Attn.Spec.Claims;

namespace S2Attn.Conformance.Proofs;

/// <summary>
/// The claim is read off the formula's own graph: every part of it, on every path, is within 64 bits, and every divisor is at least 1. It is
/// shown for every N of 32 bits, which is what a configuration holds.
/// </summary>
public static class SafeArithmetic
{
    /// <summary>The formulas that the computing algebra evaluates; what they call is part of them.</summary>
    public static IEnumerable<(Goal Goal, string Statement)> Goals()
    {
        yield return Of("Token", "token(p)", MaskPolicy.Split, (sizes, x, y) => [IndexMaps.Token<Term, Prop>(sizes.N, sizes.S, x)], _ => []);
        foreach (MaskPolicy mask in MaskPolicies.All)
        {
            yield return Of(
                $"Visible.{mask}", "visible(t, u)", mask, (sizes, x, y) => [Term.If(Visibility.Visible<Term, Prop>(mask, sizes.N, sizes.G, sizes.S, x, y), 1, 0)], _ => []);
            yield return Of($"Run.{mask}", "the segments of run k and the keys that t sees", mask, (sizes, x, y) => RunParts(mask, sizes, x, y), _ => []);
            yield return Of(
                $"VisiblePairs.{mask}",
                "the visible pairs of a head",
                mask,
                (sizes, x, y) => [Costs.VisiblePairs<Term, Prop>(mask, sizes.N, sizes.G, sizes.S)],
                sizes => Help.PairBounds(mask, sizes));
        }
    }

    private static Term[] RunParts(MaskPolicy mask, Sizes<Term> sizes, Term k, Term t)
    {
        QueryRun<Term> run = Segments.Run<Term, Prop>(mask, sizes.N, sizes.G, sizes.S, k);
        return
        [
            run.Start, run.Length, run.Own.Start, run.Own.Length, run.Other.Start, run.Other.Length,
            Segments.KeysSeen<Term, Prop>(mask, sizes.N, sizes.G, sizes.S, t),
        ];
    }

    private static (Goal, string) Of(
        string name, string formula, MaskPolicy mask, Func<Sizes<Term>, Term, Term, Term[]> roots, Func<Sizes<Term>, ImmutableArray<LemmaInstance>> help)
    {
        Term.Variable[] variables = [new("N"), new("G"), new("S"), new("x"), new("y")];
        Sizes<Term> sizes = new(variables[0], variables[1], variables[2]);
        SmtScript graph = new();
        foreach (Term root in roots(sizes, variables[3], variables[4]))
            graph.Meet(root);
        Term limit = int.MaxValue;
        IEnumerable<LemmaInstance> boxes = graph.Products.Select(product => new LemmaInstance(Lemmas.Box, [product.A, product.B, limit + 1, limit + 1]));
        Goal goal = new(
            $"Fits.{name}",
            [.. variables],
            [
                ("region", Regions.Valid<Term, Prop>(sizes) & Regions.Of<Term, Prop>(mask, sizes)),
                ("sizes of a configuration", sizes.N <= limit),
                ("x in [0, N)", Regions.Contains<Term, Prop>(0, sizes.N, variables[3])),
                ("y in [0, N)", Regions.Contains<Term, Prop>(0, sizes.N, variables[4])),
            ],
            Prop.All(graph.Terms.Select(IsSafe)),
            Help.None with { Instances = [.. boxes, .. help(sizes)] });
        return (goal, $"{formula}: no part leaves 64 bits, no divisor is below 1");
    }

    private static Prop IsSafe(Term term) => term switch
    {
        Term.Variable or Term.Constant => Prop.Of(true),
        Term.Quotient quotient => quotient.B >= 1 & Fits(quotient),
        _ => Fits(term),
    };

    private static Prop Fits(Term term) => long.MinValue <= term & term <= long.MaxValue;
}
