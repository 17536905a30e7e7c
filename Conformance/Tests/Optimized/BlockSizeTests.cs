// Are the sizes of blocks, tiles and workspaces in range for every D that a plan accepts, on every instruction set?
using System.Runtime.Intrinsics;
using S2Attn.Optimized.Kernels;

namespace S2Attn.Tests.Optimized;

/// <summary>
/// D is the only size that they depend on, and a plan accepts 1 to 65536: trying each of them proves it. The register blocks are those of all processors, whichever this one is.
/// </summary>
public sealed class BlockSizeTests
{
    private const int MaxHeadDim = 1 << 16;

    private static readonly IEngines[] All =
    [
        new Engines<Vector512<float>, Lanes512, Tile8x2<Vector512<float>, Lanes512>>(),
        new Engines<Vector256<float>, Lanes256, Tile6x2<Vector256<float>, Lanes256>>(),
        new Engines<Vector128<float>, Lanes128, Tile8x2<Vector128<float>, Lanes128>>(),
        new Engines<Vector128<float>, Lanes128, Tile6x2<Vector128<float>, Lanes128>>(),
    ];

    [Fact]
    public void Every_block_is_whole_register_blocks_within_its_limits()
    {
        foreach (IEngines engines in All)
            for (int dim = 1; dim <= MaxHeadDim; dim++)
            {
                int rows = engines.TileRows, columns = engines.TileColumns;
                BlockSizes sizes = new(dim, rows, columns);

                // D in whole blocks of rows that the transposes can cut into fours, then of columns; and not a block more.
                int step = rows % 4 == 0 ? rows : 2 * rows;
                bool isRight = sizes.Depth >= dim && sizes.Depth - dim < step && sizes.Depth % rows == 0 && sizes.Depth % 4 == 0
                    && sizes.Width >= sizes.Depth && sizes.Width - sizes.Depth < columns && sizes.Width % columns == 0
                    && IsPortion(sizes.TileKeys, rows, 192) && IsPortion(sizes.BlockQueries, columns, 512)
                    && IsPortion(sizes.BackwardQueries, columns, sizes.BlockQueries);
                Assert.True(isRight, $"{sizes}");
            }

        static bool IsPortion(int size, int multiple, int most) => size >= multiple && size % multiple == 0 && size <= most;
    }

    /// <summary>
    /// What the kernels multiply in 32 bits stays there, and a workspace is the sum of its buffers, each rounded up to 64 bytes: the buffers as the kernels take them, written down once more.
    /// Below 1 MiB up to D = 256, as the documentation of a plan says.
    /// </summary>
    [Fact]
    public void A_workspace_is_the_sum_of_its_buffers_and_leaves_no_32_bits()
    {
        foreach (IEngines engines in All)
            for (int dim = 1; dim <= MaxHeadDim; dim++)
            {
                BlockSizes sizes = new(dim, engines.TileRows, engines.TileColumns);
                long depth = sizes.Depth, width = sizes.Width, columns = sizes.TileColumns, queries = sizes.BlockQueries, keys = sizes.TileKeys, backward = sizes.BackwardQueries;
                long forwardFloats = Sum(queries * depth, queries * depth, keys * depth, keys * depth, keys * depth, keys * depth, columns * depth, keys * columns, queries, queries, columns);
                long backwardFloats = Sum(
                    backward * depth, backward * depth, backward * depth, backward * width, backward * width, keys * depth, keys * depth, keys * backward, keys * backward,
                    columns * depth, sizes.TileRows * width, backward, backward);
                long floats = engines.WorkspaceFloats(sizes);
                Assert.True(floats == Math.Max(forwardFloats, backwardFloats) && floats <= int.MaxValue && (dim > 256 || 4 * floats < 1 << 20), $"{sizes}: {floats} floats, not {forwardFloats} or {backwardFloats}");
            }

        static long Sum(params ReadOnlySpan<long> buffers)
        {
            long sum = 0;
            foreach (long floats in buffers)
                sum += (floats + 15) / 16 * 16;
            return sum;
        }
    }
}
