// How is a plan called on a case, in memory of the test's choosing? Rows at any strides, between guard pages, and back to dense arrays.
using System.Runtime.InteropServices;
using FsCheck;
using FsCheck.Fluent;
using S2Attn.Conformance.Campaigns;
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Optimized;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Tests.Optimized;

/// <summary>Everything that a forward and a backward call wrote, as bytes of dense tensors, to be compared bit by bit.</summary>
internal sealed record KernelBits(byte[] Output, byte[] LogSumExp, byte[] QueryGradient, byte[] KeyGradient, byte[] ValueGradient)
{
    public void AssertSame(KernelBits other, string message)
    {
        Assert.True(Output.AsSpan().SequenceEqual(other.Output), $"o: {message}");
        Assert.True(LogSumExp.AsSpan().SequenceEqual(other.LogSumExp), $"lse: {message}");
        Assert.True(QueryGradient.AsSpan().SequenceEqual(other.QueryGradient), $"dq: {message}");
        Assert.True(KeyGradient.AsSpan().SequenceEqual(other.KeyGradient), $"dk: {message}");
        Assert.True(ValueGradient.AsSpan().SequenceEqual(other.ValueGradient), $"dv: {message}");
    }
}

internal static class KernelRun
{
    /// <summary>So many cases of a generator agree with the definition, whatever the kernels of a width round.</summary>
    public static void StaysWithinTheBound(Gen<AttentionCase> cases, VectorWidth width, int count)
    {
        using OptimizedPort port = new(new S2AttentionOptions { VectorWidth = width, Threads = 2 });
        Prop.ForAll(
            Arb.From(cases),
            item =>
            {
                string[] wrong = [.. AgreementCampaign.Try(port, OptimizedPort.ModelOf, item).Where(agreement => !agreement.Agrees).Select(agreement => $"{agreement}")];
                return (wrong.Length == 0).Label(string.Join("; ", wrong));
            })
            .Check(Config.QuickThrowOnFailure.WithMaxTest(count));
    }

    /// <summary>Gradients of a plan in f16 are those in f32, each rounded once after the last addition to it; every key receives something.</summary>
    public static void RoundsStoredGradientsOnce(S2AttentionPlan plan, S2Config config)
    {
        Half[] q = Halves(config.Heads, 1), k = Halves(config.KvHeads, 2), v = Halves(config.KvHeads, 3), dout = Halves(config.Heads, 4), o = new Half[q.Length];
        float[] lse = new float[q.Length / config.HeadDim], dq = new float[q.Length], dk = new float[k.Length], dv = new float[k.Length];
        Half[] storedQuery = new Half[q.Length], storedKey = new Half[k.Length], storedValue = new Half[k.Length];
        plan.Forward<Half>(q, k, v, o, lse);
        plan.Backward<Half>(q, k, v, o, lse, dout, dq, dk, dv);
        plan.Backward<Half, Half>(q, k, v, o, lse, dout, storedQuery, storedKey, storedValue);
        Assert.Equal([.. dq.Select(x => (Half)x)], storedQuery);
        Assert.Equal([.. dk.Select(x => (Half)x)], storedKey);
        Assert.Equal([.. dv.Select(x => (Half)x)], storedValue);
        Assert.True(dk.All(x => x != 0));

        Half[] Halves(int heads, int seed)
        {
            Random random = new(seed);
            return [.. Enumerable.Range(0, config.Batch * config.Tokens * heads * config.HeadDim).Select(_ => (Half)(random.NextSingle() - 0.5f))];
        }
    }

    /// <summary>Dense tensors in guarded memory.</summary>
    public static KernelBits Run(AttentionCase item, S2AttentionOptions options, GuardSide side = GuardSide.After, S2Grid? grid = null) => item.Type switch
    {
        ElementType.F32 => Run(item, options, side, grid, value => (float)value),
        ElementType.F16 => Run(item, options, side, grid, value => (Half)value),
        ElementType.BF16 => Run(item, options, side, grid, value => (BFloat16)(float)value),
        _ => throw new InvalidOperationException($"The kernels do not store {item.Type}."),
    };

    private static KernelBits Run<T>(AttentionCase item, S2AttentionOptions options, GuardSide side, S2Grid? grid, Func<double, T> narrow)
        where T : unmanaged
    {
        S2Config config = item.Config;
        AttentionInput<double> input = item.BuildInput();
        TensorStrides StridesOf(TensorStrides? given, int heads) => given ?? TensorStrides.Dense(options.Layout, config.Tokens, heads, config.HeadDim);
        TensorStrides queryStrides = StridesOf(options.Query, config.Heads), outputStrides = StridesOf(options.Output, config.Heads);
        TensorStrides keyStrides = StridesOf(options.Key, config.KvHeads), valueStrides = StridesOf(options.Value, config.KvHeads);
        T gap = narrow(double.NaN);
        const float Canary = -12345.5f;

        using GuardedTensor<T> q = Input(input.Query, queryStrides), k = Input(input.Key, keyStrides), v = Input(input.Value, valueStrides);
        using GuardedTensor<T> outputGradient = Input(item.BuildOutputGradient(), outputStrides);
        using GuardedTensor<T> o = new(config, config.Heads, outputStrides, side, narrow(3));
        using GuardedTensor<float> dq = new(config, config.Heads, queryStrides, side, Canary);
        using GuardedTensor<float> dk = new(config, config.KvHeads, keyStrides, side, Canary), dv = new(config, config.KvHeads, valueStrides, side, Canary);
        using GuardedMemory<float> lse = new(config.Batch * config.Tokens * config.Heads, side);
        bool padded = input.Valid.Elements.Contains(false);
        using GuardedMemory<byte> valid = new(padded ? config.Batch * config.Tokens : 0, side);
        for (int i = 0; i < valid.Length; i++)
            valid.Span[i] = input.Valid.Elements[i] ? (byte)1 : (byte)0;

        using S2AttentionPlan plan = grid is null ? new(config, options) : S2AttentionPlan.OfGrid(grid, options);
        plan.Forward<T>(q.Span, k.Span, v.Span, o.Span, lse.Span, valid.Span);
        plan.Backward<T>(q.Span, k.Span, v.Span, o.Span, lse.Span, outputGradient.Span, dq.Span, dk.Span, dv.Span, valid.Span);
        return new(o.Dense(narrow(3)), MemoryMarshal.AsBytes(lse.Span).ToArray(), dq.Dense(Canary), dk.Dense(Canary), dv.Dense(Canary));

        GuardedTensor<T> Input(Tensor<double> dense, TensorStrides strides)
        {
            GuardedTensor<T> tensor = new(config, dense.Shape[2], strides, side, gap);
            tensor.Fill(i => narrow(dense.Elements[i]));
            return tensor;
        }
    }

    /// <summary>Strides that leave gaps, in a random order of the three axes.</summary>
    public static TensorStrides RandomStrides(Random random, S2Config config, int heads)
    {
        int[] lengths = [config.Batch, config.Tokens, heads];
        long[] strides = new long[3];
        int[] order = [0, 1, 2];
        random.Shuffle(order);
        long extent = config.HeadDim;
        foreach (int axis in order)
        {
            strides[axis] = extent + random.Next(4);
            extent = strides[axis] * lengths[axis];
        }

        return new(strides[0], strides[1], strides[2]);
    }
}

/// <summary>A tensor at given strides between guard pages; what lies between its rows must stay as it was.</summary>
internal sealed class GuardedTensor<T> : IDisposable
    where T : unmanaged
{
    private readonly GuardedMemory<T> memory;
    private readonly S2Config config;
    private readonly int heads;
    private readonly TensorStrides strides;

    public GuardedTensor(S2Config config, int heads, TensorStrides strides, GuardSide side, T fill)
    {
        (this.config, this.heads, this.strides) = (config, heads, strides);
        long extent = (config.Batch - 1) * strides.Batch + (config.Tokens - 1) * strides.Token + (heads - 1) * strides.Head + config.HeadDim;
        memory = new(checked((int)extent), side);
        memory.Span.Fill(fill);
    }

    public Span<T> Span => memory.Span;

    public void Fill(Func<int, T> dense)
    {
        foreach ((int at, int i) in Offsets())
            memory.Span[at] = dense(i);
    }

    /// <summary>The elements in row-major order as bytes. Gaps must still hold what they were filled with.</summary>
    public byte[] Dense(T fill)
    {
        T[] dense = new T[config.Batch * config.Tokens * heads * config.HeadDim];
        T[] gaps = memory.Span.ToArray();
        foreach ((int at, int i) in Offsets())
            (dense[i], gaps[at]) = (memory.Span[at], fill);
        Assert.All(gaps, gap => Assert.Equal(fill, gap));
        return MemoryMarshal.AsBytes<T>(dense).ToArray();
    }

    public void Dispose() => memory.Dispose();

    private IEnumerable<(int At, int Dense)> Offsets()
    {
        int i = 0;
        for (int b = 0; b < config.Batch; b++)
            for (int t = 0; t < config.Tokens; t++)
                for (int h = 0; h < heads; h++)
                    for (int d = 0; d < config.HeadDim; d++)
                        yield return ((int)(b * strides.Batch + t * strides.Token + h * strides.Head) + d, i++);
    }
}
