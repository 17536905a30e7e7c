// How is text generated, or read in pieces, without computing again what was computed? Keys and values of the past are kept, as many as the future can see.
using S2Attn.Optimized.Kernels;
using S2Attn.Spec;

namespace S2Attn.Optimized;

/// <summary>How a cache runs.</summary>
public sealed record KeyValueCacheOptions
{
    /// <summary>Sequences that are kept side by side, each with a length of its own.</summary>
    public int Sequences { get; init; } = 1;

    /// <summary>The most tokens of a sequence whose queries are attended in one call: a chunk of the prompt.</summary>
    public int MaxChunk { get; init; } = 512;

    /// <summary>Workers of a call, from 1 to 4096; the processors of the machine where not given. The results do not depend on it.</summary>
    public int? Threads { get; init; }

    /// <summary>Who runs the workers; threads of the cache where not given.</summary>
    public IWorkScheduler? Scheduler { get; init; }

    /// <summary>Register width.</summary>
    public VectorWidth VectorWidth { get; init; }
}

/// <summary>
/// The keys and values of sequences that grow, and attention of their newest queries to them. Only a mask under which what a query sees does not depend on how long the text gets has
/// such a cache: <see cref="MaskPolicy.Split"/> (theorem "PrefixStable").
/// </summary>
/// <remarks>
/// Of each sequence at most G + MaxChunk rows are kept, however long it gets (theorem "CacheBounded"): row t modulo that number holds token t; and P rows more of a prefix, which no later token
/// takes ("PrefixCacheBounded"). Memory grows up to there by doubling, so that a
/// G of the longest text, without a shift, is causal attention over a cache that grows. Up to 8 queries a sequence go a way of their own that reads each key once for all heads.
/// A cache serves one call at a time. What it computes is within the error bound of the whole sequence computed at once.
/// </remarks>
/// <typeparam name="T">Storage: float, Half or BFloat16.</typeparam>
public sealed unsafe class KeyValueCache<T> : IDisposable
    where T : unmanaged
{
    // Rows of one kv head, queries times the heads that share it, stand on the stack of a worker.
    private const int MaxDecodeTokens = 8, MaxThreads = 4096, MaxSequences = 1 << 20;

    private readonly CallGate gate = new();
    private readonly CacheRing<T>[] rings;
    private readonly IEngine<T> engine;
    private readonly BlockSizes sizes;
    private readonly int decodeTokens;
    private readonly IWorkScheduler scheduler;
    private readonly PlanResources resources;
    private readonly DecodeWork<T> work;
    private readonly DecodeCalls<T> decode;

    /// <summary>An empty cache.</summary>
    /// <param name="config">Heads, D, G, S, scale and prefix under <see cref="MaskPolicy.Split"/>; its N and batch do not matter.</param>
    /// <param name="options">Options.</param>
    /// <exception cref="ArgumentException">The policy is not prefix-stable.</exception>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of its range, or D is more than 65536.</exception>
    /// <exception cref="NotSupportedException">T is not float, Half or BFloat16.</exception>
    /// <exception cref="PlatformNotSupportedException">The vector width is not available.</exception>
    public KeyValueCache(S2Config config, KeyValueCacheOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(config);
        options ??= new();
        if (!config.Mask.IsPrefixStable())
            throw new ArgumentException($"Mask = {config.Mask}: what a query sees depends on how long the text gets; only {MaskPolicy.Split} has a cache.", nameof(config));
        BlockForms.CheckHeadDim(nameof(config), config.HeadDim);
        Check(options.Sequences, 1, MaxSequences, "options.Sequences");
        Check(options.MaxChunk, 1, int.MaxValue / 4, "options.MaxChunk");
        int threads = options.Threads ?? Math.Min(Environment.ProcessorCount, MaxThreads);
        Check(threads, 1, MaxThreads, "options.Threads");
        Config = config;
        MaxChunk = options.MaxChunk;
        IEngines engines = Engines.For(options.VectorWidth);
        engine = Engines.Of<T>(engines);
        sizes = new(config.HeadDim, engines.TileRows, engines.TileColumns);
        MaxRows = (int)Math.Min((long)config.GroupSize + MaxChunk + config.Prefix, int.MaxValue / 2);
        rings = new CacheRing<T>[options.Sequences];
        for (int i = 0; i < rings.Length; i++)
            rings[i] = new(config.KvHeads, config.HeadDim, MaxRows, config.Prefix);
        WorkerPool? pool = options.Scheduler is null ? new(threads) : null;
        scheduler = options.Scheduler ?? pool!;
        int share = config.Heads / config.KvHeads;
        decodeTokens = Math.Min(MaxDecodeTokens, BlockForms.MaxDecodeRows / share);
        resources = new(threads, Math.Max(engines.WorkspaceFloats(sizes), engines.DecodeFloats(config.HeadDim, decodeTokens * share)), pool);
        work = new(config, rings);
        decode = new(work, engine, scheduler, resources);
    }

    /// <summary>Heads, D, G, S, mask, scale and prefix.</summary>
    public S2Config Config { get; }

    /// <summary>Sequences.</summary>
    public int Sequences => rings.Length;

    /// <summary>The most queries of a sequence that one call attends.</summary>
    public int MaxChunk { get; }

    /// <summary>The most rows that are kept of a sequence: P + G + MaxChunk.</summary>
    public int MaxRows { get; }

    /// <summary>Bytes of keys and values that the cache holds memory for.</summary>
    public long Bytes => rings.Sum(ring => ring.Bytes);

    /// <summary>Tokens that were appended to a sequence.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such sequence.</exception>
    public int LengthOf(int sequence) => RingOf(sequence).Length;

    /// <summary>The first key that the next query of a sequence, or any after it, sees in any head: those before are dead, but for a prefix.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such sequence.</exception>
    public int FirstKeyOf(int sequence)
    {
        int length = LengthOf(sequence);
        return Enumerable.Range(0, Config.KvHeads).Min(kvHead => Slices.FirstKeyNeeded(Config, kvHead, length));
    }

    /// <summary>Appends tokens to one sequence, or to all of them where none is named.</summary>
    /// <param name="key">k [sequences,T,K,D], dense; one sequence: [T,K,D].</param>
    /// <param name="value">v, as k.</param>
    /// <param name="sequence">The sequence; every one where not given.</param>
    /// <remarks>T may be more than MaxChunk: a prompt that was attended elsewhere. The rows that no later query sees are dropped.</remarks>
    /// <exception cref="ArgumentException">The tensors do not hold whole tokens of each sequence, or differ in length.</exception>
    /// <exception cref="ArgumentOutOfRangeException">There is no such sequence, or it would get too long.</exception>
    /// <exception cref="InvalidOperationException">Another call is under way.</exception>
    /// <exception cref="ObjectDisposedException">The cache was disposed of.</exception>
    /// <exception cref="OutOfMemoryException">There is no room for more rows; nothing was appended.</exception>
    public void Append(ReadOnlySpan<T> key, ReadOnlySpan<T> value, int? sequence = null)
    {
        gate.ThrowIfClosed(this);
        (int first, int count) = SequencesOf(sequence);
        int tokens = TokensOf(key.Length, Config.KvHeads * Config.HeadDim, count, nameof(key));
        if (value.Length != key.Length)
            throw new ArgumentException($"value has {value.Length} elements: must have the {key.Length} of key.", nameof(value));
        for (int i = first; i < first + count; i++)
            if ((long)rings[i].Length + tokens > int.MaxValue / 2)
                throw new ArgumentOutOfRangeException(nameof(key), tokens, $"sequence {i} has {rings[i].Length} tokens: with these it must have at most {int.MaxValue / 2}");
        gate.Enter(this);
        try
        {
            for (int i = first; i < first + count; i++)
                rings[i].Reserve(tokens);
            int each = key.Length / count;
            for (int i = 0; i < count; i++)
                rings[first + i].Append(key.Slice(i * each, each), value.Slice(i * each, each), tokens);
        }
        finally
        {
            gate.Leave();
            GC.KeepAlive(this);
        }
    }

    /// <summary>Attends the queries of the last T tokens of one sequence, or of all of them where none is named. Their keys were appended before.</summary>
    /// <param name="query">q [sequences,T,H,D], dense; one sequence: [T,H,D].</param>
    /// <param name="output">o, as q; no element of it may be one of q.</param>
    /// <param name="logSumExp">lse [sequences,T,H]; empty where it is not wanted.</param>
    /// <param name="sequence">The sequence; every one where not given.</param>
    /// <param name="cancellation">Stops between work items; o is then partly written.</param>
    /// <exception cref="ArgumentException">A tensor does not hold whole tokens of each sequence, or output overlaps query.</exception>
    /// <exception cref="ArgumentOutOfRangeException">
    /// There is no such sequence, or T is more than MaxChunk or than the tokens that were appended, or these are fewer than those of a prefix that is seen whole.
    /// </exception>
    /// <exception cref="InvalidOperationException">Another call is under way, or the scheduler broke its contract.</exception>
    /// <exception cref="ObjectDisposedException">The cache was disposed of.</exception>
    /// <exception cref="OperationCanceledException">The call was cancelled.</exception>
    public void Attend(ReadOnlySpan<T> query, Span<T> output, Span<float> logSumExp = default, int? sequence = null, CancellationToken cancellation = default)
    {
        gate.ThrowIfClosed(this);
        (int first, int count) = SequencesOf(sequence);
        int rowOfToken = Config.Heads * Config.HeadDim, tokens = TokensOf(query.Length, rowOfToken, count, nameof(query));
        if (output.Length != query.Length)
            throw new ArgumentException($"output has {output.Length} elements: must have the {query.Length} of query.", nameof(output));
        if (!logSumExp.IsEmpty && logSumExp.Length != query.Length / Config.HeadDim)
            throw new ArgumentException($"logSumExp has {logSumExp.Length} elements: must have {query.Length / Config.HeadDim}, one a row, or none.", nameof(logSumExp));
        if (output.Overlaps(query))
            throw new ArgumentException("output overlaps query: what is written may share no element with another tensor.", nameof(output));
        for (int i = first; i < first + count; i++)
            if (tokens > Math.Min(MaxChunk, rings[i].Length))
                throw new ArgumentOutOfRangeException(nameof(query), tokens, $"tokens must be at most MaxChunk = {MaxChunk} and the {rings[i].Length} that were appended to sequence {i}");
        if (tokens == 0)
            return;
        for (int i = first; i < first + count && Config.IsPrefixWhole; i++)
            if (rings[i].Length < Config.Prefix)
                throw new ArgumentOutOfRangeException(nameof(query), tokens, $"sequence {i} has {rings[i].Length} tokens: queries of a prefix that is seen whole must be attended after all of its {Config.Prefix} tokens were appended");
        gate.Enter(this);
        try
        {
            cancellation.ThrowIfCancellationRequested();
            TensorStrides strides = TensorStrides.Dense(TensorLayout.TokenMajor, tokens, Config.Heads, Config.HeadDim), lseStrides = new((long)tokens * Config.Heads, Config.Heads, 1);
            fixed (T* q = query, o = output)
            fixed (float* lse = logSumExp)
                if (tokens <= decodeTokens)
                    decode.Run(new(q, strides, Config.HeadDim), new(o, strides, Config.HeadDim), new(lse, lseStrides, 1), first, count, tokens, cancellation);
                else
                    for (int i = 0; i < count; i++)
                        Prefill(rings[first + i], q + i * strides.Batch, o + i * strides.Batch, lse == null ? null : lse + i * lseStrides.Batch, tokens, cancellation);
        }
        finally
        {
            gate.Leave();
            GC.KeepAlive(this);
        }
    }

    /// <summary>Forgets the tokens of a sequence, so that another can take its place; its memory stays.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such sequence.</exception>
    /// <exception cref="InvalidOperationException">Another call is under way.</exception>
    /// <exception cref="ObjectDisposedException">The cache was disposed of.</exception>
    public void Reset(int sequence)
    {
        CacheRing<T> ring = RingOf(sequence);
        gate.Enter(this);
        try
        {
            ring.Reset();
        }
        finally
        {
            gate.Leave();
            GC.KeepAlive(this);
        }
    }

    /// <summary>Waits for the call under way, ends the cache's threads and frees its memory. Further calls throw.</summary>
    public void Dispose()
    {
        if (!gate.Close())
            return;
        resources.Dispose();
        work.Dispose();
        foreach (CacheRing<T> ring in rings)
            ring.Dispose();
    }

    // The kernels of a plan over the slice, which read the ring as they would a tensor.
    private void Prefill(CacheRing<T> ring, T* query, T* output, float* logSumExp, int tokens, CancellationToken cancellation)
    {
        int start = ring.Length - tokens;
        S2Slice slice = S2Slice.Create(Config, new() { FirstQuery = start, EndQuery = ring.Length, IsUnbounded = true });
        TensorStrides strides = TensorStrides.Dense(TensorLayout.TokenMajor, tokens, Config.Heads, Config.HeadDim);
        Geometry geometry = new(Config, Kernels.Sequences.Of(slice, 1), 1, slice.Keys, isSlice: true, sizes);
        Problem<T> problem = new()
        {
            Query = new(query, strides, Config.HeadDim, start),
            Key = ring.Keys,
            Value = ring.Values,
            Output = new(output, strides, Config.HeadDim, start),
            LogSumExp = new(logSumExp, new(0, Config.Heads, 1), 1, start),
            Valid = default,
        };
        new Calls<T>(geometry, engine, scheduler, resources, mayTakeFewer: false).Run(problem, isBackward: false, cancellation);
    }

    private CacheRing<T> RingOf(int sequence)
    {
        gate.ThrowIfClosed(this);
        Check(sequence, 0, rings.Length - 1, nameof(sequence));
        return rings[sequence];
    }

    private (int First, int Count) SequencesOf(int? sequence)
    {
        if (sequence is not { } one)
            return (0, rings.Length);
        Check(one, 0, rings.Length - 1, nameof(sequence));
        return (one, 1);
    }

    private static int TokensOf(int elements, int row, int sequences, string name) =>
        elements % ((long)row * sequences) == 0
            ? (int)(elements / ((long)row * sequences))
            : throw new ArgumentException($"{name} has {elements} elements: must have {row} for each token of each of {sequences} sequences.", name);

    private static void Check(int value, int least, int most, string name)
    {
        if (value < least || value > most)
            throw new ArgumentOutOfRangeException(name, value, $"must be from {least} to {most}");
    }
}
