// Which sizes may a port declare, so that the suite itself can draw, keep and compute what it asks for?
using System.Globalization;

namespace S2Attn.Conformance.Protocol;

/// <summary>
/// Ranges of what a declaration fixes, far past every model that exists. A case within them may still be too large for the suite to compute; such a case is
/// left out and counted: see <see cref="CaseBudget"/>.
/// </summary>
public static class DeclaredSizes
{
    /// <summary>The most query heads, or flags in an array of shifted heads.</summary>
    public const int MaxHeads = 1024;

    private const int MaxBatch = 1024, MaxDim = 4096, MaxTokens = 1 << 20;

    /// <summary>Checks every fixed size, and the smallest case that keeps all of them.</summary>
    /// <exception cref="FormatException">One is out of range, or they contradict each other; the message names field, value and rule.</exception>
    public static void Check(PortCapabilities capabilities)
    {
        ArgumentNullException.ThrowIfNull(capabilities);
        FixedConfig values = capabilities.Fixed;
        int batch = Least("batch", values.Batch, 1, MaxBatch), heads = Least("heads", values.Heads, 1, MaxHeads), kvHeads = Least("kvHeads", values.KvHeads, 1, MaxHeads);
        int dim = Least("headDim", values.HeadDim, 1, MaxDim), shift = Least("shift", values.Shift, 0, MaxTokens);
        shift = Math.Max(shift, OwnShift(capabilities));
        int group = Least("groupSize", values.GroupSize, 1, MaxTokens), tokens = Least("tokens", values.Tokens, 1, MaxTokens);
        int groups = Least("groups", values.Groups, 1, MaxTokens);
        if (group > capabilities.MaxTokens)
            throw Wrong("groupSize", group, $"must be at most maxTokens = {capabilities.MaxTokens}");
        if ((long)groups * group > Math.Min(capabilities.MaxTokens, MaxTokens))
            throw Wrong("groups", groups, $"groups of groupSize = {group} must be at most maxTokens = {Math.Min(capabilities.MaxTokens, MaxTokens)} tokens");
        if (values.Scale is { } scale && !double.IsFinite(scale))
            throw Wrong("scale", scale, "must be a finite number");
        if (tokens > capabilities.MaxTokens)
            throw Wrong("tokens", tokens, $"must be at most maxTokens = {capabilities.MaxTokens}");
        if (!values.Tokens.TryFit(group, group, MaxTokens, 1, out _))
            throw Wrong("groupSize", group, $"must be at most tokens = {values.Tokens}");
        if (!values.GroupSize.TryFit(shift + 1, shift + 1, MaxTokens, 1, out int widest))
            throw Wrong("shift", shift, $"must be from 0 to groupSize - 1, groupSize = {values.GroupSize}");
        if (widest > capabilities.MaxTokens)
            throw Wrong("shift", shift, $"must be less than a groupSize of at most maxTokens = {capabilities.MaxTokens}");
        if (values.Heads.OneOf is [var h] && values.KvHeads.OneOf is [var k] && h % k != 0)
            throw Wrong("kvHeads", k, $"must divide heads = {h}");
        if (values.ShiftedHeads is Spec.HeadShift.Given given && !values.Heads.Allows(given.Flags.Length))
            throw Wrong("shiftedHeads", given.Flags.Length, $"must hold one flag for each of the heads = {values.Heads}");
        tokens = Math.Max(Math.Max(Math.Max(tokens, TokensOfAxes(capabilities)), TokensOfPrefix(capabilities)), Math.Max(groups * group, Math.Max(group, shift + 1)));
        heads = Math.Max(heads, kvHeads);
        if ((Int128)batch * tokens * heads * dim > Array.MaxLength)
            throw new FormatException($"fixed: the smallest case that keeps all of it has batch*tokens*heads*headDim = {batch}*{tokens}*{heads}*{dim}: must be at most {Array.MaxLength}");
    }

    // N of the axes that are built in, under every declared mask; 0 where none are.
    private static int TokensOfAxes(PortCapabilities capabilities)
    {
        FixedConfig values = capabilities.Fixed;
        if (values.Axes.IsEmpty)
            return 0;
        if (!capabilities.Grids)
            throw new FormatException("fixed.axes is given: \"grids\" must be true beside it");
        if (values.HalfShift || !values.Shift.IsFree || values.ShiftedHeads is { HasOwnShifts: true } || !values.Tokens.IsFree || !values.GroupSize.IsFree || !values.Groups.IsFree)
            throw new FormatException("fixed.axes is given: tokens, groupSize, groups, shift, shifts and phases must not be, as each axis has its own");
        Int128 tokens = values.Axes.Aggregate((Int128)1, (product, axis) => product * axis.Tokens);
        if (tokens > Math.Min(capabilities.MaxTokens, MaxTokens))
            throw new FormatException(string.Create(CultureInfo.InvariantCulture, $"fixed.axes has {tokens} tokens: must be at most {Math.Min(capabilities.MaxTokens, MaxTokens)}"));
        foreach (Spec.MaskPolicy mask in capabilities.Masks)
            try
            {
                Spec.S2Grid.Create(Spec.S2Config.Create(new() { Tokens = (int)tokens, HeadDim = 1, GroupSize = Spec.GroupSizeRule.Of((int)tokens), Shift = 0, Mask = mask }), values.Axes);
            }
            catch (Spec.InvalidConfigException error)
            {
                throw new FormatException($"fixed.axes: {error.Message}", error);
            }

        return (int)tokens;
    }

    // The fewest tokens of a text with the prefix that is built in; 0 where none is.
    private static int TokensOfPrefix(PortCapabilities capabilities)
    {
        FixedConfig values = capabilities.Fixed;
        if (values.Prefix is not { } prefix)
            return 0;
        if (!capabilities.Prefixes)
            throw new FormatException("fixed.prefix is given: \"prefixes\" must be true beside it");
        if (!values.Axes.IsEmpty)
            throw new FormatException("fixed.prefix is given: fixed.axes must not be, as a grid has no prefix");
        int most = Math.Min(capabilities.MaxTokens, MaxTokens);
        if (prefix < 1 || prefix > most)
            throw Wrong("prefix", prefix, string.Create(CultureInfo.InvariantCulture, $"must be from 1 to maxTokens = {most}"));
        return values.Tokens.TryFit(prefix, prefix, most, 1, out int least) ? least : throw Wrong("prefix", prefix, $"must be at most tokens = {values.Tokens}");
    }

    // The greatest of the shifts that are built in where each head has one of its own; 0 where none has.
    private static int OwnShift(PortCapabilities capabilities)
    {
        FixedConfig values = capabilities.Fixed;
        if (values.ShiftedHeads is not { HasOwnShifts: true } own)
            return 0;
        if (!capabilities.Phases)
            throw new FormatException("fixed.shifts, or fixed.phases, is given: \"phases\" must be true beside it");
        if (values.HalfShift || !values.Shift.IsFree)
            throw new FormatException("fixed.shifts, or fixed.phases, is given: fixed.shift must not be, as heads say themselves by how much they shift");
        if (own is Spec.HeadShift.InPhases phased)
            return phased.Count is >= 1 and <= MaxTokens ? 0 : throw Wrong("phases", phased.Count, string.Create(CultureInfo.InvariantCulture, $"must be from 1 to {MaxTokens}"));
        var each = (Spec.HeadShift.ByEach)own;
        foreach (int shift in each.Shifts.Where(shift => shift is < 0 or >= MaxTokens))
            throw Wrong("shifts", shift, string.Create(CultureInfo.InvariantCulture, $"must hold numbers from 0 to {MaxTokens - 1}"));
        return values.Heads.Allows(each.Shifts.Length)
            ? values.LargestOwnShift
            : throw Wrong("shifts", each.Shifts.Length, $"must hold one number for each of the heads = {values.Heads}");
    }

    // The least value that the rule allows.
    private static int Least(string name, SizeRule rule, int min, int max)
    {
        foreach (int value in rule.OneOf.Where(value => value < min || value > max))
            throw Wrong(name, value, string.Create(CultureInfo.InvariantCulture, $"must be an integer from {min} to {max}"));
        return rule.TryFit(min, min, max, 1, out int least)
            ? least
            : throw new FormatException(string.Create(CultureInfo.InvariantCulture, $"fixed.{name} is {rule}: no value from {min} to {max} fits all of it"));
    }

    private static FormatException Wrong(string name, double value, string rule) => new(string.Create(CultureInfo.InvariantCulture, $"fixed.{name} = {value}: {rule}"));
}
