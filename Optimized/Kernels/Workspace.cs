// What memory does a thread need? One aligned block, independent of N.
using System.Runtime.InteropServices;

namespace S2Attn.Optimized.Kernels;

/// <summary>The scratch memory of one thread. Forward and backward carve their buffers from it in order.</summary>
internal sealed unsafe class Workspace : IDisposable
{
    private const int Alignment = 64;

    private float* memory;
    private nint used;

    public Workspace(nint floats)
    {
        Floats = floats;
        memory = (float*)NativeMemory.AlignedAlloc((nuint)(floats * sizeof(float)), Alignment);
    }

    ~Workspace() => Free();

    public nint Floats { get; }

    /// <summary>Starts carving anew.</summary>
    public void Reset() => used = 0;

    /// <summary>The next buffer of this many floats, aligned.</summary>
    public Pointer<float> Take(nint floats)
    {
        float* buffer = memory + used;
        used += RoundUp(floats);
        if (used > Floats)
            throw new InvalidOperationException($"The workspace of {Floats} floats is {used - Floats} floats short.");
        return new(buffer, floats);
    }

    /// <summary>Floats that buffers of these sizes take up together.</summary>
    public static nint Sum(params ReadOnlySpan<nint> buffers)
    {
        nint sum = 0;
        foreach (nint floats in buffers)
            sum += RoundUp(floats);
        return sum;
    }

    private static nint RoundUp(nint floats) => (floats + Alignment / sizeof(float) - 1) / (Alignment / sizeof(float)) * (Alignment / sizeof(float));

    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    private void Free()
    {
        NativeMemory.AlignedFree(memory);
        memory = null;
    }
}
