// Where do the tensors lie that a benchmark reads and writes?
using System.Runtime.InteropServices;
using S2Attn.Optimized.Kernels;

namespace S2Attn.Conformance.Bench;

/// <summary>
/// Memory as libraries of tensors have it: each tensor begins on a cache line, as PyTorch's, NumPy's and ONNX Runtime's do, and one of 4 MiB or more asks for pages of 2 MiB, as NumPy's do. An array of .NET begins where
/// it happens to, in small pages: then the rows of one tensor reach into a line more than those of another. Kernel and peers compute on the same memory.
/// </summary>
internal sealed unsafe class TensorMemory : IDisposable
{
    private readonly List<nint> owned = [];

    /// <summary>Room for elements, not touched yet.</summary>
    public T* Room<T>(long elements)
        where T : unmanaged
    {
        T* block = (T*)LargePages.Allocate(checked((nuint)elements * (nuint)sizeof(T)));
        owned.Add((nint)block);
        return block;
    }

    /// <summary>A copy of elements.</summary>
    public T* Copy<T>(ReadOnlySpan<T> elements)
        where T : unmanaged
    {
        T* block = Room<T>(elements.Length);
        elements.CopyTo(new Span<T>(block, elements.Length));
        return block;
    }

    /// <inheritdoc/>
    public void Dispose() => owned.ForEach(block => NativeMemory.AlignedFree((void*)block));
}
