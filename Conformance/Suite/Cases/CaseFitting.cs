// How is a case bent to what a port claims?
using S2Attn.Spec;

namespace S2Attn.Conformance.Cases;

/// <summary>The nearest case that a port claims, so that a port of few capabilities gets as many cases as any other.</summary>
public static class CaseFitting
{
    // Sizes that are tried when two of them depend on each other; rules that allow nothing so small are met at their own smallest values.
    private const int Tried = 64;

    // How long a text of more than two groups may get that are longer than what was wanted.
    private const int TokensInGroups = 96;

    /// <summary>Bends a case. Where no case at all fits what the port says of its sizes, it stays as it is.</summary>
    public static AttentionCase Fit(PortCapabilities capabilities, AttentionCase item)
    {
        ArgumentNullException.ThrowIfNull(capabilities);
        ArgumentNullException.ThrowIfNull(item);
        FixedConfig rules = capabilities.Fixed;
        if (capabilities.Masks.IsEmpty || capabilities.ElementTypes.IsEmpty)
            return item;
        S2Request request = item.Config.ToRequest();
        MaskPolicy mask = capabilities.Masks.Contains(request.Mask) ? request.Mask : capabilities.Masks[Choice(capabilities.Masks.Length)];
        HeadShift shifted = rules.ShiftedHeads ?? (request.ShiftedHeads.HasOwnShifts && !(capabilities.Phases && rules.HasFreeShifts) ? HeadShift.SecondHalf : request.ShiftedHeads);
        (int Heads, int KvHeads)[] heads = [.. HeadCounts(capabilities, request.Heads, request.KvHeads ?? request.Heads).Take(1)];
        (int Tokens, int Group, int Shift)[] lengths = [.. Lengths(capabilities, mask, item.Config).Take(1)];
        if (heads.Length == 0 || lengths.Length == 0)
            return item;
        return item with
        {
            Config = Configs.Create(request with
            {
                Mask = mask,
                Batch = rules.Batch.Fit(request.Batch),
                Heads = heads[0].Heads,
                KvHeads = heads[0].KvHeads,
                HeadDim = rules.HeadDim.Fit(request.HeadDim),
                Tokens = lengths[0].Tokens,
                GroupSize = GroupSizeRule.Of(lengths[0].Group),
                Shift = shifted.HasOwnShifts ? null : lengths[0].Shift,
                ShiftedHeads = shifted,
                Prefix = request.Prefix == 0 || !capabilities.Prefixes ? 0 : rules.Prefix ?? request.Prefix,
                IsPrefixWhole = rules.Prefix is null ? request.IsPrefixWhole : rules.IsPrefixWhole,
                Scale = rules.DefaultScale ? null : rules.Scale ?? (Configs.HasDefaultScale(item.Config) ? null : request.Scale),
            }),
            Type = capabilities.ElementTypes.Contains(item.Type) ? item.Type : item.Type is ElementType.F64 && capabilities.ElementTypes.Contains(ElementType.F32) ? ElementType.F32 : capabilities.ElementTypes[Choice(capabilities.ElementTypes.Length)],
            Padding = capabilities.Padding ? item.Padding : PaddingPattern.None,
        };

        int Choice(int count) => (int)((uint)item.Seed % (uint)count);
    }

    // H near what is wanted first; K, which divides it, as near as it then can be.
    private static IEnumerable<(int Heads, int KvHeads)> HeadCounts(PortCapabilities capabilities, int heads, int kvHeads) =>
        from h in Allowed(capabilities.Fixed.Heads, heads, int.MaxValue)
        where capabilities.Fixed.HasShiftsFor(h)
        from k in Enumerable.Range(1, h).Where(k => h % k == 0 && (capabilities.GroupedQuery || k == h) && capabilities.Fixed.KvHeads.Allows(k)).OrderBy(k => Math.Abs(k - kvHeads)).Take(1)
        select (h, k);

    // G near what is wanted first; N and S follow it.
    private static IEnumerable<(int Tokens, int Group, int Shift)> Lengths(PortCapabilities capabilities, MaskPolicy mask, S2Config wanted)
    {
        bool whole = !capabilities.Ragged || !mask.CutsWrappedRun();
        foreach (int g in Allowed(capabilities.Fixed.GroupSize, wanted.GroupSize, capabilities.MaxTokens).Where(g => (capabilities.OddGroup || g % 2 == 0) && g > capabilities.Fixed.LargestOwnShift))
            foreach (int n in TokenCounts(capabilities, g, whole, wanted).Take(1))
                if (capabilities.Fixed.TryShift(g, wanted.Shift, out int s))
                    yield return (n, g, s);
    }

    // N in groups of G, with room for a prefix that is built in; where the number of groups is ruled too, whole groups of an allowed number.
    private static IEnumerable<int> TokenCounts(PortCapabilities capabilities, int g, bool whole, S2Config wanted)
    {
        int least = Math.Max(g, wanted.Prefix == 0 ? 0 : capabilities.Fixed.Prefix ?? 0), tokens = Math.Max(g == wanted.GroupSize ? wanted.Tokens : InGroupsOf(g, wanted), least);

        // What was drawn for a mask that takes whole groups alone need not have whole groups under another.
        if (!whole && !wanted.Mask.CutsWrappedRun() && capabilities.Fixed.Tokens.IsFree && int.IsOddInteger(wanted.Tokens / wanted.GroupSize))
            tokens = Math.Min(tokens + g / 2, capabilities.MaxTokens);
        if (capabilities.Fixed.Groups.IsFree)
            return capabilities.Fixed.Tokens.TryFit(tokens, least, capabilities.MaxTokens, whole ? g : 1, out int n) ? [n] : [];
        int most = capabilities.MaxTokens / g;
        return Allowed(capabilities.Fixed.Groups, Math.Max(wanted.Tokens / wanted.GroupSize, 1), most).Select(groups => groups * g).Where(n => n >= least && capabilities.Fixed.Tokens.Allows(n));
    }

    // As many groups as are wanted, and as much of the last one: in a single group nothing is seen of a shift. Of great groups fewer, but several where several are wanted.
    private static int InGroupsOf(int g, S2Config wanted)
    {
        (int groups, int rest) = Math.DivRem(wanted.Tokens, wanted.GroupSize);
        int most = Math.Max(2, TokensInGroups / g);
        return Math.Min(groups, most) * g + (rest == 0 ? 0 : Math.Min(Math.Max((int)((long)rest * g / wanted.GroupSize), 1), g - 1));
    }

    // Allowed values, the nearest first, of two equally near the greater.
    private static IEnumerable<int> Allowed(SizeRule rule, int wanted, int most)
    {
        IEnumerable<int> small = Enumerable.Range(1, Math.Max(Tried, wanted));
        IEnumerable<int> least = Enumerable.Range(0, Tried).Select(i => rule.Fit(1) + (long)i * rule.MultipleOf).Where(value => value <= int.MaxValue).Select(value => (int)value);
        return small.Concat(least).Concat(rule.OneOf).Distinct().Where(value => value >= 1 && value <= most && rule.Allows(value))
            .OrderBy(value => Math.Abs((long)value - wanted)).ThenByDescending(value => value);
    }
}
