// On which axes do the tokens of a case stand?
using System.Collections.Immutable;
using S2Attn.Spec;

namespace S2Attn.Conformance.Cases;

/// <summary>Draws grids of tokens for cases: one to three axes of a few windows each, with heads, mask and scale of the case.</summary>
public static class GridCases
{
    // Two axes have as many tokens as four of one had, so that there is more than one window on each.
    private const int Wider = 4;

    /// <summary>A grid of at most so many tokens, and four times those of the case. Two equal cases have equal grids.</summary>
    public static S2Grid Of(AttentionCase item, int maxTokens)
    {
        ArgumentNullException.ThrowIfNull(item);
        Random choices = new(item.Seed ^ 0x6121d);
        int count = choices.Next(4) switch { 0 => 1, 1 => S2Grid.MaxAxes, _ => 2 };
        int left = Math.Max(1, Math.Min(maxTokens, Math.Min(item.Config.Tokens, int.MaxValue / Wider) * Wider));
        GridAxis<int>[] axes = new GridAxis<int>[count];
        for (int i = 0; i < count; i++)
        {
            axes[i] = Axis(item.Config.Mask, Math.Max(1, (int)Math.Pow(left + 0.5, 1.0 / (count - i))), choices);
            left /= axes[i].Tokens;
        }

        choices.Shuffle(axes);
        return Of(item.Config, axes);
    }

    /// <summary>The grid of these axes with the heads, the mask and the scale of a configuration.</summary>
    public static S2Grid Of(S2Config config, params IEnumerable<GridAxis<int>> axes)
    {
        ArgumentNullException.ThrowIfNull(config);
        ImmutableArray<GridAxis<int>> all = [.. axes];
        int tokens = all.Aggregate(1, (product, axis) => product * axis.Tokens);
        HeadShift shifted = config.ShiftedHeads.HasOwnShifts ? HeadShift.Of(Enumerable.Range(0, config.Heads).Select(head => config.ShiftOf(head) > 0)) : config.ShiftedHeads;
        return S2Grid.Create(S2Config.Create(config.ToRequest() with { Tokens = tokens, GroupSize = GroupSizeRule.Of(tokens), Shift = 0, ShiftedHeads = shifted }), all);
    }

    // Two groups or more where there is room, of several tokens where there is more of it.
    private static GridAxis<int> Axis(MaskPolicy mask, int most, Random choices)
    {
        int group = choices.Next(1, Math.Max(1, Math.Min(most, choices.Next(4) == 0 ? most : (most + 1) / 2)) + 1);
        int tokens = group * choices.Next(1, most / group + 1);
        if (mask.CutsWrappedRun())
            tokens = Math.Min(most, tokens + choices.Next(group));
        return new(tokens, group, choices.Next(3) == 0 ? choices.Next(group) : group / 2);
    }
}
