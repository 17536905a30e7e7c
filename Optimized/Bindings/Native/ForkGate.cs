// How does a process fork while plans are alive? Calls end, their threads end, and both processes start threads anew at the next call.
using S2Attn.Optimized;

namespace S2Attn.Native;

/// <summary>
/// fork() copies one thread: a child that waits for another one, or for a lock that another one held, waits for ever. So a fork first waits until no call is under way, holds
/// new ones back, and joins the threads that wait in the pools of plans.
/// </summary>
internal static class ForkGate
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5), Pause = TimeSpan.FromMilliseconds(0.2);
    private static readonly List<WeakReference<S2AttentionPlan>> Threaded = [];
    private static int calls, forks;

    /// <summary>Begins a call; waits while a fork is under way.</summary>
    public static void Enter()
    {
        while (true)
        {
            Interlocked.Increment(ref calls);
            if (Volatile.Read(ref forks) == 0)
                return;
            Interlocked.Decrement(ref calls);
            while (Volatile.Read(ref forks) != 0)
                Thread.Sleep(Pause);
        }
    }

    /// <summary>Ends a call.</summary>
    public static void Leave() => Interlocked.Decrement(ref calls);

    /// <summary>Remembers a plan that may have threads. Within a call.</summary>
    public static S2AttentionPlan Watch(S2AttentionPlan plan)
    {
        if (plan.Threads > 1)
            lock (Threaded)
            {
                Threaded.RemoveAll(reference => !reference.TryGetTarget(out _));
                Threaded.Add(new(plan));
            }
        return plan;
    }

    /// <summary>Before fork(), in the thread that forks. False where a call went on for longer than a fork may wait: then the child must not use the library.</summary>
    public static bool Before()
    {
        Interlocked.Increment(ref forks);
        long end = Environment.TickCount64 + (long)Patience.TotalMilliseconds;
        while (Volatile.Read(ref calls) != 0)
        {
            if (Environment.TickCount64 > end)
                return false;
            Thread.Sleep(Pause);
        }

        foreach (WeakReference<S2AttentionPlan> reference in Threaded)
            if (reference.TryGetTarget(out S2AttentionPlan? plan))
                plan.StopThreads();
        return true;
    }

    /// <summary>After fork(), in the parent.</summary>
    public static void AfterInParent() => Interlocked.Decrement(ref forks);

    /// <summary>After fork(), in the child, where only the thread that forked goes on.</summary>
    public static void AfterInChild() => Volatile.Write(ref forks, 0);
}
