// How does a port differ from the definition where no known mistake explains it, and where is its author to look?
using System.Collections.Immutable;
using System.Globalization;
using S2Attn.Reference;
using S2Attn.Reference.Upstream;
using S2Attn.Spec;

namespace S2Attn.Conformance.Xray;

/// <summary>What was measured of a difference that has no name.</summary>
/// <param name="What">What differs, as the end of a sentence.</param>
/// <param name="Look">Which steps make that, as the end of a sentence that begins with "Look at".</param>
/// <param name="Example">Rows and keys at the smallest size that shows it, as a sentence.</param>
internal sealed record XrayDifference(string What, string Look, string Example)
{
    private const int MostQuestions = 8, MostExamples = 2, LongRows = 512;
    private const double Most = 0.75;

    private enum Kind
    {
        NotNumbers,
        Zero,
        Moved,
        Elsewhere,
        Multiple,
        Scores,
        Weights,
        Entries,
        KvHeads,
        OtherKeys,
        OtherQueries,
        Mixed,
        Tokens,
    }

    /// <param name="Film">The answers.</param>
    /// <param name="Picture">What they show.</param>
    /// <param name="Rows">What each row of o answers, to equal scores and others.</param>
    /// <param name="Keys">The same to equal scores alone.</param>
    private sealed record Shown(XrayFilm Film, XrayPicture Picture, ComparedRows Rows, ComparedRows Keys)
    {
        public XrayProbe Probe => Film.Probe;

        public ImmutableArray<Place> Places => [.. Rows.Wrong.Select(Probe.RowAt)];
    }

    /// <summary>What differs in the forward pass where it is not known; else in what is not explained beside it. Nothing where all is explained.</summary>
    internal static ImmutableArray<XrayDifference> Of(ImmutableArray<XrayFilm> films, ImmutableArray<XrayPicture> pictures, Explanation explanation)
    {
        if (explanation.IsWhole)
            return [];
        if (explanation.ForwardIsWhole)
            return [.. OfRest(films, pictures, explanation.Composition.Build())];
        Shown[] all = [.. films.Select((film, i) => new Shown(film, pictures[i], Outputs(film, MostQuestions), Outputs(film, 0)))];

        // Where a known mistake is all that is wrong at some sizes, the others are the matter.
        Shown[] wrong = [.. all.Where(shown => !shown.Rows.Wrong.IsEmpty && (!explanation.IsClaimed || explanation.Unexplained.Contains(shown.Probe)))];
        return wrong.Length == 0 ? [] : [OfOutput(wrong, [.. all.Except(wrong)])];
    }

    private static XrayDifference OfOutput(Shown[] wrong, Shown[] right)
    {
        // Each size by itself; said is what most of them have, by the smallest of those with a plain text of several groups.
        var kinds = wrong.GroupBy(KindOf).OrderByDescending(same => same.Count()).ThenBy(same => same.Key).ToArray();
        Shown[] most = [.. InOrder(kinds[0])];
        string others = kinds.Length == 1 ? "" : string.Create(
            CultureInfo.InvariantCulture, $" ({wrong.Length - most.Length} of these sizes {(wrong.Length - most.Length == 1 ? "is" : "are")} wrong in another way: {Words(kinds[1].Key, [.. InOrder(kinds[1])])})");
        return new($"{Where(wrong, right)}, {Words(kinds[0].Key, most)}{others}", Steps(kinds[0].Key, wrong), ExampleOf(most[0], kinds[0].Key is Kind.Scores or Kind.Weights ? [.. ScoreWords.Of(most[0].Picture.Scores).OrderByDescending(sentence => sentence.Rows).Select(sentence => sentence.Text)] : []));
    }

    private static IOrderedEnumerable<Shown> InOrder(IEnumerable<Shown> shown) =>
        shown.OrderBy(item => item.Probe.IsPadded).ThenBy(item => item.Probe.Config.Tokens <= item.Probe.Config.GroupSize).ThenBy(item => item.Probe.Rows);

    private static string Where(Shown[] wrong, Shown[] right)
    {
        string trait = right.Length == 0 ? "" : SilentSizes.AllCommon([.. wrong.Select(shown => shown.Probe)], [.. right.Select(shown => shown.Probe)]);
        return right.Length == 0 ? "at every probed size" : string.Create(CultureInfo.InvariantCulture, $"at {wrong.Length} of {wrong.Length + right.Length} probed sizes{(trait.Length > 0 ? $", {(wrong.Length == 1 ? "the one" : "those")} {trait}" : "")}");
    }

    // Where a picture has no words, as of sizes at which codes in q and k are not looked at, the first row that differs.
    private static string ExampleOf(Shown shown, ImmutableArray<string> first) => first.Concat(shown.Picture.Words).Distinct().Take(MostExamples).ToArray() is { Length: > 0 } words
        ? $"At {shown.Probe}: {string.Join("; ", words)}."
        : string.Create(CultureInfo.InvariantCulture, $"At {shown.Probe}: o of token {shown.Places[0].Token} in head {shown.Places[0].Head}{(shown.Places.Length > 1 ? $", and {shown.Places.Length - 1} rows more" : "")}.");

    private static Kind KindOf(Shown shown)
    {
        (ComparedRows rows, XrayProbe probe, VisibilityMap seen, VisibilityMap right) = (shown.Rows, shown.Probe, shown.Picture.Seen, shown.Picture.Definition);
        if (rows.AreNotNumbers)
            return Kind.NotNumbers;
        if (rows.AreZero)
            return Kind.Zero;
        ImmutableArray<Place> places = shown.Places;
        bool sameKeys = places.All(row => seen.Seen(row).SequenceEqual(right.Seen(row)));
        if (shown.Film.LateScores.Length > 0 && probe.ShowsScores)
        {
            if (!rows.Moved.IsEmpty)
                return Kind.Moved;
            if (rows.Elsewhere().Count >= Most * rows.Wrong.Length)
                return Kind.Elsewhere;
            if (places.Any(row => seen.Seen(row).Except(right.Seen(row)).Any()) && shown.Keys.Moved is [(_, _, 0)])
                return Kind.OtherKeys;
        }

        if (sameKeys)
            return double.IsFinite(rows.Factor) ? Kind.Multiple : places.All(row => seen.IsUniform(row)) ? Kind.Scores : Kind.Weights;
        Place[] named = [.. places.Where(row => !shown.Picture.Scores[row].Query.IsEmpty)];
        if (named.Length > 0 && 2 * named.Count(row => shown.Picture.Scores[row].Query[0] != row) >= named.Length)
            return named.Any(row => shown.Picture.Scores[row].Query[0] is var query && (query.Batch, query.Head) != (row.Batch, row.Head)) ? Kind.Mixed : Kind.OtherQueries;
        return places.Any(row => seen.Seen(row).Any(source => source.Batch != row.Batch)) ? Kind.Entries
            : places.Any(row => seen.Seen(row).Any(source => source.Head != probe.Config.KvHeadOf(row.Head))) ? Kind.KvHeads
            : Kind.Tokens;
    }

    private static string Words(Kind kind, Shown[] shown)
    {
        string heads = Heads(shown.Select(item => (item.Probe, item.Places))), kept = shown[0].Picture.Words.FirstOrDefault("the difference is small");
        return kind switch
        {
            Kind.NotNumbers => $"rows of o{heads} hold NaN or infinity",
            Kind.Zero => $"rows of o{heads} are 0 that should not be",
            Kind.Moved when Distance([.. shown.Select(item => item.Rows)]) is { Length: > 0 } distance => $"o of a row{heads} is what belongs to {distance}",
            Kind.Moved or Kind.Elsewhere when shown[0].Rows.Elsewhere().First is [var (row, from)] => $"rows of o{heads} are what belongs to other rows, as o{Ranges.Of(row)} (batch entry, token, head) is that of {Ranges.Of(from)}",
            Kind.Multiple => $"o{heads} is {RuleNames.Factor([.. shown.Select(item => (item.Probe.Config, item.Rows.Factor))])} times what it should be",
            Kind.Scores => $"the right keys are seen{heads}, and are weighed otherwise: {ScoresOf(shown)}",
            Kind.Weights => $"the right keys are seen{heads}, with other weights at equal scores",
            Kind.Entries => $"rows{heads} see keys of other batch entries: {kept}",
            Kind.KvHeads => $"rows{heads} read other kv heads than theirs, h / (H / K): {kept}",
            Kind.OtherKeys when Distance([.. shown.Select(item => item.Keys)]) is { Length: > 0 } distance => $"a row{heads} is computed from its own query and sees the keys that belong to {distance}",
            Kind.OtherKeys => $"rows{heads} are computed from their own queries and see the keys that belong to other rows: {kept}",
            Kind.OtherQueries => $"rows{heads} are computed from another token's query, and see its keys or others: {QueryOf(shown)}",
            Kind.Mixed => $"rows{heads} are computed from queries of other heads or entries: {QueryOf(shown)}",
            _ => Tokens(shown, heads, kept),
        };
    }

    // By every head that differs, those that shift and the others each by themselves.
    private static string Tokens(Shown[] shown, string heads, string kept)
    {
        string shifted = Tokens(shown, shifts: true), others = Tokens(shown, shifts: false);
        return (shifted.Length, others.Length) switch
        {
            (0, 0) => $"rows{heads} see other keys than they should: {kept} (at {shown[0].Probe})",
            (_, 0) => $"a token in heads that shift {shifted}",
            (0, _) => $"a token in heads that do not shift {others}",
            _ when shifted == others => $"a token {shifted}",
            _ => $"a token in heads that shift {shifted}, and in heads that do not shift {others}",
        };
    }

    private static string Tokens(Shown[] shown, bool shifts)
    {
        SeenRule[] rules =
        [
            .. from item in shown
               from place in item.Places.Select(row => row with { Token = 0 }).Distinct()
               where item.Probe.Config.ShiftOf(place.Head) > 0 == shifts
               select new SeenRule(item.Picture.Seen, item.Picture.Definition, place.Batch, place.Head),
        ];
        if (rules.Length == 0)
            return "";
        string groups;
        string[] others = [.. rules.Select(rule => rule.Other()).Distinct()];
        var moved = rules.Where(rule => rule.IsRing).Select(rule => (rule.Config, By: rule.Translation())).ToImmutableArray();
        if (others is [{ Length: > 0 } other])
            return $"sees {other}";
        if ((groups = SeenRule.GroupsOf(rules)).Length > 0)
            return $"sees what {groups} would show it";
        if (moved.Length > 0 && moved.All(item => item.By > 0))
            return $"sees {RuleNames.Offset("token u", moved)} where it should see token u";
        if (rules[0].Common().Where(common => rules.All(rule => rule.Common().Contains(common))).Take(1).ToArray() is [var same])
            return same;
        Shown first = shown.First(item => item.Places.Any(row => item.Probe.Config.ShiftOf(row.Head) > 0 == shifts));
        return rules[0].Other() is { Length: > 0 } one ? $"sees {one} at {first.Probe}"
            : $"sees other keys than it should at {first.Probe}: {first.Picture.Words.FirstOrDefault(words => words.StartsWith("row", StringComparison.Ordinal)) ?? first.Picture.Words.FirstOrDefault("the difference is small")}";
    }

    // By one distance in the text where that is what all rows have.
    private static string QueryOf(Shown[] shown)
    {
        var distances = shown.Select(item => (item.Probe.Config, All: item.Places.Where(row => !item.Picture.Scores[row].Query.IsEmpty).Select(row => (Row: row, Query: item.Picture.Scores[row].Query[0])).Where(pair => pair.Query != pair.Row)
            .Select(pair => (pair.Query.Batch, pair.Query.Head) == (pair.Row.Batch, pair.Row.Head) ? (pair.Query.Token - pair.Row.Token + item.Probe.Config.Tokens) % item.Probe.Config.Tokens : 0).Distinct().ToArray())).ToArray();
        if (Array.TrueForAll(distances, item => item.All is [> 0]))
            return $"row t by the query of {RuleNames.Offset("token t", [.. distances.Select(item => (item.Config, item.All[0]))])}";
        Place row = shown[0].Places.First(row => !shown[0].Picture.Scores[row].Query.IsEmpty && shown[0].Picture.Scores[row].Query[0] != row);
        return $"o{Ranges.Of(row)} (batch entry, token, head) by the query {Ranges.Of(shown[0].Picture.Scores[row].Query[0])} at {shown[0].Probe}";
    }

    private static string ScoresOf(Shown[] shown)
    {
        // Whatever the question, the weights are those of equal scores.
        if (shown.All(item => item.Rows.Wrong.All(row => Enumerable.Range(1, item.Rows.Given[row].Length / item.Probe.Sources - 1).All(code =>
            new Closeness(item.Probe.ElementType).Same(item.Rows.Given[row].AsSpan(0, item.Probe.Sources), item.Rows.Given[row].AsSpan(code * item.Probe.Sources, item.Probe.Sources))))))
            return "they weigh alike whatever q and k are";
        var scales = shown.Where(item => double.IsFinite(item.Picture.Scores.Scale)).Select(item => (item.Probe.Config, item.Picture.Scores.Scale)).ToImmutableArray();
        string words = ScoreWords.Of(shown[0].Picture.Scores).OrderByDescending(sentence => sentence.Rows).Select(sentence => sentence.Text).FirstOrDefault("by no factor of q.k, but in long rows");
        string rule = words.StartsWith("scores are", StringComparison.Ordinal) && scales.Length > 1 ? RuleNames.Scale(scales) : "";
        return rule.Length > 0 ? $"scores are {rule} times q.k" : $"{words} (at {shown[0].Probe})";
    }

    // By one rule at every size; nothing where the rows of one are moved by none.
    private static string Distance(ComparedRows[] shown)
    {
        if (shown.Any(rows => rows.Moved.IsEmpty))
            return "";
        (int batch, int token, int head) = shown[0].Moved[0];
        string[] parts =
        [
            .. batch != 0 ? new[] { $"batch entry (b + {batch}) mod B" } : [],
            .. token != 0 || (batch, head) == (0, 0) ? new[] { RuleNames.Offset("token t", [.. shown.Select(rows => (rows.Probe.Config, rows.Moved[0].Token))]) } : [],
            .. head != 0 ? new[] { $"head h {(head > 0 ? "+" : "-")} {Math.Abs(head)}" } : [],
        ];
        return string.Join(", ", parts);
    }

    private static string Steps(Kind kind, Shown[] wrong) => kind switch
    {
        Kind.NotNumbers => "what is divided by, and what becomes of a row that sees no key",
        Kind.Zero => "which rows are written, and what becomes of rows that are hidden",
        Kind.Moved or Kind.Elsewhere => "how far q, k and v are rolled and o is rolled back, and how groups, heads and entries of o are joined: rows are computed right and stand in the wrong place",
        Kind.Multiple => "what o is multiplied by, divided by or averaged over behind the softmax",
        Kind.Scores => "the scale and the softmax, and whether q, k and v are rolled and cut alike",
        Kind.Weights => "the softmax: over which scores its sum runs, and whether a key is read twice or zeros are read too",
        Kind.Entries => "the order of entries, groups and heads where tensors are reshaped, rolled or joined",
        Kind.KvHeads => "how k and v are repeated for the query heads that share a kv head, and where heads and tokens are transposed",
        Kind.OtherKeys => "how far k and v are rolled beside q, and for which heads",
        Kind.Mixed => "how tensors are reshaped, transposed and joined: heads, tokens or entries change places",
        Kind.OtherQueries => "which of q, k and v are rolled, how far, and how they are reshaped to groups",
        _ when wrong.All(shown => shown.Probe.IsPadded) => "how the padding mask is cut, rolled and repeated beside k, and what a row without keys becomes",
        _ => "the mask, and how tokens are rolled and cut into groups",
    };

    // The logsumexp and the gradients beside a forward pass that is known.
    private static IEnumerable<XrayDifference> OfRest(ImmutableArray<XrayFilm> films, ImmutableArray<XrayPicture> pictures, Stages stages)
    {
        List<(string Name, string What, string Example)> said = [];
        foreach (string name in new[] { "the logsumexp", "dq", "dk", "dv" })
        {
            var compared = films.Select((film, i) => (Picture: pictures[i], Rows: Rest(film, stages, name))).Where(item => item.Rows.Length == 1).Select(item => (item.Picture, Rows: item.Rows[0])).ToArray();
            var wrong = compared.Where(item => !item.Rows.Wrong.IsEmpty).OrderBy(item => item.Picture.Probe.IsPadded).ThenBy(item => item.Rows.Probe.Rows > LongRows).ThenBy(item => item.Rows.Probe.Rows).ToArray();
            if (wrong.Length > 0)
                said.Add((name, OfRest(name, [.. wrong.Select(item => item.Rows)], [.. compared.Where(item => item.Rows.Wrong.IsEmpty).Select(item => item.Rows)]), ExampleOf(name, wrong[0].Rows)));
        }

        foreach (var same in said.GroupBy(item => item.What))
            yield return new(
                $"{string.Join(" and ", same.Select(item => item.Name))} {(same.Count() > 1 ? "are each" : "is")} {same.Key}",
                same.Any(item => item.Name[0] == 'd') ? "the backward pass alone: what flows to q, k and v, how it is scaled, summed over the query heads of a kv head, and rolled back" : "what is returned beside o: its base, its scale, and its layout",
                same.First().Example);
    }

    private static string OfRest(string name, ComparedRows[] wrong, ComparedRows[] right)
    {
        string trait = right.Length == 0 ? "" : SilentSizes.AllCommon([.. wrong.Select(rows => rows.Probe)], [.. right.Select(rows => rows.Probe)]);
        string where = right.Length == 0 ? "" : string.Create(CultureInfo.InvariantCulture, $" at {wrong.Length} of {wrong.Length + right.Length} probed sizes{(trait.Length > 0 ? $", {(wrong.Length == 1 ? "the one" : "those")} {trait}" : "")}");
        string heads = name is "dk" or "dv" ? "" : Heads(wrong.Select(rows => (rows.Probe, rows.Wrong.Select(rows.PlaceAt).ToImmutableArray()))), of = name[0] == 'd' ? "the derivative of the forward pass" : "what it should be";
        if (Rule(wrong) is { Length: > 0 } rule)
            return $"{rule}{heads}{where}";

        // Where query heads share a kv head its gradient is a sum, of which a part may be wrong.
        ComparedRows[] alone = [.. wrong.Where(rows => rows.Probe.Config.KvHeads == rows.Probe.Config.Heads)];
        string ofAlone = alone.Length > 0 && alone.Length < wrong.Length && Rule(alone) is { Length: > 0 } found ? $" (where K = H it is {found})" : "";
        return $"not {of}{heads}{where}{ofAlone}";

        string Rule(ComparedRows[] some) =>
            some.All(rows => rows.AreZero) ? "0"
            : some.All(rows => double.IsFinite(rows.Factor)) ? $"{RuleNames.Factor([.. some.Select(rows => (rows.Probe.Config, rows.Factor))])} times {of}"
            : some.All(rows => rows.Moved is [var (batch, _, head)] && (batch, head) == (0, 0)) ? $"at token t what belongs to {RuleNames.Offset("token t", [.. some.Select(rows => (rows.Probe.Config, rows.Moved[0].Token))])}"
            : "";
    }

    // The element that is off by most in the first wrong row.
    private static string ExampleOf(string name, ComparedRows rows)
    {
        int row = rows.Wrong[0], at = Enumerable.Range(0, rows.Right[row].Length).MaxBy(i => Math.Abs(rows.Right[row][i] - rows.Given[row][i]));
        Place place = rows.PlaceAt(row);
        return string.Create(
            CultureInfo.InvariantCulture,
            $"At {rows.Probe}: {(name[0] == 'd' ? $"{name}[{place.Batch},{place.Token},{place.Head},{at}]" : $"lse{Ranges.Of(place)}")} is {rows.Given[row][at]:0.####} and should be {rows.Right[row][at]:0.####}, in one of {rows.Wrong.Length} wrong rows.");
    }

    private static ComparedRows Outputs(XrayFilm film, int questions)
    {
        Prediction right = new(film, Stages.Definition);
        XrayProbe probe = film.Probe;
        int[] codes = [.. Enumerable.Range(-1, 1 + Math.Min(film.LateScores.Length, questions))];
        double[][] own = [.. codes.Select(right.WeightsOf)], given = [.. codes.Select(code => (code < 0 ? film.Equal : film.LateScores[code].Value).Elements.ToArray())];
        Closeness closeness = new(probe.ElementType);
        return new(probe, Rows(given), Rows(own), probe.RowAt, (first, second) => closeness.Same(first, second));

        // Each row with what it answers to every question.
        ImmutableArray<double[]> Rows(double[][] all) => [.. Enumerable.Range(0, probe.Rows).Select(row => all.SelectMany(weights => weights.AsSpan(row * probe.Sources, probe.Sources).ToArray()).ToArray())];
    }

    private static ComparedRows[] Rest(XrayFilm film, Stages stages, string name)
    {
        XrayProbe probe = film.Probe;
        Prediction right = new(film, stages);
        if (name[0] != 'd')
            return film.LogSums.IsEmpty ? [] : [new(
                probe, Transposed([.. film.LogSums.Select(answer => answer.LogSumExp.Elements.ToArray())]), Transposed([.. film.LogSums.Select(answer => right.LogSumsOf(answer.Code))]), probe.RowAt,
                (first, second) => first.Zip(second).All(pair => Closeness.SameLogSum(pair.First, pair.Second)))];
        if (film.LateGradients.IsEmpty)
            return [];
        Gradients<double> own = right.Gradients(), given = film.Gradients[0];
        (Tensor<double> mine, Tensor<double> theirs) = name switch { "dq" => (own.Query, given.Query), "dk" => (own.Key, given.Key), _ => (own.Value, given.Value) };
        if (mine.Elements.Length != theirs.Elements.Length)
            return [];
        double greatest = Math.Max(1e-3, mine.Elements.ToArray().Where(double.IsFinite).Select(Math.Abs).DefaultIfEmpty(0).Max()), most = Math.Max(0.01, 8 * probe.ElementType.UnitRoundoff()) * greatest;
        return [new(
            probe, Rows(theirs), Rows(mine), name == "dq" ? probe.RowAt : probe.SourceAt,
            (first, second) => first.Zip(second).All(pair => double.IsNaN(pair.First) || Math.Abs(pair.First - pair.Second) <= most))];

        ImmutableArray<double[]> Rows(Tensor<double> tensor) => [.. Enumerable.Range(0, tensor.Elements.Length / probe.Config.HeadDim).Select(row => tensor.Elements.Slice(row * probe.Config.HeadDim, probe.Config.HeadDim).ToArray())];

        static ImmutableArray<double[]> Transposed(double[][] answers) => [.. Enumerable.Range(0, answers[0].Length).Select(row => answers.Select(answer => answer[row]).ToArray())];
    }

    // What the heads that differ have in common at every size; nothing where they are all heads, or have nothing.
    private static string Heads(IEnumerable<(XrayProbe Probe, ImmutableArray<Place> Rows)> wrong)
    {
        (int[] Heads, int[] Shifted, int[] Others)[] all =
        [
            .. wrong.Select(item => (
                item.Rows.Select(row => row.Head).Distinct().Order().ToArray(),
                Enumerable.Range(0, item.Probe.Config.Heads).Where(head => item.Probe.Config.ShiftOf(head) > 0).ToArray(),
                Enumerable.Range(0, item.Probe.Config.Heads).Where(head => item.Probe.Config.ShiftOf(head) == 0).ToArray())),
        ];
        return all.All(item => item.Heads.SequenceEqual(item.Shifted)) ? " in the heads that shift"
            : all.All(item => item.Heads.SequenceEqual(item.Others)) ? " in the heads that do not shift"
            : all.All(item => item.Heads.All(item.Shifted.Contains)) ? " in heads that shift"
            : all.All(item => item.Heads.All(item.Others.Contains)) ? " in heads that do not shift"
            : all.All(item => item.Heads.Length == item.Shifted.Length + item.Others.Length) ? " in every head"
            : "";
    }
}
