// Does the error bound hold for rounded arithmetic, and is it tight enough to see one key?
using FsCheck;
using FsCheck.Fluent;
using S2Attn.Conformance;
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Tests.Reference;

public sealed class ErrorBoundTests
{
    private static readonly ElementType[] FloatTypes = [ElementType.F32, ElementType.F16, ElementType.BF16];

    [Fact]
    public void Float_arithmetic_in_any_order_of_the_keys_stays_within_the_bound()
    {
        Prop.ForAll(
            Arb.From(CaseGenerator.Kernels(64, 64, FloatTypes), CaseShrinker.Simpler),
            item => Within(item, new FloatAttention(item.Seed, KeyBlock: 16 * (item.Seed % 3), StoresIntermediates: item.Seed % 5 == 0)))
            .Check(Config.QuickThrowOnFailure.WithMaxTest(300));
    }

    [Fact]
    public void Float_gradients_in_any_order_stay_within_the_bound()
    {
        Prop.ForAll(
            Arb.From(CaseGenerator.Kernels(40, 40, FloatTypes), CaseShrinker.Simpler),
            item =>
            {
                PortCase portCase = item.Backward();
                return Agrees(Agreement.Compare(portCase, new FloatAttention(item.Seed, 16 * (item.Seed % 3)).Backward(portCase), Agreement.ModelOf(item.Type)));
            })
            .Check(Config.QuickThrowOnFailure.WithMaxTest(200));
    }

    [Fact]
    public void Reference_agrees_with_itself_in_every_format()
    {
        using ReferencePort port = new();
        Prop.ForAll(
            Arb.From(CaseGenerator.Kernels(24, 24, Enum.GetValues<ElementType>()), CaseShrinker.Simpler),
            item => Agrees(Agreement.Compare(item.Forward(), port.Run(item.Forward()), Agreement.ModelOf(item.Type)))
                .And(Agrees(Agreement.Compare(item.Backward(), port.Run(item.Backward()), Agreement.ModelOf(item.Type)))))
            .Check(Config.QuickThrowOnFailure);
    }

    /// <summary>Tests that ask for both passes take them from one evaluation.</summary>
    [Fact]
    public void Both_passes_at_once_are_each_alone_to_the_bit()
    {
        foreach (AttentionCase item in CaseGenerator.Sample(24, 60, seed: 5))
        {
            PortCase asked = item.Backward();
            (BoundedOutput output, BoundedGradients gradients) =
                GradientErrorBound.Both(asked.Part, asked.Input, asked.OutputGradient[0], asked.LogSumExpGradientOrZero, Agreement.ModelOf(item.Type));
            BoundedOutput alone = ErrorBound.Forward(item.Config, asked.Input, Agreement.ModelOf(item.Type));
            Gradients<double> exact = AttentionGradients.Backward(item.Config, asked.Input, asked.OutputGradient[0]);
            Tensor<double>[] once = [output.Exact.Output, output.Exact.LogSumExp, output.Bound.Output, output.Bound.LogSumExp, gradients.Exact.Query, gradients.Exact.Key, gradients.Exact.Value];
            Tensor<double>[] each = [alone.Exact.Output, alone.Exact.LogSumExp, alone.Bound.Output, alone.Bound.LogSumExp, exact.Query, exact.Key, exact.Value];
            Assert.All(each.Zip(once), pair => Assert.Equal(pair.First.Elements.ToArray(), pair.Second.Elements.ToArray()));
        }
    }

    /// <summary>Multiplying one weight p by c moves o by (c - 1) p (v - o) / (1 + (c - 1) p); seen where some element moves by more than twice its bound.</summary>
    [Theory]
    [InlineData(TensorKind.Normal, 0, 1e-4)]
    [InlineData(TensorKind.Normal, 2, 1e-4)]
    [InlineData(TensorKind.OneHot, 0, 0)]
    [InlineData(TensorKind.OneHot, 2, 0)]
    [InlineData(TensorKind.Normal, 0.99, 0.01)]
    [InlineData(TensorKind.OneHot, 0.99, 0.002)]
    public void One_key_of_512_that_is_dropped_doubled_or_misscaled_leaves_the_bound(TensorKind values, double factor, double leastWeight)
    {
        AttentionCase item = Cases.Of(512, 512, MaskPolicy.Bidirectional, headDim: 64, shifted: HeadShift.None, kind: values, seed: 1);
        AttentionInput<double> input = item.BuildInput();
        for (int t = 0; t < 512; t += 73)
        {
            BoundedRow row = ErrorBound.Row(item.Config, input, 0, t, 0, Agreement.ModelOf(ElementType.F32));
            for (int u = 0; u < 512; u++)
            {
                double moved = (factor - 1) * row.Row.Weights[u];
                double worst = 0;
                for (int d = 0; d < 64; d++)
                    worst = Math.Max(worst, Math.Abs(moved / (1 + moved) * (input.Value[0, u, 0, d] - row.Output[d])) / row.OutputBound[d]);
                Assert.True(worst > 2 || row.Row.Weights[u] < leastWeight, FormattableString.Invariant($"t={t} u={u} p={row.Row.Weights[u]:G3}: {worst:G3} of the bound"));
            }
        }
    }

    /// <summary>Probe: v is one-hot at a single key. Then o = p there, the bound is p times a small number whatever n is, and a dropped key is seen however small its weight.</summary>
    [Theory]
    [InlineData(ElementType.F32)]
    [InlineData(ElementType.F16)]
    [InlineData(ElementType.BF16)]
    public void A_one_hot_value_makes_every_dropped_key_visible(ElementType type)
    {
        const int Tokens = 600;
        AttentionCase item = Cases.Of(Tokens, Tokens, MaskPolicy.Bidirectional, headDim: 16, shifted: HeadShift.None, type: type, seed: 3);
        AttentionInput<double> normal = item.BuildInput();
        for (int u = 0; u < Tokens; u += 7)
        {
            AttentionInput<double> input = normal with { Value = Tensor<double>.Build([1, Tokens, 1, 16], i => i == u * 16 ? 1 : 0) };
            BoundedRow row = ErrorBound.Row(item.Config, input, 0, u % 11, 0, Agreement.ModelOf(type));
            Assert.True(row.OutputBound[0] < row.Output[0] / 2, FormattableString.Invariant($"u={u}: o={row.Output[0]:G3}, bound {row.OutputBound[0]:G3}"));
        }
    }

    [Fact]
    public void A_defect_at_one_key_of_one_row_is_found_by_the_comparison()
    {
        AttentionCase item = Cases.Of(128, 64, MaskPolicy.LocalCausal, heads: 2, kvHeads: 1, headDim: 32, seed: 5);
        PortCase portCase = item.Forward();
        foreach (double factor in new[] { 0.0, 2.0, 0.9 })
        {
            FloatAttention broken = new(item.Seed) { Defect = (t, i) => t == 100 && i == 20 ? factor : 1 };
            TensorAgreement[] agreements = [.. Agreement.Compare(portCase, broken.Forward(portCase), Agreement.ModelOf(ElementType.F32))];
            Assert.All(agreements, agreement => Assert.False(agreement.Agrees, agreement.ToString()));
            Assert.Equal(100, agreements[0].WorstIndex[1]);
        }
    }

    [Fact]
    public void Minus_infinity_and_NaN_are_compared_as_such()
    {
        Assert.Equal(0, Agreement.Ratio(double.NegativeInfinity, double.NegativeInfinity, 0));
        Assert.Equal(double.PositiveInfinity, Agreement.Ratio(double.NaN, double.NegativeInfinity, 0));
        Assert.Equal(double.PositiveInfinity, Agreement.Ratio(-1e30, double.NegativeInfinity, 0));
        Assert.Equal(double.PositiveInfinity, Agreement.Ratio(double.NaN, 1, 1));
        Assert.Equal(double.PositiveInfinity, Agreement.Ratio(1, double.NaN, double.PositiveInfinity));
        Assert.Equal(0, Agreement.Ratio(double.NaN, double.NaN, double.PositiveInfinity));
    }

    private static Property Within(AttentionCase item, FloatAttention implementation)
    {
        PortCase portCase = item.Forward();
        return Agrees(Agreement.Compare(portCase, implementation.Forward(portCase), Agreement.ModelOf(item.Type)));
    }

    private static Property Agrees(IEnumerable<TensorAgreement> agreements) =>
        agreements.All(agreement => agreement.Agrees).Label(string.Join("; ", agreements.Where(agreement => !agreement.Agrees)));
}
