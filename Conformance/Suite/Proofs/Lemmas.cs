// Which facts about integers do the solvers need to be told? Each is itself a proved obligation.
using System.Collections.Immutable;
using S2Attn.Spec.Algebra;
using S2Attn.Spec.Claims;

namespace S2Attn.Conformance.Proofs;

/// <summary>
/// Facts about products that solvers do not find by themselves when factors are unknown. They are proved for all integers once; theorems
/// assert instances of them, which leaves little more than linear arithmetic to do.
/// </summary>
public static class Lemmas
{
    /// <summary>What multiplication is to the order of the integers.</summary>
    public static Statement Sign { get; } = new("Sign", "0 <= a b", "0 <= a, 0 <= b", ["a", "b"], new SignClaim());

    /// <summary>Multiples of g keep their distance: the uniqueness of a quotient follows from it.</summary>
    public static Statement Multiples { get; } = new("Multiples", "a g + c g <= b g", "g >= 1, a + c <= b", ["a", "b", "c", "g"], new MultiplesClaim());

    /// <summary>Equal factors give equal products, and a factor more by k gives a product more by k times the other.</summary>
    public static Statement Products { get; } = new("Products", "c d = a b + k b", "c = a + k, d = b", ["a", "b", "c", "d", "k"], new ProductsClaim());

    /// <summary>Products with 0 and with 1.</summary>
    public static Statement Units { get; } = new("Units", "a b = 0 where a or b is 0, and a b = b where a = 1", "every a, b", ["a", "b"], new UnitsClaim());

    /// <summary>One of two neighbours is even, so that the division in a (a + 1) / 2 leaves no rest.</summary>
    public static Statement Halves { get; } = new("Halves", "2 (a (a + 1) / 2) = a a + a", "every a", ["a"], new HalvesClaim());

    /// <summary>A run of one row more costs that row more.</summary>
    public static Statement TriangleSteps { get; } =
        new("TriangleSteps", "b (b + 1) / 2 = a (a + 1) / 2, plus b where b = a + 1", "b = a or b = a + 1", ["a", "b"], new TriangleStepsClaim());

    /// <summary>Two runs in one: each triangle and the rectangle between them.</summary>
    public static Statement TriangleSum { get; } =
        new("TriangleSum", "c (c + 1) / 2 = a (a + 1) / 2 + b (b + 1) / 2 + a b", "c = a + b", ["a", "b", "c"], new TriangleSumClaim());

    /// <summary>The square of a sum.</summary>
    public static Statement SquareSum { get; } = new("SquareSum", "c c = a a + a b + b a + b b", "c = a + b", ["a", "b", "c"], new SquareSumClaim());

    /// <summary>A product does not exceed the product of the bounds.</summary>
    public static Statement Box { get; } = new("Box", "-(c d) <= a b <= c d", "-c <= a <= c, -d <= b <= d", ["a", "b", "c", "d"], new BoxClaim());

    /// <summary>All lemmas; the proof of one uses only those before it.</summary>
    public static ImmutableArray<Statement> All { get; } = [Sign, Multiples, Products, Units, Halves, TriangleSteps, SquareSum, TriangleSum, Box];

    private static I Triangle<I, B>(I a)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => a * (a + 1) / 2;

    private sealed record SignClaim : IStatement
    {
        public B Assumes<I, B>(IReadOnlyList<I> values)
            where I : IInteger<I, B>
            where B : IProposition<B>
            => values[0] >= 0 & values[1] >= 0;

        public B Holds<I, B>(IReadOnlyList<I> values)
            where I : IInteger<I, B>
            where B : IProposition<B>
            => values[0] * values[1] >= 0;
    }

    internal sealed record MultiplesClaim : IStatement
    {
        public B Assumes<I, B>(IReadOnlyList<I> values)
            where I : IInteger<I, B>
            where B : IProposition<B>
            => values[3] >= 1 & values[0] + values[2] <= values[1];

        public B Holds<I, B>(IReadOnlyList<I> values)
            where I : IInteger<I, B>
            where B : IProposition<B>
            => values[0] * values[3] + values[2] * values[3] <= values[1] * values[3];
    }

    private sealed record ProductsClaim : IStatement
    {
        public B Assumes<I, B>(IReadOnlyList<I> values)
            where I : IInteger<I, B>
            where B : IProposition<B>
            => I.Equal(values[0] + values[4], values[2]) & I.Equal(values[1], values[3]);

        public B Holds<I, B>(IReadOnlyList<I> values)
            where I : IInteger<I, B>
            where B : IProposition<B>
            => I.Equal(values[0] * values[1] + values[4] * values[1], values[2] * values[3]);
    }

    private sealed record UnitsClaim : IStatement
    {
        public B Assumes<I, B>(IReadOnlyList<I> values)
            where I : IInteger<I, B>
            where B : IProposition<B>
            => B.Of(true);

        public B Holds<I, B>(IReadOnlyList<I> values)
            where I : IInteger<I, B>
            where B : IProposition<B>
            => B.Implies(I.Equal(values[0], 0) | I.Equal(values[1], 0), I.Equal(values[0] * values[1], 0))
                & B.Implies(I.Equal(values[0], 1), I.Equal(values[0] * values[1], values[1]));
    }

    internal sealed record HalvesClaim : IStatement
    {
        public B Assumes<I, B>(IReadOnlyList<I> values)
            where I : IInteger<I, B>
            where B : IProposition<B>
            => B.Of(true);

        public B Holds<I, B>(IReadOnlyList<I> values)
            where I : IInteger<I, B>
            where B : IProposition<B>
            => I.Equal(2 * Triangle<I, B>(values[0]), values[0] * values[0] + values[0]);
    }

    private sealed record TriangleStepsClaim : IStatement
    {
        public B Assumes<I, B>(IReadOnlyList<I> values)
            where I : IInteger<I, B>
            where B : IProposition<B>
            => I.Equal(values[0], values[1]) | I.Equal(values[0] + 1, values[1]);

        public B Holds<I, B>(IReadOnlyList<I> values)
            where I : IInteger<I, B>
            where B : IProposition<B>
            => I.Equal(Triangle<I, B>(values[1]), Triangle<I, B>(values[0]) + I.If(I.Equal(values[0], values[1]), 0, values[1]));
    }

    internal sealed record TriangleSumClaim : IStatement
    {
        public B Assumes<I, B>(IReadOnlyList<I> values)
            where I : IInteger<I, B>
            where B : IProposition<B>
            => I.Equal(values[0] + values[1], values[2]);

        public B Holds<I, B>(IReadOnlyList<I> values)
            where I : IInteger<I, B>
            where B : IProposition<B>
            => I.Equal(Triangle<I, B>(values[2]), Triangle<I, B>(values[0]) + Triangle<I, B>(values[1]) + values[0] * values[1]);
    }

    private sealed record SquareSumClaim : IStatement
    {
        public B Assumes<I, B>(IReadOnlyList<I> values)
            where I : IInteger<I, B>
            where B : IProposition<B>
            => I.Equal(values[0] + values[1], values[2]);

        public B Holds<I, B>(IReadOnlyList<I> values)
            where I : IInteger<I, B>
            where B : IProposition<B>
            => I.Equal(
                values[2] * values[2],
                values[0] * values[0] + values[0] * values[1] + values[1] * values[0] + values[1] * values[1]);
    }

    private sealed record BoxClaim : IStatement
    {
        public B Assumes<I, B>(IReadOnlyList<I> values)
            where I : IInteger<I, B>
            where B : IProposition<B>
            => 0 - values[2] <= values[0] & values[0] <= values[2] & 0 - values[3] <= values[1] & values[1] <= values[3];

        public B Holds<I, B>(IReadOnlyList<I> values)
            where I : IInteger<I, B>
            where B : IProposition<B>
            => 0 - values[2] * values[3] <= values[0] * values[1] & values[0] * values[1] <= values[2] * values[3];
    }
}
