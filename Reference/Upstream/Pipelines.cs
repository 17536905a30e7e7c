// Which maps does each implementation use? The definition's, and the ones that differ from it in one place.
using S2Attn.Spec;
using S2Attn.Spec.Algebra;

namespace S2Attn.Reference.Upstream;

/// <summary>Pipelines for given sizes and padding. Only the definition's maps are right; <see cref="UpstreamProfiles"/> says what is wrong with the others.</summary>
public sealed class Pipelines
{
    private readonly S2Config config;
    private readonly Tensor<bool> valid;
    private readonly int ring;

    private Pipelines(S2Config config, Tensor<bool> valid)
    {
        (this.config, this.valid) = (config, valid);
        ring = IndexMaps.Ring<Int, Bool>(config.Tokens, config.GroupSize).ToIndex();
    }

    /// <summary>The definition: roll by -S on the ring, cut into groups of G, mask, roll back.</summary>
    public static Pipeline Definition(S2Config config, Tensor<bool> valid)
    {
        Pipelines maps = new(config, valid);
        return new(
            maps.ring,
            slot => maps.QueryAt(slot, maps.TokenAt(slot)),
            slot => maps.KeyAt(slot, maps.TokenAt(slot)),
            slot => maps.KeyAt(slot, maps.TokenAt(slot)),
            maps.GroupOf,
            maps.MaskOf(maps.TokenAt),
            place => maps.SlotOf(place, config.ShiftOf(place.Head)));
    }

    /// <summary>The forward roll of a shifted head is one longer than the roll back where G is odd: Python's -G//2 is -((G + 1) / 2).</summary>
    internal static Pipeline FlooredForwardShift(S2Config config, Tensor<bool> valid)
    {
        Pipelines maps = new(config, valid);
        return Definition(config, valid) with
        {
            Query = slot => maps.QueryAt(slot, Floored(slot)),
            Key = slot => maps.KeyAt(slot, Floored(slot)),
            Value = slot => maps.KeyAt(slot, Floored(slot)),
            Mask = maps.MaskOf(Floored),
        };

        int Floored(Slot slot) => maps.IsShifted(slot.Head) ? Mod(maps.TokenAt(slot) + config.GroupSize % 2, maps.ring) : maps.TokenAt(slot);
    }

    /// <summary>
    /// The first G x G block of the additive mask serves every group, and group g of batch entry b takes that of entry
    /// (b N/G + g) mod B. Padding lowers a score, and so does (or: takes its place) the future; both together hide the pair.
    /// </summary>
    internal static Pipeline TiledMaskBlock(S2Config config, Tensor<bool> valid, bool futureIsReplaced, bool flooredForwardShift)
    {
        int groups = config.Tokens / config.GroupSize;
        Pipeline shifted = flooredForwardShift ? FlooredForwardShift(config, valid) : Definition(config, valid);
        return shifted with { Mask = Mask };

        PairMask Mask(Slot query, Slot key)
        {
            int maskEntry = (query.Batch * groups + query.Position / config.GroupSize) % config.Batch;
            bool future = key.Position > query.Position;
            bool padded = !valid[maskEntry, key.Position % config.GroupSize];
            return (future, padded) switch
            {
                (false, false) => PairMask.Seen,
                (true, true) => PairMask.Hidden,
                (true, false) when futureIsReplaced => PairMask.Replaced,
                _ => PairMask.Lowered,
            };
        }
    }

    /// <summary>
    /// Row (b, half) of the packed batch keeps the tokens that entry (2b + half) mod B calls valid, and groups are counted in kept tokens.
    /// Segments of one row that reach into the next are overwritten by the next row's own.
    /// </summary>
    internal static Pipeline PackedByOtherMask(S2Config config, Tensor<bool> valid)
    {
        Pipelines maps = new(config, valid);
        int[,,] packed = new int[config.Batch, 2, config.Tokens];
        for (int b = 0; b < config.Batch; b++)
            for (int half = 0; half < 2; half++)
                for (int t = 1; t < config.Tokens; t++)
                    packed[b, half, t] = packed[b, half, t - 1] + (valid[MaskEntry(b, half), t - 1] ? 1 : 0);

        return new(
            config.Tokens,
            slot => IsKept(slot) ? maps.QueryAt(slot, slot.Position) : null,
            Key,
            Key,
            slot => Segments.RunOf<Int, Bool>(config.GroupSize, config.ShiftOf(slot.Head), packed[slot.Batch, Half(slot.Head), slot.Position]).ToIndex(),
            (query, key) => key.Position <= query.Position ? PairMask.Seen : PairMask.Hidden,
            place => new Slot(place.Batch, place.Token, place.Head));

        int MaskEntry(int b, int half) => (2 * b + half) % config.Batch;
        int Half(int head) => maps.IsShifted(head) ? 1 : 0;
        bool IsKept(Slot slot) => valid[MaskEntry(slot.Batch, Half(slot.Head)), slot.Position];
        Place? Key(Slot slot) => IsKept(slot) ? new(slot.Batch, slot.Position, config.KvHeadOf(slot.Head)) : null;
    }

    /// <summary>The roll back turns inside each group, because the tensor still has groups as its first axis.</summary>
    internal static Pipeline UnshiftInsideGroups(S2Config config, Tensor<bool> valid)
    {
        int g = config.GroupSize;
        return Definition(config, valid) with
        {
            Output = place => new Slot(place.Batch, place.Token / g * g + Mod(place.Token - config.ShiftOf(place.Head), g), place.Head),
        };
    }

    /// <summary>Nothing is rolled forward; the result is rolled back.</summary>
    internal static Pipeline UnshiftOnly(S2Config config, Tensor<bool> valid)
    {
        Pipelines maps = new(config, valid);
        S2Config unshifted = S2Config.Create(config.ToRequest() with { Shift = 0 });
        return Definition(unshifted, valid) with { Output = place => maps.SlotOf(place, config.ShiftOf(place.Head)) };
    }

    /// <summary>The rolled [B,H,N,D] is reshaped to [B N/G, G, H, D] without a transpose; what comes out is taken for [B,N,H,D].</summary>
    internal static Pipeline HeadsForTokens(S2Config config, Tensor<bool> valid)
    {
        Pipelines maps = new(config, valid);
        Pipeline definition = Definition(config, valid);
        return definition with
        {
            Query = slot => definition.Query(Scrambled(slot)),
            Key = slot => definition.Key(Scrambled(slot)),
            Value = slot => definition.Value(Scrambled(slot)),
            Mask = (query, key) => maps.SeesPosition(query, key) && maps.IsValid(definition.Key(Scrambled(key))) ? PairMask.Seen : PairMask.Hidden,
        };

        Slot Scrambled(Slot slot)
        {
            int index = slot.Position * config.Heads + slot.Head;
            return new(slot.Batch, index % config.Tokens, index / config.Tokens);
        }
    }

    /// <summary>The roll back goes by H / 2 tokens.</summary>
    internal static Pipeline UnshiftByHeads(S2Config config, Tensor<bool> valid)
    {
        Pipelines maps = new(config, valid);
        return Definition(config, valid) with
        {
            Output = place => maps.SlotOf(place, maps.IsShifted(place.Head) ? config.Heads / 2 % maps.ring : 0),
        };
    }

    /// <summary>Tokens turn inside their own group, forward and back; causal masks compare what they are told to: positions or tokens.</summary>
    internal static Pipeline RotateInsideGroups(S2Config config, Tensor<bool> valid)
    {
        Pipelines maps = new(config, valid);
        int g = config.GroupSize;
        return new(
            config.Tokens,
            slot => maps.QueryAt(slot, TokenAt(slot)),
            slot => maps.KeyAt(slot, TokenAt(slot)),
            slot => maps.KeyAt(slot, TokenAt(slot)),
            maps.GroupOf,
            (query, key) => Sees(query, key) && valid[key.Batch, TokenAt(key)] ? PairMask.Seen : PairMask.Hidden,
            place => new Slot(place.Batch, place.Token / g * g + Mod(place.Token - config.ShiftOf(place.Head), g), place.Head));

        int TokenAt(Slot slot) => slot.Position / g * g + Mod(slot.Position + config.ShiftOf(slot.Head), g);
        bool Sees(Slot query, Slot key) => config.Mask switch
        {
            MaskPolicy.LocalCausal => key.Position <= query.Position,
            MaskPolicy.PositionCausal => TokenAt(key) <= TokenAt(query),
            _ => true,
        };
    }

    /// <summary>A kv head is rolled, or not, before it is repeated: where one of its query heads shifts, all of them read it rolled.</summary>
    internal static Pipeline ShiftKvHeads(S2Config config, Tensor<bool> valid)
    {
        Pipelines maps = new(config, valid);
        int[] shiftOfKvHead = new int[config.KvHeads];
        for (int h = 0; h < config.Heads; h++)
            shiftOfKvHead[config.KvHeadOf(h)] = Math.Max(shiftOfKvHead[config.KvHeadOf(h)], config.ShiftOf(h));
        Place? Key(Slot slot) => maps.KeyAt(slot, Mod(slot.Position + shiftOfKvHead[config.KvHeadOf(slot.Head)], maps.ring));
        return Definition(config, valid) with
        {
            Key = Key,
            Value = Key,
            Mask = (query, key) => maps.SeesPosition(query, key) && maps.IsValid(Key(key)) ? PairMask.Seen : PairMask.Hidden,
        };
    }

    /// <summary>Every key of the group is seen.</summary>
    internal static Pipeline WithoutMask(S2Config config, Tensor<bool> valid)
    {
        Pipelines maps = new(config, valid);
        Pipeline definition = Definition(config, valid);
        return definition with { Mask = (_, key) => maps.IsValid(definition.Key(key)) ? PairMask.Seen : PairMask.Hidden };
    }

    /// <summary>v keeps its place; an empty place of a ragged ring holds 0.</summary>
    internal static Pipeline ValuesInPlace(S2Config config, Tensor<bool> valid)
    {
        Pipelines maps = new(config, valid);
        return Definition(config, valid) with { Value = slot => maps.KeyAt(slot, slot.Position) };
    }

    /// <summary>Rolled by +S: groups end where a shift by -(G - S) ends them (theorem Direction), so this is the definition with shift G - S.</summary>
    internal static Pipeline ShiftForward(S2Config config, Tensor<bool> valid) => Definition(
        S2Config.Create(config.ToRequest() with { Shift = config.Shift == 0 ? 0 : config.GroupSize - config.Shift }), valid);

    private bool IsShifted(int head) => config.ShiftedHeads.IsShifted(head, config.Heads);

    private int TokenAt(Slot slot) => IndexMaps.Token<Int, Bool>(ring, config.ShiftOf(slot.Head), slot.Position).ToIndex();

    private Slot? SlotOf(Place place, int shift) => new Slot(place.Batch, IndexMaps.Position<Int, Bool>(ring, shift, place.Token).ToIndex(), place.Head);

    private int GroupOf(Slot slot) => slot.Position / config.GroupSize;

    private Place? QueryAt(Slot slot, int token) => token < config.Tokens ? new(slot.Batch, token, slot.Head) : null;

    private Place? KeyAt(Slot slot, int token) => token < config.Tokens ? new(slot.Batch, token, config.KvHeadOf(slot.Head)) : null;

    private bool IsValid(Place? key) => key is { } place && valid[place.Batch, place.Token];

    /// <summary>The policy for the tokens that a right forward map would have put at these positions.</summary>
    private bool SeesPosition(Slot query, Slot key) =>
        TokenAt(query) < config.Tokens && TokenAt(key) < config.Tokens && Visibility.Visible(config, query.Head, TokenAt(query), TokenAt(key));

    private Func<Slot, Slot, PairMask> MaskOf(Func<Slot, int> tokenAt) => (query, key) =>
        SeesPosition(query, key) && IsValid(KeyAt(key, tokenAt(key))) ? PairMask.Seen : PairMask.Hidden;

    private static int Mod(int value, int modulus) => (value % modulus + modulus) % modulus;
}
