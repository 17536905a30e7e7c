// How is a case bent to what a port claims?
using S2Attn.Conformance.Ports;
using S2Attn.Spec;

namespace S2Attn.Conformance.Cases;

/// <summary>The nearest case that a port claims, so that a port of few capabilities gets as many cases as any other.</summary>
public static class CaseFitting
{
    /// <summary>Bends a case. Where the fixed values of a port break a rule of the definition together with the case, it stays as it is.</summary>
    public static AttentionCase Fit(PortCapabilities capabilities, AttentionCase item)
    {
        ArgumentNullException.ThrowIfNull(capabilities);
        ArgumentNullException.ThrowIfNull(item);
        if (capabilities.Masks.IsEmpty || capabilities.ElementTypes.IsEmpty)
            return item;
        S2Request request = item.Config.ToRequest();
        if (Configs.HasDefaultScale(item.Config))
            request = request with { Scale = null };
        if (!capabilities.Masks.Contains(request.Mask))
            request = request with { Mask = capabilities.Masks[(int)((uint)item.Seed % (uint)capabilities.Masks.Length)] };
        if (!capabilities.GroupedQuery)
            request = request with { KvHeads = request.Heads };
        int group = item.Config.GroupSize, tokens = Math.Min(request.Tokens, capabilities.MaxTokens);
        if (!capabilities.OddGroup && int.IsOddInteger(group))
        {
            group++;
            tokens = item.Config.Tokens % item.Config.GroupSize == 0 ? item.Config.Tokens / item.Config.GroupSize * group : Math.Max(tokens, group);
        }

        while (tokens > capabilities.MaxTokens && tokens > group)
            tokens -= group;
        if (!capabilities.Ragged)
            tokens = Math.Max(tokens / group * group, group);
        request = capabilities.Fixed.Apply(request with { Tokens = tokens, GroupSize = GroupSizeRule.Of(group) });
        (group, _) = request.GroupSize.Resolve(request.Tokens);

        // What is not fixed follows what is.
        if (capabilities.Fixed.Tokens is null && group > request.Tokens)
            request = request with { Tokens = group };
        if (capabilities.Fixed.Tokens is { } fixedTokens && capabilities.Fixed.GroupSize is null && !(capabilities.Ragged && request.Mask.CutsWrappedRun()))
            request = request with { GroupSize = GroupSizeRule.Of(Divisor(fixedTokens, group, capabilities.OddGroup)) };
        ElementType type = capabilities.ElementTypes.Contains(item.Type) ? item.Type : capabilities.ElementTypes[(int)((uint)item.Seed % (uint)capabilities.ElementTypes.Length)];
        return item with
        {
            Config = Configs.Create(request),
            Type = type,
            Padding = capabilities.Padding ? item.Padding : PaddingPattern.None,
        };
    }

    private static int Divisor(int tokens, int near, bool odd) =>
        Enumerable.Range(1, tokens).Where(g => tokens % g == 0 && (odd || g % 2 == 0)).OrderBy(g => Math.Abs(g - near)).FirstOrDefault(near);
}
