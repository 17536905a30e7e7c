// How is a tensor tested that is larger than memory? Addresses that are reserved, and backed only where they are touched.
namespace S2Attn.Tests.Optimized;

/// <summary>A range of addresses without memory behind it until it is written (mmap with MAP_NORESERVE).</summary>
internal sealed unsafe class ReservedMemory : IDisposable
{
    private readonly nuint length;

    public ReservedMemory(long bytes)
    {
        const int ReadWrite = 3, PrivateAnonymousWithoutReserve = 0x4022;
        length = checked((nuint)bytes);
        Start = Libc.Map(0, length, ReadWrite, PrivateAnonymousWithoutReserve, -1, 0);
        if (Start == (byte*)-1)
            throw new InvalidOperationException($"mmap of {length} bytes failed.");
    }

    public byte* Start { get; }

    public void Dispose() => _ = Libc.Unmap(Start, length);
}
