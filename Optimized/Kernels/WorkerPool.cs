// Who runs the workers of a plan that was given no scheduler? Threads that wait between calls.
using System.Runtime.CompilerServices;

namespace S2Attn.Optimized.Kernels;

/// <summary>
/// Threads that are started at the first call and sleep between calls, after they have looked out for the next one for a moment; the calling thread is worker 0. A call allocates nothing. The threads know only what
/// they wait for, so that a pool which was abandoned can be collected: its owner then stops them. Where the system refuses a thread, the others do its share.
/// </summary>
internal sealed class WorkerPool(int workers) : IWorkScheduler
{
    private readonly Waiting waiting = new(spins: workers <= Environment.ProcessorCount);
    private readonly List<Thread> threads = [];

    /// <summary>The threads that were started and not stopped.</summary>
    internal IReadOnlyList<Thread> Threads => threads;

    public void Run(int workers, Action<int> body)
    {
        Start();
        bool interrupted = false;
        int helpers = Math.Min(workers - 1, threads.Count);
        waiting.Begin(helpers, body);
        if (helpers > 0)
            Steady.Release(waiting.Tickets, helpers, ref interrupted);
        try
        {
            body(0);
        }
        finally
        {
            waiting.Done.Wait(ref interrupted);
            waiting.End();
            Steady.Restore(interrupted);
        }
    }

    /// <summary>Ends the threads and waits for them; the next call starts them again. Between calls only.</summary>
    public void Stop()
    {
        bool interrupted = false;
        waiting.Stop(threads.Count, ref interrupted);
        foreach (Thread thread in threads)
            Steady.Join(thread, ref interrupted);
        threads.Clear();
        waiting.Resume();
        Steady.Restore(interrupted);
    }

    /// <summary>Ends the threads without waiting for them, for good.</summary>
    public void Abandon()
    {
        bool interrupted = false;
        waiting.Stop(threads.Count, ref interrupted);
    }

    private void Start()
    {
        while (threads.Count < workers - 1)
        {
            Thread thread = new(waiting.Serve) { IsBackground = true, Name = $"S2Attention {threads.Count + 1}" };
            try
            {
                thread.Start();
            }
            catch (OutOfMemoryException)
            {
                // The system has no more threads: those that there are suffice.
                return;
            }

            threads.Add(thread);
        }
    }

    /// <summary>What the threads wait for. It leads to a plan only while a call is under way.</summary>
    /// <param name="spins">Whether each has a processor to itself, on which to look out for the next call.</param>
    private sealed class Waiting(bool spins)
    {
        private static readonly Action<int> Nothing = _ => { };

        private Action<int> body = Nothing;
        private int lastWorker;
        private volatile bool stops;

        /// <summary>One for each worker that is to run.</summary>
        public SemaphoreSlim Tickets { get; } = new(0);

        public Latch Done { get; } = new(spins);

        public void Begin(int helpers, Action<int> body)
        {
            this.body = body;
            lastWorker = 0;
            Done.Begin(helpers);
        }

        public void End() => body = Nothing;

        public void Stop(int threads, ref bool interrupted)
        {
            stops = true;
            if (threads > 0)
                Steady.Release(Tickets, threads, ref interrupted);
        }

        public void Resume() => stops = false;

        public void Serve()
        {
            while (true)
            {
                for (Spell spell = new(spins); Tickets.CurrentCount == 0 && spell.Lasts();)
                {
                }

                Tickets.Wait();
                if (stops)
                    return;
                RunOne();
            }
        }

        // Apart, so that no frame of a thread that waits holds the body, and with it the plan.
        [MethodImpl(MethodImplOptions.NoInlining)]
        private void RunOne()
        {
            body(Interlocked.Increment(ref lastWorker));
            Done.Signal();
        }
    }
}
