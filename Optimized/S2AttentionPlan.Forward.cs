// The forward call: spans or pointers are checked against the plan's shapes and strides, then handed to the kernels.
using S2Attn.Optimized.Kernels;

namespace S2Attn.Optimized;

public sealed unsafe partial class S2AttentionPlan
{
    /// <summary>Computes o and, where asked for, logsumexp.</summary>
    /// <param name="query">q [B,N,H,D], with the plan's strides; the span starts at the tensor's lowest element.</param>
    /// <param name="key">k [B,N,K,D].</param>
    /// <param name="value">v [B,N,K,D].</param>
    /// <param name="output">o [B,N,H,D]; no element of it may be one of another tensor.</param>
    /// <param name="logSumExp">lse [B,N,H], or empty where it is not wanted. The backward pass needs it.</param>
    /// <param name="valid">valid [B,N], dense, 0 for a padded key; empty where no key is padded.</param>
    /// <param name="cancellation">Stops between work items; o is then partly written.</param>
    /// <exception cref="ArgumentException">A span is too short, or the output shares elements with another tensor.</exception>
    /// <exception cref="NotSupportedException">T is not float, Half or BFloat16.</exception>
    /// <exception cref="InvalidOperationException">Another call is under way, or the scheduler broke its contract.</exception>
    /// <exception cref="ObjectDisposedException">The plan was disposed of.</exception>
    /// <exception cref="OperationCanceledException">The call was cancelled.</exception>
    public void Forward<T>(ReadOnlySpan<T> query, ReadOnlySpan<T> key, ReadOnlySpan<T> value, Span<T> output, Span<float> logSumExp = default, ReadOnlySpan<byte> valid = default, CancellationToken cancellation = default)
        where T : unmanaged
    {
        gate.ThrowIfClosed(this);
        CheckLength(places.Query, query.Length);
        CheckLength(places.Key, key.Length);
        CheckLength(places.Value, value.Length);
        CheckLength(places.Output, output.Length);
        CheckOptionalLength(places.LogSumExp, logSumExp.Length);
        CheckOptionalLength(places.Valid, valid.Length);
        fixed (T* q = query, k = key, v = value, o = output)
        fixed (float* lse = logSumExp)
        fixed (byte* pad = valid)
            ForwardPointers(Origin(places.Query, q), Origin(places.Key, k), Origin(places.Value, v), Origin(places.Output, o), Origin(places.LogSumExp, lse), pad, cancellation);
    }

    /// <summary>
    /// <see cref="Forward{T}"/> over pointers: tensors of any size in memory that does not move. Each pointer points at element [0,0,0,0].
    /// </summary>
    /// <param name="query">q [B,N,H,D], with the plan's strides.</param>
    /// <param name="key">k [B,N,K,D].</param>
    /// <param name="value">v [B,N,K,D].</param>
    /// <param name="output">o [B,N,H,D]; no element of it may be one of another tensor.</param>
    /// <param name="logSumExp">lse [B,N,H], or null where it is not wanted.</param>
    /// <param name="valid">valid [B,N], dense, 0 for a padded key; null where no key is padded.</param>
    /// <param name="cancellation">Stops between work items; o is then partly written.</param>
    /// <remarks>That the memory is there as far as shapes and strides reach is the caller's word: it cannot be checked.</remarks>
    /// <exception cref="ArgumentNullException">A pointer to a tensor that has elements is null, other than <paramref name="logSumExp"/> and <paramref name="valid"/>.</exception>
    /// <inheritdoc cref="Forward{T}" path="/exception"/>
    public void ForwardPointers<T>(T* query, T* key, T* value, T* output, float* logSumExp, byte* valid, CancellationToken cancellation = default)
        where T : unmanaged
    {
        Calls<T> calls = CallsOf<T>();
        Region q = new(places.Query, query, sizeof(T)), k = new(places.Key, key, sizeof(T)), v = new(places.Value, value, sizeof(T));
        Region o = new(places.Output, output, sizeof(T)), lse = Optional(places.LogSumExp, logSumExp), pad = Optional(places.Valid, valid);
        CheckApart(o, q, k, v, pad);
        CheckApart(lse, o, q, k, v, pad);
        Problem<T> problem = new()
        {
            Query = new(query, places.Query),
            Key = new(key, places.Key),
            Value = new(value, places.Value),
            Output = new(output, places.Output),
            LogSumExp = new(logSumExp, places.LogSumExp),
            Valid = new(valid, places.Valid),
        };
        Exclusively(calls, problem, isBackward: false, cancellation);
    }

    private static T* Origin<T>(Place place, T* lowest)
        where T : unmanaged => lowest == null ? null : lowest - place.Lowest;

    private static Region Optional<T>(Place place, T* origin)
        where T : unmanaged => origin == null ? default : new(place, origin, sizeof(T));

    private static void CheckLength(Place place, int length)
    {
        if (length < place.Extent)
            throw new ArgumentException(
                place.Extent > Array.MaxLength
                    ? $"{place.Name} has {length} elements: its shape and strides reach {place.Extent}, more than a span holds. Use the overload over pointers."
                    : $"{place.Name} has {length} elements: its shape and strides reach {place.Extent}.",
                place.Name);
    }

    private static void CheckOptionalLength(Place place, int length)
    {
        if (length > 0)
            CheckLength(place, length);
    }

    private static void CheckApart(in Region written, params ReadOnlySpan<Region> others)
    {
        foreach (ref readonly Region other in others)
            if (written.Overlaps(other))
                throw new ArgumentException($"{written.Name} overlaps {other.Name}: what is written may share no element with another tensor.", written.Name);
    }
}
