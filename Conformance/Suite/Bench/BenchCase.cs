// What is measured, and what comes out?
using System.Collections.Immutable;
using System.Text.Json.Serialization;
using S2Attn.Conformance.Ports;
using S2Attn.Spec;

namespace S2Attn.Conformance.Bench;

/// <summary>One row of the benchmark: LocalCausal, batch 1, heads of which the second half shifts; or the shifted windows of an image.</summary>
public sealed record BenchCase(ElementType ElementType, int Heads, int Tokens, int GroupSize, int HeadDim, int Threads, bool WithBackward, bool WithPeers)
{
    /// <summary>K where it is not H.</summary>
    public int? KvHeads { get; init; }

    /// <summary>B.</summary>
    public int Batch { get; init; } = 1;

    /// <summary>Places of the sides of a square image, and of its windows, which shift by half of theirs in all heads; 0 where the tokens are a text.</summary>
    public (int Image, int Window) Sides { get; init; }

    /// <summary>The windows of an image; null where the tokens are a text.</summary>
    public S2Grid? Grid => Sides.Window == 0 ? null : S2Grid.Create(Config, Enumerable.Repeat(new GridAxis<int>(Sides.Image, Sides.Window, Sides.Window / 2), 2));

    /// <summary>Whether the plan may take fewer threads than there are, as it does where it is not told how many.</summary>
    public bool PlanDecides => Threads > 1 && Threads == Environment.ProcessorCount && Tokens < 4096;

    /// <summary>The configuration.</summary>
    public S2Config Config => S2Config.Create(new S2Request
    {
        Batch = Batch,
        Tokens = Tokens,
        Heads = Heads,
        KvHeads = KvHeads ?? Heads,
        HeadDim = HeadDim,
        GroupSize = GroupSizeRule.Of(GroupSize),
        Mask = Sides.Window == 0 ? MaskPolicy.LocalCausal : MaskPolicy.BidirectionalSplit,
        ShiftedHeads = Sides.Window == 0 ? HeadShift.SecondHalf : HeadShift.All,
    });

    /// <summary>Useful floating-point operations of a run: masked pairs count as no work.</summary>
    public double Flops => Grid is { } grid
        ? (WithBackward ? 14.0 : 4.0) * HeadDim * Batch * Heads * grid.VisiblePairs(0)
        : Costs.ForwardFlops(Config) + (WithBackward ? Costs.BackwardFlops(Config) : 0);

    /// <inheritdoc/>
    public override string ToString() => $"{ProtocolNames.Of(ElementType)} N={Tokens} G={GroupSize} D={HeadDim} threads={Threads}{(Sides.Window == 0 ? "" : $" windows={Sides.Window}x{Sides.Window}")}";

    /// <summary>The rows of docs/performance.md: the targets, each on one thread and on all.</summary>
    public static ImmutableArray<BenchCase> Targets(int threads, bool withBackward) =>
    [
        .. new[] { 1, threads }.Distinct().SelectMany(count => new[]
        {
            new BenchCase(ElementType.F32, 8, 8192, 2048, 128, count, withBackward, WithPeers: true),
            new BenchCase(ElementType.F32, 8, 8192, 2048, 64, count, withBackward, WithPeers: true),
            new BenchCase(ElementType.F32, 8, 8192, 512, 128, count, withBackward, WithPeers: true),
        }),
        new(ElementType.BF16, 8, 8192, 2048, 128, 1, withBackward, WithPeers: false),
        new(ElementType.F16, 8, 8192, 2048, 128, 1, withBackward, WithPeers: false),
    ];

    /// <summary>Small problems, in which planning, waking threads and half-empty panels weigh: on one thread, and on as many as the plan takes.</summary>
    public static ImmutableArray<BenchCase> Small(int threads) =>
    [
        .. new[] { 1, threads }.Distinct().SelectMany(count => new[]
        {
            new BenchCase(ElementType.F32, 8, 64, 16, 64, count, WithBackward: false, WithPeers: true),
            new BenchCase(ElementType.F32, 8, 256, 64, 64, count, WithBackward: false, WithPeers: true),
            new BenchCase(ElementType.F32, 8, 1024, 256, 64, count, WithBackward: false, WithPeers: true),
            new BenchCase(ElementType.F32, 4, 2009, 49, 32, count, WithBackward: false, WithPeers: true),
            Windows(7, count),
            Windows(8, count),
        }),
    ];

    /// <summary>The first layers of Swin on an image of 224 x 224 pixels, 8 of them: 56 x 56 tokens in shifted windows, 4 heads of D = 32.</summary>
    private static BenchCase Windows(int side, int threads) =>
        new(ElementType.F32, 4, 56 * 56, side * side, 32, threads, WithBackward: false, WithPeers: true) { Batch = 8, Sides = (56, side) };

    /// <summary>A long sequence whose query heads share kv heads. The peers repeat keys and values in memory, and are not run.</summary>
    public static ImmutableArray<BenchCase> Long(int threads) =>
        [new(ElementType.F32, 32, 32768, 2048, 128, threads, WithBackward: false, WithPeers: false) { KvHeads = 8 }];

    /// <summary>Cost against N at fixed G, and against G at fixed N.</summary>
    public static ImmutableArray<BenchCase> Curves(bool withBackward) =>
    [
        .. Enumerable.Range(0, 4).Select(power => 8192 << power).Select(tokens => new BenchCase(ElementType.F32, 2, tokens, 2048, 128, 1, withBackward, WithPeers: false)),
        .. Enumerable.Range(0, 6).Select(power => 256 << power).Where(size => size != 2048).Select(size => new BenchCase(ElementType.F32, 2, 8192, size, 128, 1, withBackward, WithPeers: false)),
    ];
}

/// <summary>
/// One measured row. Rates come from the best of the rounds, ratios from bests of the same rounds; a ratio to a peer is the peer's time over the kernel's.
/// </summary>
public sealed record BenchResult
{
    /// <summary>forward, or forward+backward.</summary>
    public required string Pass { get; init; }

    /// <summary>Storage format, as in the port protocol.</summary>
    public required string Dtype { get; init; }

    /// <summary>B.</summary>
    public required int Batch { get; init; }

    /// <summary>H.</summary>
    public required int Heads { get; init; }

    /// <summary>K.</summary>
    public int KvHeads { get; init; }

    /// <summary>Bits of the registers that the kernel ran on.</summary>
    public int Bits { get; init; }

    /// <summary>N.</summary>
    public required int Tokens { get; init; }

    /// <summary>G.</summary>
    public required int GroupSize { get; init; }

    /// <summary>D.</summary>
    public required int HeadDim { get; init; }

    /// <summary>Threads of the kernel and of the peers.</summary>
    public required int Threads { get; init; }

    /// <summary>Useful operations of the best round, in 1e9 per second.</summary>
    public required double Gflops { get; init; }

    /// <summary>The same over threads times the FMA peak of one core, measured in the same rounds.</summary>
    public required double OfPeak { get; init; }

    /// <summary>The time of one thread over the time of all, in the same rounds; absent for one thread.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public double? VsOneThread { get; init; }

    /// <summary>The FMA peak of that many cores at once over that of one: what the machine leaves to be gained; absent for one thread.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public double? PeakVsOneCore { get; init; }

    /// <summary>The time of f32 over that of a half format, in the same rounds; absent for f32, and in measurements from before it was kept.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public double? VsSingle { get; init; }

    /// <summary>How many times the kernel is faster than LongLoRA's eager composition; absent where it was not run.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public double? VsEager { get; init; }

    /// <summary>How many times the kernel is faster than fused attention between rolls; absent where it was not run.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public double? VsFused { get; init; }

    /// <summary>How many times the kernel is faster than PyTorch's fused attention between rolls; absent where it was not run.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public double? VsTorch { get; init; }

    /// <summary>Managed bytes that a call allocates after the first.</summary>
    public required long AllocatedBytes { get; init; }

    /// <summary>Scratch memory of each thread; absent in measurements that were carried over from before they were kept.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public long? WorkspaceBytesPerThread { get; init; }

    /// <summary>The best round, in seconds.</summary>
    public required double BestSeconds { get; init; }

    /// <summary>The best of the calls that follow a sweep of the caches, one a round, in seconds: warm calls follow each other. Absent as above.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public double? ColdSeconds { get; init; }

    /// <summary>The median round, in seconds; absent as above.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public double? MedianSeconds { get; init; }

    /// <summary>Slowest round less fastest, over the median.</summary>
    public required double Spread { get; init; }
}
