// How does a caller wait for its workers, whatever interrupts it?
using System.Diagnostics;

namespace S2Attn.Optimized.Kernels;

/// <summary>A count that one thread waits for to fall to zero. Thread.Interrupt does not end a wait: it is noted, to be raised again when the call is over.</summary>
/// <param name="spins">Whether those that are waited for have processors of their own.</param>
internal sealed class Latch(bool spins)
{
    // Workers end within microseconds of each other: a short spin saves two changes of thread.
    private const int Spins = 40;

    private int count;

    /// <summary>The lock under which a sleeping caller is woken; a test holds it.</summary>
    internal object Sync { get; } = new();

    public void Begin(int count) => Volatile.Write(ref this.count, count);

    public void Signal()
    {
        if (Interlocked.Decrement(ref count) != 0)
            return;
        lock (Sync)
            Monitor.PulseAll(Sync);
    }

    public void Wait(ref bool interrupted)
    {
        for (Spell spell = new(spins); Volatile.Read(ref count) > 0 && spell.Lasts();)
        {
        }

        SpinWait spin = default;
        for (int i = 0; i < Spins && Volatile.Read(ref count) > 0; i++)
            Steady.Spin(ref spin, ref interrupted);
        if (Volatile.Read(ref count) <= 0)
            return;
        bool taken = false;
        while (!taken)
            try
            {
                Monitor.Enter(Sync, ref taken);
            }
            catch (ThreadInterruptedException)
            {
                interrupted = true;
            }

        try
        {
            while (Volatile.Read(ref count) > 0)
                try
                {
                    Monitor.Wait(Sync);
                }
                catch (ThreadInterruptedException)
                {
                    interrupted = true;
                }
        }
        finally
        {
            Monitor.Exit(Sync);
        }
    }
}

/// <summary>
/// A moment for which a thread stays on its processor before it sleeps. To put a thread to sleep and wake it takes some 50 us, on a virtual machine more, and so a call of a few hundred would gain little from a
/// second thread; to yield instead gives the processor to whoever wants it, for milliseconds.
/// </summary>
internal struct Spell(bool spins)
{
    private const int PausesOfTurn = 8;
    private static readonly long Length = Stopwatch.Frequency / 20_000;

    private readonly long end = spins && Environment.ProcessorCount > 1 ? Stopwatch.GetTimestamp() + Length : 0;

    /// <summary>Pauses, and says whether it is still time to.</summary>
    public readonly bool Lasts()
    {
        if (end == 0 || Stopwatch.GetTimestamp() >= end)
            return false;
        Thread.SpinWait(PausesOfTurn);
        return true;
    }
}

/// <summary>Short waits that Thread.Interrupt does not end.</summary>
internal static class Steady
{
    public static void Sleep(ref bool interrupted)
    {
        try
        {
            Thread.Sleep(1);
        }
        catch (ThreadInterruptedException)
        {
            interrupted = true;
        }
    }

    /// <summary>One turn of a spin that never sleeps for long; its Sleep(0) is where an interrupt that came during the call is raised.</summary>
    public static void Spin(ref SpinWait spin, ref bool interrupted)
    {
        try
        {
            spin.SpinOnce(sleep1Threshold: -1);
        }
        catch (ThreadInterruptedException)
        {
            interrupted = true;
        }
    }

    public static void Join(Thread thread, ref bool interrupted)
    {
        while (thread.IsAlive)
            try
            {
                thread.Join();
            }
            catch (ThreadInterruptedException)
            {
                interrupted = true;
            }
    }

    /// <summary>Releases a semaphore. It can be interrupted only before it has changed anything.</summary>
    public static void Release(SemaphoreSlim semaphore, int count, ref bool interrupted)
    {
        for (bool released = false; !released;)
            try
            {
                semaphore.Release(count);
                released = true;
            }
            catch (ThreadInterruptedException)
            {
                interrupted = true;
            }
    }

    /// <summary>Raises again what was put off.</summary>
    public static void Restore(bool interrupted)
    {
        if (interrupted)
            Thread.CurrentThread.Interrupt();
    }
}
