// Is whatever somebody broke in a reply, a declaration, a manifest or a report read, or refused in words?
using S2Attn.Conformance.Campaigns;

namespace S2Attn.Tests.Hostile;

public sealed class FuzzTests
{
    /// <summary>The short form of s2attn campaign hostile.</summary>
    [Fact]
    public void Broken_input_is_read_or_refused_in_words_and_quickly()
    {
        HostileReport[] reports = [.. HostileCampaign.Run(400, seed: Random.Shared.Next(1, 1_000_000))];
        Assert.Equal(7, reports.Length);
        Assert.All(reports, report => Assert.True(report.Failures.IsEmpty, $"{report.Input}:\n{string.Join("\n", report.Failures)}"));
        // A golden header hardly ever survives being broken; of all kinds together some input must, or the campaign breaks too much to try the readers behind.
        Assert.All(reports, report => Assert.InRange(report.Tried - report.Accepted, 200, 400));
        Assert.InRange(reports.Sum(report => report.Accepted), 40, 1400);
    }
}
