// Who owns a plan that a C program knows by a number?
using System.Collections.Concurrent;
using S2Attn.Optimized;

namespace S2Attn.Native;

/// <summary>Thrown where no plan has the handle.</summary>
internal sealed class UnknownHandleException(ulong handle) : Exception($"plan = {handle}: no such plan; it was never made, or is destroyed");

/// <summary>Thrown where another call with the plan is under way.</summary>
internal sealed class PlanBusyException(ulong handle) : Exception($"plan = {handle}: another call with it is under way; a plan serves one call at a time");

/// <summary>A plan behind a handle: idle, in one call, or destroyed.</summary>
internal sealed class PlanEntry(ulong handle, Recipe recipe, HostedPlan hosted)
{
    private const int Idle = 0, Busy = 1, Destroyed = 2;
    private int state;

    public Recipe Recipe { get; } = recipe;

    public S2AttentionPlan Plan => hosted.Plan;

    /// <summary>Begins a call.</summary>
    /// <exception cref="PlanBusyException">Another one is under way.</exception>
    /// <exception cref="UnknownHandleException">Another thread has destroyed the plan since it was found.</exception>
    public PlanEntry Enter() => Interlocked.CompareExchange(ref state, Busy, Idle) switch
    {
        Idle => this,
        Busy => throw new PlanBusyException(handle),
        _ => throw new UnknownHandleException(handle),
    };

    public void Leave() => Volatile.Write(ref state, Idle);

    /// <summary>Ends a call that was begun, and the plan with it.</summary>
    public void Destroy()
    {
        Volatile.Write(ref state, Destroyed);
        hosted.Dispose();
    }
}

/// <summary>The plans that are alive. A handle is a number that is never given twice, so a stale one cannot name another plan.</summary>
internal static class PlanTable
{
    private static readonly ConcurrentDictionary<ulong, PlanEntry> Entries = new();
    private static ulong last;

    public static ulong Add(Recipe recipe)
    {
        ulong handle = Interlocked.Increment(ref last);
        Entries[handle] = new(handle, recipe, recipe.Plan());
        return handle;
    }

    /// <summary>Finds a plan and begins a call with it; <see cref="PlanEntry.Leave"/> ends it.</summary>
    public static PlanEntry Enter(ulong handle) =>
        Entries.TryGetValue(handle, out PlanEntry? found) ? found.Enter() : throw new UnknownHandleException(handle);

    public static void Destroy(ulong handle)
    {
        PlanEntry found = Enter(handle);
        Entries.TryRemove(handle, out _);
        found.Destroy();
    }
}
