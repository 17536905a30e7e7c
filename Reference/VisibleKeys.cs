// Which keys do the rows of a slice see?
using System.Numerics;
using S2Attn.Spec;

namespace S2Attn.Reference;

/// <summary>The keys of many rows: the definition is asked about every key, once for all rows of a token in heads that shift alike; which of them are padded is each sequence's own.</summary>
internal sealed class VisibleKeys(S2Slice slice)
{
    // As many keys as 16 MiB hold: of long texts the first rows alone are kept.
    private const int MostKept = 1 << 22;

    private readonly Dictionary<int, Func<int, int, bool>> ofShift = [];
    private readonly Dictionary<(int Shift, int Token), int[]> kept = [];
    private int keptKeys;

    public S2Slice Slice { get; } = slice;

    /// <summary>The valid keys that query t of a head sees, counted from the start of the sequence.</summary>
    public int[] Of<T>(AttentionInput<T> input, int b, int t, int h)
        where T : IBinaryFloatingPointIeee754<T>
    {
        int[] seen = Seen(t, h);
        int[] keys = new int[seen.Length];
        int count = 0;
        foreach (int u in seen)
            if (input.Valid[b, u - Slice.Keys.Start])
                keys[count++] = u;
        return count == keys.Length ? keys : keys[..count];
    }

    // Whether they are padded or not.
    private int[] Seen(int t, int h)
    {
        int shift = Slice.Config.ShiftOf(h);
        if (kept.TryGetValue((shift, t), out int[]? known))
            return known;
        if (!ofShift.TryGetValue(shift, out Func<int, int, bool>? sees))
            ofShift.Add(shift, sees = Slice.VisibleIn(h));
        List<int> keys = [];
        for (int u = Slice.Keys.Start; u < Slice.Keys.End; u++)
            if (sees(t, u))
                keys.Add(u);
        int[] seen = [.. keys];
        if (keptKeys + seen.Length <= MostKept)
        {
            keptKeys += seen.Length;
            kept.Add((shift, t), seen);
        }

        return seen;
    }
}
