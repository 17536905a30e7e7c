// Which random cases are drawn? Every size, with the edges of the definition weighted in.
using System.Collections.Immutable;
using FsCheck;
using FsCheck.Fluent;
using S2Attn.Spec;

namespace S2Attn.Conformance.Cases;

/// <summary>Random cases. The edges are G = 1, G = N, odd G, S = 0, S = G - 1, odd H, K = 1, ragged N, and every pattern of padding.</summary>
public static class CaseGenerator
{
    // Every so manieth case is drawn again until it lies in the region whose turn it is, but not for ever: few tokens may hold no such case.
    private const int TurnOfRegions = 4, MostDraws = 256;

    // Beside the plain sizes, what levels rest on.
    private static readonly ImmutableArray<Func<CaseTraits, bool>> Regions = [traits => traits.IsRagged, traits => traits.SharesKvHeads, traits => traits.Padded, traits => traits.HasOddGroup];

    /// <summary>So many cases from a seed, drawn when they are asked for. Case i is the same for every count. Of 16 at least one each, in f32 or f64, has a ragged N, K &lt; H, padding, and an odd G.</summary>
    public static IEnumerable<AttentionCase> Sample(int maxTokens, int count, int seed)
    {
        const int Size = 50;
        Gen<AttentionCase> cases = Cases(maxTokens);
        uint first = (uint)Mixed((uint)seed);
        for (int i = 0; i < count; i++)
        {
            AttentionCase item = Drawn(i, 0);
            if (i % TurnOfRegions == TurnOfRegions - 1)
            {
                Func<CaseTraits, bool> region = Regions[(int)((first + (uint)(i / TurnOfRegions)) % (uint)Regions.Length)];
                for (int draw = 1; draw < MostDraws && !IsIn(region, item); draw++)
                    item = Drawn(i, draw);
            }

            yield return item;
        }

        AttentionCase Drawn(int i, int draw) => cases.Sample(1, new Rnd(Mixed(((ulong)(uint)seed << 32) + ((ulong)(uint)draw << 24) + (uint)i), 0x9E3779B97F4A7C15), Size).Single();
    }

    private static bool IsIn(Func<CaseTraits, bool> region, AttentionCase item) => new CaseTraits(item.Config, item.Type, PortOperation.Forward, item.IsPadded, Hidden: false) is { IsFloat: true } traits && region(traits);

    // The finaliser of SplitMix64: neighbouring cases must not be alike.
    private static ulong Mixed(ulong value)
    {
        value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9;
        value = (value ^ (value >> 27)) * 0x94D049BB133111EB;
        return value ^ (value >> 31);
    }

    /// <summary>Cases of up to so many tokens.</summary>
    public static Gen<AttentionCase> Cases(int maxTokens) =>
        from config in Configurations(maxTokens)
        from type in Gen.Frequency((4, Gen.Constant(ElementType.F32)), (2, Gen.Constant(ElementType.F64)), (1, Gen.Constant(ElementType.F16)), (1, Gen.Constant(ElementType.BF16)))
        from kind in Gen.Frequency((5, Gen.Constant(TensorKind.Normal)), (4, Gen.Elements(TensorKinds.Tame.ToArray())))
        from padding in Gen.Frequency((3, Gen.Constant(PaddingPattern.None)), (2, Gen.Elements(Enum.GetValues<PaddingPattern>())))
        from seed in Gen.Choose(0, int.MaxValue - 1)
        select new AttentionCase(config, type, kind, padding, seed);

    /// <summary>Cases for kernels that bear any numbers: every kind of finite numbers, NaN in padded keys, long vectors.</summary>
    public static Gen<AttentionCase> Kernels(int maxTokens, int maxDim, params ElementType[] types) =>
        from config in Configurations(maxTokens, maxDim)
        from type in Gen.Elements(types)
        from kind in Gen.Frequency((4, Gen.Constant(TensorKind.Normal)), (3, Gen.Elements(TensorKinds.Finite.ToArray())))
        from padding in Gen.Frequency((2, Gen.Constant(PaddingPattern.None)), (1, Gen.Elements(Enum.GetValues<PaddingPattern>())))
        from seed in Gen.Choose(0, int.MaxValue - 1)
        select new AttentionCase(config, type, kind, padding, seed) { PadsAreNaN = padding is not PaddingPattern.None };

    /// <summary>Valid configurations of up to so many tokens and elements of a vector. One in twelve has the heads and sequences of a model, at few tokens.</summary>
    public static Gen<S2Config> Configurations(int maxTokens, int maxDim = 24) =>
        Gen.Frequency((11, Narrow(maxTokens, maxDim)), (1, Wide(maxTokens, maxDim)));

    /// <summary>The same configuration with heads that have shifts of their own: phases, also more of them than a group has tokens, or any shift for each head.</summary>
    public static Gen<S2Config> WithOwnShifts(S2Config config)
    {
        ArgumentNullException.ThrowIfNull(config);
        return from shifts in Gen.Choose(0, config.GroupSize - 1).ArrayOf(config.Heads)
               from phases in Gen.Frequency((3, Gen.Choose(2, 4)), (1, Gen.Choose(1, config.GroupSize + 2)))
               from heads in Gen.Elements(HeadShift.Each(shifts), HeadShift.Each(shifts), HeadShift.Phased(phases), HeadShift.Phased(phases, isRotated: true))
               select config.With(request => request with { Shift = null, ShiftedHeads = heads });
    }

    /// <summary>The same configuration with a prefix of either kind: one token, a few, up to the first group and a token, or any number up to all.</summary>
    public static Gen<S2Config> WithPrefix(S2Config config)
    {
        ArgumentNullException.ThrowIfNull(config);
        return from tokens in Gen.Frequency(
                   (2, Gen.Constant(1)), (3, Gen.Choose(1, Math.Min(config.Tokens, 4))), (3, Gen.Choose(1, Math.Min(config.Tokens, config.GroupSize + 1))), (2, Gen.Choose(1, config.Tokens)), (1, Gen.Constant(config.Tokens)))
               from isWhole in Gen.Elements(false, true)
               select config.With(request => request with { Prefix = tokens, IsPrefixWhole = isWhole });
    }

    private static Gen<S2Config> Wide(int maxTokens, int maxDim) =>
        from heads in Gen.Elements(8, 16, 24, 32)
        from kvHeads in Gen.Elements(1, heads / 8, heads)
        from batch in Gen.Choose(1, 5)
        from headDim in Gen.Frequency((3, Gen.Choose(1, Math.Min(4, maxDim))), (1, Gen.Constant(Math.Min(maxDim, 256))))
        let most = Math.Clamp(MostElementsOfWide / (heads * batch * headDim), 1, maxTokens)
        from narrow in Narrow(most, 1)
        select narrow.With(request => request with { Batch = batch, Heads = heads, KvHeads = kvHeads, HeadDim = headDim });

    private const int MostElementsOfWide = 6000;

    private static readonly int[] LongDims = [16, 17, 24, 64, 128, 256];

    private static Gen<S2Config> Narrow(int maxTokens, int maxDim) =>
        from mask in Gen.Elements(MaskPolicies.All.ToArray())
        from tokens in Gen.Frequency((1, Gen.Choose(1, Math.Min(4, maxTokens))), (5, Gen.Choose(1, Math.Min(24, maxTokens))), (2, Gen.Choose(1, maxTokens)))
        from groupSize in GroupSizes(tokens, mask)
        from shift in Gen.Frequency(
            (5, Gen.Constant(groupSize / 2)), (1, Gen.Constant(0)), (1, Gen.Constant(groupSize - 1)), (2, Gen.Choose(0, groupSize - 1)))
        from kvHeads in Gen.Frequency((2, Gen.Constant(1)), (3, Gen.Choose(1, 3)))
        from queriesPerKv in Gen.Frequency((3, Gen.Constant(1)), (3, Gen.Choose(1, 4)))
        let heads = kvHeads * queriesPerKv
        from flags in Gen.Choose(0, (1 << heads) - 1)
        from shifted in Gen.Frequency(
            (5, Gen.Constant(HeadShift.SecondHalf)), (1, Gen.Constant(HeadShift.All)), (1, Gen.Constant(HeadShift.None)),
            (1, Gen.Constant(HeadShift.Of(Enumerable.Range(0, heads).Select(h => ((flags >> h) & 1) == 1)))))
        from headDim in Gen.Frequency(
            (3, Gen.Choose(1, Math.Min(8, maxDim))), (1, Gen.Elements(LongDims.Select(dim => Math.Min(dim, maxDim)).Distinct().ToArray())), (maxDim > 24 ? 1 : 0, Gen.Choose(1, maxDim)))
        from batch in Gen.Frequency((4, Gen.Constant(1)), (3, Gen.Choose(1, 3)), (1, Gen.Choose(4, 5)))
        from customScale in Gen.Frequency((4, Gen.Constant(double.NaN)), (1, Gen.Elements(1.0, 0.5, 0.0, -0.25)))
        select Configs.Create(new S2Request
        {
            Batch = batch,
            Tokens = tokens,
            Heads = heads,
            KvHeads = kvHeads,
            HeadDim = headDim,
            GroupSize = GroupSizeRule.Of(groupSize),
            Shift = shift,
            Mask = mask,
            ShiftedHeads = shifted,
            Scale = double.IsNaN(customScale) ? null : customScale,
        });

    private static Gen<int> GroupSizes(int tokens, MaskPolicy mask)
    {
        int[] divisors = [.. Enumerable.Range(1, tokens).Where(g => tokens % g == 0)];
        int[] inner = [.. divisors.Where(g => g > 1 && g < tokens)];
        int[] odd = [.. divisors.Where(g => g % 2 == 1 && g > 1)];
        Gen<int> divisor = Gen.Elements(inner.Length > 0 ? inner : divisors);
        return Gen.Frequency(
            (5, divisor),
            (2, odd.Length > 0 ? Gen.Elements(odd) : divisor),
            (1, Gen.Constant(1)),
            (1, Gen.Constant(tokens)),
            (mask.CutsWrappedRun() ? 4 : 2, Gen.Choose(1, tokens)));
    }
}
