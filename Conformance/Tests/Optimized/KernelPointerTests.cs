// Does the face over pointers take what people have: any size, any strides, a fused buffer, gradients in storage? And refuse what it must, by name?
using FsCheck;
using FsCheck.Fluent;
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Optimized;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Tests.Optimized;

public sealed unsafe class KernelPointerTests
{
    private const int Batch = 2, Tokens = 21, Heads = 4, KvHeads = 2, Dim = 5;

    private static readonly S2Request Request = new()
    {
        Batch = Batch,
        Tokens = Tokens,
        Heads = Heads,
        KvHeads = KvHeads,
        HeadDim = Dim,
        GroupSize = GroupSizeRule.Of(8),
        Mask = MaskPolicy.Split,
    };

    private static readonly S2Config Config = S2Config.Create(Request);

    private readonly float[] q = Noise(1, Heads * Dim), k = Noise(2, KvHeads * Dim), v = Noise(3, KvHeads * Dim), outputGradient = Noise(4, Heads * Dim), lseGradient = Noise(5, Heads);

    private static float[] Noise(int seed, int perToken)
    {
        Random random = new(seed);
        return [.. Enumerable.Range(0, Batch * Tokens * perToken).Select(_ => random.NextSingle() - 0.5f)];
    }

    private sealed record Results(float[] O, float[] Lse, float[] Dq, float[] Dk, float[] Dv)
    {
        public static Results Fresh() => new(New(Heads * Dim), New(Heads), New(Heads * Dim), New(KvHeads * Dim), New(KvHeads * Dim));

        private static float[] New(int perToken) => [.. Enumerable.Repeat(7f, Batch * Tokens * perToken)];
    }

    private Results Dense()
    {
        Results results = Results.Fresh();
        using S2AttentionPlan plan = new(Config);
        plan.Forward<float>(q, k, v, results.O, results.Lse);
        plan.Backward<float>(q, k, v, results.O, results.Lse, outputGradient, results.Dq, results.Dk, results.Dv, logSumExpGradient: lseGradient);
        return results;
    }

    private static void Same(float[] expected, float[] actual) => Assert.Equal(expected.Select(BitConverter.SingleToInt32Bits), actual.Select(BitConverter.SingleToInt32Bits));

    [Fact]
    public void Gradients_in_one_fused_buffer_and_a_head_major_logsumexp_have_the_bits_of_dense_tensors()
    {
        // [B,N,H+2K,D]: the spans of dq, dk and dv overlap, no element does. The forward pass reads q, k and v from such a buffer too.
        const int Fused = (Heads + 2 * KvHeads) * Dim;
        TensorStrides fused = new(Tokens * Fused, Fused, Dim), headMajor = new(Heads * Tokens, 1, Tokens);
        float[] qkv = Interleave(q, k, v), gradients = new float[qkv.Length], o = new float[q.Length], lse = new float[Batch * Tokens * Heads], dlse = new float[lse.Length];
        foreach ((int at, int dense) in HeadMajor())
            dlse[at] = lseGradient[dense];
        using S2AttentionPlan plan = new(Config, new() { Query = fused, Key = fused, Value = fused, LogSumExp = headMajor });
        plan.Forward<float>(qkv, qkv.AsSpan(Heads * Dim), qkv.AsSpan((Heads + KvHeads) * Dim), o, lse);
        plan.Backward<float>(
            qkv, qkv.AsSpan(Heads * Dim), qkv.AsSpan((Heads + KvHeads) * Dim), o, lse, outputGradient,
            gradients, gradients.AsSpan(Heads * Dim), gradients.AsSpan((Heads + KvHeads) * Dim), default, dlse);
        Results expected = Dense();
        Same(expected.O, o);
        Same(expected.Lse, [.. HeadMajor().OrderBy(pair => pair.Dense).Select(pair => lse[pair.At])]);
        Same(Interleave(expected.Dq, expected.Dk, expected.Dv), gradients);

        static IEnumerable<(int At, int Dense)> HeadMajor() =>
            from b in Enumerable.Range(0, Batch)
            from t in Enumerable.Range(0, Tokens)
            from h in Enumerable.Range(0, Heads)
            select ((b * Heads + h) * Tokens + t, (b * Tokens + t) * Heads + h);

        static float[] Interleave(float[] q, float[] k, float[] v) => [.. Enumerable.Range(0, Batch * Tokens).SelectMany(t =>
            q.Skip(t * Heads * Dim).Take(Heads * Dim).Concat(k.Skip(t * KvHeads * Dim).Take(KvHeads * Dim)).Concat(v.Skip(t * KvHeads * Dim).Take(KvHeads * Dim)))];
    }

    [Fact]
    public void Keys_expanded_over_heads_and_reversed_tokens_are_read_in_place()
    {
        // One kv head for all, as expand makes it, and time running backwards: the same as copies of it.
        S2Config config = S2Config.Create(Request with { KvHeads = Heads });
        float[] shared = Noise(6, Dim), reversed = new float[Batch * Tokens * Dim], copies = new float[q.Length];
        for (int b = 0; b < Batch; b++)
            for (int t = 0; t < Tokens; t++)
            {
                ReadOnlySpan<float> row = shared.AsSpan((b * Tokens + t) * Dim, Dim);
                row.CopyTo(reversed.AsSpan((b * Tokens + Tokens - 1 - t) * Dim));
                for (int h = 0; h < Heads; h++)
                    row.CopyTo(copies.AsSpan(((b * Tokens + t) * Heads + h) * Dim));
            }

        float[] o = new float[q.Length], lse = new float[o.Length / Dim], dq = new float[o.Length], dk = new float[o.Length], dv = new float[o.Length];
        float[] o2 = new float[q.Length], lse2 = new float[lse.Length], dq2 = new float[o.Length], dk2 = new float[o.Length], dv2 = new float[o.Length];
        using S2AttentionPlan dense = new(config);
        dense.Forward<float>(q, copies, copies, o, lse);
        dense.Backward<float>(q, copies, copies, o, lse, outputGradient, dq, dk, dv);
        TensorStrides expanded = new(Tokens * Dim, -Dim, 0);
        using S2AttentionPlan plan = new(config, new() { Key = expanded, Value = expanded });
        plan.Forward<float>(q, reversed, reversed, o2, lse2);
        plan.Backward<float>(q, reversed, reversed, o2, lse2, outputGradient, dq2, dk2, dv2);
        Same(o, o2);
        Same(dq, dq2);
        Same(dk, dk2);
        Same(dv, dv2);
    }

    [Fact]
    public void Gradients_in_the_storage_type_are_those_in_f32_rounded_once()
    {
        foreach (int threads in new[] { 1, 3 })
        {
            using S2AttentionPlan plan = new(Config, new() { Threads = threads });
            Check(plan, value => (BFloat16)value);
            Check(plan, value => (Half)value);
        }

        void Check<T>(S2AttentionPlan plan, Func<float, T> narrow)
            where T : unmanaged
        {
            T[] query = Narrow(q), key = Narrow(k), value = Narrow(v), output = new T[q.Length], gradient = Narrow(outputGradient);
            Results results = Results.Fresh();
            T[] dq = new T[q.Length], dk = new T[k.Length], dv = new T[v.Length];
            plan.Forward<T>(query, key, value, output, results.Lse);
            plan.Backward<T>(query, key, value, output, results.Lse, gradient, results.Dq, results.Dk, results.Dv);
            plan.Backward<T, T>(query, key, value, output, results.Lse, gradient, dq, dk, dv);
            Assert.Equal(Narrow(results.Dq), dq);
            Assert.Equal(Narrow(results.Dk), dk);
            Assert.Equal(Narrow(results.Dv), dv);

            T[] Narrow(float[] values) => [.. values.Select(narrow)];
        }
    }

    /// <summary>Rows 2^31 elements apart, in reserved memory of which only the rows are touched.</summary>
    [Fact]
    public void Tensors_past_two_to_the_31_elements_have_the_bits_of_small_ones()
    {
        const long Step = (1L << 31) + 24;
        S2Config config = S2Config.Create(Request with { Batch = 1, Tokens = 3, Heads = 1, KvHeads = 1, GroupSize = GroupSizeRule.Of(2) });
        TensorStrides strides = new(0, Step, 0);
        float[] o = new float[3 * Dim], lse = new float[3], dq = new float[o.Length], dk = new float[o.Length], dv = new float[o.Length];
        using S2AttentionPlan dense = new(config), plan = new(config, new() { Query = strides, Key = strides, Value = strides, Output = strides, LogSumExp = strides });
        dense.Forward<float>(q.AsSpan(0, o.Length), k.AsSpan(0, o.Length), v.AsSpan(0, o.Length), o, lse);
        dense.Backward<float>(q.AsSpan(0, o.Length), k.AsSpan(0, o.Length), v.AsSpan(0, o.Length), o, lse, outputGradient.AsSpan(0, o.Length), dq, dk, dv);

        // All tensors share the reserved range: they start 64 elements apart.
        using ReservedMemory memory = new((2 * Step + 1024) * sizeof(float));
        float* first = (float*)memory.Start;
        Fill(0, q, Dim);
        Fill(1, k, Dim);
        Fill(2, v, Dim);
        Fill(3, outputGradient, Dim);
        plan.ForwardPointers(At(0), At(1), At(2), At(4), At(5), null);
        plan.BackwardPointers(At(0), At(1), At(2), At(4), At(5), At(3), At(6), At(7), At(8));
        Same(o, Read(4, Dim));
        Same(lse, Read(5, 1));
        Same(dq, Read(6, Dim));
        Same(dk, Read(7, Dim));
        Same(dv, Read(8, Dim));
        Assert.Contains("reach", Assert.Throws<ArgumentException>(() => plan.Forward<float>(q, k, v, o, lse)).Message, StringComparison.Ordinal);

        float* At(int tensor) => first + 64 * tensor;

        void Fill(int tensor, float[] values, int width)
        {
            for (int t = 0; t < 3; t++)
                values.AsSpan(t * width, width).CopyTo(new Span<float>(At(tensor) + t * Step, width));
        }

        float[] Read(int tensor, int width) => [.. Enumerable.Range(0, 3).SelectMany(t => new Span<float>(At(tensor) + t * Step, width).ToArray())];
    }

    [Theory]
    [InlineData("query")]
    [InlineData("key")]
    [InlineData("value")]
    [InlineData("output")]
    [InlineData("logSumExp")]
    [InlineData("outputGradient")]
    [InlineData("queryGradient")]
    [InlineData("keyGradient")]
    [InlineData("valueGradient")]
    public void A_null_pointer_is_named(string name)
    {
        using S2AttentionPlan plan = new(Config);
        Results results = Results.Fresh();
        fixed (float* query = q, key = k, value = v, o = results.O, lse = results.Lse, dout = outputGradient, dq = results.Dq, dk = results.Dk, dv = results.Dv)
        {
            (nint a, nint b, nint c, nint d) = (Or("query", query), Or("key", key), Or("value", value), Or("output", o));
            (nint e, nint f, nint g, nint h, nint i) = (Or("logSumExp", lse), Or("outputGradient", dout), Or("queryGradient", dq), Or("keyGradient", dk), Or("valueGradient", dv));
            Assert.Equal(name, Assert.Throws<ArgumentNullException>(() =>
                plan.BackwardPointers((float*)a, (float*)b, (float*)c, (float*)d, (float*)e, (float*)f, (float*)g, (float*)h, (float*)i)).ParamName);
            if (name is "query" or "key" or "value" or "output")
                Assert.Equal(name, Assert.Throws<ArgumentNullException>(() => plan.ForwardPointers((float*)a, (float*)b, (float*)c, (float*)d, null, null)).ParamName);
        }

        Assert.All(results.O.Concat(results.Dq).Concat(results.Dk), element => Assert.Equal(7, element));

        nint Or(string tensor, float* pointer) => tensor == name ? 0 : (nint)pointer;
    }

    [Fact]
    public void The_gradient_of_logsumexp_is_within_its_bound()
    {
        Prop.ForAll(
            Arb.From(CaseGenerator.Kernels(60, 24, ElementType.F32), CaseShrinker.Simpler),
            item =>
            {
                S2Config config = item.Config;
                Random random = new(item.Seed);
                AttentionInput<double> input = item.BuildInput();
                Tensor<double> dout = item.BuildOutputGradient();
                Tensor<double> dlse = Tensor<double>.Build([config.Batch, config.Tokens, config.Heads], _ => (float)(4 * random.NextDouble() - 2));
                float[] q = Floats(input.Query), k = Floats(input.Key), v = Floats(input.Value), o = new float[q.Length], lse = new float[q.Length / config.HeadDim];
                float[] dq = new float[q.Length], dk = new float[k.Length], dv = new float[k.Length];
                byte[] valid = [.. input.Valid.Map(isValid => isValid ? (byte)1 : (byte)0).Elements];
                using S2AttentionPlan plan = new(config, new() { Threads = 2 });
                plan.Forward<float>(q, k, v, o, lse, valid);
                plan.Backward<float>(q, k, v, o, lse, Floats(dout), dq, dk, dv, valid, Floats(dlse));
                BoundedGradients bounded = GradientErrorBound.Backward(config, input, dout, dlse, OptimizedPort.ModelOf(config, ElementType.F32));
                AssertWithin(bounded.Exact.Query, bounded.Bound.Query, dq);
                AssertWithin(bounded.Exact.Key, bounded.Bound.Key, dk);
                AssertWithin(bounded.Exact.Value, bounded.Bound.Value, dv);
            }).Check(FsCheck.Config.QuickThrowOnFailure.WithMaxTest(60));

        static float[] Floats(Tensor<double> tensor) => [.. tensor.Map(value => (float)value).Elements];

        static void AssertWithin(Tensor<double> exact, Tensor<double> bound, float[] computed)
        {
            for (int i = 0; i < computed.Length; i++)
                if (double.IsFinite(exact.Elements[i]) && double.IsFinite(bound.Elements[i]) && !(Math.Abs(exact.Elements[i] - computed[i]) <= bound.Elements[i]))
                    Assert.Fail($"element {i}: {computed[i]}, exactly {exact.Elements[i]}, bound {bound.Elements[i]}");
        }
    }
}
