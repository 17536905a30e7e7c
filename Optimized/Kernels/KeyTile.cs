// How do the keys and values of a tile come into the cache?
using System.Runtime.CompilerServices;
using S2Attn.Spec;

namespace S2Attn.Optimized.Kernels;

/// <summary>A tile of keys and values, widened and padded: rows of Depth floats, Stride apart, zero in pads and where the key is padded.</summary>
internal unsafe struct KeyTile
{
    private Sequence sequence;
    private int kvHead, most;
    private bool checkKeys, checkValues;

    /// <summary>Makes this a tile whose rows are still to be loaded. In place: a copy of what has just been written field by field waits until all that was stored before is in the cache.</summary>
    /// <param name="sequence">The sequence of the keys.</param>
    /// <param name="valid">valid of the tile's first key; null where no key is padded.</param>
    /// <param name="kvHead">The kv head.</param>
    /// <param name="segment">The keys that the queries see.</param>
    /// <param name="start">First key, relative to the sequence.</param>
    /// <param name="count">Keys.</param>
    /// <param name="checkKeys">Whether keys are multiplied by masked gradients, so that their NaN and infinities matter.</param>
    /// <param name="checkValues">The same for values and masked weights.</param>
    /// <param name="keys">So many rows, and slack of BlockSizes.HalfRows behind them.</param>
    /// <param name="values">The same for the values.</param>
    /// <param name="most">How many.</param>
    public void Begin(in Sequence sequence, Pointer<byte> valid, int kvHead, KeySegment<int> segment, int start, int count, bool checkKeys, bool checkValues, Pointer<float> keys, Pointer<float> values, int most)
    {
        this.sequence = sequence;
        this.kvHead = kvHead;
        this.most = most;
        this.checkKeys = checkKeys;
        this.checkValues = checkValues;
        Segment = segment;
        Start = start;
        Count = count;
        Keys = keys;
        Values = values;
        Valid = !valid.IsNull && valid.Span(count).Contains((byte)0) ? valid : default;
        IsFinite = true;
    }

    /// <summary>The work item whose first tile this is, where another item loads it ahead: decoding an item's number takes divisions.</summary>
    public (Sequence Sequence, ForwardItem Item) Owner { get; set; }

    public Pointer<float> Keys { get; private set; }

    public Pointer<float> Values { get; private set; }

    /// <summary>valid of the tile's first key; null where no key of the tile is padded.</summary>
    public Pointer<byte> Valid { get; private set; }

    public KeySegment<int> Segment { get; private set; }

    public int Start { get; private set; }

    public int Count { get; private set; }

    /// <summary>Whether a product with a masked weight of 0 is 0, so that a partial tile may be multiplied whole.</summary>
    public bool IsFinite { get; private set; }

    /// <summary>Has the rows of one of several equal parts asked for. Few at a time: rows of one head often share the same few sets of a cache.</summary>
    public readonly void Ask<T>(in Problem<T> problem, int headDim, int part, int parts, ref RowsAhead ahead)
        where T : unmanaged
    {
        int first = FirstOf(part, parts), count = FirstOf(part + 1, parts) - first;
        ahead.Add(problem.Key, sequence.Batch, sequence.FirstToken + Start + first, count, kvHead, headDim);
        ahead.Add(problem.Value, sequence.Batch, sequence.FirstToken + Start + first, count, kvHead, headDim);
    }

    /// <summary>Loads the rows of one of several equal parts. A tile may be used when each part was loaded once.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Load<T, TStorage, V, TLanes>(in Problem<T> problem, BlockSizes sizes, int part, int parts)
        where T : unmanaged
        where TStorage : struct, IStorage<T>
        where V : struct
        where TLanes : struct, ILanes<V>
    {
        int depth = sizes.Depth, stride = sizes.Stride, first = FirstOf(part, parts), end = FirstOf(part + 1, parts), token = sequence.FirstToken + Start;
        Pointer<byte> valid = Valid.IsNull ? Valid : Valid + first;
        Pointer<float> keys = Keys + (nint)first * stride, values = Values + (nint)first * stride;
        Packing.Rows<T, TStorage, V, TLanes>(problem.Key, sequence.Batch, token + first, end - first, kvHead, valid, keys, stride, sizes.HeadDim, depth);
        Packing.Rows<T, TStorage, V, TLanes>(problem.Value, sequence.Batch, token + first, end - first, kvHead, valid, values, stride, sizes.HeadDim, depth);
        if (checkKeys)
            IsFinite &= Packing.AllFinite<V, TLanes>(keys, stride, end - first, depth);
        if (checkValues)
            IsFinite &= Packing.AllFinite<V, TLanes>(values, stride, end - first, depth);
        if (part < parts - 1)
            return;

        // Blocks that begin before the last row end behind it. What they compute there is not used, but would take long where old bits are subnormal numbers.
        int pads = Math.Min(Math.Max(BlockSizes.HalfRows, TLanes.Count) - 1, most + BlockSizes.HalfRows - Count);
        Packing.Clear<V, TLanes>((Keys + (nint)Count * stride).WithSlack((nint)BlockSizes.HalfRows * stride), stride, pads, depth);
        Packing.Clear<V, TLanes>((Values + (nint)Count * stride).WithSlack((nint)BlockSizes.HalfRows * stride), stride, pads, depth);
    }

    private readonly int FirstOf(int part, int parts) => (int)((long)Count * part / parts);
}
