// Is the kernels' 2^x as exact as the error bound assumes, for every float of its reduced range and on every path?
using S2Attn.Conformance.Campaigns;
using S2Attn.Conformance.Ports;
using S2Attn.Optimized;

namespace S2Attn.Tests.Optimized;

public sealed class ExponentialTests
{
    public static TheoryData<VectorWidth> Widths() =>
        [.. KernelPaths.Widths];

    /// <summary>
    /// Reduced arguments of magnitude below 2^-12 are left to the campaign: there 2^r is 1 + r ln 2 to all bits. From 2^-40 on it is 1, and as the polynomial grows with r, the largest of those and the
    /// subnormal ones stand for the 87 powers of two between them.
    /// </summary>
    [Theory]
    [MemberData(nameof(Widths))]
    public void Every_reduced_argument_is_within_the_assumed_relative_error(VectorWidth width)
    {
        ExponentialReport report = ExponentialCampaign.Measure(width, -1.5f, -MathF.ScaleB(1, -12));
        Assert.True(report.WorstRelative <= OptimizedPort.PowerOfTwoError, report.ToString());
        foreach ((float from, float to) in new[] { (-MathF.ScaleB(1, -40), -MathF.ScaleB(1, -42)), (-MathF.ScaleB(1, -126), 0) })
            Assert.Equal(0, ExponentialCampaign.Measure(width, from, to).WorstRelative, Math.ScaleB(1, -40));
    }

    [Theory]
    [MemberData(nameof(Widths))]
    public void Results_below_the_normal_range_lose_less_than_its_smallest_number(VectorWidth width)
    {
        ExponentialReport report = ExponentialCampaign.Measure(width, -150, -125.5f);
        Assert.True(report.WorstRelative <= OptimizedPort.PowerOfTwoError, report.ToString());
        Assert.True(report.WorstAbsolute <= Math.ScaleB(1, -126), report.ToString());
    }
}
