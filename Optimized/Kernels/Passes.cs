// How is one pass over work items run: handed out some at a time, counted, and ended when a worker fails or the call is cancelled?
namespace S2Attn.Optimized.Kernels;

/// <summary>What the workers of a pass do.</summary>
internal interface IPassWork
{
    /// <summary>Computes items until none is left, and adds up how many they were and the sum of their numbers.</summary>
    void Work(int pass, int worker, ref long count, ref long numbers);
}

/// <summary>The passes of one kind of call, one at a time. A pass allocates nothing.</summary>
internal sealed class Passes
{
    private readonly IWorkScheduler scheduler;
    private readonly IPassWork work;
    private readonly Action<int>[] bodies;
    private readonly Round round;
    private CancellationToken cancellation;
    private long items;
    private int itemsOfClaim;

    public Passes(IWorkScheduler scheduler, int workers, int passes, IPassWork work)
    {
        this.scheduler = scheduler;
        this.work = work;
        Handover = new(workers);
        round = new(workers);
        bodies = [.. Enumerable.Range(0, passes).Select<int, Action<int>>(pass => worker => Enter(pass, worker))];
    }

    public Handover Handover { get; }

    public bool Stops => cancellation.IsCancellationRequested || round.HasFailed;

    /// <summary>The next claim; none where all are taken or the pass is to stop.</summary>
    public long Take() => Handover.Take(Stops);

    /// <summary>The items of a claim, one behind the other: from the first to the one before End.</summary>
    public (long First, long End) ItemsOf(long claim) => (FirstOf(claim), Math.Min(FirstOf(claim + 1), items));

    /// <summary>The first item of a claim; none of none.</summary>
    public long FirstOf(long claim) => claim < 0 ? claim : claim * itemsOfClaim;

    /// <summary>Runs a pass over items 0 to <paramref name="items"/> - 1, of which a worker claims some at a time, and throws what went wrong in it.</summary>
    public void Run(int pass, long items, int itemsOfClaim, CancellationToken cancellation)
    {
        if (items == 0)
            return;
        long claims = (items - 1) / itemsOfClaim + 1;
        int workers = (int)Math.Min(Handover.Workers, claims);
        (this.items, this.itemsOfClaim, this.cancellation) = (items, itemsOfClaim, cancellation);
        Handover.Begin(claims);
        round.Open(pass, workers, items);
        try
        {
            scheduler.Run(workers, bodies[pass]);
        }
        finally
        {
            round.Close();
            this.cancellation = default;
        }

        round.Check(scheduler, cancellation);
    }

    // Never throws: the thread may be a stranger's.
    private void Enter(int pass, int worker)
    {
        if (!round.TryEnter(pass, worker))
            return;
        long count = 0, numbers = 0;
        try
        {
            work.Work(pass, worker, ref count, ref numbers);
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
}
