// Do parts of a sequence, and parts of its keys, make up the whole, forward and backward?
using S2Attn.Conformance.Ports;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Tests.Reference;

public sealed class SliceAttentionTests
{
    public static TheoryData<MaskPolicy, int, int, int> Cuts => new()
    {
        { MaskPolicy.Split, 11, 4, 2 }, { MaskPolicy.Split, 12, 5, 3 }, { MaskPolicy.Split, 9, 9, 4 }, { MaskPolicy.Split, 8, 4, 0 },
        { MaskPolicy.LocalCausal, 12, 4, 2 }, { MaskPolicy.PositionCausal, 12, 4, 1 }, { MaskPolicy.Bidirectional, 12, 4, 2 }, { MaskPolicy.BidirectionalSplit, 11, 4, 2 },
    };

    /// <summary>A row that sees nothing in either part sees nothing in both, and hands on no gradient; one that sees something in one part alone is that part.</summary>
    [Fact]
    public void Merging_parts_that_see_nothing_gives_a_row_that_sees_nothing()
    {
        AttentionOutput<double> nothing = Of(0, double.NegativeInfinity), something = Of(3, 0.5), neither = AttentionMerge.Forward(nothing, nothing);
        Assert.Equal((0, double.NegativeInfinity), (neither.Output.Elements[0], neither.LogSumExp.Elements[0]));
        foreach (AttentionOutput<double> one in new[] { AttentionMerge.Forward(nothing, something), AttentionMerge.Forward(something, nothing) })
            Assert.Equal((3, 0.5), (one.Output.Elements[0], one.LogSumExp.Elements[0]));
        (OutputGradient<double> a, OutputGradient<double> b) = AttentionMerge.Backward(nothing, nothing, new(Of(7, 0).Output, Of(0, 2).LogSumExp));
        Assert.All(new[] { a.Output, a.LogSumExp, b.Output, b.LogSumExp }, share => Assert.Equal(0, share.Elements[0]));

        static AttentionOutput<double> Of(double output, double logSumExp) => new(Tensor<double>.Of([1, 1, 1, 1], [output]), Tensor<double>.Of([1, 1, 1], [logSumExp]));
    }

    [Theory]
    [MemberData(nameof(Cuts))]
    public void SlicesCompose_rows_of_a_slice_are_those_of_the_whole_to_the_bit(MaskPolicy mask, int tokens, int groupSize, int shift)
    {
        S2Config config = Config(mask, tokens, groupSize, shift);
        AttentionInput<double> whole = Input(config, 1);
        AttentionOutput<double> expected = Attention.Forward(config, whole);
        for (int t0 = 0; t0 < tokens; t0++)
            for (int t1 = t0 + 1; t1 <= tokens; t1++)
            {
                S2Slice slice = S2Slice.Create(config, new() { FirstQuery = t0, EndQuery = t1 });
                AttentionOutput<double> part = Attention.Forward(slice, SliceCase.Cut(whole, slice));
                Assert.Equal(SliceCase.Cut(expected.Output, new(t0, t1)).Elements.ToArray(), part.Output.Elements.ToArray());
                Assert.Equal(SliceCase.Cut(expected.LogSumExp, new(t0, t1)).Elements.ToArray(), part.LogSumExp.Elements.ToArray());
            }
    }

    [Theory]
    [MemberData(nameof(Cuts))]
    public void SlicesCompose_shares_of_the_gradients_add_up_to_the_whole(MaskPolicy mask, int tokens, int groupSize, int shift)
    {
        S2Config config = Config(mask, tokens, groupSize, shift);
        AttentionInput<double> whole = Input(config, 2);
        Tensor<double> dout = Random(whole.Query.Shape.AsSpan(), 3);
        Gradients<double> expected = AttentionGradients.Backward(config, whole, dout);
        double[] dq = new double[whole.Query.Elements.Length], dk = new double[whole.Key.Elements.Length], dv = new double[dk.Length];
        int[] borders = [0, 1, tokens / 2, tokens];
        foreach ((int t0, int t1) in borders.Zip(borders.Skip(1)))
        {
            S2Slice slice = S2Slice.Create(config, new() { FirstQuery = t0, EndQuery = t1 });
            Gradients<double> share = AttentionGradients.Backward(slice, SliceCase.Cut(whole, slice), SliceCase.Cut(dout, new(t0, t1)));
            SliceCase.AddShare(share.Query, dq, tokens, t0);
            SliceCase.AddShare(share.Key, dk, tokens, slice.Keys.Start);
            SliceCase.AddShare(share.Value, dv, tokens, slice.Keys.Start);
        }

        AssertClose(expected.Query, dq);
        AssertClose(expected.Key, dk);
        AssertClose(expected.Value, dv);
    }

    [Fact]
    public void PrefixStable_an_unbounded_slice_needs_no_N()
    {
        S2Config longer = Config(MaskPolicy.Split, 23, 5, 2), shorter = Config(MaskPolicy.Split, 5, 5, 2);
        AttentionInput<double> whole = Input(longer, 4);
        AttentionOutput<double> expected = Attention.Forward(longer, whole);
        for (int t = 0; t < longer.Tokens; t++)
        {
            S2Slice slice = S2Slice.Create(shorter, new() { FirstQuery = t, EndQuery = t + 1, IsUnbounded = true });
            Assert.InRange(slice.KeyCount, 1, 5);
            Assert.Equal(SliceCase.Cut(expected.Output, new(t, t + 1)).Elements.ToArray(), Attention.Forward(slice, SliceCase.Cut(whole, slice)).Output.Elements.ToArray());
        }
    }

    [Fact]
    public void HaloIsNeeded_one_key_less_is_refused_and_another_value_there_changes_the_output()
    {
        S2Config config = Config(MaskPolicy.Split, 12, 4, 1);
        S2Slice slice = S2Slice.Create(config, new() { FirstQuery = 4, EndQuery = 8 });
        Assert.Equal(new TokenRange<int>(1, 8), slice.Keys);
        SliceResult short1 = S2Slice.TryCreate(config, new() { FirstQuery = 4, EndQuery = 8, FirstKey = 2 });
        Assert.Equal("FirstKey = 2: must be from 0 to 1, the first key that a query of the slice sees", $"{Assert.IsType<SliceResult.Invalid>(short1)}");
        AttentionInput<double> whole = Input(config, 5), part = SliceCase.Cut(whole, slice);
        double[] changed = part.Value.Elements.ToArray();
        changed[0] += 1;
        AttentionInput<double> other = part with { Value = Tensor<double>.Of(part.Value.Shape.AsSpan(), changed) };
        Assert.NotEqual(Attention.Forward(slice, part).Output.Elements.ToArray(), Attention.Forward(slice, other).Output.Elements.ToArray());
    }

    [Theory]
    [InlineData(MaskPolicy.LocalCausal, -1, 0, null, null, true, "IsUnbounded = true", "FirstQuery = -1", "")]
    [InlineData(MaskPolicy.Split, 3, 3, null, null, false, "EndQuery = 3: must be more than FirstQuery = 3")]
    [InlineData(MaskPolicy.Split, 3, 13, null, null, false, "EndQuery = 13: must be at most Tokens = 12")]
    [InlineData(MaskPolicy.Split, 3, 4, -1, null, false, "FirstKey = -1: must be from 0 to 0")]
    [InlineData(MaskPolicy.Split, 3, 4, null, 3, false, "EndKey = 3: must be at least 4")]
    [InlineData(MaskPolicy.Split, 3, 4, null, 13, false, "EndKey = 13: must be at most Tokens = 12")]
    [InlineData(MaskPolicy.LocalCausal, 0, 2, null, 11, false, "EndKey = 11: must be at least 12")]
    [InlineData(MaskPolicy.PositionCausal, 11, 12, 1, null, false, "FirstKey = 1: must be from 0 to 0")]
    public void A_slice_that_breaks_a_rule_is_refused_by_name(MaskPolicy mask, int t0, int t1, int? u0, int? u1, bool unbounded, params string[] errors)
    {
        S2Config config = Config(mask, 12, 4, 2);
        string text = $"{Assert.IsType<SliceResult.Invalid>(S2Slice.TryCreate(config, new() { FirstQuery = t0, EndQuery = t1, FirstKey = u0, EndKey = u1, IsUnbounded = unbounded }))}";
        Assert.All(errors, error => Assert.Contains(error, text, StringComparison.Ordinal));
    }

    [Fact]
    public void Results_over_disjoint_keys_merge_by_logsumexp_forward_and_backward()
    {
        S2Config config = Config(MaskPolicy.Split, 10, 5, 2);
        AttentionInput<double> whole = Input(config, 6);
        Tensor<bool> some = Tensor<bool>.Build([2, 10], i => i % 3 != 0);
        AttentionInput<double> a = whole with { Valid = some }, b = whole with { Valid = some.Map(valid => !valid) };
        AttentionOutput<double> oa = Attention.Forward(config, a), ob = Attention.Forward(config, b), expected = Attention.Forward(config, whole);
        AttentionOutput<double> merged = AttentionMerge.Forward(oa, ob);
        AssertClose(expected.Output, merged.Output.Elements.ToArray());
        AssertClose(expected.LogSumExp, merged.LogSumExp.Elements.ToArray());

        OutputGradient<double> gradient = new(Random(whole.Query.Shape.AsSpan(), 7), Random(expected.LogSumExp.Shape.AsSpan(), 8));
        (OutputGradient<double> ga, OutputGradient<double> gb) = AttentionMerge.Backward(oa, ob, gradient);
        S2Slice slice = S2Slice.Whole(config);
        Gradients<double> da = AttentionGradients.Backward(slice, a, ga.Output, ga.LogSumExp), db = AttentionGradients.Backward(slice, b, gb.Output, gb.LogSumExp);
        Gradients<double> all = AttentionGradients.Backward(slice, whole, gradient.Output, gradient.LogSumExp);
        AssertClose(all.Query, Sum(da.Query, db.Query));
        AssertClose(all.Key, Sum(da.Key, db.Key));
        AssertClose(all.Value, Sum(da.Value, db.Value));
    }

    /// <summary>Of sum(o do) + sum(lse dlse) over queries that do not begin at 0, and keys that do not either.</summary>
    [Fact]
    public void The_gradients_of_a_slice_are_those_of_central_differences()
    {
        S2Slice slice = S2Slice.Create(Config(MaskPolicy.Split, 9, 3, 1), new() { FirstQuery = 5, EndQuery = 9 });
        Assert.Equal(new TokenRange<int>(3, 9), slice.Keys);
        AttentionInput<double> input = new(Random([2, 4, 4, 3], 9), Random([2, 6, 2, 3], 109), Random([2, 6, 2, 3], 209), Tensor<bool>.Build([2, 6], i => i != 1));
        Tensor<double> dout = Random([2, 4, 4, 3], 11), dlse = Random([2, 4, 4], 10);
        Gradients<double> gradients = AttentionGradients.Backward(slice, input, dout, dlse);
        Compare(gradients.Query, input.Query, moved => input with { Query = moved });
        Compare(gradients.Key, input.Key, moved => input with { Key = moved });
        Compare(gradients.Value, input.Value, moved => input with { Value = moved });

        void Compare(Tensor<double> gradient, Tensor<double> at, Func<Tensor<double>, AttentionInput<double>> with)
        {
            const double step = 1e-6;
            for (int i = 0; i < at.Elements.Length; i++)
                Assert.Equal((Loss(with(Moved(at, i, step))) - Loss(with(Moved(at, i, -step)))) / (2 * step), gradient.Elements[i], 1e-8);
        }

        double Loss(AttentionInput<double> moved)
        {
            AttentionOutput<double> output = Attention.Forward(slice, moved);
            return Product(output.Output, dout) + Product(output.LogSumExp, dlse);
        }

        static double Product(Tensor<double> a, Tensor<double> b) => a.Elements.ToArray().Zip(b.Elements.ToArray(), (x, y) => x * y).Sum();

        static Tensor<double> Moved(Tensor<double> tensor, int at, double by) => Tensor<double>.Build(tensor.Shape.AsSpan(), i => tensor.Elements[i] + (i == at ? by : 0));
    }

    /// <summary>Where each number of a row stands: the bounds of a slice, bounded or growing, hold those of each of its rows, and the numbers of Attention.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Bounds_of_a_slice_are_those_of_its_rows(bool grows)
    {
        S2Slice slice = S2Slice.Create(Config(MaskPolicy.Split, 9, 3, 1), new() { FirstQuery = 5, EndQuery = 9, IsUnbounded = grows });
        AttentionInput<double> input = new(Random([2, 4, 4, 3], 9), Random([2, 6, 2, 3], 109), Random([2, 6, 2, 3], 209), Tensor<bool>.Build([2, 6], i => i > 1));
        RoundingModel model = RoundingModel.Composition(StorageFormat.Binary16);
        BoundedOutput bounded = ErrorBound.Forward(slice, input, model);
        AttentionOutput<double> exact = Attention.Forward(slice, input);
        Assert.Equal(exact.Output.Elements.ToArray(), bounded.Exact.Output.Elements.ToArray());
        Assert.Equal(exact.LogSumExp.Elements.ToArray(), bounded.Exact.LogSumExp.Elements.ToArray());
        for (int b = 0; b < 2; b++)
            for (int t = 5; t < 9; t++)
                for (int h = 0; h < 4; h++)
                {
                    BoundedRow row = ErrorBound.Row(slice, input, b, t, h, model);
                    Assert.Equal(row.OutputBound, bounded.Bound.Output.Row(b, t - 5, h).ToArray());
                    Assert.Equal(row.LogSumExpBound, bounded.Bound.LogSumExp[b, t - 5, h]);
                }
    }

    private static S2Config Config(MaskPolicy mask, int tokens, int groupSize, int shift) => S2Config.Create(new S2Request
    {
        Batch = 2,
        Tokens = tokens,
        Heads = 4,
        KvHeads = 2,
        HeadDim = 3,
        GroupSize = GroupSizeRule.Of(groupSize),
        Shift = shift,
        Mask = mask,
        ShiftedHeads = new HeadShift.Given([true, false, false, true]),
    });

    private static AttentionInput<double> Input(S2Config config, int seed) => new(
        Random([config.Batch, config.Tokens, config.Heads, config.HeadDim], seed),
        Random([config.Batch, config.Tokens, config.KvHeads, config.HeadDim], seed + 100),
        Random([config.Batch, config.Tokens, config.KvHeads, config.HeadDim], seed + 200));

    private static Tensor<double> Random(ReadOnlySpan<int> shape, int seed)
    {
        Random random = new(seed);
        return Tensor<double>.Build(shape, _ => (2 * random.NextDouble()) - 1);
    }

    private static double[] Sum(Tensor<double> a, Tensor<double> b) => [.. a.Elements.ToArray().Zip(b.Elements.ToArray(), (x, y) => x + y)];

    private static void AssertClose(Tensor<double> expected, double[] actual)
    {
        Assert.Equal(expected.Elements.Length, actual.Length);
        for (int i = 0; i < actual.Length; i++)
            Assert.Equal(expected.Elements[i], actual[i], 1e-12);
    }
}
