// The backward call: spans or pointers are checked against the plan's shapes and strides, then handed to the kernels.
using System.Runtime.InteropServices;
using S2Attn.Optimized.Kernels;

namespace S2Attn.Optimized;

public sealed unsafe partial class S2AttentionPlan
{
    /// <summary>Computes dq, dk and dv in f32 from what the forward pass read and wrote, and from do.</summary>
    /// <inheritdoc cref="Backward{T, TGradient}"/>
    public void Backward<T>(
        ReadOnlySpan<T> query,
        ReadOnlySpan<T> key,
        ReadOnlySpan<T> value,
        ReadOnlySpan<T> output,
        ReadOnlySpan<float> logSumExp,
        ReadOnlySpan<T> outputGradient,
        Span<float> queryGradient,
        Span<float> keyGradient,
        Span<float> valueGradient,
        ReadOnlySpan<byte> valid = default,
        ReadOnlySpan<float> logSumExpGradient = default,
        CancellationToken cancellation = default)
        where T : unmanaged =>
        Backward<T, float>(query, key, value, output, logSumExp, outputGradient, queryGradient, keyGradient, valueGradient, valid, logSumExpGradient, cancellation);

    /// <summary>Computes dq, dk and dv from what the forward pass read and wrote, and from do; in f32, or summed in f32 and rounded once to the storage type.</summary>
    /// <param name="query">q as in the forward pass.</param>
    /// <param name="key">k.</param>
    /// <param name="value">v.</param>
    /// <param name="output">o of the forward pass.</param>
    /// <param name="logSumExp">lse of the forward pass.</param>
    /// <param name="outputGradient">do [B,N,H,D].</param>
    /// <param name="queryGradient">dq [B,N,H,D]; overwritten. No element of a gradient may be one of another tensor.</param>
    /// <param name="keyGradient">dk [B,N,K,D].</param>
    /// <param name="valueGradient">dv [B,N,K,D].</param>
    /// <param name="valid">valid [B,N] as in the forward pass.</param>
    /// <param name="logSumExpGradient">The gradient of lse [B,N,H], for a caller who uses lse too; empty where it has none.</param>
    /// <param name="cancellation">Stops between work items; the gradients are then partly written.</param>
    /// <typeparam name="T">Storage of the tensors: float, Half or BFloat16.</typeparam>
    /// <typeparam name="TGradient">Storage of dq, dk and dv: float or T. With fewer bits than f32, a call takes 8 B N K D bytes to sum dk and dv in.</typeparam>
    /// <exception cref="ArgumentException">A span is too short, or a gradient shares elements with another tensor.</exception>
    /// <exception cref="NotSupportedException">T is not float, Half or BFloat16, or TGradient neither float nor T.</exception>
    /// <exception cref="InvalidOperationException">Another call is under way, or the scheduler broke its contract.</exception>
    /// <exception cref="ObjectDisposedException">The plan was disposed of.</exception>
    /// <exception cref="OperationCanceledException">The call was cancelled.</exception>
    public void Backward<T, TGradient>(
        ReadOnlySpan<T> query,
        ReadOnlySpan<T> key,
        ReadOnlySpan<T> value,
        ReadOnlySpan<T> output,
        ReadOnlySpan<float> logSumExp,
        ReadOnlySpan<T> outputGradient,
        Span<TGradient> queryGradient,
        Span<TGradient> keyGradient,
        Span<TGradient> valueGradient,
        ReadOnlySpan<byte> valid = default,
        ReadOnlySpan<float> logSumExpGradient = default,
        CancellationToken cancellation = default)
        where T : unmanaged
        where TGradient : unmanaged
    {
        gate.ThrowIfClosed(this);
        CheckLength(places.Query, query.Length);
        CheckLength(places.Key, key.Length);
        CheckLength(places.Value, value.Length);
        CheckLength(places.Output, output.Length);
        CheckLength(places.LogSumExp, logSumExp.Length);
        CheckLength(places.OutputGradient, outputGradient.Length);
        CheckLength(places.QueryGradient, queryGradient.Length);
        CheckLength(places.KeyGradient, keyGradient.Length);
        CheckLength(places.ValueGradient, valueGradient.Length);
        CheckOptionalLength(places.Valid, valid.Length);
        CheckOptionalLength(places.LogSumExpGradient, logSumExpGradient.Length);
        fixed (T* q = query, k = key, v = value, o = output, dout = outputGradient)
        fixed (float* lse = logSumExp, dlse = logSumExpGradient)
        fixed (TGradient* dq = queryGradient, dk = keyGradient, dv = valueGradient)
        fixed (byte* pad = valid)
            BackwardPointers(
                Origin(places.Query, q),
                Origin(places.Key, k),
                Origin(places.Value, v),
                Origin(places.Output, o),
                Origin(places.LogSumExp, lse),
                Origin(places.OutputGradient, dout),
                Origin(places.QueryGradient, dq),
                Origin(places.KeyGradient, dk),
                Origin(places.ValueGradient, dv),
                pad,
                Origin(places.LogSumExpGradient, dlse),
                cancellation);
    }

    /// <summary>
    /// <see cref="Backward{T, TGradient}"/> over pointers: tensors of any size in memory that does not move. Each pointer points at element [0,0,0,0].
    /// </summary>
    /// <param name="query">q as in the forward pass.</param>
    /// <param name="key">k.</param>
    /// <param name="value">v.</param>
    /// <param name="output">o of the forward pass.</param>
    /// <param name="logSumExp">lse of the forward pass.</param>
    /// <param name="outputGradient">do [B,N,H,D].</param>
    /// <param name="queryGradient">dq [B,N,H,D]; overwritten. No element of a gradient may be one of another tensor.</param>
    /// <param name="keyGradient">dk [B,N,K,D].</param>
    /// <param name="valueGradient">dv [B,N,K,D].</param>
    /// <param name="valid">valid [B,N] as in the forward pass; null where no key is padded.</param>
    /// <param name="logSumExpGradient">The gradient of lse [B,N,H]; null where it has none.</param>
    /// <param name="cancellation">Stops between work items; the gradients are then partly written.</param>
    /// <remarks>That the memory is there as far as shapes and strides reach is the caller's word: it cannot be checked.</remarks>
    /// <exception cref="ArgumentNullException">A pointer to a tensor that has elements is null, other than <paramref name="valid"/> and <paramref name="logSumExpGradient"/>.</exception>
    /// <exception cref="OutOfMemoryException">There is no room for the sums behind gradients that are stored in fewer bits than f32.</exception>
    /// <inheritdoc cref="Backward{T, TGradient}" path="/exception"/>
    public void BackwardPointers<T, TGradient>(
        T* query,
        T* key,
        T* value,
        T* output,
        float* logSumExp,
        T* outputGradient,
        TGradient* queryGradient,
        TGradient* keyGradient,
        TGradient* valueGradient,
        byte* valid = null,
        float* logSumExpGradient = null,
        CancellationToken cancellation = default)
        where T : unmanaged
        where TGradient : unmanaged
    {
        Calls<T> calls = CallsOf<T>();
        if (typeof(TGradient) != typeof(float) && typeof(TGradient) != typeof(T))
            throw new NotSupportedException($"TGradient = {typeof(TGradient)}: gradients of tensors of {typeof(T)} are stored in it or in float.");
        Region q = new(places.Query, query, sizeof(T)), k = new(places.Key, key, sizeof(T)), v = new(places.Value, value, sizeof(T)), o = new(places.Output, output, sizeof(T));
        Region lse = new(places.LogSumExp, logSumExp, sizeof(float)), dout = new(places.OutputGradient, outputGradient, sizeof(T));
        Region dq = new(places.QueryGradient, queryGradient, sizeof(TGradient)), dk = new(places.KeyGradient, keyGradient, sizeof(TGradient));
        Region dv = new(places.ValueGradient, valueGradient, sizeof(TGradient)), pad = Optional(places.Valid, valid), dlse = Optional(places.LogSumExpGradient, logSumExpGradient);
        CheckApart(dq, q, k, v, o, lse, dout, pad, dlse);
        CheckApart(dk, q, k, v, o, lse, dout, pad, dlse, dq);
        CheckApart(dv, q, k, v, o, lse, dout, pad, dlse, dq, dk);
        Problem<T> problem = new()
        {
            Query = new(query, places.Query),
            Key = new(key, places.Key),
            Value = new(value, places.Value),
            Output = new(output, places.Output),
            LogSumExp = new(logSumExp, places.LogSumExp),
            Valid = new(valid, places.Valid),
            OutputGradient = new(outputGradient, places.OutputGradient),
            LogSumExpGradient = new(logSumExpGradient, places.LogSumExpGradient),
        };
        if (typeof(TGradient) == typeof(float))
        {
            Exclusively(
                calls,
                problem with
                {
                    QueryGradient = new((float*)queryGradient, places.QueryGradient),
                    KeyGradient = new((float*)keyGradient, places.KeyGradient),
                    ValueGradient = new((float*)valueGradient, places.ValueGradient),
                },
                isBackward: true,
                cancellation);
            return;
        }

        nuint sums = (nuint)places.Key.Batch * (nuint)places.Key.Tokens * (nuint)Config.KvHeads * (nuint)Config.HeadDim;
        float* keySums = (float*)NativeMemory.Alloc(sums, 2 * sizeof(float));
        try
        {
            Exclusively(
                calls,
                problem with
                {
                    KeyGradient = new(keySums, places.KeySums),
                    ValueGradient = new(keySums + sums, places.KeySums),
                    StoredQueryGradient = new((T*)queryGradient, places.QueryGradient),
                    StoredKeyGradient = new((T*)keyGradient, places.KeyGradient),
                    StoredValueGradient = new((T*)valueGradient, places.ValueGradient),
                },
                isBackward: true,
                cancellation);
        }
        finally
        {
            NativeMemory.Free(keySums);
        }
    }
}
