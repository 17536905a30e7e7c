// Who owns what a C program knows by a number?
using System.Collections.Concurrent;

namespace S2Attn.Native;

/// <summary>Thrown where nothing has the handle.</summary>
internal sealed class UnknownHandleException(string kind, ulong handle) : Exception($"{kind} = {handle}: no such {kind}; it was never made, or is destroyed");

/// <summary>Thrown where another call with it is under way.</summary>
internal sealed class BusyException(string kind, ulong handle) : Exception($"{kind} = {handle}: another call with it is under way; a {kind} serves one call at a time");

/// <summary>What is behind a handle: idle, in one call, or destroyed.</summary>
internal sealed class Entry<T>(string kind, ulong handle, T value)
    where T : IDisposable
{
    private const int Idle = 0, Busy = 1, Destroyed = 2;
    private int state;

    public T Value { get; } = value;

    /// <summary>Begins a call.</summary>
    /// <exception cref="BusyException">Another one is under way.</exception>
    /// <exception cref="UnknownHandleException">Another thread has destroyed it since it was found.</exception>
    public Entry<T> Enter() => Interlocked.CompareExchange(ref state, Busy, Idle) switch
    {
        Idle => this,
        Busy => throw new BusyException(kind, handle),
        _ => throw new UnknownHandleException(kind, handle),
    };

    public void Leave() => Volatile.Write(ref state, Idle);

    /// <summary>Ends a call that was begun, and the value with it.</summary>
    public void Destroy()
    {
        Volatile.Write(ref state, Destroyed);
        Value.Dispose();
    }
}

/// <summary>What is alive of one kind. A handle is a number that is never given twice, so a stale one cannot name another.</summary>
/// <param name="kind">What messages call it.</param>
internal sealed class HandleTable<T>(string kind)
    where T : IDisposable
{
    private readonly ConcurrentDictionary<ulong, Entry<T>> entries = new();
    private ulong last;

    public ulong Add(T value)
    {
        ulong handle = Interlocked.Increment(ref last);
        entries[handle] = new(kind, handle, value);
        return handle;
    }

    /// <summary>Finds it and begins a call with it; <see cref="Entry{T}.Leave"/> ends it.</summary>
    public Entry<T> Enter(ulong handle) => entries.TryGetValue(handle, out Entry<T>? found) ? found.Enter() : throw new UnknownHandleException(kind, handle);

    /// <summary>One call with it.</summary>
    public void Use(ulong handle, Action<T> call)
    {
        Entry<T> entry = Enter(handle);
        try
        {
            call(entry.Value);
        }
        finally
        {
            entry.Leave();
        }
    }

    public void Destroy(ulong handle)
    {
        Entry<T> found = Enter(handle);
        entries.TryRemove(handle, out _);
        found.Destroy();
    }
}

/// <summary>All that is alive.</summary>
internal static class Handles
{
    public static HandleTable<HostedPlan> Plans { get; } = new("plan");

    public static HandleTable<HostedCache> Caches { get; } = new("cache");
}
