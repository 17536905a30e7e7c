// What goes wrong in the roll, in the choice of heads, and in finding a row's query, key and value?
using System.Collections.Immutable;
using S2Attn.Conformance.Properties;
using S2Attn.Spec;
using S2Attn.Spec.Algebra;

namespace S2Attn.Conformance.Mutants;

internal static class ShiftMutants
{
    public static ImmutableArray<Mutant> All { get; } =
    [
        new("no-heads-shifted", "The shift has no effect: every head attends inside unshifted groups.", "Apply the roll to the heads that shiftedHeads names, and use the rolled tensors.", new()
        {
            Obeys = config => Heads(config, HeadShift.None),
        })
        { SeenIn = "public ports whose flag is read and never used" },
        new("all-heads-shifted", "Every head is shifted.", "Roll only the heads that shiftedHeads names; by default h >= H / 2.", new()
        {
            Obeys = config => Heads(config, HeadShift.All),
        }),
        new("wrong-half-shifted", "The other heads are shifted than those asked for.", "Roll the heads that shiftedHeads names, by default the upper half h >= H / 2, and leave the others.", new()
        {
            Obeys = config => Heads(config, HeadShift.Of(Enumerable.Range(0, config.Heads).Select(head => !config.ShiftedHeads.IsShifted(head, config.Heads)))),
        }),
        new("odd-heads-rounded-up", "For odd H the second half begins at (H + 1) / 2.", "Let the shifted half begin at H / 2 rounded down: the extra head is shifted.", new()
        {
            Obeys = config => config.ShiftedHeads is HeadShift.UpperHalf ? Heads(config, HeadShift.Of(Enumerable.Range(0, config.Heads).Select(head => head >= (config.Heads + 1) / 2))) : config,
        }),
        new("shifted-heads-ignored", "An explicit set of shifted heads is ignored; the upper half is shifted.", "Read shiftedHeads where it is an array of flags.", new()
        {
            Obeys = config => config.ShiftedHeads is HeadShift.Given ? Heads(config, HeadShift.SecondHalf) : config,
        }),
        new("explicit-shift-ignored", "The shift is always G / 2.", "Use the shift of the configuration instead of G / 2.", new() { Obeys = config => Shift(config, config.GroupSize / 2) }),
        new("shift-plus-one", "The shift is one too large.", "Shift by exactly S, by default G / 2 rounded down.", new()
        {
            Obeys = config => config.Shift == 0 ? config : Shift(config, (config.Shift + 1) % config.GroupSize),
        }),
        new("shift-minus-one", "The shift is one too small.", "Shift by exactly S, by default G / 2 rounded down.", new() { Obeys = config => Shift(config, Math.Max(config.Shift - 1, 0)) }),
        new("shift-direction", "The roll goes by +S and back by -S.", "Roll by -S, so that position p holds token (p + S) mod N, and back by +S.", new()
        {
            Obeys = config => config.Shift == 0 ? config : Shift(config, config.GroupSize - config.Shift),
        }),
        new("unshift-missing", "The result of a shifted head is not rolled back.", "Roll o of the shifted heads back by +S.", new() { ResultOf = (call, row) => At(call, row, row.T) }),
        new("unshift-twice", "The result of a shifted head is rolled back twice.", "Roll o of the shifted heads back once.", new()
        {
            ResultOf = (call, row) => At(call, row, Position(call, row.H, Position(call, row.H, row.T))),
        }),
        new("unshift-in-group", "The roll back turns inside each group.", "Join the groups to N tokens again before o is rolled back: use the result of the reshape.", new()
        {
            ResultOf = (call, row) => At(call, row, row.T / call.Config.GroupSize * call.Config.GroupSize + Mod(row.T - call.Config.ShiftOf(row.H), call.Config.GroupSize)),
        })
        { SeenIn = "public ports that discard the result of a reshape" },
        new("query-not-rolled", "k and v are rolled, q is not.", "Roll q of the shifted heads as k and v.", new() { QueryAt = (call, row) => row with { T = InPlace(call, row.H, row.T) } }),
        new("key-not-rolled", "q and v are rolled, k is not.", "Roll k of the shifted heads as q and v.", new()
        {
            KeyAt = (call, row, u) => MutablePipeline.Place(call, row, InPlace(call, row.H, u)),
        }),
        new("value-not-rolled", "q and k are rolled, v is not.", "Roll v of the shifted heads as q and k.", new()
        {
            ValueAt = (call, row, u) => MutablePipeline.Place(call, row, InPlace(call, row.H, u)),
        }),
        new("kv-head-modulo", "Query head h reads kv head h mod K.", "Read kv head h / (H / K): repeat each kv head H / K times in place (repeat_interleave) instead of tiling them.", new()
        {
            KeyAt = ByModulo,
            ValueAt = ByModulo,
        }),
        new("value-head-modulo", "k is read from kv head h / (H / K), v from h mod K.", "Read v from the same kv head as k, h / (H / K).", new() { ValueAt = ByModulo }),
        new("batch-zero-keys", "Every batch entry reads k and v of entry 0.", "Index k and v by the batch entry of the query.", new() { KeyAt = OfFirstEntry, ValueAt = OfFirstEntry }),
        new("group-offset-missing", "Keys and values of every group are read from the first group.", "Add the group's first token to the index of each key.", new() { KeyAt = OfFirstGroup, ValueAt = OfFirstGroup }),
    ];

    private static S2Config Heads(S2Config config, HeadShift shifted) => S2Config.Create(config.ToRequest() with { ShiftedHeads = shifted });

    private static S2Config Shift(S2Config config, int shift) => S2Config.Create(config.ToRequest() with { Shift = shift });

    private static Row ByModulo(MutantCall call, Row row, int u) => new(row.B, u, row.H % call.Config.KvHeads);

    private static Row OfFirstEntry(MutantCall call, Row row, int u) => MutablePipeline.Place(call, row, u) with { B = 0 };

    private static Row OfFirstGroup(MutantCall call, Row row, int u) => MutablePipeline.Place(call, row, u % call.Config.GroupSize);

    private static int Ring(MutantCall call) => IndexMaps.Ring<Int, Bool>(call.Config.Tokens, call.Config.GroupSize).ToIndex();

    private static int Position(MutantCall call, int head, int t) => IndexMaps.Position<Int, Bool>(Ring(call), call.Config.ShiftOf(head), t).ToIndex();

    /// <summary>The row whose result stands at a position of the rolled ring; none where a pad stands there.</summary>
    private static Row? At(MutantCall call, Row row, int position)
    {
        int token = position < Ring(call) ? IndexMaps.Token<Int, Bool>(Ring(call), call.Config.ShiftOf(row.H), position).ToIndex() : call.Config.Tokens;
        return token < call.Config.Tokens ? row with { T = token } : null;
    }

    /// <summary>The token that an unrolled tensor holds where the rolled one holds t; the last one where it holds a pad.</summary>
    private static int InPlace(MutantCall call, int head, int t) => Math.Min(Position(call, head, t), call.Config.Tokens - 1);

    private static int Mod(int value, int modulus) => (value % modulus + modulus) % modulus;
}
