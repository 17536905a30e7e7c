// Do the calls over tensor spans equal those over spans, and refuse what they cannot read?
using System.Numerics.Tensors;
using S2Attn.Optimized;
using S2Attn.Spec;

namespace S2Attn.Tests.Optimized;

public sealed class TensorSpanTests
{
    private const int Batch = 2, Tokens = 12, Heads = 4, Dim = 5;

    private static readonly S2Config Config = S2Config.Create(new S2Request
    {
        Batch = Batch,
        Tokens = Tokens,
        Heads = Heads,
        HeadDim = Dim,
        GroupSize = GroupSizeRule.Of(4),
        Mask = MaskPolicy.LocalCausal,
    });

    private static readonly float[] Q = Noise(1), K = Noise(2), V = Noise(3), Do = Noise(4);

    [Fact]
    public void Head_major_tensors_in_permuted_views_give_the_bits_of_dense_spans()
    {
        float[] o = new float[Q.Length], lse = new float[Q.Length / Dim], dq = new float[Q.Length], dk = new float[Q.Length], dv = new float[Q.Length];
        S2Attention.Forward<float>(Config, Q, K, V, o, lse);
        S2Attention.Backward<float>(Config, Q, K, V, o, lse, Do, dq, dk, dv);

        float[] q = HeadMajor(Q), k = HeadMajor(K), v = HeadMajor(V), dout = HeadMajor(Do);
        float[] o2 = new float[Q.Length], lse2 = new float[lse.Length], dq2 = new float[Q.Length], dk2 = new float[Q.Length], dv2 = new float[Q.Length];
        S2Attention.Forward(Config, View(q), View(k), View(v), Writable(o2), lse2);
        S2Attention.Backward(Config, View(q), View(k), View(v), View(o2), lse2, View(dout), Writable(dq2), Writable(dk2), Writable(dv2));
        Assert.Equal(HeadMajor(o), o2);
        Assert.Equal(lse, lse2);
        Assert.Equal(HeadMajor(dq), dq2);
        Assert.Equal(HeadMajor(dk), dk2);
        Assert.Equal(HeadMajor(dv), dv2);
    }

    [Fact]
    public void A_wrong_shape_or_a_scattered_row_is_named()
    {
        float[] o = new float[Q.Length];
        ArgumentException shape = Assert.Throws<ArgumentException>(() =>
            S2Attention.Forward(Config, new ReadOnlyTensorSpan<float>(Q, [Batch, Heads, Tokens, Dim]), View(K), View(V), Writable(o)));
        Assert.Contains("query has shape [2,4,12,5]: the configuration asks for [2,12,4,5]", shape.Message, StringComparison.Ordinal);

        ArgumentException row = Assert.Throws<ArgumentException>(() =>
            S2Attention.Forward(Config, new ReadOnlyTensorSpan<float>(new float[2 * Q.Length], [Batch, Tokens, Heads, Dim], [480, 40, 10, 2]), View(K), View(V), Writable(o)));
        Assert.Contains("query has strides [480,40,10,2]: the last must be 1", row.Message, StringComparison.Ordinal);
        Assert.All(o, element => Assert.Equal(0, element));
    }

    [Fact]
    public void A_configuration_that_is_null_is_named()
    {
        float[] o = new float[Q.Length], lse = new float[Q.Length / Dim];
        Assert.Throws<ArgumentNullException>("config", () => S2Attention.Forward(null!, View(Q), View(K), View(V), Writable(o)));
        Assert.Throws<ArgumentNullException>("config", () => S2Attention.Backward(null!, View(Q), View(K), View(V), View(Q), lse, View(Do), Writable(o), Writable(o), Writable(o)));
    }

    /// <summary>One tensor has a head too many: it is named, with the heads that it should have, which are fewer for keys and values.</summary>
    [Theory]
    [InlineData("query", 4)]
    [InlineData("key", 2)]
    [InlineData("value", 2)]
    [InlineData("output", 4)]
    [InlineData("outputGradient", 4)]
    [InlineData("queryGradient", 4)]
    [InlineData("keyGradient", 2)]
    [InlineData("valueGradient", 2)]
    public void Each_tensor_has_its_own_heads(string name, int heads)
    {
        S2Config config = S2Config.Create(Config.ToRequest() with { KvHeads = 2 });
        string expected = $"{name} has shape [2,12,{heads + 1},5]: the configuration asks for [2,12,{heads},5].";
        Assert.Contains(expected, Assert.Throws<ArgumentException>(name, () => S2Attention.Backward<float>(
            config, Read("query", 4), Read("key", 2), Read("value", 2), Read("output", 4), new float[Batch * Tokens * Heads], Read("outputGradient", 4),
            Write("queryGradient", 4), Write("keyGradient", 2), Write("valueGradient", 2))).Message, StringComparison.Ordinal);
        if (!name.EndsWith("Gradient", StringComparison.Ordinal))
            Assert.Contains(expected, Assert.Throws<ArgumentException>(name, () => S2Attention.Forward<float>(config, Read("query", 4), Read("key", 2), Read("value", 2), Write("output", 4))).Message, StringComparison.Ordinal);

        ReadOnlyTensorSpan<float> Read(string tensor, int count) => Write(tensor, count);

        TensorSpan<float> Write(string tensor, int count) => new(new float[Batch * Tokens * 5 * Dim], [Batch, Tokens, count + (tensor == name ? 1 : 0), Dim]);
    }

    /// <summary>Two rows as far apart as a span is long: the second is behind its end.</summary>
    [Fact]
    public unsafe void Strides_that_reach_further_than_a_span_are_refused()
    {
        S2Config config = S2Config.Create(Config.ToRequest() with { Batch = 1, Tokens = 2, Heads = 1, KvHeads = 1, HeadDim = 1, GroupSize = GroupSizeRule.Of(2), Shift = 0 });
        float[] rows = new float[2];
        fixed (float* row = rows)
        {
            float* first = row;
            Assert.Contains("reach 2147483592 elements", Assert.Throws<ArgumentException>("tensor", () => S2Attention.Forward(
                config, new ReadOnlyTensorSpan<float>(first, (nint)Array.MaxLength + 1, [1, 2, 1, 1], [0, Array.MaxLength, 0, 0]), Read(), Read(), new TensorSpan<float>(rows, [1, 2, 1, 1]))).Message, StringComparison.Ordinal);
        }

        // One element less is as far as a span reaches, in memory that is not there but for the two rows.
        using ReservedMemory memory = new((long)Array.MaxLength * sizeof(float));
        float* start = (float*)memory.Start;
        (start[0], start[Array.MaxLength - 1], rows[0], rows[1]) = (1, 3, 0, 0);
        float[] o = new float[2];
        S2Attention.Forward(config, Read(), Read(), new ReadOnlyTensorSpan<float>(start, Array.MaxLength, [1, 2, 1, 1], [0, Array.MaxLength - 1, 0, 0]), new TensorSpan<float>(o, [1, 2, 1, 1]));
        Assert.Equal([1f, 2f], o);

        ReadOnlyTensorSpan<float> Read() => new(rows, [1, 2, 1, 1]);
    }

    /// <summary>With D = 1 the last stride says nothing: rows three elements apart, and the bits of dense ones.</summary>
    [Fact]
    public void A_row_of_one_element_may_have_any_stride()
    {
        S2Config config = S2Config.Create(Config.ToRequest() with { Batch = 1, Heads = 1, KvHeads = 1, HeadDim = 1 });
        float[] dense = new float[Tokens], apart = new float[3 * Tokens];
        S2Attention.Forward<float>(config, Q.AsSpan(0, Tokens), K.AsSpan(0, Tokens), V.AsSpan(0, Tokens), dense);
        S2Attention.Forward<float>(config, Apart(Q), Apart(K), Apart(V), new TensorSpan<float>(apart, [1, Tokens, 1, 1], [0, 3, 0, 0]));
        Assert.Equal(dense, Enumerable.Range(0, Tokens).Select(t => apart[3 * t]));

        static ReadOnlyTensorSpan<float> Apart(float[] rows) => new(Enumerable.Range(0, 3 * Tokens).Select(i => rows[i / 3]).ToArray(), [1, Tokens, 1, 1], [0, 3, 0, 0]);
    }

    private static float[] Noise(int seed)
    {
        Random random = new(seed);
        return [.. Enumerable.Range(0, Batch * Tokens * Heads * Dim).Select(_ => random.NextSingle() - 0.5f)];
    }

    // [B,N,H,D] as [B,H,N,D].
    private static float[] HeadMajor(float[] tokenMajor) =>
        [.. from b in Enumerable.Range(0, Batch)
            from h in Enumerable.Range(0, Heads)
            from t in Enumerable.Range(0, Tokens)
            from d in Enumerable.Range(0, Dim)
            select tokenMajor[Layout.Row(Tokens, Heads, Dim, b, t, h) + d]];

    // A [B,H,N,D] array seen as [B,N,H,D].
    private static ReadOnlyTensorSpan<float> View(float[] headMajor) => new(headMajor, [Batch, Tokens, Heads, Dim], Strides);

    private static TensorSpan<float> Writable(float[] headMajor) => new(headMajor, [Batch, Tokens, Heads, Dim], Strides);

    private static nint[] Strides => [Heads * Tokens * Dim, Dim, Tokens * Dim, 1];
}
