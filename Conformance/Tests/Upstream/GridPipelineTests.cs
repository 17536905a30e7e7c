// Are the stages of attention over a grid the definition where none is wrong, and does each defect change what its name says?
using S2Attn.Conformance;
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Reference;
using S2Attn.Reference.Upstream;
using S2Attn.Spec;
using S2Attn.Tests.Ports;

namespace S2Attn.Tests.Upstream;

public sealed class GridPipelineTests
{
    private const double Near = 1e-12;

    [Fact]
    public void Stages_of_which_none_is_wrong_are_the_definition()
    {
        using ReferencePort reference = new();
        foreach (AttentionCase item in CaseGenerator.Sample(24, 200, seed: 5))
        {
            S2Grid grid = GridCases.Of(reference.Description.Capabilities, item);
            PortCase asked = PortCases.Draw(grid.Tokens, ElementType.F64, backward: true, padded: item.IsPadded, item.Seed) with { Grid = grid };
            GridPipeline pipeline = new(grid, new());
            AttentionOutput<double> output = pipeline.Forward(asked.Input), exact = GridAttention.Forward(grid, asked.Input);
            AssertNear(grid, exact.Output, output.Output);
            AssertNear(grid, exact.LogSumExp, output.LogSumExp);
            Gradients<double> gradients = pipeline.Backward(asked.Input, asked.OutputGradient[0]), right = GridAttention.Backward(grid, asked.Input, asked.OutputGradient[0]);
            AssertNear(grid, right.Query, gradients.Query);
            AssertNear(grid, right.Key, gradients.Key);
            AssertNear(grid, right.Value, gradients.Value);
        }
    }

    /// <summary>The shifted windows of 2 x 2 over 4 x 4 that Swin's authors draw: what the token at (0, 0) sees, by hand.</summary>
    [Theory]
    [InlineData("definition", "0,0")]
    [InlineData("grid-mask-missing", "0,0 0,3 3,0 3,3")]
    [InlineData("grid-mask-of-first-axis", "0,0 0,3")]
    [InlineData("grid-mask-of-last-axis", "0,0 3,0")]
    [InlineData("grid-shift-by-window", "0,0 0,1 1,0 1,1")]
    [InlineData("grid-shifts-one-axis", "0,0 0,1")]
    [InlineData("grid-shifts-last-axis", "0,0 1,0")]
    [InlineData("grid-not-rolled-back", "1,1 1,2 2,1 2,2")]
    [InlineData("grid-rolled-back-on-first-axis", "0,1 0,2")]
    [InlineData("grid-rolled-back-on-last-axis", "1,0 2,0")]
    public void A_defect_changes_what_a_corner_sees(string name, string seen)
    {
        S2Config config = S2Config.Create(new() { Tokens = 16, HeadDim = 1, GroupSize = GroupSizeRule.Of(16), Shift = 0, Mask = MaskPolicy.BidirectionalSplit, ShiftedHeads = HeadShift.All });
        GridStages stages = DefectCatalogue.OfGrids.Where(defect => defect.Name == name).Aggregate(Stages.Definition, (stages, defect) => defect.Apply(stages)).Grid;
        GridRow row = new GridPipeline(S2Grid.Create(config, new(4, 2, 1), new(4, 2, 1)), stages).Row(0, 0, 0);
        Assert.Equal(seen, string.Join(" ", row.Keys.Order().Select(token => $"{token / 4},{token % 4}")));
    }

    private static void AssertNear(S2Grid grid, Tensor<double> expected, Tensor<double> actual)
    {
        Assert.Equal(expected.Shape.ToArray(), actual.Shape.ToArray());
        for (int i = 0; i < expected.Elements.Length; i++)
            Assert.True(expected.Elements[i].Equals(actual.Elements[i]) || Math.Abs(expected.Elements[i] - actual.Elements[i]) <= Near * (1 + Math.Abs(expected.Elements[i])), $"{grid}: element {i} is {actual.Elements[i]:R} instead of {expected.Elements[i]:R}");
    }
}
