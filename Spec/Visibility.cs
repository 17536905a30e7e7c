// May query t see key u?
using S2Attn.Spec.Algebra;

namespace S2Attn.Spec;

/// <summary>The definition of the masks. Everything else in the project computes this relation or is tested against it.</summary>
public static class Visibility
{
    /// <summary>Whether query t sees key u of the same sequence, in a head that shifts by s (0 where the head does not shift).</summary>
    /// <param name="mask">The policy.</param>
    /// <param name="n">N, tokens; a multiple of g unless the policy cuts the wrapped run.</param>
    /// <param name="g">G, group size, 1 &lt;= G &lt;= N.</param>
    /// <param name="s">S, shift, 0 &lt;= S &lt; N.</param>
    /// <param name="t">Query token in [0, N).</param>
    /// <param name="u">Key token in [0, N).</param>
    public static B Visible<I, B>(MaskPolicy mask, I n, I g, I s, I t, I u)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        I ring = IndexMaps.Ring<I, B>(n, g);
        B sameGroup = I.Equal(IndexMaps.Group<I, B>(n, g, s, t), IndexMaps.Group<I, B>(n, g, s, u));
        B sameRun = B.Iff(IndexMaps.Run<I, B>(s, t), IndexMaps.Run<I, B>(s, u));
        B notAfterInPosition = IndexMaps.Position<I, B>(ring, s, u) <= IndexMaps.Position<I, B>(ring, s, t);
        B notAfter = u <= t;
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

    /// <summary>Whether query t of query head h sees key u, through the policy or as one of the prefix, without key padding.</summary>
    public static bool Visible(S2Config config, int head, int t, int u)
    {
        ArgumentNullException.ThrowIfNull(config);
        return Prefixes.Visible<Int, Bool>(config.Mask, config.IsPrefixWhole, config.Tokens, config.GroupSize, config.ShiftOf(head), config.Prefix, t, u);
    }
}
