// Does every read and write of the kernels lie in its buffer, wherever the buffer lies? In Debug each of them is checked.
using FsCheck;
using FsCheck.Fluent;
using S2Attn.Conformance.Campaigns;
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Optimized;
using S2Attn.Spec;

namespace S2Attn.Tests.Optimized;

public sealed class CheckedKernelTests
{
    private static readonly CheckedKernels Kernels = CheckedKernels.Compile();

    [Theory]
    [MemberData(nameof(ExponentialTests.Widths), MemberType = typeof(ExponentialTests))]
    public void No_kernel_leaves_a_buffer_and_Debug_computes_the_bits_of_Release(VectorWidth width) =>
        Prop.ForAll(
            Arb.From(CaseGenerator.Kernels(100, 130, ElementType.F32, ElementType.F16, ElementType.BF16), CaseShrinker.Simpler),
            item => KernelRun.Run(item, new() { VectorWidth = width, Threads = 1 }).AssertSame(Kernels.Run(item, width), "Debug"))
        .Check(Config.QuickThrowOnFailure.WithMaxTest(30));

    /// <summary>Whole tiles and blocks: sizes that the random cases do not reach.</summary>
    [Theory]
    [MemberData(nameof(ExponentialTests.Widths), MemberType = typeof(ExponentialTests))]
    public void No_kernel_leaves_a_buffer_over_several_tiles_and_blocks(VectorWidth width)
    {
        AttentionCase item = Cases.Of(1200, 600, MaskPolicy.LocalCausal, heads: 2, kvHeads: 1, headDim: 100, padding: PaddingPattern.Sparse, seed: 5);
        KernelRun.Run(item, new() { VectorWidth = width, Threads = 1 }).AssertSame(Kernels.Run(item, width), "Debug");
    }

    /// <summary>Reads and writes one element too far, inside the workspace, where no guard page would notice.</summary>
    [Theory]
    [InlineData("QueryPanel.cs", "tensor.TokenStride, panel, count);", "tensor.TokenStride, panel, count + 4);")]
    [InlineData("ForwardKernel.cs", "mask = MaskOf(tile, p);", "mask = new(tile.Segment.Causal, block.Start + StartOf(p), CountOf(p), tile.Start, sizes.TileKeys + 1);")]
    [InlineData("KeyTile.cs", "int pads = Math.Min(Math.Max(BlockSizes.HalfRows, TLanes.Count) - 1, most + BlockSizes.HalfRows - Count);", "int pads = most + BlockSizes.HalfRows - Count + 1;")]
    [InlineData("LoneQueries.cs", "for (int j = 0; j < seen; j++, value += stride)", "for (int j = 0; j <= seen; j++, value += stride)")]
    [InlineData("Tiles.cs", "TLanes.Store(c51, c + lanes);\n    }", "TLanes.Store(c51, c + lanes + 1);\n    }")]
    public void A_kernel_that_goes_one_element_too_far_is_caught_in_Debug(string file, string before, string after)
    {
        CheckedKernels faulty = CheckedKernels.CompileWith(file, before, after);
        AttentionCase[] cases =
        [
            Cases.Of(96, 96, MaskPolicy.LocalCausal, heads: 2, kvHeads: 1, headDim: 16, seed: 5),
            Cases.Of(192, 192, MaskPolicy.Bidirectional, shift: 0, headDim: 64, seed: 5),
            Cases.Of(193, 193, MaskPolicy.Bidirectional, shift: 0, headDim: 64, seed: 5),
        ];
        Assert.Contains(cases, item => Record.Exception(() => faulty.Run(item, VectorWidth.Bits128)) is InvalidOperationException { Message: string message } && message.StartsWith("A kernel left its buffer", StringComparison.Ordinal));
    }
}
