// May a token of an image or a video see another one? Groups and runs on each of several axes.
using S2Attn.Spec.Algebra;

namespace S2Attn.Spec;

/// <summary>One axis of a grid: N places in groups of G, shifted by S where a head shifts.</summary>
public readonly record struct GridAxis<I>(I Tokens, I GroupSize, I Shift);

/// <summary>
/// Attention over tokens on one, two or three axes, each with an N, G and S of its own: text; rows and columns of an image; frames, rows and columns of a video. Two tokens are of one
/// group, or of one run, where they are so on every axis; causal policies take tokens in raster order, the last axis fastest. One axis is <see cref="Visibility"/>;
/// BidirectionalSplit over two is the shifted window of Swin (arXiv 2103.14030).
/// </summary>
public static class Grids
{
    /// <summary>Whether a query at coordinates t sees a key at coordinates u, in a head that shifts by each axis's S (0 where it does not).</summary>
    /// <param name="mask">The policy. LocalCausal orders tokens by the raster of their shifted positions, the others by that of their coordinates.</param>
    /// <param name="axes">The axes, the slowest first.</param>
    /// <param name="t">The query's coordinates, each in [0, N) of its axis.</param>
    /// <param name="u">The key's coordinates.</param>
    public static B Visible<I, B>(MaskPolicy mask, ReadOnlySpan<GridAxis<I>> axes, ReadOnlySpan<I> t, ReadOnlySpan<I> u)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        B sameGroup = B.Of(true), sameRun = B.Of(true), notAfter = B.Of(true), notAfterInPosition = B.Of(true);
        for (int axis = axes.Length - 1; axis >= 0; axis--)
        {
            (I n, I g, I s) = (axes[axis].Tokens, axes[axis].GroupSize, axes[axis].Shift);
            I ring = IndexMaps.Ring<I, B>(n, g), from = IndexMaps.Position<I, B>(ring, s, t[axis]), to = IndexMaps.Position<I, B>(ring, s, u[axis]);
            sameGroup &= I.Equal(IndexMaps.Group<I, B>(n, g, s, t[axis]), IndexMaps.Group<I, B>(n, g, s, u[axis]));
            sameRun &= B.Iff(IndexMaps.Run<I, B>(s, t[axis]), IndexMaps.Run<I, B>(s, u[axis]));
            notAfter = u[axis] < t[axis] | (I.Equal(u[axis], t[axis]) & notAfter);
            notAfterInPosition = to < from | (I.Equal(to, from) & notAfterInPosition);
        }

        return mask switch
        {
            MaskPolicy.LocalCausal => sameGroup & notAfterInPosition,
            MaskPolicy.Split => sameGroup & sameRun & notAfter,
            MaskPolicy.PositionCausal => sameGroup & notAfter,
            MaskPolicy.Bidirectional => sameGroup,
            MaskPolicy.BidirectionalSplit => sameGroup & sameRun,
            _ => throw new ArgumentOutOfRangeException(nameof(mask), mask, "Unknown mask policy."),
        };
    }

    /// <summary>
    /// Visible pairs of a head: the product of those of the axes without causality, and for causal policies, under which each window is a triangle, half of that and of N.
    /// </summary>
    public static I VisiblePairs<I, B>(MaskPolicy mask, ReadOnlySpan<GridAxis<I>> axes)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        I squares = 1, tokens = 1;
        MaskPolicy whole = mask.CutsWrappedRun() ? MaskPolicy.BidirectionalSplit : MaskPolicy.Bidirectional;
        foreach (GridAxis<I> axis in axes)
        {
            squares *= Costs.VisiblePairs<I, B>(whole, axis.Tokens, axis.GroupSize, axis.Shift);
            tokens *= axis.Tokens;
        }

        return mask.IsCausal() ? (squares + tokens) / 2 : squares;
    }
}
