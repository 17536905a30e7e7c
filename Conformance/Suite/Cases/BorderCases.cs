// Which cases lie at the borders of an implementation's own blocks?
using System.Collections.Immutable;
using S2Attn.Spec;

namespace S2Attn.Conformance.Cases;

/// <summary>Where the length that is one, two or three blocks long, less one, or one more, stands.</summary>
public enum BorderPlace
{
    /// <summary>The whole sequence is one group of this length.</summary>
    Group,

    /// <summary>The first run, [0, S), has this length; the rest of the group is half as long.</summary>
    FirstRun,

    /// <summary>The last run of a sequence in two groups has this length.</summary>
    LastRun,
}

/// <summary>Cases at the borders of blocks, crossed with policies, one padded key and one poisoned number.</summary>
public static class BorderCases
{
    private const int MaxBlocks = 3;

    /// <summary>Lengths of blocks that many implementations have, for ports that do not say what theirs are.</summary>
    public static ImmutableArray<int> CommonTiles { get; } = [16, 32, 64];

    /// <summary>A random case with its sizes moved to a border of the port's blocks: chosen by its seed, of at most so many tokens in a run. Numbers are poisoned only for ports that claim isolation.</summary>
    public static AttentionCase Near(PortCapabilities capabilities, int maxLength, AttentionCase item)
    {
        ArgumentNullException.ThrowIfNull(capabilities);
        ArgumentNullException.ThrowIfNull(item);
        Random choice = new(item.Seed ^ 0xb04de4);
        int[] fitting = [.. (capabilities.Tiles.IsEmpty ? CommonTiles : capabilities.Tiles).Where(tile => tile <= maxLength)];
        if (fitting.Length == 0)
            return item;
        int tile = fitting[choice.Next(fitting.Length)], most = Math.Min(MaxBlocks, maxLength / tile);
        int length = Math.Max(1, choice.Next(1, most + 1) * tile + choice.Next(-1, 2));
        AttentionCase moved = At(length, (BorderPlace)choice.Next(3), item.Config.Mask, Math.Min(item.Config.HeadDim, 8), item.Type, item.Seed);
        bool pads = choice.Next(2) == 0, poisons = choice.Next(2) == 0;
        AttentionCase crossed = Crossed(moved, pads, poisons, choice.Next(tile));
        return capabilities.Isolation ? crossed : crossed with { Kind = item.Kind, PadsAreNaN = false };
    }

    /// <summary>Every border of a tile: up to three blocks, less one, whole and one more.</summary>
    public static IEnumerable<int> Lengths(int tile, int maxLength) =>
        from blocks in Enumerable.Range(1, MaxBlocks)
        from offset in Enumerable.Range(-1, 3)
        let length = blocks * tile + offset
        where length >= 1 && length <= maxLength
        select length;

    /// <summary>A case of two query heads, the second shifted, that share one kv head.</summary>
    public static AttentionCase At(int length, BorderPlace place, MaskPolicy mask, int headDim, ElementType type, int seed)
    {
        int half = Math.Max(1, length / 2);
        (int tokens, int group, int shift) = place switch
        {
            BorderPlace.Group => (length, length, length / 2),
            BorderPlace.FirstRun => (length + half, length + half, length),
            BorderPlace.LastRun => (2 * (length + half), length + half, half),
            _ => throw new ArgumentOutOfRangeException(nameof(place), place, "Unknown place."),
        };
        return new(
            Configs.Create(new() { Tokens = tokens, Heads = 2, KvHeads = 1, HeadDim = headDim, GroupSize = GroupSizeRule.Of(group), Shift = shift, Mask = mask }),
            type, TensorKind.Normal, PaddingPattern.None, seed);
    }

    /// <summary>The case with one key padded, counted from the end, and one number poisoned, as asked.</summary>
    public static AttentionCase Crossed(AttentionCase item, bool pads, bool poisons, int fromEnd)
    {
        ArgumentNullException.ThrowIfNull(item);
        int tokens = item.Config.Tokens, key = tokens - 1 - fromEnd % tokens;

        // The seed chooses the padded key: seed modulo N.
        int seed = pads ? Math.Max(0, item.Seed / tokens - 1) * tokens + key : item.Seed;
        return item with
        {
            Kind = poisons ? TensorKind.OnePoisoned : item.Kind,
            Padding = pads ? PaddingPattern.One : PaddingPattern.None,
            PadsAreNaN = pads,
            Seed = seed,
        };
    }
}
