// May query t see key u?
using S2Attn.Spec.Algebra;

namespace S2Attn.Spec;

/// <summary>What of a token decides which tokens it sees, and which see it, in a head with one shift.</summary>
/// <param name="Token">The token.</param>
/// <param name="Position">Its position on the ring.</param>
/// <param name="Group">Its group.</param>
/// <param name="Run">Whether it is before the wrap of the ring (<see cref="IndexMaps.Run"/>).</param>
public readonly record struct TokenPlace<I, B>(I Token, I Position, I Group, B Run);

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
        => Visible(mask, Place<I, B>(n, g, s, t), Place<I, B>(n, g, s, u));

    /// <summary>The place of token t; see <see cref="Visible{I, B}(MaskPolicy, I, I, I, I, I)"/> for ranges.</summary>
    public static TokenPlace<I, B> Place<I, B>(I n, I g, I s, I t)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => new(t, IndexMaps.Position<I, B>(IndexMaps.Ring<I, B>(n, g), s, t), IndexMaps.Group<I, B>(n, g, s, t), IndexMaps.Run<I, B>(s, t));

    /// <summary>The same for places of one head: for many pairs, whose divisions are done once for each token.</summary>
    public static B Visible<I, B>(MaskPolicy mask, in TokenPlace<I, B> query, in TokenPlace<I, B> key)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        B sameGroup = I.Equal(query.Group, key.Group);
        B sameRun = B.Iff(query.Run, key.Run);
        B notAfterInPosition = key.Position <= query.Position;
        B notAfter = key.Token <= query.Token;
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
