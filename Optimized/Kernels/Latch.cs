// How does a caller wait for its workers, whatever interrupts it?
namespace S2Attn.Optimized.Kernels;

/// <summary>A count that one thread waits for to fall to zero. Thread.Interrupt does not end a wait: it is noted, to be raised again when the call is over.</summary>
internal sealed class Latch
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
