// What goes wrong where code takes another axis than it means?
using System.Collections.Immutable;
using S2Attn.Spec;

namespace S2Attn.Reference.Upstream;

internal static class AxisDefects
{
    public static ImmutableArray<Defect> All { get; } =
    [
        new("viewed-heads-first", Stage.Entry, "q, k and v of [B,N,H,D] are viewed as [B,H,N,D] without a transpose, so that a head is made of other heads and tokens.", "View the projections as [B,N,H,D] and transpose that: view alone names the axes in another order.",
            stages => stages with { Entered = (site, operand, place) => stages.Entered(site, operand, TokensFirstMemory(site, operand, place)) }),
        new("viewed-heads-first-after-repeat", Stage.Entry, "q and the repeated k and v, all [B,N,H,D], are viewed as [B,H,N,D] without a transpose, so that a head is made of other heads and tokens.", "Transpose [B,N,H,D] to [B,H,N,D]: view and reshape alone name the axes in another order.",
            stages => stages with
            {
                KvHead = (_, _, head) => head,
                Entered = (site, operand, place) => TokensFirstMemory(site, place, site.Config.Heads) is var held && operand is Operand.Query ? stages.Entered(site, operand, held)
                    : stages.Entered(site, operand, held with { Head = stages.KvHead(site, operand, held.Head) }),
            }),
        new("attends-over-heads", Stage.Regroup, "Attention runs over the heads of one token instead of over the tokens of a head.",
            "Give q, k and v the layout that the attention function expects: [B,N,H,D] for flash_attn_func, [B,H,N,D] for scaled_dot_product_attention and q k^T.",
            stages => stages with
            {
                Across = (site, slot) => Enumerable.Range(0, site.Config.Heads).Select(head => slot with { Head = head }),
                Edge = (site, query, key, _) => !site.Config.Mask.IsCausal() || key.Head <= query.Head,
            })
        { SeenIn = "public ports that hand [B, H, N, D] to flash_attn_func" },
        new("attends-over-batch", Stage.Regroup, "Attention runs over the batch entries at one token instead of over the tokens of an entry.", "Put the tokens where the attention function expects them: nn.MultiheadAttention takes [N,B,C] unless batch_first = True.",
            stages => stages with
            {
                Across = (site, slot) => Enumerable.Range(0, site.Config.Batch).Select(entry => slot with { Batch = entry }),
                Edge = (site, query, key, _) => !site.Config.Mask.IsCausal() || key.Batch <= query.Batch,
            })
        { SeenIn = "public ports that use nn.MultiheadAttention without batch_first" },
        new("attends-over-entries-and-groups", Stage.Regroup, "Attention runs over all groups of all batch entries at one place of a group, instead of over the tokens of a group.",
            "Put the tokens of a group where the attention function expects them: nn.MultiheadAttention takes [G, B N/G, C] unless batch_first = True.",
            stages => stages with
            {
                Across = SamePlaces,
                Edge = (site, query, key, _) => !site.Config.Mask.IsCausal() || (key.Batch, key.Position).CompareTo((query.Batch, query.Position)) <= 0,
            })
        { SeenIn = "public ports that use nn.MultiheadAttention without batch_first" },
        new("groups-across", Stage.Regroup, "Attention runs over the groups: a token meets those at its own place in every group, G tokens apart.", "Leave the tokens of a group on the axis before D: [B, N/G, H, G, D], with the groups among the axes of the batch.",
            stages => stages with { Group = (site, slot) => slot.Position % site.Config.GroupSize })
        { SeenIn = "lecture notes with code: transpose(2, 3) of [B, H, N/G, G, D] before q k^T" },
        new("heads-first-regrouped", Stage.Regroup, "[B,H,N,D] is reshaped to [B N/G, H, G, D] without a transpose: what should be the heads of a group are groups of a head.", "Cut N into [N/G, G] and move the axis of the groups before that of the heads, before it is joined with the batch.",
            stages => stages with { Regroup = (site, operand, slot) => stages.Regroup(site, operand, HeadsBeforeGroups(site, slot)) }),
        new("groups-joined-heads-first", Stage.Ungroup, "o of the groups, [B N/G, H, G, D], is reshaped to [B,H,N,D] without a transpose: what should be the groups of a head are heads of a group.", "Move the axis of the heads before that of the groups before [N/G, G] is joined to N.",
            stages => stages with { Ungroup = (site, slot) => GroupsBeforeHeads(site, stages.Ungroup(site, slot)) }),
        new("tokens-halved-heads-rolled", Stage.Regroup, "The axes are one off: the tokens of a group are halved where the heads were meant, and the second half is rolled along the heads where the tokens were meant.",
            "After the transpose the heads are one axis earlier: check which axes chunk and roll take.",
            stages => stages with
            {
                Group = (site, slot) => slot.Position / site.Config.GroupSize * 2 + (InSecondHalf(site, slot) ? 1 : 0),
                RolledBy = (_, _, _) => 0,
                MaskShift = (_, _) => 0,
                Unshift = (_, row) => row.Token,
                Ungroup = (site, slot) => stages.Ungroup(site, slot) is var own && own.Position % site.Config.GroupSize >= site.Config.GroupSize / 2
                    ? own with { Head = Site.Modulo(own.Head - site.Config.GroupSize / 2 + (InSecondHalf(site, own) ? (site.Config.GroupSize + 1) / 2 : 0), site.Config.Heads) }
                    : own,
            })
        { SeenIn = "public ports: chunk(2, dim=3) and roll(dims=2) of [B, N/G, H, G, D]" },
        new("rolled-along-heads", Stage.Roll, "q, k and v of the shifted heads are rolled along the heads instead of the tokens.", "Roll along the axis of the tokens: 1 in [B,N,H,D], 2 in [B,H,N,D].",
            stages => stages with
            {
                RolledBy = (_, _, _) => 0,
                MaskShift = (_, _) => 0,
                Regroup = (site, operand, slot) => stages.Regroup(site, operand, slot) is var held ? held with { Head = AmongShifted(site, held.Head, stages.Amount(site.Config, site.Config.Heads - 1)) } : slot,
            }),
        new("rolled-across-entries", Stage.Roll, "The roll goes over the joined tokens of all batch entries, so the wrapped run of an entry belongs to the next one, forward and back.", "Roll each batch entry on its own: along N of [B,N,H,D], not along [B N,H,D].",
            stages => stages with
            {
                Regroup = (site, operand, slot) => stages.Regroup(site, operand, slot) is var held && Wraps(site, held) ? held with { Batch = (held.Batch + 1) % site.Config.Batch } : held,
                Ungroup = (site, slot) => stages.Ungroup(site, slot) is var own && Wraps(site, own) ? own with { Batch = (own.Batch + site.Config.Batch - 1) % site.Config.Batch } : own,
            }),
        new("unshift-along-heads", Stage.Unshift, "o of the shifted heads is rolled along the heads instead of the tokens.", "Roll o back along the axis of the tokens: 1 in [B,N,H,D], 2 in [B,H,N,D].",
            stages => stages with
            {
                Unshift = (_, row) => row.Token,
                Join = (site, row) => stages.Join(site, row) is var joined ? joined with { Head = AmongShifted(site, joined.Head, -stages.Amount(site.Config, site.Config.Heads - 1)) } : row,
            })
        { SeenIn = "public ports: roll(shifts=group_size // 2, dim=2) of [B, N, H, D]" },
        new("output-viewed-heads-first", Stage.Join, "o of [B,N,H,D] is viewed as [B,H,N,D] and transposed, after it was rolled back.", "o of [B,N,H,D] needs no transpose: reshape it to [B, N, H D].",
            stages => stages with { Join = (site, row) => stages.Join(site, TokensFirstMemory(site, row, site.Config.Heads)) }),
    ];

    // The memory of [B,N,H] read as [B,H,N].
    private static Place TokensFirstMemory(Site site, Operand operand, Place place) =>
        TokensFirstMemory(site, place, operand is Operand.Query ? site.Config.Heads : site.Config.KvHeads);

    private static Place TokensFirstMemory(Site site, Place place, int heads)
    {
        int index = place.Head * site.Config.Tokens + place.Token;
        return new(place.Batch, index / heads, index % heads);
    }

    private static IEnumerable<Slot> SamePlaces(Site site, Slot slot) =>
        from entry in Enumerable.Range(0, site.Config.Batch)
        from start in Enumerable.Range(0, site.Groups)
        select new Slot(entry, start * site.Config.GroupSize + slot.Position % site.Config.GroupSize, slot.Head);

    // The memory of [B,H,N] read as [B N/G, H, G].
    private static Slot HeadsBeforeGroups(Site site, Slot slot)
    {
        int group = site.Config.GroupSize, index = (slot.Position / group * site.Config.Heads + slot.Head) * group + slot.Position % group;
        return new(slot.Batch, index % site.Ring, index / site.Ring);
    }

    // The memory of [B N/G, H, G] read as [B,H,N].
    private static Slot GroupsBeforeHeads(Site site, Slot slot)
    {
        int group = site.Config.GroupSize, index = slot.Head * site.Ring + slot.Position;
        return new(slot.Batch, index / (site.Config.Heads * group) * group + index % group, index / group % site.Config.Heads);
    }

    private static bool InSecondHalf(Site site, Slot slot) => slot.Position % site.Config.GroupSize >= (site.Config.GroupSize + 1) / 2;

    private static bool Wraps(Site site, Slot slot) => slot.Position >= site.Ring - site.Shift(slot.Head);

    // The head that comes to a shifted head's place when the shifted ones are rolled among themselves.
    private static int AmongShifted(Site site, int head, int by)
    {
        int[] shifted = [.. Enumerable.Range(0, site.Config.Heads).Where(site.IsShifted)];
        int at = Array.IndexOf(shifted, head);
        return at < 0 ? head : shifted[Site.Modulo(at + by, shifted.Length)];
    }
}
