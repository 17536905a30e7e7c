// Which kinds of cases must hold before a level is earned?
using System.Collections.Immutable;
using S2Attn.Spec;

namespace S2Attn.Conformance.Protocol;

/// <summary>What a question to a port is like.</summary>
/// <param name="Config">The configuration.</param>
/// <param name="ElementType">The storage format.</param>
/// <param name="Operation">The pass.</param>
/// <param name="Padded">Whether some key may be padded.</param>
/// <param name="Hidden">Whether it asks what NaN or infinity does that a query may not see.</param>
public readonly record struct CaseTraits(S2Config Config, ElementType ElementType, PortOperation Operation, bool Padded, bool Hidden)
{
    /// <summary>f32 or f64.</summary>
    public bool IsFloat => ElementType is ElementType.F32 or ElementType.F64;

    /// <summary>The forward pass in f32 or f64.</summary>
    public bool IsFloatForward => Operation is PortOperation.Forward && IsFloat && !Hidden;

    /// <summary>The backward pass in f32 or f64.</summary>
    public bool IsFloatBackward => Operation is PortOperation.Backward && IsFloat && !Hidden;

    /// <summary>The smallest claim: forward, no padding, one kv head for each query head, an even G that divides N.</summary>
    public bool IsPlain => Operation is PortOperation.Forward && !Hidden && !Padded && !SharesKvHeads && !HasOddGroup && !IsRagged;

    /// <summary>K &lt; H.</summary>
    public bool SharesKvHeads => Config.KvHeads < Config.Heads;

    /// <summary>G is odd.</summary>
    public bool HasOddGroup => int.IsOddInteger(Config.GroupSize);

    /// <summary>N is no multiple of G.</summary>
    public bool IsRagged => Config.Tokens % Config.GroupSize != 0;

    /// <summary>Several groups, and a head that shifts.</summary>
    public bool IsShifted
    {
        get
        {
            S2Config config = Config;
            return config.Tokens > config.GroupSize && config.Shift > 0 && Enumerable.Range(0, config.Heads).Any(h => config.ShiftOf(h) > 0);
        }
    }
}

/// <summary>A kind of case that a level rests on.</summary>
/// <param name="Level">The level.</param>
/// <param name="Name">The kind, in words; no two are the same.</param>
/// <param name="Asked">Whether the level asks for it, given what the port declares.</param>
/// <param name="Shows">Whether a case of a port that declares so is of this kind.</param>
public sealed record EvidenceKind(PortLevel Level, string Name, Func<PortCapabilities, bool> Asked, Func<PortCapabilities, CaseTraits, bool> Shows)
{
    /// <summary>The level asks for it only where cases of this kind held; empty where it always does.</summary>
    public string Beside { get; init; } = "";

    /// <inheritdoc/>
    public override string ToString() => $"{(int)Level} {Name}";
}

/// <summary>
/// The evidence of the levels. Only cases count in which a property holds the answer against the definition, value by value or key by key: a port that always says the
/// same passes many a comparison with itself.
/// </summary>
public static class LevelEvidence
{
    // What a port may be asked for beside the plain sizes, forward and backward.
    private static readonly ImmutableArray<(PortLevel Level, string Name, Func<PortCapabilities, bool> Asked, Func<CaseTraits, bool> Has)> Regions =
    [
        (PortLevel.MasksAndPadding, "padded keys", _ => true, traits => traits.Padded),
        (PortLevel.GroupedAndOddSizes, "K < H", _ => true, traits => traits.SharesKvHeads),
        (PortLevel.GroupedAndOddSizes, "odd G", _ => true, traits => traits.HasOddGroup),
        (PortLevel.GroupedAndOddSizes, "N no multiple of G", capabilities => capabilities.Masks.Any(mask => mask.CutsWrappedRun()), traits => traits.IsRagged),
    ];

    /// <summary>Every kind, by level.</summary>
    public static ImmutableArray<EvidenceKind> Kinds { get; } =
    [
        new(PortLevel.Forward, "plain f32, shifted", _ => true, IsPlainShifted),
        new(PortLevel.Forward, "plain f32, S other than G / 2", ShiftIsFree, (capabilities, traits) => IsPlainShifted(capabilities, traits) && 2 * traits.Config.Shift != traits.Config.GroupSize),
        .. MaskPolicies.All.Select(mask => new EvidenceKind(PortLevel.MasksAndPadding, mask.ToString(), _ => true, (_, traits) => traits.IsFloatForward && traits.Config.Mask == mask)),
        .. Regions.Select(region => new EvidenceKind(region.Level, region.Name, region.Asked, (_, traits) => traits.IsFloatForward && region.Has(traits))),
        .. new[] { ElementType.F16, ElementType.BF16 }.Select(type => new EvidenceKind(
            PortLevel.HalfPrecision, ProtocolNames.Of(type), capabilities => capabilities.ElementTypes.Contains(type),
            (_, traits) => traits.Operation is PortOperation.Forward && !traits.Hidden && traits.ElementType == type)),
        new(PortLevel.Gradients, "gradients in f32 or f64", _ => true, (_, traits) => traits.IsFloatBackward),

        // A backward pass by hand goes wrong where the forward pass is right: what was held forward has to be held backward too.
        .. Regions.Select(region => new EvidenceKind(PortLevel.Gradients, $"gradients, {region.Name}", _ => true, (_, traits) => traits.IsFloatBackward && region.Has(traits)) { Beside = region.Name }),
        new(PortLevel.Isolation, "NaN or infinity in hidden k, v: o, lse", _ => true, (_, traits) => traits.Operation is PortOperation.Forward && traits.Hidden),
        new(
            PortLevel.Isolation, "NaN or infinity in padded k, v: dq, dk, dv", capabilities => capabilities.Padding && capabilities.Operations.Contains(PortOperation.Backward),
            (_, traits) => traits.Operation is PortOperation.Backward && traits.Hidden),
    ];

    /// <summary>The kinds that a level asks a port for.</summary>
    public static ImmutableArray<EvidenceKind> Of(PortLevel level, PortCapabilities capabilities) =>
        [.. Kinds.Where(kind => kind.Level == level && kind.Asked(capabilities))];

    /// <summary>The kinds that a case is of.</summary>
    public static ImmutableArray<EvidenceKind> Shown(PortCapabilities capabilities, CaseTraits traits) => [.. Kinds.Where(kind => kind.Shows(capabilities, traits))];

    // Level 1 is about the first mask that is declared; the others are level 2.
    private static bool IsPlainShifted(PortCapabilities capabilities, CaseTraits traits) =>
        traits.IsPlain && traits.IsShifted && traits.ElementType is ElementType.F32 && traits.Config.Mask == capabilities.Masks[0];

    // The direction of a shift by G / 2 cannot be seen; that of another can, in groups of 4 and more.
    private static bool ShiftIsFree(PortCapabilities capabilities) =>
        !capabilities.Fixed.HalfShift && capabilities.Fixed.Shift.IsFree && capabilities.Fixed.GroupSize.TryFit(4, 4, capabilities.MaxTokens / 2, 2, out _);
}
