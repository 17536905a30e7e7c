// How does a tensor of a test stand in memory, at strides of its own, and what was written between its rows?
using System.Collections.Immutable;
using S2Attn.Optimized;

namespace S2Attn.Tests.Optimized;

/// <summary>A tensor [B,N,heads,width] at strides; what lies between its rows holds a canary.</summary>
internal sealed class PlacedTensor<T>
    where T : unmanaged, IEquatable<T>
{
    private readonly ImmutableArray<int> offsets;
    private readonly T canary;

    public PlacedTensor(TensorStrides strides, int batch, int tokens, int heads, int width, T canary)
    {
        this.canary = canary;
        Strides = strides;
        Origin = (int)-new[] { strides.Batch * (batch - 1), strides.Token * (tokens - 1), strides.Head * (heads - 1) }.Sum(reach => Math.Min(reach, 0));
        offsets =
        [
            .. from b in Enumerable.Range(0, batch) from t in Enumerable.Range(0, tokens) from h in Enumerable.Range(0, heads) from d in Enumerable.Range(0, width)
               select (int)((b * strides.Batch) + (t * strides.Token) + (h * strides.Head) + d) + Origin,
        ];
        Memory = new T[offsets.IsEmpty ? 0 : offsets.Max() + 1];
        Memory.AsSpan().Fill(canary);
    }

    public TensorStrides Strides { get; }

    public T[] Memory { get; }

    /// <summary>Where element [0,0,0,0] stands.</summary>
    public int Origin { get; }

    /// <summary>Writes the elements of a dense tensor to their places.</summary>
    public PlacedTensor<T> Fill(ReadOnlySpan<T> dense)
    {
        for (int i = 0; i < dense.Length; i++)
            Memory[offsets[i]] = dense[i];
        return this;
    }

    public T[] Read() => [.. offsets.Select(offset => Memory[offset])];

    public bool GapsAreUntouched()
    {
        T[] gaps = [.. Memory];
        foreach (int offset in offsets)
            gaps[offset] = canary;
        return !gaps.AsSpan().ContainsAnyExcept(canary);
    }
}

internal static class AnyStrides
{
    /// <summary>Axes in any order, with gaps, and where asked some that run backwards.</summary>
    public static TensorStrides Of(Random random, int batch, int tokens, int heads, int width, bool backwards = true)
    {
        int[] lengths = [batch, tokens, heads], order = [0, 1, 2];
        long[] strides = new long[3];
        random.Shuffle(order);
        long extent = width;
        foreach (int axis in order)
        {
            long stride = extent + random.Next(4);
            strides[axis] = backwards && random.Next(3) == 0 ? -stride : stride;
            extent = stride * Math.Max(1, lengths[axis]);
        }

        return new(strides[0], strides[1], strides[2]);
    }
}
