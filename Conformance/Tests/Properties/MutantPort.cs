// Which wrong implementations must the properties see? Small changes of the definition, each a bug that someone could write.
using System.Collections.Immutable;
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Tests.Properties;

/// <summary>The definition with one thing wrong.</summary>
internal sealed class MutantPort(string name, Func<PortCase, PortAnswer> run) : IAttentionPort
{
    private static readonly ReferencePort Right = new();

    public PortDescription Description { get; init; } = Right.Description with { Name = name, Capabilities = Right.Description.Capabilities with { Slices = false, LogSumExpGradient = false, Grids = false, Prefixes = false } };

    public PortAnswer Run(PortCase portCase) => run(portCase);

    public void Dispose()
    {
    }

    /// <summary>All mutants, new ones at each call because some keep state.</summary>
    public static ImmutableArray<IAttentionPort> All() =>
    [
        new MutantPort("adds-its-mask", AddsItsMask),
        Forward("empty-rows-average", (item, answer) => EmptyRows(item, answer, b => Enumerable.Range(0, item.Config.Tokens).Average(u => item.Input.Value[b, u, 0, 0]))),
        Forward("empty-rows-are-nan", (item, answer) => EmptyRows(item, answer, _ => double.NaN)),
        new MutantPort("naive-exp", item => Variant(item, exp: score => (float)Math.Exp((float)score))),
        new MutantPort("ignores-scale", item => Right.Run(item with { Config = item.Config.With(request => request with { Scale = null }) })),
        new MutantPort("kv-head-modulo", item => Variant(item, kvHead: h => h % item.Config.KvHeads)),
        Forward("lse-in-base-2", (_, answer) => answer with { LogSumExp = [answer.LogSumExp[0].Map(lse => lse / Math.Log(2))] }),
        KeepsState(),
        Forward("entries-round-apart", (item, answer) => answer with
        {
            Output = Tensor<double>.Build(answer.Output.Shape.AsSpan(), i => i < answer.Output.Elements.Length / item.Config.Batch ? answer.Output.Elements[i] : Next(item.ElementType, answer.Output.Elements[i])),
        }),
        new MutantPort("unnormalised", item => Variant(item, normalise: false)),
        new MutantPort("hard-max", item => Variant(item, exp: score => score >= 0 ? 1 : 0)),
        new MutantPort("norm-in-scores", item => Variant(item, bias: (b, u, kvHead) => item.Input.Key.Row(b, u, kvHead).ToArray().Sum(value => value * value) / 16)),
        new MutantPort("strictly-before", item => Variant(item, visible: (h, t, u) => u != t && Visibility.Visible(item.Config, h, t, u))),
        new MutantPort("split-for-local-causal", item => Right.Run(With(item, request => request.Mask is MaskPolicy.LocalCausal ? request with { Mask = MaskPolicy.Split } : request))),
        new MutantPort("local-causal-for-split", item => item.Config.Tokens % item.Config.GroupSize != 0
            ? Right.Run(item) : Right.Run(With(item, request => request.Mask is MaskPolicy.Split ? request with { Mask = MaskPolicy.LocalCausal } : request))),
        new MutantPort("never-shifts", item => Right.Run(With(item, request => request with { Shift = 0 }))),
        new MutantPort("shifts-every-head", item => Right.Run(With(item, request => request with { ShiftedHeads = HeadShift.All }))),
        new MutantPort("shift-off-by-one", item => Right.Run(With(item, request => request with { Shift = Math.Max(0, item.Config.Shift - 1) }))),
        new MutantPort("one-big-group", item => Right.Run(With(item, request => request with { GroupSize = GroupSizeRule.Of(item.Config.Tokens), Shift = item.Config.Shift }))),
        new MutantPort("padding-ignored", item => Right.Run(item with { Input = item.Input with { Valid = item.Input.Valid.Map(_ => true) } })),
        Backward("gradients-without-scale", (item, gradients) => item.Config.Scale == 0 ? gradients : gradients with
        {
            Query = gradients.Query.Map(value => value / item.Config.Scale), Key = gradients.Key.Map(value => value / item.Config.Scale),
        }),
        Backward("dk-doubled", (_, gradients) => gradients with { Key = gradients.Key.Map(value => 2 * value) }),
        Backward("dv-of-one-query-head", (item, gradients) =>
        {
            PortAnswer one = Right.Run(item with
            {
                OutputGradient = [Map(item.OutputGradient[0], (_, _, h, value) => h % (item.Config.Heads / item.Config.KvHeads) == 0 ? value : 0)],
            });
            return gradients with { Value = ((PortAnswer.Backward)one).Gradients.Value };
        }),
        new MutantPort("gradients-without-mask", item => item.Operation is PortOperation.Forward
            ? Right.Run(item) : Right.Run(With(item, request => item.Config.Mask.IsCausal() ? request with { Mask = item.Config.Mask.CutsWrappedRun() ? MaskPolicy.BidirectionalSplit : MaskPolicy.Bidirectional } : request))),
        new MutantPort("gradients-without-padding", item => item.Operation is PortOperation.Forward
            ? Right.Run(item) : Right.Run(item with { Input = item.Input with { Valid = item.Input.Valid.Map(_ => true) } })),
        .. MemoryMutants.All(),
        .. PrefixMutants.All(),
    ];

    private static PortCase With(PortCase item, Func<S2Request, S2Request> change) => item with { Config = item.Config.With(change) };

    private static MutantPort Forward(string name, Func<PortCase, PortAnswer.Forward, PortAnswer> change) =>
        new(name, item => Right.Run(item) is PortAnswer.Forward answer ? change(item, answer) : Right.Run(item));

    private static MutantPort Backward(string name, Func<PortCase, Gradients<double>, Gradients<double>> change) =>
        new(name, item => Right.Run(item) is PortAnswer.Backward answer ? new PortAnswer.Backward(change(item, answer.Gradients)) : Right.Run(item));

    private static MutantPort KeepsState()
    {
        double last = 0;
        return Forward("keeps-state", (item, answer) =>
        {
            double carried = last == answer.Output.Elements[0] ? 0 : last;
            last = answer.Output.Elements[^1];
            return answer with { Output = Map(answer.Output, (b, t, h, value) => b + t + h == 0 && item.Config.Tokens > 1 ? value + 1e-9 * carried : value) };
        });
    }

    // -infinity added to scores: NaN + -infinity is NaN, and 0 * NaN is NaN.
    private static PortAnswer AddsItsMask(PortCase item)
    {
        HashSet<int> spoiled = [.. Enumerable.Range(0, item.Config.Batch).Where(b => Enumerable.Range(0, item.Config.Tokens).Any(u =>
            Enumerable.Range(0, item.Config.KvHeads).Any(h => Spoils(item.Input.Key.Row(b, u, h)) || Spoils(item.Input.Value.Row(b, u, h)))))];
        return Right.Run(item) switch
        {
            PortAnswer.Forward answer => answer with { Output = Map(answer.Output, (b, _, _, value) => spoiled.Contains(b) ? double.NaN : value) },
            PortAnswer.Backward answer => new PortAnswer.Backward(answer.Gradients with { Query = Map(answer.Gradients.Query, (b, _, _, value) => spoiled.Contains(b) ? double.NaN : value) }),
            PortAnswer other => other,
        };

        static bool Spoils(ReadOnlySpan<double> vector) => vector.ToArray().Any(value => !double.IsFinite(value));
    }

    private static PortAnswer.Forward EmptyRows(PortCase item, PortAnswer.Forward answer, Func<int, double> value) => answer with
    {
        Output = Map(answer.Output, (b, t, h, old) => double.IsNegativeInfinity(answer.LogSumExp[0][b, t, h]) ? value(b) : old),
    };

    private static double Next(ElementType type, double value)
    {
        double next = value;
        for (double step = type.UnitRoundoff(); step < 1 && next == value; step *= 2)
            next = type.Round(value * (1 + step));
        return next;
    }

    private static Tensor<double> Map(Tensor<double> tensor, Func<int, int, int, double, double> map)
    {
        double[] elements = [.. tensor.Elements];
        return Tensor<double>.Build(tensor.Shape.AsSpan(), i =>
        {
            int vector = i / tensor.Shape[3], token = vector / tensor.Shape[2];
            return map(token / tensor.Shape[1], token % tensor.Shape[1], vector % tensor.Shape[2], elements[i]);
        });
    }

    /// <summary>The forward pass with one step replaced; the backward pass stays right.</summary>
    internal static PortAnswer Variant(
        PortCase item, Func<double, double>? exp = null, Func<int, int>? kvHead = null, bool normalise = true, Func<int, int, int, double>? bias = null, Func<int, int, int, bool>? visible = null)
    {
        S2Config config = item.Config;
        if (item.Operation is PortOperation.Backward)
            return Right.Run(item);
        double[] output = new double[item.Input.Query.Elements.Length], logs = new double[output.Length / config.HeadDim];
        for (int row = 0; row < logs.Length; row++)
        {
            int h = row % config.Heads, t = row / config.Heads % config.Tokens, b = row / config.Heads / config.Tokens, kv = (kvHead ?? config.KvHeadOf)(h);
            int[] keys = [.. Enumerable.Range(0, config.Tokens).Where(u => item.Input.Valid[b, u] && (visible ?? ((head, query, key) => Visibility.Visible(config, head, query, key)))(h, t, u))];
            double[] scores = [.. keys.Select(u => config.Scale * Dot(item.Input.Query.Row(b, t, h), item.Input.Key.Row(b, u, kv)) + (bias?.Invoke(b, u, kv) ?? 0))];
            double max = keys.Length == 0 ? 0 : scores.Max();

            // The naive exponential takes scores as they are; every other variant subtracts the maximum.
            bool naive = exp is not null && exp(-1) > 0;
            double[] weights = [.. scores.Select(score => naive ? exp!(score) : exp is null ? Math.Exp(score - max) : exp(score - max))];
            double sum = weights.Sum();
            logs[row] = keys.Length == 0 ? double.NegativeInfinity : (naive ? 0 : max) + Math.Log(sum);
            for (int d = 0; d < config.HeadDim && keys.Length > 0; d++)
                output[row * config.HeadDim + d] = item.ElementType.Round(keys.Select((u, i) => weights[i] * item.Input.Value[b, u, kv, d]).Sum() / (normalise ? sum : 1));
        }

        return new PortAnswer.Forward(
            Tensor<double>.Of(item.Input.Query.Shape.AsSpan(), output), [Tensor<double>.Build(item.Input.Query.Shape.AsSpan()[..3], i => item.ElementType is ElementType.F64 ? logs[i] : (float)logs[i])]);
    }

    private static double Dot(ReadOnlySpan<double> a, ReadOnlySpan<double> b)
    {
        double sum = 0;
        for (int d = 0; d < a.Length; d++)
            sum += a[d] * b[d];
        return sum;
    }
}
