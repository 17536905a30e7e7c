// The safe face of the kernels: everything is checked here, once, before anything is read or written.
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using S2Attn.Optimized.Kernels;
using S2Attn.Spec;

namespace S2Attn.Optimized;

/// <summary>
/// S2-Attn for one configuration, planned once and run many times without managed allocation. Storage may be <see cref="float"/>, <see cref="Half"/> or
/// <see cref="BFloat16"/>; arithmetic is f32. Results are the same bits for any number of threads.
/// </summary>
/// <remarks>
/// A plan serves one call at a time. Workspace is below 1 MiB for each thread up to D = 256, whatever N is; a plan's own memory does not depend on N or G, and is
/// for each sequence of a packed batch 16 bytes and 8 for each shift, and for each length that occurs 100 for each shift; for a grid see <see cref="OfGrid"/>. A plan that is no longer used ends its threads when it is disposed of, or when it is collected.
/// </remarks>
public sealed unsafe partial class S2AttentionPlan : IDisposable
{
    private const int MaxThreads = 4096;

    private readonly CallGate gate = new();
    private readonly Places places;
    private readonly GridWindows? windows;
    private readonly PlanResources resources;
    private readonly Calls<float> single;
    private readonly Calls<Half> half;
    private readonly Calls<BFloat16> bfloat16;

    /// <summary>Plans a configuration.</summary>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of its range, or strides let rows of a tensor that is written share elements.</exception>
    /// <exception cref="PlatformNotSupportedException">The vector width is not available.</exception>
    public S2AttentionPlan(S2Config config, S2AttentionOptions? options = null)
        : this(config, options ?? new(), Engines.For)
    {
    }

    /// <summary>Plans with other kernels than those of this processor, as a test that makes them fail does.</summary>
    internal S2AttentionPlan(S2Config config, S2AttentionOptions options, Func<VectorWidth, IEngines> enginesFor)
        : this(config, options, options.Batch ?? config?.Batch ?? 0, new(0, config?.Tokens ?? 0), new(0, config?.Tokens ?? 0), null, Sequences.Alike, enginesFor)
    {
    }

    private S2AttentionPlan(
        S2Config? config,
        S2AttentionOptions options,
        int batch,
        TokenRange<int> queries,
        TokenRange<int> keys,
        GridWindows? windows,
        Func<S2Config, int, Sequences> sequences,
        Func<VectorWidth, IEngines> enginesFor,
        bool isSlice = false)
    {
        ArgumentNullException.ThrowIfNull(config);
        Config = config;
        Threads = options.Threads ?? Math.Min(Environment.ProcessorCount, MaxThreads);
        if (Threads is < 1 or > MaxThreads)
            throw new ArgumentOutOfRangeException("options.Threads", Threads, $"must be from 1 to {MaxThreads}");
        ArgumentOutOfRangeException.ThrowIfNegative(batch, "options.Batch");
        BlockForms.CheckHeadDim(nameof(config), config.HeadDim);
        IEngines engines = enginesFor(options.VectorWidth);
        this.windows = windows;
        places = new(config, options, batch, queries, keys, windows);
        BlockSizes sizes = new(config.HeadDim, engines.TileRows, engines.TileColumns);
        Geometry geometry = new(config, sequences(config, batch), batch, keys, isSlice, sizes);
        WorkerPool? pool = options.Scheduler is null ? new(Threads) : null;
        IWorkScheduler scheduler = options.Scheduler ?? pool!;
        resources = new(Threads, engines.WorkspaceFloats(sizes), pool);
        bool decides = options.Threads is null && options.Scheduler is null;
        single = new(geometry, engines.Single, scheduler, resources, decides);
        half = new(geometry, engines.Half, scheduler, resources, decides);
        bfloat16 = new(geometry, engines.BFloat16, scheduler, resources, decides);
    }

    /// <summary>The configuration; of a slice that of its sequence, of a packed batch that of its longest sequence alone, of a grid that of its tokens, whose G and S say nothing.</summary>
    public S2Config Config { get; }

    /// <summary>Workers of a call, at most: where the options leave their number open, a call that is too small to gain from several runs on the calling thread.</summary>
    public int Threads { get; }

    /// <summary>Bytes of scratch memory of each thread.</summary>
    public long WorkspaceBytesPerThread => resources.FloatsOfWorker * sizeof(float);

    /// <summary>
    /// Plans a batch of sequences of different lengths that are packed one behind the other: q [T,H,D], k and v [T,K,D], o [T,H,D], logsumexp [T,H].
    /// </summary>
    /// <param name="request">Heads, D, G, S, mask, scale and prefix; Batch must be 1 and Tokens the packed length T.</param>
    /// <param name="cumulativeLengths">cu_seqlens: 0, the end of the first sequence, ..., T; never decreasing. A sequence may be empty, and so may the batch.</param>
    /// <param name="options">Options.</param>
    /// <remarks>
    /// Each sequence is attended as if it were alone, with the G and S that the request's rule gives for its length. One shorter than a given G is a single group; it is cut at S
    /// where the policy cuts and it is longer than S. Each has a prefix of its own first tokens, at most all of them. Policies other than the Split ones, and the ratio rule, need G to divide every length that is greater.
    /// </remarks>
    /// <exception cref="ArgumentException">The lengths do not start at 0, decrease or do not end at T, or a length does not suit the policy or the rule.</exception>
    public static S2AttentionPlan Packed(S2Request request, ReadOnlySpan<int> cumulativeLengths, S2AttentionOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(request);
        if (cumulativeLengths.Length < 1 || cumulativeLengths[0] != 0 || cumulativeLengths[^1] != request.Tokens)
            throw new ArgumentException($"cumulativeLengths must start at 0 and end at Tokens = {request.Tokens}.", nameof(cumulativeLengths));
        if (request.Batch != 1)
            throw new ArgumentException($"Batch = {request.Batch}: must be 1 for a packed batch.", nameof(request));
        if (options?.Batch is { } batch and not 1)
            throw new ArgumentOutOfRangeException("options.Batch", batch, "must be 1 for a packed batch");
        int[] starts = cumulativeLengths.ToArray();
        S2Config config = CheckPacked(request, starts);
        TokenRange<int> tokens = new(0, request.Tokens);
        return new(config, options ?? new(), 1, tokens, tokens, null, (_, _) => Sequences.Packed(request, starts), Engines.For);
    }

    /// <summary>
    /// Plans a part of a sequence: q and o [B,t1-t0,H,D], logsumexp [B,t1-t0,H], k and v [B,u1-u0,K,D], valid [B,u1-u0], gradients as what they are the gradients of.
    /// </summary>
    /// <param name="slice">The queries [t0,t1) and the keys [u0,u1) that are there for them.</param>
    /// <param name="options">Options.</param>
    /// <remarks>
    /// The forward pass and dq give the bits of a plan of the whole sequence. dk and dv are the shares of these queries, 0 where none of them sees the key; shares of slices
    /// that make up the sequence add up to the whole, and where a slice has all queries that see a key, its share has the bits of the whole if it starts at the start of
    /// their run. Keys that no query of the slice sees are not read.
    /// </remarks>
    /// <inheritdoc cref="S2AttentionPlan(S2Config, S2AttentionOptions)" path="/exception"/>
    public static S2AttentionPlan OfSlice(S2Slice slice, S2AttentionOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(slice);
        return new(slice.Config, options ?? new(), options?.Batch ?? slice.Config.Batch, slice.Queries, slice.Keys, null, (_, batch) => Sequences.Of(slice, batch), Engines.For, isSlice: true);
    }

    /// <summary>
    /// Plans attention over tokens on one to three axes, as the shifted windows of Swin: q and o [B,N,H,D], k and v [B,N,K,D], logsumexp [B,N,H], valid [B,N], gradients as what they are the
    /// gradients of, N tokens in raster order.
    /// </summary>
    /// <param name="grid">The axes, and heads, D, mask and scale.</param>
    /// <param name="options">Options.</param>
    /// <remarks>
    /// Nothing is rolled or copied: each window is read and written where its tokens stand. For that a plan keeps 4 bytes for each token, and as much again where some heads shift and some do
    /// not, and up to 32 for each window; a call with padded keys takes a byte for each of these tokens and batch entry. The bits of o and dq are those of each window attended alone.
    /// </remarks>
    /// <exception cref="ArgumentOutOfRangeException">The grid has more tokens than an array holds, an option is out of its range, or strides let rows of a tensor that is written share elements.</exception>
    /// <exception cref="PlatformNotSupportedException">The vector width is not available.</exception>
    public static S2AttentionPlan OfGrid(S2Grid grid, S2AttentionOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(grid);
        GridWindows windows = new(grid);
        TokenRange<int> tokens = new(0, grid.Tokens.Tokens);
        return new(grid.Tokens, options ?? new(), options?.Batch ?? grid.Tokens.Batch, tokens, tokens, windows, (_, batch) => windows.Sequences(batch), Engines.For);
    }

    // Every length that occurs is validated as Spec validates it alone. The configuration of the longest.
    private static S2Config CheckPacked(S2Request request, int[] cumulativeLengths)
    {
        // A given G and S must suit each other whatever the lengths are; so must heads, mask and scale.
        HeadShift? own = request.ShiftedHeads is { HasOwnShifts: true } heads ? heads : null;
        if (request.GroupSize is GroupSizeRule.Explicit given)
        {
            S2Request alone = new() { Tokens = Math.Max(1, given.GroupSize), HeadDim = 1, GroupSize = given, Shift = request.Shift, Mask = request.Mask };
            S2Config.Create(own is null ? alone : alone with { Heads = request.Heads, ShiftedHeads = own });
        }

        S2Config longest = S2Config.Create(request with
        {
            Tokens = 1,
            GroupSize = request.GroupSize is null ? null! : GroupSizeRule.Of(1),
            Prefix = Math.Min(request.Prefix, 1),
            Shift = 0,
            ShiftedHeads = own is null ? request.ShiftedHeads! : HeadShift.None,
        });
        int most = 0;
        HashSet<int> lengths = [];
        for (int i = 1; i < cumulativeLengths.Length; i++)
        {
            if (cumulativeLengths[i] < cumulativeLengths[i - 1])
                throw new ArgumentException($"cumulativeLengths[{i}] = {cumulativeLengths[i]}: must be at least cumulativeLengths[{i - 1}] = {cumulativeLengths[i - 1]}.", nameof(cumulativeLengths));
            int length = cumulativeLengths[i] - cumulativeLengths[i - 1];
            if (length == 0 || !lengths.Add(length))
                continue;
            ConfigResult alone = S2Config.TryCreate(request.OfPackedSequence(length));
            if (alone is ConfigResult.Invalid invalid)
                throw new ArgumentException($"Sequence {i - 1} has {length} tokens: {invalid}", nameof(cumulativeLengths));
            if (length > most && alone is ConfigResult.Valid valid)
                (most, longest) = (length, valid.Config);
        }

        return longest;
    }

    /// <summary>
    /// Ends the plan's own threads and waits for them; the next call starts them anew. For whoever is about to fork the process: a child has only the thread that forked.
    /// </summary>
    /// <exception cref="InvalidOperationException">A call is under way.</exception>
    public void StopThreads()
    {
        // A plan that was disposed of has no threads.
        if (gate.IsClosed)
            return;
        gate.Enter(this);
        try
        {
            resources.StopThreads();
        }
        finally
        {
            gate.Leave();
            GC.KeepAlive(this);
        }
    }

    /// <summary>Waits for the call under way, ends the plan's threads and frees their memory. Further calls throw.</summary>
    /// <exception cref="InvalidOperationException">It is called from inside a call, by the plan's scheduler.</exception>
    public void Dispose()
    {
        if (gate.Close())
            resources.Dispose();
    }

    private Calls<T> CallsOf<T>()
        where T : unmanaged
    {
        gate.ThrowIfClosed(this);
        object calls = typeof(T) == typeof(float) ? single
            : typeof(T) == typeof(Half) ? half
            : typeof(T) == typeof(BFloat16) ? bfloat16
            : throw new NotSupportedException($"T = {typeof(T)}: tensors of float, Half and BFloat16 are supported.");
        return Unsafe.As<Calls<T>>(calls);
    }

    private void Exclusively<T>(Calls<T> calls, in Problem<T> problem, bool isBackward, CancellationToken cancellation)
        where T : unmanaged
    {
        gate.Enter(this);
        byte* ordered = null;
        try
        {
            cancellation.ThrowIfCancellationRequested();
            if (windows is null || problem.Valid.IsAbsent)
            {
                calls.Run(problem, isBackward, cancellation);
                return;
            }

            int batch = places.Valid.Batch;
            ordered = (byte*)NativeMemory.Alloc((nuint)batch, (nuint)windows.Count);
            windows.Order(problem.Valid, batch, ordered);
            calls.Run(problem with { Valid = new(ordered, places.OrderedValid) }, isBackward, cancellation);
        }
        finally
        {
            NativeMemory.Free(ordered);
            gate.Leave();
            GC.KeepAlive(this);
        }
    }
}
