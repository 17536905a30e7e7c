// How are kernel, peak and peers measured so that their ratios mean something on a noisy machine?
using System.Diagnostics;
using System.Runtime;
using S2Attn.Conformance.Ports;
using S2Attn.Optimized;
using S2Attn.Spec;

namespace S2Attn.Conformance.Bench;

/// <summary>Runs one case: in every round the FMA peak, the kernel and each peer take their turn in a random order, so that what slows one down slows all.</summary>
public static unsafe class BenchRunner
{
    // More than the last-level cache of any processor this is likely to meet.
    private const int SweptBytes = 64 << 20;

    /// <summary>Measures a case.</summary>
    /// <param name="benchCase">What to run.</param>
    /// <param name="rounds">Rounds after a first one that only warms up; at least 1.</param>
    /// <param name="torch">An interpreter with PyTorch, whose fused attention is a peer of rows in f32 with peers where it has one; none where absent.</param>
    /// <param name="cancellation">Checked between rounds.</param>
    /// <exception cref="InvalidOperationException">The interpreter does not start or does not answer.</exception>
    public static BenchResult Measure(BenchCase benchCase, int rounds, string? torch = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(benchCase);
        ArgumentOutOfRangeException.ThrowIfLessThan(rounds, 1);
        return benchCase.ElementType switch
        {
            ElementType.F32 => Measure(benchCase, rounds, value => value, torch, cancellation),
            ElementType.F16 => Measure(benchCase, rounds, value => (Half)value, torch, cancellation),
            ElementType.BF16 => Measure(benchCase, rounds, value => (BFloat16)value, torch, cancellation),
            _ => throw new NotSupportedException($"ElementType = {benchCase.ElementType}: the kernel stores F32, F16 and BF16."),
        };
    }

    private static BenchResult Measure<T>(BenchCase benchCase, int rounds, Func<float, T> store, string? torch, CancellationToken cancellation)
        where T : unmanaged
    {
        S2Config config = benchCase.Config;
        using S2AttentionPlan plan = Plan(benchCase, benchCase.PlanDecides ? null : benchCase.Threads);
        using TensorMemory memory = new();
        BenchTensors<T> tensors = new(memory, config, benchCase.WithBackward, BenchNoise.Of, store);
        Action kernel = tensors.Call(plan);
        using S2AttentionPlan alonePlan = Plan(benchCase, 1);
        Action alone = benchCase.Threads > 1 ? tensors.Call(alonePlan) : () => { };
        Action? inSingle = typeof(T) == typeof(float) ? null : new BenchTensors<float>(memory, config, benchCase.WithBackward, BenchNoise.Of, value => value).Call(plan);

        using Peers peers = benchCase.WithPeers ? new Peers(benchCase, memory, tensors as BenchTensors<float> ?? throw new NotSupportedException($"{benchCase}: peers compute in f32.")) : Peers.None;
        using PythonTurns? libtorch = benchCase.WithPeers && benchCase.Grid is null && torch is not null ? PythonTurns.OfFusedAttention(torch, benchCase, out _) : null;
        List<double> peak = [], peakTogether = [], ours = [], cold = [], oneThread = [], single = [], eager = [], fused = [], torchFused = [];
        long allocated = 0;
        Random order = new(1);
        byte[] swept = new byte[SweptBytes];
        (int calls, double turn) = Calls(kernel);
        for (int round = 0; round <= rounds; round++)
        {
            cancellation.ThrowIfCancellationRequested();
            double flops = 0, together = 0, seconds = 0, coldSeconds = 0, aloneSeconds = 0, singleSeconds = 0, eagerSeconds = 0, fusedSeconds = 0, torchSeconds = 0;
            long bytes = 0;
            Action[] turns =
            [
                () => flops = PeakFlops.Best(turn),
                () => together = benchCase.Threads > 1 ? PeakFlops.Together(benchCase.Threads, turn) : 0,
                () =>
                {
                    long before = GC.GetTotalAllocatedBytes(precise: true);
                    seconds = Seconds(kernel, calls);
                    bytes = GC.GetTotalAllocatedBytes(precise: true) - before;
                },
                () =>
                {
                    Array.Fill(swept, (byte)round);
                    coldSeconds = Seconds(kernel, 1);
                },
                () => aloneSeconds = Seconds(alone, calls),
                () => singleSeconds = inSingle is null ? 0 : Seconds(inSingle, calls),
                () => eagerSeconds = Seconds(peers.Eager, calls),
                () => fusedSeconds = Seconds(peers.Fused, calls),
                () => torchSeconds = libtorch?.Seconds(calls) ?? 0,
            ];

            // In a new order each round, so that none always follows the same one and finds the caches as that left them.
            order.Shuffle(turns);
            Array.ForEach(turns, turn => turn());
            if (round == 0)
                continue;
            peak.Add(flops);
            peakTogether.Add(together);
            ours.Add(seconds);
            cold.Add(coldSeconds);
            oneThread.Add(aloneSeconds);
            single.Add(singleSeconds);
            eager.Add(eagerSeconds);
            fused.Add(fusedSeconds);
            torchFused.Add(torchSeconds);
            allocated = Math.Max(allocated, bytes);
        }

        double best = ours.Min(), median = ours.Order().ElementAt(ours.Count / 2);
        return new BenchResult
        {
            Pass = benchCase.WithBackward ? "forward+backward" : "forward",
            Dtype = ProtocolNames.Of(benchCase.ElementType),
            Batch = config.Batch,
            Heads = config.Heads,
            KvHeads = config.KvHeads,
            Bits = VectorWidths.Bits(VectorWidth.Widest),
            Tokens = config.Tokens,
            GroupSize = config.GroupSize,
            HeadDim = config.HeadDim,
            Threads = benchCase.Threads,
            Gflops = benchCase.Flops / best / 1e9,
            OfPeak = benchCase.Flops / best / (peak.Max() * benchCase.Threads),
            VsOneThread = benchCase.Threads > 1 ? oneThread.Min() / best : null,
            PeakVsOneCore = benchCase.Threads > 1 ? peakTogether.Max() / peak.Max() : null,
            VsSingle = inSingle is null ? null : single.Min() / best,
            VsEager = peers.HasEager ? eager.Min() / best : null,
            VsFused = peers.HasFused ? fused.Min() / best : null,
            VsTorch = libtorch is null ? null : torchFused.Min() / best,
            AllocatedBytes = allocated,
            WorkspaceBytesPerThread = plan.WorkspaceBytesPerThread,
            BestSeconds = best,
            ColdSeconds = cold.Min(),
            MedianSeconds = median,
            Spread = (ours.Max() - best) / median,
        };
    }

    private static S2AttentionPlan Plan(BenchCase benchCase, int? threads)
    {
        S2AttentionOptions options = new() { Threads = threads };
        return benchCase.Grid is { } grid ? S2AttentionPlan.OfGrid(grid, options) : new(benchCase.Config, options);
    }

    // A turn lasts some milliseconds: the clock, and a thread that is woken once, would weigh in a single call of a small problem. The call that is timed here warms up.
    private static (int Calls, double Seconds) Calls(Action run)
    {
        const double Turn = 3e-3;
        run();
        double one = Seconds(run, 1);
        int calls = (int)Math.Clamp(Turn / one, 1, 1000);
        return (calls, calls * one);
    }

    private static double Seconds(Action run, int calls)
    {
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < calls; i++)
            run();
        return Stopwatch.GetElapsedTime(start).TotalSeconds / calls;
    }

    /// <summary>The first call of this process, whose loops are compiled while it runs, and the best of some later ones, in seconds.</summary>
    /// <param name="benchCase">What to run; f32, and no kernel may have run in this process.</param>
    /// <param name="calls">How many later ones.</param>
    public static FirstCallResult FirstCall(BenchCase benchCase, int calls)
    {
        ArgumentNullException.ThrowIfNull(benchCase);
        S2Config config = benchCase.Config;
        using S2AttentionPlan plan = new(config, new S2AttentionOptions { Threads = benchCase.Threads });
        using TensorMemory memory = new();
        Action kernel = new BenchTensors<float>(memory, config, benchCase.WithBackward, (_, length) => [.. Enumerable.Repeat(1f, length)], value => value).Call(plan);
        TimeSpan compiled = JitInfo.GetCompilationTime(currentThread: true);
        long methods = JitInfo.GetCompiledMethodCount(currentThread: true);
        double first = Seconds(kernel, 1);
        (compiled, methods) = (JitInfo.GetCompilationTime(currentThread: true) - compiled, JitInfo.GetCompiledMethodCount(currentThread: true) - methods);
        return new(VectorWidths.Bits(VectorWidth.Widest), benchCase.ToString(), first, Enumerable.Range(0, calls).Min(_ => Seconds(kernel, 1)), compiled.TotalSeconds, (int)methods);
    }

    /// <summary>The peers of a case, on the same tensors and threads.</summary>
    private sealed class Peers : IDisposable
    {
        private readonly List<OnnxPeer> graphs = [];

        public Peers(BenchCase benchCase, TensorMemory memory, BenchTensors<float> t)
        {
            S2Config config = benchCase.Config;
            int[] shape = [config.Batch, config.Tokens, config.Heads, config.HeadDim];
            int elements = shape.Aggregate((product, length) => product * length);
            (string, nint)[] inputs = [("q", (nint)t.Query), ("k", (nint)t.Key), ("v", (nint)t.Value)];
            nint o = Room();
            HasEager = true;
            HasFused = !benchCase.WithBackward && benchCase.Grid is null;
            Eager = benchCase.Grid is { } grid ? Bind(PeerGraphs.Windows(grid), inputs, [("o", o)])
                : benchCase.WithBackward ? Bind(PeerGraphs.EagerWithBackward(config), [.. inputs, ("do", (nint)t.OutputGradient)], [("o", o), ("dq", Room()), ("dk", Room()), ("dv", Room())])
                : Bind(PeerGraphs.Eager(config), inputs, [("o", o)]);
            if (HasFused)
                Fused = Bind(PeerGraphs.Fused(config), inputs, [("o", o)]);

            nint Room() => (nint)memory.Room<float>(elements);

            Action Bind(byte[] model, (string, nint)[] inputs, (string, nint)[] outputs)
            {
                OnnxPeer peer = new(model, benchCase.Threads, inputs, outputs, shape);
                graphs.Add(peer);
                return peer.Run;
            }
        }

        private Peers()
        {
        }

        public static Peers None => new();

        public bool HasEager { get; }

        public bool HasFused { get; }

        public Action Eager { get; } = () => { };

        public Action Fused { get; } = () => { };

        public void Dispose() => graphs.ForEach(graph => graph.Dispose());
    }
}
