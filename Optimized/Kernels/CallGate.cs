// Who may use a plan now? One call at a time, and none after Dispose.
namespace S2Attn.Optimized.Kernels;

/// <summary>Lets one call in at a time; closing waits for the call under way.</summary>
internal sealed class CallGate
{
    private const int Free = 0, Closed = -1;

    // The managed id of the thread whose call is under way.
    private int caller;
    private volatile bool closes;

    /// <summary>Whether the gate is closed, or about to be.</summary>
    public bool IsClosed => closes;

    /// <exception cref="ObjectDisposedException">The gate is closed, or about to be.</exception>
    public void ThrowIfClosed(object plan) => ObjectDisposedException.ThrowIf(closes, plan);

    /// <exception cref="ObjectDisposedException">The gate is closed, or about to be.</exception>
    /// <exception cref="InvalidOperationException">Another call is under way.</exception>
    public void Enter(object plan)
    {
        int found = Interlocked.CompareExchange(ref caller, Environment.CurrentManagedThreadId, Free);
        if (found == Free && closes)
            Leave();
        ThrowIfClosed(plan);
        if (found != Free)
            throw new InvalidOperationException("Another call is under way: a plan serves one call at a time.");
    }

    public void Leave() => Volatile.Write(ref caller, Free);

    /// <summary>The first step of <see cref="Close"/>: what comes from now on is refused.</summary>
    internal void Shut() => closes = true;

    /// <summary>Lets no further call in, and waits for the one under way. True for the one caller who is to release what the calls used.</summary>
    /// <exception cref="InvalidOperationException">The caller is inside a call: it would wait for itself.</exception>
    public bool Close()
    {
        if (Volatile.Read(ref caller) == Environment.CurrentManagedThreadId)
            throw new InvalidOperationException("Dispose was called from inside a call of the plan, by its scheduler: dispose of it when the call has returned.");
        Shut();
        bool interrupted = false;
        int found;
        while ((found = Interlocked.CompareExchange(ref caller, Closed, Free)) is not (Free or Closed))
            Steady.Sleep(ref interrupted);
        Steady.Restore(interrupted);
        return found == Free;
    }
}
