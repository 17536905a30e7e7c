// Which keys do the rows of a slice see?
using System.Numerics;
using S2Attn.Spec;

namespace S2Attn.Reference;

/// <summary>The keys of many rows: each row asks the definition about every key, and what depends on one token alone is computed once for all rows of heads that shift alike.</summary>
internal sealed class VisibleKeys(S2Slice slice)
{
    private readonly Dictionary<int, Func<int, int, bool>> ofShift = [];

    public S2Slice Slice { get; } = slice;

    /// <summary>The valid keys that query t of a head sees, counted from the start of the sequence.</summary>
    public List<int> Of<T>(AttentionInput<T> input, int b, int t, int h)
        where T : IBinaryFloatingPointIeee754<T>
    {
        int shift = Slice.Config.ShiftOf(h);
        if (!ofShift.TryGetValue(shift, out Func<int, int, bool>? sees))
            ofShift.Add(shift, sees = Slice.VisibleIn(h));
        List<int> keys = [];
        for (int u = Slice.Keys.Start; u < Slice.Keys.End; u++)
            if (sees(t, u) && input.Valid[b, u - Slice.Keys.Start])
                keys.Add(u);
        return keys;
    }
}
