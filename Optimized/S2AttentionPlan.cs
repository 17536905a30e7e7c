// The safe face of the kernels: everything is checked here, once, before anything is read or written.
using System.Collections.Immutable;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using S2Attn.Optimized.Kernels;
using S2Attn.Spec;

namespace S2Attn.Optimized;

/// <summary>
/// S2-Attn for one configuration, planned once and run many times without managed allocation. Storage may be <see cref="float"/>, <see cref="Half"/> or
/// <see cref="BFloat16"/>; arithmetic is f32. Results are the same bits for any number of threads.
/// </summary>
/// <remarks>A plan serves one call at a time. Workspace is below 1 MiB for each thread up to D = 256, whatever N is.</remarks>
public sealed unsafe class S2AttentionPlan : IDisposable
{
    private readonly Geometry geometry;
    private readonly IEngines engines;
    private readonly IWorkScheduler scheduler;
    private readonly WorkerPool? ownPool;
    private readonly Workspace[] workspaces;
    private readonly TensorStrides queryStrides, keyStrides, valueStrides, outputStrides;
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
        queryStrides = Strides(options.Query, config.Heads);
        keyStrides = Strides(options.Key, config.KvHeads);
        valueStrides = Strides(options.Value, config.KvHeads);
        outputStrides = Strides(options.Output, config.Heads);
        CheckStrides("options.Query", queryStrides, config.Heads);
        CheckStrides("options.Key", keyStrides, config.KvHeads);
        CheckStrides("options.Value", valueStrides, config.KvHeads);
        CheckStrides("options.Output", outputStrides, config.Heads);
        BlockSizes sizes = new(config.HeadDim, engines.TileRows, engines.TileColumns);
        geometry = new(config, sequences(sizes), sizes);
        scheduler = options.Scheduler ?? (ownPool = new WorkerPool(Threads));
        nint floats = engines.WorkspaceFloats(sizes);
        workspaces = [.. Enumerable.Range(0, Threads).Select(_ => new Workspace(floats))];
        single = new(geometry, engines.Single, scheduler, workspaces);
        half = new(geometry, engines.Half, scheduler, workspaces);
        bfloat16 = new(geometry, engines.BFloat16, scheduler, workspaces);

        TensorStrides Strides(TensorStrides? given, int heads) => given ?? TensorStrides.Dense(options.Layout, config.Tokens, heads, config.HeadDim);
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

    /// <summary>Computes o and, where asked for, logsumexp.</summary>
    /// <param name="query">q, with the plan's strides.</param>
    /// <param name="key">k.</param>
    /// <param name="value">v.</param>
    /// <param name="output">o; it may not overlap an input.</param>
    /// <param name="logSumExp">lse [B,N,H], or empty where it is not wanted. The backward pass needs it.</param>
    /// <param name="valid">valid [B,N], 0 for a padded key; empty where no key is padded.</param>
    /// <param name="cancellation">Stops between work items; o is then partly written.</param>
    /// <exception cref="ArgumentException">A span is too short, or the output overlaps an input.</exception>
    /// <exception cref="NotSupportedException">T is not float, Half or BFloat16.</exception>
    /// <exception cref="InvalidOperationException">Another call is under way.</exception>
    /// <exception cref="OperationCanceledException">The call was cancelled.</exception>
    public void Forward<T>(ReadOnlySpan<T> query, ReadOnlySpan<T> key, ReadOnlySpan<T> value, Span<T> output, Span<float> logSumExp = default, ReadOnlySpan<byte> valid = default, CancellationToken cancellation = default)
        where T : unmanaged
    {
        CheckInputs(query, key, value, valid);
        CheckLength(nameof(output), output.Length, outputStrides, Config.Heads);
        if (!logSumExp.IsEmpty)
            CheckLength(nameof(logSumExp), logSumExp.Length, (long)Config.Batch * Config.Tokens * Config.Heads);
        ReadOnlySpan<byte> written = MemoryMarshal.AsBytes<T>(output), writtenLse = MemoryMarshal.AsBytes<float>(logSumExp);
        CheckApart(nameof(output), written, query, key, value, valid);
        CheckApart(nameof(logSumExp), writtenLse, query, key, value, valid);
        if (written.Overlaps(writtenLse))
            throw new ArgumentException("logSumExp overlaps output.", nameof(logSumExp));

        fixed (T* q = query, k = key, v = value, o = output)
        fixed (float* lse = logSumExp)
        fixed (byte* pad = valid)
        {
            Problem<T> problem = new()
            {
                Query = new(q, queryStrides),
                Key = new(k, keyStrides),
                Value = new(v, valueStrides),
                Output = new(o, outputStrides),
                LogSumExp = lse,
                Valid = pad,
            };
            Exclusively(CallsOf<T>(), problem, isBackward: false, cancellation);
        }
    }

    /// <summary>Computes dq, dk and dv in f32 from what the forward pass read and wrote, and from do.</summary>
    /// <param name="query">q, with the plan's strides.</param>
    /// <param name="key">k.</param>
    /// <param name="value">v.</param>
    /// <param name="output">o of the forward pass.</param>
    /// <param name="logSumExp">lse [B,N,H] of the forward pass.</param>
    /// <param name="outputGradient">do, with the strides of o.</param>
    /// <param name="queryGradient">dq, with the strides of q.</param>
    /// <param name="keyGradient">dk, with the strides of k: the sum over the query heads that share the kv head, unshifted ones first.</param>
    /// <param name="valueGradient">dv, with the strides of v; likewise.</param>
    /// <param name="valid">valid [B,N] as in the forward pass.</param>
    /// <param name="cancellation">Stops between work items; the gradients are then partly written.</param>
    /// <exception cref="ArgumentException">A span is too short, or a gradient overlaps another tensor.</exception>
    /// <exception cref="NotSupportedException">T is not float, Half or BFloat16.</exception>
    /// <exception cref="InvalidOperationException">Another call is under way.</exception>
    /// <exception cref="OperationCanceledException">The call was cancelled.</exception>
    public void Backward<T>(
        ReadOnlySpan<T> query,
        ReadOnlySpan<T> key,
        ReadOnlySpan<T> value,
        ReadOnlySpan<T> output,
        ReadOnlySpan<float> logSumExp,
        ReadOnlySpan<T> outputGradient,
        Span<float> queryGradient,
        Span<float> keyGradient,
        Span<float> valueGradient,
        ReadOnlySpan<byte> valid = default,
        CancellationToken cancellation = default)
        where T : unmanaged
    {
        CheckInputs(query, key, value, valid);
        CheckLength(nameof(output), output.Length, outputStrides, Config.Heads);
        CheckLength(nameof(logSumExp), logSumExp.Length, (long)Config.Batch * Config.Tokens * Config.Heads);
        CheckLength(nameof(outputGradient), outputGradient.Length, outputStrides, Config.Heads);
        CheckLength(nameof(queryGradient), queryGradient.Length, queryStrides, Config.Heads);
        CheckLength(nameof(keyGradient), keyGradient.Length, keyStrides, Config.KvHeads);
        CheckLength(nameof(valueGradient), valueGradient.Length, valueStrides, Config.KvHeads);
        ReadOnlySpan<byte> dqBytes = MemoryMarshal.AsBytes<float>(queryGradient), dkBytes = MemoryMarshal.AsBytes<float>(keyGradient), dvBytes = MemoryMarshal.AsBytes<float>(valueGradient);
        CheckGradientApart(nameof(queryGradient), dqBytes, query, key, value, output, logSumExp, outputGradient, valid);
        CheckGradientApart(nameof(keyGradient), dkBytes, query, key, value, output, logSumExp, outputGradient, valid);
        CheckGradientApart(nameof(valueGradient), dvBytes, query, key, value, output, logSumExp, outputGradient, valid);
        if (dqBytes.Overlaps(dkBytes) || dqBytes.Overlaps(dvBytes) || dkBytes.Overlaps(dvBytes))
            throw new ArgumentException("queryGradient, keyGradient and valueGradient must not overlap each other.", nameof(queryGradient));

        fixed (T* q = query, k = key, v = value, o = output, dout = outputGradient)
        fixed (float* lse = logSumExp, dq = queryGradient, dk = keyGradient, dv = valueGradient)
        fixed (byte* pad = valid)
        {
            Problem<T> problem = new()
            {
                Query = new(q, queryStrides),
                Key = new(k, keyStrides),
                Value = new(v, valueStrides),
                Output = new(o, outputStrides),
                LogSumExp = lse,
                Valid = pad,
                OutputGradient = new(dout, outputStrides),
                QueryGradient = new(dq, queryStrides),
                KeyGradient = new(dk, keyStrides),
                ValueGradient = new(dv, valueStrides),
            };
            Exclusively(CallsOf<T>(), problem, isBackward: true, cancellation);
        }
    }

    /// <summary>Frees the workspaces and ends the plan's threads.</summary>
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

    private void CheckInputs<T>(ReadOnlySpan<T> query, ReadOnlySpan<T> key, ReadOnlySpan<T> value, ReadOnlySpan<byte> valid)
        where T : unmanaged
    {
        CheckLength(nameof(query), query.Length, queryStrides, Config.Heads);
        CheckLength(nameof(key), key.Length, keyStrides, Config.KvHeads);
        CheckLength(nameof(value), value.Length, valueStrides, Config.KvHeads);
        if (!valid.IsEmpty)
            CheckLength(nameof(valid), valid.Length, (long)Config.Batch * Config.Tokens);
    }

    private void CheckLength(string name, int length, TensorStrides strides, int heads) =>
        CheckLength(name, length, strides.Extent(Config.Batch, Config.Tokens, heads, Config.HeadDim));

    private static void CheckLength(string name, int length, Int128 needed)
    {
        if (length < needed)
            throw new ArgumentException($"{name} has {length} elements: its shape and strides reach {needed}.", name);
    }

    private static void CheckApart<T>(string name, ReadOnlySpan<byte> written, ReadOnlySpan<T> query, ReadOnlySpan<T> key, ReadOnlySpan<T> value, ReadOnlySpan<byte> valid)
        where T : unmanaged
    {
        string? other = written.Overlaps(MemoryMarshal.AsBytes(query)) ? nameof(query)
            : written.Overlaps(MemoryMarshal.AsBytes(key)) ? nameof(key)
            : written.Overlaps(MemoryMarshal.AsBytes(value)) ? nameof(value)
            : written.Overlaps(valid) ? nameof(valid)
            : null;
        if (other is not null)
            throw new ArgumentException($"{name} overlaps {other}: what is written may not overlap what is read.", name);
    }

    private static void CheckGradientApart<T>(string name, ReadOnlySpan<byte> written, ReadOnlySpan<T> query, ReadOnlySpan<T> key, ReadOnlySpan<T> value, ReadOnlySpan<T> output, ReadOnlySpan<float> logSumExp, ReadOnlySpan<T> outputGradient, ReadOnlySpan<byte> valid)
        where T : unmanaged
    {
        CheckApart(name, written, query, key, value, valid);
        string? other = written.Overlaps(MemoryMarshal.AsBytes(output)) ? nameof(output)
            : written.Overlaps(MemoryMarshal.AsBytes(logSumExp)) ? nameof(logSumExp)
            : written.Overlaps(MemoryMarshal.AsBytes(outputGradient)) ? nameof(outputGradient)
            : null;
        if (other is not null)
            throw new ArgumentException($"{name} overlaps {other}: what is written may not overlap what is read.", name);
    }

    // Rows may not share elements: a gradient has the strides of its tensor, and two work items may not write one element.
    private void CheckStrides(string name, TensorStrides strides, int heads)
    {
        (long Stride, int Length)[] axes = [(strides.Batch, Config.Batch), (strides.Token, Config.Tokens), (strides.Head, heads)];
        Int128 extent = Config.HeadDim;
        foreach ((long stride, int length) in axes.Where(axis => axis.Length > 1).OrderBy(axis => axis.Stride))
        {
            if (stride < extent)
                throw new ArgumentOutOfRangeException(name, strides, $"A stride of {stride} is less than the {extent} elements that it must step over.");
            extent += (Int128)(length - 1) * stride;
        }
    }

    private static ImmutableArray<Sequence> DenseSequences(S2Config config, BlockSizes sizes)
    {
        SequenceWork work = new(config, config.Tokens, config.GroupSize, config.Shift, sizes.BlockQueries);
        return [.. Enumerable.Range(0, config.Batch).Select(b => new Sequence(b, 0, work))];
    }
}
