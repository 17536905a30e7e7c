// How is a call spread over workers? Items are taken in order from a counter; each owns what it writes, so that it does not matter who takes which.
namespace S2Attn.Optimized.Kernels;

/// <summary>Runs the work items of one storage format. The state of a call lives here, so that a call allocates nothing.</summary>
internal sealed class Calls<T>
    where T : unmanaged
{
    private readonly Geometry geometry;
    private readonly IEngine<T> engine;
    private readonly IWorkScheduler scheduler;
    private readonly Workspace[] workspaces;
    private const int TokensOfStore = 64;

    private readonly Action<int> forward, backward, store;
    private readonly int[] claims;
    private Problem<T> problem;
    private CancellationToken cancellation;
    private int items, phase, next;

    public Calls(Geometry geometry, IEngine<T> engine, IWorkScheduler scheduler, Workspace[] workspaces)
    {
        this.geometry = geometry;
        this.engine = engine;
        this.scheduler = scheduler;
        this.workspaces = workspaces;
        claims = new int[workspaces.Length];
        forward = Forward;
        backward = Backward;
        store = Store;
    }

    public void Run(in Problem<T> problem, bool isBackward, CancellationToken cancellation)
    {
        this.problem = problem;
        this.cancellation = cancellation;
        try
        {
            if (!isBackward)
                Spread(geometry.ForwardItems, forward);
            for (phase = 0; isBackward && phase < 2; phase++)
                Spread(geometry.BackwardItems(phase), backward);
            if (isBackward && !problem.StoredKeyGradient.IsAbsent)
                Spread(geometry.Config.Batch * BlocksOfStore, store);
        }
        finally
        {
            this.problem = default;
        }

        cancellation.ThrowIfCancellationRequested();
    }

    private void Spread(int items, Action<int> body)
    {
        this.items = items;
        next = 0;
        Array.Fill(claims, -1);
        if (items > 0)
            scheduler.Run(Math.Min(workspaces.Length, items), body);
    }

    private void Forward(int worker)
    {
        KeyTile ahead = default;
        for (int item = Take(); item >= 0;)
        {
            int following = Take();
            Volatile.Write(ref claims[worker], following);
            engine.Forward(geometry, problem, item, following, ref ahead, workspaces[worker]);
            item = Claimed(worker);
            if (item < 0)
                ahead = default;
            for (int other = 0; item < 0 && other < claims.Length; other++)
                item = Claimed(other);
        }
    }

    // The item that a worker claimed while it computed another, so that its tensors could be asked for; -1 where it claimed none or one that had nothing left to do took it.
    private int Claimed(int worker) => Interlocked.Exchange(ref claims[worker], -1);

    private void Backward(int worker)
    {
        for (int item = Take(); item >= 0; item = Take())
            engine.Backward(geometry, problem, phase, item, workspaces[worker]);
    }

    private int BlocksOfStore => (geometry.Config.Tokens - 1) / TokensOfStore + 1;

    private void Store(int worker)
    {
        for (int item = Take(); item >= 0; item = Take())
        {
            int batch = item / BlocksOfStore, first = item % BlocksOfStore * TokensOfStore;
            for (int token = first; token < Math.Min(first + TokensOfStore, geometry.Config.Tokens); token++)
                engine.StoreKeyGradients(geometry, problem, batch, token);
        }
    }

    // The next work item, or -1 where none is left.
    private int Take()
    {
        int item = Interlocked.Increment(ref next) - 1;
        return item < items && !cancellation.IsCancellationRequested ? item : -1;
    }
}
