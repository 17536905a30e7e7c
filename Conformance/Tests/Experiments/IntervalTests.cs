// Do intervals keep what they promise?
using S2Attn.Experiments.Grid;
using S2Attn.Experiments.Numerics;

namespace S2Attn.Tests.Experiments;

public sealed class IntervalTests
{
    [Fact]
    public void The_mean_is_over_checkpoints_whatever_their_number_of_seeds_is()
    {
        Interval interval = Intervals.Of([(1, 0), (1, 0), (1, 0), (2, 1)]);
        Assert.Equal((0.5, 2, 4), (interval.Mean, interval.Checkpoints, interval.Runs));
        Assert.Equal((0.0, 1.0), (interval.Low, interval.High));
    }

    [Fact]
    public void One_value_has_no_width_and_the_same_values_give_the_same_interval()
    {
        Assert.Equal(new Interval(3, 3, 3, 1, 1), Intervals.Of([(1, 3)]));
        Assert.Equal(Intervals.Of([(1, 3), (2, 4), (3, 7)]), Intervals.Of([(1, 3), (2, 4), (3, 7)]));
    }

    [Fact]
    public void Of_many_checkpoints_the_interval_holds_the_mean_about_as_often_as_it_says()
    {
        const int Trials = 200, Checkpoints = 12;
        int held = 0;
        for (int trial = 0; trial < Trials; trial++)
        {
            Randomness random = new(trial);
            Interval interval = Intervals.Of(Enumerable.Range(0, Checkpoints).Select(i => (i, (double)(random.NextSigned() + random.NextSigned()))));
            held += interval.Low <= 0 && 0 <= interval.High ? 1 : 0;
        }

        Assert.InRange(held, 0.85 * Trials, 0.99 * Trials);
    }
}
