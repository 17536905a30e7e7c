// Are the bounds exactly those of docs/error-bounds.md, no tighter and no looser, and with the numbers of the formats and of the kernels?
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Reference;
using S2Attn.Spec;
using S2Attn.Tests.Docs;

namespace S2Attn.Tests.Reference;

public sealed class BoundFormulaTests
{
    private const double Relative = 1e-7;

    private static readonly S2Config Sizes = Cases.Of(30, 10, MaskPolicy.LocalCausal, heads: 4, kvHeads: 2, headDim: 6).Config;

    private static readonly RoundingModel[] Models =
    [
        RoundingModel.Double,
        .. Enum.GetValues<ElementType>().Select(type => S2Attn.Conformance.Ports.Agreement.ModelOf(type)),
        .. new[] { ElementType.F32, ElementType.F16, ElementType.BF16 }.Select(type => OptimizedPort.ModelOf(Sizes, type)),
        RoundingModel.Composition(StorageFormat.Binary16, StorageFormat.Binary16),
        RoundingModel.Composition(StorageFormat.Binary32) with { Name = "blocks of 4 terms", SumBlock = 4, KeyBlock = 3, StoresWeights = false, Recomputes = true },

        // Underflow that counts beside rounding: what is absolute in a bound is seen too.
        Coarse,
        Coarse with { Name = "coarse, weights kept", StoresWeights = false, StoredScores = 2, SumBlock = 4 },
    ];

    private static RoundingModel Coarse => new("coarse", Math.ScaleB(1, -20), Math.ScaleB(1, -20), 1e30, Math.ScaleB(1, -19), Math.ScaleB(1, -18), new("coarse", Math.ScaleB(1, -12), Math.ScaleB(1, -14), 1e30)) { KeyBlock = 3, StoresWeights = true };

    public static TheoryData<int> All() => [.. Enumerable.Range(0, Models.Length)];

    /// <summary>A bound that is a hundredth too wide or too narrow anywhere differs from the page's formulas here, in every term that it has.</summary>
    [Theory]
    [MemberData(nameof(All))]
    public void Every_bound_is_what_the_page_says(int index)
    {
        RoundingModel model = Models[index];
        foreach (MaskPolicy mask in new[] { MaskPolicy.LocalCausal, MaskPolicy.BidirectionalSplit })
            foreach (TensorKind kind in new[] { TensorKind.Normal, TensorKind.Offset, TensorKind.OneHot, TensorKind.LargeScores, TensorKind.Subnormal })
                foreach ((PaddingPattern padding, double ofLogSumExp, int prefix) in new[] { (PaddingPattern.None, 0.0, 0), (PaddingPattern.Scattered, 0.0, 0), (PaddingPattern.None, 3.0, 0), (PaddingPattern.None, 0.0, 7) })
                {
                    AttentionCase item = Cases.Of(30, 10, mask, heads: 4, kvHeads: 2, headDim: 6, kind: kind, padding: padding, seed: 3);
                    item = item with { Config = item.Config.With(request => request with { Prefix = prefix, Scale = model == Models[^1] ? 3 : request.Scale }) };
                    Tensor<double> dlse = Tensor<double>.Build([1, 30, 4], i => ofLogSumExp * ((i * 7 % 16) - 8));
                    BoundWitness witness = new(item, model, dlse);
                    AttentionOutput<double> forward = ErrorBound.Forward(item.Config, item.BuildInput(), model).Bound;
                    Gradients<double> backward = GradientErrorBound.Backward(item.Config, item.BuildInput(), item.BuildOutputGradient(), dlse, model).Bound;
                    Same("o", witness.Output, forward.Output);
                    Same("lse", witness.LogSumExp, forward.LogSumExp);
                    Same("dq", witness.QueryGradient, backward.Query);
                    Same("dk", witness.KeyGradient, backward.Key);
                    Same("dv", witness.ValueGradient, backward.Value);

                    void Same(string name, double[] expected, Tensor<double> bound)
                    {
                        for (int i = 0; i < expected.Length; i++)
                            Assert.True(
                                Math.Abs(expected[i] - bound.Elements[i]) <= Relative * expected[i] || (double.IsPositiveInfinity(bound.Elements[i]) && model.Largest < 1e6),
                                FormattableString.Invariant($"{model.Name}, {item}: the bound of {name}, element {i}, is {bound.Elements[i]:R}; the page's formulas give {expected[i]:R}"));
                    }
                }
    }

    /// <summary>Over a grid the bounds of the windows stand where their tokens do, and those of dk and dv add up over the heads that share a kv head, with the rounding of that sum.</summary>
    [Theory]
    [MemberData(nameof(All))]
    public void Every_bound_over_a_grid_is_what_the_page_says(int index)
    {
        RoundingModel model = Models[index];
        foreach (int kvHeads in new[] { 2, 4 })
        {
            AttentionCase item = Cases.Of(24, 24, MaskPolicy.BidirectionalSplit, heads: 4, kvHeads: kvHeads, headDim: 6, padding: PaddingPattern.Scattered, seed: 3) with { PadsAreNaN = false };
            S2Grid grid = S2Grid.Create(item.Config, new GridAxis<int>(4, 2, 1), new GridAxis<int>(6, 4, 2));
            AttentionInput<double> input = item.BuildInput();
            Tensor<double> dout = item.BuildOutputGradient(), dlse = Tensor<double>.Build([1, 24, 4], i => (i * 7 % 16) - 8);
            BoundedOutput forward = GridErrorBound.Forward(grid, input, model);
            BoundedGradients backward = GridErrorBound.Backward(grid, input, dout, dlse, model);

            // 2 x 4 keys of a window, for each head that adds to a row; in storage one rounding a head.
            int sharing = 4 / kvHeads, terms = sharing * 2 * 4;
            double ofSum = sharing == 1 ? 0 : Gamma(terms, model.Unit) + (model.StoresWeights ? Gamma(sharing, model.Storage.Unit) : 0);
            double[] o = new double[24 * 4 * 6], lse = new double[24 * 4], dq = new double[o.Length], dk = new double[24 * kvHeads * 6], dv = new double[dk.Length];
            foreach (WindowPart part in GridAttention.Parts(grid, input))
            {
                Tensor<double> ofWindow = Tensor<double>.Build([1, part.Config.Tokens, 1], i => dlse[0, part.Window.Tokens[i], part.Head]);
                AttentionOutput<double> output = ErrorBound.Forward(part.Config, part.Input, model).Bound;
                BoundedGradients gradients = GradientErrorBound.Backward(part.Config, part.Input, GridAttention.Gather(dout, part.Window, part.Head), ofWindow, model);
                for (int i = 0; i < part.Config.Tokens; i++)
                {
                    int row = part.Window.Tokens[i] * 4 + part.Head, keyRow = part.Window.Tokens[i] * kvHeads + part.Head / sharing;
                    lse[row] = output.LogSumExp[0, i, 0];
                    for (int d = 0; d < 6; d++)
                    {
                        o[row * 6 + d] = output.Output[0, i, 0, d];
                        dq[row * 6 + d] = gradients.Bound.Query[0, i, 0, d];
                        dk[keyRow * 6 + d] += Share(gradients.Exact.Key[0, i, 0, d], gradients.Bound.Key[0, i, 0, d]);
                        dv[keyRow * 6 + d] += Share(gradients.Exact.Value[0, i, 0, d], gradients.Bound.Value[0, i, 0, d]);
                    }
                }
            }

            foreach ((string name, double[] expected, Tensor<double> bound) in new[]
            {
                ("o", o, forward.Bound.Output), ("lse", lse, forward.Bound.LogSumExp), ("dq", dq, backward.Bound.Query), ("dk", dk, backward.Bound.Key), ("dv", dv, backward.Bound.Value),
            })
                for (int i = 0; i < expected.Length; i++)
                    Assert.True(
                        Math.Abs(expected[i] - bound.Elements[i]) <= 1e-12 * expected[i] || (double.IsPositiveInfinity(expected[i]) && double.IsPositiveInfinity(bound.Elements[i])),
                        FormattableString.Invariant($"{model.Name}, K = {kvHeads}: the bound of {name}, element {i}, is {bound.Elements[i]:R}; the page's formulas give {expected[i]:R}"));

            double Share(double gradient, double bound) => bound + ofSum * (Math.Abs(gradient) + bound);
        }

        static double Gamma(int roundings, double unit) => roundings * unit / (1 - roundings * unit);
    }

    /// <summary>A row whose scores are all minus infinity is 0 exactly, element by element, but where a value that its weights of 0 multiply is not finite.</summary>
    [Theory]
    [InlineData(1.0, false)]
    [InlineData(double.NaN, true)]
    [InlineData(double.PositiveInfinity, true)]
    public void A_row_of_infinite_negative_scores_is_judged_but_where_a_value_is_not_finite(double value, bool isOpen)
    {
        S2Config config = S2Config.Create(new() { Tokens = 3, HeadDim = 2, GroupSize = GroupSizeRule.Of(3), Mask = MaskPolicy.Split, ShiftedHeads = HeadShift.None });
        AttentionInput<double> input = new(Of(1, 0), Of(double.NegativeInfinity, 0), Of(value, 1));
        foreach (RoundingModel model in Models)
        {
            AttentionOutput<double> bound = ErrorBound.Forward(config, input, model).Bound;
            Assert.All(bound.LogSumExp.Elements.ToArray(), error => Assert.Equal(0, error));
            for (int t = 0; t < 3; t++)
                Assert.Equal([isOpen ? double.PositiveInfinity : 0, 0], bound.Output.Row(0, t, 0).ToArray());

            // Weights of 0 times infinite operands: no gradient of a token of such a row is judged.
            Gradients<double> gradients = GradientErrorBound.Backward(config, input, Of(1, 1), model).Bound;
            foreach (Tensor<double> gradient in new[] { gradients.Query, gradients.Key, gradients.Value })
                Assert.All(gradient.Elements.ToArray(), error => Assert.Equal(double.PositiveInfinity, error));
        }

        static Tensor<double> Of(double first, double second) => Tensor<double>.Build([1, 3, 1, 2], i => i % 2 == 0 ? first : second);
    }

    [Fact]
    public void The_numbers_of_the_formats_are_those_of_IEEE_754_and_bfloat16()
    {
        Assert.Equal(new StorageFormat("binary32", 5.9604644775390625e-8, 7.006492321624085e-46, 3.4028234663852886e38), StorageFormat.Binary32);
        Assert.Equal(new StorageFormat("binary64", 1.1102230246251565e-16, 4.94065645841246544e-324, 1.7976931348623157e308), StorageFormat.Binary64);
        Assert.Equal(new StorageFormat("binary16", 0.00048828125, 2.98023223876953125e-8, 65504), StorageFormat.Binary16);
        Assert.Equal(new StorageFormat("bfloat16", 0.00390625, 4.591774807899561e-41, 3.3895313892515355e38), StorageFormat.BFloat16);
    }

    [Fact]
    public void The_models_have_the_numbers_of_the_page()
    {
        RoundingModel model = OptimizedPort.ModelOf(Sizes, ElementType.F16);
        Assert.Equal((5.9604644775390625e-8, 7.006492321624085e-46, 3.4028234663852886e38, 1.04e-7, 1.1754943508222875e-38), (model.Unit, model.Underflow, model.Largest, model.ExpError, model.ExpUnderflow));
        Assert.Equal((2, 1, 0, 0, false, true), (model.ScoreRoundings, model.LogRoundings, model.SumBlock, model.StoredScores, model.StoresWeights, model.Recomputes));
        Assert.Equal(StorageFormat.Binary16, model.Storage);
        RoundingModel any = S2Attn.Conformance.Ports.Agreement.ModelOf(ElementType.BF16);
        Assert.Equal((5.9604644775390625e-8, 1.1754943508222875e-38, 4.76837158203125e-7, 1.1754943508222875e-38), (any.Unit, any.Underflow, any.ExpError, any.ExpUnderflow));
        Assert.Equal((3, 16, 16, 0, 3, true, false), (any.ScoreRoundings, any.LogRoundings, any.KeyBlock, any.SumBlock, any.StoredScores, any.StoresWeights, any.Recomputes));
        Assert.Equal(StorageFormat.BFloat16, any.Storage);
        Assert.Equal((1.1102230246251565e-16, 8.881784197001252e-16, 2.2250738585072014e-308), (S2Attn.Conformance.Ports.Agreement.ModelOf(ElementType.F64).Unit, S2Attn.Conformance.Ports.Agreement.ModelOf(ElementType.F64).ExpError, S2Attn.Conformance.Ports.Agreement.ModelOf(ElementType.F64).ExpUnderflow));
        Assert.Equal((1.1102230246251565e-16, 2.220446049250313e-16, double.Epsilon), (RoundingModel.Double.Unit, RoundingModel.Double.ExpError, RoundingModel.Double.ExpUnderflow));
    }

    /// <summary>Where the arithmetic or the storage may overflow nothing is bounded, and where no pair touches an element it must be 0 exactly.</summary>
    [Fact]
    public void What_may_overflow_is_not_judged_and_what_nothing_touches_is_zero()
    {
        // A score of half of the largest number and a little more, or less.
        const double Largest = 3.4028234663852886e38;
        Assert.All(new[] { (2e19, true), (1e18, false), (Math.Sqrt(0.51 * Largest), true), (Math.Sqrt(0.49 * Largest), false) }, sizes =>
        {
            Tensor<double> q = Tensor<double>.Of([1, 1, 1, 1], [sizes.Item1]), v = Tensor<double>.Of([1, 1, 1, 1], [1.0]);
            AttentionInput<double> input = new(q, q, v);
            S2Config one = Cases.Of(1, 1, MaskPolicy.Split, headDim: 1).Config;
            foreach (RoundingModel model in new[] { S2Attn.Conformance.Ports.Agreement.ModelOf(ElementType.F32), OptimizedPort.ModelOf(one, ElementType.F32) })
                Assert.Equal(sizes.Item2, double.IsPositiveInfinity(ErrorBound.Forward(one, input, model).Bound.Output[0, 0, 0, 0]));

            // The same of do v.
            Gradients<double> gradient = GradientErrorBound.Backward(one, new(v, v, q), q, S2Attn.Conformance.Ports.Agreement.ModelOf(ElementType.F32)).Bound;
            Assert.Equal(sizes.Item2, double.IsPositiveInfinity(gradient.Query[0, 0, 0, 0]));
            Assert.Equal(sizes.Item2, double.IsPositiveInfinity(gradient.Key[0, 0, 0, 0]));
        });

        // The same where scores are stored in a format whose largest number is 65504; where they are not, it limits nothing.
        Assert.All(new[] { (0.51, true), (0.49, false) }, part =>
        {
            Tensor<double> q = Tensor<double>.Of([1, 1, 1, 1], [Math.Sqrt(part.Item1 * 65504)]), v = Tensor<double>.Of([1, 1, 1, 1], [1.0]);
            S2Config one = Cases.Of(1, 1, MaskPolicy.Split, headDim: 1).Config;
            Assert.Equal(part.Item2, double.IsPositiveInfinity(ErrorBound.Forward(one, new AttentionInput<double>(q, q, v), S2Attn.Conformance.Ports.Agreement.ModelOf(ElementType.F16)).Bound.Output[0, 0, 0, 0]));
            Assert.False(double.IsPositiveInfinity(ErrorBound.Forward(one, new AttentionInput<double>(q, q, v), OptimizedPort.ModelOf(one, ElementType.F16)).Bound.Output[0, 0, 0, 0]));
        });

        AttentionCase item = Cases.Of(6, 6, MaskPolicy.Split, padding: PaddingPattern.One, seed: 0);
        Gradients<double> bounds = GradientErrorBound.Backward(item.Config, item.BuildInput(), item.BuildOutputGradient(), S2Attn.Conformance.Ports.Agreement.ModelOf(ElementType.F32)).Bound;
        Assert.All(bounds.Key.Row(0, 0, 0).ToArray(), bound => Assert.Equal(0, bound));
        Assert.All(bounds.Value.Row(0, 0, 0).ToArray(), bound => Assert.Equal(0, bound));
        Assert.All(bounds.Value.Row(0, 1, 0).ToArray(), bound => Assert.NotEqual(0, bound));
    }

    /// <summary>o may be more than binary16 holds in its first element alone. Where do is 0 there, gradients do not depend on it: all have bounds. Where it is not, dq and dk have none.</summary>
    [Theory]
    [InlineData(0.0, true)]
    [InlineData(1e-6, false)]
    public void An_output_without_a_bound_matters_where_its_gradient_is_not_zero(double outputGradient, bool isBounded)
    {
        S2Config config = S2Config.Create(new() { Tokens = 2, HeadDim = 2, GroupSize = GroupSizeRule.Of(2), Mask = MaskPolicy.Bidirectional, ShiftedHeads = HeadShift.None });
        AttentionInput<double> input = new(Of(1, 1), Of(0, 1), Of(65504, 1));
        RoundingModel model = S2Attn.Conformance.Ports.Agreement.ModelOf(ElementType.F16);
        Assert.Equal((true, false), (double.IsPositiveInfinity(ErrorBound.Forward(config, input, model).Bound.Output[0, 0, 0, 0]), double.IsPositiveInfinity(ErrorBound.Forward(config, input, model).Bound.Output[0, 0, 0, 1])));
        Gradients<double> bounds = GradientErrorBound.Backward(config, input, Of(outputGradient, 1), model).Bound;
        Assert.Equal((isBounded, isBounded), (double.IsFinite(bounds.Query[0, 0, 0, 1]), double.IsFinite(bounds.Key[0, 0, 0, 1])));
        Assert.All(bounds.Value.Elements.ToArray(), bound => Assert.True(double.IsFinite(bound)));

        static Tensor<double> Of(double first, double second) => Tensor<double>.Build([1, 2, 1, 2], i => i % 2 == 0 ? first : second);
    }

    /// <summary>One token: dv is do. A gradient is judged as far as it and its bound stay within binary16, of which 65504 is the largest number.</summary>
    [Theory]
    [InlineData(60000, true)]
    [InlineData(65504, false)]
    [InlineData(-65504, false)]
    public void A_gradient_that_may_overflow_its_storage_is_not_judged(double outputGradient, bool isBounded)
    {
        S2Config config = S2Config.Create(new() { Tokens = 1, HeadDim = 1, GroupSize = GroupSizeRule.Of(1), Mask = MaskPolicy.Split });
        Tensor<double> one = Tensor<double>.Of([1, 1, 1, 1], [1]), dout = Tensor<double>.Of([1, 1, 1, 1], [outputGradient]);
        BoundedGradients gradients = GradientErrorBound.Backward(config, new(one, one, one), dout, S2Attn.Conformance.Ports.Agreement.ModelOf(ElementType.F16));
        Assert.Equal((outputGradient, isBounded), (gradients.Exact.Value[0, 0, 0, 0], double.IsFinite(gradients.Bound.Value[0, 0, 0, 0])));
    }

    /// <summary>The second of two groups, of two sequences and of two query heads on one kv head, is a text alone: as a slice its rows and bounds are the same. One row sees no score above -infinity.</summary>
    [Fact]
    public void A_slice_of_one_group_has_the_bounds_of_a_text()
    {
        S2Request request = new() { Batch = 2, Tokens = 8, Heads = 2, KvHeads = 1, HeadDim = 3, GroupSize = GroupSizeRule.Of(4), Shift = 0, Mask = MaskPolicy.Split };
        S2Config text = S2Config.Create(request with { Tokens = 4 });
        S2Slice slice = S2Slice.Create(S2Config.Create(request), new() { FirstQuery = 4, EndQuery = 8 });
        Assert.Equal(new TokenRange<int>(4, 8), slice.Keys);
        Random random = new(1);
        Tensor<double> key = Noise(1), finite = Noise(1), dout = Noise(2), dlse = Tensor<double>.Build([2, 4, 2], _ => random.NextDouble());
        AttentionInput<double> input = new(Tensor<double>.Build([2, 4, 2, 3], i => i < 3 ? 1 : random.NextDouble()), Tensor<double>.Build([2, 4, 1, 3], i => i == 0 ? double.NegativeInfinity : key.Elements[i]), finite);
        foreach (AttentionInput<double> of in new[] { input, input with { Key = key } })
        {
            RoundingModel model = S2Attn.Conformance.Ports.Agreement.ModelOf(ElementType.F16);
            BoundedOutput o = ErrorBound.Forward(text, of, model), part = ErrorBound.Forward(slice, of, model);
            BoundedGradients gradients = GradientErrorBound.Backward(text, of, dout, dlse, model), share = GradientErrorBound.Backward(slice, of, dout, dlse, model);
            Assert.Equal(o.Exact.Output.Elements.ToArray(), part.Exact.Output.Elements.ToArray());
            Assert.Equal(o.Bound.Output.Elements.ToArray(), part.Bound.Output.Elements.ToArray());
            Assert.Equal(o.Bound.LogSumExp.Elements.ToArray(), part.Bound.LogSumExp.Elements.ToArray());
            foreach ((Gradients<double> whole, Gradients<double> ofSlice) in new[] { (gradients.Exact, share.Exact), (gradients.Bound, share.Bound) })
            {
                Assert.Equal(whole.Query.Elements.ToArray(), ofSlice.Query.Elements.ToArray());
                Assert.Equal(whole.Key.Elements.ToArray(), ofSlice.Key.Elements.ToArray());
                Assert.Equal(whole.Value.Elements.ToArray(), ofSlice.Value.Elements.ToArray());
            }
        }

        Tensor<double> Noise(int heads) => Tensor<double>.Build([2, 4, heads, 3], _ => random.NextDouble() - 0.5);
    }

    /// <summary>q may be scaled before its product with k or after it: where either overflows, though scale q.k does not, nothing is said.</summary>
    [Theory]
    [InlineData(1e38, 0, 4, false)]
    [InlineData(1e38, 0, 1, true)]
    [InlineData(1.7014117331926443e38, 0, 1, true)] // exactly half of the largest number
    [InlineData(2e19, 2e19, 1e-3, false)]
    [InlineData(2e18, 2e18, 1e-3, true)]
    public void A_score_whose_parts_overflow_is_not_judged(double query, double key, double scale, bool isBounded)
    {
        S2Config config = S2Config.Create(new() { Tokens = 1, HeadDim = 2, GroupSize = GroupSizeRule.Of(1), Mask = MaskPolicy.Split, Scale = scale });
        Tensor<double> o = ErrorBound.Forward<double>(config, new(Of(query, 0), Of(key, 1), Of(1, 1)), S2Attn.Conformance.Ports.Agreement.ModelOf(ElementType.F32)).Bound.Output;
        Assert.Equal(isBounded, double.IsFinite(o[0, 0, 0, 0]));

        static Tensor<double> Of(double first, double second) => Tensor<double>.Of([1, 1, 1, 2], [first, second]);
    }

    /// <summary>A query that is NaN: nothing is said of its row. do v of exactly half of the largest number: as much is said as of less.</summary>
    [Fact]
    public void What_is_NaN_is_not_judged_and_half_of_the_largest_number_is()
    {
        S2Config config = S2Config.Create(new() { Tokens = 1, HeadDim = 1, GroupSize = GroupSizeRule.Of(1), Mask = MaskPolicy.Split, Scale = 1 });
        RoundingModel model = S2Attn.Conformance.Ports.Agreement.ModelOf(ElementType.F32);
        AttentionOutput<double> bound = ErrorBound.Forward<double>(config, new(One(double.NaN), One(1), One(1)), model).Bound;
        Assert.Equal((double.PositiveInfinity, double.PositiveInfinity), (bound.Output[0, 0, 0, 0], bound.LogSumExp[0, 0, 0]));
        Assert.True(double.IsFinite(GradientErrorBound.Backward(config, new(One(1), One(1), One(1)), One(1.7014117331926443e38), model).Bound.Query[0, 0, 0, 0]));

        static Tensor<double> One(double value) => Tensor<double>.Of([1, 1, 1, 1], [value]);
    }

    /// <summary>A score that a composition stores in binary16 may be half of its largest number, 65504; one that the kernels keep in binary32 may be more.</summary>
    [Fact]
    public void A_score_that_overflows_where_it_is_stored_is_not_judged()
    {
        S2Config config = S2Config.Create(new() { Tokens = 1, HeadDim = 1, GroupSize = GroupSizeRule.Of(1), Mask = MaskPolicy.Split, Scale = 1 });
        RoundingModel any = S2Attn.Conformance.Ports.Agreement.ModelOf(ElementType.F16), kernels = OptimizedPort.ModelOf(config, ElementType.F16);
        Assert.Equal((true, false, true), (IsBounded(32752, any), IsBounded(40000, any), IsBounded(40000, kernels)));

        bool IsBounded(double score, RoundingModel model) => double.IsFinite(ErrorBound.Forward<double>(config, new(One(score), One(1), One(1)), model).Bound.Output[0, 0, 0, 0]);

        static Tensor<double> One(double value) => Tensor<double>.Of([1, 1, 1, 1], [value]);
    }

    /// <summary>Beside a score of 0 one of -infinity has weight 0 exactly, and the row is judged.</summary>
    [Fact]
    public void A_score_of_minus_infinity_is_exact()
    {
        S2Config config = S2Config.Create(new() { Tokens = 2, HeadDim = 1, GroupSize = GroupSizeRule.Of(2), Mask = MaskPolicy.Bidirectional, ShiftedHeads = HeadShift.None, Scale = 1 });
        BoundedRow row = ErrorBound.Row<double>(config, new(Of(1, 1), Of(0, double.NegativeInfinity), Of(1, 2)), 0, 0, 0, S2Attn.Conformance.Ports.Agreement.ModelOf(ElementType.F32));
        Assert.Equal([1, 0], row.Row.Weights);
        Assert.InRange(row.OutputBound[0], 1e-8, 1e-4);

        static Tensor<double> Of(double first, double second) => Tensor<double>.Of([1, 2, 1, 1], [first, second]);
    }

    /// <summary>do v = 4e38 - 4e38 is 0, but each product is more than half of what binary32 holds: nothing is said of dq and dk. Products of a tenth of that have bounds.</summary>
    [Theory]
    [InlineData(2e19, false)]
    [InlineData(2e18, true)]
    public void Products_that_overflow_and_cancel_are_not_judged(double size, bool isBounded)
    {
        S2Config config = S2Config.Create(new() { Tokens = 1, HeadDim = 2, GroupSize = GroupSizeRule.Of(1), Mask = MaskPolicy.Split });
        Tensor<double> one = Of(1, 1), v = Of(size, size), dout = Of(size, -size);
        Gradients<double> bounds = GradientErrorBound.Backward(config, new(one, one, v), dout, S2Attn.Conformance.Ports.Agreement.ModelOf(ElementType.F32)).Bound;
        Assert.Equal((isBounded, isBounded), (double.IsFinite(bounds.Query[0, 0, 0, 0]), double.IsFinite(bounds.Key[0, 0, 0, 1])));

        static Tensor<double> Of(double first, double second) => Tensor<double>.Of([1, 1, 1, 2], [first, second]);
    }

    /// <summary>A key of weight 0, whose score of -100,000 is known to a thousand only: what its row gives to dv is 0 and has a bound all the same.</summary>
    [Fact]
    public void A_weight_of_zero_has_a_bound_however_little_is_known_of_its_score()
    {
        S2Config config = S2Config.Create(new() { Tokens = 2, HeadDim = 1, GroupSize = GroupSizeRule.Of(2), Mask = MaskPolicy.Bidirectional, ShiftedHeads = HeadShift.None, Scale = 1 });
        AttentionInput<double> input = new(Of(1000, 1000), Of(0, -100), Of(1, 2));
        RoundingModel model = S2Attn.Conformance.Ports.Agreement.ModelOf(ElementType.BF16);
        Assert.InRange(ErrorBound.Row(config, input, 0, 0, 0, model).LogWeightBounds[1], 1000, 2000);
        Assert.InRange(GradientErrorBound.Backward(config, input, Of(1, 1), model).Bound.Value[0, 1, 0, 0], 0, 1e-30);

        static Tensor<double> Of(double first, double second) => Tensor<double>.Of([1, 2, 1, 1], [first, second]);
    }

    /// <summary>
    /// From above: by what part must one contribution (one key's weight, one score gradient, one query's share) be wrong to leave the bound where it is seen best, in each format?
    /// Recorded to two digits; a bound that grows by a tenth is seen, and none may need more than the limit.
    /// </summary>
    [Fact]
    public void The_smallest_wrong_contribution_that_is_seen_is_the_recorded_one()
    {
        List<(string Name, string Value)> lines = [];
        foreach (ElementType type in new[] { ElementType.F64, ElementType.F32, ElementType.F16, ElementType.BF16 })
        {
            AttentionCase item = Cases.Of(60, 30, MaskPolicy.LocalCausal, heads: 4, kvHeads: 2, headDim: 8, type: type, seed: 5);
            double limit = type switch { ElementType.F64 => 1e-12, ElementType.F32 => 5e-5, ElementType.F16 => 0.02, _ => 0.16 };
            foreach ((string model, RoundingModel rounding) in new[] { ("any port", S2Attn.Conformance.Ports.Agreement.ModelOf(type)), ("kernels", OptimizedPort.ModelOf(item.Config, type)) }.Where(pair => type is not ElementType.F64 || pair.Item1 == "any port"))
                foreach ((string tensor, double edge) in Edges(item, rounding))
                {
                    Assert.True(edge < limit, FormattableString.Invariant($"{tensor}, {type}, {model}: a contribution that is wrong by {edge:G3} is not seen"));
                    lines.Add(($"{tensor} {type} {model}", FormattableString.Invariant($"{edge:0.0e-0}")));
                }
        }

        RecordedLines.AssertEqualOrUpdate("Conformance/Tests/Reference/edges.txt", "By what part must one contribution be wrong to leave the bound where it is seen best?", lines);
    }

    // The least bound / |contribution| over all elements; beyond it the contribution's error is seen.
    private static IEnumerable<(string Tensor, double Edge)> Edges(AttentionCase item, RoundingModel model)
    {
        S2Config config = item.Config;
        AttentionInput<double> input = item.BuildInput();
        Tensor<double> dout = item.BuildOutputGradient();
        BoundedOutput forward = ErrorBound.Forward(config, input, model);
        Gradients<double> bound = GradientErrorBound.Backward(config, input, dout, model).Bound;
        double o = double.PositiveInfinity, lse = o, dq = o, dk = o, dv = o;
        for (int t = 0; t < config.Tokens; t++)
            for (int h = 0; h < config.Heads; h++)
            {
                int kv = config.KvHeadOf(h);
                AttentionRow row = Attention.Row(config, input, 0, t, h);
                double[] dp = [.. row.Keys.Select(u => Sum(dout.Row(0, t, h), input.Value.Row(0, u, kv)))];
                double mean = row.Weights.Zip(dp, (p, x) => p * x).Sum();
                for (int j = 0; j < row.Keys.Count && row.Keys.Count > 1; j++)
                {
                    int u = row.Keys[j];
                    double p = row.Weights[j], ds = config.Scale * p * (dp[j] - mean);
                    lse = Math.Min(lse, forward.Bound.LogSumExp[0, t, h] / p);
                    for (int d = 0; d < config.HeadDim; d++)
                    {
                        o = Math.Min(o, forward.Bound.Output[0, t, h, d] / (p * Math.Abs(input.Value[0, u, kv, d] - forward.Exact.Output[0, t, h, d])));
                        dq = Math.Min(dq, bound.Query[0, t, h, d] / Math.Abs(ds * input.Key[0, u, kv, d]));
                        dk = Math.Min(dk, bound.Key[0, u, kv, d] / Math.Abs(ds * input.Query[0, t, h, d]));
                        dv = Math.Min(dv, bound.Value[0, u, kv, d] / (p * Math.Abs(dout[0, t, h, d])));
                    }
                }
            }

        return [("o", o), ("lse", lse), ("dq", dq), ("dk", dk), ("dv", dv)];

        static double Sum(ReadOnlySpan<double> a, ReadOnlySpan<double> b)
        {
            double sum = 0;
            for (int i = 0; i < a.Length; i++)
                sum += a[i] * b[i];
            return sum;
        }
    }
}
