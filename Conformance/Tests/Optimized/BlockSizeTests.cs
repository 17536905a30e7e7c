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

                // D in whole blocks of eight rows, then of columns, and not a block more; rows an odd number of cache lines apart.
                bool isRight = IsRounded(sizes.Depth, dim, 8) && IsRounded(sizes.Width, sizes.Depth, columns) && IsOddLines(sizes.Stride, sizes.Width) && IsOddLines(sizes.ScoreStride, sizes.BackwardQueries)
                    && IsPortion(sizes.TileKeys, rows, 192) && IsPortion(sizes.BackwardKeys, rows, sizes.TileKeys)
                    && IsPortion(sizes.BlockQueries, columns, 512) && IsPortion(sizes.BackwardQueries, columns, sizes.BlockQueries);
                Assert.True(isRight, $"{sizes}");
            }

        static bool IsRounded(int size, int least, int multiple) => size >= least && size - least < multiple && size % multiple == 0;

        static bool IsOddLines(int floats, int least) => floats >= least && floats - least < 32 && floats % 16 == 0 && floats / 16 % 2 == 1;

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
                long depth = sizes.Depth, columns = sizes.TileColumns, queries = sizes.BlockQueries, backward = sizes.BackwardQueries, held = sizes.TileKeys + 8, backwardHeld = sizes.BackwardKeys + 8;
                long tile = held * sizes.Stride, backwardTile = backwardHeld * sizes.Stride, rows = backward * sizes.Stride, scores = backwardHeld * sizes.ScoreStride, lone = columns / 8 * sizes.Width;
                long forwardFloats = Sum(queries * depth + lone, queries * depth + lone, tile, tile, tile, tile, columns * depth, held * columns, queries, queries, columns);
                long backwardFloats = Sum(
                    backward * depth, backward * depth, backward * depth, rows, rows, backwardTile, backwardTile, scores, scores, columns * depth, (long)sizes.TileRows * sizes.Width, backward, backward);
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
