// Did a change make the kernel slower? Sizes small enough to be run before and after each commit.
using BenchmarkDotNet.Attributes;
using S2Attn.Optimized;
using S2Attn.Spec;

namespace S2Attn.Benchmarks;

/// <summary>Forward and backward of one call; compare with `s2attn bench` for ratios to the peak and to peers.</summary>
[MemoryDiagnoser]
public class KernelBenchmarks : IDisposable
{
    private const int Heads = 4, Tokens = 2048;

    private S2AttentionPlan plan = null!;
    private float[] q = [], k = [], v = [], o = [], lse = [], dq = [], dk = [], dv = [];

    /// <summary>Group size.</summary>
    [Params(256, 1024)]
    public int GroupSize { get; set; }

    /// <summary>Head dimension.</summary>
    [Params(64, 128)]
    public int HeadDim { get; set; }

    /// <summary>Mask policy.</summary>
    [Params(MaskPolicy.LocalCausal, MaskPolicy.Split)]
    public MaskPolicy Mask { get; set; }

    /// <summary>Makes a plan and tensors.</summary>
    [GlobalSetup]
    public void Setup()
    {
        plan = new(
            S2Config.Create(new S2Request { Tokens = Tokens, Heads = Heads, HeadDim = HeadDim, GroupSize = GroupSizeRule.Of(GroupSize), Mask = Mask }),
            new S2AttentionOptions { Threads = 1 });
        Random random = new(1);
        (q, k, v) = (Noise(), Noise(), Noise());
        (o, dq, dk, dv) = (new float[q.Length], new float[q.Length], new float[q.Length], new float[q.Length]);
        lse = new float[Tokens * Heads];
        plan.Forward<float>(q, k, v, o, lse);

        float[] Noise() => [.. Enumerable.Range(0, Tokens * Heads * HeadDim).Select(_ => random.NextSingle() - 0.5f)];
    }

    /// <summary>Frees the plan.</summary>
    [GlobalCleanup]
    public void Dispose()
    {
        plan.Dispose();
        GC.SuppressFinalize(this);
    }

    /// <summary>o and logsumexp.</summary>
    [Benchmark]
    public void Forward() => plan.Forward<float>(q, k, v, o, lse);

    /// <summary>dq, dk and dv.</summary>
    [Benchmark]
    public void Backward() => plan.Backward<float>(q, k, v, o, lse, o, dq, dk, dv);
}
