// One call, as the kernels see it: pointers whose ranges were checked, sizes and strides.
using S2Attn.Spec;

namespace S2Attn.Optimized.Kernels;

/// <summary>A tensor of rows of D elements with unit stride: the row of (batch, token, head) starts at Data + the sum of index times stride.</summary>
internal readonly unsafe struct Rows<T>(T* data, TensorStrides strides)
    where T : unmanaged
{
    private readonly T* data = data;
    private readonly TensorStrides strides = strides;

    /// <summary>Elements from a row to that of the next token.</summary>
    public nint TokenStride => (nint)strides.Token;

    public T* At(long batch, long token, long head) => data + batch * strides.Batch + token * strides.Token + head * strides.Head;
}

/// <summary>What forward and backward read and write.</summary>
internal readonly unsafe struct Problem<T>
    where T : unmanaged
{
    public required Rows<T> Query { get; init; }

    public required Rows<T> Key { get; init; }

    public required Rows<T> Value { get; init; }

    public required Rows<T> Output { get; init; }

    /// <summary>lse [B,N,H], dense; null where the caller wants none.</summary>
    public required float* LogSumExp { get; init; }

    /// <summary>valid [B,N]; null where no key is padded.</summary>
    public required byte* Valid { get; init; }

    /// <summary>valid of a sequence's first token; null where no key is padded.</summary>
    public byte* ValidOf(Sequence sequence, int tokensOfBatch) =>
        Valid == null ? null : Valid + Layout.Row(tokensOfBatch, 1, 1, sequence.Batch, sequence.FirstToken, 0);

    /// <summary>do, and below dq, dk and dv: for the backward pass.</summary>
    public Rows<T> OutputGradient { get; init; }

    public Rows<float> QueryGradient { get; init; }

    public Rows<float> KeyGradient { get; init; }

    public Rows<float> ValueGradient { get; init; }
}
