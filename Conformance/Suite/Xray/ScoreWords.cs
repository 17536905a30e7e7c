// Where do scores, logsumexp and gradients differ from the definition, in words?
using System.Collections.Immutable;
using System.Globalization;
using S2Attn.Conformance.Ports;
using S2Attn.Reference.Upstream;
using S2Attn.Spec;

namespace S2Attn.Conformance.Xray;

/// <summary>Sentences such as "o[t] of heads 2..3 is computed from the query of token t + 1".</summary>
internal static class ScoreWords
{
    /// <summary>Differences of the score map; none where it is the definition's.</summary>
    public static IEnumerable<Sentence> Of(ScoreMap scores)
    {
        XrayProbe probe = scores.Probe;
        Place[] rows = [.. Enumerable.Range(0, probe.Rows).Select(probe.RowAt)];
        return [.. Irregular(scores, rows), .. Scale(scores, rows), .. Queries(scores, rows), .. Keys(scores, rows)];
    }

    /// <summary>Whether exp(lse) counts the keys that a row sees at equal scores.</summary>
    public static IEnumerable<Sentence> LogSumExp(VisibilityMap seen, ImmutableArray<LogSumAnswer> answers)
    {
        XrayProbe probe = seen.Probe;
        if (answers.IsEmpty)
            yield break;
        var rows = Enumerable.Range(0, probe.Rows).Select(row => (
            Place: probe.RowAt(row), Given: answers[0].LogSumExp.Elements[row], Right: Math.Log(seen.Seen(probe.RowAt(row)).Count()))).ToArray();
        double tolerance = Math.Max(1e-4, 8 * probe.ElementType.UnitRoundoff());
        bool Near(double a, double b) => a == b || Math.Abs(a - b) <= tolerance * Math.Max(1, Math.Abs(b));
        var wrong = rows.Where(row => !Near(row.Given, row.Right)).ToArray();
        if (wrong.Length == 0)
            yield break;
        string how = rows.All(row => Near(row.Given, row.Right / Math.Log(2))) ? "it is in base 2"
            : string.Create(CultureInfo.InvariantCulture, $"lse{Ranges.Of(wrong[0].Place)} is {wrong[0].Given:0.####}, and the row sees {Math.Exp(wrong[0].Right):0} keys, whose logarithm is {wrong[0].Right:0.####}");
        yield return new($"the logsumexp of {VisibilityWords.Where(probe, [.. wrong.Select(row => row.Place)])} at equal scores is not the logarithm of the number of keys: {how}", wrong.Length);
    }

    /// <summary>Differences of the gradients.</summary>
    public static IEnumerable<Sentence> Gradients(XrayProbe probe, GradientMap gradients) =>
        from comparison in gradients.Comparisons
        where !comparison.Wrong.IsEmpty
        select new Sentence(double.IsFinite(comparison.Factor)
            ? string.Create(CultureInfo.InvariantCulture, $"{comparison.Name} is {comparison.Factor:0.###} times the derivative of the forward pass{FactorHint(probe.Config, comparison.Factor)}")
            : $"{comparison.Name} is not the derivative of the forward pass at {VisibilityWords.Where(probe, comparison.Wrong).Replace("head", comparison.Name == "dq" ? "head" : "kv head", StringComparison.Ordinal)}: {comparison.Example}"
                + (comparison.Stray.IsEmpty ? "" : $"; nothing flows to tokens {Ranges.Of(comparison.Stray.Select(place => place.Token))}"), comparison.Wrong.Length);

    private static IEnumerable<Sentence> Irregular(ScoreMap scores, Place[] rows)
    {
        Place[] irregular = [.. rows.Where(row => scores[row].Irregular)];
        if (irregular.Length > 0)
            yield return new($"the weights of {VisibilityWords.Where(scores.Probe, irregular)} are no softmax of a factor times q.k", irregular.Length);
    }

    private static IEnumerable<Sentence> Scale(ScoreMap scores, Place[] rows)
    {
        S2Config config = scores.Probe.Config;
        var other = rows.Where(row => double.IsFinite(scores[row].Scale) && !IsNear(scores.Probe, scores[row].Scale, config.Scale)).GroupBy(row => Math.Round(scores[row].Scale, 3)).ToArray();
        foreach (var same in other.OrderByDescending(same => same.Count()).Take(2))
        {
            // A row of few questions tells a scale that is doubled or halved from nothing.
            double scale = scores[same.First()].Scale;
            int[] heads = [.. same.Select(row => row.Head).Distinct().Order()], all = [.. rows.Where(row => double.IsFinite(scores[row].Scale)).Select(row => row.Head).Distinct().Order()];
            int[] shifted = [.. Enumerable.Range(0, config.Heads).Where(head => config.ShiftedHeads.IsShifted(head, config.Heads))];
            string where = (heads.SequenceEqual(all) ? "" : heads.SequenceEqual(shifted) ? " in the shifted heads" : $" in {Ranges.Of("head", heads)}") + VisibilityWords.Entries(scores.Probe, same.Select(row => row.Batch));
            yield return new(string.Create(CultureInfo.InvariantCulture, $"scores{where} are {scale:0.####} q.k, and should be {config.Scale:0.####} q.k{Why(scores.Probe, scale)}"), same.Count());
        }
    }

    private static string Why(XrayProbe probe, double scale)
    {
        S2Config config = probe.Config;
        return IsNear(probe, scale, 1) ? ": the scale is missing"
            : IsNear(probe, scale, config.Scale * config.Scale) ? ": the scale is applied twice"
            : IsNear(probe, scale, 1 / Math.Sqrt(config.HeadDim)) ? ": it is 1 / sqrt(D), and the scale that was asked for is ignored"
            : IsNear(probe, scale, 1.0 / config.HeadDim) ? ": it is 1 / D"
            : IsNear(probe, scale, 1 / config.Scale) ? ": it divides where it should multiply"
            : IsNear(probe, scale, -config.Scale) ? ": it has the wrong sign"
            : IsNear(probe, scale, config.Scale / Math.Log(2)) ? ": the exponential has base 2 to the 1 / ln 2 too much"
            : IsNear(probe, scale, config.Scale * Math.Log(2)) ? ": the exponential is taken in base 2"
            : "";
    }

    private static bool IsNear(XrayProbe probe, double a, double b) => Math.Abs(a - b) <= Math.Max(0.01, 16 * probe.ElementType.UnitRoundoff()) * Math.Abs(b);

    private static IEnumerable<Sentence> Queries(ScoreMap scores, Place[] rows)
    {
        int n = scores.Probe.Config.Tokens;
        var other = rows.Where(row => !scores[row].Query.IsEmpty && scores[row].Query[0] != row).Select(row => (Row: row, Query: scores[row].Query[0])).ToArray();
        foreach (var same in other.Where(item => item.Query.Batch == item.Row.Batch && item.Query.Head == item.Row.Head)
            .GroupBy(item => (item.Query.Token - item.Row.Token + n) % n))
            yield return new($"o[t] of {Ranges.Of("head", same.Select(item => item.Row.Head))}{VisibilityWords.Entries(scores.Probe, same.Select(item => item.Row.Batch))} is computed from the query of token {Offset("t", same.Key, n)}, for t = {Ranges.Of(same.Select(item => item.Row.Token))}", same.Count());
        foreach (var first in other.Where(item => item.Query.Batch != item.Row.Batch || item.Query.Head != item.Row.Head).Take(1))
            yield return new($"o{Ranges.Of(first.Row)} is computed from the query {Ranges.Of(first.Query)} (batch entry, token, head), and {other.Length} rows of o from another's in all", other.Length);
    }

    private static IEnumerable<Sentence> Keys(ScoreMap scores, Place[] rows)
    {
        XrayProbe probe = scores.Probe;
        int n = probe.Config.Tokens;
        var other = (from row in rows
                     from pair in scores[row].Keys
                     let value = probe.SourceAt(pair.Key)
                     where pair.Value != value
                     select (Row: row, Value: value, Key: pair.Value)).ToArray();
        foreach (var same in other.Where(item => item.Key.Batch == item.Value.Batch && item.Key.Head == item.Value.Head).GroupBy(item => (item.Key.Token - item.Value.Token + n) % n))
            yield return new($"in {Ranges.Of("head", same.Select(item => item.Row.Head))}{VisibilityWords.Entries(probe, same.Select(item => item.Row.Batch))} the value of token u is weighted by the score of key {Offset("u", same.Key, n)}, for u = {Ranges.Of(same.Select(item => item.Value.Token))}", same.Select(item => item.Row).Distinct().Count());
        foreach (var same in other.Where(item => item.Key.Batch == item.Value.Batch && item.Key.Head != item.Value.Head).GroupBy(item => (item.Key.Head, Value: item.Value.Head)))
            yield return new($"in {Ranges.Of("head", same.Select(item => item.Row.Head))}{VisibilityWords.Entries(probe, same.Select(item => item.Row.Batch))} the values of kv head {same.Key.Value} are weighted by the scores of keys of kv head {same.Key.Head}", same.Select(item => item.Row).Distinct().Count());
        foreach (var first in other.Where(item => item.Key.Batch != item.Value.Batch).Take(1))
            yield return new($"o{Ranges.Of(first.Row)} weights the value {Ranges.Of(first.Value)} by the score of the key {Ranges.Of(first.Key)} (batch entry, token, kv head)", 1);
    }

    private static string Offset(string name, int offset, int n) => offset <= n / 2 ? $"{name} + {offset}" : $"{name} - {n - offset}";

    private static string FactorHint(S2Config config, double factor) =>
        Math.Abs(factor * config.Scale - 1) < 0.02 ? ": the scale is missing" : Math.Abs(factor / config.Scale - 1) < 0.02 ? ": the scale is applied twice" : "";
}
