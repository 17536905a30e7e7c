// Claims over formulas with one mistake each: the proofs must find every one.
using S2Attn.Spec;
using S2Attn.Spec.Algebra;
using S2Attn.Spec.Claims;

namespace S2Attn.Tests.Proofs;

/// <summary>Claims that would hold of the right formula, stated of a wrong one.</summary>
public static class Mutants
{
    public static TheoryData<string> Names => [.. All.Select(theorem => theorem.Name)];

    private static IReadOnlyList<Theorem> All { get; } =
    [
        Of("Position_rolls_one_too_far", new WrongPosition()),
        Of("Group_counts_from_the_unrolled_token", new UnrolledGroup()),
        Of("Split_forgets_the_run", new SplitWithoutRun()),
        Of("Leak_is_one_key_wider", new WiderLeak()),
        Of("Last_run_is_one_token_short", new ShortLastRun()),
        Of("Cost_forgets_the_diagonal", new CostWithoutDiagonal()),
        Of("Whole_groups_are_forgotten", new AnyN()),
    ];

    public static Theorem Named(string name) => All.Single(theorem => theorem.Name == name);

    private static Theorem Of(string name, IClaim claim) => new(name, 0, name, "every N, 1 <= G <= N, 0 <= S < G", IsTrue: true, claim);

    private sealed record WrongPosition : IClaim
    {
        public B Region<I, B>(Sizes<I> sizes)
            where I : IInteger<I, B>
            where B : IProposition<B>
            => Regions.Valid<I, B>(sizes);

        public B Holds<I, B>(Sizes<I> sizes, I x, I y)
            where I : IInteger<I, B>
            where B : IProposition<B>
        {
            I position = I.If(x > sizes.S, x - sizes.S, x - sizes.S + sizes.N);
            return I.Equal(IndexMaps.Token<I, B>(sizes.N, sizes.S, position), x) & position < sizes.N;
        }
    }

    private sealed record UnrolledGroup : IClaim
    {
        public B Region<I, B>(Sizes<I> sizes)
            where I : IInteger<I, B>
            where B : IProposition<B>
            => Regions.Valid<I, B>(sizes) & Regions.WholeGroups<I, B>(sizes);

        public B Holds<I, B>(Sizes<I> sizes, I x, I y)
            where I : IInteger<I, B>
            where B : IProposition<B>
            => B.Iff(
                I.Equal(x / sizes.G, y / sizes.G),
                Visibility.Visible<I, B>(MaskPolicy.Bidirectional, sizes.N, sizes.G, sizes.S, x, y));
    }

    private sealed record SplitWithoutRun : IClaim
    {
        public B Region<I, B>(Sizes<I> sizes)
            where I : IInteger<I, B>
            where B : IProposition<B>
            => Regions.Valid<I, B>(sizes) & Regions.WholeGroups<I, B>(sizes);

        public B Holds<I, B>(Sizes<I> sizes, I x, I y)
            where I : IInteger<I, B>
            where B : IProposition<B>
        {
            B split = I.Equal(IndexMaps.Group<I, B>(sizes.N, sizes.G, sizes.S, x), IndexMaps.Group<I, B>(sizes.N, sizes.G, sizes.S, y)) & y <= x;
            I start = I.If(x < sizes.S, 0, sizes.S + (x - sizes.S) / sizes.G * sizes.G);
            return B.Iff(split, start <= y & y <= x);
        }
    }

    private sealed record WiderLeak : IClaim
    {
        public B Region<I, B>(Sizes<I> sizes)
            where I : IInteger<I, B>
            where B : IProposition<B>
            => Regions.Valid<I, B>(sizes) & Regions.WholeGroups<I, B>(sizes);

        public B Holds<I, B>(Sizes<I> sizes, I x, I y)
            where I : IInteger<I, B>
            where B : IProposition<B>
            => B.Iff(
                Visibility.Visible<I, B>(MaskPolicy.LocalCausal, sizes.N, sizes.G, sizes.S, x, y) & y > x,
                x < sizes.S & y >= sizes.N - sizes.G + sizes.S - 1);
    }

    private sealed record ShortLastRun : IClaim
    {
        public B Region<I, B>(Sizes<I> sizes)
            where I : IInteger<I, B>
            where B : IProposition<B>
            => Regions.Valid<I, B>(sizes);

        public B Holds<I, B>(Sizes<I> sizes, I x, I y)
            where I : IInteger<I, B>
            where B : IProposition<B>
        {
            I start = Segments.Boundary<I, B>(sizes.G, sizes.S, Segments.RunOf<I, B>(sizes.G, sizes.S, x));
            I end = Segments.Boundary<I, B>(sizes.G, sizes.S, Segments.RunOf<I, B>(sizes.G, sizes.S, x) + 1);
            return Regions.Contains<I, B>(start, I.Min(end, sizes.N - 1) - start, x);
        }
    }

    private sealed record CostWithoutDiagonal : IClaim
    {
        public B Region<I, B>(Sizes<I> sizes)
            where I : IInteger<I, B>
            where B : IProposition<B>
            => Regions.Valid<I, B>(sizes) & Regions.WholeGroups<I, B>(sizes);

        public B Holds<I, B>(Sizes<I> sizes, I x, I y)
            where I : IInteger<I, B>
            where B : IProposition<B>
            => I.Equal(
                Costs.VisiblePairs<I, B>(MaskPolicy.PositionCausal, sizes.N, sizes.G, sizes.S),
                sizes.N / sizes.G * (sizes.G * (sizes.G - 1) / 2));
    }

    private sealed record AnyN : IClaim
    {
        public B Region<I, B>(Sizes<I> sizes)
            where I : IInteger<I, B>
            where B : IProposition<B>
            => Regions.Valid<I, B>(sizes);

        public B Holds<I, B>(Sizes<I> sizes, I x, I y)
            where I : IInteger<I, B>
            where B : IProposition<B>
            => new SegmentsAreVisibility(MaskPolicy.LocalCausal).Holds<I, B>(sizes, x, y);
    }

    /// <summary>A claim whose region nothing meets.</summary>
    public sealed record EmptyRegion : IClaim
    {
        /// <inheritdoc/>
        public B Region<I, B>(Sizes<I> sizes)
            where I : IInteger<I, B>
            where B : IProposition<B>
            => Regions.Valid<I, B>(sizes) & sizes.S > sizes.N;

        /// <inheritdoc/>
        public B Holds<I, B>(Sizes<I> sizes, I x, I y)
            where I : IInteger<I, B>
            where B : IProposition<B>
            => x < y;
    }

    /// <summary>What a translation that lost its way would give: true where integers compute it, false where a solver reads it.</summary>
    public sealed record TrueWhereComputed : IClaim
    {
        /// <inheritdoc/>
        public B Region<I, B>(Sizes<I> sizes)
            where I : IInteger<I, B>
            where B : IProposition<B>
            => Regions.Valid<I, B>(sizes);

        /// <inheritdoc/>
        public B Holds<I, B>(Sizes<I> sizes, I x, I y)
            where I : IInteger<I, B>
            where B : IProposition<B>
            => typeof(I) == typeof(Int) ? y >= 0 : y < 0;
    }

    /// <summary>False for every quotient that one may choose for a division by 0.</summary>
    public sealed record DividesByZero : IClaim
    {
        /// <inheritdoc/>
        public B Region<I, B>(Sizes<I> sizes)
            where I : IInteger<I, B>
            where B : IProposition<B>
            => Regions.Valid<I, B>(sizes);

        /// <inheritdoc/>
        public B Holds<I, B>(Sizes<I> sizes, I x, I y)
            where I : IInteger<I, B>
            where B : IProposition<B>
            => x / 0 < x / 0;
    }
}
