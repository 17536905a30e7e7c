// How many pairs are visible, and how many floating-point operations do they cost?
using S2Attn.Spec.Algebra;

namespace S2Attn.Spec;

/// <summary>Closed forms of the work of S2-Attn. Theorems "KeysSeen", "CostOfRun" and "CostIsVisiblePairs" equate them with a count over all pairs.</summary>
public static class Costs
{
    /// <summary>Visible pairs of one head with shift s, without key padding.</summary>
    public static I VisiblePairs<I, B>(MaskPolicy mask, I n, I g, I s)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        I whole = (n - s) / g;
        I rest = n - s - whole * g;
        return mask.CutsWrappedRun()
            ? RunPairs<I, B>(mask, s) + whole * RunPairs<I, B>(mask, g) + RunPairs<I, B>(mask, rest)
            : n / g * RunPairs<I, B>(mask, g);
    }

    /// <summary>Visible pairs of the first rows of a run; of the whole run for rows = its length.</summary>
    public static I VisiblePairsOfRows<I, B>(QueryRun<I> run, I rows)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => (run.Own.Causal ? Triangle<I, B>(rows) : rows * run.Own.Length) + rows * run.Other.Length;

    /// <summary>Visible pairs of the runs before run k, for 0 &lt;= k &lt; <see cref="Segments.Count{I,B}(I,I,I)"/>.</summary>
    public static I VisiblePairsBefore<I, B>(MaskPolicy mask, I n, I g, I s, I k)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        QueryRun<I> first = Segments.Run<I, B>(mask, n, g, s, 0);
        return I.If(k > 0, VisiblePairsOfRows<I, B>(first, first.Length) + (k - 1) * RunPairs<I, B>(mask, g), 0);
    }

    /// <summary>Pairs that leak the future in one head under LocalCausal: S (G - S), and G*G/4 for even G and the default shift. Theorem "LeakCount".</summary>
    public static I LeakingPairs<I, B>(I g, I s)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => s * (g - s);

    private static I RunPairs<I, B>(MaskPolicy mask, I length)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => mask.IsCausal() ? Triangle<I, B>(length) : length * length;

    internal static I Triangle<I, B>(I length)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => length * (length + 1) / 2;

    /// <summary>Visible pairs over all batches and query heads, without key padding.</summary>
    /// <exception cref="OverflowException">The pairs leave 64 bits.</exception>
    public static long VisiblePairs(S2Config config) => checked((long)AllVisiblePairs(config));

    private static Int128 AllVisiblePairs(S2Config config)
    {
        ArgumentNullException.ThrowIfNull(config);
        Int128 pairs = 0;
        for (int head = 0; head < config.Heads; head++)
            pairs += Prefixes.VisiblePairs<Int, Bool>(config.Mask, config.IsPrefixWhole, config.Tokens, config.GroupSize, config.ShiftOf(head), config.Prefix).Value;
        return pairs * config.Batch;
    }

    /// <summary>Useful floating-point operations of the forward pass: 4 D for each visible pair (q.k and p v, a multiply and an add each).</summary>
    public static double ForwardFlops(S2Config config)
    {
        ArgumentNullException.ThrowIfNull(config);
        return 4.0 * config.HeadDim * (double)AllVisiblePairs(config);
    }

    /// <summary>Useful floating-point operations of the backward pass: 10 D for each visible pair (q.k again, do.v, and dq, dk, dv).</summary>
    public static double BackwardFlops(S2Config config)
    {
        ArgumentNullException.ThrowIfNull(config);
        return 10.0 * config.HeadDim * (double)AllVisiblePairs(config);
    }
}
