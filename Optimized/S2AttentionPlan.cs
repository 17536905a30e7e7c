// The safe face of the kernels: everything is checked here, once, before anything is read or written.
using System.Collections.Immutable;
using System.Runtime.CompilerServices;
using S2Attn.Optimized.Kernels;
using S2Attn.Spec;

namespace S2Attn.Optimized;

/// <summary>
/// S2-Attn for one configuration, planned once and run many times without managed allocation. Storage may be <see cref="float"/>, <see cref="Half"/> or
/// <see cref="BFloat16"/>; arithmetic is f32. Results are the same bits for any number of threads.
/// </summary>
/// <remarks>A plan serves one call at a time. Workspace is below 1 MiB for each thread up to D = 256, whatever N is.</remarks>
public sealed unsafe partial class S2AttentionPlan : IDisposable
{
    private readonly Geometry geometry;
    private readonly IEngines engines;
    private readonly IWorkScheduler scheduler;
    private readonly WorkerPool? ownPool;
    private readonly Workspace[] workspaces;
    private readonly Places places;
    private readonly Calls<float> single;
    private readonly Calls<Half> half;
    private readonly Calls<BFloat16> bfloat16;
    private int busy;

    /// <summary>Plans a configuration.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The number of threads is not positive, or the strides let rows of o overlap.</exception>
    /// <exception cref="PlatformNotSupportedException">The vector width is not available.</exception>
    public S2AttentionPlan(S2Config config, S2AttentionOptions? options = null)
        : this(config, options ?? new(), sizes => DenseSequences(config, sizes))
    {
    }

    private S2AttentionPlan(S2Config config, S2AttentionOptions options, Func<BlockSizes, ImmutableArray<Sequence>> sequences)
    {
        ArgumentNullException.ThrowIfNull(config);
        Config = config;
        Threads = options.Threads ?? Environment.ProcessorCount;
        ArgumentOutOfRangeException.ThrowIfLessThan(Threads, 1, "options.Threads");
        engines = Engines.For(options.VectorWidth);
        places = new(config, options, config.Batch, config.Tokens);
        BlockSizes sizes = new(config.HeadDim, engines.TileRows, engines.TileColumns);
        geometry = new(config, sequences(sizes), sizes);
        scheduler = options.Scheduler ?? (ownPool = new WorkerPool(Threads));
        nint floats = engines.WorkspaceFloats(sizes);
        workspaces = [.. Enumerable.Range(0, Threads).Select(_ => new Workspace(floats))];
        single = new(geometry, engines.Single, scheduler, workspaces);
        half = new(geometry, engines.Half, scheduler, workspaces);
        bfloat16 = new(geometry, engines.BFloat16, scheduler, workspaces);
    }

    /// <summary>The configuration.</summary>
    public S2Config Config { get; }

    /// <summary>Workers of a call.</summary>
    public int Threads { get; }

    /// <summary>Bytes of scratch memory of each thread.</summary>
    public long WorkspaceBytesPerThread => workspaces[0].Floats * sizeof(float);

    /// <summary>
    /// Plans a batch of sequences of different lengths that are packed one behind the other: q [T,H,D], k and v [T,K,D], o [T,H,D], logsumexp [T,H].
    /// </summary>
    /// <param name="request">Heads, D, G, S, mask and scale; Batch must be 1 and Tokens the packed length T.</param>
    /// <param name="cumulativeLengths">cu_seqlens: 0, the end of the first sequence, ..., T; strictly increasing.</param>
    /// <param name="options">Options.</param>
    /// <remarks>
    /// Each sequence is attended as if it were alone. One shorter than G is a single group; it is cut at S where the policy cuts and it is longer than S.
    /// Policies other than the Split ones need every length to be a multiple of G.
    /// </remarks>
    /// <exception cref="ArgumentException">The lengths do not start at 0, increase and end at T, or a length does not suit the policy.</exception>
    public static S2AttentionPlan Packed(S2Request request, ReadOnlySpan<int> cumulativeLengths, S2AttentionOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(request);
        if (cumulativeLengths.Length < 2 || cumulativeLengths[0] != 0 || cumulativeLengths[^1] != request.Tokens)
            throw new ArgumentException($"cumulativeLengths must start at 0 and end at Tokens = {request.Tokens}.", nameof(cumulativeLengths));
        if (request.Batch != 1)
            throw new ArgumentException($"Batch = {request.Batch}: must be 1 for a packed batch.", nameof(request));
        S2Config config = S2Config.Create(request);
        int[] starts = cumulativeLengths.ToArray();
        for (int i = 1; i < starts.Length; i++)
        {
            int length = starts[i] - starts[i - 1];
            if (length < 1)
                throw new ArgumentException($"cumulativeLengths[{i}] = {starts[i]}: must be greater than cumulativeLengths[{i - 1}] = {starts[i - 1]}.", nameof(cumulativeLengths));
            if (!config.Mask.CutsWrappedRun() && length % config.GroupSize != 0)
                throw new ArgumentException($"Sequence {i - 1} has {length} tokens: GroupSize = {config.GroupSize} must divide it under {config.Mask}.", nameof(cumulativeLengths));
        }

        return new(config, options ?? new(), sizes => [.. Enumerable.Range(0, starts.Length - 1).Select(i =>
        {
            int length = starts[i + 1] - starts[i];
            return new Sequence(0, starts[i], new SequenceWork(config, length, Math.Min(config.GroupSize, length), config.Shift < length ? config.Shift : 0, sizes.BlockQueries));
        })]);
    }

    /// <summary>
    /// Ends the plan's own threads and waits for them; the next call starts them anew. For whoever is about to fork the process: a child has only the thread that forked.
    /// </summary>
    /// <exception cref="InvalidOperationException">A call is under way.</exception>
    public void StopThreads()
    {
        if (Interlocked.Exchange(ref busy, 1) != 0)
            throw new InvalidOperationException("A call is under way: threads can be stopped between calls.");
        ownPool?.Stop();
        Volatile.Write(ref busy, 0);
    }

    /// <summary>Frees the workspaces and ends the plan's threads, for which it waits.</summary>
    public void Dispose()
    {
        ownPool?.Dispose();
        foreach (Workspace workspace in workspaces)
            workspace.Dispose();
    }

    private Calls<T> CallsOf<T>()
        where T : unmanaged
    {
        object calls = typeof(T) == typeof(float) ? single
            : typeof(T) == typeof(Half) ? half
            : typeof(T) == typeof(BFloat16) ? bfloat16
            : throw new NotSupportedException($"T = {typeof(T)}: tensors of float, Half and BFloat16 are supported.");
        return Unsafe.As<Calls<T>>(calls);
    }

    private void Exclusively<T>(Calls<T> calls, in Problem<T> problem, bool isBackward, CancellationToken cancellation)
        where T : unmanaged
    {
        cancellation.ThrowIfCancellationRequested();
        if (Interlocked.Exchange(ref busy, 1) != 0)
            throw new InvalidOperationException("Another call is under way: a plan serves one call at a time.");
        try
        {
            calls.Run(problem, isBackward, cancellation);
        }
        finally
        {
            Volatile.Write(ref busy, 0);
        }
    }

    private static ImmutableArray<Sequence> DenseSequences(S2Config config, BlockSizes sizes)
    {
        SequenceWork work = new(config, config.Tokens, config.GroupSize, config.Shift, sizes.BlockQueries);
        return [.. Enumerable.Range(0, config.Batch).Select(b => new Sequence(b, 0, work))];
    }
}
