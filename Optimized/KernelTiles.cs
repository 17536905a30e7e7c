// In what portions do the kernels work? The lengths at whose multiples a test should look for borders.
using System.Collections.Immutable;
using S2Attn.Optimized.Kernels;

namespace S2Attn.Optimized;

/// <summary>The blocks of the kernels for one head dimension and register width. They may change from version to version; results do not depend on them but for rounding.</summary>
/// <param name="Keys">Keys of a tile of the forward pass.</param>
/// <param name="BlockQueries">Queries of a forward work item.</param>
/// <param name="BackwardQueries">Queries that the backward pass holds at a time.</param>
/// <param name="BackwardKeys">Keys of a tile of the backward pass.</param>
/// <param name="PanelQueries">Queries of a register block: its columns.</param>
/// <param name="BlockKeys">Keys of a register block: its rows.</param>
public sealed record KernelTiles(int Keys, int BlockQueries, int BackwardQueries, int BackwardKeys, int PanelQueries, int BlockKeys)
{
    /// <summary>The blocks for vectors of D elements.</summary>
    /// <exception cref="PlatformNotSupportedException">The processor does not have the width.</exception>
    public static KernelTiles Of(int headDim, VectorWidth width = VectorWidth.Widest)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(headDim, 1);
        IEngines engines = Engines.For(width);
        BlockSizes sizes = new(headDim, engines.TileRows, engines.TileColumns);
        return new(sizes.TileKeys, sizes.BlockQueries, sizes.BackwardQueries, sizes.BackwardKeys, engines.TileColumns, engines.TileRows);
    }

    /// <summary>The different lengths, the shortest first.</summary>
    public ImmutableArray<int> Lengths => [.. new[] { Keys, BlockQueries, BackwardQueries, BackwardKeys, PanelQueries, BlockKeys }.Distinct().Order()];
}
