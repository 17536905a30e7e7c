// What does the loader, libs2attn.c, do for the kernels? It keeps threads that a fork can end.
using System.Runtime.InteropServices;
using S2Attn.Optimized;

namespace S2Attn.Native;

/// <summary>The loader's functions: host_pool of host.h.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct HostFunctions
{
    public delegate* unmanaged<int, nint> PoolCreate;
    public delegate* unmanaged<nint, int, delegate* unmanaged<nint, int, void>, nint, void> PoolRun;
    public delegate* unmanaged<nint, void> PoolDestroy;
}

internal static class Host
{
    public static HostFunctions Functions { get; set; }
}

/// <summary>Threads of the loader. One call at a time.</summary>
internal sealed unsafe class HostPool : IWorkScheduler, IDisposable
{
    private readonly nint pool;
    private readonly GCHandle self;
    private Action<int> body = _ => { };

    /// <summary>Threads for this many workers; they are started at the first call.</summary>
    /// <exception cref="OutOfMemoryException">There is no room.</exception>
    public HostPool(int workers)
    {
        pool = Host.Functions.PoolCreate(workers);
        if (pool == 0)
            throw new InsufficientMemoryException();
        self = GCHandle.Alloc(this);
    }

    public void Run(int workers, Action<int> body)
    {
        this.body = body;
        Host.Functions.PoolRun(pool, workers, &Work, GCHandle.ToIntPtr(self));
    }

    public void Dispose()
    {
        Host.Functions.PoolDestroy(pool);
        self.Free();
    }

    [UnmanagedCallersOnly]
    private static void Work(nint state, int worker) => ((HostPool)GCHandle.FromIntPtr(state).Target!).body(worker);
}

/// <summary>A plan and the threads that it runs on.</summary>
internal sealed class HostedPlan : IDisposable
{
    private readonly HostPool pool;

    /// <summary>Plans what a recipe asks for.</summary>
    public HostedPlan(Recipe recipe)
    {
        Recipe = recipe;
        int threads = recipe.Options.Threads ?? Environment.ProcessorCount;
        pool = new(threads);
        try
        {
            Plan = recipe.Plan(recipe.Options with { Threads = threads, Scheduler = pool });
        }
        catch
        {
            pool.Dispose();
            throw;
        }
    }

    public Recipe Recipe { get; }

    public S2AttentionPlan Plan { get; }

    public void Dispose()
    {
        Plan.Dispose();
        pool.Dispose();
    }
}
