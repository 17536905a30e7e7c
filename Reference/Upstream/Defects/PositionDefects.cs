// What goes wrong where the position of a token is computed: remainders of negative numbers, counting from 1, and the ends of windows and loops?
using System.Collections.Immutable;
using S2Attn.Spec;

namespace S2Attn.Reference.Upstream;

internal static class PositionDefects
{
    public static ImmutableArray<Defect> All { get; } =
    [
        Placed("position-negative", "The first S tokens of a shifted head are in its first group instead of behind the last token: their position t - S is negative and its remainder stays so, as % of C, C++, Java, JavaScript and Go and mod of Fortran give it.",
            "Take the remainder of t - S + N, which is not negative.", (site, shift, token) => (token - shift) % site.Ring),
        Placed("position-unsigned", "The first S tokens of a shifted head stand at wrong positions unless N is a power of two: t - S is taken of unsigned numbers of 64 bits (size_t, usize) and wraps there, before the remainder of N.",
            "Take the remainder of t + N - S, which is never below 0.", (site, shift, token) => Unsigned(token - shift, 64, site.Ring)),
        Placed("position-unsigned-32", "The first S tokens of a shifted head stand at wrong positions unless N is a power of two: t - S is taken of unsigned numbers of 32 bits (uint) and wraps there, before the remainder of N.",
            "Take the remainder of t + N - S, which is never below 0.", (site, shift, token) => Unsigned(token - shift, 32, site.Ring)),
        Placed("groups-counted-from-one", "Every group begins one token early: the first has G - 1 tokens and the last token is alone, because positions are counted from 1 and divided by G.",
            "Divide the position less 1: floor((p - 1) / G) where p counts from 1.", (site, shift, token) => site.Position(shift, token) + 1),
        Placed("positions-counted-from-one", "Every head is rolled by one token less than it should, the heads that do not shift by -1: positions are counted from 1 and their remainder is taken as if from 0, so that the last token is first.",
            "Take 1 off before the remainder: mod(t - 1 - S, N) where t counts from 1.", (site, shift, token) => site.OnRing(token - shift + 1)),
        Cut("run-ends-one-early", "The wrapped run ends one token early: token S - 1 counts as one that the roll did not wrap (t >= S, where t counts from 1).", "Let the wrapped run be the first S tokens: t >= S where t counts from 0, t > S where it counts from 1.", -1),
        Cut("run-ends-one-late", "The wrapped run ends one token late: token S counts as one that the roll wrapped (t > S, where t counts from 0).", "Let the wrapped run be the first S tokens: t >= S where t counts from 0.", 1),
        new("causal-in-first-group-alone", Stage.Edge, "Groups behind the first have no causal mask: it hides a key after the query's place and all keys of the groups before (n_past of diag_mask_inf), and a group holds too few for that.",
            "Build the mask of a group from places inside the group: it has no past, n_past is 0.",
            stages => stages with
            {
                Edge = (site, query, key, sees) => stages.Edge(site, query, key, sees || site.Config.Mask.IsCausal() && query.Position >= site.Config.GroupSize && MaskDefects.WithoutOrder(stages).Sees(site, query, key)),
            }),
        new("positions-sorted-as-texts", Stage.Regroup, "Where there are more than 10 tokens their positions are sorted as texts, so that 10 comes before 2, and groups are cut from that order.", "Sort by number: sort((a, b) => a - b) in JavaScript, whose sort() compares texts.",
            stages => stages with
            {
                Regroup = (site, operand, slot) => stages.Regroup(site, operand, slot with { Position = AsTexts(site.Ring)[slot.Position] }),
                Ungroup = (site, slot) => stages.Ungroup(site, slot) is var own ? own with { Position = Array.IndexOf(AsTexts(site.Ring), own.Position) } : slot,
            }),
        new("half-a-group-before-seen", Stage.Regroup, "A query of a shifted head sees its unshifted group and the S tokens before that (chunks that overlap), instead of its shifted group.", "Roll the shifted heads by -S and cut them into groups of G tokens, as the others: groups do not overlap.",
            stages => stages with
            {
                Group = (site, slot) => site.IsShifted(slot.Head) ? 0 : stages.Group(site, slot),
                Edge = (site, query, key, sees) => site.IsShifted(query.Head)
                    ? (site.Token(query), site.Token(key)) is var (t, u) && u < site.Config.Tokens && u >= t - t % site.Config.GroupSize - site.Shift(query.Head)
                        && (site.Config.Mask.IsCausal() ? u <= t : u < t - t % site.Config.GroupSize + site.Config.GroupSize)
                    : stages.Edge(site, query, key, sees),
            }),
        new("last-window-moved-back", Stage.Regroup, "The last window of a shifted head, which holds fewer than G tokens, is moved back until it holds G, and its results take the place of those of the window before.",
            "Let the last window be short (or fill it up and hide what fills it): dynamic_slice and dynamic_update_slice move a window back that would stand over the end.",
            stages => stages with
            {
                Group = (site, slot) => 0,
                Edge = (site, query, key, _) => (site.Token(query), site.Token(key)) is var (t, u) && t < site.Config.Tokens && u < site.Config.Tokens && (!site.Config.Mask.IsCausal() || u <= t)
                    && Window(site, query.Head, t) is var (first, end) && u >= first && u < end,
            }),
        new("last-piece-dropped", Stage.Rows, "The last piece of a head, where it holds fewer than G tokens, is not computed: its rows are 0.", "Let the borders end with N: a range that steps by G from S stops before it.",
            stages => stages with { Leaves = (site, row) => stages.Leaves(site, row) || site.Shift(row.Head) is var shift && row.Token - shift >= (site.Config.Tokens - shift) / site.Config.GroupSize * site.Config.GroupSize }),
        new("groups-rounded-down", Stage.Rows, "Only N / G groups of what was rolled are computed, rounded down: where N is no multiple of G the rows at the positions behind are 0.", "Compute N / G groups rounded up, (N + G - 1) / G, the last one with what is left, or do not declare ragged.",
            stages => stages with { Leaves = (site, row) => stages.Leaves(site, row) || site.Position(site.Shift(row.Head), row.Token) >= site.Config.Tokens - site.Config.Tokens % site.Config.GroupSize }),
        new("rolled-along-entries-unless-one", Stage.Roll, "Where a batch holds several entries they are rolled instead of the tokens, forward and back, so that no head is shifted; a single entry is right.",
            "Name the axis: circshift without one takes the first that is longer than 1.",
            stages => stages with
            {
                RolledBy = (site, operand, head) => site.Config.Batch > 1 ? 0 : stages.RolledBy(site, operand, head),
                Unshift = (site, row) => site.Config.Batch > 1 ? row.Token : stages.Unshift(site, row),
            }),
        new("rolled-into-next-head", Stage.Entry, "The roll of a head writes its first S tokens behind its last one in place, over those of the head, or batch entry, that follows in memory and is read after it.",
            "Copy before you append: Go's append(x[S:], x[:S]...) writes into what follows x where its capacity reaches further; slices.Concat(x[S:], x[:S]) does not.",
            stages => stages with { Entered = (site, operand, place) => stages.Entered(site, operand, LastWritten(site, operand, place)) }),
        new("windows-run-into-next-head", Stage.Roll, "The windows of a shifted head begin S tokens late in memory and do not wrap around: the last one runs over the head's end into the first S tokens of the head, or batch entry, that follows, and writes their rows too.",
            "Roll before windows are cut, or let the last window end with the head: strides know of no end.", RunsOn)
        { SeenIn = Defect.Constructed },
        Block("keys-of-own-block-missed-16-of-32", 32, 16),
        Block("keys-of-own-block-missed-32-of-64", 64, 32),
        Block("keys-of-own-block-missed-16-of-64", 64, 16),
        .. new[] { 16, 32, 64 }.Select(FilledTile),
    ];

    // Nothing is moved: two tokens are of one group, and in order, as their positions say. A policy that compares tokens still does.
    private static Defect Placed(string name, string what, string fix, Func<Site, int, int, int> position) => new(name, Stage.Roll, what, fix,
        stages =>
        {
            int At(Site site, Slot slot) => position(site, site.Shift(slot.Head), slot.Position);
            return stages with
            {
                RolledBy = (_, _, _) => 0,
                Group = (site, slot) => At(site, slot) / site.Config.GroupSize,
                Edge = (site, query, key, _) => query.Position < site.Config.Tokens && key.Position < site.Config.Tokens && site.Shift(query.Head) is var shift && stages.Policy(site.Config.Mask) switch
                {
                    MaskPolicy.LocalCausal => At(site, key) <= At(site, query),
                    MaskPolicy.PositionCausal => key.Position <= query.Position,
                    MaskPolicy.Split => key.Position <= query.Position && key.Position >= shift == query.Position >= shift,
                    MaskPolicy.BidirectionalSplit => key.Position >= shift == query.Position >= shift,
                    _ => true,
                },
                Unshift = (_, row) => row.Token,
            };
        });

    private static int Unsigned(int value, int bits, int modulus) => (int)((UInt128)(value < 0 ? (UInt128.One << bits) - (UInt128)(-value) : (UInt128)value) % (UInt128)modulus);

    private static Defect Cut(string name, string what, string fix, int late) => new(name, Stage.Edge, what, fix,
        stages => stages with
        {
            Edge = (site, query, key, sees) => stages.Edge(site, query, key, !stages.Policy(site.Config.Mask).CutsWrappedRun() || site.Shift(query.Head) == 0 ? sees
                : (site.Token(query), site.Token(key), site.Shift(query.Head) + late) is var (t, u, border) && t < site.Config.Tokens && u < site.Config.Tokens
                    && t >= border == u >= border && (!site.Config.Mask.IsCausal() || u <= t)),
        });

    private static int[] AsTexts(int count) => [.. Enumerable.Range(0, count).Order(Comparer<int>.Create((a, b) => string.CompareOrdinal(Text(a), Text(b))))];

    private static string Text(int value) => value.ToString(System.Globalization.CultureInfo.InvariantCulture);

    // The window that is written last over a token: windows begin at the borders of Split, and none stands over the end.
    private static (int First, int End) Window(Site site, int head, int token)
    {
        int tokens = site.Config.Tokens, group = site.Config.GroupSize, shift = site.Shift(head);
        if (token >= tokens - group && (tokens - shift) % group != 0)
            return (tokens - group, tokens);
        int first = token < shift ? 0 : token - (token - shift) % group;
        return (first, token < shift ? shift : first + group);
    }

    // The row of q, k or v that was written last where this one lies: heads follow each other in memory, each S tokens over the beginning of the next.
    private static Place LastWritten(Site site, Operand operand, Place place)
    {
        int heads = operand is Operand.Query ? site.Config.Heads : site.Config.KvHeads, index = place.Batch * heads + place.Head;
        while (index > 0 && place.Token < Rolled((index - 1) % heads))
            index--;
        return place with { Batch = index / heads, Head = index % heads };

        int Rolled(int head) => Enumerable.Range(0, site.Config.Heads).Where(reader => (operand is Operand.Query ? reader : site.KvHead(reader)) == head).Max(site.Shift);
    }

    private static Stages RunsOn(Stages stages)
    {
        return MaskDefects.WithoutCut(stages) with
        {
            Regroup = (site, operand, slot) => stages.Regroup(site, operand, slot) is var held && IsPast(site, held)
                ? Behind(site, held, 1) is { } next ? next with { Position = site.Position(site.Shift(next.Head), site.Token(held)) } : held with { Position = site.Ring }
                : held,
            Roll = (site, slot, shift) => slot.Position < site.Ring ? stages.Roll(site, slot, shift) : site.Config.Tokens,
            Zeros = (site, slot) => stages.Zeros(site, slot)
                + (!site.Config.Mask.IsCausal() && slot.Position >= site.Ring - site.Config.GroupSize && Behind(site, slot, 1) is null ? site.Shift(slot.Head) : 0),
            Ungroup = (site, slot) => stages.Ungroup(site, slot) is var own && IsPast(site, own) && Behind(site, own, -1) is { } before ? before : own,
            Leaves = (site, row) => stages.Leaves(site, row) || row.Token < site.Shift(row.Head) && (Behind(site, new(row.Batch, 0, row.Head), -1) is not { } before || site.Shift(before.Head) == 0),
        };

        static bool IsPast(Site site, Slot slot) => site.Shift(slot.Head) > 0 && slot.Position >= site.Ring - site.Shift(slot.Head);

        static Slot? Behind(Site site, Slot slot, int heads) => slot.Batch * site.Config.Heads + slot.Head + heads is >= 0 and var index && index < site.Config.Batch * site.Config.Heads
            ? slot with { Batch = index / site.Config.Heads, Head = index % site.Config.Heads }
            : null;
    }

    // A causal mask hides what stands behind a group.
    private static Defect FilledTile(int tile) => new(
        string.Create(System.Globalization.CultureInfo.InvariantCulture, $"tile-fill-seen-{tile}"), Stage.Edge,
        $"The zeros that fill a group up to whole tiles of {tile} keys are seen as keys of score 0.", "Hide the places of a tile that are past the last key of the group: -infinity before the maximum, not 0.",
        stages => stages with { Zeros = (site, slot) => stages.Zeros(site, slot) + (site.Config.Mask.IsCausal() ? 0 : Site.Modulo(-site.Config.GroupSize, tile)) });

    private static Defect Block(string name, int queries, int keys) => new(name, Stage.Walk, $"A block of {queries} queries reads too few keys of its own group: the loop over tiles of {keys} keys ends {keys} after the block's first query, so that those behind are missed.",
        "Let the loop over keys end where the block of queries does, not one tile behind its beginning.",
        stages => stages with
        {
            Edge = (site, query, key, sees) => stages.Edge(site, query, key, sees) && (!site.Config.Mask.IsCausal()
                || key.Position % site.Config.GroupSize < query.Position % site.Config.GroupSize / queries * queries + keys),
        });
}
