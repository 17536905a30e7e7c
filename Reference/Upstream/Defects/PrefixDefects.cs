// How do implementations of a prefix go wrong?
using System.Collections.Immutable;
using S2Attn.Spec;

namespace S2Attn.Reference.Upstream;

/// <summary>Defects that only show where the first tokens of the text are keys of every query.</summary>
internal static class PrefixDefects
{
    private const string
        AllHeads = "Put the prefix before the keys of every query head, shifted or not.",
        FirstTokens = "Take the first P tokens of the text, before anything is rolled, and no others.",
        ByKind = "Follow the kind that is asked for: of sinks a query sees u < P with u <= t under a causal policy, of a prefix that is seen whole every u < P.",
        Once = "Leave keys of the prefix out of the group's own keys, or out of the prefix where the policy shows them: each key counts once.",
        AllQueries = "Add up dk and dv of the prefix over the queries of every group, as of one tensor that all groups read.";

    public static ImmutableArray<Defect> All { get; } =
    [
        Heads("prefix-ignored", "The prefix is not there: queries see what the mask policy shows, and no more.", (_, _) => false),
        Heads("prefix-not-in-shifted-heads", "Heads that shift have no prefix.", (site, head) => !site.IsShifted(head)),
        Heads("prefix-in-shifted-heads-only", "Heads that do not shift have no prefix.", (site, head) => site.IsShifted(head)),
        Length("prefix-one-short", "The prefix has P - 1 tokens.", (_, length) => Math.Max(0, length - 1)),
        Length("prefix-one-long", "The prefix has P + 1 tokens.", (site, length) => Math.Min(site.Config.Tokens, length + (length > 0 ? 1 : 0))),
        Length("prefix-cut-at-group", "Of a prefix that is longer than a group the first G tokens are taken.", (site, length) => Math.Min(length, site.Config.GroupSize)),
        Prefix("prefix-not-causal", Stage.PrefixOrder, "Sinks are seen whole: under a causal policy a query sees sinks that come after it.", ByKind, prefix => prefix with { IsWhole = _ => true }),
        Prefix("prefix-always-causal", Stage.PrefixOrder, "A prefix that is to be seen whole is seen in the order of the text: its own tokens see no later ones of it.", ByKind, prefix => prefix with { IsWhole = _ => false }),
        Prefix("prefix-kinds-swapped", Stage.PrefixOrder, "The kinds are taken for each other: sinks are seen whole, and a prefix that is to be seen whole in the order of the text.", ByKind,
            prefix => prefix with { IsWhole = config => !config.IsPrefixWhole }),
        Order("prefix-causal-by-position", "Sinks are compared by the places to which the head rolls them: what it rolls to the end is hidden from all before it.",
            "Compare tokens, u <= t, whatever the head shifts.",
            (site, head, t, u, sees) => sees && (!Prefixes.IsOrdered(site.Config.Mask, site.Config.IsPrefixWhole) || site.Position(site.Shift(head), u) <= site.Position(site.Shift(head), t))),
        Order("prefix-hidden-from-itself", "Queries of the prefix itself see no more than the policy shows them.", "Let queries of the prefix see it as all others do: sinks up to themselves, a prefix that is seen whole wholly.",
            (site, _, t, _, sees) => sees && t >= site.Config.Prefix),
        Order("prefix-of-own-group", "A query sees of the prefix what is of its own group before anything is rolled.", "Show the prefix to the queries of every group.",
            (site, _, t, u, sees) => sees && u / site.Config.GroupSize == t / site.Config.GroupSize),
        Place("prefix-after-roll", "In heads that shift the prefix is the first P tokens after the roll, S to S + P - 1, instead of those of the text.", (site, head, place) => site.Token(site.Shift(head), place)),
        Place("prefix-rolled-forwards", "In heads that shift the prefix is rolled by +S: it is the tokens that stand S before the text's first ones on the ring.", (site, head, place) => site.Position(site.Shift(head), place)),
        Prefix("prefix-padding-ignored", Stage.PrefixPadding, "Padded keys of the prefix are seen.", "Put valid over the keys of the prefix too.", prefix => prefix with { SeesPadding = true }),
        Count("prefix-counted-twice", "A key that the policy shows and the prefix too counts as two.", (_, _) => true),
        Count("prefix-counted-twice-in-first-group", "In the first group, which holds the prefix already, a key of it counts as two.", (site, slot) => slot.Position < site.Config.GroupSize),
        Gradient("prefix-gradients-of-own-group", "dk and dv of the prefix lack what flows back from queries that see it through the prefix alone.", AllQueries,
            (_, operand, _, part) => operand is not Operand.Query && part is PrefixPart.Alone ? 0 : 1),
        Gradient("prefix-gradients-of-last-group", "dk and dv of the prefix are what flows back from the last group alone: each group writes its own over those before.", AllQueries,
            (site, operand, slot, _) => operand is not Operand.Query && slot.Position / site.Config.GroupSize < site.Groups - 1 ? 0 : 1),
        Gradient("prefix-gradients-averaged", "dk and dv of the prefix are divided by the number of groups: the mean over the copies that groups read, instead of their sum.", AllQueries,
            (site, operand, _, _) => operand is not Operand.Query ? 1.0 / site.Groups : 1),
        Gradient("prefix-dk-missing", "dk of the prefix is 0.", AllQueries, (_, operand, _, _) => operand is Operand.Key ? 0 : 1),
        Gradient("prefix-dv-missing", "dv of the prefix is 0.", AllQueries, (_, operand, _, _) => operand is Operand.Value ? 0 : 1),
        Forgotten("prefix-forgotten-in-dq", "dq is that of attention without the prefix: its weights are computed again, from the group's own keys alone.", Operand.Query),
        Forgotten("prefix-forgotten-in-gradients", "The backward pass knows of no prefix: dq, dk and dv are those of attention without it.", Operand.Query, Operand.Key, Operand.Value),
        Gradient("prefix-missing-in-dq", "dq lacks what flows back through keys that the prefix alone shows.", "Add ds k of the prefix to dq, as of any key.", (_, operand, _, part) => operand is Operand.Query && part is PrefixPart.Alone ? 0 : 1),
    ];

    private static Defect Prefix(string name, Stage stage, string what, string fix, Func<PrefixStages, PrefixStages> change) =>
        new(name, stage, what, fix, stages => stages with { Prefix = change(stages.Prefix) });

    private static Defect Heads(string name, string what, Func<Site, int, bool> has) => Prefix(name, Stage.PrefixHeads, what, AllHeads,
        prefix => prefix with { Length = (site, head) => has(site, head) ? prefix.Length(site, head) : 0 });

    private static Defect Length(string name, string what, Func<Site, int, int> length) => Prefix(name, Stage.PrefixLength, what, FirstTokens,
        prefix => prefix with { Length = (site, head) => length(site, prefix.Length(site, head)) });

    private static Defect Order(string name, string what, string fix, Func<Site, int, int, int, bool, bool> edge) => Prefix(name, Stage.PrefixOrder, what, fix, prefix => prefix with { Edge = edge });

    private static Defect Place(string name, string what, Func<Site, int, int, int> token) => Prefix(name, Stage.PrefixPlace, what, FirstTokens, prefix => prefix with { Token = token });

    private static Defect Count(string name, string what, Func<Site, Slot, bool> repeats) => Prefix(name, Stage.PrefixCount, what, Once, prefix => prefix with { Repeats = repeats });

    private static Defect Forgotten(string name, string what, params ImmutableArray<Operand> operands) => Prefix(
        name, Stage.PrefixGradient, what, "Compute gradients with the weights of the forward pass, those over the group and the prefix together: exp(score - lse).", prefix => prefix with { ForgottenInGradients = operands });

    private static Defect Gradient(string name, string what, string fix, Func<Site, Operand, Slot, PrefixPart, double> factor) => Prefix(name, Stage.PrefixGradient, what, fix, prefix => prefix with { Gradient = factor });
}
