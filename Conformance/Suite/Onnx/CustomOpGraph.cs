// What does a model look like that asks libs2attn for S2-Attn?
using System.Collections.Immutable;
using System.Globalization;
using S2Attn.Conformance.Ports;
using S2Attn.Spec;

namespace S2Attn.Conformance.Onnx;

/// <summary>
/// One node s2attn::S2Attention, which ONNX Runtime finds in libs2attn (SessionOptions.RegisterCustomOpLibrary). Sizes are symbolic; G, S, the mask and the shifted heads are
/// attributes of the node, under the names of the port protocol, and declared in the metadata.
/// </summary>
public static class CustomOpGraph
{
    private const int Float = 1, UInt8 = 2, Float16 = 10, BFloat16 = 16;

    /// <summary>The bytes of a model with inputs q [B,N,H,D], k and v [B,N,K,D], valid [B,N] (uint8), and outputs o and lse.</summary>
    /// <param name="mask">The mask: any.</param>
    /// <param name="groupSize">G.</param>
    /// <param name="shift">S; not asked for where heads have shifts of their own.</param>
    /// <param name="elementType">Storage of q, k, v and o: F32, F16 or BF16.</param>
    /// <param name="shiftedHeads">Any; flags, or shifts, must be one for each query head.</param>
    /// <param name="threads">Workers of a call: 0 for the processors of the machine.</param>
    /// <param name="scale">Factor of q.k; 1 / sqrt(D) where it is not given.</param>
    /// <param name="prefix">P, the first tokens that every query sees; N must be at least that. 0: no prefix.</param>
    /// <param name="isPrefixWhole">Whether the prefix is seen whole; else it is sinks.</param>
    /// <exception cref="ArgumentException">An argument is not as said, or not 0 &lt;= S &lt; G.</exception>
    public static byte[] Build(
        MaskPolicy mask, int groupSize, int shift, ElementType elementType, HeadShift shiftedHeads, int threads, float? scale = null, int prefix = 0, bool isPrefixWhole = false)
    {
        ArgumentNullException.ThrowIfNull(shiftedHeads);
        if (groupSize < 1)
            throw new ArgumentException($"groupSize = {groupSize}: must be at least 1", nameof(groupSize));
        if (shift < 0 || shift >= groupSize)
            throw new ArgumentException($"shift = {shift}: must be from 0 to groupSize - 1 = {groupSize - 1}", nameof(shift));
        S2AttnGraph.CheckPrefix(prefix, isPrefixWhole);
        ImmutableArray<(string Name, object Value)> ofPrefix = prefix > 0 ? [("prefix", prefix), ("prefixWhole", isPrefixWhole ? 1 : 0)] : [];
        return Build(
            mask, elementType, [("groupSize", groupSize), .. Attributes(shift, shiftedHeads), .. ofPrefix], [("ragged", mask.CutsWrappedRun() ? "true" : "false")], shiftedHeads, threads, scale);
    }

    /// <summary>The same for tokens on several axes, with the axes, the mask, the shifted heads and the scale of a grid; B, H, K and D are symbolic.</summary>
    /// <param name="grid">The grid; its axes are an attribute of the node.</param>
    /// <param name="elementType">Storage of q, k, v and o: F32, F16 or BF16.</param>
    /// <param name="threads">Workers of a call: 0 for the processors of the machine.</param>
    /// <param name="scale">Factor of q.k; 1 / sqrt(D) where it is not given.</param>
    /// <exception cref="ArgumentException">An argument is not as said.</exception>
    public static byte[] Build(S2Grid grid, ElementType elementType, int threads, float? scale = null)
    {
        ArgumentNullException.ThrowIfNull(grid);
        (string Name, object Value)[] heads = [.. Attributes(0, grid.Tokens.ShiftedHeads).Where(attribute => attribute.Name != "shift")];
        return Build(
            grid.Tokens.Mask, elementType, [("axes", grid.Axes.SelectMany(axis => new long[] { axis.Tokens, axis.GroupSize, axis.Shift }).ToArray()), .. heads],
            [("axes", GridJson.Text(grid.Axes))], grid.Tokens.ShiftedHeads, threads, scale);
    }

    // The metadata say what the attributes do, unless they have words of their own for it.
    private static byte[] Build(
        MaskPolicy mask, ElementType elementType, ImmutableArray<(string Name, object Value)> own, ImmutableArray<(string Name, string Word)> words, HeadShift shiftedHeads, int threads, float? scale)
    {
        if (threads < 0)
            throw new ArgumentException($"threads = {threads}: must be at least 1, or 0 for the processors of the machine", nameof(threads));
        int type = elementType switch
        {
            ElementType.F32 => Float,
            ElementType.F16 => Float16,
            ElementType.BF16 => BFloat16,
            _ => throw new ArgumentException($"elementType = {elementType}: the operator stores F32, F16 and BF16", nameof(elementType)),
        };
        OnnxGraph graph = new($"s2attn-custom-{mask}");
        ImmutableArray<string> queries = ["B", "N", "H", "D"], keys = ["B", "N", "K", "D"];
        string[] inputs = [graph.TypedInput("q", type, queries), graph.TypedInput("k", type, keys), graph.TypedInput("v", type, keys), graph.TypedInput("valid", UInt8, "B", "N")];
        ImmutableArray<(string Name, object Value)> attributes =
        [
            .. own,
            ("mask", mask.ToString()),
            ("threads", threads),
            .. scale is { } factor ? [("scale", (object)factor)] : Array.Empty<(string, object)>(),
        ];
        graph.CustomNode("S2Attention", [.. inputs], [("o", type, queries), ("lse", Float, ["B", "N", "H"])], attributes);
        graph.Metadata("s2attn.mask", mask.ToString());
        foreach ((string name, string word) in words)
            graph.Metadata("s2attn." + name, word);
        foreach ((string name, object value) in own.Where(attribute => !words.Any(word => word.Name == attribute.Name)))
            graph.Metadata("s2attn." + name, shiftedHeads is HeadShift.Given && value is long[]? shiftedHeads.ToString() : Word(value));
        return graph.ToCustomModel();
    }

    // The same names in the node and in the metadata, where flags are true and false.
    private static ImmutableArray<(string Name, object Value)> Attributes(int shift, HeadShift shiftedHeads) => shiftedHeads switch
    {
        HeadShift.InPhases phased => [("phases", phased.Count), ("rotated", phased.IsRotated ? 1 : 0)],
        HeadShift.ByEach each => [("shifts", each.Shifts.Select(own => (long)own).ToArray())],
        HeadShift.Given given => [("shift", shift), ("shiftedHeads", given.Flags.Select(flag => flag ? 1L : 0L).ToArray())],
        _ => [("shift", shift), ("shiftedHeads", shiftedHeads.ToString())],
    };

    private static string Word(object value) => value is long[] numbers
        ? $"[{string.Join(",", numbers)}]"
        : string.Create(CultureInfo.InvariantCulture, $"{value}");
}
