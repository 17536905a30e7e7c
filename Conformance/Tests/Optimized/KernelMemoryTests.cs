// Do the kernels touch only what they are given, wherever it lies? Guard pages, strides, gaps and alignment.
using System.Globalization;
using FsCheck;
using FsCheck.Fluent;
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Optimized;
using S2Attn.Spec;

namespace S2Attn.Tests.Optimized;

public sealed class KernelMemoryTests
{
    private static readonly ElementType[] Types = [ElementType.F32, ElementType.F16, ElementType.BF16];

    [Theory]
    [MemberData(nameof(ExponentialTests.Widths), MemberType = typeof(ExponentialTests))]
    public void Strides_layouts_and_guard_pages_change_no_bit(VectorWidth width)
    {
        Prop.ForAll(
            Arb.From(CaseGenerator.Kernels(120, 130, Types), CaseShrinker.Simpler),
            item =>
            {
                S2AttentionOptions options = new() { VectorWidth = width, Threads = 2 };
                KernelBits dense = KernelRun.Run(item, options, GuardSide.After);
                dense.AssertSame(KernelRun.Run(item, options, GuardSide.Before), "guard page before");
                dense.AssertSame(KernelRun.Run(item, options with { Layout = TensorLayout.HeadMajor }, GuardSide.After), "[B,H,N,D]");
                Random random = new(item.Seed);
                S2Config config = item.Config;
                S2AttentionOptions strided = options with
                {
                    Query = KernelRun.RandomStrides(random, config, config.Heads),
                    Key = KernelRun.RandomStrides(random, config, config.KvHeads),
                    Value = KernelRun.RandomStrides(random, config, config.KvHeads),
                    Output = KernelRun.RandomStrides(random, config, config.Heads),
                };
                dense.AssertSame(KernelRun.Run(item, strided, GuardSide.Before), "strides, guard page before");
                dense.AssertSame(KernelRun.Run(item, strided, GuardSide.After), "strides, guard page after");
            }).Check(Config.QuickThrowOnFailure.WithMaxTest(50));
    }

    /// <summary>The guard itself: the byte before the first element, or behind the last, lies in a page without permissions.</summary>
    [Theory]
    [InlineData(GuardSide.Before)]
    [InlineData(GuardSide.After)]
    public void The_neighbour_of_guarded_memory_is_inaccessible(GuardSide side)
    {
        foreach (int length in new[] { 1, 7, 1024, 5000 })
        {
            using GuardedMemory<float> memory = new(length, side);
            memory.Span.Fill(1);
            Assert.Equal("---p", PermissionsOf(memory.Neighbour(side)));
        }
    }

    private static string PermissionsOf(nuint address)
    {
        foreach (string line in File.ReadLines("/proc/self/maps"))
        {
            string[] fields = line.Split(' ');
            nuint[] range = [.. fields[0].Split('-').Select(end => nuint.Parse(end, NumberStyles.HexNumber, CultureInfo.InvariantCulture))];
            if (range[0] <= address && address < range[1])
                return fields[1];
        }

        return "unmapped";
    }
}
