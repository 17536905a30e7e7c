// What a kernel relies on: tiles hold what their kind says, and rows lie inside the tensor, apart from each other.
using S2Attn.Spec.Algebra;

namespace S2Attn.Spec.Claims;

/// <summary>t, rows, u, columns, i, j: pair (t + i, u + j) of a tile is visible as its kind says, and no kind says less than it could.</summary>
public sealed record TileKindIsExact(bool Causal) : IStatement
{
    /// <inheritdoc/>
    public B Assumes<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        ArgumentNullException.ThrowIfNull(values);
        return values[0] >= 0 & values[2] >= 0 & Regions.Contains<I, B>(0, values[1], values[4]) & Regions.Contains<I, B>(0, values[3], values[5]);
    }

    /// <inheritdoc/>
    public B Holds<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        ArgumentNullException.ThrowIfNull(values);
        (I t, I rows, I u, I columns, I i, I j) = (values[0], values[1], values[2], values[3], values[4], values[5]);
        B Visible(I row, I column) => Causal ? u + column <= t + row : B.Of(true);
        B isEmpty = Tiles.IsEmpty<I, B>(Causal, t, rows, u);
        B isFull = Tiles.IsFull<I, B>(Causal, t, u, columns);
        return B.Implies(isEmpty, !Visible(i, j))
            & B.Implies(isFull, Visible(i, j))
            & B.Implies(!isEmpty, Visible(rows - 1, 0))
            & B.Implies(!isFull, !Visible(0, columns - 1));
    }
}

/// <summary>B, N, H, D, b, t, h: every partial result of a row's offset is in [0, B N H D], and so is the row's end.</summary>
public sealed record RowStaysInside : IStatement
{
    /// <inheritdoc/>
    public B Assumes<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        ArgumentNullException.ThrowIfNull(values);
        return values[3] >= 1 & Enumerable.Range(0, 3).Aggregate(B.Of(true), (all, axis) => all & Regions.Contains<I, B>(0, values[axis], values[axis + 4]));
    }

    /// <inheritdoc/>
    public B Holds<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        ArgumentNullException.ThrowIfNull(values);
        (I batch, I tokens, I heads, I headDim, I b, I t, I h) = (values[0], values[1], values[2], values[3], values[4], values[5], values[6]);
        I elements = batch * tokens * heads * headDim;
        I row = Layout.Row<I, B>(tokens, heads, headDim, b, t, h);
        I[] partial = [b * tokens, b * tokens + t, (b * tokens + t) * heads, (b * tokens + t) * heads + h, row, row + headDim];
        return partial.Aggregate(B.Of(true), (all, value) => all & value >= 0 & value <= elements);
    }
}

/// <summary>N, H, D, b, t, h, c, u, i: the row of an earlier (b, t, h) ends before the row of a later (c, u, i) starts, so that rows do not overlap.</summary>
public sealed record RowsAreApart : IStatement
{
    /// <inheritdoc/>
    public B Assumes<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        ArgumentNullException.ThrowIfNull(values);
        (I tokens, I heads, I headDim, I b, I t, I h, I c, I u, I i) =
            (values[0], values[1], values[2], values[3], values[4], values[5], values[6], values[7], values[8]);
        B isEarlier = b < c | (I.Equal(b, c) & (t < u | (I.Equal(t, u) & h < i)));
        return headDim >= 1 & b >= 0 & isEarlier
            & Regions.Contains<I, B>(0, tokens, t) & Regions.Contains<I, B>(0, tokens, u)
            & Regions.Contains<I, B>(0, heads, h) & Regions.Contains<I, B>(0, heads, i);
    }

    /// <inheritdoc/>
    public B Holds<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        ArgumentNullException.ThrowIfNull(values);
        return Layout.Row<I, B>(values[0], values[1], values[2], values[3], values[4], values[5]) + values[2]
            <= Layout.Row<I, B>(values[0], values[1], values[2], values[6], values[7], values[8]);
    }
}

/// <summary>r, K, h, j with H = r K: query head h reads a kv head in [0, K), and kv head j is read by the r query heads from j r on.</summary>
public sealed record KvHeadIsShared : IStatement
{
    /// <inheritdoc/>
    public B Assumes<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        ArgumentNullException.ThrowIfNull(values);
        (I shared, I kvHeads) = (values[0], values[1]);
        return shared >= 1 & kvHeads >= 1 & Regions.Contains<I, B>(0, shared * kvHeads, values[2]) & Regions.Contains<I, B>(0, kvHeads, values[3]);
    }

    /// <inheritdoc/>
    public B Holds<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        ArgumentNullException.ThrowIfNull(values);
        (I shared, I kvHeads, I h, I j) = (values[0], values[1], values[2], values[3]);
        I kvHead = IndexMaps.KvHead<I, B>(shared * kvHeads, kvHeads, h);
        return Regions.Contains<I, B>(0, kvHeads, kvHead) & B.Iff(I.Equal(kvHead, j), Regions.Contains<I, B>(j * shared, shared, h));
    }
}
