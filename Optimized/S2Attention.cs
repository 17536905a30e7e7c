// S2-Attn in one call, for spans and for tensor spans. Who calls often keeps an S2AttentionPlan.
using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using S2Attn.Spec;

namespace S2Attn.Optimized;

/// <summary>Calls that plan and run at once. A plan costs a few allocations; a training loop keeps one.</summary>
public static class S2Attention
{
    /// <summary>Computes o [B,N,H,D] and, where asked for, lse [B,N,H] from dense q [B,N,H,D], k and v [B,N,K,D].</summary>
    /// <inheritdoc cref="S2AttentionPlan.Forward{T}" path="/exception"/>
    public static void Forward<T>(S2Config config, ReadOnlySpan<T> query, ReadOnlySpan<T> key, ReadOnlySpan<T> value, Span<T> output, Span<float> logSumExp = default, ReadOnlySpan<byte> valid = default)
        where T : unmanaged
    {
        using S2AttentionPlan plan = new(config);
        plan.Forward(query, key, value, output, logSumExp, valid);
    }

    /// <summary>Computes dq, dk and dv in f32 from dense tensors.</summary>
    /// <inheritdoc cref="S2AttentionPlan.Backward{T}" path="/exception"/>
    public static void Backward<T>(
        S2Config config,
        ReadOnlySpan<T> query,
        ReadOnlySpan<T> key,
        ReadOnlySpan<T> value,
        ReadOnlySpan<T> output,
        ReadOnlySpan<float> logSumExp,
        ReadOnlySpan<T> outputGradient,
        Span<float> queryGradient,
        Span<float> keyGradient,
        Span<float> valueGradient,
        ReadOnlySpan<byte> valid = default)
        where T : unmanaged
    {
        using S2AttentionPlan plan = new(config);
        plan.Backward(query, key, value, output, logSumExp, outputGradient, queryGradient, keyGradient, valueGradient, valid);
    }

    /// <summary>Computes o and lse over tensor spans of shape [B,N,H,D] with any strides whose last is 1.</summary>
    /// <param name="config">The configuration.</param>
    /// <param name="query">q [B,N,H,D].</param>
    /// <param name="key">k [B,N,K,D].</param>
    /// <param name="value">v [B,N,K,D].</param>
    /// <param name="output">o [B,N,H,D]; no element of it may be one of another tensor.</param>
    /// <param name="logSumExp">lse [B,N,H], dense; empty where it is not wanted.</param>
    /// <param name="valid">valid [B,N], dense; empty where no key is padded.</param>
    /// <exception cref="ArgumentException">A tensor has another shape, elements of a row that are not contiguous, or shares elements with the output.</exception>
    public static void Forward<T>(
        S2Config config,
        in ReadOnlyTensorSpan<T> query,
        in ReadOnlyTensorSpan<T> key,
        in ReadOnlyTensorSpan<T> value,
        in TensorSpan<T> output,
        Span<float> logSumExp = default,
        ReadOnlySpan<byte> valid = default)
        where T : unmanaged
    {
        ArgumentNullException.ThrowIfNull(config);
        ReadOnlyTensorSpan<T> written = output;
        using S2AttentionPlan plan = new(config, new S2AttentionOptions
        {
            Query = StridesOf(nameof(query), query, config, config.Heads),
            Key = StridesOf(nameof(key), key, config, config.KvHeads),
            Value = StridesOf(nameof(value), value, config, config.KvHeads),
            Output = StridesOf(nameof(output), written, config, config.Heads),
        });
        plan.Forward(Flat(query), Flat(key), Flat(value), Writable(Flat(written)), logSumExp, valid);
    }

    /// <summary>Computes dq, dk and dv over tensor spans with any strides whose last is 1.</summary>
    /// <param name="config">The configuration.</param>
    /// <param name="query">q [B,N,H,D].</param>
    /// <param name="key">k [B,N,K,D].</param>
    /// <param name="value">v [B,N,K,D].</param>
    /// <param name="output">o [B,N,H,D] of the forward pass.</param>
    /// <param name="logSumExp">lse [B,N,H] of the forward pass, dense.</param>
    /// <param name="outputGradient">do [B,N,H,D].</param>
    /// <param name="queryGradient">dq [B,N,H,D].</param>
    /// <param name="keyGradient">dk [B,N,K,D].</param>
    /// <param name="valueGradient">dv [B,N,K,D].</param>
    /// <param name="valid">valid [B,N], dense; empty where no key is padded.</param>
    /// <exception cref="ArgumentException">A tensor has another shape, elements of a row that are not contiguous, or a gradient shares elements with another tensor.</exception>
    public static void Backward<T>(
        S2Config config,
        in ReadOnlyTensorSpan<T> query,
        in ReadOnlyTensorSpan<T> key,
        in ReadOnlyTensorSpan<T> value,
        in ReadOnlyTensorSpan<T> output,
        ReadOnlySpan<float> logSumExp,
        in ReadOnlyTensorSpan<T> outputGradient,
        in TensorSpan<float> queryGradient,
        in TensorSpan<float> keyGradient,
        in TensorSpan<float> valueGradient,
        ReadOnlySpan<byte> valid = default)
        where T : unmanaged
    {
        ArgumentNullException.ThrowIfNull(config);
        ReadOnlyTensorSpan<float> dq = queryGradient, dk = keyGradient, dv = valueGradient;
        using S2AttentionPlan plan = new(config, new S2AttentionOptions
        {
            Query = StridesOf(nameof(query), query, config, config.Heads),
            Key = StridesOf(nameof(key), key, config, config.KvHeads),
            Value = StridesOf(nameof(value), value, config, config.KvHeads),
            Output = StridesOf(nameof(output), output, config, config.Heads),
            OutputGradient = StridesOf(nameof(outputGradient), outputGradient, config, config.Heads),
            QueryGradient = StridesOf(nameof(queryGradient), dq, config, config.Heads),
            KeyGradient = StridesOf(nameof(keyGradient), dk, config, config.KvHeads),
            ValueGradient = StridesOf(nameof(valueGradient), dv, config, config.KvHeads),
        });
        plan.Backward(Flat(query), Flat(key), Flat(value), Flat(output), logSumExp, Flat(outputGradient), Writable(Flat(dq)), Writable(Flat(dk)), Writable(Flat(dv)), valid);
    }

    private static TensorStrides StridesOf<T>(string name, in ReadOnlyTensorSpan<T> tensor, S2Config config, int heads)
    {
        ReadOnlySpan<nint> lengths = tensor.Lengths, strides = tensor.Strides;
        ReadOnlySpan<nint> expected = [config.Batch, config.Tokens, heads, config.HeadDim];
        if (!lengths.SequenceEqual(expected))
            throw new ArgumentException($"{name} has shape [{Text(lengths)}]: the configuration asks for [{Text(expected)}].", name);

        // A dimension of one element has stride 0.
        if (config.HeadDim > 1 && strides[3] != 1)
            throw new ArgumentException(
                $"{name} has strides [{Text(strides)}]: the last must be 1, as the kernels read whole rows. Copy it first, as with {name}.FlattenTo(array), which gives dense [B,N,H,D].", name);
        return new(strides[0], strides[1], strides[2]);

        static string Text(ReadOnlySpan<nint> values) => string.Join(",", values.ToArray());
    }

    // The memory that the tensor reaches, from its first element to its last.
    private static ReadOnlySpan<T> Flat<T>(in ReadOnlyTensorSpan<T> tensor)
    {
        Int128 extent = 1;
        for (int axis = 0; axis < tensor.Rank; axis++)
            extent += (Int128)(tensor.Lengths[axis] - 1) * tensor.Strides[axis];
        if (extent > Array.MaxLength)
            throw new ArgumentException($"The strides of a tensor reach {extent} elements: at most {Array.MaxLength} are supported.", nameof(tensor));
        return MemoryMarshal.CreateReadOnlySpan(ref Unsafe.AsRef(in tensor.GetPinnableReference()), (int)extent);
    }

    private static Span<T> Writable<T>(ReadOnlySpan<T> span) => MemoryMarshal.CreateSpan(ref MemoryMarshal.GetReference(span), span.Length);
}
