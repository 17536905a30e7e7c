// Do the closed forms number the same work as a list of it? And do two tensors overlap where their elements do?
using FsCheck;
using FsCheck.Fluent;
using S2Attn.Optimized;
using S2Attn.Optimized.Kernels;
using S2Attn.Spec;

namespace S2Attn.Tests.Optimized;

public sealed class GeometryTests
{
    [Fact]
    public void Items_cover_every_query_of_every_head_once_in_the_order_of_tokens()
    {
        BlockSizes sizes = new(8192, 6, 16);
        int queries = sizes.BlockQueries;
        int[] interesting = [1, 3, queries - 1, queries, queries + 1, 2 * queries + 1];
        foreach (MaskPolicy mask in MaskPolicies.All)
            foreach (HeadShift heads in new[] { HeadShift.None, HeadShift.SecondHalf, HeadShift.All, HeadShift.Of([true, false, false]), HeadShift.Phased(3), HeadShift.Phased(2, isRotated: true), HeadShift.Each([0, 0, 0]) })
                foreach ((int group, int kvHeads) in interesting.Select(group => (group, 1)).Append((3, 3)).Append((queries + 1, 3)))
                    foreach (int tokens in mask.CutsWrappedRun() ? [group, 2 * group - 1, 2 * group, 3 * group + group / 2] : new[] { group, 2 * group, 3 * group })
                        foreach (int shift in new[] { 0, group / 2, group - 1 }.Where(shift => shift < group).Distinct())
                            Check(S2Config.Create(new()
                            {
                                Tokens = tokens,
                                Heads = 3,
                                KvHeads = kvHeads,
                                HeadDim = 8192,
                                GroupSize = GroupSizeRule.Of(group),
                                Shift = heads.HasOwnShifts ? null : shift,
                                Mask = mask,
                                ShiftedHeads = heads is HeadShift.ByEach ? HeadShift.Each([shift, 0, group / 3]) : heads,
                            }), sizes);
    }

    /// <summary>One kv head is read by heads of both kinds, the other by one kind alone: the kinds wait for each other all the same.</summary>
    [Fact]
    public void Heads_of_two_shifts_with_some_kv_head_in_common_are_two_phases() => Check(
        S2Config.Create(new()
        {
            Tokens = 12,
            Heads = 4,
            KvHeads = 2,
            HeadDim = 8,
            GroupSize = GroupSizeRule.Of(4),
            Mask = MaskPolicy.Split,
            ShiftedHeads = HeadShift.Of([true, false, false, false]),
        }),
        new(8, 6, 16));

    /// <summary>Sizes and shifts by chance: ragged ends of every number of blocks, and kv heads that heads of any shifts share.</summary>
    [Fact]
    public void Items_of_random_sizes_and_shifts_cover_every_query_once_and_no_key_twice_in_a_phase()
    {
        BlockSizes sizes = new(8192, 6, 16);
        Random random = new(4);
        int most = 4 * sizes.BlockQueries, phases = 0;
        for (int i = 0; i < 400; i++)
        {
            MaskPolicy mask = MaskPolicies.All[i % 5];
            int kvHeads = random.Next(1, 4), heads = kvHeads * random.Next(1, 4), groupSize = random.Next(1, most);
            int tokens = mask.CutsWrappedRun() ? groupSize + random.Next(2 * most) : groupSize * random.Next(1, 4);
            HeadShift shifted = (i % 3) switch
            {
                0 => HeadShift.Each(Enumerable.Range(0, heads).Select(_ => random.Next(4) * (groupSize - 1) / 3)),
                1 => HeadShift.Of(Enumerable.Range(0, heads).Select(_ => random.Next(2) == 0)),
                _ => HeadShift.Phased(random.Next(1, 6), isRotated: random.Next(2) == 0),
            };
            S2Config config = S2Config.Create(new()
            {
                Tokens = tokens,
                Heads = heads,
                KvHeads = kvHeads,
                HeadDim = 8192,
                GroupSize = GroupSizeRule.Of(groupSize),
                Shift = shifted.HasOwnShifts ? null : random.Next(groupSize),
                Mask = mask,
                ShiftedHeads = shifted,
            });
            Check(config, sizes);
            phases = Math.Max(phases, new HeadClasses(config, isPacked: false).Phases);
        }

        Assert.True(phases >= 3, $"{phases} phases at most");
    }

    private static void Check(S2Config config, BlockSizes sizes)
    {
        Geometry geometry = new(config, Sequences.Alike(config, 2), 2, new(0, config.Tokens), isSlice: false, sizes);
        int[] seen = new int[2 * config.Heads * config.Tokens];
        int lastStart = 0, lastBatch = 0;
        for (long item = 0; item < geometry.ForwardItems; item++)
        {
            (Sequence sequence, ForwardItem work) = geometry.Forward(item);
            if (item + 1 < geometry.ForwardItems)
                Assert.Equal(geometry.Forward(item + 1), geometry.ForwardBehind(item, sequence, work));
            (int head, QueryBlock block) = work;
            QueryRun<int> run = work.Run;
            Assert.Equal(Segments.Run(config, head, block.Run), run);
            Assert.InRange(block.Count, 1, sizes.BlockQueries);
            Assert.InRange(block.Start, run.Start, run.Start + run.Length - block.Count);
            for (int t = block.Start; t < block.Start + block.Count; t++)
                seen[(sequence.Batch * config.Heads + head) * config.Tokens + t]++;
            if (sequence.Batch == lastBatch && run.Start < lastStart)
                Assert.Fail($"{config}: item {item} starts before the last one");
            (lastBatch, lastStart) = (sequence.Batch, run.Start);
        }

        Assert.True(seen.AsSpan().IndexOfAnyExcept(1) < 0, $"{config}: forward");
        int[] runs = new int[2 * config.Heads * config.Tokens];

        // Where no kv head is read by heads of two shifts, nothing has to wait.
        if (config.KvHeads == config.Heads)
            Assert.Equal(1, geometry.Classes.Phases);
        for (int phase = 0; phase < geometry.Classes.Phases; phase++)
        {
            HashSet<(int, int, int)> keys = [];
            for (long item = 0; item < geometry.BackwardItems(phase); item++)
            {
                (Sequence sequence, (int of, int kvHead, RunGroup group)) = geometry.Backward(phase, item);
                HeadRuns headRuns = geometry.RunsOf(sequence, of);
                HashSet<int> seenKeys = [];
                foreach (int member in group.Second < 0 ? [group.First] : new[] { group.First, group.Second })
                {
                    QueryRun<int> run = headRuns[member];
                    seenKeys.UnionWith(Enumerable.Range(run.Own.Start, run.Own.Length));
                    seenKeys.UnionWith(Enumerable.Range(run.Other.Start, run.Other.Length));
                    for (int head = 0; head < config.Heads; head++)
                        if (geometry.Classes.Of(head) == of && config.KvHeadOf(head) == kvHead)
                            for (int t = run.Start; t < run.Start + run.Length; t++)
                                runs[(sequence.Batch * config.Heads + head) * config.Tokens + t]++;
                }

                if (!seenKeys.All(key => keys.Add((sequence.Batch, kvHead, key))))
                    Assert.Fail($"{config}: a key belongs to two items");
            }
        }

        Assert.True(runs.AsSpan().IndexOfAnyExcept(1) < 0, $"{config}: backward");
    }

    [Fact]
    public void Tensors_overlap_exactly_where_an_element_does()
    {
        Gen<(TensorStrides Strides, int Batch, int Tokens, int Heads, int Width, int At, int Size)> tensors =
            from strides in Gen.Choose(-40, 40).ArrayOf(3)
            from shape in Gen.Choose(1, 4).ArrayOf(4)
            from at in Gen.Choose(10000, 10100)
            from size in Gen.Elements(1, 2, 4)
            select (new TensorStrides(strides[0], strides[1], strides[2]), shape[0], shape[1], shape[2], shape[3], at, size);
        int overlapping = 0, interleaved = 0;
        Prop.ForAll(Arb.From(tensors), Arb.From(tensors), (a, b) =>
        {
            HashSet<int> bytes = Bytes(a), others = Bytes(b);
            bool expected = bytes.Overlaps(others);
            overlapping += expected ? 1 : 0;
            interleaved += !expected && bytes.Min() < others.Max() && others.Min() < bytes.Max() ? 1 : 0;
            return Region(a).Overlaps(Region(b)) == expected && Region(b).Overlaps(Region(a)) == expected;
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(3000));
        Assert.True(overlapping > 300 && interleaved > 300, $"{overlapping} overlapped, {interleaved} lay between each other");

        static unsafe Region Region((TensorStrides Strides, int Batch, int Tokens, int Heads, int Width, int At, int Size) tensor) =>
            new(Place.Of("tensor", "options", tensor.Strides, tensor.Batch, new(0, tensor.Tokens), tensor.Heads, tensor.Width), (byte*)tensor.At, tensor.Size);

        static HashSet<int> Bytes((TensorStrides Strides, int Batch, int Tokens, int Heads, int Width, int At, int Size) tensor) =>
            [.. from b in Enumerable.Range(0, tensor.Batch)
                from t in Enumerable.Range(0, tensor.Tokens)
                from h in Enumerable.Range(0, tensor.Heads)
                from x in Enumerable.Range(0, tensor.Width * tensor.Size)
                select tensor.At + ((int)(b * tensor.Strides.Batch + t * tensor.Strides.Token + h * tensor.Strides.Head) * tensor.Size) + x];
    }

    /// <summary>Whether two tensors share a byte may take longer to find out than a call may take. Then they count as overlapping: a call that is refused does no harm.</summary>
    [Fact]
    public unsafe void A_search_for_shared_bytes_that_is_given_up_says_that_there_may_be_some()
    {
        // Long strides are multiples of 2^20, between which short ones do not reach; but that they have a common divisor is hidden by the short ones.
        const long Long = 1 << 20;
        Both(Of(new(7919 * Long, 7907 * Long, 101), 60, 60, 10, 10_000), Of(new(7901 * Long, 7883 * Long, 103), 60, 60, 10, 510_000));

        // Every place of one lies between two of the other, and each must be looked at.
        Both(Of(new(8_000_000, 0, 0), 200_000, 1, 1, 10_000), Of(new(7_999_992, 0, 0), 200_000, 1, 1, 10_004));

        static Region Of(TensorStrides strides, int batch, int tokens, int heads, long at) => new(Place.Of("tensor", "options", strides, batch, new(0, tokens), heads, 1), (byte*)at, 1);

        static void Both(Region a, Region b) => Assert.True(a.Overlaps(b) && b.Overlaps(a));
    }
}
