// How is a call spread over workers? Each item owns what it writes, so that it does not matter who takes which.
namespace S2Attn.Optimized.Kernels;

/// <summary>Runs the work items of one storage format. The state of a call lives here, so that a call allocates nothing.</summary>
internal sealed class Calls<T>
    where T : unmanaged
{
    private const int Forward = 0, Backward = 1, Store = 3;

    private readonly Geometry geometry;
    private readonly IEngine<T> engine;
    private readonly IWorkScheduler scheduler;
    private readonly PlanResources resources;
    private readonly Action<int>[] bodies;
    private readonly Handover handover;
    private readonly Round round;
    private Problem<T> problem;
    private CancellationToken cancellation;

    public Calls(Geometry geometry, IEngine<T> engine, IWorkScheduler scheduler, PlanResources resources)
    {
        this.geometry = geometry;
        this.engine = engine;
        this.scheduler = scheduler;
        this.resources = resources;
        handover = new(resources.Workers);
        round = new(resources.Workers);
        bodies = [worker => Work(Forward, worker), worker => Work(Backward, worker), worker => Work(Backward + 1, worker), worker => Work(Store, worker)];
    }

    public void Run(in Problem<T> problem, bool isBackward, CancellationToken cancellation)
    {
        this.problem = problem;
        this.cancellation = cancellation;
        try
        {
            if (!isBackward)
                Spread(Forward, geometry.ForwardItems);
            for (int phase = 0; isBackward && phase < 2; phase++)
                Spread(Backward + phase, geometry.BackwardItems(phase));
            if (isBackward && !problem.StoredKeyGradient.IsAbsent)
                Spread(Store, geometry.StoreItems);
        }
        finally
        {
            this.problem = default;
            this.cancellation = default;
        }

        cancellation.ThrowIfCancellationRequested();
    }

    private void Spread(int pass, long items)
    {
        if (items == 0)
            return;
        int workers = (int)Math.Min(resources.Workers, items);
        handover.Begin(items);
        round.Open(pass, workers, items);
        try
        {
            scheduler.Run(workers, bodies[pass]);
        }
        finally
        {
            round.Close();
        }

        round.Check(scheduler, cancellation);
    }

    // Never throws: the thread may be a stranger's.
    private void Work(int pass, int worker)
    {
        if (!round.TryEnter(pass, worker))
            return;
        long count = 0, numbers = 0;
        try
        {
            if (pass == Forward)
                Attend(worker, ref count, ref numbers);
            else
                for (long item = handover.Take(Stops); item >= 0; item = handover.Take(Stops))
                {
                    if (pass == Store)
                        engine.StoreKeyGradients(geometry, problem, item);
                    else
                        engine.Backward(geometry, problem, pass - Backward, item, resources.WorkspaceOf(worker));
                    count++;
                    numbers += item;
                }
        }
        catch (Exception exception)
        {
            round.Fail(exception);
        }
        finally
        {
            round.Leave(count, numbers);
        }
    }

    private bool Stops => cancellation.IsCancellationRequested || round.HasFailed;

    private void Attend(int worker, ref long count, ref long numbers)
    {
        KeyTile tile = default;
        for (Claimant claimant = new(worker); !claimant.IsFinished;)
            if (claimant.Advance(handover, Stops))
            {
                if (!claimant.HasTile)
                    tile = default;
                engine.Forward(geometry, problem, claimant.Item, claimant.Ahead, ref tile, resources.WorkspaceOf(worker));
                count++;
                numbers += claimant.Item;
            }
    }
}
