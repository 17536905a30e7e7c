// What goes wrong in the choice of heads, the amount of the shift and the roll of q, k and v?
using System.Collections.Immutable;
using S2Attn.Spec;
using S2Attn.Spec.Algebra;

namespace S2Attn.Reference.Upstream;

internal static class ShiftDefects
{
    private const string FillsNothing = "Use a roll, which brings the first S tokens behind the last one, instead of a slice and a pad.";

    public static ImmutableArray<Defect> All { get; } =
    [
        new("no-heads-shifted", Stage.Heads, "The shift has no effect: every head attends inside unshifted groups.", "Apply the roll to the heads that shift, and use the rolled tensors.",
            stages => stages with { Shifts = (_, _) => false })
        { SeenIn = "public ports whose flag is read and never used" },
        Heads("all-heads-shifted", "Every head is shifted.", "Roll only the heads that shift, by default h >= H / 2.", (_, _, _) => true),
        Heads("wrong-half-shifted", "The other heads are shifted than those asked for: the first half instead of the second.", "Roll the upper half of the heads, h >= H / 2 (or those that shiftedHeads names), and leave the others.", (_, _, right) => !right),
        Heads("odd-heads-rounded-up", "For odd H the second half begins at (H + 1) / 2.", "Let the shifted half begin at H / 2 rounded down: the extra head is shifted.",
            (config, head, right) => config.ShiftedHeads is HeadShift.UpperHalf ? head >= (config.Heads + 1) / 2 : right),
        Heads("shifted-heads-ignored", "An explicit set of shifted heads is ignored; the upper half is shifted.", "Read shiftedHeads where it is an array of flags, or declare fixed.shiftedHeads = SecondHalf.",
            (config, head, right) => config.ShiftedHeads is HeadShift.Given ? HeadShift.SecondHalf.IsShifted(head, config.Heads) : right),
        Heads("every-other-head-shifted", "Every other head is shifted (odd h) instead of the upper half.", "Roll the heads h >= H / 2, not those of odd h.",
            (config, head, right) => config.ShiftedHeads is HeadShift.UpperHalf ? head % 2 == 1 : right),
        Heads("even-heads-shifted", "Every other head is shifted (even h) instead of the upper half.", "Roll the heads h >= H / 2, not those of even h.",
            (config, head, right) => config.ShiftedHeads is HeadShift.UpperHalf ? head % 2 == 0 : right),
        Heads("shifted-from-half-of-kv-heads", "The shifted heads begin at K / 2, half of the kv heads, instead of at H / 2.", "Count query heads: roll h >= H / 2, after k and v are repeated.",
            (config, head, right) => config.ShiftedHeads is HeadShift.UpperHalf ? head >= config.KvHeads / 2 : right),
        Heads("half-of-each-kv-group-shifted", "The upper half of the query heads of each kv head is shifted.", "Roll the heads h >= H / 2 of all H.",
            (config, head, right) => config.ShiftedHeads is HeadShift.UpperHalf && config.Heads / config.KvHeads is var shared ? head % shared >= shared / 2 : right),
        Heads("last-quarter-shifted", "A quarter of the heads is shifted, h >= 3 H / 4.", "Roll half of the heads, h >= H / 2.",
            (config, head, right) => config.ShiftedHeads is HeadShift.UpperHalf ? head >= config.Heads - config.Heads / 4 : right),
        Heads("three-quarters-shifted", "Three quarters of the heads are shifted, h >= H / 4.", "Roll half of the heads, h >= H / 2.",
            (config, head, right) => config.ShiftedHeads is HeadShift.UpperHalf ? head >= config.Heads / 4 : right),
        Heads("shifted-from-one-head-late", "The shifted heads begin one head late, at H / 2 + 1: one too few is shifted.", "Roll the heads h >= H / 2 where h counts from 0, not h > H / 2.",
            (config, head, right) => config.ShiftedHeads is HeadShift.UpperHalf ? head > config.Heads / 2 : right),
        Heads("shifted-from-one-head-early", "The shifted heads begin one head early, at H / 2 - 1: one too many is shifted.", "Roll the heads h >= H / 2 where h counts from 0, from H / 2 + 1 on where it counts from 1.",
            (config, head, right) => config.ShiftedHeads is HeadShift.UpperHalf ? head >= config.Heads / 2 - 1 : right),
        Heads("last-head-shifted", "Only the last head is shifted.", "Roll all heads h >= H / 2.", (config, head, right) => right && head == config.Heads - 1),
        new("later-entries-shifted", Stage.Heads, "The halves of the heads stand in the batch as (entry, half), and the last B of these rows are rolled as if they stood as (half, entry): of several entries the first ones are not shifted at all, and the last ones in every head.",
            "Put the halves into the batch as (half, entry), or roll the second half before the halves are joined with the batch.",
            stages => stages with
            {
                // Of a single entry the last row is the second half, as it should be.
                Shifts = (config, head) => config.Batch == 1 ? stages.Shifts(config, head) : Enumerable.Range(0, config.Heads).Any(any => stages.Shifts(config, any)),
                Roll = (site, slot, shift) => stages.Roll(site, slot, site.Config.Batch == 1 || IsLater(stages, site, slot.Batch, slot.Head) ? shift : 0),
                MaskShift = (site, slot) => IsLater(stages, site, slot.Batch, slot.Head) ? stages.MaskShift(site, slot) : 0,
                Unshift = (site, row) => IsLater(stages, site, row.Batch, row.Head) ? stages.Unshift(site, row) : row.Token,
            })
        { SeenIn = "HiCI llama_attn_hici.py, forward_flashattn_hybrid_shift_v2: Q[bsz:] of [2 B, H/2, N, D] in the order (entry, half)" },
        new("tokens-halved-for-heads", Stage.Heads, "The second half is taken along the tokens instead of the heads: in every head the tokens from H / 2 on are rolled among themselves, and those before stay.",
            "Take the second half along the axis of the heads before the roll: x[:, :, H // 2:] of [B,N,H,D], x[:, H // 2:] of [B,H,N,D].",
            stages => stages with
            {
                Shifts = (config, _) => Enumerable.Range(0, config.Heads).Any(head => stages.Shifts(config, head)),
                Roll = (site, slot, shift) => RolledFrom(site.Config.Heads / 2, site, slot.Position, shift),
                MaskShift = (site, slot) => stages.Shifts(site.Config, slot.Head) ? stages.MaskShift(site, slot) : 0,
                Unshift = (site, row) => stages.Shifts(site.Config, row.Head) ? stages.Unshift(site, row) : row.Token,
            })
        { SeenIn = "LongLoRA-Paper-Presentation s2_attention_example.ipynb: qkv[:, num_heads // 2:] of [B,N,H,D]" },
        new("passes-averaged", Stage.Heads, "Every head is the mean of two passes, one that does not shift and one that does.", "Let each head attend once: the heads h >= H / 2 shifted, the others not; nothing is averaged.",
            stages => stages with { Shifts = (_, _) => true, Passes = [other => other with { Shifts = (_, _) => false }] })
        { SeenIn = "articles and notes with code: (local + shifted) / 2" },
        new("passes-added", Stage.Heads, "Every head is the sum of two passes, one that does not shift and one that does.", "Let each head attend once: the heads h >= H / 2 shifted, the others not; nothing is added up.",
            stages => stages with { Shifts = (_, _) => true, Passes = [other => other with { Shifts = (_, _) => false }], AddsPasses = true })
        { SeenIn = "encoders with code: attention of shifted windows added to that of windows in place" },
        Amount("explicit-shift-ignored", "The shift is always G / 2 rounded down, whatever shift is asked for.", "Use the shift of the configuration instead of G / 2, or declare fixed.shift = \"half\".", (_, config) => config.GroupSize / 2)
            with { SeenIn = "nearly every public port: the shift is built in" },
        Amount("shift-plus-one", "The shift is one too large.", "Shift by exactly S, by default G / 2 rounded down.", (s, config) => s == 0 ? 0 : (s + 1) % config.GroupSize),
        Amount("shift-minus-one", "The shift is one too small.", "Shift by exactly S, by default G / 2 rounded down.", (s, _) => Math.Max(s - 1, 0)),
        Amount("shift-rounded-up", "For odd G the shift is (G + 1) / 2, forward and back.", "Shift by G / 2 rounded down: G // 2, not -(-G // 2).", (s, config) => config.GroupSize > 1 && s == config.GroupSize / 2 ? s + config.GroupSize % 2 : s),
        Amount("shift-quarter", "The shift is half of what it should be.", "Shift by S, by default G / 2 rounded down.", (s, _) => s / 2),
        Amount("shift-doubled", "The shift is twice what it should be.", "Shift by S, by default G / 2 rounded down.", (s, config) => 2 * s % config.Tokens),
        Amount("shift-third", "The shift is a third of the group.", "Shift by S, by default G / 2 rounded down.", (s, config) => s == 0 ? 0 : config.GroupSize / 3),
        Amount("shift-three-quarters", "The shift is three quarters of the group.", "Shift by S, by default G / 2 rounded down.", (s, config) => s == 0 ? 0 : 3 * config.GroupSize / 4),
        Amount("shift-one", "The shift is always one token.", "Shift by S, by default G / 2 rounded down.", (s, _) => Math.Min(s, 1)),
        Amount("shift-whole-group", "The shift is a whole group, so that the groups of the shifted heads are those of the others.", "Shift by S, by default G / 2 rounded down.", (s, config) => s == 0 ? 0 : config.GroupSize % config.Tokens),
        Amount("shift-half-of-tokens", "The shift is half of the sequence.", "Shift by S, by default G / 2 rounded down: check of which axis the size is halved.", (s, config) => s == 0 ? 0 : config.Tokens / 2),
        Amount("shift-quarter-of-tokens", "The shift is a quarter of the sequence.", "Shift by S, by default G / 2 rounded down.", (s, config) => s == 0 ? 0 : config.Tokens / 4),
        Amount("shift-half-of-heads", "The shift is H / 2, forward and back.", "Shift by S tokens, by default G / 2 rounded down: check from which axis the size is taken.", (s, config) => s == 0 ? 0 : config.Heads / 2 % config.Tokens),
        Amount("shift-half-of-width", "The shift is D / 2, forward and back.", "Shift by S tokens, by default G / 2 rounded down: check from which axis the size is taken.", (s, config) => s == 0 ? 0 : config.HeadDim / 2 % config.Tokens),
        Amount("shift-half-of-groups", "The shift is half of the number of groups, N / G / 2.", "Shift by S, by default G / 2 rounded down: half of the size of a group, not of their number.", (s, config) => s == 0 ? 0 : config.Tokens / config.GroupSize / 2),
        new("shift-grows-with-head", Stage.Amount, "Each head has a shift of its own, h G / H.", "Shift the heads h >= H / 2, all by the same S, and leave the others.",
            stages => stages with { Shifts = (_, head) => head > 0, HeadAmount = (config, head, _) => head * config.GroupSize / config.Heads }),
        Amount("plus-direction-odd", "The roll goes by +S and back by -S: the direction is swapped, which is the same only where 2S = G.", "Roll by -S, so that position p holds token (p + S) mod N, and back by +S.", (s, config) => s == 0 ? 0 : config.GroupSize - s)
            with { SeenIn = "public ports", Aliases = ["shift-direction"] },
        PhaseOfHead("phase-of-next-head", "Where heads have shifts of their own, each head takes that of the next one, and the last that of the first.", "Shift query head h by shifts[h]: look for a phase that is one too large.",
            (config, head) => (head + 1) % config.Heads),
        PhaseOfHead("phases-reversed", "Where heads have shifts of their own, they are taken in reverse order.", "Shift query head h by shifts[h], the first head by the first of them.",
            (config, head) => config.Heads - 1 - head),
        PhaseOfHead("phase-by-kv-head", "Where heads have shifts of their own, the query heads that share a kv head all shift as the first of them.", "Shift k and v for each query head, after they are repeated: query heads of one kv head may have different shifts.",
            (config, head) => config.KvHeadOf(head) * (config.Heads / config.KvHeads)),
        Phase("phase-rounded", "The shift of a phase is G p / P rounded to nearest, not down.", "Shift the heads of phase p by floor(G p / P), and where phases are rotated by floor(G (2p + 1) / 2P): integer division, or take shifts[h] as given.", RoundedPhase),
        Phase("phases-as-one-shift", "Where heads have shifts of their own, all that shift do so by the largest of them.", "Shift query head h by shifts[h], not by S.", (config, head) => config.ShiftOf(head) > 0 ? config.Shift : 0),
        Amount("rolled-forwards-and-back", "The roll goes by +S and back by -S, so that position p holds token (p - S) mod N.", "Roll by -S, so that position p holds token (p + S) mod N, and back by +S.", (s, config) => s == 0 ? 0 : config.Tokens - s)
            with { SeenIn = "public ports: roll(+size // 2), later roll(-size // 2)" },
        new("kv-shift-before-repeat", Stage.KvShift, "k and v are rolled for each kv head before they are repeated, so a kv head that shifted and unshifted query heads share is read rolled by both.", "Repeat k and v to the query heads first, then roll those of the shifted query heads.",
            stages => KvShift(stages, (site, head) => Sharing(site, head).Max(site.Shift)))
        { SeenIn = "public ports" },
        new("kv-half-shifted-before-repeat", Stage.KvShift, "The upper half of the kv heads, h' >= K / 2, is rolled before k and v are repeated, whatever query heads read them.", "Repeat k and v to the query heads first, then roll those of the shifted query heads.",
            stages => KvShift(stages, (site, head) => site.KvHead(head) >= site.Config.KvHeads / 2 ? stages.Amount(site.Config, head) : 0))
        { SeenIn = "public ports" },
        new("kv-smaller-half-shifted-before-repeat", Stage.KvShift, "The last K / 2 kv heads, rounded down but at least one, are rolled before k and v are repeated, whatever query heads read them.", "Repeat k and v to the query heads first, then roll those of the shifted query heads.",
            stages => KvShift(stages, (site, head) => site.KvHead(head) >= site.Config.KvHeads - Math.Max(1, site.Config.KvHeads / 2) ? stages.Amount(site.Config, head) : 0))
        { SeenIn = "public ports whose number of shifted heads is max(1, int(K * 0.5))" },
        new("expanded-kv-rolled-in-place", Stage.KvShift, "The copies of a single kv head are one memory (expand), and the roll is written into it, so that it reaches the heads that do not shift.",
            "Clone k and v after they are repeated, or join the halves by cat instead of writing the rolled one in place.",
            stages => KvShift(stages, (site, head) => site.Config.KvHeads == 1 ? Sharing(site, head).Max(site.Shift) : site.Shift(head)))
        { SeenIn = "LongLoRA llama_attn_replace.py forward_noflashattn and ports of it, with one kv head and two query heads" },
        new("expanded-kv-of-one-entry-rolled-in-place", Stage.KvShift, "Of a single batch entry the copies of a single kv head are one memory (expand), and the roll is written into it, so that it reaches the heads that do not shift; several entries are copied before.",
            "Clone k and v after they are repeated, or join the halves by cat instead of writing the rolled one in place.",
            stages => KvShift(stages, (site, head) => site.Config is { KvHeads: 1, Batch: 1 } ? Sharing(site, head).Max(site.Shift) : site.Shift(head)))
        { SeenIn = "HiCI llama_attn_hici.py, forward_flashattn_hybrid_shift_v2: a reshape that joins entries and halves copies only where there are several entries" },
        new("kv-half-shifted-unless-one", Stage.KvShift, "The upper half of the kv heads, h' >= K / 2, is rolled before k and v are repeated, and a single kv head not at all, whatever query heads read them.", "Repeat k and v to the query heads first, then roll those of the shifted query heads.",
            stages => KvShift(stages, (site, head) => site.Config.KvHeads > 1 && site.KvHead(head) >= site.Config.KvHeads / 2 ? stages.Amount(site.Config, head) : 0))
        { SeenIn = "public MLX ports, whose attention takes k and v unrepeated" },
        new("single-kv-head-not-rolled", Stage.KvShift, "k and v of a single kv head, which all query heads share, are not rolled for the heads that shift; q is.", "Roll k and v for the shifted query heads where K is 1 too: repeat the one kv head first, or keep a rolled copy beside it.",
            stages => KvShift(stages, (site, head) => site.Config.KvHeads == 1 ? 0 : site.Shift(head))),
        new("kv-rolled-again-in-place", Stage.KvShift, "The roll is written into the kv head itself, which query heads share, so that each shifted query head that reads it finds it rolled once more than the one before.", "Roll a copy of the kv head for each query head: a slice such as k[:, :, h] is a view, and what is written into it stays.",
            stages => KvShift(stages, (site, head) => site.OnRing(Sharing(site, head).Where(other => other <= head).Sum(site.Shift)))),
        new("kv-shift-of-first-head", Stage.KvShift, "A kv head is rolled as the first query head that reads it.", "Roll k and v for each query head, after they are repeated.",
            stages => KvShift(stages, (site, head) => site.Shift(Sharing(site, head).First()))),
        new("kv-repeat-after-half", Stage.KvShift, "Only the kv heads from H / 2 on are rolled, so where K <= H / 2 neither k nor v is.", "Repeat k and v to the query heads first, then roll those of the shifted query heads.",
            stages => KvShift(stages, (site, head) => site.KvHead(head) >= site.Config.Heads / 2 ? site.Shift(head) : 0)),
        Roll("longlora-odd-group", "For odd G the forward roll is one longer than the roll back (Python's -G//2 floors), so row t of a shifted head is row t+1's.", "Roll forward by the same amount that you roll back: for odd G Python's -G//2 is -(G+1)/2; write -(G//2).",
            (site, head, shift) => shift + (site.IsShifted(head) ? site.Config.GroupSize % 2 : 0))
            with { SeenIn = "LongLoRA llama_attn_replace.py and llama_attn_replace_sft.py forward_noflashattn, gptneox_attn_replace.py get_forward_function, and ports of them: shift()" },
        OddRoll("odd-group-of-kv", "k and v are rolled one further than q and o", "Roll k and v by the same amount as q", operand => operand is not Operand.Query),
        OddRoll("odd-group-of-query", "q is rolled one further than k, v and o", "Roll q by the same amount as k and v", operand => operand is Operand.Query),
        Roll("rolled-forwards", "q, k and v are rolled by +S, but o is rolled back as if by -S.", "Roll q, k and v by -S, so that position p holds token (p + S) mod N.", (site, _, shift) => site.OnRing(-shift)),
        Roll("rolled-twice", "q, k and v are rolled twice, o is rolled back once.", "Roll q, k and v once: look for a view that is rolled in place and rolled again.", (site, _, shift) => site.OnRing(2 * shift)),
        Roll("rolled-by-heads", "q, k and v are rolled by H / 2 tokens instead of S.", "Roll by S tokens: check from which axis the size in the roll is taken.", (site, head, shift) => site.IsShifted(head) ? site.OnRing(site.Config.Heads / 2) : shift),
        new("unshift-only", Stage.Roll, "Nothing is rolled forward, yet the result is rolled back.", "Roll q, k and v of the shifted heads by -S before they are grouped, and assign the result of the roll.",
            stages => stages with { RolledBy = (_, _, _) => 0, MaskShift = (_, _) => 0 })
        { SeenIn = "public ports" },
        new("rolled-behind-attention", Stage.Roll, "Nothing is rolled before the groups are cut: o of the shifted heads is rolled by -S behind attention, as if for the next layer.", "Roll q, k and v of the shifted heads by -S before they are grouped, and o back by +S in the same layer.",
            stages => stages with { RolledBy = (_, _, _) => 0, MaskShift = (_, _) => 0, Unshift = (site, row) => site.Token(site.Shift(row.Head), row.Token) })
        { SeenIn = "maxerh/swin1d, SwinTransformerBlock: torch.roll of what attention gave, which the next block takes as it is" },
        new("rolled-in-group", Stage.Roll, "q, k and v are rolled inside each group, o along the whole sequence.", "Roll q, k and v along the whole sequence before they are cut into groups.",
            stages => stages with { Roll = (site, slot, shift) => site.InGroup(slot.Position, shift) }),
        new("keys-rolled-in-groups", Stage.Roll, "k and v of every head are rolled inside each group, q and o are not: no query sees a token of another group.", "Roll q, k and v of the shifted heads along the whole sequence before it is cut into groups, and o back.",
            stages => stages with
            {
                Shifts = (config, _) => Enumerable.Range(0, config.Heads).Any(head => stages.Shifts(config, head)),
                RolledBy = (site, operand, head) => operand is Operand.Query ? 0 : site.Shift(head),
                Roll = (site, slot, shift) => site.InGroup(slot.Position, shift),
                MaskShift = (_, _) => 0,
                Unshift = (_, row) => row.Token,
            })
        { SeenIn = "SuchethanMariswamy/LongLoRA Long_LoRA.ipynb, s2_attention: k_groups.roll(-shift, dims=2) of [B, N/G, G, H, D]" },
        new("first-group-left-in-place", Stage.Roll, "The first group is left out of the roll, forward and back: the tokens behind it are rolled among themselves, and its own never meet another group.", "Roll the whole sequence, the first group too.",
            stages => stages with
            {
                Roll = (site, slot, shift) => RolledFrom(site.Config.GroupSize, site, slot.Position, shift),
                Unshift = (site, row) => RolledFrom(site.Config.GroupSize, site, row.Token, -site.Shift(row.Head)),
            })
        { SeenIn = "encoders with code: cat([x[:, :G], roll(x[:, G:], -(G // 2))])" },
        new("ingroup-rotation", Stage.Roll, "Tokens are rotated inside their own group, forward and back, so no information crosses groups.", "Roll along the whole sequence before it is cut into groups, not inside each group.",
            stages => stages with
            {
                Roll = (site, slot, shift) => site.InGroup(slot.Position, shift),
                Unshift = (site, row) => site.InGroup(row.Token, -site.Shift(row.Head)),
                Edge = (site, query, key, sees) => site.Config.Mask switch
                {
                    MaskPolicy.PositionCausal => site.InGroup(key.Position, site.Shift(key.Head)) <= site.InGroup(query.Position, site.Shift(query.Head)),
                    MaskPolicy.LocalCausal => key.Position <= query.Position,
                    _ => sees,
                },
            })
        { SeenIn = "public ports" },
        new("shifted-without-wrap", Stage.Roll, "The shift fills up with zeros instead of wrapping around: the first S tokens are lost.", FillsNothing, WithoutWrap)
        { SeenIn = "yukara-ikemiya/Swin-Transformer-1d, SwinTransformerBlock: x[:, -shift:] = 0 after the roll; without a mask the zeros are seen besides" },
        new("shifted-into-zeros", Stage.Roll, "The shift fills up with zeros instead of wrapping around: the first S tokens are lost, and in their place zeros are seen as keys of score 0.", FillsNothing,
            stages => WithoutWrap(stages) with { Zeros = (site, slot) => stages.Zeros(site, slot) + ZerosForTheWrapped(site, slot) })
        { SeenIn = "yukara-ikemiya/Swin-Transformer-1d and ports of it: x[:, -shift:] = 0 after the roll, and no mask" },
        new("rolled-before-filling", Stage.Roll, "The roll goes over N tokens, forward and back, and N is filled up to whole groups behind them, so that the wrapped run stands before what fills up.", "Fill N up to whole groups first and roll over all of it, or cut the last, shorter segment off as a group of its own.",
            RolledBeforeFilling)
        { SeenIn = "public ports that roll, then pad to whole groups" },
        new("rolled-before-filling-seen", Stage.Roll, "The roll goes over N tokens, forward and back, and the zeros that fill N up to whole groups behind them are seen as keys of score 0.", "Fill N up to whole groups first, roll over all of it, and hide the positions past the last token from every query, as padding.",
            stages => RolledBeforeFilling(stages) with { Zeros = (site, slot) => MaskDefects.Filled(RolledBeforeFilling(stages), site, slot, _ => true) })
        { SeenIn = "encoders with windows on one axis: audio, ECG, sensors" },
        new("ragged-text-stretched", Stage.Roll, "A text that is no multiple of G is stretched to whole groups, so that some tokens stand there twice, and o is thinned out to N rows again.", "Fill N up to whole groups behind the last token and hide what fills up; interpolation repeats tokens anywhere, and all copies are seen.",
            stages => stages with
            {
                Roll = (site, slot, shift) => site.Token(shift, slot.Position) * site.Config.Tokens / site.Ring,
                MasksFill = false,
                Unshift = (site, row) => site.Position(site.Shift(row.Head), row.Token * site.Ring / site.Config.Tokens),
            })
        { SeenIn = "earth-forecasting-transformer, CuboidSelfAttentionLayer with padding_type \"nearest\"" },
        new("rolled-and-cut", Stage.Roll, "The roll goes over N tokens, what stands behind the last whole group is cut off, the rest is rolled back among itself, and the rows that are missing are 0: rows before S are another token's.",
            "Fill N up to whole groups before the roll and hide what fills up, or do not declare ragged.",
            stages => stages with
            {
                Roll = (site, slot, shift) => slot.Position < Whole(site) ? Site.Modulo(slot.Position + shift, site.Config.Tokens) : site.Config.Tokens,
                MasksFill = false,
                Unshift = (site, row) => Site.Modulo(row.Token - site.Shift(row.Head), Whole(site)),
                Leaves = (site, row) => row.Token >= Whole(site) || stages.Leaves(site, row),
            })
        { SeenIn = "encoders with code: x[:, :N // G * G] after the roll, and a pad after the roll back" },
        new("groups-rolled", Stage.Roll, "q, k and v are rolled along the groups instead of the tokens, by S whole groups forwards, and o along the tokens, by -S (one more for odd G, as Python's -G // 2): a row is another token's, and no token meets one of another group.",
            "Roll along the tokens before they are cut into groups: dims=1 of [B,N,H,D], not of [B, N/G, G, H, D].",
            stages => stages with
            {
                Roll = (site, slot, shift) => site.OnRing(slot.Position - shift * site.Config.GroupSize),
                MaskShift = (_, _) => 0,
                Unshift = (site, row) => site.Shift(row.Head) is > 0 and var shift ? site.OnRing(row.Token + shift + site.Config.GroupSize % 2) : row.Token,
            })
        { SeenIn = "explanations with code: x.view(B, N/G, G, C).roll(G // 2, dims=1), then roll(-G // 2, dims=1) of [B, N, C]" },
        new("windows-overlap-and-cut", Stage.Roll, "Windows of G tokens begin every S tokens, their results are put one after the other, and what is past N is cut off, so that a row is another token's.", "Cut N into groups that do not overlap, and roll the shifted heads by S before that.",
            stages => stages with
            {
                RolledBy = (_, _, _) => 0,
                MaskShift = (_, _) => 0,
                Roll = (site, slot, _) => slot.Position / site.Config.GroupSize * Math.Max(1, stages.Amount(site.Config, slot.Head)) + slot.Position % site.Config.GroupSize,
                Unshift = (_, row) => row.Token,
            })
        { SeenIn = "notes with code: range(0, seq_len, shift_size), and cat of the windows" },
        Rolled("query-not-rolled", "k and v are rolled, q is not.", "Roll q of the shifted heads as k and v.", Operand.Query),
        Rolled("key-not-rolled", "q and v are rolled, k is not.", "Roll k of the shifted heads as q and v.", Operand.Key),
        Rolled("v-not-rolled", "Only q and k are rolled, v is not.", "Roll v of the shifted heads together with q and k.", Operand.Value) with { SeenIn = "public ports", Aliases = ["value-not-rolled"] },
        Rolled("only-query-rolled", "Only q is rolled, k and v are not.", "Roll k and v of the shifted heads together with q.", Operand.Key, Operand.Value),
        Rolled("only-key-rolled", "Only k is rolled, q and v are not.", "Roll q and v of the shifted heads together with k.", Operand.Query, Operand.Value),
        Rolled("only-value-rolled", "Only v is rolled, q and k are not.", "Roll q and k of the shifted heads together with v.", Operand.Query, Operand.Key),
    ];

    /// <summary>A shift that follows no known rule, by the sizes at which it was measured.</summary>
    internal static Defect Measured(Func<S2Config, int> amount, string measured) =>
        Amount("another-shift", $"The shift is another than S: {measured}.", "Shift by S, by default G / 2 rounded down.", (_, config) => amount(config));

    private static Stages RolledBeforeFilling(Stages stages) => stages with
    {
        Roll = (site, slot, shift) => slot.Position < site.Config.Tokens ? Site.Modulo(slot.Position + shift, site.Config.Tokens) : site.Config.Tokens,
        MasksFill = false,
        Unshift = (site, row) => Site.Modulo(row.Token - site.Shift(row.Head), site.Config.Tokens),
    };

    private static int Whole(Site site) => site.Config.Tokens - site.Config.Tokens % site.Config.GroupSize;

    // The place that stands at another where only those from the first on are rolled.
    private static int RolledFrom(int first, Site site, int position, int shift) => position < first || first >= site.Ring ? position : first + Site.Modulo(position - first + shift, site.Ring - first);

    private static Stages WithoutWrap(Stages stages) => stages with { Roll = (site, slot, shift) => slot.Position + shift < site.Ring ? slot.Position + shift : site.Config.Tokens };

    // The last S places of the last group hold no token; a causal mask hides them from those before.
    private static int ZerosForTheWrapped(Site site, Slot slot) =>
        !site.Config.Mask.IsCausal() && slot.Position >= site.Ring - site.Config.GroupSize && slot.Position < site.Ring - site.Shift(slot.Head) ? site.Shift(slot.Head) : 0;

    private static bool IsLater(Stages stages, Site site, int entry, int head) => 2 * entry + (stages.Shifts(site.Config, head) ? 1 : 0) >= site.Config.Batch;

    private static Defect Heads(string name, string what, string fix, Func<S2Config, int, bool, bool> shifts) => new(name, Stage.Heads, what, fix,
        stages => stages with { Shifts = (config, head) => shifts(config, head, stages.Shifts(config, head)) });

    private static Defect Amount(string name, string what, string fix, Func<int, S2Config, int> amount) => new(name, Stage.Amount, what, fix,
        stages => stages with { Amount = (config, head) => amount(stages.Amount(config, head), config) });

    // Only where heads have shifts of their own: the shift that a head gets, from those that were asked for.
    private static Defect Phase(string name, string what, string fix, Func<S2Config, int, int> shift) => new(name, Stage.Amount, what, fix,
        stages => stages with
        {
            Amount = (config, head) => config.ShiftedHeads.HasOwnShifts ? shift(config, head) : stages.Amount(config, head),
            Shifts = (config, head) => config.ShiftedHeads.HasOwnShifts ? shift(config, head) > 0 : stages.Shifts(config, head),
        });

    private static Defect PhaseOfHead(string name, string what, string fix, Func<S2Config, int, int> headOf) => Phase(name, what, fix, (config, head) => config.ShiftOf(headOf(config, head)));

    // What rounds where the definition floors: the phases of the configuration, or the shifts as if they were phases of G.
    private static int RoundedPhase(S2Config config, int head)
    {
        if (config.ShiftedHeads is not HeadShift.InPhases phased)
            return config.ShiftOf(head);
        long steps = phased.IsRotated ? 2L * phased.Count : phased.Count, step = Phases.OfHead<Int, Bool>(config.Heads, phased.Count, head).Value * (phased.IsRotated ? 2 : 1) + (phased.IsRotated ? 1 : 0);
        return (int)((2 * step * config.GroupSize + steps) / (2 * steps) % config.GroupSize);
    }

    private static Defect Roll(string name, string what, string fix, Func<Site, int, int, int> amount) => new(name, Stage.Roll, what, fix,
        stages => stages with { RolledBy = (site, operand, head) => stages.RolledBy(site, operand, head) is { } shift ? amount(site, head, shift) : null });

    private static Defect OddRoll(string name, string what, string fix, Func<Operand, bool> isFurther) => new(name, Stage.Roll, $"For odd G {what} (Python's -G//2 floors).", $"{fix}: for odd G Python's -G//2 is -(G+1)/2; write -(G//2).",
        stages => stages with { RolledBy = (site, operand, head) => stages.RolledBy(site, operand, head) is { } shift ? shift + (isFurther(operand) && site.IsShifted(head) ? site.Config.GroupSize % 2 : 0) : null });

    private static Defect Rolled(string name, string what, string fix, params Operand[] left) => new(name, Stage.Rolled, what, fix,
        stages => stages with { RolledBy = (site, operand, head) => left.Contains(operand) ? null : stages.RolledBy(site, operand, head) });

    private static Stages KvShift(Stages stages, Func<Site, int, int> shift) =>
        stages with { RolledBy = (site, operand, head) => operand is Operand.Query ? stages.RolledBy(site, operand, head) : shift(site, head) };

    private static IEnumerable<int> Sharing(Site site, int head) => Enumerable.Range(0, site.Config.Heads).Where(other => site.KvHead(other) == site.KvHead(head));
}
