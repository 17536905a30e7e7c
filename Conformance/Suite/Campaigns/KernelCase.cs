// Which cases are kernels tried on? Random shapes, masks, formats, padding and values that shrink towards the smallest.
using FsCheck;
using FsCheck.Fluent;
using S2Attn.Conformance.Ports;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Conformance.Campaigns;

/// <summary>What the numbers of a case look like.</summary>
public enum ValueKind
{
    /// <summary>Normal with variance 1, as after a layer norm.</summary>
    Normal,

    /// <summary>Scores of magnitude up to 1e4, positive and negative.</summary>
    Huge,

    /// <summary>Subnormal numbers of the format.</summary>
    Subnormal,

    /// <summary>Values with a common offset 1000 times their spread, where sums cancel.</summary>
    Offset,

    /// <summary>Each vector scaled by its own power of two between 2^-20 and 2^8.</summary>
    MixedScale,

    /// <summary>Keys and queries from {-1, 0, 1} and values one-hot: many equal scores.</summary>
    Discrete,

    /// <summary>Normal, but one vector in sixteen holds one NaN or infinity.</summary>
    Poisoned,
}

/// <summary>One case, small enough to print; <see cref="Build"/> makes its tensors from the seed.</summary>
public sealed record KernelCase(
    int Batch, int Tokens, int GroupSize, int Shift, int KvHeads, int QueriesPerKv, int HeadDim, MaskPolicy Mask, int ShiftedHeads, ElementType Type,
    ValueKind Values, int PaddedPercent, int Seed)
{
    /// <summary>The configuration; sizes are made consistent so that every shrunk case is valid.</summary>
    public S2Config Config
    {
        get
        {
            int group = Math.Clamp(GroupSize, 1, Tokens);
            int tokens = Mask.CutsWrappedRun() ? Tokens : Math.Max(Tokens / group, 1) * group;
            int heads = KvHeads * QueriesPerKv;
            return S2Config.Create(new S2Request
            {
                Batch = Batch,
                Tokens = tokens,
                Heads = heads,
                KvHeads = KvHeads,
                HeadDim = HeadDim,
                GroupSize = GroupSizeRule.Of(group),
                Shift = Math.Min(Shift, group - 1),
                Mask = Mask,
                ShiftedHeads = HeadShift.Of(Enumerable.Range(0, heads).Select(head => ((ShiftedHeads >> head) & 1) == 1)),
            });
        }
    }

    /// <summary>The case on one short line.</summary>
    public string Shown() => $"{Mask} B={Batch} N={Config.Tokens} G={Config.GroupSize} S={Config.Shift} H={Config.Heads} K={KvHeads} D={HeadDim} {Values} padded={PaddedPercent}% seed={Seed}";

    /// <summary>q, k, v and valid keys; padded keys hold NaN.</summary>
    public AttentionInput<double> Build()
    {
        S2Config config = Config;
        Random random = new(Seed);
        Tensor<bool> valid = Tensor<bool>.Build([config.Batch, config.Tokens], _ => random.Next(100) >= PaddedPercent);
        double huge = Math.Sqrt(1e4 * Math.Sqrt(config.HeadDim) / config.HeadDim);
        return new(
            Tensor([config.Batch, config.Tokens, config.Heads, config.HeadDim], random, huge, _ => true),
            Tensor([config.Batch, config.Tokens, config.KvHeads, config.HeadDim], random, huge, IsValid),
            Tensor([config.Batch, config.Tokens, config.KvHeads, config.HeadDim], random, 1, IsValid, Values == ValueKind.Discrete),
            valid);

        bool IsValid(int vector) => valid.Elements[vector / config.KvHeads];
    }

    /// <summary>do, of the shape of o.</summary>
    public Tensor<double> BuildOutputGradient() =>
        Tensor([Config.Batch, Config.Tokens, Config.Heads, Config.HeadDim], new Random(Seed ^ 0x5eed), 1, _ => true);

    /// <summary>The forward case for a port.</summary>
    public PortCase Forward() => new(Config, Type, Build());

    /// <summary>The backward case for a port.</summary>
    public PortCase Backward() => new(Config, Type, Build(), [BuildOutputGradient()]);

    private Tensor<double> Tensor(ReadOnlySpan<int> shape, Random random, double huge, Func<int, bool> isReal, bool oneHot = false)
    {
        int dim = shape[^1];
        double vectorScale = 1;
        int hot = 0, poisoned = 0;
        return Tensor<double>.Build(shape, i =>
        {
            if (i % dim == 0)
                (vectorScale, hot, poisoned) = (Math.ScaleB(1, random.Next(-20, 9)), random.Next(dim), random.Next(16) == 0 ? random.Next(dim) : dim);
            double normal = Normal(random);
            double value = Values switch
            {
                ValueKind.Normal => normal,
                ValueKind.Huge => huge * normal,
                ValueKind.Subnormal => normal * Math.ScaleB(1, Type is ElementType.F16 ? -18 : -130),
                ValueKind.Offset => 10 + 0.01 * normal,
                ValueKind.MixedScale => vectorScale * normal,
                ValueKind.Discrete => oneHot ? (i % dim == hot ? 1 : 0) : random.Next(-1, 2),
                ValueKind.Poisoned => poisoned == i % dim ? Poisons[random.Next(Poisons.Length)] : normal,
                _ => throw new InvalidOperationException($"Unknown kind of values {Values}."),
            };
            return isReal(i / dim) ? Type.Round(value) : double.NaN;
        });
    }

    private static readonly double[] Poisons = [double.NaN, double.PositiveInfinity, double.NegativeInfinity];

    private static double Normal(Random random) =>
        Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
}

/// <summary>Generates and shrinks <see cref="KernelCase"/>.</summary>
public static class KernelCases
{
    /// <summary>Cases of up to so many tokens.</summary>
    public static Gen<KernelCase> UpTo(int maxTokens, int maxDim, params ElementType[] types) =>
        from tokens in Gen.Frequency((3, Gen.Choose(1, Math.Min(40, maxTokens))), (1, Gen.Choose(1, maxTokens)))
        from dim in Gen.Frequency((2, Gen.Choose(1, Math.Min(20, maxDim))), (1, Gen.Choose(1, maxDim)), (1, Gen.Elements(8, 16, 64, 128).Select(d => Math.Min(d, maxDim))))
        from whole in Gen.Choose(0, 3)
        from someGroup in Gen.Choose(1, tokens)
        let divisors = Enumerable.Range(1, tokens).Where(g => tokens % g == 0).ToArray()
        from divisor in Gen.Elements(divisors)
        let groupSize = whole == 0 ? someGroup : divisor
        from halfShift in Gen.Elements(true, false)
        from someShift in Gen.Choose(0, groupSize - 1)
        from kvHeads in Gen.Choose(1, 3)
        from queriesPerKv in Gen.Choose(1, 4)
        from batch in Gen.Choose(1, 2)
        from mask in Gen.Elements(MaskPolicies.All.ToArray())
        from flags in Gen.Choose(0, (1 << (kvHeads * queriesPerKv)) - 1)
        from type in Gen.Elements(types)
        from values in Gen.Frequency((4, Gen.Constant(ValueKind.Normal)), (3, Gen.Elements(Enum.GetValues<ValueKind>().Where(kind => kind is not ValueKind.Poisoned).ToArray())))
        from padded in Gen.Frequency((2, Gen.Constant(0)), (1, Gen.Choose(1, 90)))
        from seed in Gen.Choose(0, int.MaxValue - 1)
        select new KernelCase(
            batch, tokens, groupSize, halfShift ? groupSize / 2 : someShift, kvHeads, queriesPerKv, dim, mask, flags, type, values, padded, seed);

    /// <summary>Simpler cases that may fail for the same reason.</summary>
    public static IEnumerable<KernelCase> Shrink(KernelCase item)
    {
        ArgumentNullException.ThrowIfNull(item);
        foreach (int tokens in Smaller(item.Tokens))
            yield return item with { Tokens = tokens };
        foreach (int dim in Smaller(item.HeadDim))
            yield return item with { HeadDim = dim };
        if (item.Batch > 1)
            yield return item with { Batch = 1 };
        if (item.KvHeads > 1)
            yield return item with { KvHeads = 1 };
        if (item.QueriesPerKv > 1)
            yield return item with { QueriesPerKv = 1 };
        if (item.PaddedPercent > 0)
            yield return item with { PaddedPercent = 0 };
        if (item.Values != ValueKind.Normal)
            yield return item with { Values = ValueKind.Normal };
        if (item.ShiftedHeads != 0)
            yield return item with { ShiftedHeads = 0 };
        foreach (int group in Smaller(item.GroupSize))
            yield return item with { GroupSize = group };
        if (item.Shift > 0)
            yield return item with { Shift = item.Shift / 2 };
    }

    private static IEnumerable<int> Smaller(int value)
    {
        for (int step = value / 2; step > 0; step /= 2)
            yield return value - step;
    }
}
