// Where does a cache keep the keys and values of a sequence? In a ring: token t stands in row t modulo the capacity, whatever was there before. A prefix has rows of its own in front of the ring.
using System.Runtime.InteropServices;

namespace S2Attn.Optimized.Kernels;

/// <summary>
/// Keys and values of one sequence, [K,capacity,D] each, of which the prefix and the last rows are kept. It grows by doubling up to the rows that are ever needed, and then turns round for ever.
/// </summary>
internal sealed unsafe class CacheRing<T> : IDisposable
    where T : unmanaged
{
    private const int FirstRows = 64;

    private readonly int kvHeads, headDim, maxRows, prefix;
    private T* keys, values;

    /// <summary>An empty ring.</summary>
    /// <param name="kvHeads">K.</param>
    /// <param name="headDim">D.</param>
    /// <param name="maxRows">The rows that are ever needed at once: more than the prefix has.</param>
    /// <param name="prefix">The first tokens, which are kept for ever.</param>
    public CacheRing(int kvHeads, int headDim, int maxRows, int prefix)
    {
        this.kvHeads = kvHeads;
        this.headDim = headDim;
        this.maxRows = maxRows;
        this.prefix = prefix;
    }

    ~CacheRing() => Free();

    /// <summary>Tokens that were appended.</summary>
    public int Length { get; private set; }

    /// <summary>Rows of memory.</summary>
    public int Capacity { get; private set; }

    public long Bytes => 2L * kvHeads * Capacity * headDim * sizeof(T);

    /// <summary>k of the sequence, tokens counted from its start.</summary>
    public Rows<T> Keys => new(keys, Strides, headDim, ring: Capacity, prefix: prefix);

    public Rows<T> Values => new(values, Strides, headDim, ring: Capacity, prefix: prefix);

    private TensorStrides Strides => new(0, headDim, (long)Capacity * headDim);

    /// <summary>The rows of a kv head from a token on that lie in order: up to <paramref name="count"/> of them.</summary>
    public int Contiguous(int token, int count) => Math.Min(count, token < prefix ? prefix - token : Capacity - prefix - (token - prefix) % (Capacity - prefix));

    /// <summary>Makes room for some more tokens; the rows that are kept stay.</summary>
    /// <exception cref="OutOfMemoryException">There is no room; nothing has changed.</exception>
    public void Reserve(int count)
    {
        int wanted = (int)Math.Min(maxRows, (long)Length + count);
        if (wanted <= Capacity)
            return;
        int rows = (int)Math.Min(maxRows, Math.Max(Math.Max(wanted, FirstRows), 2L * Capacity));
        CacheRing<T> grown = new(kvHeads, headDim, maxRows, prefix) { Capacity = rows, Length = Length };
        try
        {
            grown.keys = Allocate(rows);
            grown.values = Allocate(rows);
            for (int token = KeptFrom(0, Length); token < Length; token = KeptFrom(token + 1, Length))
                for (int head = 0; head < kvHeads; head++)
                {
                    Keys.At(0, token, head).Span(headDim).CopyTo(grown.Keys.At(0, token, head).Span(headDim));
                    Values.At(0, token, head).Span(headDim).CopyTo(grown.Values.At(0, token, head).Span(headDim));
                }

            T* oldKeys = keys, oldValues = values;
            keys = grown.keys;
            values = grown.values;
            grown.keys = oldKeys;
            grown.values = oldValues;
            Capacity = rows;
        }
        finally
        {
            grown.Dispose();
        }
    }

    /// <summary>Appends tokens: key and value [tokens,K,D], dense. Of more tokens than there are rows the prefix and the last ones are kept.</summary>
    public void Append(ReadOnlySpan<T> key, ReadOnlySpan<T> value, int tokens)
    {
        Reserve(tokens);
        int end = Length + tokens;
        for (int token = KeptFrom(Length, end); token < end; token = KeptFrom(token + 1, end))
            for (int head = 0; head < kvHeads; head++)
            {
                int at = ((token - Length) * kvHeads + head) * headDim;
                key.Slice(at, headDim).CopyTo(Keys.At(0, token, head).Span(headDim));
                value.Slice(at, headDim).CopyTo(Values.At(0, token, head).Span(headDim));
            }

        Length = end;
    }

    /// <summary>Forgets every token; the memory stays.</summary>
    public void Reset() => Length = 0;

    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    // The first token at or behind one that is kept of so many.
    private int KeptFrom(int token, int length) => token < prefix ? token : Math.Max(token, length - (Capacity - prefix));

    private T* Allocate(int rows) =>
        (T*)LargePages.Allocate(checked((nuint)kvHeads * (nuint)rows * (nuint)headDim * (nuint)sizeof(T)));

    private void Free()
    {
        NativeMemory.AlignedFree(keys);
        NativeMemory.AlignedFree(values);
        keys = null;
        values = null;
    }
}
