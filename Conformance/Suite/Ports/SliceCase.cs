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
        AttentionInput<double> input = whole.Input;
        return whole with
        {
            Part = slice,
            Input = new(Cut(input.Query, slice.Queries), Cut(input.Key, slice.Keys), Cut(input.Value, slice.Keys), Cut(input.Valid, slice.Keys)),
            OutputGradient = [.. whole.OutputGradient.Select(gradient => Cut(gradient, slice.Queries))],
            LogSumExpGradient = [.. whole.LogSumExpGradient.Select(gradient => Cut(gradient, slice.Queries))],
        };
    }

    /// <summary>The tokens of a range: [B,N,...] becomes [B,End-Start,...].</summary>
    public static Tensor<T> Cut<T>(Tensor<T> tensor, TokenRange<int> range)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        int tokens = tensor.Shape[1], count = range.End - range.Start, row = tensor.Elements.Length / (tensor.Shape[0] * tokens);
        return Tensor<T>.Build([tensor.Shape[0], count, .. tensor.Shape.AsSpan()[2..]], i => tensor.Elements[(i / row / count * tokens + range.Start + i / row % count) * row + i % row]);
    }
}
