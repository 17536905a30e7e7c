// What goes wrong where tensors are reshaped: kv heads, batch entries, groups, and the way back to o?
using System.Collections.Immutable;
using S2Attn.Spec;

namespace S2Attn.Reference.Upstream;

internal static class LayoutDefects
{
    public static ImmutableArray<Defect> All { get; } =
    [
        JoinedIn("batch", HalvesAlongBatch),
        JoinedIn("tokens", HalvesAlongTokens) with { SeenIn = "PaddleNLP's first attention_forward_replace.py: concat of the halves of [B,H,N,D] with axis=2" },
        JoinedIn("width", HalvesAlongWidth),
        KvHead("kv-head-modulo", "Query head h reads kv head h mod K.", "Read kv head h / (H / K): repeat each kv head H / K times in place (repeat_interleave) instead of tiling them.", (_, head, site) => head % site.Config.KvHeads)
            with { SeenIn = "public ports that use repeat or tile" },
        KvHead("value-head-modulo", "k is read from kv head h / (H / K), v from h mod K.", "Read v from the same kv head as k, h / (H / K).", (operand, head, site) => operand is Operand.Value ? head % site.Config.KvHeads : site.KvHead(head)),
        KvHead("key-head-modulo", "v is read from kv head h / (H / K), k from h mod K.", "Read k from the same kv head as v, h / (H / K).", (operand, head, site) => operand is Operand.Key ? head % site.Config.KvHeads : site.KvHead(head)),
        KvHead("kv-head-zero", "Every query head reads kv head 0.", "Read kv head h / (H / K).", (_, _, _) => 0),
        KvHead("kv-head-clamped", "Query head h reads kv head h, the last one where there are fewer.", "Read kv head h / (H / K): repeat each kv head H / K times in place.", (_, head, site) => Math.Min(head, site.Config.KvHeads - 1)),
        KvHead("kv-head-of-next", "Query head h reads kv head (h + 1) K / H, the last one where there are fewer: heads are counted from 1 and divided without taking it off.", "Read kv head h / (H / K) where h counts from 0: (h - 1) / (H / K) + 1 where it counts from 1.",
            (_, head, site) => Math.Min((head + 1) * site.Config.KvHeads / site.Config.Heads, site.Config.KvHeads - 1)),
        KvHead("kv-head-reversed", "Query head h reads the kv heads in reversed order.", "Read kv head h / (H / K).", (_, head, site) => site.Config.KvHeads - 1 - site.KvHead(head)),
        new("batch-zero-keys", Stage.KvHead, "Every batch entry reads k and v of entry 0.", "Index k and v by the batch entry of the query.", stages => stages with { Entry = (_, _, _) => 0 }),
        new("batch-zero-values", Stage.KvHead, "Every batch entry reads v of entry 0.", "Index v by the batch entry of the query.", stages => stages with { Entry = (_, operand, entry) => operand is Operand.Value ? 0 : entry }),
        new("head-token-scramble", Stage.Regroup, "[B,H,N,D] is reshaped to [B N/G, G, H, D] without a transpose, so heads and tokens mix.", "Transpose [B,H,N,D] to [B,N,H,D] before reshaping it to [B N/G, G, H, D].",
            stages => stages with { Regroup = (site, operand, slot) => stages.Regroup(site, operand, HeadsForTokens(site, slot)) })
        { SeenIn = "public ports" },
        new("key-value-scramble", Stage.Regroup, "k and v of [B,H,N,D] are reshaped to [B N/G, G, H, D] without a transpose, q with one.", "Transpose k and v to [B,N,H,D] before they are reshaped to groups, as q.",
            stages => stages with { Regroup = (site, operand, slot) => stages.Regroup(site, operand, operand is Operand.Query ? slot : HeadsForTokens(site, slot)) }),
        new("group-scramble", Stage.Regroup, "[B,N,H,D] is reshaped to [B N/G, H, G, D] without a transpose, so heads and tokens of a group mix on the way in.", "Reshape to [B N/G, G, H, D] and transpose that, instead of naming the axes in another order.",
            stages => stages with { Regroup = (site, operand, slot) => stages.Regroup(site, operand, HeadsFirstMemory(site, slot)) }),
        new("groups-before-entries-in", Stage.Regroup, "The groups of q, k and v are ordered group, batch entry, and taken for batch entry, group.", "Reshape [B,N,H,D] to [B N/G, G, H, D] without moving the batch axis.",
            stages => stages with { Regroup = (site, operand, slot) => stages.Regroup(site, operand, GroupsBeforeEntries(site, slot)) }),
        new("group-offset-missing", Stage.Regroup, "Keys and values of every group are read from the first group.", "Add the group's first token to the index of each key.",
            stages => stages with { Regroup = (site, operand, slot) => stages.Regroup(site, operand, operand is Operand.Query ? slot : slot with { Position = slot.Position % site.Config.GroupSize }) }),
        new("not-grouped", Stage.Regroup, "q, k and v are rolled, but never cut into groups: every head attends to the whole rolled sequence.", "Assign the result of the reshape to groups: a loop over (q, k, v) that rebinds its variable changes none of them.",
            stages => stages with { Group = (_, _) => 0 })
        { SeenIn = "public ports whose loop over q, k, v discards the reshape" },
        new("full-attention", Stage.Regroup, "Groups are ignored: every head attends to the whole sequence.", "Cut the sequence into groups of G tokens before the scores are computed.",
            stages => stages with
            {
                Group = (_, _) => 0,
                Edge = (site, query, key, _) => site.Token(key) < site.Config.Tokens && (!site.Config.Mask.IsCausal() || site.Token(key) <= site.Token(query)),
            })
        { SeenIn = "public ports in which the shifted attention is never switched on" },
        Window("sliding-window", "A query sees the last G tokens before it (a sliding window) instead of those of its group.", (config, _) => config.GroupSize),
        Window("sliding-window-one-more", "A query sees itself and the G tokens before it (a sliding window) instead of those of its group.", (config, _) => config.GroupSize + 1)
            with { SeenIn = "forks of LongLoRA with code: each group beside the one before it, of which tril(diagonal=-1) is hidden" },
        Window("sliding-windows-by-quarters", "A query sees itself and the 2G, G, G / 2 or G / 2 tokens before it (sliding windows), by the quarter in which its head stands, instead of those of its group.",
            (config, head) => 2 * config.GroupSize / Math.Min(4, 1 << (4 * head / config.Heads)) + 1)
            with { SeenIn = "forks of LongLoRA with code: window_size * (head_group // 2) // min(head_group, 2 ** idx)" },
        Around("half-a-group-around-seen", "A query sees the tokens up to half a group away from it, before and after (a sliding window), instead of those of its group.", (site, t, u) => Math.Abs(t - u) <= site.Config.GroupSize / 2)
            with { SeenIn = "encoders with flash attention: window_size=(G // 2, G // 2)" },
        Around("less-than-a-group-around-seen", "A query sees the tokens less than a group away from it, before and after (a sliding window), instead of those of its group.", (site, t, u) => Math.Abs(t - u) < site.Config.GroupSize),
        Around("a-group-around-seen", "A query sees the tokens up to a group away from it, before and after (a sliding window), instead of those of its group.", (site, t, u) => Math.Abs(t - u) <= site.Config.GroupSize)
            with { SeenIn = "encoders that attend as Longformer does" },
        Around("half-a-group-beyond-seen", "A query sees its unshifted group and half a group more on either side.", (site, t, u) => t - t % site.Config.GroupSize is var start && u >= start - site.Config.GroupSize / 2 && u < start + site.Config.GroupSize + site.Config.GroupSize / 2)
            with { SeenIn = "encoders whose windows of keys overlap" },
        Around("neighbouring-groups-seen", "A query sees its unshifted group and the groups before and after it.", (site, t, u) => Math.Abs(t / site.Config.GroupSize - u / site.Config.GroupSize) <= 1)
            with { SeenIn = "encoders that let blocks look backward and forward" },
        new("itself-alone", Stage.Regroup, "A token sees itself alone: o is v, and what attention computed is lost.", "Return what attention computed: look for a roll, or a reshape, of its input where its result was meant.",
            stages => stages with { Shifts = (_, _) => false, Group = (_, slot) => slot.Position, IsValid = (_, _, _, _) => true })
        { SeenIn = "encoders with code: shifted_x = torch.roll(x, ...) after the windows were joined, and x is returned" },
        WholeIn("full-attention-in-shifted-heads", "The heads that should shift see the whole sequence, and nothing of them is cut into groups.", isShifted: true)
            with { SeenIn = "language models with code: half of the heads local, half global" },
        WholeIn("full-attention-in-unshifted-heads", "The heads that should not shift see the whole sequence, and nothing of them is cut into groups.", isShifted: false),
        new("groups-of-every-other-token", Stage.Regroup, "A group holds every other one of 2G tokens in a row instead of G tokens in a row.", "Cut [N] into [N/G, G]: a dilation of 2, [N/2G, G, 2] with the last two axes changed, makes groups of tokens that do not stand side by side.",
            stages => stages with { Group = (site, slot) => slot.Position / (2 * site.Config.GroupSize) * 2 + slot.Position % 2 })
        { SeenIn = "encoders of point clouds with code: view(-1, G, 2, C).transpose(1, 2)" },
        new("groups-strided", Stage.Regroup, "A group holds every (N/G)-th token instead of G tokens in a row.", "Reshape [N] to [N/G, G], not to [G, N/G].", stages => stages with { Group = (site, slot) => slot.Position % site.Groups })
        { SeenIn = "encoders that shuffle windows: reshape(G, N/G) and a transpose" },
        new("groups-dealt-out", Stage.Regroup, "A group holds tokens that were dealt out: the places in a group and the groups changed their axes, and the result was cut into groups of G again.", "Cut [N] into [N/G, G] and leave it so: a transpose before the next reshape shuffles the tokens.",
            stages => stages with { Group = (site, slot) => Dealt(site, slot.Position, site.Groups) }),
        new("groups-dealt-out-behind-the-first", Stage.Regroup, "Behind the first group a group holds tokens that were dealt out: the places in a group and the groups changed their axes, and the result was cut into groups of G again.", "Cut [N] into [N/G, G] and leave it so: a transpose before the next reshape shuffles the tokens.",
            stages => stages with { Group = (site, slot) => slot.Position - site.Config.GroupSize is >= 0 and var behind ? 1 + Dealt(site, behind, site.Groups - 1) : 0 })
        { SeenIn = "encoders with code: reshape(B, N/G, G, C).transpose(1, 2).reshape(B, N, C) of the tokens behind the first group" },
        new("groups-and-size-swapped", Stage.Regroup, "The sequence is cut into G groups of N/G tokens.", "Cut it into N/G groups of G tokens.", stages => stages with { Group = (site, slot) => slot.Position / site.Groups }),
        new("groups-split-in-halves", Stage.Regroup, "Each group is cut into two halves that attend apart: the halves of the tokens are taken where those of the heads were meant.",
            "Cut the heads in two, not the tokens of a group: check which axis chunk or the slice takes, after the transposes before it.",
            stages => stages with { Group = (site, slot) => slot.Position / site.Config.GroupSize * 2 + (slot.Position % site.Config.GroupSize >= (site.Config.GroupSize + 1) / 2 ? 1 : 0) })
        { SeenIn = "public ports: chunk(2, dim=3) of [B, N/G, H, G, D]" },
        new("projections-rolled-alone", Stage.Regroup, "q and k of the upper half of their heads are rolled by +S, and ordinary attention follows: nothing is cut into groups, v is not rolled, and o is not rolled back.",
            "Roll q, k and v of the shifted heads by -S, cut them into groups of G, attend inside each group, join the groups and roll o back by +S.",
            stages => stages with
            {
                RolledBy = (site, operand, head) => (operand, site.Config.KvHeads) switch
                {
                    (Operand.Query, _) => site.OnRing(-site.Shift(head)),
                    (Operand.Key, > 1) when site.KvHead(head) >= site.Config.KvHeads / 2 => site.OnRing(-stages.Amount(site.Config, head)),
                    _ => null,
                },
                Group = (_, _) => 0,
                Edge = (site, query, key, _) => !site.Config.Mask.IsCausal() || key.Position <= query.Position,
                Unshift = (_, row) => row.Token,
            })
        { SeenIn = "public ports that wrap q_proj and k_proj and leave the attention as it is" },
        new("groups-twice-as-long", Stage.Regroup, "Groups hold 2G tokens.", "Cut the sequence into groups of G tokens.", stages => stages with { Group = (site, slot) => slot.Position / (2 * site.Config.GroupSize) }),
        new("groups-half-as-long", Stage.Regroup, "Groups hold G / 2 tokens.", "Cut the sequence into groups of G tokens.", stages => stages with { Group = (site, slot) => slot.Position / Math.Max(1, site.Config.GroupSize / 2) }),
        new("group-size-one-more", Stage.Regroup, "A query also sees the last key before its group.", "Let groups begin at multiples of G, counted from 0.",
            stages => stages with { Reach = (site, slot) => slot.Position - slot.Position % site.Config.GroupSize is > 0 and int start ? [slot with { Position = start - 1 }] : [] }),
        new("previous-group-seen", Stage.Regroup, "A query also sees the group before its own.", "Let a query see its own group alone.",
            stages => stages with
            {
                Reach = (site, slot) => slot.Position - slot.Position % site.Config.GroupSize is > 0 and int start
                    ? Enumerable.Range(start - site.Config.GroupSize, site.Config.GroupSize).Select(position => slot with { Position = position })
                    : [],
            }),
        new("output-not-transposed", Stage.Ungroup, "o of the groups, [B N/G, H, G, D], is reshaped to [B,N,H,D] without a transpose (or transposed once too often) before it is rolled back: heads and tokens change places.",
            "Bring o of the groups to [B N/G, G, H, D] before it is reshaped to [B,N,H,D]: one transpose(1, 2), neither none nor two.",
            stages => stages with { Ungroup = (site, slot) => GroupMemory(site, stages.Ungroup(site, slot)) })
        { SeenIn = "LongLoRA gptneox_attn_replace.py, flash path" },
        new("groups-before-entries", Stage.Ungroup, "The groups of o are ordered batch entry, group, and taken for group, batch entry.", "Reshape [B N/G, G, H, D] to [B,N,H,D] without moving the batch axis.",
            stages => stages with { Ungroup = (site, slot) => GroupsBeforeEntries(site, stages.Ungroup(site, slot)) }),
        new("entries-before-groups", Stage.Ungroup, "The groups of o are ordered group, batch entry, and taken for batch entry, group.", "Stack the batch entries on the first axis: the groups of one entry follow each other before the reshape to [B,N,H,D].",
            stages => stages with { Ungroup = (site, slot) => EntriesBeforeGroups(site, stages.Ungroup(site, slot)) })
        { SeenIn = "explanations with code: stack(list, dim=1) of the entries of [B, N/G, G, C]" },
        new("group-reversed", Stage.Ungroup, "The groups of o are joined in reversed order.", "Join the groups in their order.",
            stages => stages with { Ungroup = (site, slot) => stages.Ungroup(site, slot with { Position = site.Ring - site.Config.GroupSize - slot.Position + 2 * (slot.Position % site.Config.GroupSize) }) }),
        new("unshift-missing", Stage.Unshift, "The result of a shifted head is not rolled back.", "Roll o of the shifted heads back by +S, and assign the result.", stages => stages with { Unshift = (_, row) => row.Token })
        { SeenIn = "public ports" },
        Unshift("unshift-twice", "The result of a shifted head is rolled back twice.", "Roll o of the shifted heads back once.", (_, shift) => 2 * shift),
        Unshift("unshift-backwards", "o is rolled by -S, as q, k and v, instead of back by +S.", "Roll o back by +S.", (_, shift) => -shift),
        Unshift("shift-axis-heads", "The roll back goes by H/2 tokens instead of S.", "Roll back by S tokens, not by H/2: check which axis the size in the roll is taken from.", (site, _) => site.Config.Heads / 2) with { SeenIn = "public ports" },
        Unshift("unshift-rounded-up", "For odd G the roll back is one longer than the roll forward.", "Roll back by the amount that you rolled forward, G // 2.", (site, shift) => shift + site.Config.GroupSize % 2),
        Unshift("unshift-half", "The roll back goes by half of the shift.", "Roll back by the amount that you rolled forward.", (_, shift) => shift / 2),
        new("ingroup-unshift", Stage.Unshift, "The roll back turns inside each group (a reshape whose result was discarded), so rows t with t mod G < S of a shifted head are another token's.",
            "Join the groups to N tokens again before the roll back: assign the result of the reshape, which is no in-place operation.",
            stages => stages with { Unshift = (site, row) => site.InGroup(row.Token, -site.Shift(row.Head)) })
        { SeenIn = "LongLoRA's first eager path and ports of it", Aliases = ["unshift-in-group"] },
        new("ingroup-unshift-without-padding", Stage.Unshift, "The roll back turns inside each group (a reshape whose result was discarded), but for calls with padding, where another path joins the groups.",
            "Join the groups to N tokens again before the roll back on both paths: assign the result of the reshape, which is no in-place operation.",
            stages => stages with { Unshift = (site, row) => site.IsPadded ? site.Position(site.Shift(row.Head), row.Token) : site.InGroup(row.Token, -site.Shift(row.Head)) })
        { SeenIn = "LLaMA-Factory's flash path of e387a5047" },
        new("unshift-all-heads", Stage.Unshift, "o of every head is rolled back, also of those that were not rolled.", "Roll back the shifted heads alone.",
            stages => stages with { Unshift = (site, row) => site.Position(stages.Amount(site.Config, row.Head), row.Token) }),
        new("unshift-wrong-half", Stage.Unshift, "o of the heads that were not rolled is rolled back instead of those that were.", "Roll back the heads that you rolled.",
            stages => stages with { Unshift = (site, row) => site.Position(site.IsShifted(row.Head) ? 0 : stages.Amount(site.Config, row.Head), row.Token) }),
        new("halves-joined-along-batch", Stage.Join, "The halves of the heads of o are joined along the batch instead of the heads, and the rest is reshaped to fit.", "Give the axis of the heads to the cat that joins the halves (dim=2 for [B,N,H,D]); without it the cat goes along the batch.",
            stages => stages with { Join = (site, row) => stages.Join(site, OfTokens(HalvesAlongBatch, site, row)) })
        { SeenIn = "LLaMA-Factory, longlora.py: torch.cat without dim" },
        new("halves-joined-along-tokens", Stage.Join, "The halves of the heads of o are joined along the tokens instead of the heads, and the rest is reshaped to fit.", "Join the halves along the axis of the heads.",
            stages => stages with { Join = (site, row) => stages.Join(site, OfTokens(HalvesAlongTokens, site, row)) }),
        new("halves-joined-along-width", Stage.Join, "The halves of the heads of o are joined along the elements of a vector instead of the heads, so that heads of both halves stand in turn.", "Join the halves along the axis of the heads.",
            stages => stages with { Join = (site, row) => stages.Join(site, OfTokens(HalvesAlongWidth, site, row)) }),
        new("halves-swapped", Stage.Join, "The halves of the heads of o are joined in the wrong order.", "Join the unshifted half first, then the shifted one.",
            stages => stages with { Join = (site, row) => stages.Join(site, row with { Head = (row.Head + (site.Config.Heads + 1) / 2) % site.Config.Heads }) }),
        new("output-heads-for-tokens", Stage.Join, "o of [B,H,N,D] is reshaped to [B,N,H,D] without a transpose, after it was rolled back.", "Transpose o to [B,N,H,D] before the reshape.",
            stages => stages with { Join = (site, row) => stages.Join(site, FromHeadsFirst(site, row)) }),
        new("first-entry-repeated", Stage.Join, "Every batch entry of o is entry 0's.", "Index o by its own batch entry.", stages => stages with { Join = (site, row) => stages.Join(site, row with { Batch = 0 }) }),
        new("later-entries-zero", Stage.Rows, "Only batch entry 0 of o is written.", "Compute every batch entry.", stages => stages with { Leaves = (_, row) => row.Batch > 0 }),
        new("wrapped-run-dropped", Stage.Rows, "The first S rows of a shifted head, which the roll brought behind the last token, are 0.", "Compute the wrapped run too.", stages => stages with { Leaves = (site, row) => row.Token < site.Shift(row.Head) }),
        new("shifted-heads-zero", Stage.Rows, "o of the shifted heads is 0.", "Write the result of the shifted heads into o.", stages => stages with { Leaves = (site, row) => site.IsShifted(row.Head) }),
        new("ends-dropped", Stage.Rows, "The first S rows and the last G - S of a shifted head are 0: only whole groups between them are computed.", "Compute the group that wraps around the end too.",
            stages => stages with { Leaves = (site, row) => site.Shift(row.Head) is > 0 and var shift && (row.Token < shift || row.Token >= site.Config.Tokens - site.Config.GroupSize + shift) }),
        new("last-group-dropped", Stage.Rows, "o of the last group of a shifted head is 0.", "Compute all N/G groups of a shifted head, the wrapped one too.",
            stages => stages with { Leaves = (site, row) => site.Shift(row.Head) > 0 && site.Position(site.Shift(row.Head), row.Token) >= site.Ring - site.Config.GroupSize })
        { SeenIn = "public ports that cut the wrapped group off" },
        new("padded-rows-zero", Stage.Rows, "Rows of o of padded tokens are 0.", "Padding hides keys; a padded token's own row is computed as any other.", stages => stages with { Leaves = (site, row) => !site.Valid[row.Batch, row.Token] })
        { SeenIn = "varlen paths that unpad q as k and v" },
    ];

    private static Defect KvHead(string name, string what, string fix, Func<Operand, int, Site, int> kvHead) => new(name, Stage.KvHead, what, fix,
        stages => stages with { KvHead = (site, operand, head) => kvHead(operand, head, site) });

    // A window of so many tokens, the query's own included.
    private static Defect Window(string name, string what, Func<S2Config, int, int> length) => new(name, Stage.Regroup, what, "Cut the sequence into groups of G tokens; a window that moves with the query is another attention.",
        stages => stages with
        {
            Group = (_, _) => 0,
            Edge = (site, query, key, _) => site.Token(query) - site.Token(key) is >= 0 and var back && back < length(site.Config, query.Head) && site.Token(key) < site.Config.Tokens,
        });

    // Tokens on both sides of the query, whatever order the mask asks for.
    private static Defect Around(string name, string what, Func<Site, int, int, bool> near) => new(name, Stage.Regroup, what, "Cut the sequence into groups of G tokens, shifted by S where a head shifts, and let a query see its own alone.",
        stages => stages with
        {
            Group = (_, _) => 0,
            Edge = (site, query, key, _) => site.Token(key) < site.Config.Tokens && near(site, site.Token(query), site.Token(key)),
        });

    private static Defect WholeIn(string name, string what, bool isShifted) => new(name, Stage.Regroup, what, "Cut every head into groups of G tokens, shifted by S in the heads that shift.",
        stages => stages with
        {
            Group = (site, slot) => IsAsked(site, slot.Head, isShifted) ? 0 : stages.Group(site, slot),
            Edge = (site, query, key, sees) => IsAsked(site, query.Head, isShifted) ? site.Token(key) < site.Config.Tokens && (!site.Config.Mask.IsCausal() || site.Token(key) <= site.Token(query)) : stages.Edge(site, query, key, sees),
        });

    private static bool IsAsked(Site site, int head, bool isShifted) => site.Config.ShiftedHeads.IsShifted(head, site.Config.Heads) == isShifted;

    private static int Dealt(Site site, int position, int groups) => (position % site.Config.GroupSize * groups + position / site.Config.GroupSize) / site.Config.GroupSize;

    private static Defect Unshift(string name, string what, string fix, Func<Site, int, int> amount) => new(name, Stage.Unshift, what, fix,
        stages => stages with { Unshift = (site, row) => site.IsShifted(row.Head) ? site.OnRing(row.Token - amount(site, site.Shift(row.Head))) : row.Token });

    // The memory of [B,H,N] read as [B,N,H].
    private static Slot HeadsForTokens(Site site, Slot slot)
    {
        int index = slot.Position * site.Config.Heads + slot.Head;
        return new(slot.Batch, index % site.Ring, index / site.Ring);
    }

    private static Place FromHeadsFirst(Site site, Place row)
    {
        int index = row.Token * site.Config.Heads + row.Head;
        return new(row.Batch, index % site.Config.Tokens, index / site.Config.Tokens);
    }

    // The memory of [B,N,H] read as [B N/G, H, G].
    private static Slot HeadsFirstMemory(Site site, Slot slot)
    {
        int group = site.Config.GroupSize, start = slot.Position - slot.Position % group, index = slot.Head * group + slot.Position % group;
        return new(slot.Batch, start + index / site.Config.Heads, index % site.Config.Heads);
    }

    // The memory of [B N/G, H, G] read as [B,N,H]: the inverse, the same only where G = H.
    private static Slot GroupMemory(Site site, Slot slot)
    {
        int group = site.Config.GroupSize, start = slot.Position - slot.Position % group, index = slot.Position % group * site.Config.Heads + slot.Head;
        return new(slot.Batch, start + index % group, index / group);
    }

    private static Slot GroupsBeforeEntries(Site site, Slot slot)
    {
        (int group, int offset) = Math.DivRem(slot.Position, site.Config.GroupSize);
        (int entry, int other) = Math.DivRem(group * site.Config.Batch + slot.Batch, site.Groups);
        return new(entry, other * site.Config.GroupSize + offset, slot.Head);
    }

    private static Slot EntriesBeforeGroups(Site site, Slot slot)
    {
        (int group, int offset) = Math.DivRem(slot.Position, site.Config.GroupSize);
        (int other, int entry) = Math.DivRem(slot.Batch * site.Groups + group, site.Config.Batch);
        return new(entry, other * site.Config.GroupSize + offset, slot.Head);
    }

    private static Defect JoinedIn(string axis, Func<Site, int, Slot, Slot> held) => new(
        $"halves-joined-along-{axis}-in", Stage.Halves, $"The halves of the heads of q, k and v are joined along the {(axis == "width" ? "elements of a vector" : axis)} instead of the heads after the roll, and the rest is reshaped to fit.",
        "Give the axis of the heads to the cat that joins the rolled half to the other: 1 in [B,H,N,D], 2 in [B,N,H,D].",
        stages => stages with { Regroup = (site, operand, slot) => stages.Regroup(site, operand, held(site, site.Ring, slot)) });

    private static Place OfTokens(Func<Site, int, Slot, Slot> held, Site site, Place row) =>
        held(site, site.Config.Tokens, new(row.Batch, row.Token, row.Head)) is var slot ? new(slot.Batch, slot.Position, slot.Head) : row;

    // Two [B,N,H/2] one after the other, read as [B,N,H].
    private static Slot HalvesAlongBatch(Site site, int tokens, Slot slot) =>
        OfHalves(site, site.Config.Batch * tokens, slot with { Batch = 0, Position = slot.Batch * tokens + slot.Position }) is var held ? new(held.Position / tokens, held.Position % tokens, held.Head) : slot;

    // For each entry two [N,H/2] one after the other, read as [N,H].
    private static Slot HalvesAlongTokens(Site site, int tokens, Slot slot) => OfHalves(site, tokens, slot);

    // [N,H/2,2D] read as [N,H,D].
    private static Slot HalvesAlongWidth(Site site, int tokens, Slot slot)
    {
        int first = site.Config.Heads / 2;
        return slot.Head >= 2 * first ? slot : slot with { Head = slot.Head % 2 * first + slot.Head / 2 };
    }

    private static Slot OfHalves(Site site, int rows, Slot slot)
    {
        int first = site.Config.Heads / 2, index = slot.Position * site.Config.Heads + slot.Head, ofFirst = rows * first;
        (int width, int from, int head) = index < ofFirst ? (first, index, 0) : (site.Config.Heads - first, index - ofFirst, first);
        return slot with { Position = from / width, Head = head + from % width };
    }
}
