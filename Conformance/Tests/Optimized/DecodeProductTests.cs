// Has the score of a key the same bits whether the key comes alone or with others, and is the memory of a cache had in large pages?
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using S2Attn.Optimized;
using S2Attn.Optimized.Kernels;

namespace S2Attn.Tests.Optimized;

public sealed unsafe class DecodeProductTests
{
    private const int Keys = 11, Depth = 96;

    /// <summary>Sums over the lanes are taken for one key, for four of one row, or for four of each of four rows at once: the order of the additions is the same. What they are is held by KeyValueCacheTests.</summary>
    [Fact]
    public void A_score_has_the_same_bits_alone_and_in_a_block()
    {
        AllWidths<float, SingleStorage>(x => x);
        AllWidths<Half, HalfStorage>(x => (Half)x);
        AllWidths<BFloat16, BFloat16Storage>(x => (BFloat16)x);

        static void AllWidths<T, TStorage>(Func<float, T> store)
            where T : unmanaged
            where TStorage : struct, IStorage<T>
        {
            Both<T, TStorage, Vector128<float>, Lanes128>(store);
            if (Vector256.IsHardwareAccelerated)
                Both<T, TStorage, Vector256<float>, Lanes256>(store);
            if (Vector512.IsHardwareAccelerated)
                Both<T, TStorage, Vector512<float>, Lanes512>(store);
        }

        static void Both<T, TStorage, V, TLanes>(Func<float, T> store)
            where T : unmanaged
            where TStorage : struct, IStorage<T>
            where V : struct
            where TLanes : struct, ILanes<V>
        {
            Rows<T, TStorage, V, TLanes, FourRows>(store);
            Rows<T, TStorage, V, TLanes, TwoRows>(store);
        }

        static void Rows<T, TStorage, V, TLanes, TRows>(Func<float, T> store)
            where T : unmanaged
            where TStorage : struct, IStorage<T>
            where V : struct
            where TLanes : struct, ILanes<V>
            where TRows : struct, IRowsAtOnce
        {
            Random random = new(5);
            T[] keys = [.. Enumerable.Range(0, Keys * Depth).Select(_ => store(Next()))];
            float[] queries = [.. Enumerable.Range(0, 4 * Depth).Select(_ => Next())], block = new float[4 * Keys], alone = new float[4 * Keys];
            fixed (T* k = keys)
            fixed (float* q = queries, together = block, pinned = alone)
            {
                float* apart = pinned;
                RowPlaces rows = Places(q, Depth);
                DecodeProducts<T, TStorage, V, TLanes>.Scores<TRows>(Keys, Depth, new(k, keys.Length), rows, Places(together, Keys), 0);
                for (int j = 0; j < Keys; j++)
                    DecodeProducts<T, TStorage, V, TLanes>.Scores<TRows>(1, Depth, new(k + j * Depth, Depth), rows, new(At(j, 0), At(j, 1), At(j, 2), At(j, 3)), 0);
                Assert.True(MemoryMarshal.AsBytes<float>(block).SequenceEqual(MemoryMarshal.AsBytes<float>(alone)), $"{typeof(T).Name}, {typeof(V)}, {TRows.Count} rows");

                Pointer<float> At(int key, int row) => new(apart + row * Keys + key, 1);
            }

            float Next() => 2 * random.NextSingle() - 1;

            static RowPlaces Places(float* first, int stride) => new(new(first, stride), new(first + stride, stride), new(first + 2 * stride, stride), new(first + 3 * stride, stride));
        }
    }

    /// <summary>What the system makes of it depends on its memory; that it is asked does not. A small block may lie where a large one was.</summary>
    [Fact]
    public void A_large_block_asks_for_large_pages()
    {
        if (!OperatingSystem.IsLinux())
            return;
        foreach ((nuint bytes, bool large) in new[] { (LargePages.LeastBytes + 1, true), (LargePages.LeastBytes - 1, false) })
        {
            byte* memory = (byte*)LargePages.Allocate(bytes);
            memory[bytes - 1] = memory[0] = 1;
            Assert.Equal(0u, (nuint)memory % (large ? 2u << 20 : 64));
            Assert.True(!large || FlagsAt((nuint)memory + bytes / 2).Contains("hg"));
            NativeMemory.AlignedFree(memory);
        }

        // The flags of the mapping that an address lies in: a line "from-to ..." and, some lines on, "VmFlags: ...".
        static string[] FlagsAt(nuint address)
        {
            bool isInside = false;
            foreach (string line in File.ReadLines("/proc/self/smaps"))
            {
                string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
                string[] range = words[0].Split('-');
                if (range.Length == 2)
                    isInside = Convert.ToUInt64(range[0], 16) <= address && address < Convert.ToUInt64(range[1], 16);
                else if (isInside && words[0] == "VmFlags:")
                    return words[1..];
            }

            return [];
        }
    }
}
