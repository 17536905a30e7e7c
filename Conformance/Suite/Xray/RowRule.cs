// By which one rule do the rows of a tensor differ from the right ones: are they those of other rows, multiples of them, or 0?
using System.Collections.Immutable;
using System.Globalization;
using S2Attn.Reference.Upstream;
using S2Attn.Spec;

namespace S2Attn.Conformance.Xray;

/// <summary>Rows that a port gave beside the right ones.</summary>
/// <param name="Probe">The size.</param>
/// <param name="Given">Each row.</param>
/// <param name="Right">The same of the definition, or of the forward pass that was seen.</param>
/// <param name="PlaceAt">The batch entry, token and head of a row.</param>
/// <param name="Same">Whether two rows are the same but for rounding, the right one first.</param>
internal sealed record ComparedRows(XrayProbe Probe, ImmutableArray<double[]> Given, ImmutableArray<double[]> Right, Func<int, Place> PlaceAt, Func<double[], double[], bool> Same)
{
    // Where rows are more, looking for each among all would take long.
    private const int MostRows = 512;

    private const double Most = 0.75, Something = 1e-6;

    private readonly Lazy<ImmutableArray<int>> wrong = new(() => [.. Enumerable.Range(0, Given.Length).Where(row => !Same(Right[row], Given[row]))]);

    /// <summary>The rows that are not right.</summary>
    public ImmutableArray<int> Wrong => wrong.Value;

    /// <summary>Whether all wrong rows are 0.</summary>
    public bool AreZero => Wrong.Length > 0 && Wrong.All(row => !Given[row].AsSpan().ContainsAnyExcept(0.0));

    /// <summary>Whether at least half of the wrong rows hold NaN or infinity.</summary>
    public bool AreNotNumbers => Wrong.Length > 0 && Wrong.Length <= 2 * Wrong.Count(row => Given[row].Any(value => !double.IsFinite(value)));

    /// <summary>The number by which all wrong rows are multiplied; NaN where there is none.</summary>
    public double Factor
    {
        get
        {
            if (Wrong.IsEmpty || AreZero)
                return double.NaN;
            (int row, int at) = Wrong.SelectMany(row => Enumerable.Range(0, Right[row].Length), (row, at) => (row, at)).MaxBy(item => Math.Abs(Right[item.row][item.at]));
            double factor = Math.Abs(Right[row][at]) > Something ? Given[row][at] / Right[row][at] : double.NaN;
            return double.IsFinite(factor) && Wrong.All(row => Same([.. Right[row].Select(value => factor * value)], Given[row])) ? factor : double.NaN;
        }
    }

    /// <summary>How far away the right row is that stands in the place of each wrong one: batch entry, token and head, the first two around the end. None where most wrong rows are no other row, or there is no one distance.</summary>
    public ImmutableArray<(int Batch, int Token, int Head)> Moved
    {
        get
        {
            if (Wrong.IsEmpty || Given.Length > MostRows || AreZero)
                return [];
            S2Config config = Probe.Config;
            var distances = Wrong.SelectMany(row => Sources(row).Select(source => (Row: row, Distance: Distance(PlaceAt(row), PlaceAt(source)))))
                .GroupBy(item => item.Distance)
                .OrderByDescending(same => same.Count()).ThenBy(same => same.Key.Batch).ThenBy(same => Math.Abs(same.Key.Head)).ThenBy(same => same.Key.Token);
            return distances.FirstOrDefault() is { } most && most.Count() >= Most * Wrong.Length ? [most.Key] : [];

            (int Batch, int Token, int Head) Distance(Place to, Place from) => ((from.Batch - to.Batch + config.Batch) % config.Batch, (from.Token - to.Token + config.Tokens) % config.Tokens, from.Head - to.Head);
        }
    }

    /// <summary>How many wrong rows are some other row's, by whatever rule, and the first of them with the row that it is.</summary>
    public (int Count, ImmutableArray<(Place Row, Place From)> First) Elsewhere()
    {
        if (Given.Length > MostRows || AreZero)
            return (0, []);
        var found = Wrong.Select(row => (Row: row, From: Sources(row).FirstOrDefault(-1))).Where(item => item.From >= 0).ToArray();
        return (found.Length, [.. found.Take(1).Select(item => (PlaceAt(item.Row), PlaceAt(item.From)))]);
    }

    private IEnumerable<int> Sources(int row) => Enumerable.Range(0, Right.Length).Where(other => other != row && Same(Right[other], Given[row]));
}

/// <summary>Numbers that a rule may name by what they are of a configuration.</summary>
internal static class RuleNames
{
    private static readonly ImmutableArray<(string Name, Func<S2Config, double> Of)> Offsets =
    [
        ("S", config => config.Shift), ("2 S", config => 2 * config.Shift), ("1", _ => 1), ("G", config => config.GroupSize), ("G - S", config => config.GroupSize - config.Shift), ("H / 2", config => config.Heads / 2),
    ];

    private static readonly ImmutableArray<(string Name, Func<S2Config, double> Of)> Factors =
    [
        ("1 / scale", config => 1 / config.Scale), ("scale", config => config.Scale), ("K / H", config => (double)config.KvHeads / config.Heads), ("H / K", config => (double)config.Heads / config.KvHeads),
        ("2", _ => 2), ("1 / 2", _ => 0.5), ("-1", _ => -1), ("1 / ln 2", _ => 1 / Math.Log(2)), ("ln 2", _ => Math.Log(2)),
    ];

    private static readonly ImmutableArray<(string Name, Func<S2Config, double> Of)> Scales =
    [
        ("1", _ => 1), ("scale^2", config => config.Scale * config.Scale), ("1 / sqrt(D)", config => 1 / Math.Sqrt(config.HeadDim)), ("1 / scale", config => 1 / config.Scale), ("-scale", config => -config.Scale),
        ("ln 2 scale", config => Math.Log(2) * config.Scale), ("scale / ln 2", config => config.Scale / Math.Log(2)), ("sqrt(scale)", config => Math.Sqrt(Math.Abs(config.Scale))), ("1 / D", config => 1.0 / config.HeadDim),
        ("1 / sqrt(G)", config => 1 / Math.Sqrt(config.GroupSize)), ("1 / sqrt(N)", config => 1 / Math.Sqrt(config.Tokens)), ("1 / sqrt(H)", config => 1 / Math.Sqrt(config.Heads)), ("scale / sqrt(H)", config => config.Scale / Math.Sqrt(config.Heads)),
    ];

    /// <summary>"1 / sqrt(G)", where one name holds at every size; else empty.</summary>
    public static string Scale(ImmutableArray<(S2Config Config, double Scale)> seen) =>
        Scales.FirstOrDefault(rule => seen.All(item => Math.Abs(rule.Of(item.Config) - item.Scale) <= 0.02 * Math.Abs(item.Scale))).Name ?? "";

    /// <summary>"t + S", where one name holds at every size; else "t + 3" of the first.</summary>
    public static string Offset(string name, ImmutableArray<(S2Config Config, int Distance)> seen)
    {
        foreach ((string words, Func<S2Config, double> of) in Offsets)
            foreach (int sign in new[] { 1, -1 })
                if (seen.All(item => (sign * (int)of(item.Config) % item.Config.Tokens + item.Config.Tokens) % item.Config.Tokens == item.Distance))
                    return $"{name} {(sign > 0 ? "+" : "-")} {words}";
        (S2Config config, int distance) = seen[0];
        return distance <= config.Tokens / 2 ? $"{name} + {distance}" : $"{name} - {config.Tokens - distance}";
    }

    /// <summary>"1 / scale", where one name holds at every size; else the number of the first.</summary>
    public static string Factor(ImmutableArray<(S2Config Config, double Factor)> seen) =>
        Factors.FirstOrDefault(rule => seen.All(item => Math.Abs(rule.Of(item.Config) - item.Factor) <= 0.01 * Math.Abs(item.Factor))).Name
        ?? string.Create(CultureInfo.InvariantCulture, $"{seen[0].Factor:0.###}");
}
