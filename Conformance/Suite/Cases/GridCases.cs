// On which axes do the tokens of a case stand?
using System.Collections.Immutable;
using S2Attn.Spec;

namespace S2Attn.Conformance.Cases;

/// <summary>Draws grids of tokens for cases: one to three axes of a few windows each, with heads, mask and scale of the case.</summary>
public static class GridCases
{
    // A grid has up to four times the tokens of a short text, so that there is more than one window on each axis.
    private const int Wider = 4, Wide = 256;

    /// <summary>A grid that a port claims, where it claims grids at all. Two equal cases have equal grids.</summary>
    public static S2Grid Of(PortCapabilities capabilities, AttentionCase item)
    {
        ArgumentNullException.ThrowIfNull(capabilities);
        ArgumentNullException.ThrowIfNull(item);
        if (!capabilities.Fixed.Axes.IsEmpty)
            return Of(item.Config, capabilities.Fixed.Axes);
        Random choices = new(item.Seed ^ 0x6121d);
        int count = choices.Next(4) switch { 0 => 1, 1 => S2Grid.MaxAxes, _ => 2 };
        int left = Math.Min(capabilities.MaxTokens, Math.Max(item.Config.Tokens, (int)Math.Min((long)item.Config.Tokens * Wider, Wide)));
        GridAxis<int>[] axes = new GridAxis<int>[count];
        for (int i = 0; i < count; i++)
        {
            axes[i] = Axis(capabilities, item.Config.Mask, Math.Max(1, (int)Math.Pow(left + 0.5, 1.0 / (count - i))), choices);
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
    private static GridAxis<int> Axis(PortCapabilities capabilities, MaskPolicy mask, int most, Random choices)
    {
        int step = capabilities.OddGroup ? 1 : 2;
        most = Math.Max(most, step);
        int group = step * choices.Next(1, Math.Max(1, (choices.Next(4) == 0 ? most : (most + 1) / 2) / step) + 1), tokens = group * choices.Next(1, most / group + 1);
        if (mask.CutsWrappedRun() && capabilities.Ragged)
            tokens = Math.Min(most, tokens + choices.Next(group));
        return new(tokens, group, choices.Next(3) == 0 ? choices.Next(group) : group / 2);
    }
}
