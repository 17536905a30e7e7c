// What does a part of a sequence ask? Its queries, with the keys that are there for it.
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Conformance.Ports;

/// <summary>Cuts slices out of a case about a whole sequence.</summary>
public static class SliceCase
{
    /// <summary>The question about a slice: its rows of q, do and dlse, its keys of k, v and valid.</summary>
    public static PortCase Of(PortCase whole, S2Slice slice)
    {
        ArgumentNullException.ThrowIfNull(whole);
        ArgumentNullException.ThrowIfNull(slice);
        return whole with
        {
            Part = slice,
            Input = Cut(whole.Input, slice),
            OutputGradient = [.. whole.OutputGradient.Select(gradient => Cut(gradient, slice.Queries))],
            LogSumExpGradient = [.. whole.LogSumExpGradient.Select(gradient => Cut(gradient, slice.Queries))],
        };
    }

    /// <summary>The queries and keys of a slice.</summary>
    public static AttentionInput<double> Cut(AttentionInput<double> input, S2Slice slice)
    {
        ArgumentNullException.ThrowIfNull(input);
        ArgumentNullException.ThrowIfNull(slice);
        return new(Cut(input.Query, slice.Queries), Cut(input.Key, slice.Keys), Cut(input.Value, slice.Keys), Cut(input.Valid, slice.Keys));
    }

    /// <summary>The tokens of a range: [B,N,...] becomes [B,End-Start,...].</summary>
    public static Tensor<T> Cut<T>(Tensor<T> tensor, TokenRange<int> range)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        int tokens = tensor.Shape[1], count = range.End - range.Start, row = tensor.Elements.Length / (tensor.Shape[0] * tokens);
        return Tensor<T>.Build([tensor.Shape[0], count, .. tensor.Shape.AsSpan()[2..]], i => tensor.Elements[At(i, row, count, tokens, range.Start)]);
    }

    /// <summary>Adds a slice's share [B,tokens from start on,heads,D] to the sum for the whole sequence of N tokens.</summary>
    public static void AddShare(Tensor<double> share, Span<double> sum, int tokens, int start)
    {
        ArgumentNullException.ThrowIfNull(share);
        int count = share.Shape[1], row = share.Shape[2] * share.Shape[3];
        for (int i = 0; i < share.Elements.Length; i++)
            sum[At(i, row, count, tokens, start)] += share.Elements[i];
    }

    // Where element i of a part of so many tokens lies in the whole.
    private static int At(int i, int row, int count, int tokens, int start) => (i / row / count * tokens + start + i / row % count) * row + i % row;
}
