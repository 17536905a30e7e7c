// What memory does a thread need? One aligned block, independent of N.
namespace S2Attn.Optimized.Kernels;

/// <summary>The scratch memory of one thread, which <see cref="PlanResources"/> owns. Forward and backward carve their buffers from it in order.</summary>
internal sealed unsafe class Workspace(float* memory, nint floats)
{
    /// <summary>Bytes to whose multiples buffers are aligned.</summary>
    public const int Alignment = 64;

    private nint used;

    /// <summary>Starts carving anew.</summary>
    public void Reset() => used = 0;

    /// <summary>The next buffer of this many floats, aligned.</summary>
    /// <param name="size">Floats that the buffer's pointer may reach.</param>
    /// <param name="slack">Floats behind them, for <see cref="Pointer{T}.WithSlack"/> alone.</param>
    public Pointer<float> Take(nint size, nint slack = 0)
    {
        float* buffer = memory + used;
        used += RoundUp(size + slack);
        if (used > floats)
            throw new InvalidOperationException($"The workspace of {floats} floats is {used - floats} floats short.");
        return new(buffer, size);
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
}
