// How close to the speed of memory does one token at a time run, and how close to one call does a prompt in chunks?
using System.Collections.Immutable;
using System.Diagnostics;
using System.Globalization;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using S2Attn.Optimized;
using S2Attn.Optimized.Kernels;
using S2Attn.Spec;

namespace S2Attn.Conformance.Bench;

/// <summary>One row of the table; a decode step must read every key and value once.</summary>
/// <param name="Dtype">Storage.</param>
/// <param name="Threads">Workers.</param>
/// <param name="Keys">Cached keys.</param>
/// <param name="StepMicroseconds">The best time of one token.</param>
/// <param name="CacheBytes">Bytes of keys and values that a step must read.</param>
/// <param name="ReadBandwidth">Bytes a second that the same threads read in the same run, summing the same number of bytes.</param>
/// <param name="OfBandwidth">Bytes a second of the step over those.</param>
/// <param name="ChunkedOfWhole">Rate of a prompt in chunks of 512 over that of one call; absent where not measured.</param>
/// <param name="MedianOfBandwidth">The same from medians over the rounds.</param>
/// <param name="VsOnnx">How many times the step is faster than ONNX Runtime's GroupQueryAttention over as many cached keys; absent where there is no such kernel.</param>
/// <param name="Bits">Register width of the kernel.</param>
public sealed record DecodeResult(
    string Dtype, int Bits, int Threads, int Keys, double StepMicroseconds, long CacheBytes, double ReadBandwidth, double OfBandwidth, double MedianOfBandwidth, double? ChunkedOfWhole, double? VsOnnx);

/// <summary>
/// Measures decode steps beside plain reading, turn by turn. A model has many layers, each with a cache of its own, and so a step finds nothing of the one before in the processor's caches: here too
/// as many caches take turns as are twice the last-level cache.
/// </summary>
public static unsafe class DecodeBench
{
    private const int Heads = 32, KvHeads = 8, HeadDim = 128, Chunk = 512;

    /// <summary>One token at a time against a cache of some keys, H=32, K=8, D=128, causal over all of them.</summary>
    /// <param name="keys">Cached keys.</param>
    /// <param name="threads">Workers.</param>
    /// <param name="rounds">Rounds of which the best counts.</param>
    /// <param name="withPeers">Whether to measure ONNX Runtime's attention with a cache, and a prompt in chunks, too.</param>
    /// <param name="store">From float to storage.</param>
    /// <param name="cancellation">Checked between rounds.</param>
    /// <typeparam name="T">Storage.</typeparam>
    public static DecodeResult Measure<T>(int keys, int threads, int rounds, bool withPeers, Func<float, T> store, CancellationToken cancellation)
        where T : unmanaged
    {
        ArgumentNullException.ThrowIfNull(store);
        S2Config config = S2Config.Create(new()
        {
            Tokens = keys,
            Heads = Heads,
            KvHeads = KvHeads,
            HeadDim = HeadDim,
            GroupSize = GroupSizeRule.Of(keys),
            Shift = 0,
            Mask = MaskPolicy.Split,
        });
        T[] k = Noise(keys * KvHeads * HeadDim, store), v = Noise(keys * KvHeads * HeadDim, store), q = Noise(Heads * HeadDim, store), o = new T[q.Length];
        long bytes = 2L * k.Length * sizeof(T);
        int layers = (int)Math.Max(1, (2 * LastLevelBytes() + bytes - 1) / bytes);
        using Layers<KeyValueCache<T>> caches = new(layers, () =>
        {
            KeyValueCache<T> cache = new(config, new() { Threads = threads });
            cache.Append(k, v);
            return cache;
        });

        using Layers<OnnxCachePeer> peers = new(withPeers && (q is float[] || q is Half[]) ? layers : 0, () =>
            q is float[] q32 && HeadMajor(k) is float[] k32 && HeadMajor(v) is float[] v32 ? OnnxCachePeer.OfSingle(Heads, KvHeads, HeadDim, threads, q32, k32, v32, new float[o.Length])
            : OnnxCachePeer.OfHalf(Heads, KvHeads, HeadDim, threads, (Half[])(object)q, (Half[])(object)HeadMajor(k), (Half[])(object)HeadMajor(v), new Half[o.Length]));

        // As many bytes elsewhere, in pages of the same kind, read by as many threads.
        byte* memory = (byte*)LargePages.Allocate(checked((nuint)(bytes * layers)));
        List<double> steps = [], reads = [], others = [];
        try
        {
            for (int layer = 0; layer < layers; layer++)
                new Span<byte>(memory + layer * bytes, (int)bytes).Fill(1);
            for (int round = 0; round <= rounds; round++)
            {
                cancellation.ThrowIfCancellationRequested();
                double step = Seconds(() => caches.Each(cache => cache.Attend(q, o))), read = Read(memory, bytes * layers, threads), other = Seconds(() => peers.Each(peer => peer.Run()));
                if (round == 0)
                    continue;
                steps.Add(step / layers);
                reads.Add(read / layers);
                others.Add(other / layers);
            }
        }
        finally
        {
            NativeMemory.AlignedFree(memory);
        }

        steps.Sort();
        reads.Sort();
        others.Sort();
        return new(
            typeof(T) == typeof(float) ? "f32" : typeof(T) == typeof(Half) ? "f16" : "bf16", VectorWidths.Bits(VectorWidth.Widest), threads, keys, steps[0] * 1e6, bytes, bytes / reads[0], reads[0] / steps[0],
            reads[reads.Count / 2] / steps[steps.Count / 2], withPeers ? ChunkedOfWhole(threads, store, cancellation) : null, peers.Count == 0 ? null : others[0] / steps[0]);

        static T[] HeadMajor(T[] rows)
        {
            T[] elements = new T[rows.Length];
            for (int i = 0; i < rows.Length; i += HeadDim)
                rows.AsSpan(i, HeadDim).CopyTo(elements.AsSpan((i / HeadDim % KvHeads * (rows.Length / KvHeads / HeadDim) + i / HeadDim / KvHeads) * HeadDim));
            return elements;
        }
    }

    // Linux says how large it is; elsewhere more than most have.
    private static long LastLevelBytes()
    {
        const long Assumed = 64 << 20;
        const string File = "/sys/devices/system/cpu/cpu0/cache/index3/size";
        return System.IO.File.Exists(File) && long.TryParse(System.IO.File.ReadAllText(File).Trim().TrimEnd('K'), CultureInfo.InvariantCulture, out long kibibytes) ? kibibytes << 10 : Assumed;
    }

    private static double ChunkedOfWhole<T>(int threads, Func<float, T> store, CancellationToken cancellation)
        where T : unmanaged
    {
        const int Tokens = 4096, FewHeads = 8, FewKvHeads = 2;
        S2Config config = S2Config.Create(new()
        {
            Tokens = Tokens,
            Heads = FewHeads,
            KvHeads = FewKvHeads,
            HeadDim = HeadDim,
            GroupSize = GroupSizeRule.Of(2048),
            Mask = MaskPolicy.Split,
        });
        int row = FewHeads * HeadDim, kvRow = FewKvHeads * HeadDim;
        T[] q = Noise(Tokens * row, store), k = Noise(Tokens * kvRow, store), v = Noise(Tokens * kvRow, store), o = new T[q.Length];
        using S2AttentionPlan plan = new(config, new() { Threads = threads });
        using KeyValueCache<T> cache = new(config, new() { Threads = threads, MaxChunk = Chunk });
        double whole = double.PositiveInfinity, chunked = whole;
        for (int round = 0; round < 4; round++)
        {
            cancellation.ThrowIfCancellationRequested();
            whole = Math.Min(whole, Seconds(() => plan.Forward<T>(q, k, v, o)));
            chunked = Math.Min(chunked, Seconds(() =>
            {
                cache.Reset(0);
                for (int t = 0; t < Tokens; t += Chunk)
                {
                    cache.Append(k.AsSpan(t * kvRow, Chunk * kvRow), v.AsSpan(t * kvRow, Chunk * kvRow));
                    cache.Attend(q.AsSpan(t * row, Chunk * row), o.AsSpan(t * row, Chunk * row));
                }
            }));
        }

        return whole / chunked;
    }

    private static double Read(byte* memory, long bytes, int threads)
    {
        long share = bytes / threads / 1024 * 1024;
        if (threads == 1)
            return Seconds(() => Sum(memory, share)) * (bytes / (double)share);

        // Timed by the workers themselves, from the first that begins to the last that ends: the caller may wake up late.
        using Barrier start = new(threads);
        long[] begins = new long[threads], ends = new long[threads];
        Thread[] workers = [.. Enumerable.Range(0, threads).Select(i => new Thread(() =>
        {
            start.SignalAndWait();
            begins[i] = Stopwatch.GetTimestamp();
            Sum(memory + i * share, share);
            ends[i] = Stopwatch.GetTimestamp();
        }))];
        Array.ForEach(workers, worker => worker.Start());
        Array.ForEach(workers, worker => worker.Join());
        return Stopwatch.GetElapsedTime(begins.Min(), ends.Max()).TotalSeconds * (bytes / (double)(share * threads));
    }

    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    private static void Sum(byte* memory, long bytes)
    {
        Vector256<long> a = default, b = default, c = default, d = default;
        for (byte* at = memory; at < memory + bytes; at += 128)
        {
            a += Vector256.Load((long*)at);
            b += Vector256.Load((long*)(at + 32));
            c += Vector256.Load((long*)(at + 64));
            d += Vector256.Load((long*)(at + 96));
        }

        sink = Vector256.Sum(a + b + c + d);
    }

    private static long sink;

    private static double Seconds(Action run)
    {
        long start = Stopwatch.GetTimestamp();
        run();
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private static T[] Noise<T>(int length, Func<float, T> store)
    {
        Random random = new(length);
        T[] elements = new T[length];
        for (int i = 0; i < length; i++)
            elements[i] = store((2 * random.NextSingle()) - 1);
        return elements;
    }

    /// <summary>So many things that take turns and are disposed of together.</summary>
    private sealed class Layers<TLayer>(int count, Func<TLayer> create) : IDisposable
        where TLayer : IDisposable
    {
        private readonly ImmutableArray<TLayer> all = [.. Enumerable.Range(0, count).Select(_ => create())];

        public int Count => all.Length;

        public void Each(Action<TLayer> action)
        {
            foreach (TLayer layer in all)
                action(layer);
        }

        public void Dispose() => Each(layer => layer.Dispose());
    }
}
