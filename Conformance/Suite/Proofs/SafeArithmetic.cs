// Can a formula leave its bits, or divide by something not positive, for sizes that a configuration or a plan accepts?
using System.Collections.Immutable;
using S2Attn.Optimized.Kernels;
using S2Attn.Spec;
using S2Attn.Spec.Claims;

namespace S2Attn.Conformance.Proofs;

/// <summary>
/// The claim is read off the formula's own graph: every part of it, on every path, is within 64 bits, and every divisor is at least 1. It is
/// shown for every N of 32 bits, which is what a configuration holds. Sizes of blocks stay within 32 bits, for every D that a plan accepts, and are what their names say.
/// </summary>
public static class SafeArithmetic
{
    /// <summary>The formulas that the computing algebra evaluates; what they call is part of them.</summary>
    public static IEnumerable<(Goal Goal, string Statement)> Goals()
    {
        yield return Of("Token", "token(p)", MaskPolicy.Split, (sizes, x, y) => [IndexMaps.Token<Term, Prop>(sizes.N, sizes.S, x)], (sizes, x) => []);
        foreach (MaskPolicy mask in MaskPolicies.All)
        {
            yield return Of(
                $"Visible.{mask}", "visible(t, u)", mask, (sizes, x, y) => [Term.If(Visibility.Visible<Term, Prop>(mask, sizes.N, sizes.G, sizes.S, x, y), 1, 0)], (sizes, x) => []);
            yield return Of($"Run.{mask}", "the segments of run k and the keys that t sees", mask, (sizes, x, y) => RunParts(mask, sizes, x, y), (sizes, x) => []);
            yield return Of(
                $"VisiblePairs.{mask}",
                "the visible pairs of a head",
                mask,
                (sizes, x, y) => [Costs.VisiblePairs<Term, Prop>(mask, sizes.N, sizes.G, sizes.S)],
                (sizes, x) => Help.PairBounds(mask, sizes));
            foreach (bool isWhole in mask.IsCausal() ? [false, true] : new[] { true })
                yield return Of(
                    $"PrefixPairs.{mask}.{(isWhole ? "Whole" : "Sinks")}",
                    "the visible pairs of a head with a prefix of P tokens",
                    mask,
                    (sizes, p, y) => [Prefixes.VisiblePairs<Term, Prop>(mask, isWhole, sizes.N, sizes.G, sizes.S, p)],
                    (sizes, p) => [.. Help.PairBounds(mask, sizes), .. Help.PrefixPairBounds(mask, sizes, p)],
                    PrefixName);
        }

        foreach ((int rows, int columns) in RegisterBlocks)
            yield return OfBlocks(rows, columns);
        foreach (int lanes in RegisterBlocks.Select(block => block.Columns / 2).Distinct())
            yield return OfDecode(lanes);
    }

    /// <summary>Rows and columns of the register blocks of all processors.</summary>
    public static ImmutableArray<(int Rows, int Columns)> RegisterBlocks { get; } = [(8, 32), (6, 16), (8, 8), (6, 8)];

    // Of the second factor of a product, a padded vector; the first is a number of queries, keys or rows.
    private const long MostElements = 2L * BlockForms.MaxHeadDim;

    private static (Goal, string) OfBlocks(int rows, int columns)
    {
        Term.Variable headDim = new("D");
        BlockForms<Term> sizes = BlockForms.Of<Term, Prop>(headDim, rows, columns);
        Term[] buffers = [.. BlockForms.ForwardBuffers<Term, Prop>(sizes), .. BlockForms.BackwardBuffers<Term, Prop>(sizes)];
        Prop inOrder = headDim <= sizes.Depth & sizes.Depth <= sizes.Width & sizes.Width <= sizes.Stride & sizes.BackwardQueries <= sizes.ScoreStride
            & sizes.TileKeys >= rows & sizes.BackwardKeys >= rows & sizes.BackwardKeys <= sizes.TileKeys & sizes.BlockQueries >= columns & sizes.BackwardQueries >= columns & sizes.BackwardQueries <= sizes.BlockQueries;
        return Blocks(
            FormattableString.Invariant($"Blocks.{rows}x{columns}"),
            "the sizes of blocks and tiles and the buffers of both passes: no part leaves 32 bits, no divisor is below 1, and each holds what it is for",
            [headDim],
            [.. buffers, BlockForms.Floats<Term, Prop>(BlockForms.ForwardBuffers<Term, Prop>(sizes)), BlockForms.Floats<Term, Prop>(BlockForms.BackwardBuffers<Term, Prop>(sizes)), sizes.ScoreStride],
            inOrder);
    }

    private static (Goal, string) OfDecode(int lanes)
    {
        Term.Variable headDim = new("D"), rows = new("rows");
        Term[] buffers = BlockForms.DecodeBuffers<Term, Prop>(headDim, rows, lanes);
        return Blocks(
            FormattableString.Invariant($"Decode.{lanes}"),
            "the buffers of a decode item: no part leaves 32 bits, no divisor is below 1, and each holds what it is for",
            [headDim, rows],
            [.. buffers, BlockForms.Floats<Term, Prop>(buffers)],
            headDim <= buffers[6] & rows <= buffers[4]);
    }

    internal static (Goal Goal, string Statement) Blocks(string name, string statement, ImmutableArray<Term.Variable> variables, Term[] roots, Prop more)
    {
        SmtScript graph = new();
        foreach (Term root in roots)
            graph.Meet(root);
        IEnumerable<LemmaInstance> boxes = graph.Products.Select(product => new LemmaInstance(Lemmas.Box, [product.A, product.B, BlockForms.MaxDecodeRows, MostElements]));

        // A quotient is at most its dividend.
        IEnumerable<LemmaInstance> quotients = graph.Terms.OfType<Term.Quotient>().Where(quotient => quotient.B is not Term.Constant).Select(quotient => new LemmaInstance(Lemmas.Sign, [quotient, quotient.B - 1]));
        return (
            new(
                $"Fits.{name}",
                variables,
                [.. variables.Select(variable => variable.Name == "D"
                    ? ("D of a plan", 1 <= variable & variable <= BlockForms.MaxHeadDim)
                    : ("rows of a decode item", 0 <= variable & variable <= BlockForms.MaxDecodeRows))],
                more & Prop.All(graph.Terms.Select(term => IsSafe(term, int.MinValue, int.MaxValue))),
                Help.None with { Instances = [.. boxes, .. quotients] }),
            statement);
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

    private const string PrefixName = "P";

    // The first of the two values besides N, G and S is a token, or the tokens of a prefix.
    internal static (Goal Goal, string Statement) Of(
        string name, string formula, MaskPolicy mask, Func<Sizes<Term>, Term, Term, Term[]> roots, Func<Sizes<Term>, Term, ImmutableArray<LemmaInstance>> help, string first = "x")
    {
        Term.Variable[] variables = [new("N"), new("G"), new("S"), new(first), new("y")];
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
                first == PrefixName ? ("P in [0, N]", 0 <= variables[3] & variables[3] <= sizes.N) : ("x in [0, N)", Regions.Contains<Term, Prop>(0, sizes.N, variables[3])),
                ("y in [0, N)", Regions.Contains<Term, Prop>(0, sizes.N, variables[4])),
            ],
            Prop.All(graph.Terms.Select(term => IsSafe(term, long.MinValue, long.MaxValue))),
            Help.None with { Instances = [.. boxes, .. help(sizes, variables[3])] });
        return (goal, $"{formula}: no part leaves 64 bits, no divisor is below 1");
    }

    private static Prop IsSafe(Term term, long least, long most) => term switch
    {
        Term.Variable or Term.Constant => Prop.Of(true),
        Term.Quotient quotient => quotient.B >= 1 & least <= quotient & quotient <= most,
        _ => least <= term & term <= most,
    };
}
