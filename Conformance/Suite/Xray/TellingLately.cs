// Which rows told the last wrong explanations from a port? They mostly tell the next one too.
using System.Collections.Immutable;

namespace S2Attn.Conformance.Xray;

/// <summary>
/// A few rows, the last one first. They are asked for before all others, so that a search which holds thousands of explanations against one film looks at one or two rows of most. No answer depends on which
/// they are: threads that share one may write over each other.
/// </summary>
internal sealed class TellingLately
{
    private const int None = -1;

    private readonly int[] rows = [None, None, None, None, None, None];

    /// <summary>The rows that told lately, then all.</summary>
    /// <param name="all">All rows, in their order.</param>
    public IEnumerable<int> Before(ImmutableArray<int> all)
    {
        for (int i = 0; i < rows.Length && Volatile.Read(ref rows[i]) is var row and not None; i++)
            yield return row;
        foreach (int row in all)
            yield return row;
    }

    /// <summary>A row told one more.</summary>
    public void Add(int row)
    {
        int at = Array.IndexOf(rows, row) is >= 0 and var known ? known : rows.Length - 1;
        for (; at > 0; at--)
            Volatile.Write(ref rows[at], rows[at - 1]);
        Volatile.Write(ref rows[0], row);
    }
}
