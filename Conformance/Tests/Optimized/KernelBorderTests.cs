// Do the kernels stay within their bound at the borders of their own blocks, and with as many heads, sequences and elements as a model has?
using S2Attn.Conformance;
using S2Attn.Conformance.Campaigns;
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Optimized;
using S2Attn.Optimized.Kernels;
using S2Attn.Spec;

namespace S2Attn.Tests.Optimized;

public sealed class KernelBorderTests
{
    // A border of this length is crossed with everything; a longer one is tried once each.
    private const int Crossed = 400, Longest = 1700;

    private static readonly ElementType[] Types = [ElementType.F32, ElementType.F16, ElementType.BF16];

    private static readonly int[] Dims = [2, 33], Sharing = [1, 140, 4, 70, 20];

    public static TheoryData<VectorWidth> Widths() => ExponentialTests.Widths();

    /// <summary>Every block: one, two and three of it, less one and one more, under every policy, with no, one padded, one poisoned token and both.</summary>
    [Theory]
    [MemberData(nameof(Widths))]
    public void Each_border_of_a_block_agrees_under_every_policy_with_padding_and_poison(VectorWidth width)
    {
        using OptimizedPort port = new(new S2AttentionOptions { VectorWidth = width, Threads = 2 });
        int seed = 0;
        foreach (int tile in port.Description.Capabilities.Tiles)
            foreach (int length in BorderCases.Lengths(tile, Crossed))
                foreach (MaskPolicy mask in MaskPolicies.All)
                    for (int cross = 0; cross < 4; cross++, seed++)
                    {
                        // Of long borders a third, and each policy sees each cross at some of them.
                        if (length > 60 && (seed + length) % 3 != (int)width % 3)
                            continue;
                        AttentionCase item = BorderCases.At(length, (BorderPlace)(seed % 3), mask, 1 + seed % 9, Types[seed % 5 == 0 ? seed / 5 % 3 : 0], seed * 1000);
                        Agrees(port, BorderCases.Crossed(item, (cross & 1) != 0, (cross & 2) != 0, cross == 1 ? 0 : seed % tile));
                    }
    }

    /// <summary>Blocks of queries are long: a third one begins at 1024 queries of a run.</summary>
    [Theory]
    [MemberData(nameof(Widths))]
    public void Long_borders_agree(VectorWidth width)
    {
        using OptimizedPort port = new(new S2AttentionOptions { VectorWidth = width, Threads = 2 });
        int seed = 0;
        foreach (int tile in port.Description.Capabilities.Tiles)
            foreach (int length in BorderCases.Lengths(tile, Longest).Where(length => length > Crossed && (length < 1000 || length % tile == 1 || width == KernelPaths.Widest)))
            {
                AttentionCase item = BorderCases.At(length, BorderPlace.Group, MaskPolicies.All[seed % 5], 4, ElementType.F32, ++seed * 1000);
                Agrees(port, BorderCases.Crossed(item, seed % 3 == 0, seed % 2 == 0, seed % tile));
            }
    }

    /// <summary>Long vectors have shorter blocks.</summary>
    [Theory]
    [MemberData(nameof(Widths))]
    public void Borders_of_long_vectors_agree(VectorWidth width)
    {
        using OptimizedPort port = new(new S2AttentionOptions { VectorWidth = width, Threads = 2 });
        int seed = 0;
        foreach (int dim in new[] { 64, 128, 256 })
        {
            KernelTiles tiles = KernelTiles.Of(dim, width);
            foreach (int length in new[] { tiles.Keys - 1, tiles.Keys, tiles.Keys + 1, tiles.BackwardQueries + 1, tiles.BlockQueries + 1 }.Where(length => length <= Crossed))
            {
                AttentionCase item = BorderCases.At(length, (BorderPlace)(seed % 2), MaskPolicies.All[seed % 5], dim, Types[seed % 3], ++seed * 1000);
                Agrees(port, BorderCases.Crossed(item, seed % 3 == 0, seed % 2 == 0, 0));
            }
        }
    }

    /// <summary>The heads of a model: H to 32, K in {1, H / 8, H}, B to 5, D to 256. Each sequence, head and kv head is compared.</summary>
    [Theory]
    [MemberData(nameof(Widths))]
    public void Models_of_many_heads_sequences_and_elements_agree(VectorWidth width)
    {
        using OptimizedPort port = new(new S2AttentionOptions { VectorWidth = width, Threads = 2 });
        int seed = 0;
        foreach (int heads in new[] { 8, 16, 17, 24, 32 })
            foreach (int kvHeads in new[] { 1, Math.Max(heads / 8, 1), heads }.Where(kv => heads % kv == 0).Distinct())
                foreach (int batch in new[] { 1, 4, 5 })
                    foreach (int dim in Dims.Take(batch == 4 ? 2 : 1))
                    {
                        MaskPolicy mask = MaskPolicies.All[seed % 5];
                        PaddingPattern padding = seed % 3 == 0 ? PaddingPattern.Unequal : PaddingPattern.None;
                        Agrees(port, Cases.Of(12, 6, mask, batch: batch, heads: heads, kvHeads: kvHeads, headDim: dim, type: Types[seed % 3], padding: padding, seed: seed++));
                    }

        foreach (MaskPolicy mask in MaskPolicies.All)
            Agrees(port, Cases.Of(24, 12, mask, batch: 2, heads: 16, kvHeads: 2, headDim: 256, seed: seed++));
    }

    /// <summary>Each size far beyond those that are drawn anywhere, the others small: sequences, query heads, the heads of a kv head, elements.</summary>
    [Fact]
    public void One_size_far_beyond_the_others_agrees()
    {
        using OptimizedPort port = new(new S2AttentionOptions { Threads = 2 });
        int seed = 0;
        foreach (MaskPolicy mask in MaskPolicies.All)
        {
            Agrees(port, Cases.Of(4, 2, mask, batch: 261, headDim: 1 + (seed % 3), type: Types[seed % 3], seed: ++seed));
            Agrees(port, Cases.Of(4, 2, mask, heads: 140, kvHeads: Sharing[seed % 5], headDim: 2, type: Types[seed % 3], seed: ++seed));
        }

        foreach (int dim in new[] { 385, 511, 512, 513, 1025, 2049 })
            Agrees(port, Cases.Of(4, 4, MaskPolicies.All[seed % 5], headDim: dim, type: Types[seed % 3], seed: ++seed));
    }

    /// <summary>Tokens likewise, in five blocks of a group and many tiles: rows at borders and at random, and the adjoint identities for the gradients.</summary>
    [Theory]
    [MemberData(nameof(Masks))]
    public void Long_sequences_agree_at_sampled_rows(MaskPolicy mask)
    {
        S2Config config = S2Config.Create(new() { Tokens = 10_000, Heads = 2, KvHeads = 1, HeadDim = 4, GroupSize = GroupSizeRule.Of(2500), Shift = 1101, Mask = mask });
        LongestReport report = LongestCampaign.Run(config, rows: 40, backward: true, seed: (int)mask);
        Assert.True(report.WorstRatio <= 1, $"{report}");
        Assert.True(report.WorstAdjoint <= LongestCampaign.AdjointTolerance, $"{report}");
    }

    public static TheoryData<MaskPolicy> Masks => [.. MaskPolicies.All];

    /// <summary>What the suite's cases at borders are derived from is what the kernels work in.</summary>
    [Theory]
    [MemberData(nameof(Widths))]
    public void The_kernels_say_what_their_blocks_are(VectorWidth width)
    {
        IEngines engines = Engines.For(width);
        foreach (int dim in new[] { 1, 8, 33, 64, 128, 256, 65536 })
        {
            BlockSizes sizes = new(dim, engines.TileRows, engines.TileColumns);
            KernelTiles tiles = KernelTiles.Of(dim, width);
            Assert.Equal(new(sizes.TileKeys, sizes.BlockQueries, sizes.BackwardQueries, sizes.BackwardKeys, engines.TileColumns, engines.TileRows), tiles);
            Assert.Equal(new[] { tiles.Keys, tiles.BlockQueries, tiles.BackwardQueries, tiles.BackwardKeys, tiles.PanelQueries, tiles.BlockKeys }.Distinct().Order(), tiles.Lengths);
        }

        using OptimizedPort port = new(new S2AttentionOptions { VectorWidth = width, Threads = 1 });
        Assert.Equal([.. KernelTiles.Of(1, width).Lengths], port.Description.Capabilities.Tiles.ToArray());
    }

    /// <summary>The sizes at which a fault once hid from every gate.</summary>
    [Fact]
    public void Named_sizes_agree()
    {
        using OptimizedPort port = new(new S2AttentionOptions { Threads = 2 });
        // Past a block of 512 queries for the third time; past 1100 tokens with a shift, in groups and in one.
        Agrees(port, Cases.Of(1700, 1700, MaskPolicy.PositionCausal, shift: 0, headDim: 3, seed: 1));
        Agrees(port, Cases.Of(1980, 660, MaskPolicy.LocalCausal, headDim: 3, seed: 2));
        Agrees(port, Cases.Of(1200, 1200, MaskPolicy.Split, headDim: 3, seed: 3));

        // NaN in key 300 of 400: rows before it in the same tile must not see it.
        foreach (int seed in Enumerable.Range(0, 24))
            Agrees(port, Cases.Of(400, 400, MaskPolicies.All[seed % 3], headDim: 4, shifted: HeadShift.None, kind: TensorKind.OnePoisoned, seed: seed));
    }

    private static void Agrees(OptimizedPort port, AttentionCase item) =>
        Assert.All(AgreementCampaign.Try(port, OptimizedPort.ModelOf, item), agreement => Assert.True(agreement.Agrees, $"{item}: {agreement}"));
}
