// Which steps make up an implementation of S2-Attn, so that each can be right or wrong alone?
using System.Collections.Immutable;
using S2Attn.Spec;
using S2Attn.Spec.Algebra;

namespace S2Attn.Reference.Upstream;

/// <summary>One of the three inputs.</summary>
public enum Operand
{
    /// <summary>q.</summary>
    Query,

    /// <summary>k.</summary>
    Key,

    /// <summary>v.</summary>
    Value,
}

/// <summary>Over what the exponentials of scores are summed up.</summary>
public enum Normaliser
{
    /// <summary>The visible keys of a query.</summary>
    Row,

    /// <summary>The queries that see a key.</summary>
    Queries,

    /// <summary>The heads, at one pair of positions.</summary>
    Heads,

    /// <summary>All keys of the group; the mask then zeroes weights.</summary>
    WholeGroup,

    /// <summary>The visible keys of a query and one more of score 0.</summary>
    OneMore,

    /// <summary>All visible pairs of a group.</summary>
    Pairs,

    /// <summary>The groups, at one pair of places in them.</summary>
    Groups,
}

/// <summary>What is returned as logsumexp.</summary>
public enum LogSumKind
{
    /// <summary>log sum exp of the scaled scores.</summary>
    Natural,

    /// <summary>Its binary logarithm.</summary>
    Base2,

    /// <summary>That of the unscaled products.</summary>
    Unscaled,

    /// <summary>log sum exp(score - max).</summary>
    WithoutMaximum,

    /// <summary>The natural one, but 0 for a row without keys.</summary>
    ZeroWhereEmpty,

    /// <summary>The natural one of the token that stands, rolled, where the row's own stood.</summary>
    Rolled,

    /// <summary>The natural one as [B,H,N], read as [B,N,H].</summary>
    HeadsFirst,
}

/// <summary>
/// An implementation as a sequence of small functions whose defaults are the definition's. Data goes forward as: roll, regroup, score, mask, softmax; and o comes back as: ungroup,
/// roll back, join. A slot is a place of the layout in which attention is computed.
/// </summary>
public sealed record Stages
{
    /// <summary>Whether a query head shifts.</summary>
    public Func<S2Config, int, bool> Shifts { get; init; } = (config, head) => config.ShiftedHeads.IsShifted(head, config.Heads);

    /// <summary>By how much a query head shifts if it does: S, or a shift of its own.</summary>
    public Func<S2Config, int, int> Amount { get; init; } = (config, head) => config.ShiftedHeads.HasOwnShifts ? config.ShiftOf(head) : config.Shift;

    /// <summary>The shift of a shifted query head, from S.</summary>
    public Func<S2Config, int, int, int> HeadAmount { get; init; } = (_, _, amount) => amount;

    /// <summary>By how much an input is rolled for a query head; none where it is left in place.</summary>
    public Func<Site, Operand, int, int?> RolledBy { get; init; } = (site, _, head) => site.Shift(head);

    /// <summary>The token that the roll puts at a slot, from the slot and the amount.</summary>
    public Func<Site, Slot, int, int> Roll { get; init; } = (site, slot, shift) => site.Token(shift, slot.Position);

    /// <summary>The slot of the rolled layout that a slot of the grouped layout holds.</summary>
    public Func<Site, Operand, Slot, Slot> Regroup { get; init; } = (_, _, slot) => slot;

    /// <summary>The group of a slot; only slots of one group, batch entry and head meet.</summary>
    public Func<Site, Slot, int> Group { get; init; } = (site, slot) => slot.Position / site.Config.GroupSize;

    /// <summary>Further key slots of its own head that a query slot meets; one of its own group then counts once more.</summary>
    public Func<Site, Slot, IEnumerable<Slot>> Reach { get; init; } = OwnGroup;

    /// <summary>The key slots, of any head and batch entry, that a query slot meets instead of those of its group.</summary>
    public Func<Site, Slot, IEnumerable<Slot>> Across { get; init; } = OwnHead;

    /// <summary>Where a row is read that a place of the layout of heads holds: operand, place with the head of that operand.</summary>
    public Func<Site, Operand, Place, Place> Entered { get; init; } = (_, _, place) => place;

    /// <summary>The kv head that a query head reads.</summary>
    public Func<Site, Operand, int, int> KvHead { get; init; } = (site, _, head) => site.KvHead(head);

    /// <summary>The batch entry whose k and v are read.</summary>
    public Func<Site, Operand, int, int> Entry { get; init; } = (_, _, entry) => entry;

    /// <summary>The shift that the mask is built for at a query slot.</summary>
    public Func<Site, Slot, int> MaskShift { get; init; } = (site, slot) => site.Shift(slot.Head);

    /// <summary>Whether the mask hides the positions that hold no token after the definition's roll; else only what holds none is hidden, as no key.</summary>
    public bool MasksFill { get; init; } = true;

    /// <summary>The policy that is applied, from the one that is asked for.</summary>
    public Func<MaskPolicy, MaskPolicy> Policy { get; init; } = mask => mask;

    /// <summary>Whether a query slot sees a key slot of its group, from what the policy says.</summary>
    public Func<Site, Slot, Slot, bool, bool> Edge { get; init; } = (_, _, _, sees) => sees;

    /// <summary>Whether a key counts as real, from its slot, its query's, and where it is read.</summary>
    public Func<Site, Slot, Slot, Place, bool> IsValid { get; init; } = (site, _, _, key) => site.Valid[key.Batch, key.Token];

    /// <summary>What becomes of a pair that the policy hides (first), or whose key is padded (second).</summary>
    public Func<bool, bool, PairMask> Hide { get; init; } = (_, _) => PairMask.Hidden;

    /// <summary>What is taken from the score of a pair that is <see cref="PairMask.Less"/>.</summary>
    public double Lowering { get; init; } = 10000;

    /// <summary>How often the i-th of n visible keys is read.</summary>
    public Func<int, int, int> Times { get; init; } = Once;

    /// <summary>The factor of q.k in a query head.</summary>
    public Func<Site, int, double> Scale { get; init; } = (site, _) => site.Config.Scale;

    /// <summary>How many keys of score 0 and value 0 a slot also sees: zeros that fill up.</summary>
    public Func<Site, Slot, int> Zeros { get; init; } = NoZeros;

    /// <summary>Over what the softmax runs.</summary>
    public Normaliser Normaliser { get; init; } = Normaliser.Row;

    /// <summary>After how many keys the greatest score so far is looked at, where what is summed up of v before a greater one came is not rescaled; 0 where it is.</summary>
    public int StaleTile { get; init; }

    /// <summary>The slot whose result stands at a slot of the ungrouped layout.</summary>
    public Func<Site, Slot, Slot> Ungroup { get; init; } = (_, slot) => slot;

    /// <summary>The position whose result is row t of o.</summary>
    public Func<Site, Place, int> Unshift { get; init; } = (site, row) => site.Position(site.Shift(row.Head), row.Token);

    /// <summary>The row that is written as a row of o, after all else.</summary>
    public Func<Site, Place, Place> Join { get; init; } = (_, row) => row;

    /// <summary>Whether a row of o stays 0.</summary>
    public Func<Site, Place, bool> Leaves { get; init; } = (_, _) => false;

    /// <summary>Further passes, each as a change to these stages: o is the mean over this pass and them.</summary>
    public ImmutableArray<Func<Stages, Stages>> Passes { get; init; } = [];

    /// <summary>Whether o is the sum over the passes instead.</summary>
    public bool AddsPasses { get; init; }

    /// <summary>What is returned as logsumexp.</summary>
    public LogSumKind LogSum { get; init; } = LogSumKind.Natural;

    /// <summary>The backward pass.</summary>
    public BackwardStages Backward { get; init; } = new();

    /// <summary>What is done where tokens stand on several axes.</summary>
    public GridStages Grid { get; init; } = new();

    /// <summary>What is done with a prefix.</summary>
    public PrefixStages Prefix { get; init; } = new();

    /// <summary>Whether a row that sees no key is NaN.</summary>
    public bool EmptyIsNaN { get; init; }

    internal static Func<Site, Slot, IEnumerable<Slot>> OwnGroup { get; } = (_, _) => [];

    internal static Func<Site, Slot, IEnumerable<Slot>> OwnHead { get; } = (_, _) => [];

    internal static Func<Site, Slot, int> NoZeros { get; } = (_, _) => 0;

    internal static Func<int, int, int> Once { get; } = (_, _) => 1;

    // Last of the static values: it is made of the others.
    /// <summary>The definition.</summary>
    public static Stages Definition { get; } = new();

    /// <summary>Whether a query slot sees a key slot of its group under a policy.</summary>
    internal bool Sees(Site site, Slot query, Slot key)
    {
        int tokens = site.Config.Tokens, shift = MaskShift(site, query), t = site.Token(shift, query.Position), u = site.Token(shift, key.Position);
        TokenPlace<Int, Bool>[] places = site.Places(shift);
        return Edge(site, query, key, (!MasksFill || (t < tokens && u < tokens)) && Visibility.Visible(Policy(site.Config.Mask), places[t], places[u]));
    }
}

/// <summary>How gradients of query heads that share a kv head become one.</summary>
public enum KvJoin
{
    /// <summary>Their sum.</summary>
    Sum,

    /// <summary>The last head's alone.</summary>
    Last,

    /// <summary>The first head's alone.</summary>
    First,

    /// <summary>Their mean.</summary>
    Mean,

    /// <summary>The sum over the heads h with the same h mod K.</summary>
    Tiled,
}

/// <summary>With what do is multiplied in dv.</summary>
public enum ValueGradientKind
{
    /// <summary>The weights.</summary>
    Weights,

    /// <summary>exp(score - max).</summary>
    Unnormalised,

    /// <summary>The greatest weight of a row; 0 for the others.</summary>
    Greatest,
}

/// <summary>The steps of the backward pass; those that are not named here follow the forward pass.</summary>
public sealed record BackwardStages
{
    /// <summary>The position whose gradient is row t of dq, dk or dv of a query head that is rolled by a shift: site, operand, shift, t.</summary>
    public Func<Site, Operand, int, int, int> Unroll { get; init; } = Inverse;

    /// <summary>The factor of dq, or of dk.</summary>
    public Func<Site, Operand, int, double, double> Scale { get; init; } = (_, _, _, scale) => scale;

    /// <summary>The factor of sum p dp, which is subtracted from dp.</summary>
    public double Delta { get; init; } = 1;

    /// <summary>How dk, or dv, of shared kv heads is joined.</summary>
    public Func<Operand, KvJoin> Join { get; init; } = _ => KvJoin.Sum;

    /// <summary>What do is multiplied with in dv.</summary>
    public ValueGradientKind Value { get; init; } = ValueGradientKind.Weights;

    /// <summary>Whether dq and dk change places.</summary>
    public bool Swaps { get; init; }

    /// <summary>Whether no gradient flows through a query head to an input.</summary>
    public Func<Site, Operand, int, bool> Detaches { get; init; } = (_, _, _) => false;

    internal static Func<Site, Operand, int, int, int> Inverse { get; } = (site, _, shift, token) => site.Position(shift, token);

    /// <summary>Whether do of a head is taken unrolled.</summary>
    public Func<Site, int, bool> LeavesOutputGradient { get; init; } = (_, _) => false;

    /// <summary>The head whose do is multiplied with the weights of a head in dv.</summary>
    public Func<Site, int, int> ValueHead { get; init; } = OwnHead;

    /// <summary>Whether sum p dp is taken over the queries that see a key, and subtracted there, instead of over the keys that a query sees.</summary>
    public bool SumsOverQueries { get; init; }

    internal static Func<Site, int, int> OwnHead { get; } = (_, head) => head;

    /// <summary>Whether sum(o do) of a head is taken unrolled.</summary>
    public Func<Site, int, bool>? LeavesDelta { get; init; }

    /// <summary>The forward pass whose derivative is taken, from the one that was run; none where they are the same.</summary>
    public Func<Stages, Stages>? Recomputed { get; init; }
}
