// Which mistakes about prefixes must the properties see?
using System.Collections.Immutable;
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Reference;
using S2Attn.Spec;
using S2Attn.Spec.Algebra;

namespace S2Attn.Tests.Properties;

/// <summary>The definition with one mistake about prefixes: right without one, and for what the mistake does not touch.</summary>
internal static class PrefixMutants
{
    private static readonly ReferencePort Right = new();

    public static ImmutableArray<IAttentionPort> All() =>
    [
        Of("prefix-one-short", item => Right.Run(With(item, request => request with { Prefix = request.Prefix - 1 }))),
        Of("prefix-ignored", item => Right.Run(With(item, request => request with { Prefix = 0 }))),
        Of("prefix-kinds-swapped", item => Right.Run(With(item, request => request with { IsPrefixWhole = !request.IsPrefixWhole }))),
        Seen("prefix-not-in-shifted-heads", (config, head, t, u) => Policy(config, head, t, u) || (config.ShiftOf(head) == 0 && Visibility.Visible(config, head, t, u))),
        Seen("prefix-rolled-with-the-shift", (config, head, t, u) => Policy(config, head, t, u)
            || Prefixes.Sees<Int, Bool>(config.Mask, config.IsPrefixWhole, config.Prefix, t, (u + config.ShiftOf(head)) % config.Tokens).Value),
        Seen("prefix-of-own-group", (config, head, t, u) => Policy(config, head, t, u) || (Visibility.Visible(config, head, t, u) && u / config.GroupSize == t / config.GroupSize)),
        Seen("prefix-hidden-from-itself", (config, head, t, u) => Policy(config, head, t, u) || (t >= config.Prefix && Visibility.Visible(config, head, t, u))),
        Of("prefix-counted-twice", CountedTwice),
        Of("prefix-padding-ignored", item => Right.Run(item with
        {
            Input = item.Input with { Valid = Tensor<bool>.Build(item.Input.Valid.Shape.AsSpan(), i => item.Input.Valid.Elements[i] || i % item.Input.Valid.Shape[1] < item.Config.Prefix) },
        })),
        Gradients("prefix-gradients-of-first-tokens", (item, whole) => Own(item) is { } own ? whole with { Key = FromPrefix(item, own.Key, whole.Key), Value = FromPrefix(item, own.Value, whole.Value) } : whole),
        Gradients("prefix-dv-missing", (item, whole) => whole with { Value = FromPrefix(item, whole.Value.Map(_ => 0.0), whole.Value) }),
        Gradients("prefix-forgotten-in-dq", (item, whole) => ((PortAnswer.Backward)Right.Run(With(item, request => request with { Prefix = 0 }))).Gradients is var none ? whole with { Query = none.Query } : whole),
        LostBy("prefix-lost-by-slices", part => !part.IsUnbounded),
        LostBy("prefix-lost-by-growing-texts", part => part.IsUnbounded),
    ];

    private static MutantPort Of(string name, Func<PortCase, PortAnswer> change) => new(name, item => item.Config.Prefix == 0 ? Right.Run(item) : change(item))
    {
        Description = Right.Description with { Name = name, Capabilities = Right.Description.Capabilities with { Slices = false, LogSumExpGradient = false, Grids = false } },
    };

    private static MutantPort LostBy(string name, Func<S2Slice, bool> parts) => new(name, item => item.Config.Prefix > 0 && item.IsSlice && parts(item.Part) ? Right.Run(item with { Part = WithoutPrefix(item.Part) }) : Right.Run(item))
    {
        Description = Right.Description with { Name = name, Capabilities = Right.Description.Capabilities with { Grids = false, LogSumExpGradient = false } },
    };

    private static MutantPort Seen(string name, Func<S2Config, int, int, int, bool> sees) => Of(name, item => MutantPort.Variant(item, visible: (head, t, u) => sees(item.Config, head, t, u)));

    private static MutantPort Gradients(string name, Func<PortCase, Gradients<double>, Gradients<double>> change) => Of(name, item =>
        Right.Run(item) is PortAnswer.Backward answer ? new PortAnswer.Backward(change(item, answer.Gradients)) : Right.Run(item));

    private static PortCase With(PortCase item, Func<S2Request, S2Request> change) => item with { Config = item.Config.With(change) };

    private static bool Policy(S2Config config, int head, int t, int u) => Visibility.Visible<Int, Bool>(config.Mask, config.Tokens, config.GroupSize, config.ShiftOf(head), t, u).Value;

    // A key that is seen through the policy and through the prefix weighs as two.
    private static PortAnswer CountedTwice(PortCase item)
    {
        if (item.Operation is PortOperation.Backward)
            return Right.Run(item);
        S2Config config = item.Config;
        AttentionOutput<double> once = Attention.Forward(config, item.Input);
        double[] output = [.. once.Output.Elements], lse = [.. once.LogSumExp.Elements];
        for (int row = 0; row < lse.Length; row++)
        {
            int h = row % config.Heads, t = row / config.Heads % config.Tokens, b = row / config.Heads / config.Tokens;
            AttentionRow seen = Attention.Row(config, item.Input, b, t, h);
            double[] weights = [.. seen.Weights.Select((weight, i) => weight * (Policy(config, h, t, seen.Keys[i]) && Prefixes.Sees<Int, Bool>(config.Mask, config.IsPrefixWhole, config.Prefix, t, seen.Keys[i]).Value ? 2 : 1))];
            double sum = weights.Sum();
            if (weights.Length == 0)
                continue;
            lse[row] += Math.Log(sum);
            for (int d = 0; d < config.HeadDim; d++)
                output[row * config.HeadDim + d] = weights.Select((weight, i) => weight / sum * item.Input.Value[b, seen.Keys[i], config.KvHeadOf(h), d]).Sum();
        }

        return new PortAnswer.Forward(
            Tensor<double>.Build(once.Output.Shape.AsSpan(), i => item.ElementType.Round(output[i])),
            [Tensor<double>.Build(once.LogSumExp.Shape.AsSpan(), i => item.ElementType is ElementType.F64 ? lse[i] : (float)lse[i])]);
    }

    // dk and dv from queries of the first group alone.
    private static Gradients<double>? Own(PortCase item) => Right.Run(item with
    {
        OutputGradient = [Tensor<double>.Build(item.OutputGradient[0].Shape.AsSpan(), i => i / item.Config.HeadDim / item.Config.Heads % item.Config.Tokens < item.Config.GroupSize ? item.OutputGradient[0].Elements[i] : 0)],
    }) is PortAnswer.Backward answer ? answer.Gradients : null;

    // Rows of the prefix from one tensor [B,N,K,D], the others from another.
    private static Tensor<double> FromPrefix(PortCase item, Tensor<double> prefix, Tensor<double> others)
    {
        int row = item.Config.KvHeads * item.Config.HeadDim;
        return Tensor<double>.Build(others.Shape.AsSpan(), i => i / row % item.Config.Tokens < item.Config.Prefix ? prefix.Elements[i] : others.Elements[i]);
    }

    private static S2Slice WithoutPrefix(S2Slice part) => S2Slice.Create(
        part.Config.With(request => request with { Prefix = 0 }),
        new() { FirstQuery = part.Queries.Start, EndQuery = part.Queries.End, FirstKey = part.Keys.Start, EndKey = part.Keys.End, IsUnbounded = part.IsUnbounded });
}
