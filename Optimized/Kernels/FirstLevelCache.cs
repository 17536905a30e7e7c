// Has the first-level cache room for rows that are asked for ahead?
using System.Runtime.Intrinsics.X86;

namespace S2Attn.Optimized.Kernels;

/// <summary>The first-level data cache of an x86 processor, as cpuid describes it.</summary>
internal static class FirstLevelCache
{
    // Rows of a few heads are a small power of two of lines apart, so that a part of the sets has to take all of them: 8 ways, 32 KiB, hold less than a tile and the next one, 12 ways, 48 KiB, hold both.
    private const int EnoughBytes = 48 << 10;

    /// <summary>Its size; 0 where nothing is known of it.</summary>
    public static readonly int Bytes = X86Base.IsSupported ? Asked() : 0;

    /// <summary>Whether it holds a tile of short rows beside what is computed with.</summary>
    public static readonly bool HasRoom = Bytes >= EnoughBytes;

    private static int Asked()
    {
        // Leaf 4 is Intel's; AMD's has the same fields.
        const int DataCache = 1, FirstLevel = 1, Intel = 4, Amd = unchecked((int)0x8000001D);
        foreach (int leaf in new[] { Intel, Amd })
        {
            if ((uint)X86Base.CpuId(leaf & unchecked((int)0x80000000), 0).Eax < (uint)leaf)
                continue;
            for (int cache = 0; cache < 4; cache++)
            {
                (int eax, int ebx, int ecx, _) = X86Base.CpuId(leaf, cache);
                if ((eax & 31) == DataCache && ((eax >> 5) & 7) == FirstLevel)
                    return (((ebx >> 22) & 0x3FF) + 1) * (((ebx >> 12) & 0x3FF) + 1) * ((ebx & 0xFFF) + 1) * (ecx + 1);
            }
        }

        return 0;
    }
}
