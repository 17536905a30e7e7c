// Which keys does a part of a sequence need? For streaming, chunked prefill, and sequences that are cut over machines.
using S2Attn.Spec.Algebra;

namespace S2Attn.Spec;

/// <summary>Tokens [Start, End) of a sequence.</summary>
public readonly record struct TokenRange<I>(I Start, I End);

/// <summary>
/// What queries [t0, t1) of a sequence need of its keys. Under Split nothing here depends on N: the text may still grow. Theorems "PrefixStable", "CacheBounded",
/// "SlicesCompose", "KeysNeeded", "HaloSuffices" and "HaloIsNeeded" say what these formulas are good for.
/// </summary>
public static class Slices
{
    /// <summary>Whether what a query sees does not depend on how long the text gets. Theorem "PrefixStable", false for every other policy.</summary>
    public static bool IsPrefixStable(this MaskPolicy mask) => mask is MaskPolicy.Split;

    /// <summary>Split without N: whether query t sees key u of a text of any length above both. Theorem "SplitIsUnbounded".</summary>
    public static B Visible<I, B>(I g, I s, I t, I u)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => I.Equal(Segments.RunOf<I, B>(g, s, t), Segments.RunOf<I, B>(g, s, u)) & u <= t;

    /// <summary>The first key that query t, or any query after it, sees under Split: where the run of t starts.</summary>
    public static I FirstKeyNeeded<I, B>(I g, I s, I t)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => Segments.Boundary<I, B>(g, s, Segments.RunOf<I, B>(g, s, t));

    /// <summary>How many keys of [0, t] query t or a later one needs: what a cache must keep. At most G, whatever N is.</summary>
    public static I KeysAlive<I, B>(I g, I s, I t)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => t + 1 - FirstKeyNeeded<I, B>(g, s, t);

    /// <summary>How many keys before a cut at a multiple of G the queries behind the cut need under Split: G - S, none where the head does not shift.</summary>
    public static I Halo<I, B>(I g, I s)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => I.If(s > 0, g - s, 0);

    /// <summary>The shortest range that holds every key that queries [t0, t1) see, for 0 &lt;= t0 &lt; t1 &lt;= N.</summary>
    public static TokenRange<I> KeysNeeded<I, B>(MaskPolicy mask, I n, I g, I s, I t0, I t1)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        QueryRun<I> first = Segments.Run<I, B>(mask, n, g, s, Segments.RunOf<I, B>(g, s, t0));
        QueryRun<I> last = Segments.Run<I, B>(mask, n, g, s, Segments.RunOf<I, B>(g, s, t1 - 1));

        // Only the first run sees the last one, and only the last run the first one.
        B lastSeesBefore = last.Other.Length > 0 & last.Other.Start < first.Start;
        I ownEnd = mask.IsCausal() ? t1 : last.Start + last.Length, otherEnd = first.Other.Start + first.Other.Length;
        return new(I.If(lastSeesBefore, last.Other.Start, first.Start), I.If(first.Other.Length > 0 & otherEnd > ownEnd, otherEnd, ownEnd));
    }

    /// <summary>
    /// The first key that queries from t on need under Split in any head that reads one kv head, which a query head may read shifted and another unshifted; beside a prefix, of which every one is needed.
    /// </summary>
    public static int FirstKeyNeeded(S2Config config, int kvHead, int t)
    {
        ArgumentNullException.ThrowIfNull(config);
        return HeadsOf(config, kvHead).Min(head => FirstKeyNeeded<Int, Bool>(config.GroupSize, config.ShiftOf(head), t).ToIndex());
    }

    /// <summary>The keys that queries [firstQuery, endQuery) need in any head: from 0 on where there is a prefix.</summary>
    public static TokenRange<int> KeysNeeded(S2Config config, int firstQuery, int endQuery)
    {
        ArgumentNullException.ThrowIfNull(config);
        TokenRange<Int>[] ranges =
        [
            .. Enumerable.Range(0, config.Heads).Select(config.ShiftOf).Distinct()
                .Select(shift => Prefixes.KeysNeeded<Int, Bool>(config.Mask, config.IsPrefixWhole, config.Tokens, config.GroupSize, shift, config.Prefix, firstQuery, endQuery)),
        ];
        return new(ranges.Min(range => range.Start.ToIndex()), ranges.Max(range => range.End.ToIndex()));
    }

    /// <summary>
    /// Elements of keys and values that cross one cut at a multiple of G under Split, forward; the backward pass sends as many back. B (G - S) 2 D for each kv head, with the smallest S of the
    /// shifted heads that read it: neither N nor the number of cuts occurs in it. A prefix crosses it once more: B P 2 D elements for each kv head (<see cref="Prefixes.KeysToTheRight"/>; of sinks less, where the cut is before their end).
    /// </summary>
    public static long TrafficOfCut(S2Config config)
    {
        ArgumentNullException.ThrowIfNull(config);
        long rows = Enumerable.Range(0, config.KvHeads).Sum(kvHead => HeadsOf(config, kvHead).Max(head => Halo<Int, Bool>(config.GroupSize, config.ShiftOf(head)).Value));
        return checked(2L * config.Batch * (rows + (long)config.KvHeads * config.Prefix) * config.HeadDim);
    }

    private static IEnumerable<int> HeadsOf(S2Config config, int kvHead) => Enumerable.Range(0, config.Heads).Where(head => config.KvHeadOf(head) == kvHead);
}
