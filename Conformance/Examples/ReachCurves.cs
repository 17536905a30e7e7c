// How far does the worst token of a long text look back through L layers, for each pattern of shifts?
using S2Attn.Spec;
using S2Attn.Spec.Algebra;
using ScottPlot;

namespace S2Attn.Examples;

/// <summary>The figure of docs/reach.md, counted from the definition of Split, not from the closed forms that the page states.</summary>
public static class ReachCurves
{
    private const int GroupSize = 64, MaxLayers = 8, Width = 720, Height = 420;

    /// <summary>The patterns of the figure, with as many heads as they need.</summary>
    public static IReadOnlyList<(string Name, LayerPattern Pattern, int Heads)> Patterns { get; } =
    [
        ("8 phases", LayerPattern.Same(HeadShift.Phased(8)), 8),
        ("4 phases", LayerPattern.Same(HeadShift.Phased(4)), 4),
        ("2 phases, turned by G/4 in every second layer", LayerPattern.Rotated(2), 2),
        ("S2-Attn: half of the heads shifted", LayerPattern.Same(HeadShift.SecondHalf), 2),
        ("alternate layers", LayerPattern.Alternate, 1),
        ("no shift, or all heads shifted", LayerPattern.Same(HeadShift.All), 1),
    ];

    /// <summary>Tokens that the worst token far from the start reaches back through a number of layers, in groups of G.</summary>
    public static double GroupsReached(LayerPattern pattern, int heads, int groupSize, int layers)
    {
        ArgumentNullException.ThrowIfNull(pattern);
        int end = (layers + 3) * groupSize;
        int worst = int.MaxValue;
        for (int t = end - 2 * groupSize; t < end; t++)
        {
            int first = t;
            for (int layer = layers - 1; layer >= 0; layer--)
            {
                HeadShift shifts = pattern.HeadsOf(layer);
                int query = first;
                first = Enumerable.Range(0, heads)
                    .Min(head => Slices.FirstKeyNeeded<Int, Bool>(groupSize, shifts.ShiftOf(head, heads, groupSize, groupSize / 2), query).ToIndex());
            }

            worst = Math.Min(worst, t - first);
        }

        return worst / (double)groupSize;
    }

    /// <summary>Draws the curves.</summary>
    public static void Draw(string picture)
    {
        using Plot plot = new();
        foreach ((string name, LayerPattern pattern, int heads) in Patterns)
        {
            double[] layers = [.. Enumerable.Range(1, MaxLayers)], reached = [.. layers.Select(count => GroupsReached(pattern, heads, GroupSize, (int)count))];
            Console.WriteLine($"{name}: {string.Join(' ', reached)} groups after 1 .. {MaxLayers} layers");
            var curve = plot.Add.Scatter(layers, reached);
            curve.LegendText = name;
            curve.LineWidth = 2;
        }

        plot.Title("Reach of the worst token");
        plot.XLabel("layers");
        plot.YLabel("groups of G tokens");
        plot.ShowLegend(Alignment.UpperLeft);
        plot.SavePng(picture, Width, Height);
    }
}
