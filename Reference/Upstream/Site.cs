// Where does an implementation compute: which sizes, which padding, and which shift does it give each head?
using S2Attn.Spec;
using S2Attn.Spec.Algebra;

namespace S2Attn.Reference.Upstream;

/// <summary>Sizes and padding of one call, with the heads that the implementation shifts and by how much.</summary>
public sealed class Site
{
    private readonly int[] shifts, kvHeads;
    private readonly Dictionary<int, TokenPlace<Int, Bool>[]> places = [];
    private readonly bool[] shifted;

    internal Site(S2Config config, Tensor<bool> valid, Stages stages)
    {
        (Config, Valid) = (config, valid);
        Ring = IndexMaps.Ring<Int, Bool>(config.Tokens, config.GroupSize).ToIndex();
        IsPadded = valid.Elements.Contains(false);
        shifted = [.. Enumerable.Range(0, config.Heads).Select(head => stages.Shifts(config, head))];
        shifts = [.. shifted.Select((shifts, head) => shifts ? stages.HeadAmount(config, head, stages.Amount(config, head)) : 0)];
        kvHeads = [.. Enumerable.Range(0, config.Heads).Select(config.KvHeadOf)];
    }

    /// <summary>What was asked for.</summary>
    public S2Config Config { get; }

    /// <summary>valid [B,N].</summary>
    public Tensor<bool> Valid { get; }

    /// <summary>N rounded up to whole groups.</summary>
    public int Ring { get; }

    /// <summary>Whether some key is padded.</summary>
    public bool IsPadded { get; }

    /// <summary>Whole groups of the ring.</summary>
    public int Groups => Ring / Config.GroupSize;

    /// <summary>Whether the implementation counts a query head as one that shifts, whatever S is.</summary>
    public bool IsShifted(int head) => shifted[head];

    /// <summary>By how much the implementation shifts a query head.</summary>
    public int Shift(int head) => shifts[head];

    /// <summary>The kv head of a query head.</summary>
    public int KvHead(int head) => kvHeads[head];

    /// <summary>The token at a position of a head rolled by -shift.</summary>
    public int Token(int shift, int position) => IndexMaps.Token<Int, Bool>(Ring, shift, position).ToIndex();

    /// <summary>The token at a slot, as its head is rolled.</summary>
    internal int Token(Slot slot) => Token(Shift(slot.Head), slot.Position);

    /// <summary>The position of a token of a head rolled by -shift.</summary>
    public int Position(int shift, int token) => IndexMaps.Position<Int, Bool>(Ring, shift, token).ToIndex();

    /// <summary>
    /// The place of every token, and of what fills up, of a head rolled by -shift, with the ring as one group: which slots meet is the group's matter. Masks look at many pairs, so each place is computed once.
    /// </summary>
    internal TokenPlace<Int, Bool>[] Places(int shift)
    {
        if (!places.TryGetValue(shift, out TokenPlace<Int, Bool>[]? known))
            places.Add(shift, known = [.. Enumerable.Range(0, Ring).Select(token => Visibility.Place<Int, Bool>(Ring, Ring, shift, token))]);
        return known;
    }

    /// <summary>The remainder on the ring, from 0.</summary>
    public int OnRing(int value) => Modulo(value, Ring);

    /// <summary>A position turned by an offset inside of its own group.</summary>
    public int InGroup(int position, int offset) => position - position % Config.GroupSize + Modulo(position + offset, Config.GroupSize);

    internal static int Modulo(int value, int modulus) => (value % modulus + modulus) % modulus;
}
