// Does a kernel touch memory outside its tensors? Memory whose neighbours on both sides fault.
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace S2Attn.Tests.Optimized;

/// <summary>Which end of the memory touches a page that faults.</summary>
public enum GuardSide
{
    /// <summary>One element before the first faults.</summary>
    Before,

    /// <summary>One element after the last faults; the first is as unaligned as the length makes it.</summary>
    After,
}

/// <summary>Unmanaged memory for some elements between two inaccessible pages (mmap and mprotect).</summary>
internal sealed unsafe partial class GuardedMemory<T> : IDisposable
    where T : unmanaged
{
    private readonly byte* mapping;
    private readonly nuint mapped;
    private readonly T* first;

    public GuardedMemory(int length, GuardSide side)
    {
        nuint page = (nuint)Environment.SystemPageSize;
        nuint bytes = (nuint)length * (nuint)Unsafe.SizeOf<T>();
        nuint inner = Math.Max((bytes + page - 1) / page * page, page);
        mapped = inner + 2 * page;
        const int None = 0, ReadWrite = 3, PrivateAnonymous = 0x22;
        mapping = Libc.Map(0, mapped, None, PrivateAnonymous, -1, 0);
        if (mapping == (byte*)-1 || Libc.Protect(mapping + page, inner, ReadWrite) != 0)
            throw new InvalidOperationException($"mmap of {mapped} bytes failed with error {Marshal.GetLastPInvokeError()}.");
        Length = length;
        first = (T*)(side is GuardSide.Before ? mapping + page : mapping + page + inner - bytes);
    }

    public int Length { get; }

    public Span<T> Span => new(first, Length);

    /// <summary>The address of the first byte past that side.</summary>
    public nuint Neighbour(GuardSide side) => (nuint)(side is GuardSide.Before ? (byte*)first - 1 : (byte*)(first + Length));

    public void Dispose() => _ = Libc.Unmap(mapping, mapped);
}

internal static unsafe partial class Libc
{
    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    internal static partial byte* Map(nint address, nuint length, int protection, int flags, int file, nint offset);

    [LibraryImport("libc", EntryPoint = "mprotect", SetLastError = true)]
    internal static partial int Protect(byte* address, nuint length, int protection);

    [LibraryImport("libc", EntryPoint = "munmap", SetLastError = true)]
    internal static partial int Unmap(byte* address, nuint length);
}
