// Parts that the regions of claims share.
using S2Attn.Spec.Algebra;

namespace S2Attn.Spec.Claims;

/// <summary>Regions over any algebra.</summary>
public static class Regions
{
    /// <summary>1 &lt;= G &lt;= N and 0 &lt;= S &lt; G: what every region implies.</summary>
    public static B Valid<I, B>(Sizes<I> sizes)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => sizes.G >= 1 & sizes.G <= sizes.N & sizes.S >= 0 & sizes.S < sizes.G;

    /// <summary>N = nG.</summary>
    public static B WholeGroups<I, B>(Sizes<I> sizes)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => I.Equal(IndexMaps.Ring<I, B>(sizes.N, sizes.G), sizes.N);

    /// <summary>Every N for the policies that cut the wrapped run, else N = nG.</summary>
    public static B Of<I, B>(MaskPolicy mask, Sizes<I> sizes)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => mask.CutsWrappedRun() ? B.Of(true) : WholeGroups<I, B>(sizes);

    /// <summary>G is odd.</summary>
    public static B OddGroup<I, B>(Sizes<I> sizes)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => I.Equal(sizes.G - sizes.G / 2 * 2, 1);

    /// <summary>S = G / 2 rounded down.</summary>
    public static B DefaultShift<I, B>(Sizes<I> sizes)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => I.Equal(sizes.S, sizes.G / 2);

    /// <summary>x lies in [start, start + length).</summary>
    public static B Contains<I, B>(I start, I length, I x)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => start <= x & x < start + length;
}
