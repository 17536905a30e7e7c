// How does an implementation move data? Forward map, grouping, mask and backward map, as data instead of code.
using S2Attn.Spec;

namespace S2Attn.Reference.Upstream;

/// <summary>A vector of q, k, v or o: batch, token, and the query head (q, o) or kv head (k, v).</summary>
public readonly record struct Place(int Batch, int Token, int Head);

/// <summary>A row of the layout in which attention is computed: batch, position, and query head.</summary>
public readonly record struct Slot(int Batch, int Position, int Head);

/// <summary>What the mask does to the score of a pair.</summary>
public enum PairMask
{
    /// <summary>The score counts.</summary>
    Seen,

    /// <summary>
    /// The type's lowest number is added to the score and absorbs it: the key has weight 0 beside a seen key, and all such keys have
    /// equal weights in a row that sees none. The gradient still reaches q and k.
    /// </summary>
    Lowered,

    /// <summary>The lowest number takes the score's place: as <see cref="Lowered"/>, but no gradient reaches q and k.</summary>
    Replaced,

    /// <summary>A number is subtracted from the score: 10000 where nothing else is said.</summary>
    Less,

    /// <summary>The pair is not computed, or both masks apply and their sum is -infinity.</summary>
    Hidden,
}

/// <summary>Stages at one site: which slots meet, where each is read, and where its result goes.</summary>
public sealed class Pipeline
{
    private readonly Site site;
    private readonly Stages stages;

    /// <summary>Puts stages to sizes and padding.</summary>
    public Pipeline(S2Config config, Tensor<bool> valid, Stages stages)
    {
        ArgumentNullException.ThrowIfNull(config);
        ArgumentNullException.ThrowIfNull(valid);
        ArgumentNullException.ThrowIfNull(stages);
        (this.stages, site) = (stages, new(config, valid, stages));
    }

    /// <summary>The definition.</summary>
    public static Pipeline Definition(S2Config config, Tensor<bool> valid) => new(config, valid, Stages.Definition);

    internal Site Site => site;

    internal Stages Stages => stages;

    /// <summary>Where a slot's query is read; none for a slot without a query.</summary>
    public Place? Query(Slot slot)
    {
        Slot held = stages.Regroup(site, Operand.Query, slot);
        int token = TokenAt(Operand.Query, held);
        return token < site.Config.Tokens ? stages.Entered(site, Operand.Query, new(held.Batch, token, held.Head)) : null;
    }

    /// <summary>Where a slot's key or value is read, with a kv head; none for a slot without one.</summary>
    public Place? Source(Operand operand, Slot slot) => Held(operand, slot) is { } held ? Read(operand, held) : null;

    /// <summary>The group of a slot.</summary>
    public int Group(Slot slot) => stages.Group(site, slot);

    /// <summary>What happens to the score of a query slot and a key slot of one group.</summary>
    public PairMask Mask(Slot query, Slot key)
    {
        bool sees = stages.Sees(site, query, key);
        if (Held(Operand.Key, key) is not { } place)
            return PairMask.Hidden;
        bool valid = stages.IsValid(site, query, key, place);
        return sees && valid ? PairMask.Seen : stages.Hide(!sees, !valid);
    }

    /// <summary>The slot whose result becomes o[b,t,h]; none where o stays 0.</summary>
    public Slot? Output(Place row)
    {
        Place joined = stages.Join(site, row);
        if (joined.Token >= site.Config.Tokens || stages.Leaves(site, joined))
            return null;
        int position = stages.Unshift(site, joined);
        return position < site.Ring ? stages.Ungroup(site, new(joined.Batch, position, joined.Head)) : null;
    }

    /// <summary>The keys of the prefix that a slot meets, each as its slot: where they are read, and what happens to their scores.</summary>
    internal IEnumerable<(Slot Slot, Place Key, Place Value, PairMask Mask)> OfPrefix(Slot query)
    {
        PrefixStages prefix = stages.Prefix;
        int head = query.Head, t = site.Token(stages.MaskShift(site, query), query.Position);
        for (int place = 0; place < prefix.Length(site, head); place++)
        {
            int u = prefix.Token(site, head, place);
            if (u >= site.Config.Tokens)
                continue;
            Slot key = query with { Position = site.Position(site.Shift(head), u) };
            Place held = new(query.Batch, u, head);
            bool sees = prefix.Sees(site, head, t, u), valid = prefix.SeesPadding || stages.IsValid(site, query, key, held);
            yield return (key, Read(Operand.Key, held), Read(Operand.Value, held), sees && valid ? PairMask.Seen : stages.Hide(!sees, !valid));
        }
    }

    private Place Read(Operand operand, Place held) =>
        stages.Entered(site, operand, held with { Batch = stages.Entry(site, operand, held.Batch), Head = stages.KvHead(site, operand, held.Head) });

    private Place? Held(Operand operand, Slot slot)
    {
        Slot held = stages.Regroup(site, operand, slot);
        int token = TokenAt(operand, held);
        return token < site.Config.Tokens ? new Place(held.Batch, token, held.Head) : null;
    }

    private int TokenAt(Operand operand, Slot held) =>
        stages.RolledBy(site, operand, held.Head) is { } shift ? stages.Roll(site, held, shift) : held.Position;
}

/// <summary>A key that has weight in a row of o.</summary>
/// <param name="Key">Where it is read.</param>
/// <param name="Value">Where the value that its weight multiplies is read; none for 0.</param>
/// <param name="CarriesGradient">Whether the gradient of its score reaches q and k.</param>
public readonly record struct ReadKey(Place Key, Place? Value, bool CarriesGradient);

/// <summary>What one row of o reads.</summary>
/// <param name="Query">The query.</param>
/// <param name="Keys">The keys in increasing order; none for a row of 0.</param>
/// <param name="Uniform">Whether all keys have equal weights, whatever the scores: a row that sees no key but lowered ones.</param>
public sealed record ReadRow(Place Query, IReadOnlyList<ReadKey> Keys, bool Uniform)
{
    /// <summary>Whether two rows of o are the same function of q, k and v.</summary>
    public bool IsSameAs(ReadRow other)
    {
        ArgumentNullException.ThrowIfNull(other);
        return Keys.Count == 0 && other.Keys.Count == 0
            || Query == other.Query && Uniform == other.Uniform && Keys.SequenceEqual(other.Keys);
    }
}
