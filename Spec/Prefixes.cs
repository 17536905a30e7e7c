// Which keys at the start of the text does every query see? Attention sinks, and a prefix that is seen whole.
using S2Attn.Spec.Algebra;

namespace S2Attn.Spec;

/// <summary>
/// The first P tokens as keys of every query, beside what the mask policy shows, in heads that shift and in heads that do not. There are two kinds. Sinks are seen in the order of the text
/// where the policy is causal: query t sees u &lt; P with u &lt;= t. A prefix that is seen whole has no order: every query sees every u &lt; P, and so do those of the prefix itself, as an image in
/// front of a text. Under the bidirectional policies both are the same. P = 0 is the policy alone.
/// </summary>
public static class Prefixes
{
    /// <summary>Whether a query is kept from keys of the prefix that come after it.</summary>
    public static bool IsOrdered(MaskPolicy mask, bool isWhole) => mask.IsCausal() && !isWhole;

    /// <summary>Whether the prefix of p tokens shows key u to query t.</summary>
    public static B Sees<I, B>(MaskPolicy mask, bool isWhole, I p, I t, I u)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => IsOrdered(mask, isWhole) ? u < p & u <= t : u < p;

    /// <summary>Whether query t sees key u: the policy shows it (<see cref="Visibility"/>), or the prefix does.</summary>
    /// <param name="mask">The policy.</param>
    /// <param name="isWhole">Whether the prefix is seen whole; else it is sinks.</param>
    /// <param name="n">N, tokens.</param>
    /// <param name="g">G, group size.</param>
    /// <param name="s">S, shift; 0 where the head does not shift.</param>
    /// <param name="p">P, tokens of the prefix, 0 &lt;= P &lt;= N.</param>
    /// <param name="t">Query token in [0, N).</param>
    /// <param name="u">Key token in [0, N).</param>
    public static B Visible<I, B>(MaskPolicy mask, bool isWhole, I n, I g, I s, I p, I t, I u)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => Visible(mask, isWhole, p, Visibility.Place<I, B>(n, g, s, t), Visibility.Place<I, B>(n, g, s, u));

    /// <summary>The same for places of one head.</summary>
    public static B Visible<I, B>(MaskPolicy mask, bool isWhole, I p, in TokenPlace<I, B> query, in TokenPlace<I, B> key)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => Visibility.Visible(mask, query, key) | Sees<I, B>(mask, isWhole, p, query.Token, key.Token);

    /// <summary>Split without N: whether query t sees key u of a text of any length above both. Theorem "PrefixIsUnbounded".</summary>
    public static B Visible<I, B>(bool isWhole, I g, I s, I p, I t, I u)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => Slices.Visible<I, B>(g, s, t, u) | Sees<I, B>(MaskPolicy.Split, isWhole, p, t, u);

    /// <summary>
    /// Run k with the keys that its queries see: what they see of the prefix, the same for all of them, and what is left of Own and of Other without it. Theorem "PrefixSegments".
    /// </summary>
    public static QueryRun<I> Run<I, B>(MaskPolicy mask, bool isWhole, I n, I g, I s, I p, I k)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        // Sinks inside the run are among its own keys already.
        QueryRun<I> run = Segments.Run<I, B>(mask, n, g, s, k);
        I end = IsOrdered(mask, isWhole) ? I.Min(p, run.Start) : p;
        return run with { Own = From(run.Own), Other = From(run.Other), Prefix = new(0, end, Causal: false) };

        KeySegment<I> From(KeySegment<I> segment)
        {
            I segmentEnd = segment.Start + segment.Length, start = I.If(segment.Start < end, end, segment.Start);
            return segment with { Start = start, Length = I.If(start < segmentEnd, segmentEnd - start, 0) };
        }
    }

    /// <summary>How many keys query t sees. Theorem "PrefixKeysSeen".</summary>
    public static I KeysSeen<I, B>(MaskPolicy mask, bool isWhole, I n, I g, I s, I p, I t)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        QueryRun<I> run = Run<I, B>(mask, isWhole, n, g, s, p, Segments.RunOf<I, B>(g, s, t));
        return run.Prefix.Length + run.Other.Length + OwnSeen<I, B>(run, t);
    }

    /// <summary>How many keys of its own segment query t of a run sees: none where the prefix has them all.</summary>
    public static I OwnSeen<I, B>(QueryRun<I> run, I t)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => run.Own.Causal ? I.If(t < run.Own.Start, 0, t - run.Own.Start + 1) : run.Own.Length;

    /// <summary>
    /// How many queries see key u of a prefix through the prefix alone: of a prefix of u + 1 tokens, those to which the policy does not show it. Theorem "PrefixGain".
    /// </summary>
    public static I QueriesGained<I, B>(MaskPolicy mask, bool isWhole, I n, I g, I s, I u)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        bool isOrdered = IsOrdered(mask, isWhole);
        QueryRun<I> own = Segments.Run<I, B>(mask, n, g, s, Segments.RunOf<I, B>(g, s, u));
        I end = own.Start + own.Length, lastStart = Segments.Boundary<I, B>(g, s, Segments.Count<I, B>(n, g, s) - 1);
        I gained = isOrdered ? n - end : n - (mask.IsCausal() ? end - u : own.Length);
        if (mask is MaskPolicy.PositionCausal or MaskPolicy.Bidirectional)
            gained -= I.If(u < s, n - lastStart, 0);
        if (mask is MaskPolicy.LocalCausal or MaskPolicy.Bidirectional && !isOrdered)
            gained -= I.If(u >= lastStart, s, 0);
        return gained;
    }

    /// <summary>
    /// Visible pairs of one head with shift s and a prefix of p tokens, without key padding: those of the policy, those of the prefix, less those of both. Theorem "PrefixCost" equates each token more
    /// with <see cref="QueriesGained{I,B}"/>.
    /// </summary>
    public static I VisiblePairs<I, B>(MaskPolicy mask, bool isWhole, I n, I g, I s, I p)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        I ofPrefix = IsOrdered(mask, isWhole) ? p * n - Costs.Triangle<I, B>(p - 1) : p * n;
        return Costs.VisiblePairs<I, B>(mask, n, g, s) + ofPrefix - PairsOfBoth<I, B>(mask, isWhole, n, g, s, p);
    }

    /// <summary>How many keys of [0, t] query t or a later one needs under Split, beside a prefix of p tokens that every one needs: at most G + P. Theorem "PrefixCacheBounded".</summary>
    public static I KeysAlive<I, B>(I g, I s, I p, I t)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => Slices.KeysAlive<I, B>(g, s, t) + I.Min(p, Slices.FirstKeyNeeded<I, B>(g, s, t));

    /// <summary>
    /// The shortest range that holds every key that queries [t0, t1) see, for 0 &lt;= t0 &lt; t1 &lt;= N. Every query sees key 0 of a prefix: with one, the range begins there. Theorem "PrefixKeysNeeded".
    /// </summary>
    public static TokenRange<I> KeysNeeded<I, B>(MaskPolicy mask, bool isWhole, I n, I g, I s, I p, I t0, I t1)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        TokenRange<I> ofPolicy = Slices.KeysNeeded<I, B>(mask, n, g, s, t0, t1);
        return new(I.If(p > 0, 0, ofPolicy.Start), IsOrdered(mask, isWhole) ? ofPolicy.End : I.If(ofPolicy.End < p, p, ofPolicy.End));
    }

    /// <summary>How many keys of a prefix of p tokens the queries behind a cut after c tokens need of those before it: the first ones. Theorem "PrefixHaloSuffices".</summary>
    public static I KeysToTheRight<I, B>(I p, I cut)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => I.Min(p, cut);

    /// <summary>How many keys behind the cut the queries before it need: the rest of the prefix where no order hides it from them, so that all P tokens cross the cut, each once.</summary>
    public static I KeysToTheLeft<I, B>(MaskPolicy mask, bool isWhole, I p, I cut)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => IsOrdered(mask, isWhole) ? 0 : p - I.Min(p, cut);

    // Pairs with a key of the prefix that the policy shows and the prefix too.
    private static I PairsOfBoth<I, B>(MaskPolicy mask, bool isWhole, I n, I g, I s, I p)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        // Whole runs before that of the prefix's last token, and of that run the keys before p.
        MaskPolicy ofRuns = mask.IsCausal() ? MaskPolicy.Split : MaskPolicy.BidirectionalSplit;
        I k = Segments.RunOf<I, B>(g, s, p - 1);
        QueryRun<I> run = Segments.Run<I, B>(ofRuns, n, g, s, k);
        I keys = p - run.Start, pairs = Costs.VisiblePairsBefore<I, B>(ofRuns, n, g, s, k) + keys * run.Length - (mask.IsCausal() ? Costs.Triangle<I, B>(keys - 1) : 0);
        if (mask.CutsWrappedRun())
            return pairs;

        // The last run sees keys of the first one, and the first run those of the last one, which come after it.
        I lastStart = Segments.Boundary<I, B>(g, s, Segments.Count<I, B>(n, g, s) - 1);
        if (mask is MaskPolicy.PositionCausal or MaskPolicy.Bidirectional)
            pairs += I.If(s > 0, I.Min(p, s) * (n - lastStart), 0);
        if (mask is MaskPolicy.LocalCausal or MaskPolicy.Bidirectional && !IsOrdered(mask, isWhole))
            pairs += I.If(s > 0 & p > lastStart, (p - lastStart) * s, 0);
        return pairs;
    }
}
