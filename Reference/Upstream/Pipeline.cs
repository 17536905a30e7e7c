// How does an implementation move data? Forward map, grouping, mask and backward map, as data instead of code.
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

    /// <summary>The pair is not computed, or both masks apply and their sum is -infinity.</summary>
    Hidden,
}

/// <summary>
/// The general form of S2-Attn. Slots in one group of one batch entry and head attend to each other; o is then gathered from slots.
/// A right implementation's <paramref name="Output"/> inverts its <paramref name="Query"/>; those of other code need not.
/// </summary>
/// <param name="Positions">Slots of one batch entry and query head.</param>
/// <param name="Query">Where a slot's query is read; none for a slot without a query.</param>
/// <param name="Key">Where a slot's key is read, with a kv head; none for a slot without a key.</param>
/// <param name="Value">Where a slot's value is read, with a kv head; none for a value of 0.</param>
/// <param name="Group">The group of a slot.</param>
/// <param name="Mask">What happens to the score of a query slot and a key slot of one group.</param>
/// <param name="Output">The slot whose result becomes o[b,t,h]; none where o stays 0.</param>
public sealed record Pipeline(
    int Positions,
    Func<Slot, Place?> Query,
    Func<Slot, Place?> Key,
    Func<Slot, Place?> Value,
    Func<Slot, int> Group,
    Func<Slot, Slot, PairMask> Mask,
    Func<Place, Slot?> Output);

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
