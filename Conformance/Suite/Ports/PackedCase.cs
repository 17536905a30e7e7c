// What does a packed batch ask? Each of its sequences alone.
using System.Collections.Immutable;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Conformance.Ports;

/// <summary>Takes a packed case apart and puts the answers together.</summary>
public static class PackedCase
{
    /// <summary>A dense case for each sequence that has tokens; docs/semantics.md says which G and S it has.</summary>
    public static ImmutableArray<PortCase> Sequences(PortCase packed)
    {
        ArgumentNullException.ThrowIfNull(packed);
        S2Request request = packed.Config.ToRequest();
        return
        [
            .. Ranges(packed.Memory.Starts).Select(range => new PortCase(
                S2Config.Create(request.OfPackedSequence(range.Length)),
                packed.ElementType,
                new(range.Cut(packed.Input.Query), range.Cut(packed.Input.Key), range.Cut(packed.Input.Value), Tensor<bool>.Build([1, range.Length], i => packed.Input.Valid[0, range.Start + i])),
                [.. packed.OutputGradient.Select(range.Cut)])),
        ];
    }

    /// <summary>The answer to the packed case whose sequences were answered so; the first that holds no tensors, where one does not.</summary>
    public static PortAnswer Joined(PortCase packed, ImmutableArray<PortAnswer> answers)
    {
        ArgumentNullException.ThrowIfNull(packed);
        if (answers.FirstOrDefault(answer => answer is not (PortAnswer.Forward or PortAnswer.Backward)) is { } none)
            return none;
        ReadOnlySpan<int> query = packed.Input.Query.Shape.AsSpan(), key = packed.Input.Key.Shape.AsSpan();
        if (packed.Operation is PortOperation.Forward)
        {
            PortAnswer.Forward[] forward = [.. answers.Cast<PortAnswer.Forward>()];
            return new PortAnswer.Forward(
                Join(query, forward.Select(answer => answer.Output)),
                forward.Any(answer => answer.LogSumExp.IsEmpty) ? [] : [Join(query[..3], forward.Select(answer => answer.LogSumExp[0]))]);
        }

        Gradients<double>[] gradients = [.. answers.Cast<PortAnswer.Backward>().Select(answer => answer.Gradients)];
        return new PortAnswer.Backward(new(
            Join(query, gradients.Select(each => each.Query)), Join(key, gradients.Select(each => each.Key)), Join(key, gradients.Select(each => each.Value))));
    }

    /// <summary>The answers to the sequences alone that an answer to the packed case is made of.</summary>
    public static ImmutableArray<PortAnswer> Parted(PortCase packed, PortAnswer answer)
    {
        ArgumentNullException.ThrowIfNull(packed);
        return
        [
            .. Ranges(packed.Memory.Starts).Select(range => answer switch
            {
                PortAnswer.Forward forward => new PortAnswer.Forward(range.Cut(forward.Output), [.. forward.LogSumExp.Select(range.Cut)]),
                PortAnswer.Backward { Gradients: var each } => new PortAnswer.Backward(new(range.Cut(each.Query), range.Cut(each.Key), range.Cut(each.Value))),
                _ => answer,
            }),
        ];
    }

    private static IEnumerable<TokenRange> Ranges(ImmutableArray<int> starts) =>
        starts.Zip(starts.Skip(1), (start, end) => new TokenRange(start, end - start)).Where(range => range.Length > 0);

    // Sequences stand one behind the other, and the token is the outermost axis of a batch of one.
    private static Tensor<double> Join(ReadOnlySpan<int> shape, IEnumerable<Tensor<double>> parts) => Tensor<double>.Of(shape, [.. parts.SelectMany(part => part.Elements.ToArray())]);

    private readonly record struct TokenRange(int Start, int Length)
    {
        public Tensor<double> Cut(Tensor<double> tensor)
        {
            int row = tensor.Elements.Length / tensor.Shape[1];
            return Tensor<double>.Of([1, Length, .. tensor.Shape.AsSpan()[2..]], tensor.Elements.Slice(Start * row, Length * row));
        }
    }
}
