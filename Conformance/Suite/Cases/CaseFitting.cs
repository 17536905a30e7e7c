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
        FixedConfig values = capabilities.Fixed;
        S2Request request = item.Config.ToRequest();
        if (Configs.HasDefaultScale(item.Config))
            request = request with { Scale = null };
        if (!capabilities.Masks.Contains(request.Mask))
            request = request with { Mask = capabilities.Masks[Choice(capabilities.Masks.Length)] };
        request = values.Apply(request);
        if (!capabilities.GroupedQuery)
            request = request with { KvHeads = values.KvHeads ?? request.Heads };

        // What is not fixed follows what is.
        int tokens = values.Tokens ?? Math.Min(request.Tokens, capabilities.MaxTokens);
        int group = values.GroupSize ?? Math.Min(item.Config.GroupSize, Math.Max(tokens, 1));
        bool whole = !capabilities.Ragged || !request.Mask.CutsWrappedRun();
        if (values.GroupSize is null && !capabilities.OddGroup && int.IsOddInteger(group))
            group = group < Math.Min(values.Tokens ?? capabilities.MaxTokens, capabilities.MaxTokens) ? group + 1 : Math.Max(group - 1, 2);
        if (values.Tokens is null)
        {
            tokens = Math.Max(tokens, group);
            tokens = whole ? tokens / group * group : tokens;
        }
        else if (values.GroupSize is null && whole)
        {
            group = Divisor(tokens, group, capabilities.OddGroup);
        }

        return item with
        {
            Config = Configs.Create(request with { Tokens = tokens, GroupSize = GroupSizeRule.Of(group) }),
            Type = capabilities.ElementTypes.Contains(item.Type) ? item.Type : capabilities.ElementTypes[Choice(capabilities.ElementTypes.Length)],
            Padding = capabilities.Padding ? item.Padding : PaddingPattern.None,
        };

        int Choice(int count) => (int)((uint)item.Seed % (uint)count);
    }

    private static int Divisor(int tokens, int near, bool odd) =>
        Enumerable.Range(1, tokens).Where(g => tokens % g == 0 && (odd || g % 2 == 0)).OrderBy(g => Math.Abs(g - near)).FirstOrDefault(near);
}
