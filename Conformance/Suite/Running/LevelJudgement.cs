// Which levels did a port earn, on what evidence, and why not the others?
using System.Collections.Immutable;
using System.Globalization;
using S2Attn.Conformance.Ports;

namespace S2Attn.Conformance.Running;

/// <summary>How a level stands after a run.</summary>
public enum LevelStanding
{
    /// <summary>Cases of every kind that the level rests on ran and held, and no case fails that falls under it.</summary>
    Earned,

    /// <summary>A case that falls under it fails, or the port has not earned level 1, on which the others rest.</summary>
    Denied,

    /// <summary>Nothing speaks against it, but cases that it rests on did not run: the declaration rules them out, or too few were drawn.</summary>
    Unproven,

    /// <summary>The port does not declare what it asks for.</summary>
    NotClaimed,

    /// <summary>The run was stopped, or asked for a part of the properties only; that proves no level.</summary>
    NotJudged,
}

/// <summary>How many cases of one kind held.</summary>
/// <param name="Kind">The kind, in the words of <see cref="LevelEvidence"/>.</param>
/// <param name="Held">The cases that held.</param>
public sealed record KindHeld(string Kind, int Held);

/// <summary>One level of one port.</summary>
/// <param name="Level">The level.</param>
/// <param name="Standing">How it stands.</param>
/// <param name="Evidence">The cases that held, of each kind that the level asks this port for.</param>
/// <param name="Reason">Why it is not earned, in one sentence; empty where it is.</param>
public sealed record LevelJudgement(PortLevel Level, LevelStanding Standing, ImmutableArray<KindHeld> Evidence, string Reason)
{
    // Rows that are named where several deny a level.
    private const int Named = 2;

    /// <summary>The evidence in words: "f16 203, bf16 198 cases held".</summary>
    public string EvidenceWords => string.Create(
        CultureInfo.InvariantCulture, $"{string.Join("; ", Evidence.Select(kind => FormattableString.Invariant($"{kind.Kind}: {kind.Held}")))}");

    /// <summary>All levels of a port.</summary>
    /// <param name="capabilities">What it declares.</param>
    /// <param name="rows">Its rows.</param>
    /// <param name="whole">Whether all properties ran to their end.</param>
    public static ImmutableArray<LevelJudgement> Of(PortCapabilities capabilities, IReadOnlyCollection<PropertyResult> rows, bool whole)
    {
        ArgumentNullException.ThrowIfNull(capabilities);
        ArgumentNullException.ThrowIfNull(rows);
        LevelJudgement first = Judge(PortLevel.Forward, capabilities, rows, whole);
        return
        [
            first,
            .. PortLevels.All.Skip(1).Select(level => Judge(level, capabilities, rows, whole)).Select(item => item.Standing is LevelStanding.Earned && first.Standing is not LevelStanding.Earned
                ? item with { Standing = LevelStanding.Denied, Reason = "it rests on level 1, which is not earned" }
                : item),
        ];
    }

    private static LevelJudgement Judge(PortLevel level, PortCapabilities capabilities, IReadOnlyCollection<PropertyResult> rows, bool whole)
    {
        ImmutableArray<KindHeld> evidence =
            [.. LevelEvidence.Of(level, capabilities).Where(kind => kind.Beside.Length == 0 || Held(kind.Beside) > 0).Select(kind => new KindHeld(kind.Name, Held(kind.Name)))];
        PropertyResult[] denying = [.. rows.Where(row => row.Denied.Contains(level))];
        string[] missing = [.. evidence.Where(kind => kind.Held == 0).Select(kind => kind.Kind)];

        // Level 6 needs no claim: every port is asked.
        ImmutableArray<string> lacks = level is PortLevel.Isolation ? PortLevel.Forward.Lacks(capabilities) : level.Lacks(capabilities);
        (LevelStanding standing, string reason) = (lacks, whole, denying, missing) switch
        {
            ([_, ..], _, _, _) => (LevelStanding.NotClaimed, $"the declaration leaves out {string.Join(", ", lacks)}"),
            (_, false, _, _) => (LevelStanding.NotJudged, "not all properties were run to their end (--filter, a stopped run), and a part of them proves no level"),
            (_, _, [_, ..], _) => (LevelStanding.Denied, $"{Rows(denying)}{Because(level)}"),
            (_, _, _, [_, ..]) => (LevelStanding.Unproven, $"no case held of: {string.Join("; ", missing)}{WhyNone(rows)}"),
            _ => (LevelStanding.Earned, ""),
        };
        return new(level, standing, evidence, reason);

        int Held(string kind) => rows.Sum(row => row.Evidence.GetValueOrDefault(kind));
    }

    private static string Rows(PropertyResult[] denying) =>
        $"{string.Join(", ", denying.Take(Named).Select(row => row.Name))}{(denying.Length > Named ? FormattableString.Invariant($" and {denying.Length - Named} more") : "")} {(denying.Length == 1 ? "fails" : "fail")}";

    private static string Because(PortLevel level) => level is PortLevel.Isolation
        ? ": what stands in k, v of a token reaches queries that may not see it when it is NaN or infinity, as it does wherever a mask is added (NaN + -inf is NaN, 0 * NaN is NaN). Harmless unless hidden or padded tokens hold such values"
        : "";

    private static string WhyNone(IReadOnlyCollection<PropertyResult> rows) =>
        rows.Any(row => row.Cases > 0) ? ". The declaration allows none, or --cases is too small to draw one" : "";
}
