// What goes wrong in which keys a query sees beside those of its group, or of its group?
using System.Collections.Immutable;
using S2Attn.Spec;

namespace S2Attn.Reference.Upstream;

internal static class ReachDefects
{
    private const string OwnGroup = "Let a query see its own group alone; S2-Attn has no tokens that all see.";

    public static ImmutableArray<Defect> All { get; } =
    [
        Sinks("sink-one", 1, "The first token"),
        Sinks("sink-two", 2, "The first 2 tokens"),
        Sinks("sink-four", 4, "The first 4 tokens"),
        new("first-group-seen", Stage.Regroup, "A query also sees the first group.", OwnGroup,
            stages => stages with { Reach = (site, slot) => slot.Position < site.Config.GroupSize ? [] : First(slot, site.Config.GroupSize) }),
        new("sliding-window-in-shifted-heads", Stage.Regroup, "A query of a shifted head sees the last G tokens before it (a sliding window) instead of those of its shifted group.", "Roll the shifted heads and cut them into groups of G tokens, as the others; a window that moves with the query is another attention.",
            stages => stages with
            {
                Group = (site, slot) => site.IsShifted(slot.Head) ? 0 : stages.Group(site, slot),
                Edge = (site, query, key, sees) => site.IsShifted(query.Head)
                    ? site.Token(query) - site.Token(key) is >= 0 and var back && back < site.Config.GroupSize && site.Token(key) < site.Config.Tokens
                    : stages.Edge(site, query, key, sees),
            }),
        new("local-and-strided", Stage.Regroup, "Every head sees its unshifted group and every G-th token before (the pattern of Sparse Transformers); nothing is shifted.", "Let half of the heads see groups that are shifted by S, and no head more than its group.",
            stages => stages with
            {
                Shifts = (_, _) => false,
                Group = (_, _) => 0,
                Edge = (site, query, key, _) => (query.Position, key.Position) is var (t, u) && u < site.Config.Tokens && (!site.Config.Mask.IsCausal() || u <= t)
                    && (t / site.Config.GroupSize == u / site.Config.GroupSize || (t - u) % site.Config.GroupSize == 0),
            }),
        new("heads-dilated-in-groups", Stage.Regroup, "Nothing is shifted, and each head attends among every other token of its group alone, even heads from the first on and odd ones from the second; its rows of the tokens between are 0.",
            "Let every head attend among all tokens of its group, and shift half of the heads by S. Dilated attention is another: there a further rate fills the rows that one leaves out.",
            stages => stages with
            {
                Shifts = (_, _) => false,
                Group = (site, slot) => 2 * (slot.Position / site.Config.GroupSize) + (IsBetween(site, slot.Position, slot.Head) ? 1 : 0),
                Leaves = (site, row) => IsBetween(site, row.Token, row.Head) || stages.Leaves(site, row),
            })
        { SeenIn = "dilated attention with code: indices_with_heads = index_tensor + shift_heads, and a scatter into zeros" },
        Dilated("keys-dilated-by-quarters", "", (key, _) => key),
        Dilated("keys-dilated-by-quarters-and-counted", ", and the mask compares the place of a query with the number of a key among those that are left, so that the future is seen", (key, rate) => key / rate)
            with { SeenIn = "kelvink-stack/LongLoRA, forward_dilated_attn: k_group[:, :, ::dilation_rate] before the mask is made" },
        new("groups-a-quarter-of-tokens", Stage.Regroup, "A group is a quarter of the sequence, and the shift half of that, whatever G is asked for.", "Use the G of the configuration, or declare \"fixed\": {\"groups\": 4}.",
            stages => stages with
            {
                Amount = (config, _) => Quarter(config) / 2,
                Group = (site, slot) => slot.Position / Quarter(site.Config),
            })
        { SeenIn = "nearly every public port: group_size_ratio = 1/4" },
        new("mask-adds-one", Stage.Edge, "The mask adds 1 to the scores of visible keys (or takes 1 from those of hidden ones) instead of hiding: a boolean was added.", "Fill the scores of hidden keys with -infinity where the mask is false; adding true adds 1.",
            stages => stages with { Hide = (_, _) => PairMask.Less, Lowering = 1 }),
        Both("both-groups-seen", "Every head sees the keys of its unshifted and of its shifted group together.", (_, _) => true),
        Both("both-groups-seen-in-shifted-heads", "A shifted head sees the keys of its unshifted group as well.", (site, head) => site.IsShifted(head)),
        Fallback("full-attention-in-one-group", "Where N = G, and perhaps wherever N < 2G", config => config.Tokens < 2 * config.GroupSize),
        Fallback("full-attention-in-odd-heads", "Where H or K is odd", config => config.Heads % 2 == 1 || config.KvHeads % 2 == 1),
        Fallback("full-attention-in-one-group-or-odd-heads", "Where N < 2G, or H or K is odd", config => config.Tokens < 2 * config.GroupSize || config.Heads % 2 == 1 || config.KvHeads % 2 == 1),
        Fallback("full-attention-in-one-group-or-ragged-tokens", "Where N < 2G or N is no multiple of G", config => config.Tokens < 2 * config.GroupSize || config.Tokens % config.GroupSize != 0),
        Fallback("full-attention-where-something-is-odd", "Where N < 2G, N is no multiple of G, or H or K is odd",
            config => config.Tokens < 2 * config.GroupSize || config.Tokens % config.GroupSize != 0 || config.Heads % 2 == 1 || config.KvHeads % 2 == 1),
        Fallback("full-attention-in-odd-groups", "Where G is odd", config => config.GroupSize % 2 == 1),
        Fallback("full-attention-in-ragged-tokens", "Where N is no multiple of G", config => config.Tokens % config.GroupSize != 0),
        new("delayed-keys-alone", Stage.Regroup, "k and v of the shifted heads are moved S tokens on, with zeros in front that are seen, and ordinary attention follows: nothing is cut into groups, q is not moved, and o is not moved back.",
            "Roll q, k and v of the shifted heads by -S, cut them into groups of G, attend inside those, and roll o back by +S.",
            stages => stages with
            {
                RolledBy = (site, operand, head) => operand is Operand.Query ? 0 : -site.Shift(head),
                Roll = (site, slot, shift) => slot.Position + shift is >= 0 and var token ? token : site.Config.Tokens,
                MaskShift = (_, _) => 0,
                Group = (_, _) => 0,
                Edge = (site, query, key, _) => !site.Config.Mask.IsCausal() || key.Position <= query.Position,
                Zeros = (site, slot) => site.Config.Mask.IsCausal() ? Math.Min(site.Shift(slot.Head), slot.Position + 1) : site.Shift(slot.Head),
                Unshift = (_, row) => row.Token,
            })
        { SeenIn = "notes with code: cat([zeros, k[:, :-shift]])" },
        Edge("mask-rolled-in-keys-alone", "The causal mask is rolled along the keys and not along the queries: the token of a key is compared with the position of a query.", "Roll the mask along both of its axes, or neither, before it is cut into groups.",
            (site, query, key, sees) => site.Config.Mask.IsCausal() ? site.Token(key) <= query.Position : sees),
        Edge("mask-rolled-in-queries-alone", "The causal mask is rolled along the queries and not along the keys: the position of a key is compared with the token of a query.", "Roll the mask along both of its axes, or neither, before it is cut into groups.",
            (site, query, key, sees) => site.Config.Mask.IsCausal() ? key.Position <= site.Token(query) : sees),
        Edge("mask-inverted", "The causal mask is read the other way round: a token sees those after it alone, and the last of a group none.", "Give true to what is seen and false to the rest (or the reverse: see what the attention function expects of a boolean mask).",
            (site, _, key, sees) => site.Config.Mask.IsCausal() ? !sees && site.Token(key) < site.Config.Tokens : sees),
        Edge("no-mask-in-shifted-heads", "No causal mask is applied in the shifted heads.", "Apply the causal mask in every head.",
            (site, query, key, sees) => site.IsShifted(query.Head) ? site.Token(key) < site.Config.Tokens : sees),
        Edge("no-mask-in-unshifted-heads", "No causal mask is applied in the heads that do not shift.", "Apply the causal mask in every head.",
            (site, query, key, sees) => site.IsShifted(query.Head) ? sees : site.Token(key) < site.Config.Tokens),
        new("padded-keys-zeroed", Stage.Padding, "Padded keys and values are multiplied by 0 instead of hidden: they are seen as keys of score 0.", "Hide padded keys in the scores: a key of zeros still takes its share of the softmax.",
            stages => stages with { Zeros = (site, slot) => stages.Zeros(site, slot) + Padded(stages, site, slot) }),
        new("shift-filled-with-zeros", Stage.Roll, "The shifted heads do not wrap around: zeros fill up the first group before the first tokens (and the last one), and are seen as keys of score 0.",
            "Roll, so that the first S tokens share the last group, or hide the zeros (which is the policy Split).",
            stages => stages with
            {
                Policy = mask => stages.Policy(mask) switch
                {
                    MaskPolicy.LocalCausal or MaskPolicy.PositionCausal => MaskPolicy.Split,
                    MaskPolicy.Bidirectional => MaskPolicy.BidirectionalSplit,
                    var other => other,
                },
                Zeros = (site, slot) => stages.Zeros(site, slot) + ZerosAtTheEnds(site, slot),
            }),
    ];

    // Which place of a key the masks look at, from its own and the rate.
    private static Defect Dilated(string name, string masked, Func<int, int, int> place) => new(name, Stage.Regroup, $"Nothing is cut into groups and nothing is shifted: the quarters of the heads see every 1st, 2nd, 4th and 8th key of the whole sequence{masked}.",
        "Cut the sequence into groups of G tokens and shift half of the heads by S; dilated keys are another attention.",
        stages => stages with
        {
            Shifts = (_, _) => false,
            Group = (_, _) => 0,
            Edge = (site, query, key, _) => Rate(site, query) is var rate && key.Position < site.Config.Tokens && key.Position % rate == 0 && (!site.Config.Mask.IsCausal() || place(key.Position, rate) <= query.Position),
            IsValid = (site, query, key, held) => stages.IsValid(site, query, key, held with { Token = place(held.Token, Rate(site, query)) }),
        });

    // Whether a head of dilation 2 passes over a token.
    private static bool IsBetween(Site site, int token, int head) => (token % site.Config.GroupSize + head) % 2 == 1;

    private static int Rate(Site site, Slot query) => 1 << (4 * query.Head / site.Config.Heads);

    // A wrapper that gives up on sizes it cannot cut leaves the attention as it was.
    private static Defect Fallback(string name, string where, Func<S2Config, bool> gaveUp) => new(name, Stage.Regroup, $"{where}, S2-Attn is not applied: ordinary attention over the whole sequence takes its place.",
        "Refuse such sizes, or declare what the port does not support, instead of computing another attention without a word.",
        stages => stages with
        {
            Shifts = (config, head) => !gaveUp(config) && stages.Shifts(config, head),
            RolledBy = (site, operand, head) => gaveUp(site.Config) ? 0 : stages.RolledBy(site, operand, head),
            MaskShift = (site, slot) => gaveUp(site.Config) ? 0 : stages.MaskShift(site, slot),
            Group = (site, slot) => gaveUp(site.Config) ? 0 : stages.Group(site, slot),
            Edge = (site, query, key, sees) => gaveUp(site.Config) ? site.Token(key) < site.Config.Tokens && (!site.Config.Mask.IsCausal() || site.Token(key) <= site.Token(query)) : stages.Edge(site, query, key, sees),
        })
    { SeenIn = "public ports that fall back to full attention where a size does not fit" };

    private static Defect Sinks(string name, int count, string which) => new(name, Stage.Regroup, $"{which} of the (rolled) sequence {(count > 1 ? "are" : "is")} put before the keys of every group, also of the first, where there is more than one.", OwnGroup,
        stages => stages with { Reach = (site, slot) => site.Groups == 1 ? [] : First(slot, Math.Min(count, site.Ring)) })
    { SeenIn = "public ports with attention sinks" };

    private static Defect Both(string name, string what, Func<Site, int, bool> both) => new(name, Stage.Regroup, what, "Let each head see one group alone: the shifted half of the heads its shifted group, the others their unshifted one.",
        stages => stages with
        {
            Group = (site, slot) => both(site, slot.Head) ? 0 : stages.Group(site, slot),
            Edge = (site, query, key, sees) => both(site, query.Head)
                ? (site.Token(query), site.Token(key)) is var (t, u) && u < site.Config.Tokens && (!site.Config.Mask.IsCausal() || u <= t)
                    && (t / site.Config.GroupSize == u / site.Config.GroupSize || Run(site, stages, query.Head, t) == Run(site, stages, query.Head, u))
                : stages.Edge(site, query, key, sees),
        });

    private static Defect Edge(string name, string what, string fix, Func<Site, Slot, Slot, bool, bool> edge) => new(name, Stage.Edge, what, fix,
        stages => stages with { Edge = (site, query, key, sees) => edge(site, query, key, stages.Edge(site, query, key, sees)) });

    private static int Quarter(S2Config config) => Math.Max(1, config.Tokens / 4);

    private static IEnumerable<Slot> First(Slot slot, int count) => Enumerable.Range(0, count).Select(position => slot with { Position = position });

    // The shifted group; the wrapped run is one of its own where the policy cuts it off.
    private static int Run(Site site, Stages stages, int head, int token) => stages.Policy(site.Config.Mask).CutsWrappedRun()
        ? (token + site.Config.GroupSize - stages.Amount(site.Config, head)) / site.Config.GroupSize
        : site.Position(stages.Amount(site.Config, head), token) / site.Config.GroupSize;

    private static int Padded(Stages stages, Site site, Slot slot) => !site.IsPadded ? 0 : Enumerable.Range(0, site.Ring).Select(position => slot with { Position = position }).Count(key =>
        stages.Group(site, key) == stages.Group(site, slot) && site.Token(key) is var token && token < site.Config.Tokens && !site.Valid[slot.Batch, token] && stages.Sees(site, slot, key));

    // Before the first S tokens come G - S zeros; after the last run S, which a causal mask hides.
    private static int ZerosAtTheEnds(Site site, Slot slot)
    {
        int shift = site.Shift(slot.Head);
        return shift == 0 || slot.Position < site.Ring - site.Config.GroupSize ? 0
            : slot.Position >= site.Ring - shift ? site.Config.GroupSize - shift
            : site.Config.Mask.IsCausal() ? 0 : shift;
    }
}
