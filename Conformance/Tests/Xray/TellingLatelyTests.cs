// Is every row asked for, whichever told lately?
using System.Collections.Immutable;
using S2Attn.Conformance.Xray;

namespace S2Attn.Tests.Xray;

public sealed class TellingLatelyTests
{
    [Fact]
    public void All_rows_come_in_their_order_behind_the_last_that_told()
    {
        ImmutableArray<int> all = [.. Enumerable.Range(0, 20).Reverse()];
        TellingLately lately = new();
        Assert.Equal(all, lately.Before(all));
        foreach (int row in new[] { 3, 0, 19, 3, 7, 8, 9, 10, 11 })
        {
            lately.Add(row);
            int[] asked = [.. lately.Before(all)];
            Assert.Equal(row, asked[0]);
            Assert.Equal(all, asked[^all.Length..]);
            Assert.Distinct(asked[..^all.Length]);
        }
    }
}
