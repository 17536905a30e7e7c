// Where does a port see other keys than the definition, in words?
using System.Collections.Immutable;
using System.Globalization;
using S2Attn.Reference.Upstream;
using S2Attn.Spec;
using S2Attn.Spec.Algebra;

namespace S2Attn.Conformance.Xray;

/// <summary>One way in which a port differs from the definition, in words, and how many rows it explains.</summary>
internal sealed record Sentence(string Text, int Rows);

/// <summary>Sentences such as "rows 0..1 of heads 2..3 see keys 14..15: the wrapped run leaks".</summary>
internal static class VisibilityWords
{
    private const int MostBlocks = 4;

    /// <summary>Rows of one batch entry and head that see, or miss, the same keys.</summary>
    private sealed record Block(ImmutableArray<int> Rows, ImmutableArray<int> Keys);

    /// <summary>Every way in which the visibility differs; none where it does not.</summary>
    public static IEnumerable<Sentence> Of(VisibilityMap seen, VisibilityMap definition, ScoreMap scores)
    {
        XrayProbe probe = seen.Probe;

        // What a row misses is no matter of the mask where the row is another token's.
        bool IsOwn(Place row) => scores[row].Query.IsEmpty || scores[row].Query[0] == row;
        return
        [
            .. NotNumbers(seen),
            .. OtherEntries(seen),
            .. OtherKvHeads(seen),
            .. Blocks(probe, IsOwn, "see", (row, u) => Sees(seen, row, u) && !Sees(definition, row, u)),
            .. Blocks(probe, IsOwn, "do not see", (row, u) => !Sees(seen, row, u) && Sees(definition, row, u)),
            .. Unequal(seen),
        ];
    }

    /// <summary>Whether a row sees a token of its own batch entry, in any kv head.</summary>
    public static bool Sees(VisibilityMap map, Place row, int token) =>
        Enumerable.Range(0, map.Probe.Config.KvHeads).Any(head => map.Sees(row, new(row.Batch, token, head)));

    private static IEnumerable<Place> Rows(XrayProbe probe) => Enumerable.Range(0, probe.Rows).Select(probe.RowAt);

    private static IEnumerable<Sentence> NotNumbers(VisibilityMap seen)
    {
        Place[] rows = [.. Rows(seen.Probe).Where(row => seen.Seen(row).Any(source => !double.IsFinite(seen.Weight(row, source))))];
        if (rows.Length > 0)
            yield return new($"{Where(seen.Probe, rows)} hold NaN or infinity at equal scores", rows.Length);
    }

    private static IEnumerable<Sentence> OtherEntries(VisibilityMap seen) =>
        from row in Rows(seen.Probe)
        from source in seen.Seen(row)
        where source.Batch != row.Batch
        group row by (Reader: row.Batch, source.Batch) into rows
        select new Sentence(
            $"rows {Ranges.Of(rows.Select(row => row.Token))} of {Ranges.Of("head", rows.Select(row => row.Head))} of batch entry {rows.Key.Reader} see keys of batch entry {rows.Key.Batch}",
            rows.Distinct().Count());

    private static IEnumerable<Sentence> OtherKvHeads(VisibilityMap seen)
    {
        S2Config config = seen.Probe.Config;
        return
            from b in Enumerable.Range(0, config.Batch)
            from head in Enumerable.Range(0, config.Heads)
            let read = Rows(seen.Probe).Where(row => row.Batch == b && row.Head == head).SelectMany(seen.Seen).Select(source => source.Head).Distinct().Order().ToArray()
            where read.Length > 0 && !(read.Length == 1 && read[0] == config.KvHeadOf(head))
            group (Batch: b, Head: head) by (Read: Ranges.Of("kv head", read), Right: config.KvHeadOf(head)) into wrong
            let heads = wrong.Select(item => item.Head).Distinct().ToArray()
            select new Sentence(
                $"{Ranges.Of("head", heads)}{Entries(seen.Probe, wrong.Select(item => item.Batch))} read{(heads.Length == 1 ? "s" : "")} values of {wrong.Key.Read} instead of {wrong.Key.Right}",
                wrong.Count() * config.Tokens);
    }

    private static IEnumerable<Sentence> Blocks(XrayProbe probe, Func<Place, bool> isOwn, string verb, Func<Place, int, bool> differs)
    {
        S2Config config = probe.Config;
        var heads =
            from b in Enumerable.Range(0, config.Batch)
            from h in Enumerable.Range(0, config.Heads)
            let blocks = BlocksOf(config, t => [.. Enumerable.Range(0, config.Tokens).Where(u => differs(new(b, t, h), u))])
            where blocks.Count > 0
            group (Batch: b, Head: h, Blocks: blocks) by string.Join(";", blocks.Select(block => $"{Ranges.Of(block.Rows)}:{Ranges.Of(block.Keys)}"));
        foreach (var same in heads)
        {
            (int batch, int head, List<Block> blocks) = same.First();
            string whose = $"of {Ranges.Of("head", same.Select(item => item.Head))}{Entries(probe, same.Select(item => item.Batch))}";
            if (blocks.Count <= MostBlocks)
            {
                foreach (Block block in blocks)
                    yield return new(
                        $"{Ranges.Of("row", block.Rows)} {whose} {Verb(verb, block.Rows)} {Ranges.Of("key", block.Keys)}{Cause(probe, isOwn, batch, head, verb, [block])}",
                        block.Rows.Length * same.Count());
                continue;
            }

            int pairs = blocks.Sum(block => block.Rows.Length * block.Keys.Length);
            yield return new(
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"rows {Ranges.Of(blocks.SelectMany(block => block.Rows))} {whose} {verb} {pairs} keys that they should{(verb == "see" ? " not" : "")}, as row {blocks[0].Rows[0]} key {blocks[0].Keys[0]}{Cause(probe, isOwn, batch, head, verb, blocks)}"),
                blocks.Sum(block => block.Rows.Length) * same.Count());
        }
    }

    private static List<Block> BlocksOf(S2Config config, Func<int, int[]> keysOf)
    {
        List<Block> blocks = [];
        for (int t = 0; t < config.Tokens; t++)
        {
            int[] keys = keysOf(t);
            if (keys.Length == 0)
                continue;
            if (blocks.Count > 0 && blocks[^1].Rows[^1] == t - 1 && blocks[^1].Keys.SequenceEqual(keys))
                blocks[^1] = blocks[^1] with { Rows = blocks[^1].Rows.Add(t) };
            else
                blocks.Add(new([t], [.. keys]));
        }

        return blocks;
    }

    /// <summary>What all pairs of some blocks have in common, as the end of a sentence.</summary>
    private static string Cause(XrayProbe probe, Func<Place, bool> isOwn, int batch, int head, string verb, List<Block> blocks)
    {
        S2Config config = probe.Config;
        int shift = config.ShiftOf(head);
        (int T, int U)[] pairs = [.. from block in blocks from t in block.Rows from u in block.Keys select (t, u)];
        bool All(Func<int, int, bool> holds) => pairs.All(pair => holds(pair.T, pair.U));
        bool SameGroup(int t, int u) => Visibility.Visible<Int, Bool>(MaskPolicy.Bidirectional, config.Tokens, config.GroupSize, shift, t, u);
        if (verb == "see")
            return All((_, u) => !probe.Valid[batch, u]) ? ": padded keys are seen"
                : All((t, u) => t < shift && u >= shift && u > t && SameGroup(t, u)) ? ": the wrapped run leaks"
                : All((t, u) => t >= shift && u < shift && SameGroup(t, u)) ? ": the wrapped run is not cut off"
                : All((t, u) => u > t && SameGroup(t, u)) ? ": the future of the group is not masked"
                : All((t, u) => !SameGroup(t, u)) ? ", which are in other groups"
                : "";
        return All((t, u) => t == u) ? ": a token does not see itself"
            : All((t, u) => t < shift != u < shift) && blocks.SelectMany(block => block.Rows).All(t => isOwn(new(batch, t, head))) ? ": the wrapped run is cut off"
            : "";
    }

    private static IEnumerable<Sentence> Unequal(VisibilityMap seen)
    {
        Place[] rows = [.. Rows(seen.Probe).Where(row => !seen.IsUniform(row) && seen.Seen(row).All(source => double.IsFinite(seen.Weight(row, source))))];
        if (rows.Length == 0)
            yield break;
        double[] weights = [.. seen.Seen(rows[0]).Select(source => seen.Weight(rows[0], source))];
        yield return new(string.Create(
            CultureInfo.InvariantCulture,
            $"{Where(seen.Probe, rows)} do not weigh their keys equally at equal scores: o{Ranges.Of(rows[0])} has weights {string.Join(", ", weights.Take(6).Select(weight => weight.ToString("0.###", CultureInfo.InvariantCulture)))}{(weights.Length > 6 ? ", ..." : "")} with the sum {weights.Sum():0.###}"), rows.Length);
    }

    /// <summary>"rows 0..3 of heads 1..2".</summary>
    public static string Where(XrayProbe probe, IReadOnlyCollection<Place> rows)
    {
        return $"rows {Ranges.Of(rows.Select(row => row.Token))} of {Ranges.Of("head", rows.Select(row => row.Head))}{Entries(probe, rows.Select(row => row.Batch))}";
    }

    /// <summary>Of which batch entries something is said; nothing where it is said of all.</summary>
    public static string Entries(XrayProbe probe, IEnumerable<int> batches) => batches.Distinct().ToArray() is var entries && entries.Length < probe.Config.Batch
        ? $" of {Ranges.Of("batch entry", entries).Replace("entrys", "entries", StringComparison.Ordinal)}" : "";

    private static string Verb(string verb, ImmutableArray<int> rows) => rows.Length > 1 ? verb : verb == "see" ? "sees" : "does not see";
}
