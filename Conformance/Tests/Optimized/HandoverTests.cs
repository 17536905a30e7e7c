// Is every item computed exactly once, with its own tile, in whatever order the steps of the workers fall? All orders are tried, not some.
using S2Attn.Optimized.Kernels;

namespace S2Attn.Tests.Optimized;

public sealed class HandoverTests
{
    private sealed class Schedules(int workers, int items, bool mayStop)
    {
        private readonly HashSet<(ulong, ulong)> seen = [];

        public int States => seen.Count;

        public int Ends { get; private set; }

        public int Robbed { get; private set; }

        /// <summary>Visits every state that some order of steps reaches, each once.</summary>
        public void Explore()
        {
            Handover handover = new(workers);
            handover.Begin(items);
            Visit(handover, [.. Enumerable.Range(0, workers).Select(worker => new Claimant(worker))], new int[items], Enumerable.Repeat(Handover.None, workers).ToArray(), stops: false);
        }

        // Everything that the future of a pass depends on, and what the test counts. No number is above 6: three bits each, 21 of them for a worker.
        private (ulong Workers, ulong Pass) Code(long next, long[] claims, Claimant[] claimants, int[] computed, long[] loaded, bool stops)
        {
            ulong ofWorkers = 0, ofPass = stops ? 1u : 0u;
            Add(ref ofPass, Math.Min(next, items));
            foreach (int times in computed)
                Add(ref ofPass, times);
            for (int worker = 0; worker < workers; worker++)
            {
                (int step, int victim, long tile) = claimants[worker].Hidden;
                Add(ref ofWorkers, step);
                Add(ref ofWorkers, victim);
                Add(ref ofWorkers, tile + 1);
                Add(ref ofWorkers, claimants[worker].Item + 1);
                Add(ref ofWorkers, claimants[worker].Ahead + 1);
                Add(ref ofWorkers, claims[worker] + 1);
                Add(ref ofWorkers, loaded[worker] + 1);
            }

            return (ofWorkers, ofPass);

            static void Add(ref ulong code, long number) => code = (code << 3) | (ulong)number;
        }

        // loaded: the item whose first tile each worker has in its memory. The claimant's word on it is checked against this.
        private void Visit(Handover handover, Claimant[] claimants, int[] computed, long[] loaded, bool stops)
        {
            (long next, long[] claims) = handover.State;
            if (!seen.Add(Code(next, claims, claimants, computed, loaded, stops)))
                return;
            if (claimants.All(claimant => claimant.IsFinished))
            {
                Ends++;
                Assert.All(computed, times => Assert.InRange(times, stops ? 0 : 1, 1));
                Assert.All(claims, claim => Assert.True(stops || claim == Handover.None, $"item {claim} was claimed and left"));
            }

            for (int worker = 0; worker < workers; worker++)
                if (!claimants[worker].IsFinished)
                {
                    handover.State = (next, claims);
                    Claimant[] after = [.. claimants];
                    int[] done = [.. computed];
                    long[] tiles = [.. loaded];
                    if (after[worker].Advance(handover, stops))
                    {
                        Claimant claimant = after[worker];
                        done[claimant.Item]++;
                        Assert.Equal(1, done[claimant.Item]);
                        if (claimant.HasTile)
                            Assert.Equal(claimant.Item, tiles[worker]);
                        Robbed += tiles[worker] >= 0 && !claimant.HasTile ? 1 : 0;
                        tiles[worker] = claimant.Ahead;
                    }

                    Visit(handover, after, done, tiles, stops);
                }

            if (mayStop && !stops)
            {
                handover.State = (next, claims);
                Visit(handover, claimants, computed, loaded, stops: true);
            }
        }
    }

    [Theory]
    [InlineData(1, 5)]
    [InlineData(2, 0)]
    [InlineData(2, 1)]
    [InlineData(2, 6)]
    [InlineData(3, 2)]
    [InlineData(3, 5)]
    public void Every_order_of_steps_computes_each_item_once_with_its_own_tile(int workers, int items)
    {
        Schedules schedules = new(workers, items, mayStop: false);
        schedules.Explore();
        Assert.True(schedules.Ends > 0 && schedules.States > items, $"{schedules.States} states");

        // Among three workers one whose claim was taken may take another's: it holds a tile of an item that is not its own.
        Assert.Equal(workers == 3 && items == 5, schedules.Robbed > 0);
    }

    [Fact]
    public void A_pass_that_is_stopped_at_any_step_computes_no_item_twice()
    {
        Schedules schedules = new(2, 4, mayStop: true);
        schedules.Explore();
        Assert.True(schedules.Ends > 1);
    }
}
