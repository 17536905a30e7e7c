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
    /// <summary>Whether the instances say all of products that the proof needs: the question is linear then, and a solver does not look for other facts about them.</summary>
    public bool AnyProduct { get; init; }

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
            CostOfShift => None with { Products = true, Parts = true, Splits = [sizes.S > 0], Instances = CutRun(sizes) },
            LeakRound => None with { Parts = true, Splits = [Term.Equal(x, x / 2 * 2)], Instances = [.. Around(sizes, x)] },
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
            GridIsItsAxes grid when grid.Mask.IsCausal() => None with { Instances = [.. Rastered(grid.Mask, values)] },
            GridWindowsAreVisibility grid when grid.Mask.IsCausal() => None with { Instances = [.. Rastered(grid.Mask, values)] },
            GridNeverSeesTheFuture grid => None with { Instances = [.. Rastered(grid.Mask, values)] },
            KvHeadIsShared => None with { Instances = [.. Shared(values)] },
            PrefixCost cost => PrefixStep(cost.Mask, values),
            PhaseOfHead => None with { Parts = true, Instances = [.. Phase(values[0], values[1], values[2], values[3])] },
            PhaseBorders => None with { Parts = true, Instances = [.. PhaseBorder(values[0], values[1], values[2], values[3])] },
            BordersSpan => None with { Parts = true, Instances = [.. Span(values[0], values[1], values[2], values[3])] },
            PhaseReach => ReachOfPhase(values[0], values[1], values[2], values[3], isMet: false),
            PhaseReachIsMet => ReachOfPhase(values[0], values[1], values[2], values[3], isMet: true),
            BordersAreApart => None with { Instances = Apart(Phases.Index<Term, Prop>(values[0], values[1], Phases.Border<Term, Prop>(values[0], values[1], values[2])), values[2], values[0]) },
            RotatedPhasesReach => None with { Parts = true, Instances = [.. Rotated(values[0], values[1])] },
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

    /// <summary>A prefix adds at most P N pairs; of those that the policy shows too there are at most P G in runs, and twice S (G - S) through the wrap.</summary>
    public static ImmutableArray<LemmaInstance> PrefixPairBounds(MaskPolicy mask, Sizes<Term> sizes, Term p)
    {
        (Term n, Term g, Term s) = (sizes.N, sizes.G, sizes.S);
        MaskPolicy ofRuns = mask.IsCausal() ? MaskPolicy.Split : MaskPolicy.BidirectionalSplit;
        Term k = Segments.RunOf<Term, Prop>(g, s, p - 1), lastStart = Segments.Boundary<Term, Prop>(g, s, Segments.Count<Term, Prop>(n, g, s) - 1);
        QueryRun<Term> first = Segments.Run<Term, Prop>(ofRuns, n, g, s, 0), run = Segments.Run<Term, Prop>(ofRuns, n, g, s, k);
        Term keys = p - run.Start, whole = k - 1, ofGroup = mask.IsCausal() ? g * (g + 1) / 2 : g * g, least = Term.If(p <= s, p, s), last = n - lastStart;
        return
        [
            .. new[] { p - 1, keys - 1, first.Length }.Select(side => new LemmaInstance(Lemmas.Halves, [side])),
            new(Lemmas.Sign, [int.MaxValue - n, p]),
            new(Lemmas.Sign, [p - 1, p]),
            new(Lemmas.Units, [p - 1, p]),
            new(Lemmas.Sign, [keys - 1, keys]),
            new(Lemmas.Units, [keys - 1, keys]),
            new(Lemmas.Sign, [keys, run.Length]),
            new(Lemmas.Sign, [keys, g - run.Length]),
            new(Lemmas.Sign, [first.Length, first.Length]),
            new(Lemmas.Sign, [first.Length - 1, first.Length]),
            new(Lemmas.Sign, [g - first.Length, first.Length]),
            new(Lemmas.Sign, [whole, ofGroup]),
            new(Lemmas.Sign, [whole, g * g - ofGroup]),
            new(Lemmas.Sign, [p - first.Length - whole * g, g]),
            new(Lemmas.Sign, [n - p, g]),
            new(Lemmas.Sign, [s, g - s]),
            new(Lemmas.Sign, [last, least]),
            new(Lemmas.Sign, [g - s - last, s]),
            new(Lemmas.Sign, [s - least, last]),
            new(Lemmas.Sign, [p - lastStart, s]),
            new(Lemmas.Sign, [n - p, s]),
            new(Lemmas.Sign, [g - 2 * s, g - 2 * s]),
            new(Lemmas.Sign, [2 * s - g, 2 * s - g]),
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

    // Indices in raster order are compared axis by axis: a place more on a slow axis outweighs all of the faster ones.
    private static IEnumerable<LemmaInstance> Rastered(MaskPolicy mask, IReadOnlyList<Term> values)
    {
        // N, G, S, t, u of each axis.
        const int Fields = 5;
        Term Place(int axis, int which) => mask is MaskPolicy.LocalCausal
            ? IndexMaps.Position<Term, Prop>(IndexMaps.Ring<Term, Prop>(values[axis * Fields], values[axis * Fields + 1]), values[axis * Fields + 2], values[axis * Fields + which])
            : values[axis * Fields + which];
        (Term t, Term u) = (Place(0, 3), Place(0, 4));
        for (int axis = 1; axis < values.Count / Fields; axis++)
        {
            Term tokens = values[axis * Fields];
            foreach ((Term a, Term b) in new[] { (t, u), (u, t) })
                for (int distance = 0; distance <= 1; distance++)
                    yield return new(Lemmas.Multiples, [a, b, distance, tokens]);
            (t, u) = (t * tokens + Place(axis, 3), u * tokens + Place(axis, 4));
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

    // A token more stays in the run of the prefix's last token, or begins the next one, where all of the run before is in the prefix.
    private static Help PrefixStep(MaskPolicy mask, IReadOnlyList<Term> values)
    {
        (Term n, Term g, Term s, Term p) = (values[0], values[1], values[2], values[3]);

        // As the claim writes it: the last of P + 1 tokens.
        Term before = Segments.RunOf<Term, Prop>(g, s, p - 1), at = Segments.RunOf<Term, Prop>(g, s, p + 1 - 1), lastStart = Segments.Boundary<Term, Prop>(g, s, Segments.Count<Term, Prop>(n, g, s) - 1);
        MaskPolicy ofRuns = mask.IsCausal() ? MaskPolicy.Split : MaskPolicy.BidirectionalSplit;
        QueryRun<Term> first = Segments.Run<Term, Prop>(ofRuns, n, g, s, 0), run = Segments.Run<Term, Prop>(ofRuns, n, g, s, before), next = Segments.Run<Term, Prop>(ofRuns, n, g, s, at);
        Term keys = p - run.Start, more = p + 1 - next.Start, ofGroup = mask.IsCausal() ? g * (g + 1) / 2 : g * g, least = Term.If(p <= s, p, s), leastOfMore = Term.If(p + 1 <= s, p + 1, s), last = n - lastStart;
        return None with
        {
            AnyProduct = true,
            Parts = true,
            Splits = [s > 0, Term.Equal(before, at), before > 0],
            Instances =
            [
                .. Vanishing(0),
                .. Vanishing(p),
                .. Vanishing(p + 1),
                new(Lemmas.Products, [p, n, p + 1, n, 1]),
                new(Lemmas.Products, [keys, run.Length, more, next.Length, 1]),
                new(Lemmas.Products, [keys, run.Length, run.Length, run.Length, 0]),
                new(Lemmas.Products, [keys, run.Length, g, g, 0]),
                new(Lemmas.Products, [keys, run.Length, first.Length, first.Length, 0]),
                new(Lemmas.Products, [before - 1, ofGroup, at - 1, ofGroup, 0]),
                new(Lemmas.Products, [before - 1, ofGroup, at - 1, ofGroup, 1]),
                new(Lemmas.Units, [at - 1, ofGroup]),
                new(Lemmas.Halves, [run.Length]),
                new(Lemmas.TriangleSteps, [keys - 1, run.Length]),
                new(Lemmas.TriangleSteps, [keys - 1, more - 1]),
                new(Lemmas.TriangleSteps, [run.Length, g]),
                new(Lemmas.TriangleSteps, [run.Length, first.Length]),
                new(Lemmas.TriangleSteps, [p - 1, p]),
                new(Lemmas.Products, [least, last, leastOfMore, last, 0]),
                new(Lemmas.Products, [least, last, leastOfMore, last, 1]),
                new(Lemmas.Products, [p - lastStart, s, p + 1 - lastStart, s, 1]),
            ],
        };

        // The products of a prefix of so many tokens, where a factor is 0 or 1.
        IEnumerable<LemmaInstance> Vanishing(Term prefix)
        {
            QueryRun<Term> of = Segments.Run<Term, Prop>(ofRuns, n, g, s, Segments.RunOf<Term, Prop>(g, s, prefix - 1));
            Term keysOf = prefix - of.Start;
            (Term A, Term B)[] products = [(prefix, n), (prefix - 1, prefix - 1 + 1), (keysOf, of.Length), (keysOf - 1, keysOf - 1 + 1), (Term.If(prefix <= s, prefix, s), last), (prefix - lastStart, s)];
            return products.Select(product => new LemmaInstance(Lemmas.Units, [product.A, product.B]));
        }
    }

    // a = 2m or a + 1 = 2 (m + 1), for m = a / 2.
    private static IEnumerable<LemmaInstance> Halved(Term a)
    {
        Term half = a / 2;
        yield return new(Lemmas.Products, [a, a + 1, 2 * half, a + 1, 0]);
        yield return new(Lemmas.Products, [a + 1, a, 2 * half + 2, a, 0]);
    }

    // The wrapped run and the run that it is cut from make one group; without a shift the first run is empty.
    private static ImmutableArray<LemmaInstance> CutRun(Sizes<Term> sizes)
    {
        (Term n, Term g, Term s) = (sizes.N, sizes.G, sizes.S);
        Term whole = (n - s) / g, rest = n - s - whole * g;
        return [new(Lemmas.TriangleSum, [s, rest, g]), new(Lemmas.Products, [s, g - s, s, rest, 0]), .. Equal(whole, n / g - 1, g * (g + 1) / 2)];
    }

    private static IEnumerable<LemmaInstance> Around(Sizes<Term> sizes, Term x)
    {
        (Term n, Term g, Term s) = (sizes.N, sizes.G, sizes.S);
        Term half = x / 2, groups = n / g, around = (x + 2 * groups) / 2, next = (x + 1) / 2, border = Reach.Border<Term, Prop>(sizes, x);
        foreach (Term factor in new[] { g, s })
        {
            foreach (LemmaInstance instance in Equal(around, half + groups, factor).Concat(Equal(next, half, factor)).Concat(Equal(next, half + 1, factor)))
                yield return instance;
            foreach (LemmaInstance instance in Equal(x, 2 * half, factor).Concat(Equal(x, 2 * half + 1, factor)))
                yield return instance;
        }

        foreach (LemmaInstance instance in Apart(border / g, half, g))
            yield return instance;
    }

    // h < q and q P <= i H exclude each other as r < i and r H <= P (h + 1) - 1 do.
    private static IEnumerable<LemmaInstance> Phase(Term heads, Term phases, Term h, Term i)
    {
        Term quotient = i * heads / phases, phase = Phases.OfHead<Term, Prop>(heads, phases, h);
        return
        [
            .. Apart(quotient, h, phases),
            .. Apart(i, phase, heads),
            new(Lemmas.Multiples, [quotient, h, 0, phases]),
            new(Lemmas.Multiples, [i, phase, 0, heads]),
            new(Lemmas.Multiples, [h, heads, 1, phases]),
            new(Lemmas.Multiples, [phases, phase, 0, heads]),
        ];
    }

    private static IEnumerable<LemmaInstance> PhaseBorder(Term g, Term phases, Term j, Term p)
    {
        Term shift = Phases.Shift<Term, Prop>(g, phases, p), border = Phases.Border<Term, Prop>(g, phases, j * phases + p);
        return
        [
            .. Apart(border, j * g + shift, phases),
            new(Lemmas.Multiples, [shift, 0, 1, phases]),
            new(Lemmas.Multiples, [g, shift, 0, phases]),
            new(Lemmas.Multiples, [p, phases, 1, g]),
            new(Lemmas.Sign, [p, g]),
        ];
    }

    private static IEnumerable<LemmaInstance> Span(Term g, Term phases, Term x, Term y)
    {
        Term Border(Term k) => Phases.Border<Term, Prop>(g, phases, k);
        Term together = Border(x) + Border(y);
        return [new(Lemmas.Multiples, [Border(x + y), together, 1, phases]), new(Lemmas.Multiples, [together + 1, Border(x + y), 1, phases])];
    }

    // The run of t starts at border c = r P + p, for the r that makes it r G + shift; so t + 1 is at most border c + P, and Index(t) less than c + P.
    private static Help ReachOfPhase(Term g, Term phases, Term p, Term t, bool isMet)
    {
        Term shift = Phases.Shift<Term, Prop>(g, phases, p), index = Phases.Index<Term, Prop>(g, phases, t), reached = index - 1 * (phases - 1);
        Term firstEnd = Term.If(Term.Equal(shift, 0), g, shift), run = (t - firstEnd) / g, earliest = Phases.Border<Term, Prop>(g, phases, reached);
        Term next = index + 1, turn = next / phases;
        List<LemmaInstance> instances =
        [
            .. PhaseBorder(g, phases, 0, p),
            new(Lemmas.Multiples, [t + 1, shift, 0, phases]),
            new(Lemmas.Multiples, [t + 1, g, 0, phases]),
            new(Lemmas.Multiples, [p, index, 0, g]),
            new(Lemmas.Multiples, [phases, index, 0, g]),
            new(Lemmas.Multiples, [shift, t, 1, phases]),
            new(Lemmas.Multiples, [index, p, 1, g]),
            .. Apart(earliest, 0, phases),
        ];
        if (isMet)
            instances.AddRange(
            [
                new(Lemmas.Multiples, [turn, 0, 1, phases]),
                new(Lemmas.Multiples, [1, turn, 0, phases]),
                new(Lemmas.Multiples, [0, turn, 0, phases]),
                new(Lemmas.Multiples, [shift, t, 0, phases]),
                new(Lemmas.Units, [turn, phases]),
                .. Equal(p, next, g),
                .. Equal(p, next - phases, g),
            ]);
        foreach (Term r in new[] { run, run + 1 })
        {
            Term start = r * g + shift, border = r * phases + p;
            instances.AddRange(Apart(start, earliest, phases));
            instances.Add(new(Lemmas.Multiples, [reached, border, 0, g]));
            instances.Add(new(Lemmas.Multiples, [border + phases, index, 0, g]));
            instances.Add(new(Lemmas.Multiples, [t + 1, start + g, 0, phases]));
            if (isMet)
                instances.AddRange([.. Apart(r, turn - 1, g), .. Apart(r, turn - 1, phases), .. Equal(r, turn - 1, g), .. Equal(r, turn - 1, phases)]);
        }

        return None with { Splits = [shift > 0, t >= firstEnd, reached >= 0], Instances = [.. instances] };
    }

    // Where a run starts is known: the one of shift i M that holds border a G + k M is number a, or a - 1 where i > k.
    private static IEnumerable<LemmaInstance> Rotated(Term quarter, Term a)
    {
        Term g = 4 * quarter;
        for (int k = 0; k < 4; k++)
            for (int i = 0; i < 4; i++)
            {
                Term shift = i * quarter, firstEnd = Term.If(Term.Equal(shift, 0), g, shift);
                Term run = (a * g + k * quarter - firstEnd) / g;
                Term expected = a - (i > k ? 1 : 0) - (i == 0 ? 1 : 0);
                foreach (LemmaInstance instance in Apart(run, expected, g).Concat(Equal(run, expected, g)))
                    yield return instance;
            }
    }

    // a < b and b < a each put a multiple of the factor between them.
    private static ImmutableArray<LemmaInstance> Apart(Term a, Term b, Term factor) =>
        [new(Lemmas.Multiples, [a, b, 1, factor]), new(Lemmas.Multiples, [b, a, 1, factor])];

    // Where a is b, so are their products with the factor.
    private static ImmutableArray<LemmaInstance> Equal(Term a, Term b, Term factor) => [new(Lemmas.Products, [a, factor, b, factor, 0])];
}
