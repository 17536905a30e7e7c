// Is the exit code of a campaign that of all its parts: register widths, kinds of input, paths of the runtime?
using S2Attn.Cli;

namespace S2Attn.Tests.Cli;

public sealed class CampaignCommandTests
{
    [Theory]
    [InlineData(0, true, true, true)]
    [InlineData(1, false, true, true)]
    [InlineData(1, true, false, true)]
    [InlineData(1, true, true, false)]
    [InlineData(1, false)]
    public void One_part_that_does_not_hold_is_enough_and_all_are_run(int expected, params bool[] parts)
    {
        List<int> ran = [];
        int code = CampaignCommand.EachHolds(Enumerable.Range(0, parts.Length), part =>
        {
            ran.Add(part);
            return parts[part];
        });
        Assert.Equal(expected, code);
        Assert.Equal(Enumerable.Range(0, parts.Length), ran);
    }
}
