// Where does a token stand after the shift, and in which group?
using S2Attn.Spec.Algebra;

namespace S2Attn.Spec;

/// <summary>The index maps of S2-Attn (LongLoRA, arXiv 2309.12307, Algorithm 1), for tokens and positions in [0, N) and 0 &lt;= S &lt; N.</summary>
/// <remarks>A head that does not shift has S = 0. Theorem 1: <see cref="Position"/> and <see cref="Token"/> invert each other.</remarks>
public static class IndexMaps
{
    /// <summary>position(t) = (t - S) mod N: where roll(-S) puts token t.</summary>
    public static I Position<I, B>(I n, I s, I t)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => I.If(t >= s, t - s, t - s + n);

    /// <summary>token(p) = (p + S) mod N: which token roll(-S) puts at position p.</summary>
    public static I Token<I, B>(I n, I s, I p)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => I.If(p + s < n, p + s, p + s - n);

    /// <summary>
    /// The length of the ring that is rolled: N rounded up to whole groups. The pads of a ragged N are never visible, so that
    /// the wrapped run stays one segment [0, S) for every N.
    /// </summary>
    public static I Ring<I, B>(I n, I g)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => (n + g - 1) / g * g;

    /// <summary>group(t) = position(t) / G on the ring.</summary>
    public static I Group<I, B>(I n, I g, I s, I t)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => Position<I, B>(Ring<I, B>(n, g), s, t) / g;

    /// <summary>run(t) = t &gt;= S: false on the wrapped run, the S tokens that the roll brings behind the last token.</summary>
    public static B Run<I, B>(I s, I t)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => t >= s;

    /// <summary>The kv head that query head h reads: h / (H / K), for K that divides H.</summary>
    public static I KvHead<I, B>(I heads, I kvHeads, I h)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => h / (heads / kvHeads);
}
