// How is much memory had in few pages?
using System.Runtime.InteropServices;

namespace S2Attn.Optimized.Kernels;

/// <summary>
/// Native memory that is read from end to end. On Linux a large block asks for pages of 2 MiB: a processor that fetches 16 lines from each page of 4 KiB and translates its address first, twice on a virtual machine, reads
/// slower than its memory could send.
/// </summary>
internal static unsafe class LargePages
{
    private const nuint PageBytes = 2 << 20;
    private const int HugePage = 14;

    /// <summary>Bytes from which large pages are asked for.</summary>
    public const nuint LeastBytes = 2 * PageBytes;

    // madvise(address, length, advice); null where there is none.
    private static readonly delegate* unmanaged<void*, nuint, int, int> Advise = (delegate* unmanaged<void*, nuint, int, int>)CLibrary.AddressOf("madvise");

    /// <summary>Memory for <see cref="NativeMemory.AlignedFree"/>, on a cache line at least.</summary>
    /// <exception cref="OutOfMemoryException">There is no room.</exception>
    public static void* Allocate(nuint bytes)
    {
        if (Advise == null || bytes < LeastBytes)
            return NativeMemory.AlignedAlloc(bytes, Workspace.Alignment);
        void* memory = NativeMemory.AlignedAlloc(bytes, PageBytes);

        // What does not fill the last of them stays in small ones. A system that has none, or was told to give none, gives the pages that it has.
        _ = Advise(memory, bytes / PageBytes * PageBytes, HugePage);
        return memory;
    }
}
