// Who owns the native memory and the threads of a plan? One object, which releases both: when disposed of, or when it is collected.
using System.Runtime.InteropServices;

namespace S2Attn.Optimized.Kernels;

/// <summary>The scratch memory of all workers, in one block, and the threads of a plan that was given no scheduler.</summary>
internal sealed unsafe class PlanResources : IDisposable
{
    private readonly WorkerPool? pool;
    private static long liveBytes;

    private readonly Workspace[] workspaces;
    private readonly nuint bytes;
    private void* memory;

    /// <exception cref="OutOfMemoryException">There is no room for the scratch memory.</exception>
    public PlanResources(int workers, nint floatsOfWorker, WorkerPool? pool)
    {
        this.pool = pool;
        FloatsOfWorker = floatsOfWorker;
        nint floats = Workspace.Sum(floatsOfWorker);
        bytes = checked((nuint)workers * (nuint)floats * sizeof(float));
        memory = NativeMemory.AlignedAlloc(bytes, Workspace.Alignment);
        Interlocked.Add(ref liveBytes, (long)bytes);
        workspaces = new Workspace[workers];
        for (int worker = 0; worker < workers; worker++)
            workspaces[worker] = new((float*)memory + worker * floats, floatsOfWorker);
    }

    // Nothing leads here from a call or from a waiting thread, so no worker uses the memory.
    ~PlanResources()
    {
        pool?.Abandon();
        Free();
    }

    /// <summary>Native memory of all plans of the process.</summary>
    public static long LiveBytes => Interlocked.Read(ref liveBytes);

    public int Workers => workspaces.Length;

    public nint FloatsOfWorker { get; }

    public Workspace WorkspaceOf(int worker) => workspaces[worker];

    /// <summary>Ends the threads of the plan, and waits for them, until a call needs them. No call may be under way.</summary>
    public void StopThreads() => pool?.Stop();

    /// <summary>Frees the memory and ends the threads. No call may be under way, and none may follow.</summary>
    public void Dispose()
    {
        StopThreads();
        Free();
        GC.SuppressFinalize(this);
    }

    private void Free()
    {
        if (memory != null)
            Interlocked.Add(ref liveBytes, -(long)bytes);
        NativeMemory.AlignedFree(memory);
        memory = null;
    }
}
