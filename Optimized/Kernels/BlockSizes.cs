// How large are the blocks that one thread works on? Chosen so that they stay in its second-level cache.
using System.Runtime.CompilerServices;
using S2Attn.Spec.Algebra;

namespace S2Attn.Optimized.Kernels;

/// <summary>Sizes of the blocks for one head dimension and one register block; all in elements.</summary>
internal sealed record BlockSizes
{
    /// <summary>Rows of a register block that is one register wide.</summary>
    public const int HalfRows = BlockForms.HalfRows;

    /// <summary>Columns of the widest register block: two registers of 512 bits.</summary>
    public const int MostColumns = 32;

    private readonly BlockForms<Int> forms;

    public BlockSizes(int headDim, int tileRows, int tileColumns)
    {
        forms = BlockForms.Of<Int, Bool>(headDim, tileRows, tileColumns);
        HeadDim = headDim;
        TileRows = tileRows;
        TileColumns = tileColumns;
        Depth = forms.Depth.ToIndex();
        Width = forms.Width.ToIndex();
        Stride = forms.Stride.ToIndex();
        TileKeys = forms.TileKeys.ToIndex();
        BlockQueries = forms.BlockQueries.ToIndex();
        BackwardQueries = forms.BackwardQueries.ToIndex();
        BackwardKeys = forms.BackwardKeys.ToIndex();
        ScoreStride = forms.ScoreStride.ToIndex();
    }

    /// <summary>D.</summary>
    public int HeadDim { get; }

    /// <summary>Rows of the register block.</summary>
    public int TileRows { get; }

    /// <summary>Columns of the register block: the queries of a panel.</summary>
    public int TileColumns { get; }

    /// <summary>D rounded up to a multiple of 8: register blocks of six and four rows, or of eight, cover it exactly.</summary>
    public int Depth { get; }

    /// <summary>D rounded up to whole register blocks of columns.</summary>
    public int Width { get; }

    /// <summary>
    /// Floats between rows of keys, values, queries and gradients in the workspace: an odd number of cache lines, at least Width. Products walk down these rows, and rows that lie
    /// a power of two apart would share a few sets of the first-level cache.
    /// </summary>
    public int Stride { get; }

    /// <summary>Keys of a tile of the forward pass: whole register blocks of rows. Buffers hold <see cref="HalfRows"/> more: blocks on the diagonal may end behind the last key.</summary>
    public int TileKeys { get; }

    /// <summary>Queries of a work item: a multiple of the panel.</summary>
    public int BlockQueries { get; }

    /// <summary>Queries of a block that the forward pass takes one by one, at most.</summary>
    public int LoneQueries => TileColumns / 2 / BlockForms.LanesOfLone;

    /// <summary>Queries that the backward pass holds at a time; it keeps more operands of each than the forward pass.</summary>
    public int BackwardQueries { get; }

    /// <summary>Keys of a tile of the backward pass.</summary>
    public int BackwardKeys { get; }

    /// <summary>Floats between the rows of the backward pass's weights; odd in lines, as <see cref="Stride"/>.</summary>
    public int ScoreStride { get; }

    /// <summary>Floats of the buffers of the forward pass, and of the backward pass.</summary>
    public nint ForwardFloats => (nint)BlockForms.Floats<Int, Bool>(BlockForms.ForwardBuffers<Int, Bool>(forms)).Value;

    public nint BackwardFloats => (nint)BlockForms.Floats<Int, Bool>(BlockForms.BackwardBuffers<Int, Bool>(forms)).Value;

    public static int RoundUp(int value, int multiple) => (value + multiple - 1) / multiple * multiple;
}

/// <summary>How rows are cut into register blocks: whole ones first, then the smaller ones that cover what is left with the fewest rows.</summary>
internal static class RowBlocks<TTile>
    where TTile : struct, ITile
{
    /// <summary>The rows that whole blocks cover. Behind them come blocks of RestRows until the last row is covered.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Whole(int rows)
    {
        int left = rows % TTile.Rows;
        return left == 0 ? rows
            : left > TTile.RestRows || TTile.RestRows == TTile.Rows ? rows - left + TTile.Rows
            : left > 2 * TTile.RestRows - TTile.Rows ? rows - left
            : Math.Max(0, rows - left - TTile.Rows);
    }

    /// <summary>Rows that the blocks cover: at least those asked for.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Covered(int rows)
    {
        int whole = Whole(rows);
        return whole >= rows ? whole : whole + BlockSizes.RoundUp(rows - whole, TTile.RestRows);
    }
}
