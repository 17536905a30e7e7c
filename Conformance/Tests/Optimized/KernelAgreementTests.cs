// Do the kernels stay within their error bound, for every shape, mask, format and register width?
using S2Attn.Conformance.Campaigns;
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Optimized;
using S2Attn.Spec;

namespace S2Attn.Tests.Optimized;

public sealed class KernelAgreementTests
{
    /// <summary>Long runs: s2attn campaign agreement (CONTRIBUTING.md).</summary>
    [Theory]
    [MemberData(nameof(ExponentialTests.Widths), MemberType = typeof(ExponentialTests))]
    public void Every_width_stays_within_the_bound_for_random_cases(VectorWidth width)
    {
        using OptimizedPort port = new(new S2AttentionOptions { VectorWidth = width, Threads = 2 });
        CampaignReport small = AgreementCampaign.Run(port, OptimizedPort.ModelOf, cases: 100, seed: 1, maxTokens: 64, maxDim: 256);
        CampaignReport large = AgreementCampaign.Run(port, OptimizedPort.ModelOf, cases: 10, seed: 2, maxTokens: 512, maxDim: 64);
        Assert.Empty(small.Failures.Concat(large.Failures));

        // A comparison that sees nothing would also report no failure: of a bound as tight as this one a kernel uses a good part.
        Assert.Contains(small.Worst, share => share.Tensor == "o" && share.Type == ElementType.F32 && share.Ratio > 0.02);
    }

    /// <summary>The sizes around the kernels' blocks of 96 keys and of 8 to 32 queries, where a border may be off by one.</summary>
    [Theory]
    [MemberData(nameof(ExponentialTests.Widths), MemberType = typeof(ExponentialTests))]
    public void Sizes_around_the_blocks_stay_within_the_bound(VectorWidth width)
    {
        using OptimizedPort port = new(new S2AttentionOptions { VectorWidth = width, Threads = 1 });
        int seed = 0;
        foreach (int tokens in new[] { 7, 8, 9, 15, 16, 17, 31, 32, 33, 95, 96, 97, 191, 192, 193, 257 })
            foreach (int dim in new[] { 1, 7, 12, 13, 33 })
            {
                MaskPolicy mask = MaskPolicies.All[seed % 5];
                AttentionCase item = Cases.Of(tokens, tokens, mask, heads: 2, kvHeads: 1, headDim: dim, padding: seed % 3 == 0 ? PaddingPattern.Sparse : PaddingPattern.None, seed: seed++);
                Assert.All(AgreementCampaign.Try(port, OptimizedPort.ModelOf, item), agreement => Assert.True(agreement.Agrees, $"{item}: {agreement}"));
            }

        // Long vectors make tiles of keys that are no multiple of a panel of queries, so that a panel crosses from one tile to the next.
        foreach (int dim in new[] { 100, 128, 200, 256 })
        {
            AttentionCase item = Cases.Of(300, 300, MaskPolicy.Split, headDim: dim, shifted: HeadShift.None, seed: dim);
            Assert.All(AgreementCampaign.Try(port, OptimizedPort.ModelOf, item), agreement => Assert.True(agreement.Agrees, $"{item}: {agreement}"));
        }
    }
}
