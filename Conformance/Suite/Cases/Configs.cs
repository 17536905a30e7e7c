// How is a configuration varied so that it stays valid?
using S2Attn.Spec;

namespace S2Attn.Conformance.Cases;

/// <summary>Variations of configurations. What a change of one size would break in another is put right: the shift stays below G, N whole where the policy asks.</summary>
public static class Configs
{
    /// <summary>Whether the factor of the scores is 1 / sqrt(D).</summary>
    public static bool HasDefaultScale(S2Config config)
    {
        ArgumentNullException.ThrowIfNull(config);
        return config.Scale == 1 / Math.Sqrt(config.HeadDim);
    }

    /// <summary>The configuration with some fields changed.</summary>
    /// <param name="config">The configuration.</param>
    /// <param name="change">Changes its request. A default scale follows a change of D, a given set of shifted heads a change of H, and shifts of their own stay below G.</param>
    public static S2Config With(this S2Config config, Func<S2Request, S2Request> change)
    {
        ArgumentNullException.ThrowIfNull(config);
        ArgumentNullException.ThrowIfNull(change);
        S2Request request = config.ToRequest();
        return Create(change(HasDefaultScale(config) ? request with { Scale = null } : request));
    }

    /// <summary>The nearest configuration to a request whose sizes may contradict each other.</summary>
    public static S2Config Create(S2Request request)
    {
        ArgumentNullException.ThrowIfNull(request);
        int tokens = request.Tokens;
        (int wanted, int shift) = request.GroupSize.Resolve(tokens);
        int group = Math.Clamp(wanted, 1, tokens);
        if (!request.Mask.CutsWrappedRun())
            tokens = tokens / group * group;
        int heads = request.Heads;
        int kvHeads = Math.Min(request.KvHeads ?? heads, heads);
        while (heads % kvHeads != 0)
            kvHeads--;
        return S2Config.Create(request with
        {
            Tokens = tokens,
            GroupSize = GroupSizeRule.Of(group),
            Shift = request.ShiftedHeads.HasOwnShifts ? null : Math.Min(request.Shift ?? shift, group - 1),
            KvHeads = kvHeads,
            Prefix = Math.Min(request.Prefix, tokens),
            ShiftedHeads = request.ShiftedHeads switch
            {
                HeadShift.Given given => HeadShift.Of(Enumerable.Range(0, heads).Select(h => h < given.Flags.Length && given.Flags[h])),
                HeadShift.ByEach each => HeadShift.Each(Enumerable.Range(0, heads).Select(h => h < each.Shifts.Length ? Math.Min(each.Shifts[h], group - 1) : 0)),
                _ => request.ShiftedHeads,
            },
        });
    }
}
