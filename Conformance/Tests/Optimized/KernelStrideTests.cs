// Does every tensor stand where its strides say, or by default where the options promise, whatever their order, gaps and signs?
using FsCheck;
using FsCheck.Fluent;
using S2Attn.Optimized;
using S2Attn.Optimized.Kernels;
using S2Attn.Spec;

namespace S2Attn.Tests.Optimized;

public sealed class KernelStrideTests
{
    private const int Batch = 3, Tokens = 9, Heads = 4, KvHeads = 2, Dim = 5;

    private static readonly S2Config Config = S2Config.Create(new()
    {
        Batch = Batch,
        Tokens = Tokens,
        Heads = Heads,
        KvHeads = KvHeads,
        HeadDim = Dim,
        GroupSize = GroupSizeRule.Of(4),
        Mask = MaskPolicy.Split,
    });

    /// <summary>
    /// All ten tensors at strides of any order, gap and sign, k and v also expanded along any axis; a tensor of the backward pass that is given none stands as its counterpart of the
    /// forward pass does, and the gradient of an expanded one dense in the plan's layout. The bits are those of dense tensors.
    /// </summary>
    [Fact]
    public void Any_strides_given_or_by_default_change_no_bit()
    {
        for (int seed = 0; seed < 60; seed++)
        {
            Random random = new(seed);
            TensorLayout layout = random.Next(2) == 0 ? TensorLayout.TokenMajor : TensorLayout.HeadMajor;
            bool[] repeats = [random.Next(3) == 0, random.Next(3) == 0, random.Next(3) == 0];
            TensorStrides query = Any(random, Heads, Dim), output = Any(random, Heads, Dim), lse = Any(random, Heads, 1);
            TensorStrides key = Expanded(Any(random, KvHeads, Dim), repeats), value = Any(random, KvHeads, Dim);
            S2AttentionOptions options = new()
            {
                Threads = 1,
                Layout = layout,
                Query = query,
                Key = key,
                Value = value,
                Output = output,
                LogSumExp = lse,
                OutputGradient = Sometimes(Heads, Dim),
                LogSumExpGradient = Sometimes(Heads, 1),
                QueryGradient = Sometimes(Heads, Dim),
                KeyGradient = Sometimes(KvHeads, Dim),
                ValueGradient = Sometimes(KvHeads, Dim),
            };
            TensorStrides keyGradient = options.KeyGradient ?? (repeats.Contains(true) ? TensorStrides.Dense(layout, Tokens, KvHeads, Dim) : key);
            PlacedTensor<float> q = Stored(query, Heads, Dim), k = Stored(key, KvHeads, Dim), v = Stored(value, KvHeads, Dim), o = Stored(output, Heads, Dim), l = Stored(lse, Heads, 1);
            PlacedTensor<float> dout = Stored(options.OutputGradient ?? output, Heads, Dim), dlse = Stored(options.LogSumExpGradient ?? lse, Heads, 1);
            PlacedTensor<float> dq = Stored(options.QueryGradient ?? query, Heads, Dim), dk = Stored(keyGradient, KvHeads, Dim), dv = Stored(options.ValueGradient ?? value, KvHeads, Dim);
            float[][] inputs = [Noise(Heads, Dim), Repeated(Noise(KvHeads, Dim), repeats), Noise(KvHeads, Dim), Noise(Heads, Dim), Noise(Heads, 1)];
            foreach ((PlacedTensor<float> placed, float[] dense) in new[] { q, k, v, dout, dlse }.Zip(inputs))
                placed.Fill(dense);

            using S2AttentionPlan plan = new(Config, options);
            plan.Forward<float>(q.Memory, k.Memory, v.Memory, o.Memory, l.Memory);
            plan.Backward<float>(q.Memory, k.Memory, v.Memory, o.Memory, l.Memory, dout.Memory, dq.Memory, dk.Memory, dv.Memory, default, dlse.Memory);
            float[][] expected = Dense(inputs);
            foreach ((string name, PlacedTensor<float> placed, float[] dense) in new[] { ("o", o, expected[0]), ("lse", l, expected[1]), ("dq", dq, expected[2]), ("dk", dk, expected[3]), ("dv", dv, expected[4]) })
                Assert.True(dense.AsSpan().SequenceEqual(placed.Read()) && placed.GapsAreUntouched(), $"{name} with seed {seed}: {options}");

            TensorStrides? Sometimes(int heads, int width) => random.Next(2) == 0 ? Any(random, heads, width) : null;

            float[] Noise(int heads, int width) => [.. Enumerable.Range(0, Batch * Tokens * heads * width).Select(_ => random.NextSingle() - 0.5f)];
        }
    }

    /// <summary>
    /// What is written may share no element: strides are refused wherever two rows do, on any axes of any length, and accepted where the axes are nested.
    /// </summary>
    [Fact]
    public void Strides_of_what_is_written_are_refused_wherever_two_rows_share_an_element()
    {
        Gen<(int[] Strides, int[] Lengths)> shapes =
            from strides in Gen.Choose(-14, 14).ArrayOf(3)
            from lengths in Gen.Choose(1, 4).ArrayOf(4)
            select (strides, lengths);
        int shared = 0, nested = 0;
        Prop.ForAll(Arb.From(shapes), shape =>
        {
            (int[] s, int[] n) = shape;
            int[] rows = [.. from b in Enumerable.Range(0, n[0]) from t in Enumerable.Range(0, n[1]) from h in Enumerable.Range(0, n[2]) select (b * s[0]) + (t * s[1]) + (h * s[2])];
            int[] elements = [.. rows.SelectMany(row => Enumerable.Range(row, n[3]))];
            bool shares = elements.Distinct().Count() < elements.Length;
            bool isRefused = Place.Of("o", "options", new(s[0], s[1], s[2]), n[0], new(0, n[1]), n[2], n[3]).SharedRows() is not null;
            shared += shares ? 1 : 0;
            nested += isRefused ? 0 : 1;
            return isRefused || !shares;
        }).Check(FsCheck.Config.QuickThrowOnFailure.WithMaxTest(4000));
        Assert.True(shared > 1000 && nested > 100, $"{shared} shared, {nested} were accepted");

        // Every order of dense axes of every length, exactly and one element less.
        int[][] orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
        foreach (int[] order in orders)
            for (int code = 0; code < 4 * 4 * 4; code++)
            {
                int[] lengths = [1 + code % 4, 1 + code / 4 % 4, 1 + code / 16];
                long[] strides = new long[3];
                long extent = Dim;
                foreach (int axis in order)
                {
                    strides[axis] = extent;
                    extent *= lengths[axis];
                }

                Assert.Null(Refusal(strides, lengths));
                for (int axis = 0; axis < 3; axis++)
                    if (lengths[axis] > 1)
                        Assert.NotNull(Refusal([.. strides.Select((stride, i) => i == axis ? stride - 1 : stride)], lengths));
            }

        static string? Refusal(long[] strides, int[] lengths) => Place.Of("o", "options", new(strides[0], strides[1], strides[2]), lengths[0], new(0, lengths[1]), lengths[2], Dim).SharedRows();
    }

    // o, lse, dq, dk, dv of dense tensors.
    private static float[][] Dense(float[][] inputs)
    {
        float[] o = new float[inputs[0].Length], lse = new float[inputs[4].Length], dq = new float[o.Length], dk = new float[inputs[1].Length], dv = new float[dk.Length];
        using S2AttentionPlan plan = new(Config, new() { Threads = 1 });
        plan.Forward<float>(inputs[0], inputs[1], inputs[2], o, lse);
        plan.Backward<float>(inputs[0], inputs[1], inputs[2], o, lse, inputs[3], dq, dk, dv, default, inputs[4]);
        return [o, lse, dq, dk, dv];
    }

    private static TensorStrides Any(Random random, int heads, int width) => AnyStrides.Of(random, Batch, Tokens, heads, width);

    private static TensorStrides Expanded(TensorStrides strides, bool[] repeats) => new(repeats[0] ? 0 : strides.Batch, repeats[1] ? 0 : strides.Token, repeats[2] ? 0 : strides.Head);

    // The dense tensor that an expanded one stands for.
    private static float[] Repeated(float[] dense, bool[] repeats) =>
        [.. from b in Enumerable.Range(0, Batch) from t in Enumerable.Range(0, Tokens) from h in Enumerable.Range(0, KvHeads) from d in Enumerable.Range(0, Dim)
            select dense[((((repeats[0] ? 0 : b) * Tokens) + (repeats[1] ? 0 : t)) * KvHeads + (repeats[2] ? 0 : h)) * Dim + d]];

    private static PlacedTensor<float> Stored(TensorStrides strides, int heads, int width) => new(strides, Batch, Tokens, heads, width, canary: -12345.5f);
}
