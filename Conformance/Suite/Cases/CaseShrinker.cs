// Which cases are simpler than a given one?
using S2Attn.Spec;

namespace S2Attn.Conformance.Cases;

/// <summary>Simpler cases, the boldest first: fewer tokens, heads and batch entries, then smaller groups, plainer tensors, an earlier seed.</summary>
public static class CaseShrinker
{
    /// <summary>Cases that may fail for the same reason. Each is smaller in a well-founded order, so that every descent ends.</summary>
    public static IEnumerable<AttentionCase> Simpler(AttentionCase item) => Simpler(item, candidate => candidate);

    /// <summary>The same, each bent to what a port claims.</summary>
    /// <param name="item">The case.</param>
    /// <param name="bend">Bends a case that the port does not claim, and leaves others as they are.</param>
    public static IEnumerable<AttentionCase> Simpler(AttentionCase item, Func<AttentionCase, AttentionCase> bend)
    {
        ArgumentNullException.ThrowIfNull(item);
        ArgumentNullException.ThrowIfNull(bend);
        S2Config config = item.Config;
        return Candidates().Select(bend).Where(candidate => Size(candidate).CompareTo(Size(item)) < 0);

        IEnumerable<AttentionCase> Candidates()
        {
            if (config.Batch > 1)
                yield return Vary(request => request with { Batch = 1 });
            if (config.Batch > 2)
                yield return Vary(request => request with { Batch = config.Batch - 1 });
            foreach (int tokens in Smaller(config.Tokens))
                yield return Vary(request => request with { Tokens = tokens });

            // Fewer groups, and smaller groups of the same number.
            int groups = config.Tokens / config.GroupSize;
            foreach (int fewer in Smaller(groups))
                yield return Vary(request => request with { Tokens = fewer * config.GroupSize });
            foreach (int smaller in Smaller(config.GroupSize))
                foreach (int shift in new[] { smaller / 2, Math.Min(config.Shift, smaller - 1) }.Distinct())
                {
                    yield return Vary(request => request with { Tokens = groups * smaller, GroupSize = GroupSizeRule.Of(smaller), Shift = shift });
                    yield return Vary(request => request with { Tokens = groups * smaller + config.Tokens % config.GroupSize, GroupSize = GroupSizeRule.Of(smaller), Shift = shift });
                    yield return Vary(request => request with { GroupSize = GroupSizeRule.Of(smaller), Shift = shift });
                }

            foreach (int shift in Smaller(config.Shift + 1))
                yield return Vary(request => request with { Shift = shift - 1 });
            for (int heads = 1; heads < config.Heads; heads++)
                for (int kvHeads = heads; kvHeads >= 1; kvHeads--)
                    if (heads % kvHeads == 0)
                        yield return WithHeads(heads, kvHeads);
            yield return Vary(request => request with { KvHeads = request.Heads });
            if (config.KvHeads > 1)
                yield return Vary(request => request with { KvHeads = 1 });
            yield return Vary(request => request with { ShiftedHeads = HeadShift.None });
            yield return Vary(request => request with { ShiftedHeads = HeadShift.SecondHalf });
            if (config.ShiftedHeads is HeadShift.ByEach each && config.Heads > 1)
                foreach (HeadShift without in Enumerable.Range(0, config.Heads).Select(head => HeadShift.Each(each.Shifts.RemoveAt(head))))
                    yield return Vary(request => request with { Heads = request.Heads - 1, ShiftedHeads = without });
            foreach (HeadShift fewer in FewerShifts(config))
                yield return Vary(request => request with { ShiftedHeads = fewer });
            foreach (int prefix in Smaller(config.Prefix + 1))
                yield return Vary(request => request with { Prefix = prefix - 1 });
            yield return Vary(request => request with { IsPrefixWhole = false });
            yield return Vary(request => request with { Scale = null });
            foreach (int dim in Smaller(config.HeadDim))
                yield return Vary(request => request with { HeadDim = dim });
            if (item.PadsAreNaN)
                yield return item with { PadsAreNaN = false };
            for (PaddingPattern padding = 0; padding < item.Padding; padding++)
                yield return item with { Padding = padding };
            for (TensorKind kind = 0; kind < item.Kind; kind++)
                yield return item with { Kind = kind };
            if (item.Type is not ElementType.F32)
                yield return item with { Type = ElementType.F32 };
            for (int seed = 0; seed < 4; seed++)
                yield return item with { Seed = seed };
        }

        AttentionCase WithHeads(int heads, int kvHeads) => Vary(request => request with { Heads = heads, KvHeads = kvHeads });
        AttentionCase Vary(Func<S2Request, S2Request> change) => item with { Config = config.With(change) };
    }

    /// <summary>The order in which cases shrink, lexicographic.</summary>
    internal static (int Elements, int Rank, int Wildness, int Seed) Size(AttentionCase item)
    {
        S2Config config = item.Config;
        int shiftRank = config.ShiftedHeads switch { HeadShift.NoHeads => 0, HeadShift.UpperHalf => 1, HeadShift.AllHeads => 2, _ => 3 };
        int ownShifts = config.ShiftedHeads.HasOwnShifts ? Enumerable.Range(0, config.Heads).Sum(config.ShiftOf) : 0;
        int rank = (config.Heads - config.KvHeads) + config.GroupSize + config.Shift + ownShifts + shiftRank + config.Prefix + (config.IsPrefixWhole ? 1 : 0) + (Configs.HasDefaultScale(config) ? 0 : 1);
        return (
            config.Batch * config.Tokens * config.Heads * config.HeadDim,
            rank,
            (int)item.Kind + (int)item.Padding + (item.PadsAreNaN ? 1 : 0) + (item.Type is ElementType.F32 ? 0 : 1),
            item.Seed);
    }

    // One head's own shift smaller, or one phase less.
    private static IEnumerable<HeadShift> FewerShifts(S2Config config) => config.ShiftedHeads switch
    {
        HeadShift.ByEach each =>
            from head in Enumerable.Range(0, config.Heads)
            from shift in Smaller(each.Shifts[head] + 1)
            select HeadShift.Each(each.Shifts.SetItem(head, shift - 1)),
        HeadShift.InPhases phased => Smaller(phased.Count).Select(count => HeadShift.Phased(count, phased.IsRotated)),
        _ => [],
    };

    private static IEnumerable<int> Smaller(int value)
    {
        for (int step = value - 1; step > 0; step /= 2)
            yield return value - step;
    }
}
