// Does a long life of plans on many threads end as it began? Created, called, cancelled, interrupted, disposed of, abandoned.
using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Diagnostics;
using S2Attn.Optimized;
using S2Attn.Optimized.Kernels;
using S2Attn.Spec;

namespace S2Attn.Conformance.Campaigns;

/// <summary>What a process holds.</summary>
/// <param name="Threads">Threads of the process, but for those of the runtime itself where the system tells them apart: it starts and ends its own as it likes.</param>
/// <param name="PlanBytes">Native memory of plans, counted byte by byte.</param>
/// <param name="ManagedBytes">The collected heap.</param>
/// <param name="ResidentBytes">Memory of the process as the operating system sees it, after what is free was given back to it.</param>
public sealed record SoakHoldings(int Threads, long PlanBytes, long ManagedBytes, long ResidentBytes);

/// <summary>What a soak did and found.</summary>
/// <param name="Operations">How often each operation was done.</param>
/// <param name="Failures">Wrong answers and unexpected exceptions.</param>
/// <param name="Before">Holdings after a warm-up.</param>
/// <param name="Middle">Holdings after half of the time.</param>
/// <param name="After">Holdings at the end.</param>
public sealed record SoakReport(ImmutableSortedDictionary<string, long> Operations, ImmutableArray<string> Failures, SoakHoldings Before, SoakHoldings Middle, SoakHoldings After)
{
    private const long ManagedSlack = 4L << 20, ResidentSlack = 24L << 20, ResidentWarmth = 96L << 20;

    /// <summary>Whether nothing failed, no thread and no byte of a plan is left, and the process does not grow: see <see cref="LevelsOff"/>.</summary>
    public bool EndsAsItBegan => Failures.IsEmpty && After.Threads <= Before.Threads && After.PlanBytes <= Before.PlanBytes && LevelsOff;

    /// <summary>
    /// Whether the second half of the time took no more memory than noise. Caches of the runtime and of the allocator fill in the first half; what leaks with the calls goes
    /// on to grow in the second, and at thousands of calls a second 100 bytes each would show.
    /// </summary>
    public bool LevelsOff =>
        After.ManagedBytes <= Middle.ManagedBytes + ManagedSlack && After.ResidentBytes <= Middle.ResidentBytes + ResidentSlack
        && After.ResidentBytes <= Before.ResidentBytes + ResidentWarmth;
}

/// <summary>Random operations on plans; every answer that a call returns is compared bit by bit.</summary>
public static class SoakCampaign
{
    private static readonly (string Name, Action<Soak, Random> Do)[] Operations =
    [
        ("called and disposed of", (soak, random) =>
        {
            using S2AttentionPlan plan = Soak.Plan(random);
            for (int call = random.Next(1, 4); call > 0; call--)
                soak.Call(plan);
        }),
        ("abandoned", (soak, random) => soak.Call(Soak.Plan(random))),
        ("abandoned before a call", (soak, random) => Soak.Plan(random)),
        ("cancelled", (soak, random) =>
        {
            using S2AttentionPlan plan = Soak.Plan(random);
            using CancellationTokenSource source = new();
            Beside(source.Cancel, () => soak.Call(plan, source.Token));
            soak.Call(plan);
        }),
        ("disposed of during a call", (soak, random) =>
        {
            S2AttentionPlan plan = Soak.Plan(random);
            Beside(plan.Dispose, () => soak.Call(plan));
            plan.Dispose();
        }),
        ("interrupted", (soak, random) =>
        {
            using S2AttentionPlan plan = Soak.Plan(random);
            Thread caller = Thread.CurrentThread;
            Beside(caller.Interrupt, () => soak.Call(plan));
            soak.Call(plan);
        }),
        ("called by two at once", (soak, random) =>
        {
            using S2AttentionPlan plan = Soak.Plan(random);
            Beside(() => soak.Call(plan), () => soak.Call(plan));
        }),
        ("run by a broken scheduler", (soak, random) =>
        {
            int breach = random.Next(3);
            using S2AttentionPlan plan = Soak.Plan(random, new Broken(breach));
            soak.Call(plan);
            soak.Call(plan);
        }),
    ];

    /// <summary>Soaks for a time, on some threads at once.</summary>
    public static SoakReport Run(TimeSpan time, int threads, int seed)
    {
        Soak soak = new();
        soak.For(TimeSpan.FromSeconds(Math.Min(2, time.TotalSeconds / 4)), threads, seed);
        SoakHoldings before = Holdings();
        soak.For(time / 2, threads, seed + 1);
        SoakHoldings middle = Holdings();
        soak.For(time / 2, threads, seed + 2);

        // The operating system sees a thread for a moment after it has ended.
        SoakHoldings after = Holdings();
        for (int i = 0; i < 50 && after.Threads > before.Threads; i++)
        {
            Thread.Sleep(100);
            after = Holdings();
        }

        return new(soak.Counts.ToImmutableSortedDictionary(), [.. soak.Failures], before, middle, after);
    }

    private static SoakHoldings Holdings()
    {
        for (int i = 0; i < 4; i++)
        {
            GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
            GC.WaitForPendingFinalizers();
        }

        // What is free is given back to the system before it is asked what it gave.
        if (CLibrary.AddressOf("malloc_trim") is not 0 and nint trim)
            unsafe
            {
                ((delegate* unmanaged<nuint, int>)trim)(0);
            }

        using Process process = Process.GetCurrentProcess();
        return new(Threads() ?? process.Threads.Count, PlanResources.LiveBytes, GC.GetTotalMemory(forceFullCollection: true), process.WorkingSet64);
    }

    private static int? Threads()
    {
        const string Tasks = "/proc/self/task";
        return Directory.Exists(Tasks) ? Directory.EnumerateDirectories(Tasks).Count(task => NameOf(task) is { } name && !name.StartsWith(".NET", StringComparison.Ordinal)) : null;

        static string? NameOf(string task)
        {
            try
            {
                return File.ReadAllText(Path.Combine(task, "comm"));
            }
            catch (IOException)
            {
                // It has ended since it was listed.
                return null;
            }
        }
    }

    // Does one thing on a thread of its own while this one does the other.
    private static void Beside(Action other, Action here)
    {
        Thread thread = new(() => other());
        thread.Start();
        try
        {
            here();
        }
        finally
        {
            for (bool joined = false; !joined;)
                try
                {
                    thread.Join();
                    joined = true;
                }
                catch (ThreadInterruptedException)
                {
                    // It was to be interrupted.
                }

            try
            {
                Thread.Sleep(0);
                Thread.Sleep(1);
            }
            catch (ThreadInterruptedException)
            {
                // What came late is taken here.
            }
        }
    }

    private sealed class Soak
    {
        private static readonly S2Config Config = S2Config.Create(new()
        {
            Batch = 2,
            Tokens = 300,
            Heads = 4,
            KvHeads = 2,
            HeadDim = 16,
            GroupSize = GroupSizeRule.Of(60),
            Mask = MaskPolicy.LocalCausal,
        });

        private readonly float[] query = Noise(1, 4), key = Noise(2, 2), value = Noise(3, 2), outputGradient = Noise(4, 4);
        private static readonly string[] Names = ["o", "lse", "dq", "dk", "dv"];

        private readonly float[][] expected;

        public Soak()
        {
            using S2AttentionPlan plan = new(Config, new() { Threads = 1 });
            expected = Answers(plan, CancellationToken.None);
        }

        public ConcurrentDictionary<string, long> Counts { get; } = new();

        public ConcurrentQueue<string> Failures { get; } = new();

        public void For(TimeSpan time, int threads, int seed)
        {
            long start = TimeProvider.System.GetTimestamp();
            Thread[] all = [.. Enumerable.Range(0, threads).Select(index => new Thread(() => Until(start, time, new Random(seed * 1000 + index))))];
            foreach (Thread thread in all)
                thread.Start();
            foreach (Thread thread in all)
                thread.Join();
        }

        public static S2AttentionPlan Plan(Random random) => new(Config, new() { Threads = random.Next(1, 5) });

        public static S2AttentionPlan Plan(Random random, IWorkScheduler scheduler) => new(Config, new() { Threads = random.Next(2, 5), Scheduler = scheduler });

        /// <summary>Calls forward and backward. An answer must be right; a refusal must be one of those that are documented.</summary>
        public void Call(S2AttentionPlan plan, CancellationToken cancellation = default)
        {
            try
            {
                float[][] answers = Answers(plan, cancellation);
                for (int i = 0; i < answers.Length; i++)
                    if (!answers[i].AsSpan().SequenceEqual(expected[i]))
                        Failures.Enqueue($"a call returned a wrong {Names[i]}");
                Counts.AddOrUpdate("calls that answered", 1, (_, count) => count + 1);
            }
            catch (Exception refusal) when (refusal is InvalidOperationException or OperationCanceledException)
            {
                Counts.AddOrUpdate($"calls that threw {refusal.GetType().Name}", 1, (_, count) => count + 1);
            }
        }

        private void Until(long start, TimeSpan time, Random random)
        {
            while (TimeProvider.System.GetElapsedTime(start) < time && Failures.Count < 20)
            {
                (string name, Action<Soak, Random> operation) = Operations[random.Next(Operations.Length)];
                try
                {
                    operation(this, random);
                    Counts.AddOrUpdate($"plans {name}", 1, (_, count) => count + 1);
                }
                catch (ThreadInterruptedException) when (name == "interrupted")
                {
                    // The interruption may fall outside of the calls.
                    Counts.AddOrUpdate($"plans {name}", 1, (_, count) => count + 1);
                }
                catch (Exception exception)
                {
                    Failures.Enqueue($"{name}: {exception.GetType()}: {exception.Message}");
                }
            }
        }

        private float[][] Answers(S2AttentionPlan plan, CancellationToken cancellation)
        {
            float[] o = new float[query.Length], lse = new float[o.Length / Config.HeadDim], dq = new float[o.Length], dk = new float[key.Length], dv = new float[key.Length];
            plan.Forward<float>(query, key, value, o, lse, cancellation: cancellation);
            plan.Backward<float>(query, key, value, o, lse, outputGradient, dq, dk, dv, cancellation: cancellation);
            return [o, lse, dq, dk, dv];
        }

        private static float[] Noise(int seed, int heads)
        {
            Random random = new(seed);
            return [.. Enumerable.Range(0, Config.Batch * Config.Tokens * heads * Config.HeadDim).Select(_ => random.NextSingle() - 0.5f)];
        }
    }

    // Runs no body, one of them twice, or does not wait for the last one.
    private sealed class Broken(int breach) : IWorkScheduler
    {
        public void Run(int workers, Action<int> body)
        {
            for (int worker = 0; worker < workers - 1 && breach > 0; worker++)
                body(worker);
            if (breach == 1)
                body(0);
            if (breach == 2)
                new Thread(() => body(workers - 1)).Start();
        }
    }
}
