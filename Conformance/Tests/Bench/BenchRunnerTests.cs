// Does a row of a half format carry its ratio to f32 of the same rounds, and a row of f32 none?
using S2Attn.Conformance.Bench;
using S2Attn.Conformance.Protocol;

namespace S2Attn.Tests.Bench;

public sealed class BenchRunnerTests
{
    [Theory]
    [InlineData(ElementType.F32)]
    [InlineData(ElementType.F16)]
    [InlineData(ElementType.BF16)]
    public void A_half_format_is_measured_beside_f32(ElementType format)
    {
        BenchResult row = BenchRunner.Measure(new(format, 4, 32, 8, 16, 1, WithBackward: true, WithPeers: false), 1);
        Assert.Equal(format is not ElementType.F32, row.VsSingle > 0);
    }
}
