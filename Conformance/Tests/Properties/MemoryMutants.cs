// Which mistakes about layouts, packed sequences and strides must the properties see?
using System.Collections.Immutable;
using S2Attn.Conformance.Ports;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Tests.Properties;

/// <summary>The definition, right for dense tensors, with one mistake about where others lie.</summary>
internal static class MemoryMutants
{
    private static readonly ReferencePort Right = new();

    public static ImmutableArray<IAttentionPort> All() =>
    [
        Of("head-major-taken-for-token-major", item => item.Memory.HeadMajor, item => Right.Run(Read(item, tensor => Swapped(tensor)))),
        Of("lse-follows-the-layout", item => item.Memory.HeadMajor, item => Right.Run(item) is PortAnswer.Forward answer ? answer with { LogSumExp = [Swapped(answer.LogSumExp[0])] } : Right.Run(item)),
        Of("gradients-are-token-major", item => item.Memory.HeadMajor, item => Right.Run(item) is PortAnswer.Backward { Gradients: { } gradients }
            ? new PortAnswer.Backward(new(Swapped(gradients.Query), Swapped(gradients.Key), Swapped(gradients.Value))) : Right.Run(item)),
        Packed("packed-as-one-sequence", item => Right.Run(item with { Memory = CaseMemory.Dense })),
        Packed("packed-ends-at-an-empty-sequence", item => Parts(item, (i, part) => Empty(item.Memory.Starts) is >= 0 and int empty && Start(item, i) >= empty ? Nothing(part) : Right.Run(part))),
        Packed("packed-short-sequences-are-not-cut", item => Parts(item, (_, part) => Right.Run(
            part.Config.Tokens < item.Config.GroupSize ? part with { Config = S2Config.Create(part.Config.ToRequest() with { Shift = 0 }) } : part))),
        Packed("packed-padding-is-of-the-first-sequence", item => Parts(item, (_, part) => Right.Run(part with
        {
            Input = part.Input with { Valid = Tensor<bool>.Build(part.Input.Valid.Shape.AsSpan(), u => item.Input.Valid.Elements[u]) },
        }))),
        Of("strides-taken-for-dense", item => !item.Memory.Views.IsEmpty, item => Right.Run(item with { Input = item.Input with { Query = Dense(item.Memory, "q", item.Input.Query) } })),
        Of("negative-strides-read-forwards", item => item.Memory.Views.TryGetValue("q", out TensorView? view) && view.Token < 0,
            item => Right.Run(item with { Input = item.Input with { Query = Placed(item.Input.Query, (b, t, h) => (b, item.Config.Tokens - 1 - t, h)) } })),
        Of("strides-of-the-batch-ignored", item => !item.Memory.Views.IsEmpty, item => Right.Run(Read(item, tensor => Placed(tensor, (_, t, h) => (0, t, h))))),
        Of("writes-between-rows", item => item.Memory.Views.ContainsKey("o") || item.Memory.Views.ContainsKey("dq"), _ => new PortAnswer.Failed(PortFailureKind.Output, "written between its rows")),
    ];

    private static MutantPort Of(string name, Func<PortCase, bool> when, Func<PortCase, PortAnswer> change) => new(name, item => when(item) ? change(item) : Right.Run(item));

    private static MutantPort Packed(string name, Func<PortCase, PortAnswer> change) => Of(name, item => !item.Memory.Starts.IsEmpty, change);

    private static PortCase Read(PortCase item, Func<Tensor<double>, Tensor<double>> change) => item with
    {
        Input = item.Input with { Query = change(item.Input.Query), Key = change(item.Input.Key), Value = change(item.Input.Value) },
        OutputGradient = [.. item.OutputGradient.Select(change)],
    };

    // The numbers of [B,heads,N,...] read as if they were [B,N,heads,...].
    private static Tensor<double> Swapped(Tensor<double> tensor) =>
        TensorView.Dense(false, tensor.Shape.AsSpan()).Gather(value => value, tensor.Shape.AsSpan(), TensorView.Dense(true, tensor.Shape.AsSpan()).Scatter(0.0, value => value, tensor));

    private static Tensor<double> Dense(CaseMemory memory, string name, Tensor<double> tensor)
    {
        double[] storage = memory.ViewOf(name, tensor.Shape.AsSpan()).Scatter(0.0, value => value, tensor);
        return Tensor<double>.Build(tensor.Shape.AsSpan(), i => i < storage.Length ? storage[i] : 0);
    }

    private static Tensor<double> Placed(Tensor<double> tensor, Func<int, int, int, (int B, int T, int H)> from)
    {
        (int tokens, int heads, int dim) = (tensor.Shape[1], tensor.Shape[2], tensor.Shape[3]);
        return Tensor<double>.Build(tensor.Shape.AsSpan(), i =>
        {
            (int b, int t, int h) = from(i / dim / heads / tokens, i / dim / heads % tokens, i / dim % heads);
            return tensor[b, t, h, i % dim];
        });
    }

    private static PortAnswer Parts(PortCase item, Func<int, PortCase, PortAnswer> answer) => PackedCase.Joined(item, [.. PackedCase.Sequences(item).Select((part, i) => answer(i, part))]);

    private static int Empty(ImmutableArray<int> starts) => Enumerable.Range(1, starts.Length - 1).Where(i => starts[i] == starts[i - 1]).Select(i => starts[i]).FirstOrDefault(-1);

    private static int Start(PortCase item, int part) => item.Memory.Starts.Distinct().ElementAt(part);

    private static PortAnswer Nothing(PortCase part) => Right.Run(part with
    {
        Input = part.Input with { Valid = part.Input.Valid.Map(_ => false) },
    });
}
