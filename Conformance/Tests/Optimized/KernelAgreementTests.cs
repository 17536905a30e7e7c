// Do the kernels stay within their error bound, for every shape, mask, format and register width?
using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using S2Attn.Conformance.Campaigns;
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Optimized;
using S2Attn.Spec;
using S2Attn.Tests.Docs;

namespace S2Attn.Tests.Optimized;

public sealed class KernelAgreementTests
{
    /// <summary>Long runs: s2attn campaign agreement (CONTRIBUTING.md).</summary>
    [Theory]
    [MemberData(nameof(ExponentialTests.Widths), MemberType = typeof(ExponentialTests))]
    public void Every_width_stays_within_the_bound_for_random_cases(VectorWidth width)
    {
        using OptimizedPort port = new(new S2AttentionOptions { VectorWidth = width, Threads = 2 });
        CampaignReport large = AgreementCampaign.Run(port, OptimizedPort.ModelOf, cases: 10, seed: 2, maxTokens: 512, maxDim: 64);
        Assert.Empty(Small[width].Value.Failures.Concat(large.Failures));
    }

    /// <summary>
    /// A comparison that sees nothing would also report no failure, and so would a bound that is far too wide. The recorded shares are those of one machine: the largest
    /// error is another on a processor that rounds elsewhere, but not by a factor of two.
    /// </summary>
    [Fact]
    public void Of_every_bound_the_recorded_share_is_used_and_never_less_than_a_hundredth()
    {
        var measured = KernelPaths.Widths.SelectMany(width => Small[width].Value.Worst.Select(share => (Width: width, Share: share))).ToArray();
        Assert.Empty(measured.Where(used => used.Share.IsLoose).Select(used => $"{used.Width} {used.Share.Tensor} {used.Share.Type}: {used.Share.Ratio:G2} of the bound"));
        const string Page = "docs/error-bounds.md", Block = "shares";
        if (Environment.GetEnvironmentVariable("S2ATTN_UPDATE_DOCS") == "1")
            GeneratedBlock.AssertEqualOrUpdate(Page, Block, Table(measured));
        string[][] recorded = [.. GeneratedBlock.Read(Page, Block).Split('\n').Skip(2).Where(line => line.Length > 0).Select(line => line.Split('|', StringSplitOptions.TrimEntries)[1..^1])];
        Assert.Contains(recorded, row => row[0] == nameof(VectorWidth.Bits128));
        foreach (string[] row in recorded)
            foreach ((string tensor, string cell) in Tensors.Zip(row[2..]))
                foreach (WorstShare share in measured.Where(used => $"{used.Width}" == row[0] && ProtocolNames.Of(used.Share.Type) == row[1] && used.Share.Tensor == tensor).Select(used => used.Share))
                    Assert.InRange(share.Ratio, double.Parse(cell.Split(' ')[^1], CultureInfo.InvariantCulture) / 2, Math.Min(1, 2 * double.Parse(cell.Split(' ')[^1], CultureInfo.InvariantCulture)));
    }

    private static readonly string[] Tensors = ["o", "lse", "dq", "dk", "dv"];

    private static readonly ImmutableDictionary<VectorWidth, Lazy<CampaignReport>> Small = KernelPaths.Widths.ToImmutableDictionary(width => width, width => new Lazy<CampaignReport>(() =>
    {
        using OptimizedPort port = new(new S2AttentionOptions { VectorWidth = width, Threads = 2 });
        return AgreementCampaign.Run(port, OptimizedPort.ModelOf, cases: 100, seed: 1, maxTokens: 64, maxDim: 256);
    }));

    private static string Table(IEnumerable<(VectorWidth Width, WorstShare Share)> measured)
    {
        StringBuilder text = new($"| kernel | format | {string.Join(" | ", Tensors)} |\n| --- | --- |{string.Concat(Tensors.Select(_ => " --- |"))}\n");
        foreach (var row in measured.GroupBy(used => (used.Width, used.Share.Type)).OrderBy(row => row.Key))
            text.Append(CultureInfo.InvariantCulture, $"| {row.Key.Width} | {ProtocolNames.Of(row.Key.Type)} | {string.Join(" | ", Tensors.Select(tensor => row.Single(used => used.Share.Tensor == tensor).Share).Select(share => string.Create(CultureInfo.InvariantCulture, $"{share.Least:G1} to {share.Ratio:0.00}")))} |\n");
        return text.ToString();
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
