// Who computes which item? Each worker claims one item ahead, so that its tensors can be asked for, and an idle one takes what another has claimed.
namespace S2Attn.Optimized.Kernels;

/// <summary>What the workers of a pass share: the next item and the item that each has claimed ahead. Every access is one atomic step.</summary>
internal sealed class Handover(int workers)
{
    /// <summary>No item.</summary>
    public const long None = -1;

    private readonly long[] claims = new long[workers];
    private long next, items;

    public int Workers => claims.Length;

    /// <summary>Starts a pass over items 0 to <paramref name="items"/> - 1. No worker may be at work.</summary>
    public void Begin(long items)
    {
        this.items = items;
        next = 0;
        Array.Fill(claims, None);
    }

    /// <summary>The next item that nobody has taken; none where all are taken or the pass is to stop.</summary>
    public long Take(bool stops)
    {
        if (stops)
            return None;
        long item = Interlocked.Increment(ref next) - 1;
        return item < items ? item : None;
    }

    /// <summary>Shows what a worker has taken ahead, for others to take from it.</summary>
    public void Publish(int worker, long item) => Volatile.Write(ref claims[worker], item);

    /// <summary>Takes what a worker has published, be it one's own; none where it was taken.</summary>
    public long Withdraw(int worker) => Interlocked.Exchange(ref claims[worker], None);

    /// <summary>The whole state, for a test that visits every order of steps.</summary>
    internal (long Next, long[] Claims) State
    {
        get => (next, [.. claims]);
        set
        {
            next = value.Next;
            value.Claims.CopyTo(claims, 0);
        }
    }
}

/// <summary>
/// One worker of a pass: a machine whose every step is one access to what is shared, so that all orders of steps of several workers can be tried.
/// Two items are in its hands at most: the one it computes and the one it has published.
/// </summary>
internal struct Claimant(int Worker)
{
    private enum Step
    {
        TakeItem,
        TakeAhead,
        Publish,
        Withdraw,
        Steal,
        Finished,
    }

    private Step step;
    private int victim;
    private long loaded = Handover.None;

    /// <summary>The item to compute.</summary>
    public long Item { get; private set; } = Handover.None;

    /// <summary>The item that is likely to be next, whose first tile is to be loaded; none where all are taken.</summary>
    public long Ahead { get; private set; } = Handover.None;

    /// <summary>Whether the tile that was loaded ahead is the first of <see cref="Item"/>. It is not where another worker took what was claimed.</summary>
    public readonly bool HasTile => loaded == Item;

    public readonly bool IsFinished => step is Step.Finished;

    /// <summary>The rest of the state, for a test that visits every order of steps.</summary>
    internal readonly (int Step, int Victim, long Loaded) Hidden => ((int)step, victim, loaded);

    /// <summary>Takes one step. True where <see cref="Item"/> is to be computed before the next one.</summary>
    public bool Advance(Handover handover, bool stops)
    {
        switch (step)
        {
            case Step.TakeItem:
                Item = handover.Take(stops);
                step = Item >= 0 ? Step.TakeAhead : Step.Steal;
                return false;
            case Step.TakeAhead:
                loaded = Ahead;
                Ahead = handover.Take(stops);
                step = Step.Publish;
                return false;
            case Step.Publish:
                handover.Publish(Worker, Ahead);
                step = Step.Withdraw;
                return true;
            case Step.Withdraw:
                Item = handover.Withdraw(Worker);
                step = Item >= 0 ? Step.TakeAhead : Step.Steal;
                return false;
            case Step.Steal:
                Item = victim < handover.Workers ? handover.Withdraw(victim++) : Handover.None;
                if (Item >= 0)
                    (step, victim) = (Step.TakeAhead, 0);
                else if (victim == handover.Workers)
                    step = Step.Finished;
                return false;
            default:
                throw new InvalidOperationException("A worker that has finished takes no step.");
        }
    }
}
