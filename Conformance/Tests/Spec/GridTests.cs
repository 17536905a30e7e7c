// Do tokens on several axes see what they do on each, and do the windows hold each visible pair once?
using FsCheck;
using FsCheck.Fluent;
using S2Attn.Reference;
using S2Attn.Spec;
using S2Attn.Spec.Algebra;
using S2Attn.Spec.Claims;

namespace S2Attn.Tests.Spec;

public sealed class GridTests
{
    private static readonly Gen<S2Grid> Drawn =
        from mask in Gen.Elements(MaskPolicies.All.ToArray())
        from count in Gen.Choose(1, 3)
        from axes in Axes(mask, count == 1 ? 24 : count == 2 ? 9 : 5).ArrayOf(count)
        from shifted in Gen.Elements(HeadShift.None, HeadShift.SecondHalf, HeadShift.All)
        select Grid(mask, shifted, axes);

    private static Gen<GridAxis<int>> Axes(MaskPolicy mask, int most) =>
        from g in Gen.Choose(1, Math.Min(most, 4))
        from groups in Gen.Choose(1, Math.Max(1, most / g))
        from rest in Gen.Choose(0, mask.CutsWrappedRun() ? g - 1 : 0)
        from s in Gen.Choose(0, g - 1)
        select new GridAxis<int>(g * groups + rest, g, s);

    /// <summary>One axis is the text that there was before: the same relation for every size up to 12.</summary>
    [Fact]
    public void One_axis_is_a_text()
    {
        int seen = 0;
        foreach (MaskPolicy mask in MaskPolicies.All)
            for (int n = 1; n <= 12; n++)
                for (int g = 1; g <= n; g++)
                    for (int s = 0; s < g && (mask.CutsWrappedRun() || n % g == 0); s++)
                        for (int t = 0; t < n; t++)
                            for (int u = 0; u < n; u++, seen++)
                                Assert.Equal(
                                    Visibility.Visible<Int, Bool>(mask, n, g, s, t, u).Value,
                                    Grids.Visible<Int, Bool>(mask, [new(n, g, s)], [t], [u]).Value);
        Assert.True(seen > 50_000, $"{seen} pairs");
    }

    /// <summary>
    /// What a query sees and the pairs of a head, written down by hand. Of 4 places in groups of 2, shifted by 1, the roll joins 3 and 0, in this order, and 1 and 2; of 3 in one group, shifted by 1, it makes 1, 2, 0.
    /// </summary>
    [Theory]
    [InlineData(MaskPolicy.LocalCausal, "4/2/1 4/2/1", "0:0,3,12,15 3:3,12,15 12:12,15 15:15 6:5,6 9:5,6,9 4:4,7 11:4,7,11 8:4,7,8,11", 40)]
    [InlineData(MaskPolicy.Split, "4/2/1 4/2/1", "0:0 3:3 12:12 15:15 6:5,6 9:5,6,9 10:5,6,9,10 4:4 8:4,8 11:7,11", 26)]
    [InlineData(MaskPolicy.PositionCausal, "4/2/1 4/2/1", "0:0 3:0,3 12:0,3,12 15:0,3,12,15 6:5,6 4:4 7:4,7 8:4,7,8 11:4,7,8,11", 40)]
    [InlineData(MaskPolicy.Bidirectional, "4/2/1 4/2/1", "0:0,3,12,15 6:5,6,9,10 4:4,7,8,11", 64)]
    [InlineData(MaskPolicy.BidirectionalSplit, "4/2/1 4/2/1", "0:0 6:5,6,9,10 4:4,8 11:7,11", 36)]
    [InlineData(MaskPolicy.Split, "2/1/0 3/3/1", "0:0 2:1,2 3:3 4:4 5:4,5", 8)]
    [InlineData(MaskPolicy.LocalCausal, "2/1/0 3/3/1", "0:0,1,2 1:1 2:1,2 3:3,4,5 4:4 5:4,5", 12)]
    public void A_grid_looks_as_drawn(MaskPolicy mask, string axes, string rows, long pairs)
    {
        S2Grid grid = Grid(mask, HeadShift.All, AxesOf(axes));
        foreach (string[] row in rows.Split(' ').Select(row => row.Split(':')))
        {
            int t = int.Parse(row[0], System.Globalization.CultureInfo.InvariantCulture);
            Assert.Equal(row[1], string.Join(',', Enumerable.Range(0, grid.Tokens.Tokens).Where(u => grid.Visible(0, t, u))));
            GridWindow window = Assert.Single(grid.Windows(0), window => window.Tokens.Contains(t));
            Assert.Equal(row[1], string.Join(',', window.Tokens.Take(mask.IsCausal() ? window.Tokens.IndexOf(t) + 1 : window.Tokens.Length).Order()));
        }

        Assert.Equal(pairs, grid.VisiblePairs(0));
    }

    /// <summary>Four places in groups of two, of which one head of two shifts by one: windows and visible keys of each.</summary>
    [Theory]
    [InlineData(MaskPolicy.Split, "0,1 2,3", "0 1,2 3")]
    [InlineData(MaskPolicy.PositionCausal, "0,1 2,3", "1,2 0,3")]
    public void A_head_that_does_not_shift_has_its_groups(MaskPolicy mask, string first, string second)
    {
        S2Grid grid = S2Grid.Create(S2Config.Create(new() { Tokens = 4, Heads = 2, HeadDim = 1, GroupSize = GroupSizeRule.Of(4), Mask = mask }), new GridAxis<int>(4, 2, 1));
        Assert.Equal((first, second), (Windows(0), Windows(1)));
        Assert.Equal((true, false), (grid.Visible(0, 1, 0), grid.Visible(1, 1, 0)));
        Assert.Equal((6, mask is MaskPolicy.Split ? 5 : 6), (grid.VisiblePairs(0), grid.VisiblePairs(1)));

        string Windows(int head) => string.Join(' ', grid.Windows(head).Select(window => string.Join(',', window.Tokens)));
    }

    /// <summary>
    /// Each token is in one window of a head, and sees of it what the definition says and nothing else; no causal policy but LocalCausal sees a later token, on any grid; and the pairs are the
    /// closed form's.
    /// </summary>
    [Fact]
    public void Windows_hold_every_visible_pair_once_and_no_other() => Prop.ForAll(Arb.From(Drawn), grid =>
    {
        int n = grid.Tokens.Tokens;
        for (int head = 0; head < grid.Tokens.Heads; head++)
        {
            bool[,] visible = new bool[n, n];
            int[] windows = new int[n];
            foreach (GridWindow window in grid.Windows(head))
                for (int i = 0; i < window.Tokens.Length; i++)
                {
                    windows[window.Tokens[i]]++;
                    for (int j = 0; j < (grid.Tokens.Mask.IsCausal() ? i + 1 : window.Tokens.Length); j++)
                        visible[window.Tokens[i], window.Tokens[j]] = true;
                }

            long pairs = 0;
            for (int t = 0; t < n; t++)
                for (int u = 0; u < n; u++)
                {
                    bool sees = grid.Visible(head, t, u);
                    pairs += sees ? 1 : 0;
                    if (sees != visible[t, u])
                        return false.Label($"{grid}, head {head}: the windows say {visible[t, u]} of {t} and {u}");
                    if (sees && u > t && grid.Tokens.Mask is (MaskPolicy.Split or MaskPolicy.PositionCausal))
                        return false.Label($"{grid}, head {head}: {t} sees {u}");
                }

            if (windows.Any(count => count != 1) || pairs != grid.VisiblePairs(head))
                return false.Label($"{grid}, head {head}: {pairs} pairs, the closed form says {grid.VisiblePairs(head)}; windows of a token: {string.Join(",", windows)}");
        }

        return true.Label("");
    }).Check(Config.QuickThrowOnFailure.WithMaxTest(200));

    public static TheoryData<string> Statements => [.. Theorems.Grids.Select(statement => statement.Name)];

    /// <summary>What is proved, evaluated: at random sizes and places, among them neighbours and the same place on some axis.</summary>
    [Theory]
    [MemberData(nameof(Statements))]
    public void Statements_about_grids_hold_at_random_points(string name)
    {
        Statement statement = Theorems.Grids.Single(statement => statement.Name == name);
        int claimed = 0, most = 0;
        Random random = new(5);
        while (claimed < 3000 && most++ < 300_000)
        {
            Int[] values = [.. Enumerable.Range(0, statement.Variables.Length / 5).SelectMany(_ =>
            {
                int g = random.Next(1, 5), n = random.Next(3) == 0 ? g * random.Next(1, 4) : random.Next(g, 3 * g + 1), t = random.Next(n);
                return new Int[] { n, g, random.Next(g), t, random.Next(3) == 0 ? t : random.Next(n) };
            })];
            if (!statement.Claim.Assumes<Int, Bool>(values).Value)
                continue;
            claimed++;
            Assert.True(statement.Claim.Holds<Int, Bool>(values).Value, $"{name} ({statement.Text}) fails at {string.Join(' ', statement.Variables.Zip(values))}.");
        }

        Assert.Equal(3000, claimed);
    }

    /// <summary>A window is runs of neighbours on the last axis: one for each place on the others, or two where the policy joins what the roll wraps.</summary>
    [Fact]
    public void The_tokens_of_a_cut_window_are_contiguous_rows() => Prop.ForAll(Arb.From(Drawn.Where(grid => grid.Tokens.Mask.CutsWrappedRun())), grid =>
        grid.Windows(0).All(window => window.Tokens.Zip(window.Tokens.Skip(1)).Count(pair => pair.Second != pair.First + 1) < window.Tokens.Length / Width(grid, window)))
        .Check(Config.QuickThrowOnFailure.WithMaxTest(100));

    /// <summary>Attention over a grid with one axis is attention over the text.</summary>
    [Fact]
    public void Reference_over_one_axis_is_Reference() => Prop.ForAll(Arb.From(Drawn.Where(grid => grid.Axes.Length == 1)), grid =>
    {
        (int n, int g, int s) = (grid.Axes[0].Tokens, grid.Axes[0].GroupSize, grid.Axes[0].Shift);
        S2Config text = S2Config.Create(grid.Tokens.ToRequest() with { GroupSize = GroupSizeRule.Of(g), Shift = s, Mask = grid.Tokens.Mask });
        Random random = new(n);
        AttentionInput<double> input = new(Noise(text.Heads), Noise(text.KvHeads), Noise(text.KvHeads), Tensor<bool>.Build([text.Batch, n], _ => random.Next(5) > 0));
        Tensor<double> outputGradient = Noise(text.Heads);
        AttentionOutput<double> expected = Attention.Forward(text, input), o = GridAttention.Forward(grid, input);
        Gradients<double> gradients = AttentionGradients.Backward(text, input, outputGradient), of = GridAttention.Backward(grid, input, outputGradient);
        return (Near(expected.Output, o.Output) && Near(expected.LogSumExp, o.LogSumExp) && Near(gradients.Query, of.Query) && Near(gradients.Key, of.Key) && Near(gradients.Value, of.Value)).Label($"{grid}");

        Tensor<double> Noise(int heads) => Tensor<double>.Build([text.Batch, n, heads, text.HeadDim], _ => random.NextDouble() - 0.5);
    }).Check(Config.QuickThrowOnFailure.WithMaxTest(60));

    [Theory]
    [InlineData("Split", "", "Axes = 0: must be from 1 to 3 axes")]
    [InlineData("Split", "2/1/0 2/1/0 2/1/0 2/1/0", "Axes = 4: must be from 1 to 3 axes")]
    [InlineData("Split", "4/3/1 3/2/1", "must have Tokens = 16 places in all")]
    [InlineData("Bidirectional", "4/3/1 4/2/1", "Axes[0].GroupSize = 3: must divide Tokens = 4 under Bidirectional")]
    [InlineData("Split", "4/5/1 4/2/1", "Axes[0].GroupSize = 5: must be from 1 to Tokens = 4")]
    [InlineData("Split", "4/2/1 4/2/2", "Axes[1].Shift = 2: must be from 0 to GroupSize - 1 = 1")]
    [InlineData("Split", "4/2/-1 4/2/1", "Axes[0].Shift = -1")]
    [InlineData("Split", "0/2/1 4/2/1", "Axes[0].Tokens = 0: must be at least 1")]
    public void A_wrong_axis_is_named(string mask, string axes, string expected)
    {
        S2Config tokens = S2Config.Create(new() { Tokens = 16, HeadDim = 1, GroupSize = GroupSizeRule.Of(16), Mask = Enum.Parse<MaskPolicy>(mask) });
        GridAxis<int>[] given = AxesOf(axes);
        Assert.Contains(expected, Assert.Throws<InvalidConfigException>(() => S2Grid.Create(tokens, given)).Message, StringComparison.Ordinal);
    }

    /// <summary>The fields that are named, and no more: also where the number of axes alone is wrong, and one rule of many.</summary>
    [Theory]
    [InlineData("Split", 16, "", "Axes")]
    [InlineData("Split", 16, "2/1/0 2/1/0 2/1/0 2/1/0", "Axes")]
    [InlineData("Split", 8, "2/1/0 2/1/0 2/1/0", "")]
    [InlineData("Split", 16, "4/1/0 4/4/3", "")]
    [InlineData("Split", 16, "1/1/0 16/4/3", "")]
    [InlineData("Split", 16, "4/3/2 4/2/1", "")]
    [InlineData("LocalCausal", 16, "4/4/0 4/2/1", "")]
    [InlineData("LocalCausal", 16, "4/3/2 4/2/1", "Axes[0].GroupSize")]
    [InlineData("LocalCausal", 16, "4/5/4 4/2/1", "Axes[0].GroupSize")]
    [InlineData("Split", 16, "4/0/0 4/2/1", "Axes[0].GroupSize Axes[0].Shift")]
    [InlineData("Split", 16, "4/-1/0 4/2/2", "Axes[0].GroupSize Axes[0].Shift Axes[1].Shift")]
    [InlineData("Split", 16, "4/2/0 4/2/-1", "Axes[1].Shift")]
    [InlineData("Split", 16, "4/2/0 5/2/1", "Axes")]
    [InlineData("Split", 16, "-4/1/0 -4/1/0", "Axes[0].Tokens Axes[1].Tokens")]
    public void No_axis_but_the_wrong_one_is_named(string mask, int tokens, string axes, string fields)
    {
        S2Config config = S2Config.Create(new() { Tokens = tokens, HeadDim = 1, GroupSize = GroupSizeRule.Of(tokens), Mask = Enum.Parse<MaskPolicy>(mask) });
        GridAxis<int>[] given = AxesOf(axes);
        if (fields.Length == 0)
            Assert.Equal(given, S2Grid.Create(config, given).Axes);
        else
            Assert.Equal(fields, string.Join(' ', Assert.Throws<InvalidConfigException>(() => S2Grid.Create(config, given)).Errors.Select(error => error.Field)));
    }

    [Fact]
    public void Grids_are_equal_where_their_tokens_and_axes_are()
    {
        S2Config tokens = S2Config.Create(new() { Tokens = 16, HeadDim = 1, GroupSize = GroupSizeRule.Of(16), Mask = MaskPolicy.Split }), wider = S2Config.Create(tokens.ToRequest() with { HeadDim = 2 });
        S2Grid grid = S2Grid.Create(tokens, AxesOf("4/2/1 4/2/1")), same = S2Grid.Create(tokens, AxesOf("4/2/1 4/2/1"));
        Assert.Equal((grid, grid.GetHashCode()), (same, same.GetHashCode()));
        Assert.NotEqual(grid, S2Grid.Create(tokens, AxesOf("4/2/1 4/2/0")));
        Assert.NotEqual(grid, S2Grid.Create(wider, AxesOf("4/2/1 4/2/1")));
        Assert.NotEqual(grid, S2Grid.Create(wider, AxesOf("16/2/1")));
        Assert.False(grid.Equals(null));
    }

    private static GridAxis<int>[] AxesOf(string axes) =>
        [.. axes.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(axis => axis.Split('/').Select(number => int.Parse(number, System.Globalization.CultureInfo.InvariantCulture)).ToArray()).Select(axis => new GridAxis<int>(axis[0], axis[1], axis[2]))];

    [Fact]
    public void Heads_with_shifts_of_their_own_have_no_grid()
    {
        S2Config tokens = S2Config.Create(new() { Tokens = 16, Heads = 2, HeadDim = 1, GroupSize = GroupSizeRule.Of(16), Mask = MaskPolicy.Split, ShiftedHeads = HeadShift.Each([0, 3]) });
        Assert.Contains("ShiftedHeads = [0,3]: must not give heads shifts of their own", Assert.Throws<InvalidConfigException>(() => S2Grid.Create(tokens, new GridAxis<int>(16, 4, 2))).Message, StringComparison.Ordinal);
    }

    private static S2Grid Grid(MaskPolicy mask, HeadShift shifted, GridAxis<int>[] axes)
    {
        int n = axes.Aggregate(1, (product, axis) => product * axis.Tokens);
        return S2Grid.Create(S2Config.Create(new() { Tokens = n, Heads = 4, KvHeads = 2, HeadDim = 3, GroupSize = GroupSizeRule.Of(n), Shift = 0, Mask = mask, ShiftedHeads = shifted }), axes);
    }

    // Tokens of a window that share every place but that on the last axis.
    private static int Width(S2Grid grid, GridWindow window) => window.Tokens.Count(token => token / grid.Axes[^1].Tokens == window.Tokens[0] / grid.Axes[^1].Tokens);

    private static bool Near(Tensor<double> a, Tensor<double> b)
    {
        for (int i = 0; i < a.Elements.Length; i++)
            if (!(Math.Abs(a.Elements[i] - b.Elements[i]) <= 1e-12) && a.Elements[i] != b.Elements[i])
                return false;
        return a.Shape.AsSpan().SequenceEqual(b.Shape.AsSpan());
    }
}
