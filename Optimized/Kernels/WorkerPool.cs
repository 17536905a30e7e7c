// Who runs the workers of a plan that was given no scheduler? Threads that wait between calls.
namespace S2Attn.Optimized.Kernels;

/// <summary>Threads that are started at the first call and sleep between calls; the calling thread is worker 0. A call allocates nothing.</summary>
internal sealed class WorkerPool(int workers) : IWorkScheduler, IDisposable
{
    private readonly SemaphoreSlim start = new(0);
    private readonly SemaphoreSlim done = new(0);
    private Action<int> body = _ => { };
    private int nextWorker;
    private bool started;
    private volatile bool stopping;

    public void Run(int workers, Action<int> body)
    {
        if (!started)
            Start();
        this.body = body;
        nextWorker = 0;
        if (workers > 1)
            start.Release(workers - 1);
        try
        {
            body(0);
        }
        finally
        {
            for (int worker = 1; worker < workers; worker++)
                done.Wait();
        }
    }

    public void Dispose()
    {
        stopping = true;
        if (started && workers > 1)
            start.Release(workers - 1);
    }

    private void Start()
    {
        started = true;
        for (int worker = 1; worker < workers; worker++)
            new Thread(Work) { IsBackground = true, Name = $"S2Attention {worker}" }.Start();
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
