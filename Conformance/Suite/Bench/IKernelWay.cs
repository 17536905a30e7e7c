// In which ways can the kernel be called, and how is each timed?
namespace S2Attn.Conformance.Bench;

/// <summary>One way into the kernel: it holds its tensors and is asked for the same call again and again.</summary>
internal interface IKernelWay : IDisposable
{
    /// <summary>Calls so many times, one after the other; the mean time of one call, in seconds.</summary>
    double Seconds(int calls);
}

/// <summary>A way that is called from this process.</summary>
internal sealed class CalledWay(Action call, params IDisposable[] owned) : IKernelWay
{
    /// <inheritdoc/>
    public double Seconds(int calls)
    {
        long start = System.Diagnostics.Stopwatch.GetTimestamp();
        for (int i = 0; i < calls; i++)
            call();
        return System.Diagnostics.Stopwatch.GetElapsedTime(start).TotalSeconds / calls;
    }

    /// <inheritdoc/>
    public void Dispose() => Array.ForEach(owned, item => item.Dispose());
}
