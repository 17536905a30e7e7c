// What goes wrong in the mask, in padding, and in rows that see no key?
using System.Collections.Immutable;
using S2Attn.Spec;
using S2Attn.Spec.Algebra;

namespace S2Attn.Reference.Upstream;

internal static class MaskDefects
{
    public static ImmutableArray<Defect> All { get; } =
    [
        .. MaskPolicies.All.Select(Computes),
        new("no-mask", Stage.Policy, "Groups are right, but no causal mask is applied.", "Apply the causal mask inside each group.",
            stages => stages with { Policy = mask => mask.IsCausal() ? MaskPolicy.Bidirectional : stages.Policy(mask) })
        { SeenIn = "public ports" },
        new("no-causal-mask", Stage.Policy, "The causal mask is not applied; the wrapped run is cut where it should be.", "Apply the causal mask of the policy inside each group.",
            WithoutOrder),
        Confused("split-as-local-causal", MaskPolicy.Split, MaskPolicy.LocalCausal, "cut the wrapped run 0 .. S-1 off the last group, as with cu_seqlens 0, S, S+G, ..., N"),
        Confused("bidirectional-split-as-bidirectional", MaskPolicy.BidirectionalSplit, MaskPolicy.Bidirectional, "cut the wrapped run 0 .. S-1 off the last group"),
        Confused("local-causal-as-split", MaskPolicy.LocalCausal, MaskPolicy.Split, "let the wrapped run see the end of the text, or declare the policy Split"),
        Confused("position-causal-as-local-causal", MaskPolicy.PositionCausal, MaskPolicy.LocalCausal, "compare the original token indices, after rolling them as k"),
        Confused("bidirectional-as-causal", MaskPolicy.Bidirectional, MaskPolicy.LocalCausal, "drop the causal mask"),
        Edge("mask-strict", "The causal mask hides the diagonal: a token does not see itself.", "Compare key <= query instead of key < query.",
            (site, query, key, sees) => sees && (query.Position != key.Position || !site.Config.Mask.IsCausal())),
        new("mask-next-token", Stage.Edge, "The causal mask shows the next token of the group.", "Compare key <= query instead of key <= query + 1 (triu with diagonal 1, tril with diagonal 0).", NextToken),
        new("mask-reversed", Stage.Edge, "The causal mask is transposed: a token sees those after it.", "Compare key <= query: tril, not triu.",
            stages => stages with { Edge = (site, query, key, _) => stages.Sees(site, key, query) }),
        new("later-groups-look-ahead", Stage.Edge, "In the second half of the groups the causal mask is transposed: there a token sees those after it, in the first half those before it.", "Apply one mask, key <= query, to every group.",
            stages => stages with { Edge = (site, query, key, sees) => site.Config.Mask.IsCausal() && query.Position / site.Config.GroupSize >= site.Groups / 2 ? stages.Sees(site, key, query) : stages.Edge(site, query, key, sees) })
        { SeenIn = "encoders of tables with code: a triu mask for the upper windows and a tril mask for the lower ones" },
        Edge("cut-in-every-group", "Every group is cut where only the last one, with the wrapped run, should be.", "Apply the mask that cuts the wrapped run to the last group alone.",
            (site, query, key, sees) => sees && (!Cuts(site, query.Head) || query.Position % site.Config.GroupSize < site.Config.GroupSize - site.Shift(query.Head) == key.Position % site.Config.GroupSize < site.Config.GroupSize - site.Shift(query.Head))),
        Edge("cut-at-unshifted-groups", "The mask compares the groups of before the roll: of its shifted group a query sees only what was in its unshifted group too, so that nothing crosses groups.", "Number what the mask compares after the roll: the last S positions of the last group are one run, all else the other.",
            (site, query, key, sees) => sees && (site.Shift(query.Head) == 0 || site.Token(query) / site.Config.GroupSize == site.Token(key) / site.Config.GroupSize))
            with { SeenIn = "encoders with code: roll(arange(N) // G) compared with itself" },
        Edge("cut-in-unshifted-heads", "The last group of the heads that do not shift is cut too.", "Cut the wrapped run off in shifted heads alone.",
            (site, query, key, sees) => sees && (!site.Config.Mask.CutsWrappedRun() || site.IsShifted(query.Head) || query.Position < site.Ring - site.Config.Shift == key.Position < site.Ring - site.Config.Shift)),
        Edge("cut-at-shift", "The last group is cut after S positions instead of before its last S.", "Let the wrapped run be the last S positions of the last group: the cut is at G - S.",
            (site, query, key, sees) => Cuts(site, query.Head) && query.Position >= site.Ring - site.Config.GroupSize
                ? (!site.Config.Mask.IsCausal() || key.Position <= query.Position)
                    && query.Position < site.Ring - site.Config.GroupSize + site.Shift(query.Head) == key.Position < site.Ring - site.Config.GroupSize + site.Shift(query.Head)
                : sees),
        Edge("cut-in-first-group", "The first group is cut at S instead of the last one before its last S positions: the mask is that of a roll in the other direction.", "Roll by -S and cut the last group, or roll by +S and cut the first: mask and roll belong together.",
            (site, query, key, sees) => Cuts(site, query.Head) && (query.Position >= site.Ring - site.Config.GroupSize || query.Position < site.Config.GroupSize)
                ? IsInOrder(site, query, key) && (query.Position >= site.Config.GroupSize || query.Position < site.Shift(query.Head) == key.Position < site.Shift(query.Head))
                : sees),
        Edge("cut-in-first-group-too", "The first group is cut at S, beside the last one, where the cut belongs.", "Leave the first group whole: the roll brings nothing from the other end of the text into it.",
            (site, query, key, sees) => sees && (!Cuts(site, query.Head) || query.Position >= site.Config.GroupSize || query.Position < site.Shift(query.Head) == key.Position < site.Shift(query.Head)))
            with { SeenIn = "encoders with code: slices (0, -G), (-G, -S), (-S, None), (0, S), (S, G) in one mask" },
        Edge("last-mask-in-first-group", "The first group of a shifted head is cut where the last one, with the wrapped run, should be.", "Roll by -S puts the first S tokens behind the last one: cut the last group, mask[-1], not mask[0].",
            (site, query, key, sees) => !Cuts(site, query.Head) ? sees
                : site.Token(key) < site.Config.Tokens && IsInOrder(site, query, key)
                    && (query.Position >= site.Config.GroupSize || query.Position < site.Config.GroupSize - site.Shift(query.Head) == key.Position < site.Config.GroupSize - site.Shift(query.Head))),
        new("mask-of-another-group", Stage.Edge, "Where a batch holds several entries, groups get the masks of others: the masks of the groups are repeated as (group, entry) beside tensors in the order (entry, group).", "Repeat the masks of the groups in the tensor's order: mask.repeat(B, 1, 1) for [B N/G, G, G], not repeat_interleave.",
            stages => stages with { Edge = (site, query, key, _) => stages.Sees(site, WithMaskOf(site, query), WithMaskOf(site, key)) }),
        new("last-group-mask-missing", Stage.Edge, "The last group of a shifted head has no mask.", "Apply the mask to the last group too.",
            stages => stages with
            {
                Edge = (site, query, key, sees) => stages.Edge(site, query, key, sees)
                    || site.Shift(query.Head) > 0 && query.Position >= site.Ring - site.Config.GroupSize && site.Token(key) < site.Config.Tokens,
            }),
        new("mask-of-other-half", Stage.Edge, "Shifted heads get the mask of the heads that do not shift, and the other way round.", "Build the mask of a head from its own shift.",
            stages => stages with { MaskShift = (site, slot) => site.IsShifted(slot.Head) ? 0 : stages.Amount(site.Config, slot.Head) }),
        new("ragged-fill-seen", Stage.Edge, "The zeros that fill N up to whole groups are seen as keys of score 0.", "Hide the positions past the last token from every query, as padding.",
            stages => stages with { Zeros = (site, slot) => Filled(stages, site, slot, _ => true) })
        { SeenIn = "public ports that pad N to whole groups" },
        new("ragged-fill-seen-in-runs", Stage.Edge, "The zeros that fill N up to whole groups are seen as keys of score 0, but not by the wrapped run, which the mask cuts off.", "Hide the positions past the last token from every query, as padding.",
            stages => stages with { Zeros = (site, slot) => Filled(stages, site, slot, position => !stages.Policy(site.Config.Mask).CutsWrappedRun() || IsWrapped(site, slot) == IsWrapped(site, slot with { Position = position })) })
        { SeenIn = "encoders that pad N to whole groups and mask the windows of what they rolled" },
        FilledBy("ragged-fill-repeats-last", "N is filled up to whole groups with copies of the last token, and they are seen, so that it counts several times.", (site, past) => site.Config.Tokens - 1)
            with { SeenIn = "encoders with code: cat([x, x[:, -1:].expand(-1, pad, -1)], dim=1)" },
        FilledBy("ragged-fill-reflects", "N is filled up to whole groups with the tokens before the last one in reversed order, and they are seen, so that these count twice.", (site, past) => Math.Abs(site.Config.Tokens - 2 - past))
            with { SeenIn = "encoders with code: pad(mode=\"reflect\")" },
        new("ragged-tail-dropped", Stage.Edge, "Tokens past the last whole group are not computed and not seen.", "Compute the last, shorter segment too, or do not declare ragged.",
            stages => stages with
            {
                Leaves = (site, row) => row.Token >= Whole(site) || stages.Leaves(site, row),
                Edge = (site, query, key, sees) => site.Token(key) < Whole(site) && stages.Edge(site, query, key, sees),
            }),
        new("ragged-tail-joined", Stage.Regroup, "The tokens past the last whole group belong to that group, which is then longer than G, instead of being a shorter one of their own.", "Begin a group at every multiple of G (for shifted heads at S + i G), also where fewer than G tokens are left: N / G rounded up, not down.",
            stages => stages with { Group = (site, slot) => Math.Min(stages.Group(site, slot), site.Config.Tokens / site.Config.GroupSize - 1) }),
        new("entries-not-cut", Stage.Regroup, "Where the batch is packed, the last piece of an entry and the first S tokens of the next are one piece of a shifted head: cu_seqlens has no border between entries.", "Put a border at the start of every entry too: 0, S, S+G, ..., N, N+S, N+S+G, ..., 2N.",
            stages => stages with
            {
                Reach = NextToEntry,
                Edge = (site, query, key, sees) => query.Batch == key.Batch ? stages.Edge(site, query, key, sees) : key.Batch < query.Batch || !site.Config.Mask.IsCausal(),
            }),
        new("first-border-missing", Stage.Regroup, "The first S tokens of a shifted head and the G after them are one piece: the border at S is missing.", "Begin the pieces of a shifted head at 0, S, S+G, ..., not at 0, S+G, ...",
            stages => stages with
            {
                Group = (site, slot) => Cuts(site, slot.Head) && IsWrapped(site, slot) ? 0 : stages.Group(site, slot),
                Edge = (site, query, key, sees) => stages.Edge(site, query, key, sees)
                    || Cuts(site, query.Head) && IsWrapped(site, query) != IsWrapped(site, key) && (!site.Config.Mask.IsCausal() || IsWrapped(site, key)),
            }),
        new("ragged-tail-filled", Stage.Regroup, "The last, shorter segment is filled up to G keys with those before it.", "Let the last segment hold only the tokens past the last whole group.",
            stages => stages with { Reach = BeforeTail })
        { SeenIn = "Point Transformer V3: the last patch of a cloud" },
        Padding("padding-ignored", "Padded keys are seen.", "Hide key u of batch entry b where valid[b,u] is 0.", (_, _, _, _) => true) with { SeenIn = "public ports without an attention mask" },
        Padding("padding-past-first-group-ignored", "Padding is only obeyed in the first group.", "Cut the padding mask into groups as k, instead of using its first G columns.", (site, _, _, key) => key.Token >= site.Config.GroupSize || Valid(site, key)),
        Padding("padding-as-length", "Padding is taken as a length: as many keys from the front as are valid, wherever the padded ones stand.", "Hide the keys where valid is 0: their number says where they stand only if all are at the end.", (site, _, _, key) => key.Token < Length(site, key.Batch)),
        new("mask-lost-beside-padding", Stage.Padding, "Where a padding mask is given it takes the place of the mask, so that a query sees its whole group.", "Hide a key where either mask does: an attention function that takes one mask needs both in it, and is_causal = (mask is None) drops one.",
            stages => stages with { Edge = (site, query, key, sees) => site.IsPadded ? site.Token(key) < site.Config.Tokens : stages.Edge(site, query, key, sees) }),
        Padding("padding-inverted", "The padding mask is read as 1 = padded.", "Read valid as 1 = real key.", (site, _, _, key) => Valid(site, key) != site.IsPadded),
        Padding("padding-batch-head-swapped", "The padding mask is repeated in the order (head, batch) beside tensors in the order (batch, head).", "Repeat each batch entry's mask H times in place (repeat_interleave) instead of tiling the batch.",
            (site, query, _, key) => Valid(site, key with { Batch = (key.Batch * site.Config.Heads + query.Head) % site.Config.Batch })),
        Padding("padding-of-other-entry", "Padding is that of the next batch entry.", "Read valid[b] for batch entry b.", (site, _, _, key) => Valid(site, key with { Batch = (key.Batch + 1) % site.Config.Batch })),
        Padding("padding-of-first-entry", "Padding of batch entry 0 serves every entry.", "Read valid[b] for batch entry b.", (site, _, _, key) => Valid(site, key with { Batch = 0 })),
        Padding("padding-not-rolled", "The padding mask is not rolled with k.", "Roll the padding mask of the shifted heads as k.", (site, _, key, place) => Unrolled(site, key, place)) with { SeenIn = "LLaMA-Factory's first eager path" },
        Padding("padding-rolled-everywhere", "The padding mask is rolled in the heads that do not shift too.", "Roll the padding mask of the shifted heads alone.",
            (site, _, key, place) => Valid(site, place with { Token = Math.Min(site.Token(site.Config.Shift, key.Position), site.Config.Tokens - 1) })),
        Padding("padding-of-queries", "The padding mask hides queries instead of keys.", "Mask the keys: valid[b, None, None, :], not valid[b, None, :, None].",
            (site, query, _, key) => site.Token(query) is var t && t < site.Config.Tokens && site.Valid[key.Batch, t]),
        new("padding-of-pairs", Stage.Padding, "The padding mask hides queries as well as keys: rows of padded tokens see no key.", "Mask the keys alone, valid[b, None, None, :]: the product of the mask with itself empties the rows of padded tokens.",
            stages => stages with { IsValid = (site, query, _, place) => Valid(site, place) && Held(stages, site, Operand.Query, query) is var t && (t >= site.Config.Tokens || site.Valid[query.Batch, t]) })
        { SeenIn = "encoders with code: mask.unsqueeze(1) * mask.unsqueeze(2)" },
        Padding("padding-first-block", "The first G columns of the padding mask serve every group.", "Cut each batch entry's own mask into groups as k is cut.", (site, _, key, place) => Valid(site, place with { Token = key.Position % site.Config.GroupSize }))
            with { SeenIn = "public ports: attention_mask[:, :, :G, :G]" },
        Padding("batch-mask-block", "The first G x G block of the padding mask serves every group, and the blocks are repeated as b0,b1,b0,b1,... while groups are ordered by batch entry.", "Cut each batch entry's own mask into groups as q, k, v are cut, instead of repeating its first G x G block over all groups.", TiledBlock)
            with { SeenIn = "LongLoRA and LLaMA-Factory: attention_mask[:, :, :G, :G].repeat(num_group, 1, 1, 1), with masked rows left to others" },
        new("longlora-batch-mask", Stage.Padding, "The first G x G block of the padding mask serves every group, repeated as b0,b1,b0,b1,... while groups are ordered by batch entry; a row left without a key averages what one of the masks alone hides.",
            "Cut each batch entry's own mask into groups as q, k, v are cut, instead of repeating its first G x G block over all groups.",
            stages => stages with { IsValid = TiledBlock, Hide = (future, padded) => future && padded ? PairMask.Hidden : PairMask.Lowered })
        { SeenIn = "LongLoRA llama_attn_replace.py and llama_attn_replace_sft.py forward_noflashattn: attention_mask[:, :, :G, :G].repeat(num_group, 1, 1, 1)" },
        new("longlora-flash-padding", Stage.Padding, "key_padding_mask.repeat(2, 1) is ordered (half, batch) but the tensor (batch, half), so a row is packed by another entry's mask; groups are counted in packed tokens, and rows that are not packed are 0.",
            "Repeat the padding mask in the tensor's order (repeat_interleave instead of repeat) and count groups in original tokens.",
            stages => Packed(stages, (site, b, half) => (2 * b + half) % site.Config.Batch))
        { SeenIn = "LongLoRA llama_attn_replace.py and llama_attn_replace_sft.py forward_flashattn: unpad_input and cu_q_lens" },
        new("packed-padding", Stage.Padding, "Groups are counted in the tokens that are left when padding is packed away, and padded rows are 0.", "Count groups in original tokens: padding hides keys, it does not move those after it.",
            stages => Packed(stages, (_, b, _) => b))
        { SeenIn = "varlen paths" },
        new("packed-batch-mask-block", Stage.Padding, "The first G columns of the padding mask serve every group, repeated as b0,b1,b0,b1,... while groups are ordered by batch entry, and rows that they hide are packed away and 0.",
            "Roll each batch entry's own mask with k and cut it into groups as k is cut, instead of repeating its first G columns; padding hides keys, it empties no row.",
            stages => stages with { IsValid = (site, query, key, place) => TiledBlock(site, query, query, place) && TiledBlock(site, query, key, place) })
        { SeenIn = "LongLoRA's first flash path, LLaMA-Factory's and ms-swift's: attention_mask[:, :G].repeat(num_group, 1), given to a kernel that unpads" },
        new("packed-padding-not-rolled", Stage.Padding, "The padding mask is cut into groups but not rolled with the shifted heads, and rows that it hides are packed away and 0.",
            "Roll the padding mask of the shifted heads as k; padding hides keys, it empties no row.",
            stages => stages with { IsValid = (site, query, key, place) => Unrolled(site, query, place) && Unrolled(site, key, place) })
        { SeenIn = "LLaMA-Factory's flash paths of 2023: attention_mask.reshape(bsz * num_groups, groupsz), given to a kernel that unpads" },
        Packs("packed-first-block", "The first G columns of an entry's padding mask serve all of its groups", "Cut each batch entry's own mask into groups as k is cut",
            (site, slot, place) => place with { Token = Math.Min(slot.Position % site.Config.GroupSize, site.Config.Tokens - 1) }),
        Packs("packed-padding-of-other-half", "The padding mask is repeated as (half, entry) beside tensors in the order (entry, half), so a row is hidden by another entry's mask", "Repeat the padding mask in the tensor's order (repeat_interleave instead of repeat)",
            OtherHalf)
            with { SeenIn = "HiCI llama_attn_hici.py, forward_flashattn_hybrid_shift_v2: attention_mask.repeat(2, 1)" },
        Packs("packed-blocks-before-entries", "The blocks of the padding mask are ordered group, batch entry, and taken for batch entry, group", "Join the blocks so that those of one entry follow each other: stack them behind the batch before the reshape, instead of cat along the batch",
            (site, slot, _) => BlocksBeforeEntries(site, slot)),
        Padding("padding-of-other-half", "The padding mask is repeated as (half, entry) beside tensors in the order (entry, half).", "Repeat each batch entry's mask in the tensor's order (repeat_interleave instead of repeat).",
            (site, _, key, place) => Valid(site, OtherHalf(site, key, place))),
        Padding("padding-blocks-before-entries", "The blocks of the padding mask are ordered group, batch entry, and taken for batch entry, group.", "Join the blocks so that those of one entry follow each other: stack them behind the batch before the reshape, instead of cat along the batch.",
            (site, _, key, _) => Valid(site, BlocksBeforeEntries(site, key))),
        Empty("empty-row-uniform", "A row that sees no key is the average over the padded ones.", (future, padded) => padded && !future ? PairMask.Lowered : PairMask.Hidden),
        Empty("empty-row-average", "A row that sees no key is the average over all keys of its group.", (_, _) => PairMask.Lowered) with { SeenIn = "ports that add the least finite number once" },
        Empty("empty-row-one-mask", "A row that sees no key is the average over the keys that one of the masks alone, the future's or padding, hides.", (future, padded) => future && padded ? PairMask.Hidden : PairMask.Lowered)
            with { SeenIn = "ports that add two masks of the least finite number" },
        new("mask-adds-10000", Stage.Empty, "Hidden keys are masked by adding -10000 to their scores, so a row that sees no key weighs hidden ones.", "Mask by selection: leave hidden keys out of maximum, sum and product.",
            stages => stages with { Hide = (_, _) => PairMask.Less }),
        new("empty-row-nan", Stage.Empty, "A row that sees no key is NaN: the softmax of nothing but -infinity.", "Give o = 0 and lse = -infinity where no key is seen.", stages => stages with { EmptyIsNaN = true })
        { SeenIn = "ports that add -infinity" },
    ];

    /// <summary>No mistake of its own, and the definition alone: beside a wrong roll it leaves the cut of the wrapped run where it belongs.</summary>
    internal static Defect CutWhereAsked { get; } = new("cut-where-asked", Stage.Edge, "The mask cuts the wrapped run off at token S, where the shift that was asked for puts it; the roll is another.", "Leave the mask: it is right once the roll is.",
        stages => stages with
        {
            Edge = (site, query, key, sees) =>
            {
                int asked = site.Config.ShiftOf(query.Head), t = Held(stages, site, Operand.Query, query), u = Held(stages, site, Operand.Key, key);
                return stages.Edge(site, query, key, stages.Policy(site.Config.Mask).CutsWrappedRun()
                    ? t < site.Config.Tokens && u < site.Config.Tokens && t < asked == u < asked && (!site.Config.Mask.IsCausal() || u <= t)
                    : sees);
            },
        });

    private static int Held(Stages stages, Site site, Operand operand, Slot slot) => stages.RolledBy(site, operand, slot.Head) is { } shift ? stages.Roll(site, slot, shift) : slot.Position;

    private static Defect Computes(MaskPolicy mask) => new(
        mask.ToString(), Stage.Policy, $"It computes the policy {mask}, whatever policy is asked for.", $"Declare the mask {mask}, which is what your code computes{(mask.CutsWrappedRun() ? "" : " and which is for whole groups alone")}, or change the mask: see docs/semantics.md.",
        stages => stages with { Policy = _ => mask })
    {
        SeenIn = mask switch
        {
            MaskPolicy.LocalCausal => "LongLoRA's eager path and the paper's Algorithm 1",
            MaskPolicy.Split => "LongLoRA's flash path",
            _ => Defect.Constructed,
        },
    };

    private static Defect Confused(string name, MaskPolicy asked, MaskPolicy given, string fix) => new(
        name, Stage.Policy, $"{asked} is computed as {given}.", $"Under {asked}, {fix}.", stages => stages with { Policy = mask => stages.Policy(mask) == asked ? given : stages.Policy(mask) });

    private static Defect Edge(string name, string what, string fix, Func<Site, Slot, Slot, bool, bool> edge) => new(name, Stage.Edge, what, fix,
        stages => stages with { Edge = (site, query, key, sees) => edge(site, query, key, stages.Edge(site, query, key, sees)) });

    private static Defect Padding(string name, string what, string fix, Func<Site, Slot, Slot, Place, bool> valid) => new(name, Stage.Padding, what, fix, stages => stages with { IsValid = valid });

    /// <summary>A padding mask that is read elsewhere than at the key, for query and key alike: what it hides is packed away, and rows of it are 0.</summary>
    private static Defect Packs(string name, string what, string fix, Func<Site, Slot, Place, Place> read) => new(
        name, Stage.Padding, $"{what}, and rows that it hides are packed away and 0.", $"{fix}; padding hides keys, it empties no row.",
        stages =>
        {
            bool IsKept(Site site, Slot slot)
            {
                int held = Held(stages, site, Operand.Key, slot);
                return !site.IsPadded || held < site.Config.Tokens && Valid(site, read(site, slot, new(slot.Batch, held, slot.Head)));
            }

            return stages with { IsValid = (site, query, key, _) => IsKept(site, query) && IsKept(site, key) };
        });

    private static int Length(Site site, int entry) => Enumerable.Range(0, site.Config.Tokens).Count(token => site.Valid[entry, token]);

    private static Slot WithMaskOf(Site site, Slot slot)
    {
        (int group, int offset) = Math.DivRem(slot.Position, site.Config.GroupSize);
        return slot with { Position = (slot.Batch * site.Groups + group) / site.Config.Batch * site.Config.GroupSize + offset };
    }

    // The last piece of the entry before, and the first of the one after.
    private static IEnumerable<Slot> NextToEntry(Site site, Slot slot)
    {
        if (!Cuts(site, slot.Head))
            return [];
        int shift = site.Shift(slot.Head), start = (site.Config.Tokens - 1 - shift) / site.Config.GroupSize * site.Config.GroupSize;
        return IsWrapped(site, slot) ? slot.Batch == 0 ? [] : Enumerable.Range(start, site.Config.Tokens - shift - start).Select(position => slot with { Batch = slot.Batch - 1, Position = position })
            : slot.Position < start || slot.Batch == site.Config.Batch - 1 ? []
            : Enumerable.Range(site.Ring - shift, shift).Select(position => slot with { Batch = slot.Batch + 1, Position = position });
    }

    private static Place OtherHalf(Site site, Slot slot, Place place) => place with { Batch = (2 * slot.Batch + (site.Config.ShiftedHeads.IsShifted(slot.Head, site.Config.Heads) ? 1 : 0)) % site.Config.Batch };

    private static Place BlocksBeforeEntries(Site site, Slot slot)
    {
        int block = slot.Batch * site.Groups + slot.Position / site.Config.GroupSize, token = block / site.Config.Batch * site.Config.GroupSize + slot.Position % site.Config.GroupSize;
        return new(block % site.Config.Batch, Math.Min(token, site.Config.Tokens - 1), slot.Head);
    }

    private static Defect Empty(string name, string what, Func<bool, bool, PairMask> hide) =>
        new(name, Stage.Empty, what, "Give o = 0 and lse = -infinity where no key is seen.", stages => stages with { Hide = hide });

    internal static Stages WithoutOrder(Stages stages) => stages with { Policy = mask => WithoutOrder(stages.Policy(mask)) };

    internal static Stages WithoutCut(Stages stages) => stages with
    {
        Policy = mask => stages.Policy(mask) switch
        {
            MaskPolicy.Split => MaskPolicy.LocalCausal,
            MaskPolicy.BidirectionalSplit => MaskPolicy.Bidirectional,
            var other => other,
        },
    };

    private static MaskPolicy WithoutOrder(MaskPolicy mask) => mask is MaskPolicy.Split ? MaskPolicy.BidirectionalSplit : mask.IsCausal() ? MaskPolicy.Bidirectional : mask;

    private static bool Cuts(Site site, int head) => site.Config.Mask.CutsWrappedRun() && site.Shift(head) > 0;

    private static bool Valid(Site site, Place key) => site.Valid[key.Batch, key.Token];

    // The positions of a slot's group that hold no token and that the causal mask, where there is one, shows it.
    internal static int Filled(Stages stages, Site site, Slot slot, Func<int, bool> isSeen)
    {
        int start = slot.Position - slot.Position % site.Config.GroupSize, end = site.Config.Mask.IsCausal() ? slot.Position + 1 : start + site.Config.GroupSize;
        return Enumerable.Range(start, end - start).Count(position => isSeen(position)
            && (stages.RolledBy(site, Operand.Key, slot.Head) is { } shift ? stages.Roll(site, slot with { Position = position }, shift) : position) >= site.Config.Tokens);
    }

    // Copies of tokens at the places of a slot's group that hold none; which token, by how many places past the last one.
    private static Defect FilledBy(string name, string what, Func<Site, int, int> copied) => new(name, Stage.Edge, what, "Hide the positions past the last token from every query, as padding.",
        stages => stages with
        {
            Reach = (site, slot) =>
            {
                int start = slot.Position - slot.Position % site.Config.GroupSize, shift = site.Shift(slot.Head);
                return stages.Reach(site, slot).Concat(
                    from position in Enumerable.Range(start, site.Config.GroupSize)
                    let past = site.Token(shift, position) - site.Config.Tokens
                    where past >= 0 && (!site.Config.Mask.IsCausal() || position <= slot.Position)
                    select slot with { Position = site.Position(shift, copied(site, past)) });
            },
        });

    private static bool IsInOrder(Site site, Slot query, Slot key) => !site.Config.Mask.IsCausal() || key.Position <= query.Position;

    private static bool IsWrapped(Site site, Slot slot) => slot.Position >= site.Ring - site.Shift(slot.Head);

    private static bool Unrolled(Site site, Slot slot, Place place) => Valid(site, place with { Token = Math.Min(slot.Position, site.Config.Tokens - 1) });

    private static int Whole(Site site) => site.Config.Tokens / site.Config.GroupSize * site.Config.GroupSize;

    private static Stages NextToken(Stages stages) => stages with
    {
        // The next token of the group under a policy without order: its own run where the policy cuts.
        Edge = (site, query, key, sees) => stages.Edge(site, query, key, sees)
            || (site.Config.Mask.IsCausal() && key.Position == query.Position + 1 && site.Token(key) is var u && u < site.Config.Tokens
                && !(stages.Policy(site.Config.Mask).CutsWrappedRun() && u < site.Shift(key.Head) != site.Token(query) < site.Shift(query.Head))),
    };

    private static IEnumerable<Slot> BeforeTail(Site site, Slot slot)
    {
        // The tail of a head: what is left past its last whole group.
        int shift = site.Shift(slot.Head), left = (site.Config.Tokens - shift) % site.Config.GroupSize, tail = site.Config.Tokens - left;
        int token = site.Token(shift, slot.Position);
        if (left == 0 || token < tail || token >= site.Config.Tokens)
            return [];
        int first = Math.Max(site.Config.Tokens - site.Config.GroupSize, shift) - shift;
        return Enumerable.Range(first, Math.Max(0, tail - shift - first)).Select(position => slot with { Position = position });
    }

    private static bool TiledBlock(Site site, Slot query, Slot key, Place place) =>
        site.Valid[(query.Batch * site.Groups + query.Position / site.Config.GroupSize) % site.Config.Batch, Math.Min(key.Position % site.Config.GroupSize, site.Config.Tokens - 1)];

    /// <summary>Row (b, half) keeps the tokens that the mask of some entry calls valid, and groups are counted in kept tokens. Without padding nothing is packed.</summary>
    private static Stages Packed(Stages stages, Func<Site, int, int, int> maskEntry)
    {
        bool Kept(Site site, int b, int head, int token) => token < site.Config.Tokens && site.Valid[maskEntry(site, b, site.IsShifted(head) ? 1 : 0), token];
        int Before(Site site, Slot slot) => Enumerable.Range(0, Math.Min(slot.Position, site.Config.Tokens)).Count(token => Kept(site, slot.Batch, slot.Head, token));
        return stages with
        {
            RolledBy = (site, operand, head) => site.IsPadded ? null : stages.RolledBy(site, operand, head),
            MaskShift = (site, slot) => site.IsPadded ? 0 : stages.MaskShift(site, slot),
            Group = (site, slot) => site.IsPadded ? Segments.RunOf<Int, Bool>(site.Config.GroupSize, site.Shift(slot.Head), Before(site, slot)).ToIndex() : stages.Group(site, slot),
            IsValid = (site, query, key, place) => site.IsPadded ? Kept(site, key.Batch, key.Head, key.Position) : stages.IsValid(site, query, key, place),
            Unshift = (site, row) => site.IsPadded ? row.Token : stages.Unshift(site, row),
            Leaves = (site, row) => stages.Leaves(site, row) || (site.IsPadded && !Kept(site, row.Batch, row.Head, row.Token)),
        };
    }
}
