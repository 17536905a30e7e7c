// Does a pass compute each item once, with its own tile, and end when it should, whatever steals, cancels, signals or disposes in between?
using System.Diagnostics;
using S2Attn.Optimized;
using S2Attn.Optimized.Kernels;
using S2Attn.Spec;

namespace S2Attn.Tests.Optimized;

/// <summary>The parts of a pass without the kernels: an engine that only looks at what it is handed, and threads that are held where the order matters.</summary>
public sealed unsafe class PassTests
{
    private static readonly S2Config Config = S2Config.Create(new() { Tokens = 4, HeadDim = 1, GroupSize = GroupSizeRule.Of(1), Mask = MaskPolicy.Split, ShiftedHeads = HeadShift.None });

    /// <summary>
    /// Worker 0 holds item 0 and has claimed 1, worker 1 holds 2 and has claimed 3. Worker 2 takes 1, then worker 0 takes 3: the tile that it loaded is that of 1 and must not be used.
    /// </summary>
    [Fact]
    public void A_worker_whose_claim_was_stolen_and_who_steals_hands_over_no_stale_tile()
    {
        using ManualResetEventSlim firstHolds = new(), secondHolds = new(), claimIsStolen = new(), otherIsStolen = new();
        Watching engine = new(item =>
        {
            switch (item)
            {
                case 0:
                    firstHolds.Set();
                    Assert.True(claimIsStolen.Wait(Limit));
                    break;
                case 1:
                    claimIsStolen.Set();
                    Assert.True(otherIsStolen.Wait(Limit));
                    break;
                case 2:
                    secondHolds.Set();
                    Assert.True(otherIsStolen.Wait(Limit));
                    break;
                default:
                    otherIsStolen.Set();
                    break;
            }
        });
        Forward(engine, 3, new Scripted((_, body) =>
        {
            Thread first = Started(() => body(0));
            Assert.True(firstHolds.Wait(Limit));
            Thread second = Started(() => body(1));
            Assert.True(secondHolds.Wait(Limit));
            body(2);
            first.Join();
            second.Join();
        }));
        Assert.Equal([0, 1, 2, 3], engine.Computed.Order());
        Assert.Empty(engine.Stale);
    }

    /// <summary>
    /// Rows of the heads of a token lie side by side, and two workers that write them take a cache line from each other row by row: so small items of one token have one worker. Heads that
    /// shift have a run more under Split, so that the last claim is not a whole one.
    /// </summary>
    [Theory]
    [InlineData(false, 64, 1, 1)]
    [InlineData(true, 64, 1, 1)]
    [InlineData(false, 64, 2, 1)]
    [InlineData(true, 64, 2, 1)]
    [InlineData(false, 64, 1, 3)]
    [InlineData(false, 400, 3, 3)]
    public void Small_items_of_a_token_have_one_worker(bool isBackward, int groups, int groupSize, int batch)
    {
        const int Heads = 4, Workers = 2;
        S2Config config = S2Config.Create(new()
        {
            Batch = batch,
            Tokens = groups * groupSize,
            Heads = Heads,
            KvHeads = Heads,
            HeadDim = 1,
            GroupSize = GroupSizeRule.Of(groupSize),
            Mask = MaskPolicy.Split,
        });
        Geometry geometry = new(config, Sequences.Alike(config, batch), batch, new(0, config.Tokens), isSlice: false, new BlockSizes(1, 4, 4));
        int items = isBackward ? geometry.BackwardItemsOfClaim(0, Workers) : geometry.ForwardItemsOfClaim(Workers);
        Assert.Equal(isBackward ? geometry.Classes.KvHeads(0).Length : Heads, items);
        Dictionary<(int, long), int> workerOf = [];
        Watching engine = new(_ => { })
        {
            Seen = (phase, item) =>
            {
                (int, long) claim = (phase, item / items);
                Assert.True(workerOf.TryAdd(claim, Environment.CurrentManagedThreadId) || workerOf[claim] == Environment.CurrentManagedThreadId, $"item {item} has another worker than those beside it");
            },
        };
        Run(geometry, engine, Workers, new Scripted((_, body) =>
        {
            Thread other = Started(() => body(1));
            body(0);
            other.Join();
        }), isBackward, default);
        Assert.Empty(engine.Stale);
        Assert.Equal(isBackward ? Enumerable.Range(0, geometry.Classes.Phases).Sum(geometry.BackwardItems) : geometry.ForwardItems, engine.Computed.Count);
    }

    /// <summary>Large items, and few ones, are claimed one by one: the last claims would leave the other workers idle.</summary>
    [Theory]
    [InlineData(8192, 2048, 128, 2, 1)]
    [InlineData(8192, 512, 128, 2, 1)]
    [InlineData(8192, 512, 128, 32, 1)]
    [InlineData(256, 64, 64, 2, 2)]
    [InlineData(256, 64, 64, 4, 1)]
    [InlineData(4096, 64, 64, 2, 4)]
    [InlineData(4096, 16, 64, 2, 8)]
    [InlineData(4096, 16, 64, 1, 1)]
    public void Few_or_large_items_are_claimed_one_by_one(int tokens, int groupSize, int headDim, int workers, int items)
    {
        S2Config config = S2Config.Create(new() { Tokens = tokens, Heads = 8, HeadDim = headDim, GroupSize = GroupSizeRule.Of(groupSize), Mask = MaskPolicy.LocalCausal });
        Geometry geometry = new(config, Sequences.Alike(config, 1), 1, new(0, tokens), isSlice: false, new BlockSizes(headDim, 6, 16));
        Assert.Equal(items, geometry.ForwardItemsOfClaim(workers));
    }

    /// <summary>Both passes look for a cancellation before each item, not only at their end.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_cancelled_pass_begins_no_further_item(bool isBackward)
    {
        using CancellationTokenSource cancelled = new();
        Watching engine = new(item =>
        {
            if (item == 1)
                cancelled.Cancel();
        });
        Assert.Throws<OperationCanceledException>(() => Run(engine, 1, new Scripted((_, body) => body(0)), isBackward, cancelled.Token));

        // The forward pass holds one item ahead, which it computes.
        Assert.InRange(engine.Computed.Count, 2, isBackward ? 2 : 3);
    }

    /// <summary>Where one worker has failed, the others begin nothing more: the answer is lost, and the caller waits for them.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void No_worker_begins_an_item_after_another_has_failed(bool isBackward)
    {
        Watching engine = new(item =>
        {
            if (item == 0)
                throw new NotImplementedException("planted");
        });
        Assert.Equal("planted", Assert.Throws<NotImplementedException>(() => Run(engine, 3, new Scripted((workers, body) =>
        {
            for (int worker = 0; worker < workers; worker++)
                body(worker);
        }), isBackward, default)).Message);

        // What the failed worker of the forward pass had claimed ahead another one may take.
        Assert.Equal(isBackward ? [] : [1], engine.Computed);
    }

    /// <summary>Four threads that begin together take three million items: each once.</summary>
    [Fact]
    public void Taking_is_one_step()
    {
        const int Items = 3_000_000, Threads = 4;
        Handover handover = new(Threads);
        handover.Begin(Items);
        int[] times = new int[Items];
        using Barrier together = new(Threads);
        Thread[] threads =
        [
            .. Enumerable.Range(0, Threads).Select(_ => Started(() =>
            {
                together.SignalAndWait();
                for (long item = handover.Take(stops: false); item >= 0; item = handover.Take(stops: false))
                    Interlocked.Increment(ref times[item]);
            })),
        ];
        Array.ForEach(threads, thread => thread.Join());
        Assert.Equal(-1, times.AsSpan().IndexOfAnyExcept(1));
    }

    /// <summary>As many items as there are, but one of them twice: only the sum of their numbers tells.</summary>
    [Theory]
    [InlineData(3, 0 + 1 + 2, true)]
    [InlineData(3, 0 + 1 + 1, false)]
    [InlineData(3, 0 + 2 + 2, false)]
    [InlineData(2, 0 + 1, false)]
    public void An_item_that_ran_twice_does_not_stand_for_one_that_did_not_run(long count, long numbers, bool isComplete)
    {
        Round round = new(1);
        round.Open(0, 1, 3);
        Assert.True(round.TryEnter(0, 0));
        round.Leave(count, numbers);
        round.Close();
        Exception? error = Record.Exception(() => round.Check(new Scripted((_, _) => { }), default));
        Assert.Equal(isComplete, error is null);
    }

    /// <summary>A pass of fewer items than there are threads has fewer workers: a further body is none of them.</summary>
    [Fact]
    public void A_body_beyond_the_workers_of_a_small_pass_is_a_breach()
    {
        Watching engine = new(_ => { });
        InvalidOperationException error = Assert.Throws<InvalidOperationException>(() => Forward(engine, 8, new Scripted((workers, body) =>
        {
            Assert.Equal(4, workers);
            for (int worker = 0; worker <= workers; worker++)
                body(worker);
        })));
        Assert.Contains("called body(4) where there are 4 workers", error.Message, StringComparison.Ordinal);
    }

    /// <summary>A call that comes between the two steps of closing is refused, and does not hold the gate: the one who closes would wait for ever.</summary>
    [Fact]
    public void A_call_that_finds_the_gate_about_to_close_leaves_it()
    {
        CallGate gate = new();
        gate.Shut();
        Assert.Throws<ObjectDisposedException>(() => gate.Enter(this));
        bool released = false;
        Thread closer = Started(() => released = gate.Close());
        Assert.True(closer.Join(Limit), "Close waits for a call that was refused");
        Assert.True(released);
        Assert.False(gate.Close());
        Assert.Throws<ObjectDisposedException>(() => gate.Enter(this));
    }

    /// <summary>
    /// The last worker ends at any moment of the caller's wait: while it spins, between its last look and its lock, and while it sleeps. A wait that was missed does not end however long it is
    /// given; a busy machine only makes fewer rounds in the time.
    /// </summary>
    /// <param name="spins">Whether the caller stays awake for a moment first.</param>
    /// <param name="pause">Nanoseconds that a worker may take: beyond what the caller stays awake for.</param>
    [Theory]
    [InlineData(false, 4_000)]
    [InlineData(true, 400_000)]
    public void A_signal_is_never_missed(bool spins, int pause)
    {
        const int Rounds = 30_000;

        // Pauses of neighbouring rounds lie apart, so that a time too short for all rounds has pauses of all lengths.
        const long Apart = 101_009, NanosecondsOfSecond = 1_000_000_000;
        Stopwatch watch = Stopwatch.StartNew();
        TimeSpan enough = TimeSpan.FromSeconds(4);
        Latch latch = new(spins);
        int open = 0, seen = 0;
        Thread signaller = Started(() =>
        {
            SpinWait spin = default;
            for (int round = 1; round <= Rounds; round++)
            {
                while (Volatile.Read(ref open) < round)
                    spin.SpinOnce(sleep1Threshold: -1);
                if (Volatile.Read(ref open) > Rounds)
                    return;
                long over = Stopwatch.GetTimestamp() + round * Apart % pause * Stopwatch.Frequency / NanosecondsOfSecond;
                while (Stopwatch.GetTimestamp() < over)
                    Thread.SpinWait(1);
                latch.Signal();
            }
        });
        Thread waiter = Started(() =>
        {
            bool interrupted = false;
            for (int round = 1; round <= Rounds && watch.Elapsed < enough; round++)
            {
                latch.Begin(1);
                Volatile.Write(ref open, round);
                latch.Wait(ref interrupted);
                seen = round;
            }

            Volatile.Write(ref open, Rounds + 1);
        });
        Assert.True(waiter.Join(Limit), $"the signal of round {seen + 1} was missed");
        signaller.Join();
    }

    /// <summary>However long a caller stays awake first: on a busy machine that may be longer than any pause above.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_caller_that_sleeps_is_woken(bool spins)
    {
        const int Looks = 200;
        Latch latch = new(spins);
        latch.Begin(1);
        Thread waiter = Started(() =>
        {
            bool interrupted = false;
            latch.Wait(ref interrupted);
        });

        // One that spins sleeps for a moment at a time.
        for (int asleep = 0; asleep < Looks; asleep = waiter.ThreadState.HasFlag(System.Threading.ThreadState.WaitSleepJoin) ? asleep + 1 : 0)
            Thread.Sleep(1);
        latch.Signal();
        Assert.True(waiter.Join(Limit), "the caller sleeps, and nobody will wake it");
    }

    /// <summary>The test holds the lock: the caller has looked for the last time and waits for it when the last worker ends.</summary>
    [Fact]
    public void A_signal_between_the_last_look_and_the_lock_is_seen()
    {
        Latch latch = new(spins: false);
        latch.Begin(1);
        Thread waiter;
        lock (latch.Sync)
        {
            waiter = Started(() =>
            {
                bool interrupted = false;
                latch.Wait(ref interrupted);
            });
            Assert.True(SpinWait.SpinUntil(() => waiter.ThreadState.HasFlag(System.Threading.ThreadState.WaitSleepJoin), Limit));

            // It may still be spinning, which sleeps too: what follows holds either way, and at the lock after so long.
            Thread.Sleep(200);
            latch.Signal();
        }

        Assert.True(waiter.Join(TimeSpan.FromSeconds(20)), "the caller sleeps, and nobody will wake it");
    }

    /// <summary>Every thread that was started, not only the first few, has ended when Stop returns.</summary>
    [Theory]
    [InlineData(2)]
    [InlineData(5)]
    [InlineData(12)]
    public void No_thread_lives_when_Stop_returns(int workers)
    {
        for (int round = 0; round < 12; round++)
        {
            WorkerPool pool = new(workers);
            pool.Run(workers, _ => { });
            Thread[] threads = [.. pool.Threads];
            Assert.Equal(workers - 1, threads.Length);
            pool.Stop();
            Assert.DoesNotContain(threads, thread => thread.IsAlive);
            Assert.Empty(pool.Threads);
        }
    }

    /// <summary>So has every thread of a plan when its resources are released; and a plan that has none any more can be told to stop them.</summary>
    [Fact]
    public void No_thread_of_a_plan_lives_when_it_is_disposed_of()
    {
        for (int round = 0; round < 12; round++)
        {
            WorkerPool pool = new(4);
            using PlanResources resources = new(4, 16, pool);
            pool.Run(4, _ => { });
            Thread[] threads = [.. pool.Threads];
            resources.Dispose();
            Assert.DoesNotContain(threads, thread => thread.IsAlive);
        }

        S2AttentionPlan plan = new(Config);
        plan.Dispose();
        plan.StopThreads();
        plan.Dispose();
    }

    private static TimeSpan Limit => TimeSpan.FromSeconds(60);

    private static Thread Started(Action body)
    {
        Thread thread = new(() => body()) { IsBackground = true };
        thread.Start();
        return thread;
    }

    private static void Forward(Watching engine, int workers, IWorkScheduler scheduler) => Run(engine, workers, scheduler, isBackward: false, default);

    // Four items, whose numbers are the tokens: one group of one token each.
    private static void Run(Watching engine, int workers, IWorkScheduler scheduler, bool isBackward, CancellationToken cancellation)
    {
        Geometry geometry = new(Config, Sequences.Alike(Config, 1), 1, new(0, Config.Tokens), isSlice: false, new BlockSizes(1, 4, 4));
        Assert.Equal(4, geometry.ForwardItems);
        Run(geometry, engine, workers, scheduler, isBackward, cancellation);
    }

    private static void Run(Geometry geometry, Watching engine, int workers, IWorkScheduler scheduler, bool isBackward, CancellationToken cancellation)
    {
        using PlanResources resources = new(workers, 16, pool: null);
        new Calls<float>(geometry, engine, scheduler, resources, mayTakeFewer: false).Run(default, isBackward, cancellation);
    }

    private sealed class Scripted(Action<int, Action<int>> script) : IWorkScheduler
    {
        public void Run(int workers, Action<int> body) => script(workers, body);
    }

    /// <summary>Computes nothing: notes the items, and which of them got a tile that was loaded for another. A tile names its item by its start.</summary>
    private sealed class Watching(Action<long> held) : IEngine<float>
    {
        private readonly Lock sync = new();

        public List<long> Computed { get; } = [];

        public List<long> Stale { get; } = [];

        /// <summary>Called with each item, -1 or its phase, one at a time.</summary>
        public Action<int, long> Seen { get; init; } = (_, _) => { };

        public void Forward(Geometry geometry, in Problem<float> problem, long item, long nextItem, ref KeyTile ahead, Workspace workspace)
        {
            if (!ahead.Keys.IsNull && ahead.Start != item)
                Note(Stale, item);
            held(item);
            float* somewhere = stackalloc float[1];
            ahead = default;
            if (nextItem >= 0)
                ahead.Begin(default, default, 0, default, (int)nextItem, 1, checkKeys: false, checkValues: false, new(somewhere, 1), new(somewhere, 1), 1);
            Note(Computed, item, -1);
        }

        public void Backward(Geometry geometry, in Problem<float> problem, int phase, long item, Workspace workspace)
        {
            held(item);
            Note(Computed, item, phase);
        }

        public void BackwardOfPrefix(Geometry geometry, in Problem<float> problem, long item, Workspace workspace) => throw new NotSupportedException();

        public void Decode(DecodeWork<float> work, long item, long nextItem, Workspace workspace) => throw new NotSupportedException();

        public void Merge(DecodeWork<float> work, in Rows<float> output, in Rows<float> logSumExp) => throw new NotSupportedException();

        public void ClearKeyGradients(Geometry geometry, in Problem<float> problem, long item) => throw new NotSupportedException();

        public void StoreKeyGradients(Geometry geometry, in Problem<float> problem, long item) => Note(Computed, item);

        private void Note(List<long> list, long item, int? phase = null)
        {
            lock (sync)
            {
                list.Add(item);
                if (phase is int of)
                    Seen(of, item);
            }
        }
    }
}
