// Which levels can a port claim, and what does each ask for?
using System.Collections.Immutable;
using S2Attn.Spec;

namespace S2Attn.Conformance.Protocol;

/// <summary>
/// What a port may earn. A level is claimed by declaring its capabilities, and earned where cases of every kind in <see cref="LevelEvidence"/> ran and no case fails that
/// falls under it. Levels 2 to 6 rest on level 1 and not on each other: a float-only port with gradients has levels 1, 2, 3 and 5. Level 6 is asked of every port,
/// and speaks against conformance only where it is claimed.
/// </summary>
public enum PortLevel
{
    /// <summary>Forward in f32 under at least one mask policy.</summary>
    Forward = 1,

    /// <summary>Every mask policy, and padded keys.</summary>
    MasksAndPadding = 2,

    /// <summary>Fewer kv heads than query heads, odd group sizes, and token counts that are no multiple of the group where the mask allows them.</summary>
    GroupedAndOddSizes = 3,

    /// <summary>f16 or bf16 tensors.</summary>
    HalfPrecision = 4,

    /// <summary>The backward pass.</summary>
    Gradients = 5,

    /// <summary>NaN and infinity in keys and values that a query may not see change no bit of its output: masking selects, it does not add.</summary>
    Isolation = 6,
}

/// <summary>The rules of the levels.</summary>
public static class PortLevels
{
    /// <summary>All levels, in order.</summary>
    public static ImmutableArray<PortLevel> All { get; } = [.. Enum.GetValues<PortLevel>()];

    /// <summary>What the level asks for, in words for a report.</summary>
    public static string Title(this PortLevel level) => level switch
    {
        PortLevel.Forward => "forward f32",
        PortLevel.MasksAndPadding => "masks and padding",
        PortLevel.GroupedAndOddSizes => "GQA and odd sizes",
        PortLevel.HalfPrecision => "half precision",
        PortLevel.Gradients => "gradients",
        PortLevel.Isolation => "isolation",
        _ => throw new ArgumentOutOfRangeException(nameof(level), level, "Unknown level."),
    };

    /// <summary>The capabilities that a declaration lacks for the level, in words of the port protocol; empty where the level is claimed.</summary>
    public static ImmutableArray<string> Lacks(this PortLevel level, PortCapabilities capabilities)
    {
        ArgumentNullException.ThrowIfNull(capabilities);
        if (level is not PortLevel.Forward && PortLevel.Forward.Lacks(capabilities) is { IsEmpty: false } missing)
            return missing;
        return level switch
        {
            PortLevel.Forward =>
            [
                .. Where(!capabilities.Operations.Contains(PortOperation.Forward), "ops:forward"),
                .. Where(!capabilities.ElementTypes.Contains(ElementType.F32), "dtypes:f32"),
                .. Where(capabilities.Masks.IsEmpty, "masks"),
            ],
            PortLevel.MasksAndPadding =>
            [
                .. MaskPolicies.All.Where(mask => !capabilities.Masks.Contains(mask)).Select(mask => "masks:" + mask),
                .. Where(!capabilities.Padding, "padding"),
            ],
            PortLevel.GroupedAndOddSizes =>
            [
                .. Where(!capabilities.GroupedQuery, "gqa"),
                .. Where(!capabilities.OddGroup, "oddGroup"),
                .. Where(!capabilities.Ragged && capabilities.Masks.Any(mask => mask.CutsWrappedRun()), "ragged"),
            ],
            PortLevel.HalfPrecision => [.. Where(!capabilities.ElementTypes.Any(IsHalf), "dtypes:f16 or bf16")],
            PortLevel.Gradients => [.. Where(!capabilities.Operations.Contains(PortOperation.Backward), "ops:backward")],
            PortLevel.Isolation => [.. Where(!capabilities.Isolation, "isolation")],
            _ => throw new ArgumentOutOfRangeException(nameof(level), level, "Unknown level."),
        };
    }

    /// <summary>The levels that the declaration claims.</summary>
    public static ImmutableArray<PortLevel> Claimed(PortCapabilities capabilities) => [.. All.Where(level => level.Lacks(capabilities).IsEmpty)];

    /// <summary>
    /// The levels that a failure of such a case denies. A case about hidden NaN denies level 6 alone. A plain case (unpadded, one kv head for each query head, even G dividing
    /// N, f32 or f64, forward) counts for level 1; any other for each level that it needs. Where the port claims level 2, masks other than the first it declares count for that level.
    /// </summary>
    public static ImmutableArray<PortLevel> Of(PortCapabilities capabilities, CaseTraits traits)
    {
        ArgumentNullException.ThrowIfNull(capabilities);
        if (traits.Hidden)
            return [PortLevel.Isolation];
        S2Config config = traits.Config;
        bool firstMask = capabilities.Masks.IsEmpty || config.Mask == capabilities.Masks[0];
        bool manyMasks = PortLevel.MasksAndPadding.Lacks(capabilities).IsEmpty;
        ImmutableArray<PortLevel> levels =
        [
            .. Where(traits.Padded || (manyMasks && !firstMask), PortLevel.MasksAndPadding),
            .. Where(
                config.KvHeads != config.Heads || int.IsOddInteger(config.GroupSize) || config.Tokens % config.GroupSize != 0,
                PortLevel.GroupedAndOddSizes),
            .. Where(IsHalf(traits.ElementType), PortLevel.HalfPrecision),
            .. Where(traits.Operation is PortOperation.Backward, PortLevel.Gradients),
        ];
        return levels.IsEmpty ? [PortLevel.Forward] : levels;
    }

    private static bool IsHalf(ElementType type) => type is ElementType.F16 or ElementType.BF16;

    private static T[] Where<T>(bool condition, T item) => condition ? [item] : [];
}
