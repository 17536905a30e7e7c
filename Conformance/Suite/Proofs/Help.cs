// How is a proof found? Which lemmas are instantiated, and into which parts and cases is a goal cut?
using System.Collections.Immutable;
using S2Attn.Spec;
using S2Attn.Spec.Claims;

namespace S2Attn.Conformance.Proofs;

/// <summary>Help for a goal. Instances of proved lemmas and cuts into exhaustive cases cannot make a false goal provable.</summary>
/// <param name="Products">Whether the lemmas about products and triangles are instantiated for every pair of them, beyond Multiples for quotients.</param>
/// <param name="Parts">Whether the conjuncts of the conclusion are shown one by one.</param>
/// <param name="Splits">Propositions by which the goal is cut into cases: each either holds or does not.</param>
/// <param name="Instances">Further instances of lemmas.</param>
public sealed record Help(bool Products, bool Parts, ImmutableArray<Prop> Splits, ImmutableArray<LemmaInstance> Instances)
{
    /// <summary>Multiples for quotients only.</summary>
    public static Help None { get; } = new(Products: false, Parts: false, [], []);

    /// <summary>The help for a claim about sizes.</summary>
    public static Help For(IClaim claim, Sizes<Term> sizes, Term x)
    {
        ArgumentNullException.ThrowIfNull(x);
        Help byRuns = new(Products: true, Parts: true, [sizes.S > 0, x > 0], []);
        return claim switch
        {
            CostOfRun => byRuns,
            CostIsVisiblePairs cost => byRuns with { Instances = JoinedRuns(cost.Mask, sizes, x) },
            CostIsAtMost cost => None with { Instances = PairBounds(cost.Mask, sizes) },
            LeakCount => None with { Products = true },
            _ => None,
        };
    }

    /// <summary>The help for a statement.</summary>
    public static Help For(IStatement claim, IReadOnlyList<Term> values)
    {
        ArgumentNullException.ThrowIfNull(values);
        return claim switch
        {
            RowStaysInside => None with { Instances = [.. Nested(values)] },
            RowsAreApart => None with { Instances = [.. Apart(values)] },
            Lemmas.MultiplesClaim => None with { Instances = [new(Lemmas.Sign, [values[1] - values[0] - values[2], values[3]])] },
            Lemmas.HalvesClaim => None with { Splits = [Term.Equal(values[0], 2 * (values[0] / 2)), Term.Equal(values[0], 2 * (values[0] / 2) + 1)], Instances = [.. Halved(values[0])] },
            Lemmas.TriangleSumClaim => None with
            {
                Instances = [.. values.Select(value => new LemmaInstance(Lemmas.Halves, [value])), new(Lemmas.SquareSum, [.. values])],
            },
            KvHeadIsShared => None with { Instances = [.. Shared(values)] },
            _ => None,
        };
    }

    /// <summary>A head's visible pairs are at most N G: the parts of N that the closed form counts, each times at most G.</summary>
    public static ImmutableArray<LemmaInstance> PairBounds(MaskPolicy mask, Sizes<Term> sizes)
    {
        (Term n, Term g, Term s) = (sizes.N, sizes.G, sizes.S);
        Term whole = mask.CutsWrappedRun() ? (n - s) / g : n / g;
        Term rest = mask.CutsWrappedRun() ? n - s - whole * g : n - whole * g;
        Term ofGroup = mask.IsCausal() ? g * (g + 1) / 2 : g * g;
        IEnumerable<Term> sides = mask.IsCausal() ? [s, g, rest] : [];
        return
        [
            .. sides.Select(side => new LemmaInstance(Lemmas.Halves, [side])),
            new(Lemmas.Multiples, [1, g, 0, g]),
            new(Lemmas.Multiples, [0, whole, 0, g]),
            new(Lemmas.Multiples, [0, whole, 0, ofGroup]),
            new(Lemmas.Sign, [g - s, s]),
            new(Lemmas.Sign, [g - s - 1, s]),
            new(Lemmas.Sign, [g - rest, rest]),
            new(Lemmas.Sign, [g - rest - 1, rest]),
            new(Lemmas.Sign, [s, s]),
            new(Lemmas.Sign, [rest, rest]),
            new(Lemmas.Sign, [whole, g * g - ofGroup]),
            new(Lemmas.Sign, [whole, ofGroup]),
            new(Lemmas.Sign, [int.MaxValue - n, g]),
            new(Lemmas.Sign, [n - s - whole * g, g]),
        ];
    }

    // The wrapped run and the run that it joins make one group of G tokens.
    private static ImmutableArray<LemmaInstance> JoinedRuns(MaskPolicy mask, Sizes<Term> sizes, Term x)
    {
        Term first = Segments.Run<Term, Prop>(mask, sizes.N, sizes.G, sizes.S, 0).Length;
        Term last = Segments.Run<Term, Prop>(mask, sizes.N, sizes.G, sizes.S, x).Length;
        return mask switch
        {
            MaskPolicy.LocalCausal => [new(Lemmas.TriangleSum, [first, last, sizes.G])],
            MaskPolicy.PositionCausal => [new(Lemmas.TriangleSum, [last, first, sizes.G])],
            MaskPolicy.Bidirectional => [new(Lemmas.SquareSum, [first, last, sizes.G])],
            _ => [],
        };
    }

    private static IEnumerable<LemmaInstance> Nested(IReadOnlyList<Term> values)
    {
        (Term batch, Term tokens, Term heads, Term headDim) = (values[0], values[1], values[2], values[3]);
        (Term b, Term t, Term h) = (values[4], values[5], values[6]);
        Term token = b * tokens + t, head = token * heads + h;
        (Term Low, Term High, Term Length)[] levels = [(b, batch, tokens), (token, batch * tokens, heads), (head, batch * tokens * heads, headDim)];
        foreach ((Term low, Term high, Term length) in levels)
        {
            yield return new(Lemmas.Multiples, [low, high, 1, length]);
            yield return new(Lemmas.Multiples, [0, low, 0, length]);
            yield return new(Lemmas.Multiples, [1, length, 0, high]);
            yield return new(Lemmas.Multiples, [1, length, 0, low]);
        }
    }

    private static IEnumerable<LemmaInstance> Apart(IReadOnlyList<Term> values)
    {
        (Term tokens, Term heads, Term headDim) = (values[0], values[1], values[2]);
        Term early = values[3], late = values[6];
        foreach ((Term length, int next) in new[] { (tokens, 4), (heads, 5), (headDim, 5) })
        {
            yield return new(Lemmas.Multiples, [early, late, 1, length]);
            yield return new(Lemmas.Products, [early, length, late, length, 0]);
            (early, late) = (early * length + values[next], late * length + values[next + 3]);
        }
    }

    // H / K is r, because r K and (r K / K) K are multiples of K that are less than K apart; then j r and (h / r) r are multiples of r.
    private static IEnumerable<LemmaInstance> Shared(IReadOnlyList<Term> values)
    {
        (Term shared, Term kvHeads, Term h, Term j) = (values[0], values[1], values[2], values[3]);
        Term quotient = shared * kvHeads / kvHeads, kvHead = h / quotient;
        (Term A, Term B, Term Length)[] pairs =
            [(quotient, shared, kvHeads), (shared, quotient, kvHeads), (kvHead, j, shared), (j, kvHead, shared), (kvHead, kvHeads, shared), (kvHeads, kvHead, shared)];
        foreach ((Term a, Term b, Term length) in pairs)
            for (int distance = 0; distance <= 1; distance++)
                yield return new(Lemmas.Multiples, [a, b, distance, length]);
        yield return new(Lemmas.Products, [quotient, kvHead, shared, kvHead, 0]);
    }

    // a = 2m or a + 1 = 2 (m + 1), for m = a / 2.
    private static IEnumerable<LemmaInstance> Halved(Term a)
    {
        Term half = a / 2;
        yield return new(Lemmas.Products, [a, a + 1, 2 * half, a + 1, 0]);
        yield return new(Lemmas.Products, [a + 1, a, 2 * half + 2, a, 0]);
    }
}
