// Who runs the workers of a plan that was given no scheduler? Threads that wait between calls.
namespace S2Attn.Optimized.Kernels;

/// <summary>
/// Threads that are started at the first call and sleep between calls; the calling thread is worker 0. A call allocates nothing. Where the system refuses a thread, the
/// calling thread does its share.
/// </summary>
internal sealed class WorkerPool(int workers) : IWorkScheduler, IDisposable
{
    private readonly SemaphoreSlim start = new(0);
    private readonly SemaphoreSlim done = new(0);
    private Action<int> body = _ => { };
    private int nextWorker;
    private Thread[]? threads;
    private volatile bool stopping;

    public void Run(int workers, Action<int> body)
    {
        threads ??= Started();
        int others = Math.Min(workers - 1, threads.Length);
        this.body = body;
        nextWorker = 0;
        if (others > 0)
            start.Release(others);
        try
        {
            body(0);
            for (int worker = others + 1; worker < workers; worker++)
                body(worker);
        }
        finally
        {
            for (int worker = 0; worker < others; worker++)
                done.Wait();
        }
    }

    /// <summary>Ends the threads and waits for them; the next call starts them again. Between calls only.</summary>
    public void Stop()
    {
        if (threads is not { Length: > 0 } ending)
            return;
        stopping = true;
        start.Release(ending.Length);
        foreach (Thread thread in ending)
            thread.Join();
        stopping = false;
        threads = null;
    }

    public void Dispose() => Stop();

    private Thread[] Started()
    {
        List<Thread> started = [];
        try
        {
            for (int worker = 1; worker < workers; worker++)
            {
                Thread thread = new(Work) { IsBackground = true, Name = $"S2Attention {worker}" };
                thread.Start();
                started.Add(thread);
            }
        }
        catch (OutOfMemoryException)
        {
            // The system has no more threads: those that there are suffice.
        }

        return [.. started];
    }

    private void Work()
    {
        while (true)
        {
            start.Wait();
            if (stopping)
                return;
            body(Interlocked.Increment(ref nextWorker));
            done.Release();
        }
    }
}
