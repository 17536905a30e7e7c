// Do the peers that the benchmark is compared with compute S2-Attn at all?
using S2Attn.Conformance.Bench;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Tests.Bench;

public sealed unsafe class PeerGraphTests
{
    private static readonly S2Config Config = S2Config.Create(new S2Request
    {
        Batch = 2,
        Tokens = 24,
        Heads = 4,
        HeadDim = 8,
        GroupSize = GroupSizeRule.Of(6),
        Mask = MaskPolicy.LocalCausal,
    });

    private static readonly int[] Shape = [Config.Batch, Config.Tokens, Config.Heads, Config.HeadDim];

    private static readonly Tensor<float> Q = Random(1), K = Random(2), V = Random(3), Do = Random(4);

    // Sums of at most 8 products and 6 weights in f32, of numbers below 1: far above their rounding, far below any defect.
    private const float Tolerance = 1e-5f;

    [Fact]
    public void Eager_and_fused_graphs_equal_Reference()
    {
        float[] expected = Attention.Forward(Config, new AttentionInput<float>(Q, K, V)).Output.Elements.ToArray();
        foreach (byte[] model in new[] { PeerGraphs.Eager(Config), PeerGraphs.Fused(Config) })
        {
            AssertClose(expected, Run(model, [("q", Q), ("k", K), ("v", V)], "o")[0]);
        }
    }

    [Fact]
    public void The_hand_derived_backward_graph_equals_Reference()
    {
        Gradients<float> expected = AttentionGradients.Backward(Config, new AttentionInput<float>(Q, K, V), Do);
        float[][] answers = Run(PeerGraphs.EagerWithBackward(Config), [("q", Q), ("k", K), ("v", V), ("do", Do)], "o", "dq", "dk", "dv");
        AssertClose(Array(expected.Query), answers[1]);
        AssertClose(Array(expected.Key), answers[2]);
        AssertClose(Array(expected.Value), answers[3]);
    }

    /// <summary>Square and oblong windows, shifted by as much as they can and not at all.</summary>
    [Theory]
    [InlineData(6, 3, 1, 4, 2, 1)]
    [InlineData(4, 4, 2, 6, 2, 1)]
    [InlineData(6, 3, 0, 4, 4, 0)]
    public void The_graph_of_windows_equals_Reference_over_two_axes(int rows, int high, int up, int columns, int wide, int left)
    {
        S2Config config = S2Config.Create(Config.ToRequest() with { Mask = MaskPolicy.BidirectionalSplit, ShiftedHeads = HeadShift.All });
        S2Grid grid = S2Grid.Create(config, new(rows, high, up), new(columns, wide, left));
        double[] expected = GridAttention.Forward(grid, new(Q.Map(x => (double)x), K.Map(x => (double)x), V.Map(x => (double)x))).Output.Elements.ToArray();
        AssertClose([.. expected.Select(x => (float)x)], Run(PeerGraphs.Windows(grid), [("q", Q), ("k", K), ("v", V)], "o")[0]);
    }

    private static float[][] Run(byte[] model, (string Name, Tensor<float> Tensor)[] inputs, params string[] outputs)
    {
        using TensorMemory memory = new();
        int elements = Q.Elements.Length;
        (string Name, nint Elements)[] given = [.. inputs.Select(input => (input.Name, (nint)memory.Copy<float>(Array(input.Tensor))))], computed = [.. outputs.Select(name => (name, (nint)memory.Room<float>(elements)))];
        using OnnxPeer peer = new(model, 1, given, computed, Shape);
        peer.Run();
        return [.. computed.Select(output => new ReadOnlySpan<float>((float*)output.Elements, elements).ToArray())];
    }

    private static Tensor<float> Random(int seed)
    {
        Random random = new(seed);
        return Tensor<float>.Build(Shape, _ => random.NextSingle() - 0.5f);
    }

    private static float[] Array(Tensor<float> tensor) => tensor.Elements.ToArray();

    private static void AssertClose(float[] expected, float[] actual) =>
        Assert.All(expected.Zip(actual), pair => Assert.True(Math.Abs(pair.First - pair.Second) <= Tolerance, $"{pair.First} and {pair.Second}"));
}
