// What does S2-Attn look like as an ONNX graph?
using System.Collections.Immutable;
using System.Globalization;
using S2Attn.Spec;

namespace S2Attn.Conformance.Onnx;

/// <summary>
/// S2-Attn as it is exported from a framework: the second half of the heads is rolled by -S, tokens are split into groups of G, each group attends under
/// the mask, and the second half is rolled back. B, N, H and D are symbolic; G, S and the mask are in the graph, and declared in its metadata.
/// </summary>
public static class S2AttnGraph
{
    /// <summary>The largest G of a graph, which holds a mask of G x G: 64 MiB there.</summary>
    public const int MaxGroupSize = 8192;

    private const long End = long.MaxValue;

    /// <summary>The bytes of a model with inputs q, k, v [B,N,H,D] and outputs o [B,N,H,D] and lse [B,N,H], all float; N must be a multiple of G.</summary>
    /// <param name="mask">LocalCausal or Split.</param>
    /// <param name="groupSize">G.</param>
    /// <param name="shift">S of the second half of the heads.</param>
    /// <param name="prefix">P, the first tokens that every query sees: their k and v are put before those of each group, where keys of the prefix are then hidden. N must be at least P. 0: no prefix.</param>
    /// <param name="isPrefixWhole">Whether the prefix is seen whole; else it is sinks.</param>
    /// <exception cref="ArgumentException">The mask is neither LocalCausal nor Split, or not 0 &lt;= S &lt; G, or an argument is not as said.</exception>
    public static byte[] Build(MaskPolicy mask, int groupSize, int shift, int prefix = 0, bool isPrefixWhole = false)
    {
        if (mask is not (MaskPolicy.LocalCausal or MaskPolicy.Split))
            throw new ArgumentException($"mask = {mask}: a graph is made for LocalCausal and Split", nameof(mask));
        if (groupSize is < 1 or > MaxGroupSize)
            throw new ArgumentException($"groupSize = {groupSize}: must be from 1 to {MaxGroupSize}", nameof(groupSize));
        if (shift < 0 || shift >= groupSize)
            throw new ArgumentException($"shift = {shift}: must be from 0 to groupSize - 1 = {groupSize - 1}", nameof(shift));
        CheckPrefix(prefix, isPrefixWhole);
        OnnxGraph graph = new($"s2attn-{mask}");
        string query = graph.Input("q", "B", "N", "H", "D"), key = graph.Input("k", "B", "N", "H", "D"), value = graph.Input("v", "B", "N", "H", "D");
        string sizes = graph.Node("Shape", [query]);
        string half = graph.Node("Div", [graph.Slice(sizes, 0, 2, 3), graph.Constant(2L)]);

        string q = Grouped(query, sizes), k = Grouped(key, sizes), v = Grouped(value, sizes);
        string scale = graph.Node("Reciprocal", [graph.Node("Sqrt", [graph.Node("Cast", [graph.Slice(sizes, 0, 3, 4)], ("to", 1))])]);
        if (prefix > 0)
            (k, v) = (WithPrefix(key, k), WithPrefix(value, v));
        string products = graph.Node("MatMul", [q, graph.Transpose(k, 0, 1, 2, 4, 3)]);
        string visible = mask is MaskPolicy.Split ? SplitMask() : graph.Constant(Pairs((i, j) => j <= i), 1, 1, 1, groupSize, groupSize);
        if (prefix > 0)
            visible = WithPrefixMask(visible);
        string scores = graph.Node("Where", [visible, graph.Node("Mul", [products, scale]), graph.Constant([float.NegativeInfinity], 1)]);
        string weights = graph.Node("Softmax", [scores], ("axis", -1));

        // A zero weight times NaN is NaN, so masked values are selected away before they are multiplied.
        string selected = graph.Node("Where", [Unsqueeze(visible, 5), Unsqueeze(v, 3), graph.Constant([0f], 1)]);
        string output = graph.Node("ReduceSum", [graph.Node("Mul", [Unsqueeze(weights, 5), selected]), graph.Constant(4L)], ("keepdims", 0));

        // ONNX Runtime's ReduceLogSumExp takes 0 for the greatest score where the first is -infinity, so that a row whose others are far below 0 gives -infinity.
        string greatest = graph.Node("ReduceMax", [scores], ("axes", new long[] { 4 }), ("keepdims", 1));
        string sum = graph.Node("ReduceSum", [graph.Node("Exp", [graph.Node("Sub", [scores, greatest])]), graph.Constant(4L)], ("keepdims", 1));
        string lse = graph.Node("Add", [greatest, graph.Node("Log", [sum])]);

        graph.Output("o", Ungrouped(output, sizes), "B", "N", "H", "D");
        string rows = graph.Concat(0, graph.Slice(sizes, 0, 0, 3), graph.Constant(1L));
        graph.Output("lse", graph.Node("Squeeze", [Ungrouped(lse, rows), graph.Constant(3L)]), "B", "N", "H");
        Declare(graph, mask, groupSize, shift, prefix, isPrefixWhole);
        return graph.ToModel();

        string Unsqueeze(string tensor, long axis) => graph.Node("Unsqueeze", [tensor, graph.Constant(axis)]);

        // [B,N,H,E], the given shape, to [B,N/G,H,G,E], the second half of the heads rolled by -S along N.
        string Grouped(string tensor, string from)
        {
            string shape = graph.Concat(0, graph.Slice(from, 0, 0, 1), graph.Constant(-1L, groupSize), graph.Slice(from, 0, 2, 4));
            return graph.Transpose(graph.Node("Reshape", [Rolled(tensor, shift), shape]), 0, 1, 3, 2, 4);
        }

        // The inverse of the above, to the given shape [B,N,H,E].
        string Ungrouped(string tensor, string shape) => Rolled(graph.Node("Reshape", [graph.Transpose(tensor, 0, 1, 3, 2, 4), shape]), -shift);

        string Rolled(string tensor, long by)
        {
            if (by == 0)
                return tensor;
            string still = graph.Node("Slice", [tensor, graph.Constant(0L), half, graph.Constant(2L)]);
            string moving = graph.Node("Slice", [tensor, half, graph.Constant(End), graph.Constant(2L)]);
            return graph.Concat(2, still, graph.Concat(1, graph.Slice(moving, 1, by, End), graph.Slice(moving, 1, 0, by)));
        }

        // [B,N/G,H,G,E] to [B,N/G,H,P+G,E]: rows of the first P tokens before those of each group.
        string WithPrefix(string tensor, string grouped)
        {
            string first = Unsqueeze(graph.Transpose(graph.Slice(tensor, 1, 0, prefix), 0, 2, 1, 3), 1);
            string count = graph.Concat(0, graph.Constant(1L), graph.Slice(graph.Node("Shape", [grouped]), 0, 1, 2), graph.Constant(1L, 1L, 1L));
            return graph.Concat(3, graph.Node("Expand", [first, count]), grouped);
        }

        // [1,N/G,H,G,P+G]: what the prefix shows, and of the group what it does not, so that each key counts once. A prefix that is seen whole shows its last token to its first.
        string WithPrefixMask(string group)
        {
            string shape = graph.Concat(0, graph.Constant(1L), graph.Slice(sizes, 0, 1, 3), graph.Constant(1L));
            string tokens = graph.Node("Expand", [graph.Node("Reshape", [Indices(graph.Slice(sizes, 0, 1, 2)), graph.Constant(1L, -1, 1, 1)]), shape]);
            string queries = Grouped(tokens, shape), keys = graph.Transpose(queries, 0, 1, 2, 4, 3);
            string last = isPrefixWhole ? graph.Node("Max", [queries, graph.Constant(prefix - 1L)]) : queries;
            string ofPrefix = graph.Node("LessOrEqual", [graph.Constant([.. Enumerable.Range(0, prefix).Select(u => (long)u)]), last]);
            string isShown = graph.Node("And", [graph.Node("Less", [keys, graph.Constant((long)prefix)]), graph.Node("LessOrEqual", [keys, last])]);
            return graph.Concat(4, ofPrefix, graph.Node("And", [group, graph.Node("Not", [isShown])]));
        }

        // Only the last group of a head that shifts holds two runs: the end of the text and, wrapped, its beginning.
        string SplitMask()
        {
            string groups = graph.Node("Div", [graph.Slice(sizes, 0, 1, 2), graph.Constant((long)groupSize)]);
            string notLast = graph.Node("Less", [Indices(groups), graph.Node("Sub", [groups, graph.Constant(1L)])]);
            string notShifted = graph.Node("Less", [Indices(graph.Slice(sizes, 0, 2, 3)), half]);
            string oneRun = graph.Node(
                "Or",
                [
                    graph.Node("Reshape", [notLast, graph.Constant(1L, -1, 1, 1, 1)]),
                    graph.Node("Reshape", [notShifted, graph.Constant(1L, 1, -1, 1, 1)]),
                ]);
            int wrapped = groupSize - shift;
            string sameRun = graph.Constant(Pairs((i, j) => i >= wrapped == j >= wrapped), 1, 1, 1, groupSize, groupSize);
            return graph.Node("And", [graph.Constant(Pairs((i, j) => j <= i), 1, 1, 1, groupSize, groupSize), graph.Node("Or", [oneRun, sameRun])]);
        }

        string Indices(string count) => graph.Node(
            "Range", [graph.Node("Squeeze", [graph.Constant(0L)]), graph.Node("Squeeze", [count]), graph.Node("Squeeze", [graph.Constant(1L)])]);

        bool[] Pairs(Func<int, int, bool> holds) => [.. Enumerable.Range(0, groupSize * groupSize).Select(at => holds(at / groupSize, at % groupSize))];
    }

    /// <summary>Checks a prefix that is built into a graph.</summary>
    /// <exception cref="ArgumentException">It is negative, or of no tokens and said to be seen whole.</exception>
    internal static void CheckPrefix(int prefix, bool isPrefixWhole)
    {
        if (prefix < 0)
            throw new ArgumentException($"prefix = {prefix}: must be at least 0", nameof(prefix));
        if (isPrefixWhole && prefix == 0)
            throw new ArgumentException("isPrefixWhole = true: needs a prefix of at least one token", nameof(isPrefixWhole));
    }

    private static void Declare(OnnxGraph graph, MaskPolicy mask, int groupSize, int shift, int prefix, bool isPrefixWhole)
    {
        graph.Metadata("s2attn.groupSize", groupSize.ToString(CultureInfo.InvariantCulture));
        graph.Metadata("s2attn.shift", shift.ToString(CultureInfo.InvariantCulture));
        graph.Metadata("s2attn.mask", mask.ToString());
        graph.Metadata("s2attn.shiftedHeads", HeadShift.SecondHalf.ToString());
        graph.Metadata("s2attn.scale", "default");
        if (prefix == 0)
            return;
        graph.Metadata("s2attn.prefix", prefix.ToString(CultureInfo.InvariantCulture));
        graph.Metadata("s2attn.prefixWhole", isPrefixWhole ? "true" : "false");
    }
}
