// Do the five masks look as they were drawn by hand, from Algorithm 1, the flash path's cu_seqlens and the definition in words?
using S2Attn.Spec;
using S2Attn.Spec.Algebra;

namespace S2Attn.Tests.Spec;

public sealed class MaskPictureTests
{
    /// <summary>Rows are queries, columns keys, # is visible; all heads shift by S.</summary>
    public static TheoryData<MaskPolicy, int, int, int, string> Pictures => new()
    {
        { MaskPolicy.LocalCausal, 8, 4, 2, "#.....## ##....## ..#..... ..##.... ..###... ..####.. ......#. ......##" },
        { MaskPolicy.Split, 8, 4, 2, "#....... ##...... ..#..... ..##.... ..###... ..####.. ......#. ......##" },
        { MaskPolicy.PositionCausal, 8, 4, 2, "#....... ##...... ..#..... ..##.... ..###... ..####.. ##....#. ##....##" },
        { MaskPolicy.Bidirectional, 8, 4, 2, "##....## ##....## ..####.. ..####.. ..####.. ..####.. ##....## ##....##" },
        { MaskPolicy.BidirectionalSplit, 8, 4, 2, "##...... ##...... ..####.. ..####.. ..####.. ..####.. ......## ......##" },
        { MaskPolicy.Split, 10, 4, 1, "#......... .#........ .##....... .###...... .####..... .....#.... .....##... .....###.. .....####. .........#" },
        { MaskPolicy.BidirectionalSplit, 10, 4, 1, "#......... .####..... .####..... .####..... .####..... .....####. .....####. .....####. .....####. .........#" },
        { MaskPolicy.LocalCausal, 6, 3, 1, "#...## .#.... .##... .###.. ....#. ....##" },
        { MaskPolicy.PositionCausal, 6, 3, 2, "#..... ##.... ..#... ..##.. ..###. ##...#" },
        { MaskPolicy.LocalCausal, 4, 4, 1, "#### .#.. .##. .###" },
        { MaskPolicy.LocalCausal, 4, 2, 0, "#... ##.. ..#. ..##" },
        { MaskPolicy.Bidirectional, 4, 2, 0, "##.. ##.. ..## ..##" },
        { MaskPolicy.Split, 3, 1, 0, "#.. .#. ..#" },
    };

    [Theory]
    [MemberData(nameof(Pictures))]
    public void A_mask_looks_as_drawn(MaskPolicy mask, int n, int g, int s, string picture)
    {
        S2Config config = S2Config.Create(new() { Tokens = n, Heads = 2, HeadDim = 1, GroupSize = GroupSizeRule.Of(g), Shift = s, Mask = mask, ShiftedHeads = HeadShift.Of([true, false]) });
        Assert.Equal(picture, Draw(n, (t, u) => Visibility.Visible(config, 0, t, u)));
        Assert.Equal(picture, Draw(n, (t, u) =>
        {
            QueryRun<int> run = Segments.Run(config, 0, Segments.RunOf<Int, Bool>(g, s, t).ToIndex());
            return Sees(run.Own, t, u) || Sees(run.Other, t, u);
        }));
    }

    private static bool Sees(KeySegment<int> segment, int t, int u) =>
        segment.Start <= u && u < segment.Start + segment.Length && (!segment.Causal || u <= t);

    private static string Draw(int n, Func<int, int, bool> visible) =>
        string.Join(' ', Enumerable.Range(0, n).Select(t => string.Concat(Enumerable.Range(0, n).Select(u => visible(t, u) ? '#' : '.'))));

    /// <summary>Each run: start+length, c for causal, and behind a plus the keys of the run that the wrap joins.</summary>
    [Theory]
    [InlineData(MaskPolicy.LocalCausal, 8, 4, 2, "0+2c|6+2 2+4c 6+2c")]
    [InlineData(MaskPolicy.Split, 8, 4, 2, "0+2c 2+4c 6+2c")]
    [InlineData(MaskPolicy.PositionCausal, 8, 4, 2, "0+2c 2+4c 6+2c|0+2")]
    [InlineData(MaskPolicy.Bidirectional, 8, 4, 2, "0+2|6+2 2+4 6+2|0+2")]
    [InlineData(MaskPolicy.BidirectionalSplit, 8, 4, 2, "0+2 2+4 6+2")]
    [InlineData(MaskPolicy.Split, 10, 4, 1, "0+1c 1+4c 5+4c 9+1c")]
    [InlineData(MaskPolicy.Bidirectional, 4, 4, 3, "0+3|3+1 3+1|0+3")]
    [InlineData(MaskPolicy.LocalCausal, 8, 4, 0, "0+4c 4+4c")]
    [InlineData(MaskPolicy.Split, 6, 4, 0, "0+4c 4+2c")]
    [InlineData(MaskPolicy.Split, 4, 4, 3, "0+3c 3+1c")]
    [InlineData(MaskPolicy.Split, 3, 4, 3, "0+3c")] // one sequence of a packed batch may be no longer than the shift
    public void Runs_and_their_keys_are_the_cu_seqlens(MaskPolicy mask, int n, int g, int s, string runs)
    {
        int count = Segments.Count<Int, Bool>(n, g, s).ToIndex();
        Assert.Equal(runs, string.Join(' ', Enumerable.Range(0, count).Select(k => Text(Segments.Run(mask, n, g, s, k)))));

        static string Text(QueryRun<int> run)
        {
            Assert.Equal((run.Start, run.Length), (run.Own.Start, run.Own.Length));
            Assert.False(run.Other.Causal);
            return $"{run.Start}+{run.Length}{(run.Own.Causal ? "c" : "")}{(run.Other.Length > 0 ? $"|{run.Other.Start}+{run.Other.Length}" : "")}";
        }
    }

    [Theory]
    [InlineData(MaskPolicy.LocalCausal, "3 4 1 2 3 4 1 2")]
    [InlineData(MaskPolicy.Split, "1 2 1 2 3 4 1 2")]
    [InlineData(MaskPolicy.PositionCausal, "1 2 1 2 3 4 3 4")]
    [InlineData(MaskPolicy.Bidirectional, "4 4 4 4 4 4 4 4")]
    [InlineData(MaskPolicy.BidirectionalSplit, "2 2 4 4 4 4 2 2")]
    public void Keys_seen_by_each_query_of_8_tokens_in_groups_of_4_shifted_by_2(MaskPolicy mask, string counts) =>
        Assert.Equal(counts, string.Join(' ', Enumerable.Range(0, 8).Select(t => Segments.KeysSeen<Int, Bool>(mask, 8, 4, 2, t))));
}
