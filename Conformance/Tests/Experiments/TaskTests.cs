// Do the tasks ask what they say they ask?
using S2Attn.Experiments.Data;
using S2Attn.Experiments.Numerics;

namespace S2Attn.Tests.Experiments;

public sealed class TaskTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_key_stands_behind_both_markers_and_every_distance_is_asked_for(bool asksAtEnd)
    {
        const int Tokens = 32, Key = 4;
        RecallTask task = new(16, Key, asksAtEnd);
        byte[] tokens = new byte[Tokens];
        int[] targets = new int[Tokens], buckets = new int[Tokens];
        HashSet<int> distances = [];
        for (int i = 0; i < 2000; i++)
        {
            task.Draw(Portion.Train, new Randomness(i), tokens, targets, buckets);
            int[] markers = [.. Enumerable.Range(0, Tokens).Where(t => tokens[t] == 0)];
            Assert.Equal(2, markers.Length);
            Assert.Equal(tokens[(markers[0] + 1)..(markers[0] + 1 + Key)], tokens[(markers[1] + 1)..(markers[1] + 1 + Key)]);
            for (int t = 0; t < Tokens; t++)
                Assert.Equal(t >= markers[1] && t < markers[1] + Key ? tokens[t + 1] : -1, targets[t]);
            distances.Add(markers[1] - markers[0]);
            if (asksAtEnd)
                Assert.Equal(Tokens - Key - 1, markers[1]);
        }

        Assert.Equal(Enumerable.Range(Key + 1, Tokens - 2 * (Key + 1) + 1), distances.Order());
    }

    [Fact]
    public void The_tail_repeats_the_head_and_nothing_else()
    {
        byte[] tokens = new byte[32];
        int[] targets = new int[32], buckets = new int[32];
        new LeakTask(16, 8).Draw(Portion.Train, new Randomness(1), tokens, targets, buckets);
        Assert.Equal(tokens[..8], tokens[24..]);
        Assert.NotEqual(tokens[..8], tokens[8..16]);
        Assert.Equal([7, 16, 9], buckets.CountBy(bucket => bucket).OrderBy(pair => pair.Key).Select(pair => pair.Value));
        Assert.Equal(-1, targets[^1]);
    }

    [Fact]
    public void A_text_that_is_too_short_is_refused()
    {
        TextTask task = new(new Dictionary<Portion, byte[]> { [Portion.Train] = new byte[16] });
        Assert.Contains("tokens = 16: the text for Train has only 16 bytes", Assert.Throws<ArgumentException>(() => task.Draw(Portion.Train, new Randomness(1), new byte[16], new int[16], new int[16])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Streams_of_different_keys_differ_and_bounds_are_kept()
    {
        int[] Drawn(params long[] keys)
        {
            Randomness random = new(keys);
            return [.. Enumerable.Range(0, 1000).Select(_ => random.Next(7))];
        }

        Assert.NotEqual(Drawn(1, 0), Drawn(0, 1));
        Assert.NotEqual(Drawn(1), Drawn(1, 0));
        Assert.Equal(Enumerable.Range(0, 7), Drawn(1, 2).Distinct().Order());
        Assert.All(Drawn(3).CountBy(value => value), pair => Assert.InRange(pair.Value, 100, 190));
        // Pinned: results on disk rest on them.
        Assert.Equal([5, 6, 0, 1, 5, 2, 5, 3], Drawn(1, 2, 3)[..8]);
    }
}
