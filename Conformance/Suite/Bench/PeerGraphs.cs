// What would a framework run instead? LongLoRA's composition of tensor operations as ONNX graphs, and Swin's over an image.
using S2Attn.Conformance.Onnx;
using S2Attn.Spec;

namespace S2Attn.Conformance.Bench;

/// <summary>
/// Graphs of S2-Attn under LocalCausal for one configuration whose second half of heads shifts: inputs q, k, v [B,N,H,D], output o [B,N,H,D].
/// They follow the order of operations of LongLoRA's llama_attn_replace.py: roll, regroup, attend in groups, ungroup, roll back.
/// </summary>
internal static class PeerGraphs
{
    /// <summary>forward_noflashattn: matmul, mask, softmax, matmul.</summary>
    public static byte[] Eager(S2Config config)
    {
        OnnxGraph graph = new("eager");
        Grouped q = Input(graph, config, "q"), k = Input(graph, config, "k"), v = Input(graph, config, "v");
        string p = Softmax(graph, config, q, k);
        Output(graph, config, "o", graph.Node("MatMul", [p, v.HeadMajor]));
        return graph.ToModel();
    }

    /// <summary>The eager forward pass and its derivative, written out by hand: outputs o, dq, dk, dv from q, k, v, do.</summary>
    public static byte[] EagerWithBackward(S2Config config)
    {
        OnnxGraph graph = new("eager_backward");
        Grouped q = Input(graph, config, "q"), k = Input(graph, config, "k"), v = Input(graph, config, "v"), dout = Input(graph, config, "do");
        string p = Softmax(graph, config, q, k);
        string dp = graph.Node("MatMul", [dout.HeadMajor, Transposed(v.HeadMajor)]);
        string delta = graph.Node("ReduceSum", [graph.Node("Mul", [p, dp]), graph.Constant(-1L)], ("keepdims", 1));
        string ds = graph.Node("Mul", [p, graph.Node("Sub", [dp, delta])]);
        string scaled = graph.Node("Mul", [ds, graph.Constant([(float)config.Scale], 1)]);
        Output(graph, config, "o", graph.Node("MatMul", [p, v.HeadMajor]));
        Output(graph, config, "dq", graph.Node("MatMul", [scaled, k.HeadMajor]));
        Output(graph, config, "dk", graph.Node("MatMul", [Transposed(scaled), q.HeadMajor]));
        Output(graph, config, "dv", graph.Node("MatMul", [Transposed(p), dout.HeadMajor]));
        return graph.ToModel();

        string Transposed(string value) => graph.Transpose(value, 0, 1, 3, 2);
    }

    /// <summary>The same around ONNX Runtime's fused MultiHeadAttention, causal inside each group.</summary>
    public static byte[] Fused(S2Config config)
    {
        OnnxGraph graph = new("fused");
        string attended = graph.ContribNode(
            "MultiHeadAttention",
            [Tokens("q"), Tokens("k"), Tokens("v")],
            ("num_heads", config.Heads), ("unidirectional", 1), ("scale", (float)config.Scale));
        OutputOfTokens(graph, config, "o", graph.Reshape(attended, config.Batch, config.Tokens, config.Heads, config.HeadDim));
        return graph.ToModel();

        string Tokens(string name) =>
            graph.Reshape(Input(graph, config, name).TokenMajor, config.Batch * Groups(config), config.GroupSize, config.Heads * config.HeadDim);
    }

    /// <summary>
    /// Swin's shifted windows over two axes, in the order of SwinTransformerBlock and WindowAttention: roll, partition, scaled q k, the mask of -100, softmax, v, reverse, roll back. Swin
    /// rolls and partitions what q, k and v are projected from; here it is done to each of the three.
    /// </summary>
    public static byte[] Windows(S2Grid grid)
    {
        S2Config config = grid.Tokens;
        (GridAxis<int> rows, GridAxis<int> columns) = (grid.Axes[0], grid.Axes[1]);
        int down = rows.Tokens / rows.GroupSize, across = columns.Tokens / columns.GroupSize, size = rows.GroupSize * columns.GroupSize;
        OnnxGraph graph = new("windows");
        string scores = graph.Node("MatMul", [graph.Node("Mul", [Partition("q"), graph.Constant([(float)config.Scale], 1)]), graph.Transpose(Partition("k"), 0, 1, 3, 2)]);
        string masked = graph.Node("Add", [graph.Reshape(scores, config.Batch, down * across, config.Heads, size, size), graph.Constant(SwinMask(grid), 1, down * across, 1, size, size)]);
        string p = graph.Reshape(graph.Node("Softmax", [masked], ("axis", -1)), config.Batch * down * across, config.Heads, size, size);
        string attended = graph.Node("MatMul", [p, Partition("v")]);
        string reversed = graph.Transpose(graph.Reshape(attended, config.Batch, down, across, config.Heads, rows.GroupSize, columns.GroupSize, config.HeadDim), 0, 1, 4, 2, 5, 3, 6);
        string o = Roll(graph.Reshape(reversed, config.Batch, rows.Tokens, columns.Tokens, config.Heads * config.HeadDim), rows.Tokens - rows.Shift, columns.Tokens - columns.Shift);
        graph.Output("o", graph.Reshape(o, config.Batch, config.Tokens, config.Heads, config.HeadDim), config.Batch, config.Tokens, config.Heads, config.HeadDim);
        return graph.ToModel();

        string Partition(string name)
        {
            string image = graph.Reshape(graph.Input(name, config.Batch, config.Tokens, config.Heads, config.HeadDim), config.Batch, rows.Tokens, columns.Tokens, config.Heads * config.HeadDim);
            string parts = graph.Reshape(Roll(image, rows.Shift, columns.Shift), config.Batch, down, rows.GroupSize, across, columns.GroupSize, config.Heads, config.HeadDim);
            return graph.Reshape(graph.Transpose(parts, 0, 1, 3, 5, 2, 4, 6), config.Batch * down * across, config.Heads, size, config.HeadDim);
        }

        string Roll(string image, int byRows, int byColumns) => RollAxis(RollAxis(image, 1, byRows, rows.Tokens), 2, byColumns, columns.Tokens);

        string RollAxis(string value, int axis, int by, int length) => by % length == 0 ? value : graph.Concat(axis, graph.Slice(value, axis, by, length), graph.Slice(value, axis, 0, by));
    }

    // -100 where two places of a window are of different runs.
    private static float[] SwinMask(S2Grid grid)
    {
        (GridAxis<int> rows, GridAxis<int> columns) = (grid.Axes[0], grid.Axes[1]);
        int across = columns.Tokens / columns.GroupSize, size = rows.GroupSize * columns.GroupSize;
        float[] mask = new float[rows.Tokens / rows.GroupSize * across * size * size];
        for (int i = 0; i < mask.Length; i++)
        {
            (int window, int query, int key) = (i / size / size, i / size % size, i % size);
            mask[i] = RunsOf(query) == RunsOf(key) ? 0 : -100;

            (bool, bool) RunsOf(int place) => (
                window / across * rows.GroupSize + place / columns.GroupSize < rows.Tokens - rows.Shift,
                window % across * columns.GroupSize + place % columns.GroupSize < columns.Tokens - columns.Shift);
        }

        return mask;
    }

    /// <summary>A rolled and grouped tensor: [B n, G, H, D] and [B n, H, G, D].</summary>
    private readonly record struct Grouped(string TokenMajor, string HeadMajor);

    private static Grouped Input(OnnxGraph graph, S2Config config, string name)
    {
        string input = graph.Input(name, config.Batch, config.Tokens, config.Heads, config.HeadDim);
        string rolled = RollUpperHeads(graph, config, input, config.Shift);
        string grouped = graph.Reshape(rolled, config.Batch * Groups(config), config.GroupSize, config.Heads, config.HeadDim);
        return new(grouped, graph.Transpose(grouped, 0, 2, 1, 3));
    }

    private static string Softmax(OnnxGraph graph, S2Config config, Grouped q, Grouped k)
    {
        int size = config.GroupSize;
        float[] mask = new float[size * size];
        for (int row = 0; row < size; row++)
            mask.AsSpan(row * size + row + 1, size - row - 1).Fill(float.MinValue);
        string scores = graph.Node("MatMul", [q.HeadMajor, graph.Transpose(k.HeadMajor, 0, 1, 3, 2)]);
        string scaled = graph.Node("Mul", [scores, graph.Constant([(float)config.Scale], 1)]);
        return graph.Node("Softmax", [graph.Node("Add", [scaled, graph.Constant(mask, 1, 1, size, size)])], ("axis", -1));
    }

    private static void Output(OnnxGraph graph, S2Config config, string name, string headMajor) => OutputOfTokens(
        graph, config, name, graph.Reshape(graph.Transpose(headMajor, 0, 2, 1, 3), config.Batch, config.Tokens, config.Heads, config.HeadDim));

    private static void OutputOfTokens(OnnxGraph graph, S2Config config, string name, string value) => graph.Output(
        name, RollUpperHeads(graph, config, value, config.Tokens - config.Shift), config.Batch, config.Tokens, config.Heads, config.HeadDim);

    // roll(-by) along the tokens of heads H/2 and up.
    private static string RollUpperHeads(OnnxGraph graph, S2Config config, string value, int by)
    {
        int half = config.Heads / 2;
        string lower = graph.Slice(value, 2, 0, half);
        string upper = graph.Slice(value, 2, half, config.Heads);
        string rolled = graph.Concat(1, graph.Slice(upper, 1, by, config.Tokens), graph.Slice(upper, 1, 0, by));
        return graph.Concat(2, lower, rolled);
    }

    private static int Groups(S2Config config) => config.Tokens / config.GroupSize;
}
