// Do layers of phases, alternate layers and rotated phases reach exactly as far as the closed forms say?
using S2Attn.Reference;
using S2Attn.Spec;
using S2Attn.Spec.Algebra;
using S2Attn.Spec.Claims;

namespace S2Attn.Tests.Spec;

public sealed class PatternTests
{
    public static TheoryData<string> Statements => [.. Theorems.Patterns.Select(statement => statement.Name)];

    [Theory]
    [MemberData(nameof(Statements))]
    public void Statements_about_phases_and_layers_hold_for_all_values_up_to_a_limit(string name)
    {
        Statement statement = Theorems.Patterns.Single(statement => statement.Name == name);
        long[] refuted = [.. statement.Refutation(0, statement.Variables.Length > 3 ? 9 : 16)];
        Assert.True(refuted.Length == 0, $"{name} ({statement.Text}) fails at {string.Join(' ', statement.Variables.Zip(refuted))}.");
    }

    /// <summary>The phase of a head as issue and paper would say it: how many of the P - 1 boundaries floor(i H / P) lie at or before it. P = 2 is LongLoRA's second half.</summary>
    [Fact]
    public void The_phases_of_few_heads()
    {
        string Row(int heads, int phases) => string.Concat(Enumerable.Range(0, heads).Select(h => Phases.OfHead<Int, Bool>(heads, phases, h)));
        Assert.Equal("0011 011 1 01", string.Join(' ', Row(4, 2), Row(3, 2), Row(1, 2), Row(2, 2)));
        Assert.Equal("00112233 0123 012 0122 13", string.Join(' ', Row(8, 4), Row(4, 4), Row(3, 3), Row(4, 3), Row(2, 4)));
        Assert.Equal("00000", Row(5, 1));
    }

    /// <summary>G = 8 in three phases: borders at floor(8 k / 3), the last one at or before each token, and how far tokens look back: one layer to the run of the furthest phase, two layers twice.</summary>
    [Fact]
    public void The_borders_of_three_phases_and_what_tokens_reach()
    {
        Assert.Equal("0 2 5 8 10 13 16", string.Join(' ', Enumerable.Range(0, 7).Select(k => Phases.Border<Int, Bool>(8, 3, k))));
        Assert.Equal("0 0 1 1 1 2 2 2 3 3 4", string.Join(' ', Enumerable.Range(0, 11).Select(t => Phases.Index<Int, Bool>(8, 3, t))));
        int[] ofOne = [0, 7, 8, 13, 16], ofTwo = [0, 12, 13, 16];
        Assert.Equal("0 0 2 8 10", string.Join(' ', ofOne.Select(t => Phases.Earliest<Int, Bool>(8, 3, 1, t))));
        Assert.Equal("0 0 2 5", string.Join(' ', ofTwo.Select(t => Phases.Earliest<Int, Bool>(8, 3, 2, t))));
    }

    [Fact]
    public void Two_phases_are_the_second_half_with_half_a_group()
    {
        foreach ((int n, int g) in Sizes(12))
            for (int heads = 1; heads <= 5; heads++)
            {
                S2Config half = Config(n, g, heads, HeadShift.SecondHalf), phased = Config(n, g, heads, HeadShift.Phased(2));
                Assert.Equal(Enumerable.Range(0, heads).Select(half.ShiftOf), Enumerable.Range(0, heads).Select(phased.ShiftOf));
            }
    }

    [Fact]
    public void The_shifts_of_phases_and_of_rotated_phases_are_those_of_a_table()
    {
        string Shifts(HeadShift heads, int g, int count) => string.Join(' ', Enumerable.Range(0, count).Select(h => heads.ShiftOf(h, count, g, 0)));
        Assert.Equal("0 2 4 6", Shifts(HeadShift.Phased(4), 8, 4));
        Assert.Equal("1 3 5 7", Shifts(HeadShift.Phased(4, isRotated: true), 8, 4));
        Assert.Equal("0 4", Shifts(HeadShift.Phased(2), 8, 2));
        Assert.Equal("2 6", Shifts(HeadShift.Phased(2, isRotated: true), 8, 2));
        Assert.Equal("0 2 5", Shifts(HeadShift.Phased(3), 8, 3));
        Assert.Equal("3 1 0", Shifts(HeadShift.Each([3, 1, 0]), 8, 3));
    }

    /// <summary>Layers of Split, composed pair by pair from the definition of visibility, against the closed form.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(7)]
    public void Layers_of_phases_reach_back_exactly_to_the_closed_form(int phases)
    {
        foreach ((int n, int g) in Sizes(18))
            for (int layers = 1; layers <= (phases <= g ? 3 : 1); layers++)
            {
                int[] reached = Reached(n, g, phases, LayerPattern.Same(HeadShift.Phased(phases)), layers);
                for (int t = 0; t < n; t++)
                    Assert.True(
                        reached[t] == Phases.Earliest<Int, Bool>(g, phases, layers, t).Value,
                        $"N={n} G={g} P={phases} L={layers}: token {t} reaches {reached[t]}, not {Phases.Earliest<Int, Bool>(g, phases, layers, t)}");
            }
    }

    /// <summary>Worst-case reach in a long text: L G/2 for S2-Attn, (L - 1) G/2 for alternate layers, L G (1 - 1/P) for P phases, G/2 + (L - 1) 3G/4 for the rotated pair.</summary>
    [Theory]
    [InlineData(4)]
    [InlineData(8)]
    [InlineData(12)]
    public void The_worst_token_of_a_long_text_reaches_as_far_as_docs_reach_says(int g)
    {
        const int MaxLayers = 4;
        int n = 8 * g;
        int Worst(LayerPattern pattern, int heads, int layers) => Enumerable.Range(n - 2 * g, 2 * g).Min(t => t - Reached(n, g, heads, pattern, layers)[t]);
        for (int layers = 1; layers <= MaxLayers; layers++)
        {
            Assert.Equal(layers * g / 2, Worst(LayerPattern.Same(HeadShift.SecondHalf), 2, layers));
            Assert.Equal((layers - 1) * g / 2, Worst(LayerPattern.Alternate, 1, layers));
            Assert.Equal(layers * (g - g / 4), Worst(LayerPattern.Same(HeadShift.Phased(4)), 4, layers));
            Assert.Equal(g / 2 + (layers - 1) * 3 * g / 4, Worst(LayerPattern.Rotated(2), 2, layers));
            Assert.Equal(0, Worst(LayerPattern.Same(HeadShift.None), 1, layers));
            Assert.Equal(0, Worst(LayerPattern.Same(HeadShift.All), 1, layers));
        }
    }

    /// <summary>Under LocalCausal the label of token t + 1 is at t after 2N/G - 1 layers at a border, 2N/G elsewhere, and never before: counted pair by pair.</summary>
    [Fact]
    public void A_label_leaks_back_by_one_token_after_as_many_layers_as_LeakRound_says()
    {
        foreach ((int g, int s) in new[] { (2, 1), (4, 2), (4, 1), (5, 2), (6, 3), (7, 1) })
            for (int groups = 1; groups <= 8; groups++)
            {
                int n = groups * g;
                for (int u = 1; u < n; u++)
                {
                    bool[] holds = new bool[n];
                    holds[u] = true;
                    int layers = 0;
                    while (!holds[u - 1])
                    {
                        holds = [.. Enumerable.Range(0, n).Select(t => Enumerable.Range(0, n).Any(v => holds[v] && (Sees(0, t, v) || Sees(s, t, v))))];
                        layers++;
                    }

                    bool isBorder = u % g == 0 || u % g == s;
                    Assert.True(layers == 2 * groups - (isBorder ? 1 : 0), $"N={n} G={g} S={s}: token {u} leaks to {u - 1} after {layers} layers");
                }

                bool Sees(int shift, int t, int v) => Visibility.Visible<Int, Bool>(MaskPolicy.LocalCausal, n, g, shift, t, v).Value;
            }
    }

    /// <summary>Each head of a phase is a head of Reference that shifts by that amount, so phases are heads put side by side.</summary>
    [Fact]
    public void Reference_computes_each_phase_as_a_head_that_shifts_by_its_amount()
    {
        const int N = 12, G = 6, Dim = 3;
        HeadShift phases = HeadShift.Phased(3);
        Tensor<double> x = Tensor<double>.Build([1, N, 3, Dim], i => Math.Sin(i));
        AttentionOutput<double> whole = Attention.Forward(Wide(3, phases, null), new AttentionInput<double>(x, x, x));
        for (int h = 0; h < 3; h++)
        {
            int head = h;
            Tensor<double> alone = Tensor<double>.Build([1, N, 1, Dim], i => x[0, i / Dim, head, i % Dim]);
            AttentionOutput<double> one = Attention.Forward(Wide(1, HeadShift.All, phases.ShiftOf(h, 3, G, 0)), new AttentionInput<double>(alone, alone, alone));
            for (int t = 0; t < N; t++)
                for (int d = 0; d < Dim; d++)
                    Assert.Equal(one.Output[0, t, 0, d], whole.Output[0, t, head, d]);
        }

        S2Config Wide(int heads, HeadShift shift, int? amount) => S2Config.Create(
            new() { Tokens = N, Heads = heads, HeadDim = Dim, GroupSize = GroupSizeRule.Of(G), Shift = amount, Mask = MaskPolicy.LocalCausal, ShiftedHeads = shift });
    }

    private static int[] Reached(int n, int g, int heads, LayerPattern pattern, int layers)
    {
        int[] reached = [.. Enumerable.Range(0, n)];
        // The last layer is the one whose queries look first.
        for (int layer = layers - 1; layer >= 0; layer--)
        {
            S2Config config = Config(n, g, heads, pattern.HeadsOf(layer));
            int[] of = [.. Enumerable.Range(0, n).Select(t => Enumerable.Range(0, heads).Min(h => Enumerable.Range(0, n).First(u => Visibility.Visible(config, h, t, u))))];
            // What a token reaches never moves forward with the token, so the first key is the one to follow.
            reached = [.. reached.Select(t => of[t])];
        }

        return reached;
    }

    private static IEnumerable<(int N, int G)> Sizes(int max) => from n in Enumerable.Range(1, max) from g in Enumerable.Range(1, n) select (n, g);

    private static S2Config Config(int n, int g, int heads, HeadShift shift) =>
        S2Config.Create(new() { Tokens = n, Heads = heads, HeadDim = 1, GroupSize = GroupSizeRule.Of(g), Mask = MaskPolicy.Split, ShiftedHeads = shift });
}
