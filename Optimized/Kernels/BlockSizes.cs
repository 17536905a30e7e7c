// How large are the blocks that one thread works on? Chosen so that they stay in its second-level cache.
namespace S2Attn.Optimized.Kernels;

/// <summary>Sizes of the blocks for one head dimension and one register block; all in elements.</summary>
internal sealed record BlockSizes
{
    // Of the 1 MiB that a thread may use, queries and outputs fill half, and the two tiles of keys and values that the forward pass holds three eighths.
    private const int QueryFloats = 128 * 1024, MaxQueries = 512, KeyFloats = 48 * 1024, MaxKeys = 192;

    public BlockSizes(int headDim, int tileRows, int tileColumns)
    {
        HeadDim = headDim;
        TileRows = tileRows;
        TileColumns = tileColumns;
        Depth = RoundUp(headDim, tileRows % 4 == 0 ? tileRows : 2 * tileRows);
        Width = RoundUp(Depth, tileColumns);
        TileKeys = Math.Clamp(KeyFloats / (2 * Width) / tileRows, 1, MaxKeys / tileRows) * tileRows;
        BlockQueries = Math.Clamp(QueryFloats / (2 * Width) / tileColumns, 1, MaxQueries / tileColumns) * tileColumns;
    }

    /// <summary>D.</summary>
    public int HeadDim { get; }

    /// <summary>Rows of the register block.</summary>
    public int TileRows { get; }

    /// <summary>Columns of the register block: the queries of a panel.</summary>
    public int TileColumns { get; }

    /// <summary>D rounded up to whole register blocks of rows, and to a multiple of 4 for the transposes.</summary>
    public int Depth { get; }

    /// <summary>D rounded up to whole register blocks of columns.</summary>
    public int Width { get; }

    /// <summary>Keys of a tile: whole register blocks of rows.</summary>
    public int TileKeys { get; }

    /// <summary>Queries of a work item: a multiple of the panel.</summary>
    public int BlockQueries { get; }

    /// <summary>Queries that the backward pass holds at a time; it keeps more operands of each than the forward pass.</summary>
    public int BackwardQueries => Math.Max(1, BlockQueries / 4 / TileColumns) * TileColumns;

    public static int RoundUp(int value, int multiple) => (value + multiple - 1) / multiple * multiple;
}
