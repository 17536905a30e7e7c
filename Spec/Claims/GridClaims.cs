// Claims about tokens on several axes (theorem 13). One axis more is one conjunct more: what is proved for one axis holds on each.
using S2Attn.Spec.Algebra;

namespace S2Attn.Spec.Claims;

/// <summary>N, G, S, t, u of each of three axes: t sees u exactly where the policy without causality lets it on every axis alone, and u does not come after t in the policy's order.</summary>
public sealed record GridIsItsAxes(MaskPolicy Mask) : IStatement
{
    /// <inheritdoc/>
    public B Assumes<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => GridPoints.Valid<I, B>(Mask, GridPoints.Of(values));

    /// <inheritdoc/>
    public B Holds<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        GridPoint<I> point = GridPoints.Of(values);
        return B.Iff(
            Grids.Visible<I, B>(Mask, point.Axes, point.Query, point.Key),
            GridPoints.OnEveryAxis<I, B>(point, (axis, t, u) => Visibility.Visible<I, B>(GridPoints.Whole(Mask), axis.Tokens, axis.GroupSize, axis.Shift, t, u)) & GridPoints.IsInOrder<I, B>(Mask, point));
    }
}

/// <summary>N, G, S, t, u of each of three axes: t sees u exactly where both are of one window (one run, or one group, on every axis), and u does not come after t in the policy's order.</summary>
public sealed record GridWindowsAreVisibility(MaskPolicy Mask) : IStatement
{
    /// <inheritdoc/>
    public B Assumes<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => GridPoints.Valid<I, B>(Mask, GridPoints.Of(values));

    /// <inheritdoc/>
    public B Holds<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        GridPoint<I> point = GridPoints.Of(values);
        I WindowOf(GridAxis<I> axis, I place) => Mask.CutsWrappedRun()
            ? Segments.RunOf<I, B>(axis.GroupSize, axis.Shift, place)
            : IndexMaps.Group<I, B>(axis.Tokens, axis.GroupSize, axis.Shift, place);
        return B.Iff(
            Grids.Visible<I, B>(Mask, point.Axes, point.Query, point.Key),
            GridPoints.OnEveryAxis<I, B>(point, (axis, t, u) => I.Equal(WindowOf(axis, t), WindowOf(axis, u))) & GridPoints.IsInOrder<I, B>(Mask, point));
    }
}

/// <summary>N, G, S, t, u of each of three axes: a token that is seen does not come after the query in raster order.</summary>
public sealed record GridNeverSeesTheFuture(MaskPolicy Mask) : IStatement
{
    /// <inheritdoc/>
    public B Assumes<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => GridPoints.Valid<I, B>(Mask, GridPoints.Of(values));

    /// <inheritdoc/>
    public B Holds<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        GridPoint<I> point = GridPoints.Of(values);
        return B.Implies(Grids.Visible<I, B>(Mask, point.Axes, point.Query, point.Key), GridPoints.Raster<I, B>(point, point.Key) <= GridPoints.Raster<I, B>(point, point.Query));
    }
}

/// <summary>N, G, S, t, u of each of two axes: an axis of one token changes nothing, wherever it stands, and one axis is the text.</summary>
public sealed record GridOfFewerAxes(MaskPolicy Mask) : IStatement
{
    /// <inheritdoc/>
    public B Assumes<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => GridPoints.Valid<I, B>(Mask, GridPoints.Of(values));

    /// <inheritdoc/>
    public B Holds<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        GridPoint<I> two = GridPoints.Of(values), one = GridPoints.Of([.. values.Take(GridPoints.Fields)]);
        I[] token = [1, 1, 0, 0, 0];
        B Sees(GridPoint<I> point) => Grids.Visible<I, B>(Mask, point.Axes, point.Query, point.Key);
        B SameWithOneToken(GridPoint<I> point, IReadOnlyList<I> given) => Enumerable.Range(0, point.Axes.Length + 1).Aggregate(
            B.Of(true),
            (same, at) => same & B.Iff(Sees(point), Sees(GridPoints.Of([.. given.Take(at * GridPoints.Fields), .. token, .. given.Skip(at * GridPoints.Fields)]))));
        return SameWithOneToken(two, values)
            & SameWithOneToken(one, [.. values.Take(GridPoints.Fields)])
            & B.Iff(Sees(one), Visibility.Visible<I, B>(Mask, values[0], values[1], values[2], values[3], values[4]));
    }
}

/// <summary>False, over two axes of N places each: under LocalCausal token (x, y) sees no later token (y, x).</summary>
public sealed record GridLocalCausalNeverLeaks : IClaim
{
    /// <inheritdoc/>
    public B Region<I, B>(Sizes<I> sizes)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => Regions.Valid<I, B>(sizes) & Regions.WholeGroups<I, B>(sizes);

    /// <inheritdoc/>
    public B Holds<I, B>(Sizes<I> sizes, I x, I y)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        GridPoint<I> point = GridPoints.Square(sizes, [x, y], [y, x]);
        return B.Implies(Grids.Visible<I, B>(MaskPolicy.LocalCausal, point.Axes, point.Query, point.Key), y <= x);
    }
}

/// <summary>False, over two axes of N places each: under Split token (x, y) sees token (y, x) exactly where it does on each axis alone, causality included.</summary>
public sealed record GridIsCausalOnEveryAxis : IClaim
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
    {
        GridPoint<I> point = GridPoints.Square(sizes, [x, y], [y, x]);
        return B.Iff(
            Grids.Visible<I, B>(MaskPolicy.Split, point.Axes, point.Query, point.Key),
            GridPoints.OnEveryAxis<I, B>(point, (axis, t, u) => Visibility.Visible<I, B>(MaskPolicy.Split, axis.Tokens, axis.GroupSize, axis.Shift, t, u)));
    }
}

/// <summary>False, over two axes of N places each: under BidirectionalSplit token (x, y) sees token (y, y) wherever their groups are the same, and their runs on the last axis.</summary>
public sealed record GridRunOfTheLastAxisSuffices : IClaim
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
    {
        GridPoint<I> point = GridPoints.Square(sizes, [x, y], [y, y]);
        return B.Iff(
            Grids.Visible<I, B>(MaskPolicy.BidirectionalSplit, point.Axes, point.Query, point.Key),
            Grids.Visible<I, B>(MaskPolicy.Bidirectional, point.Axes, point.Query, point.Key)
                & Grids.Visible<I, B>(MaskPolicy.BidirectionalSplit, point.Axes.AsSpan(1), point.Query.AsSpan(1), point.Key.AsSpan(1)));
    }
}

/// <summary>Axes, and the places of a query and a key on them.</summary>
internal readonly record struct GridPoint<I>(GridAxis<I>[] Axes, I[] Query, I[] Key);

/// <summary>What the claims about grids share.</summary>
internal static class GridPoints
{
    /// <summary>N, G, S, t and u of an axis.</summary>
    public const int Fields = 5;

    public static GridPoint<I> Of<I>(IReadOnlyList<I> values)
    {
        ArgumentNullException.ThrowIfNull(values);
        int[] axes = [.. Enumerable.Range(0, values.Count / Fields).Select(axis => axis * Fields)];
        return new([.. axes.Select(at => new GridAxis<I>(values[at], values[at + 1], values[at + 2]))], [.. axes.Select(at => values[at + 3])], [.. axes.Select(at => values[at + 4])]);
    }

    /// <summary>As many axes as places, of the same sizes.</summary>
    public static GridPoint<I> Square<I>(Sizes<I> sizes, I[] query, I[] key) => new([.. query.Select(_ => new GridAxis<I>(sizes.N, sizes.G, sizes.S))], query, key);

    /// <summary>The policy without causality.</summary>
    public static MaskPolicy Whole(MaskPolicy mask) => mask.CutsWrappedRun() ? MaskPolicy.BidirectionalSplit : MaskPolicy.Bidirectional;

    /// <summary>What a configuration accepts of each axis, and places on it.</summary>
    public static B Valid<I, B>(MaskPolicy mask, GridPoint<I> point)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => OnEveryAxis<I, B>(point, (axis, t, u) =>
        {
            Sizes<I> sizes = new(axis.Tokens, axis.GroupSize, axis.Shift);
            return Regions.Valid<I, B>(sizes) & Regions.Of<I, B>(mask, sizes) & Regions.Contains<I, B>(0, sizes.N, t) & Regions.Contains<I, B>(0, sizes.N, u);
        });

    public static B OnEveryAxis<I, B>(GridPoint<I> point, Func<GridAxis<I>, I, I, B> holds)
        where B : IProposition<B>
        => Enumerable.Range(0, point.Axes.Length).Aggregate(B.Of(true), (all, axis) => all & holds(point.Axes[axis], point.Query[axis], point.Key[axis]));

    /// <summary>The index of places in raster order, the last axis fastest.</summary>
    public static I Raster<I, B>(GridPoint<I> point, I[] places)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => Enumerable.Range(1, places.Length - 1).Aggregate(places[0], (index, axis) => index * point.Axes[axis].Tokens + places[axis]);

    /// <summary>Where each axis's shift puts its place.</summary>
    public static I[] Positions<I, B>(GridPoint<I> point, I[] places)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => [.. point.Axes.Zip(places, (axis, place) => IndexMaps.Position<I, B>(IndexMaps.Ring<I, B>(axis.Tokens, axis.GroupSize), axis.Shift, place))];

    /// <summary>Whether the key does not come after the query: in raster order of the tokens, or under LocalCausal of their positions.</summary>
    public static B IsInOrder<I, B>(MaskPolicy mask, GridPoint<I> point)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        if (!mask.IsCausal())
            return B.Of(true);
        (I[] query, I[] key) = mask is MaskPolicy.LocalCausal ? (Positions<I, B>(point, point.Query), Positions<I, B>(point, point.Key)) : (point.Query, point.Key);
        return Raster<I, B>(point, key) <= Raster<I, B>(point, query);
    }
}
