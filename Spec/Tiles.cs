// How much of a rectangle of (query, key) pairs is visible: nothing, all, or a part?
using S2Attn.Spec.Algebra;

namespace S2Attn.Spec;

/// <summary>What a tile of a key segment holds.</summary>
public enum TileKind
{
    /// <summary>No pair is visible: the tile costs nothing.</summary>
    Empty,

    /// <summary>Every pair is visible: no mask is applied.</summary>
    Full,

    /// <summary>The diagonal crosses the tile.</summary>
    Partial,
}

/// <summary>
/// Classification of the tile of queries [t, t + rows) and keys [u, u + columns) inside one <see cref="KeySegment{I}"/>, rows, columns &gt;= 1.
/// A causal segment is visible at (t, u) exactly where u &lt;= t.
/// </summary>
public static class Tiles
{
    /// <summary>No pair of the tile is visible.</summary>
    public static B IsEmpty<I, B>(bool causal, I t, I rows, I u)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => causal ? u > t + rows - 1 : B.Of(false);

    /// <summary>Every pair of the tile is visible.</summary>
    public static B IsFull<I, B>(bool causal, I t, I u, I columns)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => causal ? u + columns - 1 <= t : B.Of(true);

    /// <summary>The kind of a tile with the given first query and key.</summary>
    public static TileKind Classify(bool causal, int t, int rows, int u, int columns) =>
        IsEmpty<Int, Bool>(causal, t, rows, u) ? TileKind.Empty
        : IsFull<Int, Bool>(causal, t, u, columns) ? TileKind.Full
        : TileKind.Partial;
}
