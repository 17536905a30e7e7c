// Did every work item of a pass run exactly once, on workers that kept the rules? Counted, whoever schedules them.
using System.Runtime.ExceptionServices;

namespace S2Attn.Optimized.Kernels;

/// <summary>
/// One pass over the work items. A worker enters, computes and leaves; when the pass is closed, none is inside and none comes in. What goes wrong in a worker or in a
/// scheduler is kept and thrown by the caller, so that a call that returns has written everything, and a later one finds nothing left over.
/// </summary>
internal sealed class Round(int workers)
{
    private const int Closed = int.MinValue;

    private readonly int[] entered = new int[workers];

    // Workers inside, and whether more may come in.
    private int state = Closed;
    private int pass, allowed;
    private volatile bool failed;
    private ExceptionDispatchInfo? failure;
    private string? breach;
    private long items, done, sum, came;

    /// <summary>Whether a worker has failed, so that the others may stop.</summary>
    public bool HasFailed => failed;

    /// <summary>Lets the workers of a pass in.</summary>
    public void Open(int pass, int workers, long items)
    {
        this.pass = pass;
        this.items = items;
        allowed = workers;
        Array.Clear(entered);
        (failure, breach, failed) = (null, null, false);
        (done, sum, came) = (0, 0, 0);
        Volatile.Write(ref state, 0);
    }

    /// <summary>Lets a worker in, once each. One that was called too late, or for another pass, is turned away.</summary>
    public bool TryEnter(int pass, int worker)
    {
        for (int seen = Volatile.Read(ref state); ;)
        {
            if (seen < 0)
                return false;
            int found = Interlocked.CompareExchange(ref state, seen + 1, seen);
            if (found == seen)
                break;
            seen = found;
        }

        string? wrong = pass != this.pass ? $"called body({worker}) of an earlier call"
            : worker < 0 || worker >= allowed ? $"called body({worker}) where there are {allowed} workers"
            : Interlocked.Exchange(ref entered[worker], 1) != 0 ? $"called body({worker}) more than once"
            : null;
        if (wrong is null)
        {
            Interlocked.Increment(ref came);
            return true;
        }

        Interlocked.CompareExchange(ref breach, wrong, null);
        Interlocked.Decrement(ref state);
        return false;
    }

    /// <summary>A worker leaves: how many items it computed, and the sum of their numbers.</summary>
    public void Leave(long count, long numbers)
    {
        Interlocked.Add(ref done, count);
        Interlocked.Add(ref sum, numbers);
        Interlocked.Decrement(ref state);
    }

    /// <summary>Keeps the first failure.</summary>
    public void Fail(Exception exception)
    {
        Interlocked.CompareExchange(ref failure, ExceptionDispatchInfo.Capture(exception), null);
        failed = true;
    }

    /// <summary>Lets no one in any more, and waits for those inside, who write to the caller's memory.</summary>
    public void Close()
    {
        int inside = Interlocked.Or(ref state, Closed);
        if (inside > 0)
            Interlocked.CompareExchange(ref breach, $"returned while {inside} bodies were running", null);
        bool interrupted = false;
        while (Volatile.Read(ref state) != Closed)
            Steady.Sleep(ref interrupted);
        Steady.Restore(interrupted);
    }

    /// <summary>Throws what went wrong in a pass that is closed.</summary>
    /// <param name="scheduler">Who ran the workers.</param>
    /// <param name="cancellation">Says whether the pass was to end early.</param>
    /// <exception cref="InvalidOperationException">The scheduler broke its contract.</exception>
    /// <exception cref="OperationCanceledException">The call was cancelled.</exception>
    public void Check(IWorkScheduler scheduler, CancellationToken cancellation)
    {
        failure?.Throw();
        if (breach is not null)
            throw new InvalidOperationException($"The scheduler {scheduler.GetType()} {breach}. {Contract}");
        cancellation.ThrowIfCancellationRequested();

        // The sum of the numbers tells an item that ran twice from one that did not run.
        if (done != items || sum != Sum(items))
            throw new InvalidOperationException(
                $"{done} of {items} work items were computed: what the call writes is incomplete. The scheduler {scheduler.GetType()} ran {came} of {allowed} bodies. {Contract}");
    }

    /// <summary>0 + 1 + ... + (items - 1), in 64 bits that wrap as the sums of the workers do.</summary>
    private static long Sum(long items) => items % 2 == 0 ? unchecked(items / 2 * (items - 1)) : unchecked((items - 1) / 2 * items);

    private const string Contract = "IWorkScheduler.Run must call body(0), ..., body(workers - 1) once each, and return when all have returned.";
}
