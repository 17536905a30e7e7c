// Which memory is a case given: which strides, and which sequences?
using System.Collections.Immutable;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Conformance.Cases;

/// <summary>Draws the memory of a case within what a port declares.</summary>
public static class MemoryCases
{
    /// <summary>
    /// cu_seqlens of a packed batch of N tokens: sequences of several groups, of less than one and of none. Where the mask, or the port, wants whole groups, two short
    /// sequences make up a group between them.
    /// </summary>
    public static ImmutableArray<int> Starts(PortCapabilities capabilities, S2Config config, Random choices)
    {
        ArgumentNullException.ThrowIfNull(capabilities);
        ArgumentNullException.ThrowIfNull(config);
        ArgumentNullException.ThrowIfNull(choices);
        const int Kinds = 5, Empty = 0, Short = 1;
        int group = config.GroupSize, step = capabilities.OddGroup ? 1 : 2;
        bool free = config.Mask.CutsWrappedRun() && capabilities.Ragged && capabilities.OddGroup;
        List<int> starts = [0];
        while (starts[^1] < config.Tokens)
        {
            int at = starts[^1], left = config.Tokens - at, begun = at % group, kind = choices.Next(Kinds);
            int shorter = group > step ? step * choices.Next(1, (group + step - 1) / step) : group;
            int length = kind == Empty ? 0
                : free ? kind == Short ? shorter : choices.Next(1, 3 * group)
                : begun > 0 ? group - begun
                : kind == Short ? shorter
                : group * choices.Next(1, left / group + 1);
            starts.Add(at + Math.Min(length, left));
        }

        return choices.Next(3) == 0 ? [.. starts, config.Tokens] : [.. starts];
    }

    /// <summary>A view for q, and for some of the others, of the kinds that the port declares; for every tensor that is written where it declares that.</summary>
    public static CaseMemory Strided(PortCapabilities capabilities, S2Config config, PortOperation operation, Random choices)
    {
        ArgumentNullException.ThrowIfNull(capabilities);
        ArgumentNullException.ThrowIfNull(config);
        ArgumentNullException.ThrowIfNull(choices);
        int[] query = [config.Batch, config.Tokens, config.Heads, config.HeadDim], key = [config.Batch, config.Tokens, config.KvHeads, config.HeadDim];
        (string Name, int[] Shape)[] read = [("q", query), ("k", key), ("v", key), .. operation is PortOperation.Backward ? new[] { ("do", query) } : []];
        (string Name, int[] Shape)[] written = operation is PortOperation.Backward ? [("dq", query), ("dk", key), ("dv", key)] : [("o", query), ("lse", [.. query[..3], 1])];
        bool negative = capabilities.Strides.Contains(StrideKind.Negative), broadcast = capabilities.Strides.Contains(StrideKind.Broadcast);
        return new()
        {
            Views = CaseMemory.Dense.Views
                .AddRange(read.Where(tensor => tensor.Name == "q" || choices.Next(4) > 0).Select(tensor => KeyValuePair.Create(tensor.Name, Draw(tensor.Shape, negative, broadcast, choices))))
                .AddRange(written.Where(_ => capabilities.Strides.Contains(StrideKind.Written)).Select(tensor => KeyValuePair.Create(tensor.Name, Draw(tensor.Shape, negative, false, choices)))),
        };
    }

    /// <summary>The tensor as it is where one row stands for all along an axis: each row is that of place 0 of the axis.</summary>
    public static Tensor<double> Repeated(CaseMemory memory, string name, Tensor<double> tensor)
    {
        ArgumentNullException.ThrowIfNull(memory);
        ArgumentNullException.ThrowIfNull(tensor);
        return memory.Views.TryGetValue(name, out TensorView? view) && (view.Batch == 0 || view.Token == 0 || view.Head == 0)
            ? view.Gather(value => value, tensor.Shape.AsSpan(), view.Scatter(double.NaN, value => value, tensor))
            : tensor;
    }

    // From the innermost axis outwards, in any order: each stride is what the axes within take, and a gap.
    private static TensorView Draw(int[] shape, bool negative, bool broadcast, Random choices)
    {
        int[] axes = [0, 1, 2], strides = new int[axes.Length];
        choices.Shuffle(axes);
        int single = broadcast && choices.Next(2) == 0 ? choices.Next(axes.Length) : -1, taken = shape[3] + choices.Next(4), offset = choices.Next(5);
        foreach (int axis in axes)
        {
            if (axis == single)
                continue;
            strides[axis] = negative && choices.Next(3) == 0 ? -taken : taken;
            offset += strides[axis] < 0 ? taken * (shape[axis] - 1) : 0;
            taken = taken * shape[axis] + choices.Next(3);
        }

        TensorView view = new(0, offset, strides[0], strides[1], strides[2]);
        return view with { Length = (int)view.End(shape) + choices.Next(5) };
    }
}
