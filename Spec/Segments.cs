// Which contiguous keys does a contiguous run of queries see? The closed form that a kernel iterates.
using S2Attn.Spec.Algebra;

namespace S2Attn.Spec;

/// <summary>Contiguous keys [Start, Start + Length). Where Causal, query t sees exactly those at or before t.</summary>
public readonly record struct KeySegment<I>(I Start, I Length, bool Causal);

/// <summary>
/// Queries [Start, Start + Length) that share their key segments. Own is the run itself; Other is the run that the wrap joins to it,
/// seen whole by every query of the run, or empty. The two do not overlap.
/// </summary>
public readonly record struct QueryRun<I>(I Start, I Length, KeySegment<I> Own, KeySegment<I> Other)
{
    /// <summary>What every query of the run sees of a prefix (<see cref="Prefixes"/>), whole; then neither Own nor Other has these keys. Empty where there is no prefix.</summary>
    public KeySegment<I> Prefix { get; init; }
}

/// <summary>
/// The runs of one head. They tile [0, N) in order: [0, S), [S, S+G), ..., the last one short where N is ragged; with S = 0 they are the groups.
/// Theorem "SegmentsAreVisibility" states that they cover exactly the visible pairs, each once.
/// </summary>
public static class Segments
{
    /// <summary>End of the first run: S, or G where nothing is shifted.</summary>
    private static I FirstEnd<I, B>(I g, I s)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => I.If(I.Equal(s, 0), g, s);

    /// <summary>Start of run k, for k from 0 to the number of runs.</summary>
    public static I Boundary<I, B>(I g, I s, I k)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => I.If(I.Equal(k, 0), 0, FirstEnd<I, B>(g, s) + (k - 1) * g);

    /// <summary>The run that holds token t.</summary>
    public static I RunOf<I, B>(I g, I s, I t)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        I firstEnd = FirstEnd<I, B>(g, s);
        return I.If(t < firstEnd, 0, (t - firstEnd) / g + 1);
    }

    /// <summary>How many runs N tokens make.</summary>
    public static I Count<I, B>(I n, I g, I s)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => RunOf<I, B>(g, s, n - 1) + 1;

    /// <summary>Run k with the keys that its queries see, for 0 &lt;= k &lt; <see cref="Count{I,B}(I,I,I)"/>, 0 &lt;= S &lt; G.</summary>
    public static QueryRun<I> Run<I, B>(MaskPolicy mask, I n, I g, I s, I k)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        I last = Count<I, B>(n, g, s) - 1;
        I start = Boundary<I, B>(g, s, k);
        I length = I.Min(Boundary<I, B>(g, s, k + 1), n) - start;
        I lastStart = Boundary<I, B>(g, s, last);
        B wraps = s > 0;
        B joinsLast = mask is MaskPolicy.LocalCausal or MaskPolicy.Bidirectional ? wraps & I.Equal(k, 0) : B.Of(false);
        B joinsFirst = mask is MaskPolicy.PositionCausal or MaskPolicy.Bidirectional ? wraps & I.Equal(k, last) & k > 0 : B.Of(false);
        KeySegment<I> other = new(
            I.If(joinsLast, lastStart, 0),
            I.If(joinsLast, n - lastStart, I.If(joinsFirst, s, 0)),
            Causal: false);
        return new(start, length, new(start, length, mask.IsCausal()), other) { Prefix = new(0, 0, Causal: false) };
    }

    /// <summary>How many keys query t sees.</summary>
    public static I KeysSeen<I, B>(MaskPolicy mask, I n, I g, I s, I t)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        QueryRun<I> run = Run<I, B>(mask, n, g, s, RunOf<I, B>(g, s, t));
        return (run.Own.Causal ? t - run.Start + 1 : run.Own.Length) + run.Other.Length;
    }

    /// <summary>How many segments of keys a run has at most: Own and Other, and the prefix where there is one.</summary>
    public static int OfRun(S2Config config)
    {
        ArgumentNullException.ThrowIfNull(config);
        return config.Prefix > 0 ? 3 : 2;
    }

    /// <summary>How many runs the tokens of query head <paramref name="head"/> make.</summary>
    public static int Count(S2Config config, int head)
    {
        ArgumentNullException.ThrowIfNull(config);
        return Count<Int, Bool>(config.Tokens, config.GroupSize, config.ShiftOf(head)).ToIndex();
    }

    /// <summary>Run <paramref name="k"/> of query head <paramref name="head"/>.</summary>
    public static QueryRun<int> Run(S2Config config, int head, int k)
    {
        ArgumentNullException.ThrowIfNull(config);
        return Run(config.Mask, config.Tokens, config.GroupSize, config.ShiftOf(head), config.Prefix, config.IsPrefixWhole, k);
    }

    /// <summary>Run k for plain sizes without a prefix, as for one sequence of a packed batch; see the generic form for ranges.</summary>
    public static QueryRun<int> Run(MaskPolicy mask, int tokens, int groupSize, int shift, int k) => Run(mask, tokens, groupSize, shift, prefix: 0, isPrefixWhole: false, k);

    /// <summary>Run k for plain sizes with a prefix; see <see cref="Prefixes.Run{I,B}"/>.</summary>
    public static QueryRun<int> Run(MaskPolicy mask, int tokens, int groupSize, int shift, int prefix, bool isPrefixWhole, int k)
    {
        QueryRun<Int> run = Prefixes.Run<Int, Bool>(mask, isPrefixWhole, tokens, groupSize, shift, prefix, k);
        return new(run.Start.ToIndex(), run.Length.ToIndex(), ToIndices(run.Own), ToIndices(run.Other)) { Prefix = ToIndices(run.Prefix) };
    }

    private static KeySegment<int> ToIndices(KeySegment<Int> segment) =>
        new(segment.Start.ToIndex(), segment.Length.ToIndex(), segment.Causal);
}
