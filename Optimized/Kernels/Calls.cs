// How is a call spread over workers? Each item owns what it writes, so that it does not matter who takes which.
namespace S2Attn.Optimized.Kernels;

/// <summary>Runs the work items of one storage format. The state of a call lives here, so that a call allocates nothing.</summary>
internal sealed class Calls<T> : IPassWork
    where T : unmanaged
{
    private const int Forward = 0, Store = 1, Clear = 2, Prefix = 3, Backward = 4;

    // Some tens of microseconds of arithmetic, about as long as it takes to wake a thread.
    private const double LeastWorkOfWorker = 2e6;

    private readonly Geometry geometry;
    private readonly IEngine<T> engine;
    private readonly PlanResources resources;
    private readonly Passes passes;
    private readonly int forwardOfClaim;
    private readonly int[] backwardOfClaim;
    private Problem<T> problem;

    /// <summary>Prepares calls.</summary>
    /// <param name="geometry">The work.</param>
    /// <param name="engine">The kernels.</param>
    /// <param name="scheduler">Who runs the workers.</param>
    /// <param name="resources">Their memory.</param>
    /// <param name="mayTakeFewer">Whether calls whose work is done before other workers are awake may take fewer of them than there are.</param>
    public Calls(Geometry geometry, IEngine<T> engine, IWorkScheduler scheduler, PlanResources resources, bool mayTakeFewer)
    {
        int workers = mayTakeFewer ? (int)Math.Clamp(geometry.Work / LeastWorkOfWorker, 1, resources.Workers) : resources.Workers;
        this.geometry = geometry;
        this.engine = engine;
        this.resources = resources;
        passes = new(scheduler, workers, Backward + geometry.Classes.Phases, this);
        forwardOfClaim = geometry.ForwardItemsOfClaim(workers);
        backwardOfClaim = [.. Enumerable.Range(0, geometry.Classes.Phases).Select(phase => geometry.BackwardItemsOfClaim(phase, workers))];
    }

    public void Run(in Problem<T> problem, bool isBackward, CancellationToken cancellation)
    {
        this.problem = problem;
        try
        {
            if (!isBackward)
                passes.Run(Forward, geometry.ForwardItems, forwardOfClaim, cancellation);
            if (isBackward && geometry.IsSlice)
                passes.Run(Clear, geometry.StoreItems, itemsOfClaim: 1, cancellation);
            for (int phase = 0; isBackward && phase < geometry.Classes.Phases; phase++)
                passes.Run(Backward + phase, geometry.BackwardItems(phase), backwardOfClaim[phase], cancellation);
            if (isBackward)
                passes.Run(Prefix, geometry.PrefixItems, itemsOfClaim: 1, cancellation);
            if (isBackward && !problem.StoredKeyGradient.IsAbsent)
                passes.Run(Store, geometry.StoreItems, itemsOfClaim: 1, cancellation);
        }
        finally
        {
            this.problem = default;
        }

        cancellation.ThrowIfCancellationRequested();
    }

    /// <summary>One worker's share of a pass.</summary>
    public void Work(int pass, int worker, ref long count, ref long numbers)
    {
        if (pass == Forward)
            Attend(worker, ref count, ref numbers);
        else
            for (long claim = passes.Take(); claim >= 0; claim = passes.Take())
            {
                (long first, long end) = passes.ItemsOf(claim);
                for (long item = first; item < end; item++)
                {
                    if (pass == Store)
                        engine.StoreKeyGradients(geometry, problem, item);
                    else if (pass == Clear)
                        engine.ClearKeyGradients(geometry, problem, item);
                    else if (pass == Prefix)
                        engine.BackwardOfPrefix(geometry, problem, item, resources.WorkspaceOf(worker));
                    else
                        engine.Backward(geometry, problem, pass - Backward, item, resources.WorkspaceOf(worker));
                    count++;
                    numbers += item;
                }
            }
    }

    private void Attend(int worker, ref long count, ref long numbers)
    {
        KeyTile tile = default;
        for (Claimant claimant = new(worker); !claimant.IsFinished;)
            if (claimant.Advance(passes.Handover, passes.Stops))
            {
                if (!claimant.HasTile)
                    tile = default;
                (long first, long end) = passes.ItemsOf(claimant.Item);
                for (long item = first; item < end; item++)
                {
                    engine.Forward(geometry, problem, item, item + 1 < end ? item + 1 : passes.FirstOf(claimant.Ahead), ref tile, resources.WorkspaceOf(worker));
                    count++;
                    numbers += item;
                }
            }
    }
}
