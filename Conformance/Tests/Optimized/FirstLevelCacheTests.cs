// Is the first-level cache as large as the system says?
using System.Globalization;
using System.Runtime.Intrinsics.X86;
using S2Attn.Optimized.Kernels;

namespace S2Attn.Tests.Optimized;

public sealed class FirstLevelCacheTests
{
    private const string Caches = "/sys/devices/system/cpu/cpu0/cache";

    /// <summary>Linux may have its table from firmware; where it has none, as on some virtual machines, only that the size is one that a cache can have is seen.</summary>
    [Fact]
    public void Its_size_is_what_the_system_says()
    {
        if (!X86Base.IsSupported)
        {
            Assert.Equal(0, FirstLevelCache.Bytes);
            return;
        }

        Assert.True(FirstLevelCache.Bytes is 0 or (>= 8 << 10 and <= 256 << 10), $"a first-level cache of {FirstLevelCache.Bytes} bytes");
        string[] said = Directory.Exists(Caches)
            ? [.. Directory.GetDirectories(Caches, "index*").Where(index => Read(index, "level") == "1" && Read(index, "type") == "Data").Select(index => Read(index, "size"))]
            : [];
        Assert.All(said, size => Assert.Equal(size, string.Create(CultureInfo.InvariantCulture, $"{FirstLevelCache.Bytes >> 10}K")));

        static string Read(string index, string name) => File.ReadAllText(Path.Combine(index, name)).Trim();
    }
}
