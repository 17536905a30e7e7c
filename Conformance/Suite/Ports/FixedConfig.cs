// Which parts of the configuration does a port not let the caller choose?
using System.Collections.Immutable;
using S2Attn.Spec;

namespace S2Attn.Conformance.Ports;

/// <summary>
/// Values that are compiled into a port: an exported graph has its group size and shift inside, a GPU kernel its head dimension. Null means free.
/// A case that asks for another value is unsupported, and is not a failure.
/// </summary>
public sealed record FixedConfig
{
    /// <summary>Nothing is fixed.</summary>
    public static FixedConfig None { get; } = new();

    /// <summary>B, where fixed.</summary>
    public int? Batch { get; init; }

    /// <summary>N, where fixed.</summary>
    public int? Tokens { get; init; }

    /// <summary>H, where fixed.</summary>
    public int? Heads { get; init; }

    /// <summary>K, where fixed.</summary>
    public int? KvHeads { get; init; }

    /// <summary>D, where fixed.</summary>
    public int? HeadDim { get; init; }

    /// <summary>G, where fixed.</summary>
    public int? GroupSize { get; init; }

    /// <summary>S, where fixed.</summary>
    public int? Shift { get; init; }

    /// <summary>Which heads shift, where fixed.</summary>
    public HeadShift? ShiftedHeads { get; init; }

    /// <summary>The factor of the scores, where it is a fixed number.</summary>
    public double? Scale { get; init; }

    /// <summary>Whether the factor of the scores is always 1 / sqrt(D).</summary>
    public bool DefaultScale { get; init; }

    /// <summary>The request with every fixed value put in its place; the result may break a rule that the request kept (G must divide N).</summary>
    public S2Request Apply(S2Request request)
    {
        ArgumentNullException.ThrowIfNull(request);
        return request with
        {
            Batch = Batch ?? request.Batch,
            Tokens = Tokens ?? request.Tokens,
            Heads = Heads ?? request.Heads,
            KvHeads = KvHeads ?? request.KvHeads,
            HeadDim = HeadDim ?? request.HeadDim,
            GroupSize = GroupSize is { } groupSize ? GroupSizeRule.Of(groupSize) : request.GroupSize,
            Shift = Shift ?? request.Shift,
            ShiftedHeads = ShiftedHeads ?? request.ShiftedHeads,
            Scale = DefaultScale ? null : Scale ?? request.Scale,
        };
    }

    /// <summary>The fixed values that the configuration contradicts, as "fixed.groupSize=4"; empty where it contradicts none.</summary>
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
            .. Differs("shift", Shift, config.Shift),
            .. ShiftedHeads is { } heads && !SameHeads(heads, config) ? [$"fixed.shiftedHeads={heads}"] : Array.Empty<string>(),
            .. DefaultScale ? DiffersFromDefault(config) : Differs("scale", Scale, config.Scale),
        ];
    }

    private static string[] Differs<T>(string name, T? wanted, T actual)
        where T : struct, IEquatable<T>
        => wanted is { } value && !value.Equals(actual) ? [FormattableString.Invariant($"fixed.{name}={value}")] : [];

    // Not the number, which depends on D: reports count by reason.
    private static string[] DiffersFromDefault(S2Config config) => config.Scale == 1 / Math.Sqrt(config.HeadDim) ? [] : ["fixed.scale=default"];

    // Two ways to say the same set of heads are the same configuration.
    private static bool SameHeads(HeadShift fixedHeads, S2Config config) =>
        (fixedHeads is not HeadShift.Given given || given.Flags.Length == config.Heads)
        && Enumerable.Range(0, config.Heads).All(h => fixedHeads.IsShifted(h, config.Heads) == config.ShiftedHeads.IsShifted(h, config.Heads));
}
