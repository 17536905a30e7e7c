// Does each index of a tensor find its element, and is each that leaves the tensor refused? And what do the numbers of a rounding model come to? Tables by hand.
using S2Attn.Reference;

namespace S2Attn.Tests.Reference;

public sealed class TensorTests
{
    private static readonly Tensor<double> Matrix = Count(2, 3), Cube = Count(2, 3, 4), Rows = Count(2, 3, 4, 5);

    [Fact]
    public void The_last_index_moves_fastest()
    {
        Assert.Equal((0, 5, 3), (Matrix[0, 0], Matrix[1, 2], Matrix[1, 0]));
        Assert.Equal((0, 23, 14, 9), (Cube[0, 0, 0], Cube[1, 2, 3], Cube[1, 0, 2], Cube[0, 2, 1]));
        Assert.Equal((0, 119, 73, 46), (Rows[0, 0, 0, 0], Rows[1, 2, 3, 4], Rows[1, 0, 2, 3], Rows[0, 2, 1, 1]));
        Assert.Equal([115, 116, 117, 118, 119], Rows.Row(1, 2, 3).ToArray());
        Assert.Equal([25, 26, 27, 28, 29], Rows.Row(0, 1, 1).ToArray());
        Assert.Equal([0, 1, 4, 9, 16, 25], Matrix.Map(x => x * x).Elements.ToArray());
        Assert.Equal([2, 3], Matrix.Map(x => x > 0).Shape.AsSpan());
        Assert.Equal("Double[2,3,4]", Cube.ToString());
    }

    /// <summary>One past each end, and the wrong number of indices.</summary>
    [Fact]
    public void An_index_that_leaves_the_tensor_is_refused()
    {
        foreach ((int i, int j) in new[] { (2, 0), (0, 3), (-1, 0), (0, -1) })
            Refused($"{i},{j}", "The index leaves the shape [2,3].", () => Matrix[i, j]);
        foreach ((int i, int j, int k) in new[] { (2, 0, 0), (0, 3, 0), (0, 0, 4), (-1, 0, 0), (0, -1, 0), (0, 0, -1) })
        {
            Refused($"{i},{j},{k}", "The index leaves the shape [2,3,4].", () => Cube[i, j, k]);
            Refused($"{i},{j},{k}", "The index leaves the shape [2,3,4,5].", () => Rows.Row(i, j, k)[0]);
            Refused($"{i},{j},{k},0", "The index leaves the shape [2,3,4,5].", () => Rows[i, j, k, 0]);
        }

        Refused("0,0,0,5", "The index leaves the shape [2,3,4,5].", () => Rows[0, 0, 0, 5]);
        Refused("0,0", "A tensor of shape [2,3,4] takes 3 indices here.", () => Cube[0, 0]);
        Refused("0,0,0", "A tensor of shape [2,3] takes 2 indices here.", () => Matrix[0, 0, 0]);
        Refused("0,0,0,0", "A tensor of shape [2,3] takes 2 indices here.", () => Matrix[0, 0, 0, 0]);
        Refused("0,0,0", "A tensor of shape [2,3,4] takes 2 indices here.", () => Cube.Row(0, 0, 0)[0]);

        static void Refused(string index, string rule, Func<double> read)
        {
            ArgumentOutOfRangeException error = Assert.Throws<ArgumentOutOfRangeException>(() => read());
            Assert.Equal(index, error.ActualValue);
            Assert.StartsWith(rule, error.Message, StringComparison.Ordinal);
        }
    }

    /// <summary>An array holds 2,147,483,591 elements.</summary>
    [Theory]
    [InlineData(new[] { 2, 3 }, "Shape [2,3] has 6 elements, but 0 were given.")]
    [InlineData(new int[0], "Shape [] has 1 elements, but 0 were given.")]
    [InlineData(new[] { 2147483591, 1 }, "Shape [2147483591,1] has 2147483591 elements, but 0 were given.")]
    [InlineData(new[] { 2147483592 }, "Shape [2147483592] has more than 2147483591 elements.")]
    [InlineData(new[] { 65536, 65536 }, "Shape [65536,65536] has more than 2147483591 elements.")]
    [InlineData(new[] { 2, -1 }, "Shape [2,-1] has a negative dimension.")]
    [InlineData(new[] { -1, -1 }, "Shape [-1,-1] has a negative dimension.")]
    [InlineData(new[] { 0, 3 }, "")]
    public void A_shape_has_as_many_elements_as_are_given(int[] shape, string rule)
    {
        if (rule.Length == 0)
            Assert.Equal(shape, Tensor<double>.Of(shape, []).Shape);
        else
            Assert.StartsWith(rule, Assert.Throws<ArgumentException>(nameof(shape), () => Tensor<double>.Of(shape, [])).Message, StringComparison.Ordinal);
    }

    /// <summary>n u / (1 - n u): a third for one rounding of a quarter, and nothing is known from four on.</summary>
    [Theory]
    [InlineData(0, 0.0)]
    [InlineData(1, 1 / 3.0)]
    [InlineData(2, 1.0)]
    [InlineData(3, 3.0)]
    [InlineData(4, double.PositiveInfinity)]
    [InlineData(5, double.PositiveInfinity)]
    public void Gamma(double roundings, double gamma) => Assert.Equal(gamma, (RoundingModel.Double with { Unit = 0.25 }).Gamma(roundings), 1e-15);

    /// <summary>Up to a block one chain; then a block and one addition for each block, the last one short.</summary>
    [Theory]
    [InlineData(0, 100, 100)]
    [InlineData(4, 3, 3)]
    [InlineData(4, 4, 4)]
    [InlineData(4, 5, 6)]
    [InlineData(4, 8, 6)]
    [InlineData(4, 9, 7)]
    public void Chain(int block, double terms, double chain) => Assert.Equal(chain, (RoundingModel.Double with { SumBlock = block }).Chain(terms));

    /// <summary>Once for each block but the first: whole blocks, and a short one for each segment; but no more than there are keys.</summary>
    [Theory]
    [InlineData(0, 100, 100, 2, 0)]
    [InlineData(16, 100, 100, 2, 7)]
    [InlineData(16, 100, 95, 3, 7)]
    [InlineData(16, 100, 96, 3, 8)]
    [InlineData(16, 3, 100, 2, 2)]
    [InlineData(16, 1, 1, 2, 0)]
    public void Rescalings(int block, int visible, int span, int segments, double rescalings) =>
        Assert.Equal(rescalings, (RoundingModel.Double with { KeyBlock = block }).Rescalings(visible, span, segments));

    private static Tensor<double> Count(params int[] shape) => Tensor<double>.Build(shape, i => i);
}
