// How do the keys and values of a tile come into the cache?
using S2Attn.Spec;

namespace S2Attn.Optimized.Kernels;

/// <summary>A tile of keys and values, widened and padded: rows of Depth floats, zero in pads and where the key is padded.</summary>
internal unsafe struct KeyTile
{
    public float* Keys;
    public float* Values;

    /// <summary>valid of the tile's first key; null where no key of the tile is padded.</summary>
    public byte* Valid;

    /// <summary>First key, relative to its sequence.</summary>
    public int Start;

    public int Count;

    /// <summary>Whether a product with a masked weight of 0 is 0, so that a partial tile may be multiplied whole.</summary>
    public bool IsFinite;

    /// <summary>Asks for one of several equal parts of the rows that a tile will load.</summary>
    public static void Prefetch<T>(in Problem<T> problem, BlockSizes sizes, Sequence sequence, int kvHead, int start, int count, int part, int parts)
        where T : unmanaged
    {
        problem.Key.Prefetch(sequence.Batch, sequence.FirstToken + start, count, kvHead, sizes.HeadDim, part, parts);
        problem.Value.Prefetch(sequence.Batch, sequence.FirstToken + start, count, kvHead, sizes.HeadDim, part, parts);
    }

    public static KeyTile Load<T, TStorage, V, TLanes>(in Problem<T> problem, BlockSizes sizes, Sequence sequence, int tokensOfBatch, int kvHead, int start, int count, bool checkFinite, float* keys, float* values)
        where T : unmanaged
        where TStorage : struct, IStorage<T>
        where V : struct
        where TLanes : struct, ILanes<V>
    {
        int depth = sizes.Depth;
        int token = sequence.FirstToken + start;
        byte* valid = problem.Valid == null ? null : problem.Valid + Layout.Row(tokensOfBatch, 1, 1, sequence.Batch, token, 0);
        bool padded = valid != null && new ReadOnlySpan<byte>(valid, count).Contains((byte)0);
        for (int j = 0; j < count; j++)
        {
            if (padded && valid[j] == 0)
            {
                new Span<float>(keys + (nint)j * depth, depth).Clear();
                new Span<float>(values + (nint)j * depth, depth).Clear();
                continue;
            }

            Packing.Row<T, TStorage>(problem.Key.At(sequence.Batch, token + j, kvHead), keys + (nint)j * depth, sizes.HeadDim, depth);
            Packing.Row<T, TStorage>(problem.Value.At(sequence.Batch, token + j, kvHead), values + (nint)j * depth, sizes.HeadDim, depth);
        }

        // The rows up to whole register blocks are computed too.
        int pad = sizes.TileKeys - count;
        new Span<float>(keys + (nint)count * depth, pad * depth).Clear();
        new Span<float>(values + (nint)count * depth, pad * depth).Clear();
        return new KeyTile
        {
            Keys = keys,
            Values = values,
            Valid = padded ? valid : null,
            Start = start,
            Count = count,
            IsFinite = !checkFinite || (Packing.AllFinite<V, TLanes>(keys, count * depth) && Packing.AllFinite<V, TLanes>(values, count * depth)),
        };
    }
}
