// How do rows come from memory while something else is computed? They are asked for one by one, between register blocks.
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace S2Attn.Optimized.Kernels;

/// <summary>
/// Rows that will be needed soon. Rows of one head are far apart, so the hardware does not foresee them; asked for all at once they would fill the processor's few
/// buffers for lines under way, and it would wait as if it had read them.
/// </summary>
internal unsafe struct RowsAhead
{
    // Rows of so many bytes may come into the first-level cache without driving out what is computed with, if it is large; longer ones come into the second.
    private const int CacheLine = 64, MaxRanges = 6, ShortRow = 2 * CacheLine;

    private Ranges ranges;
    private int range, added, rows, rowsOfStep;

    /// <summary>Adds rows [first, first + count) of a head.</summary>
    public void Add<T>(in Rows<T> tensor, long batch, int first, int count, long head, int headDim)
        where T : unmanaged
    {
        if (!Sse.IsSupported || count <= 0)
            return;
        int* order = tensor.OrderFrom(first);
        byte* row = (order == null ? tensor.At(batch, first, head) : tensor.Origin(batch, head)).Line;
        ranges[added++] = new Range { Row = row, Order = order, Stride = tensor.TokenStride * sizeof(T), Count = count, Bytes = headDim * sizeof(T), IsForFirstLevel = headDim * sizeof(T) <= ShortRow && FirstLevelCache.HasRoom };
        rows += count;
    }

    /// <summary>Says over how many steps the rows are to be spread.</summary>
    public void Spread(int steps) => rowsOfStep = (rows + steps - 1) / Math.Max(1, steps);

    /// <summary>Asks for the rows of one step.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Step()
    {
        if (range < added)
            Ask();
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Ask()
    {
        for (int left = rowsOfStep; left > 0 && range < added;)
        {
            ref Range current = ref ranges[range];
            int count = Math.Min(left, current.Count);
            nint stride = current.Stride, last = current.Bytes - 1;
            byte* start = current.Row;
            int* order = current.Order;
            for (int i = 0; i < count; i++)
            {
                byte* row = start;
                if (order == null)
                    start += stride;
                else
                    row += *order++ * stride;

                // Every line of a row: one that does not start on a line ends in one more.
                if (current.IsForFirstLevel)
                    for (byte* line = LineOf(row); line <= row + last; line += CacheLine)
                        Sse.Prefetch0(line);
                else
                    for (byte* line = LineOf(row); line <= row + last; line += CacheLine)
                        Sse.Prefetch1(line);
            }

            current.Row = start;
            current.Order = order;
            current.Count -= count;
            left -= count;
            if (current.Count == 0)
                range++;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static byte* LineOf(byte* address) => (byte*)((nint)address & -CacheLine);

    private struct Range
    {
        public byte* Row;
        public int* Order;
        public nint Stride;
        public int Count, Bytes;
        public bool IsForFirstLevel;
    }

    [InlineArray(MaxRanges)]
    private struct Ranges
    {
        private Range first;
    }
}
