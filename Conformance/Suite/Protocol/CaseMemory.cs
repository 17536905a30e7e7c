// How do the tensors of a case lie in memory, and where does one sequence of a packed batch end and the next begin?
using System.Collections.Immutable;
using S2Attn.Reference;

namespace S2Attn.Conformance.Protocol;

/// <summary>Strides that a port takes; a row of D elements is contiguous under each.</summary>
public enum StrideKind
{
    /// <summary>Rows that stand further apart than they are long, with the axes in any order.</summary>
    Gapped,

    /// <summary>An axis that runs backwards.</summary>
    Negative,

    /// <summary>An axis along which one row stands for all: stride 0. Only of what is read.</summary>
    Broadcast,

    /// <summary>Strides of what is written too: o, lse, dq, dk, dv.</summary>
    Written,
}

/// <summary>Where the rows of a tensor [B,N,heads,D] stand in its storage, in elements: row (b, t, h) begins at Offset + b Batch + t Token + h Head.</summary>
/// <param name="Length">Elements of the storage.</param>
/// <param name="Offset">Where row (0,0,0) begins.</param>
/// <param name="Batch">Stride of b.</param>
/// <param name="Token">Stride of t.</param>
/// <param name="Head">Stride of h.</param>
public sealed record TensorView(int Length, int Offset, int Batch, int Token, int Head)
{
    /// <summary>What stands between the rows of a storage that is to be written, and must stand there afterwards: a number of every format.</summary>
    public const double Untouched = -28672;

    /// <summary>A dense tensor [B,N,heads,D] or, head-major, [B,heads,N,D].</summary>
    /// <param name="headMajor">The order of the axes.</param>
    /// <param name="shape">[B,N,heads,D], or [B,N,H] of rows of one element.</param>
    public static TensorView Dense(bool headMajor, ReadOnlySpan<int> shape)
    {
        (int batch, int tokens, int heads, int dim) = Sizes(shape);
        int matrix = tokens * heads * dim;
        return headMajor ? new(batch * matrix, 0, matrix, dim, tokens * dim) : new(batch * matrix, 0, matrix, heads * dim, dim);
    }

    /// <summary>The lowest element of any row.</summary>
    public long First(ReadOnlySpan<int> shape) => Offset + Extreme(shape, Math.Min);

    /// <summary>One past the highest element of any row.</summary>
    public long End(ReadOnlySpan<int> shape) => Offset + Extreme(shape, Math.Max) + Sizes(shape).Dim;

    /// <summary>Whether every row is inside of the storage.</summary>
    public bool Holds(ReadOnlySpan<int> shape) => First(shape) >= 0 && End(shape) <= Length;

    /// <summary>A storage with the rows of a tensor, and something else between them. Where a stride is 0 the last row counts.</summary>
    public T[] Scatter<T>(T between, Func<double, T> narrow, Tensor<double> tensor)
    {
        ArgumentNullException.ThrowIfNull(narrow);
        ArgumentNullException.ThrowIfNull(tensor);
        T[] storage = new T[Length];
        Array.Fill(storage, between);
        int[] places = Places(tensor.Shape.AsSpan());
        for (int i = 0; i < places.Length; i++)
            storage[places[i]] = narrow(tensor.Elements[i]);
        return storage;
    }

    /// <summary>The tensor whose rows stand in a storage.</summary>
    public Tensor<double> Gather<T>(Func<T, double> widen, ReadOnlySpan<int> shape, ReadOnlySpan<T> storage)
    {
        ArgumentNullException.ThrowIfNull(widen);
        T[] elements = storage.ToArray();
        int[] places = Places(shape);
        return Tensor<double>.Build(shape, i => widen(elements[places[i]]));
    }

    /// <summary>The first element between the rows that is not as it was, or -1.</summary>
    public int FirstTouched<T>(Func<T, bool> isUntouched, ReadOnlySpan<int> shape, ReadOnlySpan<T> storage)
    {
        ArgumentNullException.ThrowIfNull(isUntouched);
        bool[] rows = new bool[Length];
        foreach (int place in Places(shape))
            rows[place] = true;
        for (int i = 0; i < Length; i++)
            if (!rows[i] && !isUntouched(storage[i]))
                return i;
        return -1;
    }

    // The place of each element, in row-major order of the tensor.
    private int[] Places(ReadOnlySpan<int> shape)
    {
        (int batch, int tokens, int heads, int dim) = Sizes(shape);
        int[] places = new int[batch * tokens * heads * dim];
        for (int i = 0; i < places.Length; i++)
        {
            (int row, int d) = Math.DivRem(i, dim);
            (int token, int h) = Math.DivRem(row, heads);
            places[i] = Offset + token / tokens * Batch + token % tokens * Token + h * Head + d;
        }

        return places;
    }

    private long Extreme(ReadOnlySpan<int> shape, Func<long, long, long> of)
    {
        (int batch, int tokens, int heads, _) = Sizes(shape);
        return of(0, (long)Batch * (batch - 1)) + of(0, (long)Token * (tokens - 1)) + of(0, (long)Head * (heads - 1));
    }

    private static (int Batch, int Tokens, int Heads, int Dim) Sizes(ReadOnlySpan<int> shape) => (shape[0], shape[1], shape[2], shape.Length > 3 ? shape[3] : 1);
}

/// <summary>The memory of a case. Nothing said: a batch of equal lengths, every tensor dense and [B,N,heads,D].</summary>
public sealed record CaseMemory
{
    private const string LogSumExp = "lse";

    /// <summary>Nothing said.</summary>
    public static CaseMemory Dense { get; } = new();

    /// <summary>Whether tensors without a view are [B,heads,N,D]; lse is [B,N,H] whatever the layout.</summary>
    public bool HeadMajor { get; init; }

    /// <summary>cu_seqlens of a packed batch: 0, the end of the first sequence, ..., N, never decreasing; B is 1. Empty where the batch is not packed.</summary>
    public ImmutableArray<int> Starts { get; init; } = [];

    /// <summary>Where the rows of q, k, v, do, o, lse, dq, dk, dv stand, for those that are not dense.</summary>
    public ImmutableSortedDictionary<string, TensorView> Views { get; init; } = ImmutableSortedDictionary<string, TensorView>.Empty;

    /// <summary>Whether nothing is said.</summary>
    public bool IsDense => !HeadMajor && Starts.IsEmpty && Views.IsEmpty;

    /// <summary>Where the rows of a tensor stand.</summary>
    public TensorView ViewOf(string name, ReadOnlySpan<int> shape) =>
        Views.TryGetValue(name, out TensorView? view) ? view : TensorView.Dense(HeadMajor && name != LogSumExp, shape);

    /// <summary>The shape that a tensor has in a file: [Length] where it has a view, else that of its layout.</summary>
    public int[] FileShape(string name, ReadOnlySpan<int> shape) =>
        Views.TryGetValue(name, out TensorView? view) ? [view.Length]
        : HeadMajor && name != LogSumExp ? [shape[0], shape[2], shape[1], shape[3]]
        : shape.ToArray();

    /// <summary>The kinds of strides that the views have.</summary>
    public ImmutableArray<StrideKind> Kinds =>
    [
        .. Views.IsEmpty ? [] : new[] { StrideKind.Gapped },
        .. Views.Values.Any(view => view.Batch < 0 || view.Token < 0 || view.Head < 0) ? new[] { StrideKind.Negative } : [],
        .. Views.Values.Any(view => view.Batch == 0 || view.Token == 0 || view.Head == 0) ? new[] { StrideKind.Broadcast } : [],
        .. Views.Keys.Any(name => name is "o" or LogSumExp or "dq" or "dk" or "dv") ? new[] { StrideKind.Written } : [],
    ];
}
