// Which parts of the configuration does a port not let the caller choose?
using System.Collections.Immutable;
using S2Attn.Spec;

namespace S2Attn.Conformance.Protocol;

/// <summary>
/// What is built into a port: an exported graph has its group size and shift inside, a GPU kernel its head dimension, a PyTorch port the shift G / 2 and an
/// even number of heads. A case that asks for something else is unsupported, and is not a failure.
/// </summary>
public sealed record FixedConfig
{
    /// <summary>Nothing is fixed.</summary>
    public static FixedConfig None { get; } = new();

    /// <summary>B.</summary>
    public SizeRule Batch { get; init; }

    /// <summary>N.</summary>
    public SizeRule Tokens { get; init; }

    /// <summary>H.</summary>
    public SizeRule Heads { get; init; }

    /// <summary>K.</summary>
    public SizeRule KvHeads { get; init; }

    /// <summary>D.</summary>
    public SizeRule HeadDim { get; init; }

    /// <summary>G.</summary>
    public SizeRule GroupSize { get; init; }

    /// <summary>N / G, rounded up: how many groups there are.</summary>
    public SizeRule Groups { get; init; }

    /// <summary>S, beside <see cref="HalfShift"/>.</summary>
    public SizeRule Shift { get; init; }

    /// <summary>Whether S is always G / 2, rounded down.</summary>
    public bool HalfShift { get; init; }

    /// <summary>Which heads shift, where fixed; null where free.</summary>
    public HeadShift? ShiftedHeads { get; init; }

    /// <summary>The axes on which the tokens stand, where they are built in: the port is then asked about these alone, and about no text. Empty where free.</summary>
    public ImmutableArray<GridAxis<int>> Axes { get; init; } = [];

    /// <summary>P, where a prefix of so many tokens is built in: the port is then asked about texts with this prefix alone. Null where free.</summary>
    public int? Prefix { get; init; }

    /// <summary>Whether the prefix that is built in is seen whole; else it is sinks.</summary>
    public bool IsPrefixWhole { get; init; }

    /// <summary>The factor of the scores, where it is a fixed number; null where it is not.</summary>
    public double? Scale { get; init; }

    /// <summary>Whether the factor of the scores is always 1 / sqrt(D).</summary>
    public bool DefaultScale { get; init; }

    /// <summary>Whether neither the amount of the shift nor the heads that shift are built in.</summary>
    public bool HasFreeShifts => ShiftedHeads is null && !HalfShift && Shift.IsFree;

    /// <summary>G must be greater: the largest shift of a head where each has one that is built in, else 0.</summary>
    public int LargestOwnShift => ShiftedHeads is HeadShift.ByEach { Shifts.IsEmpty: false } each ? each.Shifts.Max() : 0;

    /// <summary>Whether heads that shift, where they are built in, can be those of so many: a list of flags or shifts is for as many as it has.</summary>
    public bool HasShiftsFor(int heads) => ShiftedHeads switch { HeadShift.Given given => given.Flags.Length == heads, HeadShift.ByEach each => each.Shifts.Length == heads, _ => true };

    /// <summary>The rules of sizes by their name in the port protocol.</summary>
    public ImmutableArray<(string Name, SizeRule Rule)> Sizes =>
    [
        ("batch", Batch), ("tokens", Tokens), ("heads", Heads), ("kvHeads", KvHeads), ("headDim", HeadDim), ("groupSize", GroupSize), ("groups", Groups), ("shift", Shift),
    ];

    /// <summary>The shift for a group size: what is fixed, else what is allowed and near to what is wanted.</summary>
    /// <returns>False where no shift below the group size is allowed.</returns>
    public bool TryShift(int groupSize, int wanted, out int shift)
    {
        shift = groupSize / 2;
        return HalfShift || Shift.TryFit(Math.Min(wanted, groupSize - 1), 0, groupSize - 1, 1, out shift);
    }

    /// <summary>What the configuration contradicts, as "fixed.groupSize=4"; empty where it contradicts nothing.</summary>
    public ImmutableArray<string> Contradictions(S2Config config)
    {
        ArgumentNullException.ThrowIfNull(config);
        return
        [
            .. Differs("batch", Batch, config.Batch),
            .. Differs("tokens", Tokens, config.Tokens),
            .. Differs("heads", Heads, config.Heads),
            .. Differs("kvHeads", KvHeads, config.KvHeads),
            .. Differs("headDim", HeadDim, config.HeadDim),
            .. Differs("groupSize", GroupSize, config.GroupSize),
            .. Differs("groups", Groups, (config.Tokens + config.GroupSize - 1) / config.GroupSize),
            .. HalfShift && config.Shift != config.GroupSize / 2 ? ["fixed.shift=half"] : Differs("shift", Shift, config.Shift),
            .. ShiftedHeads is { } heads && !SameHeads(heads, config) ? [$"fixed.shiftedHeads={heads}"] : Array.Empty<string>(),
            .. Prefix is { } prefix && (config.Prefix, config.IsPrefixWhole) != (prefix, IsPrefixWhole) ? [$"fixed.prefix={prefix}{(IsPrefixWhole ? " seen whole" : "")}"] : Array.Empty<string>(),
            .. DefaultScale && !HasDefaultScale(config) ? ["fixed.scale=default"] : Array.Empty<string>(),
            .. Scale is { } scale && config.Scale != scale ? [FormattableString.Invariant($"fixed.scale={scale}")] : Array.Empty<string>(),
        ];
    }

    private static IEnumerable<string> Differs(string name, SizeRule rule, int actual) => rule.Broken(actual).Select(broken => $"fixed.{name}{broken}");

    // Reasons do not hold the number, which depends on D: reports count by reason.
    private static bool HasDefaultScale(S2Config config) => config.Scale == 1 / Math.Sqrt(config.HeadDim);

    // Two ways to say the same set of heads are the same configuration.
    private bool SameHeads(HeadShift fixedHeads, S2Config config) =>
        HasShiftsFor(config.Heads) && Enumerable.Range(0, config.Heads).All(h => fixedHeads.IsShifted(h, config.Heads) == config.ShiftedHeads.IsShifted(h, config.Heads)
            && (!(config.ShiftedHeads.HasOwnShifts || fixedHeads.HasOwnShifts) || config.ShiftOf(h) == fixedHeads.ShiftOf(h, config.Heads, config.GroupSize, config.Shift)));
}
