// Do threads, schedulers and repetition leave the bits, the heap and the plan as they are?
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Optimized;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Tests.Optimized;

public sealed class KernelThreadTests
{
    private static readonly AttentionCase Example =
        Cases.Of(300, 50, MaskPolicy.LocalCausal, batch: 2, heads: 4, kvHeads: 2, headDim: 24, shifted: HeadShift.Of([false, true, false, true]), padding: PaddingPattern.Sparse, seed: 11);

    public static TheoryData<MaskPolicy> Masks() => [.. MaskPolicies.All];

    [Theory]
    [MemberData(nameof(Masks))]
    public void One_to_eight_threads_give_the_same_bits(MaskPolicy mask)
    {
        foreach (ElementType type in new[] { ElementType.F32, ElementType.BF16 })
        {
            AttentionCase item = Example with { Type = type, Config = Example.Config.With(request => request with { Mask = mask }) };
            KernelBits one = KernelRun.Run(item, new() { Threads = 1 });
            for (int threads = 2; threads <= 8; threads++)
                one.AssertSame(KernelRun.Run(item, new() { Threads = threads }), $"{threads} threads, {item}");
        }
    }

    [Fact]
    public void A_callers_scheduler_may_run_workers_in_any_order()
    {
        KernelBits one = KernelRun.Run(Example, new() { Threads = 1 });
        one.AssertSame(KernelRun.Run(Example, new() { Threads = 5, Scheduler = new Backwards() }), "workers in reverse");
    }

    [Fact]
    public void Calls_allocate_nothing_after_the_first()
    {
        S2Config config = Example.Config;
        int elements = config.Batch * config.Tokens * config.Heads * config.HeadDim, keyElements = elements / config.Heads * config.KvHeads;
        float[] q = new float[elements], k = new float[keyElements], v = new float[keyElements], o = new float[elements], lse = new float[elements / config.HeadDim];
        float[] dq = new float[elements], dk = new float[keyElements], dv = new float[keyElements], outputGradient = new float[elements];

        // All workers on this thread, where allocation can be counted; then the plan's own threads, whose caller must not allocate either.
        foreach (S2AttentionOptions options in new S2AttentionOptions[] { new() { Threads = 4, Scheduler = new Backwards() }, new() { Threads = 2 } })
        {
            using S2AttentionPlan plan = new(config, options);
            Call(plan);
            Call(plan);
            long before = GC.GetAllocatedBytesForCurrentThread();
            Call(plan);
            Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        void Call(S2AttentionPlan plan)
        {
            plan.Forward<float>(q, k, v, o, lse);
            plan.Backward<float>(q, k, v, o, lse, outputGradient, dq, dk, dv);
        }
    }

    [Fact]
    public void A_cancelled_call_throws_and_the_plan_serves_the_next()
    {
        S2Config config = Example.Config;
        float[] q = [.. Example.BuildInput().Query.Map(value => (float)value).Elements], k = new float[q.Length / 2], v = new float[q.Length / 2];
        float[] o = new float[q.Length], expected = new float[q.Length];
        using CancellationTokenSource cancelled = new();
        CancelsAfterTheFirst scheduler = new(cancelled);
        using S2AttentionPlan plan = new(config, new() { Threads = 2, Scheduler = scheduler });
        using S2AttentionPlan untouched = new(config);
        untouched.Forward<float>(q, k, v, expected);
        Assert.Throws<OperationCanceledException>(() => plan.Forward<float>(q, k, v, o, default, default, cancelled.Token));

        Array.Fill(o, 7);
        Assert.Throws<OperationCanceledException>(() => plan.Forward<float>(q, k, v, o, default, default, cancelled.Token));
        Assert.All(o, value => Assert.Equal(7, value));
        Assert.Equal(1, scheduler.Calls);
        plan.Forward<float>(q, k, v, o);
        Assert.Equal(expected, o);
    }

    [Fact]
    public void A_plan_refuses_a_second_call_while_one_is_under_way()
    {
        S2Config config = Example.Config;
        float[] q = new float[config.Batch * config.Tokens * config.Heads * config.HeadDim], o = new float[q.Length], other = new float[q.Length];
        float[] k = new float[q.Length / 2];
        Reentrant scheduler = new();
        using S2AttentionPlan plan = new(config, new() { Threads = 2, Scheduler = scheduler });
        scheduler.During = () =>
        {
            Assert.Throws<InvalidOperationException>(() => plan.Forward<float>(q, k, k, other));
            Assert.Throws<InvalidOperationException>(plan.StopThreads);
        };
        plan.Forward<float>(q, k, k, o);
        Assert.Equal(1, scheduler.Calls);
        scheduler.During = () => { };
        plan.Forward<float>(q, k, k, o);
    }

    private sealed class Backwards : IWorkScheduler
    {
        public void Run(int workers, Action<int> body)
        {
            for (int worker = workers - 1; worker >= 0; worker--)
                body(worker);
        }
    }

    private sealed class CancelsAfterTheFirst(CancellationTokenSource source) : IWorkScheduler
    {
        public int Calls { get; private set; }

        public void Run(int workers, Action<int> body)
        {
            Calls++;
            if (!source.IsCancellationRequested)
                source.Cancel();
            body(0);
        }
    }

    private sealed class Reentrant : IWorkScheduler
    {
        public Action During { get; set; } = () => { };

        public int Calls { get; private set; }

        public void Run(int workers, Action<int> body)
        {
            Calls++;
            During();
            for (int worker = 0; worker < workers; worker++)
                body(worker);
        }
    }
}
