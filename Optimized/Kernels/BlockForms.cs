// What are the sizes of blocks, tiles and buffers? Formulas of D over Spec's algebra: plans evaluate them, and s2attn prove shows for every D that none of their parts leaves 32 bits.
using S2Attn.Spec.Algebra;

namespace S2Attn.Optimized.Kernels;

/// <summary>The sizes that <see cref="BlockSizes"/> documents, for one register block; all in elements.</summary>
internal sealed record BlockForms<I>(int TileRows, int TileColumns, I Depth, I Width, I Stride, I TileKeys, I BlockQueries, I BackwardQueries, I BackwardKeys, I ScoreStride);

/// <summary>The formulas. Claims "Fits.Blocks" and "Fits.Decode".</summary>
internal static class BlockForms
{
    /// <summary>The most elements of a vector.</summary>
    public const int MaxHeadDim = 1 << 16;

    /// <summary>Rows of a register block that is one register wide.</summary>
    public const int HalfRows = 8;

    /// <summary>A register's lanes over the most queries that the forward pass takes one by one, because they would leave such a register almost empty.</summary>
    public const int LanesOfLone = 4;

    /// <summary>Keys of a tile of the decode kernel, at most.</summary>
    public const int MaxDecodeKeys = 128;

    /// <summary>Rows that a decode item attends at a time, at most.</summary>
    public const int DecodeRowsAtOnce = 4;

    /// <summary>Rows of a kv head that a decode item attends, at most: queries times the heads that share it.</summary>
    public const int MaxDecodeRows = 1024;

    // Of the 1 MiB that a thread may use, queries and outputs fill half, and the two tiles of keys and values that the forward pass holds most of the rest.
    private const int QueryFloats = 128 * 1024, MaxQueries = 512, KeyFloats = 54 * 1024, MaxKeys = 192;

    private const int FloatsOfLine = Workspace.Alignment / sizeof(float);

    /// <summary>The sizes for vectors of D elements, 1 &lt;= D &lt;= MaxHeadDim.</summary>
    public static BlockForms<I> Of<I, B>(I headDim, int tileRows, int tileColumns)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        I depth = RoundUp<I, B>(headDim, HalfRows), width = RoundUp<I, B>(depth, tileColumns), stride = OddLines<I, B>(width), keyFloats = KeyFloats, queryFloats = QueryFloats;
        I tileKeys = Portions<I, B>(keyFloats / (2 * stride) / tileRows, MaxKeys / tileRows) * tileRows;
        I blockQueries = Portions<I, B>(queryFloats / (2 * width) / tileColumns, MaxQueries / tileColumns) * tileColumns;

        // The backward pass loads each row of keys and values, and adds to each row of their gradients, once for every block of queries: many queries to few keys.
        I backwardQueries = Portions<I, B>(blockQueries / 2 / tileColumns, MaxQueries / tileColumns) * tileColumns;
        I backwardKeys = Portions<I, B>((tileKeys - 2 * tileRows) / 2 / tileRows, MaxKeys / tileRows) * tileRows;
        return new(tileRows, tileColumns, depth, width, stride, tileKeys, blockQueries, backwardQueries, backwardKeys, OddLines<I, B>(backwardQueries));
    }

    /// <summary>The buffers of the forward pass, as it takes them.</summary>
    public static I[] ForwardBuffers<I, B>(BlockForms<I> sizes)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        I held = sizes.TileKeys + HalfRows, lone = sizes.TileColumns / 2 / LanesOfLone * sizes.Width, block = sizes.BlockQueries * sizes.Depth + lone, tile = held * sizes.Stride;
        return [block, block, tile, tile, tile, tile, sizes.TileColumns * sizes.Depth, held * sizes.TileColumns, sizes.BlockQueries, sizes.BlockQueries, sizes.TileColumns];
    }

    /// <summary>The buffers of the backward pass.</summary>
    public static I[] BackwardBuffers<I, B>(BlockForms<I> sizes)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        I queries = sizes.BackwardQueries, panels = queries * sizes.Depth, rows = queries * sizes.Stride, held = sizes.BackwardKeys + HalfRows, tile = held * sizes.Stride, scores = held * sizes.ScoreStride;
        return [panels, panels, panels, rows, rows, tile, tile, scores, scores, sizes.TileColumns * sizes.Depth, sizes.TileRows * sizes.Width, queries, queries];
    }

    /// <summary>The buffers of a decode item of some rows, 0 &lt;= rows &lt;= MaxDecodeRows, with registers of so many lanes.</summary>
    public static I[] DecodeBuffers<I, B>(I headDim, I rows, int lanes)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        I depth = RoundUp<I, B>(headDim, 2 * lanes), tile = MaxDecodeKeys * depth;
        return [rows * depth, rows * depth, DecodeRowsAtOnce * MaxDecodeKeys, rows, rows, depth, depth, tile, tile];
    }

    /// <summary>What buffers take up together, each from a multiple of a cache line on.</summary>
    public static I Floats<I, B>(IEnumerable<I> buffers)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => buffers.Aggregate((I)0, (sum, floats) => sum + RoundUp<I, B>(floats, FloatsOfLine));

    /// <exception cref="ArgumentOutOfRangeException">D is more than the kernels have sizes for.</exception>
    public static void CheckHeadDim(string parameter, int headDim)
    {
        if (headDim > MaxHeadDim)
            throw new ArgumentOutOfRangeException(parameter, headDim, $"HeadDim must be at most {MaxHeadDim}");
    }

    private static I RoundUp<I, B>(I value, int multiple)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => (value + (multiple - 1)) / multiple * multiple;

    private static I OddLines<I, B>(I floats)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => ((floats + (FloatsOfLine - 1)) / FloatsOfLine / 2 * 2 + 1) * FloatsOfLine;

    // At least one.
    private static I Portions<I, B>(I wanted, int most)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => I.If(wanted < 1, 1, I.Min(wanted, most));
}
