// Can a plan be used wrongly without a wrong answer, a crash or a leak? Disposed, abandoned, interrupted, and run by schedulers that break their contract.
using System.Runtime.CompilerServices;
using S2Attn.Optimized;
using S2Attn.Optimized.Kernels;
using S2Attn.Spec;
using S2Attn.Tests.Ports;

namespace S2Attn.Tests.Optimized;

[Collection("threads are counted")]
public sealed class KernelLifetimeTests
{
    private static readonly S2Config Config = S2Config.Create(new()
    {
        Tokens = 700,
        Heads = 4,
        KvHeads = 2,
        HeadDim = 8,
        GroupSize = GroupSizeRule.Of(50),
        Mask = MaskPolicy.LocalCausal,
    });

    private static readonly float[] Q = Noise(1, 4), K = Noise(2, 2), V = Noise(3, 2), Expected = Alone();

    private static float[] Noise(int seed, int heads)
    {
        Random random = new(seed);
        return [.. Enumerable.Range(0, 700 * heads * 8).Select(_ => random.NextSingle() - 0.5f)];
    }

    private static float[] Alone()
    {
        using S2AttentionPlan plan = new(Config, new() { Threads = 1 });
        return Output(plan);
    }

    private static float[] Output(S2AttentionPlan plan)
    {
        float[] o = new float[Q.Length];
        plan.Forward<float>(Q, K, V, o);
        return o;
    }

    /// <summary>Was an access violation that ended the process.</summary>
    [Fact]
    public void A_call_on_a_disposed_plan_throws()
    {
        foreach (int threads in new[] { 1, 4 })
        {
            S2AttentionPlan plan = new(Config, new() { Threads = threads });
            Assert.Equal(Expected, Output(plan));
            plan.Dispose();
            plan.Dispose();
            Assert.Throws<ObjectDisposedException>(() => Output(plan));
            float[] lse = new float[700 * 4], dq = new float[Q.Length], dk = new float[K.Length], dv = new float[K.Length];
            Assert.Throws<ObjectDisposedException>(() => plan.Backward<float>(Q, K, V, Q, lse, Q, dq, dk, dv));
            Assert.Equal(threads, plan.Threads);
        }
    }

    /// <summary>Was an access violation too: calls in a loop while another thread disposes of the plan.</summary>
    [Fact]
    public void Dispose_waits_for_the_call_under_way()
    {
        for (int round = 0; round < 30; round++)
        {
            S2AttentionPlan plan = new(Config, new() { Threads = 1 + round % 3 });
            using ManualResetEventSlim begun = new();
            Exception? ended = null;
            bool wrong = false;
            Thread caller = new(() =>
            {
                try
                {
                    while (true)
                    {
                        wrong |= !Expected.AsSpan().SequenceEqual(Output(plan));
                        begun.Set();
                    }
                }
                catch (Exception exception)
                {
                    ended = exception;
                }
            });
            caller.Start();
            begun.Wait();
            Parallel.Invoke(plan.Dispose, plan.Dispose);
            caller.Join();
            Assert.IsType<ObjectDisposedException>(ended);
            Assert.False(wrong);
        }
    }

    [Fact]
    public async Task Dispose_returns_no_sooner_than_the_call_under_way()
    {
        using ManualResetEventSlim begun = new(), goOn = new();
        using Scripted scheduler = new((workers, body) =>
        {
            begun.Set();
            goOn.Wait();
            Scripted.Honest(workers, body);
        });
        S2AttentionPlan plan = new(Config, new() { Threads = 2, Scheduler = scheduler });
        Task<float[]> call = Task.Run(() => Output(plan));
        begun.Wait();
        Task dispose = Task.Run(plan.Dispose);
        Assert.NotSame(dispose, await Task.WhenAny(dispose, Task.Delay(200)));
        goOn.Set();
        Assert.Equal(Expected, await call);
        await dispose;
        Assert.Throws<ObjectDisposedException>(() => Output(plan));
    }

    [Fact]
    public void Dispose_from_inside_a_call_is_refused()
    {
        using Scripted scheduler = new((workers, body) => { });
        using S2AttentionPlan plan = new(Config, new() { Threads = 2, Scheduler = scheduler });
        scheduler.Script = (workers, body) => plan.Dispose();
        Assert.Contains("inside a call", Assert.Throws<InvalidOperationException>(() => Output(plan)).Message, StringComparison.Ordinal);
        scheduler.Script = Scripted.Honest;
        Assert.Equal(Expected, Output(plan));
    }

    [Fact]
    public void Dispose_ends_the_threads_before_it_returns()
    {
        int before = Settled(threads => threads == 0);
        S2AttentionPlan[] plans = [.. Enumerable.Range(0, 5).Select(_ => new S2AttentionPlan(Config, new() { Threads = 4 }))];
        foreach (S2AttentionPlan plan in plans)
            Output(plan);
        Assert.Equal(before + 15, Settled(threads => threads == before + 15));
        KeyValueCache<float> cache = new(S2Config.Create(Config.ToRequest() with { Mask = MaskPolicy.Split }), new() { Threads = 4 });
        cache.Append(K.AsSpan(0, 16), V.AsSpan(0, 16));
        cache.Attend(Q.AsSpan(0, 32), new float[32]);
        Assert.Equal(before + 18, Settled(threads => threads == before + 18));
        foreach (S2AttentionPlan plan in plans)
            plan.Dispose();
        cache.Dispose();
        Assert.Equal(before, Settled(threads => threads == before));

        // Nor was any of them collected, which ends its threads too.
        GC.KeepAlive((plans, cache));
    }

    /// <summary>s2attn campaign soak for ten seconds, in a process of its own: what other tests leave behind would be counted with it.</summary>
    [Fact]
    public void A_soak_ends_with_the_threads_and_memory_it_began_with()
    {
        string[] command = [Path.Combine(AppContext.BaseDirectory, "s2attn.dll"), "campaign", "soak", "--minutes", "0.14", "--threads", "4", "--seed", "1"];
        (int code, string output) = PortTool.Run("dotnet", command, Repository.Root);
        Assert.True(code == 0 && !output.Contains("FAILED", StringComparison.Ordinal), output);
        Assert.Equal(8, output.Split('\n').Count(line => line.Contains(" plans ", StringComparison.Ordinal)));
        Assert.Equal(3, output.Split('\n').Count(line => line.Contains(" threads, 0 bytes of plans", StringComparison.Ordinal)));
    }

    [Fact]
    public void Stopped_threads_start_again_with_the_next_call()
    {
        int before = Settled(threads => threads == 0);
        S2AttentionPlan plan = new(Config, new() { Threads = 4 });
        plan.StopThreads();
        for (int round = 0; round < 3; round++)
        {
            Assert.Equal(Expected, Output(plan));
            Assert.Equal(before + 3, Settled(threads => threads == before + 3));
            plan.StopThreads();
            Assert.Equal(before, Settled(threads => threads == before));
        }

        plan.Dispose();
        plan.StopThreads();
    }

    /// <summary>Were 608 threads and 110 MB after 200 plans.</summary>
    [Fact]
    public void Abandoned_plans_are_collected_with_their_threads()
    {
        int before = Settled(threads => threads == 0);
        Abandon();
        Assert.True(PoolThreads() > before + 20);
        Assert.Equal(before, Settled(threads => threads == before));

        [MethodImpl(MethodImplOptions.NoInlining)]
        static void Abandon()
        {
            for (int i = 0; i < 10; i++)
                Output(new(Config, new() { Threads = 4 }));
        }
    }

    /// <summary>Made 79 later calls return a wrong o.</summary>
    [Fact]
    public void Interrupting_the_caller_never_makes_a_later_call_wrong()
    {
        using S2AttentionPlan plan = new(Config, new() { Threads = 8 });
        int interrupted = 0, wrong = 0;
        Exception? other = null;
        using CancellationTokenSource stop = new();
        Thread caller = new(() =>
        {
            for (int call = 0; call < 400; call++)
                try
                {
                    wrong += Expected.AsSpan().SequenceEqual(Output(plan)) ? 0 : 1;
                    Thread.Sleep(0);
                    Thread.Yield();
                    lock (stop)
                        Monitor.Wait(stop, 0);
                }
                catch (ThreadInterruptedException)
                {
                    interrupted++;
                }
                catch (Exception exception)
                {
                    other = exception;
                }
        });
        caller.Start();
        while (caller.IsAlive)
        {
            caller.Interrupt();
            Thread.Sleep(1);
        }

        Assert.Null(other);
        Assert.Equal(0, wrong);
        Assert.True(interrupted > 0, "no call was interrupted");
        Assert.Equal(Expected, Output(plan));
    }

    /// <summary>The spin before the wait sleeps for 0 ms, where an interrupt that came during the call ended Run while workers were writing.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void An_interrupt_during_a_call_or_while_workers_are_waited_for_ends_no_wait_and_is_raised_after_it(bool isPending)
    {
        WorkerPool pool = new(2);
        using ManualResetEventSlim goOn = new();
        bool ended = false, endedFirst = false, raised = false;
        Thread caller = new(() =>
        {
            try
            {
                pool.Run(2, worker =>
                {
                    if (worker == 0 && isPending)
                        Thread.CurrentThread.Interrupt();
                    if (worker == 0)
                        return;
                    goOn.Wait();
                    Volatile.Write(ref ended, true);
                });
                endedFirst = Volatile.Read(ref ended);
                Thread.Sleep(1);
            }
            catch (ThreadInterruptedException)
            {
                raised = true;
            }
        });
        caller.Start();

        // Asleep in the wait for worker 1, which waits for us.
        while (!caller.ThreadState.HasFlag(ThreadState.WaitSleepJoin) && caller.IsAlive)
            Thread.Sleep(1);
        Thread.Sleep(20);
        if (!isPending)
            caller.Interrupt();
        bool left = caller.Join(200);
        goOn.Set();
        caller.Join();
        pool.Stop();
        Assert.False(left, "Run returned while worker 1 was at work");
        Assert.True(endedFirst);
        Assert.True(raised, "the interrupt was lost");
    }

    public static TheoryData<string> Breaches => ["no body", "one body twice at once", "a body twice", "a body of no worker", "returns early", "throws half way"];

    [Theory]
    [MemberData(nameof(Breaches))]
    public void A_scheduler_that_breaks_its_contract_is_named_and_the_plan_serves_the_next_call(string breach)
    {
        using Scripted scheduler = new(Scripted.Honest);
        using S2AttentionPlan plan = new(Config, new() { Threads = 4, Scheduler = scheduler });
        scheduler.Script = breach switch
        {
            "no body" => (workers, body) => { }
            ,
            "one body twice at once" => (workers, body) => Parallel.For(0, 4, _ => body(0)),
            "a body twice" => (workers, body) => { Scripted.Honest(workers, body); body(workers - 1); }
            ,
            "a body of no worker" => (workers, body) => { Scripted.Honest(workers, body); body(workers); body(-1); }
            ,
            "returns early" => scheduler.Unwaited,
            _ => (workers, body) => { body(0); throw new NotSupportedException("half way"); }
            ,
        };
        for (int round = 0; round < 5; round++)
        {
            // Where it returns early, the bodies may happen to have ended.
            Exception? error = Record.Exception(() => Assert.Equal(Expected, Output(plan)));
            if (error is null && breach == "returns early")
                continue;
            if (breach == "throws half way")
                Assert.Equal("half way", Assert.IsType<NotSupportedException>(error).Message);
            else
                Assert.Contains(typeof(Scripted).FullName!, Assert.IsType<InvalidOperationException>(error).Message, StringComparison.Ordinal);
        }

        scheduler.Join();
        scheduler.Script = Scripted.Honest;
        Assert.Equal(Expected, Output(plan));

        // The others compute what a body that was left out would have.
        scheduler.Script = (workers, body) => body(1);
        Assert.Equal(Expected, Output(plan));
    }

    /// <summary>Bodies that run after Run has returned wrote to memory that was no longer pinned, and ended the process.</summary>
    [Fact]
    public void Bodies_that_run_after_the_call_do_nothing()
    {
        using Scripted scheduler = new((workers, body) => { });
        using S2AttentionPlan plan = new(Config, new() { Threads = 3, Scheduler = scheduler });
        Action<int> late = _ => { };
        scheduler.Script = (workers, body) => late = body;
        Assert.Throws<InvalidOperationException>(() => Output(plan));
        for (int worker = -1; worker < 4; worker++)
            late(worker);
        scheduler.Script = Scripted.Honest;
        float[] o = Output(plan);
        for (int worker = 0; worker < 3; worker++)
            late(worker);
        Assert.Equal(Expected, o);

        // Of the forward pass, called in the middle of a backward pass.
        scheduler.Script = (workers, body) => { late(0); Scripted.Honest(workers, body); };
        float[] lse = new float[700 * 4], dq = new float[Q.Length], dk = new float[K.Length], dv = new float[K.Length];
        Assert.Contains("earlier call", Assert.Throws<InvalidOperationException>(() => plan.Backward<float>(Q, K, V, o, lse, Q, dq, dk, dv)).Message, StringComparison.Ordinal);
        plan.Dispose();
        late(0);
    }

    // The kernel of the operating system sees a thread for a moment after it was joined; and a plan that an earlier test abandoned has its threads until it is collected.
    internal static int Settled(Func<int, bool> expected)
    {
        SpinWait.SpinUntil(
            () =>
            {
                if (expected(PoolThreads()))
                    return true;
                Collect();
                return false;
            },
            TimeSpan.FromSeconds(30));
        return PoolThreads();
    }

    private static void Collect()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        Thread.Sleep(20);
    }

    // Threads of plans, counted by their name as the kernel knows it.
    private static int PoolThreads() => Directory.EnumerateDirectories("/proc/self/task").Count(task =>
    {
        try
        {
            return File.ReadAllText(Path.Combine(task, "comm")).StartsWith("S2Attention", StringComparison.Ordinal);
        }
        catch (IOException)
        {
            return false;
        }
    });

    private sealed class Scripted(Action<int, Action<int>> script) : IWorkScheduler, IDisposable
    {
        private readonly List<Thread> threads = [];

        public Action<int, Action<int>> Script { get; set; } = script;

        public static void Honest(int workers, Action<int> body)
        {
            for (int worker = 0; worker < workers; worker++)
                body(worker);
        }

        public void Unwaited(int workers, Action<int> body)
        {
            using Barrier begun = new(workers + 1);
            for (int worker = 0; worker < workers; worker++)
            {
                int index = worker;
                Thread thread = new(() =>
                {
                    begun.SignalAndWait();
                    body(index);
                });
                threads.Add(thread);
                thread.Start();
            }

            begun.SignalAndWait();
        }

        public void Run(int workers, Action<int> body) => Script(workers, body);

        public void Join() => threads.ForEach(thread => thread.Join());

        public void Dispose() => Join();
    }
}

[CollectionDefinition("threads are counted", DisableParallelization = true)]
public sealed class ThreadsAreCounted;
