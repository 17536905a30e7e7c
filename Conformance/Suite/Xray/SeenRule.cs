// By which rule do the tokens of a head see each other, and how does that differ from what they should see?
using System.Collections.Immutable;
using System.Globalization;
using S2Attn.Spec;
using S2Attn.Spec.Algebra;

namespace S2Attn.Conformance.Xray;

/// <summary>Which tokens of its own batch entry each token of one head sees, and should see; padded ones are left out.</summary>
internal sealed class SeenRule
{
    private const int LongText = 64, MostListed = 3;

    private readonly S2Config config;
    private readonly int head;
    private readonly int[] valid;
    private readonly bool[,] sees, should;

    public SeenRule(VisibilityMap seen, VisibilityMap definition, int batch, int head)
    {
        (config, this.head) = (seen.Probe.Config, head);
        valid = [.. Enumerable.Range(0, config.Tokens).Where(u => seen.Probe.Valid[batch, u])];
        (sees, should) = (Of(seen), Of(definition));

        bool[,] Of(VisibilityMap map)
        {
            bool[,] tokens = new bool[config.Tokens, config.Tokens];
            for (int t = 0; t < config.Tokens; t++)
                foreach (int u in valid)
                    tokens[t, u] = VisibilityWords.Sees(map, new(batch, t, head), u);
            return tokens;
        }
    }

    // What a length, a shift or a policy may be of a configuration and the shift that a head is asked for, the nearest to what is asked for first.
    private static readonly ImmutableArray<(string Words, Func<S2Config, int> Of)> Lengths =
    [
        ("groups of G tokens", config => config.GroupSize), ("the whole sequence as one group", config => config.Tokens), ("groups of 2 G tokens", config => 2 * config.GroupSize),
        ("groups of G / 2 tokens", config => config.GroupSize / 2), ("groups of N / 4 tokens", config => config.Tokens / 4), ("groups of N / G tokens", config => config.Tokens / config.GroupSize),
    ];

    private static readonly ImmutableArray<(string Words, Func<S2Config, int, int> Of)> Shifts =
    [
        (", shifted as asked,", (_, asked) => asked), (", not shifted,", (_, _) => 0), (", shifted by S,", (config, _) => config.Shift), (", shifted by G / 2,", (config, _) => config.GroupSize / 2),
        (", shifted by S - 1,", (_, asked) => asked - 1), (", shifted by S + 1,", (_, asked) => asked + 1), (", shifted by S / 2,", (_, asked) => asked / 2), (", shifted by 1,", (_, _) => 1),
        (", shifted by G - S,", (config, asked) => config.GroupSize - asked), (", shifted by H / 2,", (config, _) => config.Heads / 2),
    ];

    private static readonly ImmutableArray<(string Words, Func<MaskPolicy, MaskPolicy> Of)> Policies =
        [("", asked => asked), .. MaskPolicies.All.Select(mask => ($" under {mask}", new Func<MaskPolicy, MaskPolicy>(_ => mask)))];

    /// <summary>Which groups, shifts and policies show the same at some sizes: in words where one rule does at all of them, else by what each size shows; empty where most show nothing of that kind.</summary>
    public static string GroupsOf(IReadOnlyCollection<SeenRule> all)
    {
        // A short text in one group looks alike by many rules.
        SeenRule[] telling = [.. all.Where(rule => rule.IsTelling)];
        if (telling.Length == 0)
            return "";
        foreach (var policy in Policies)
            foreach (var shift in Shifts)
                foreach (var length in Lengths)
                    if (telling.Where(rule => rule.Has(policy.Of(rule.config.Mask), length.Of(rule.config))).ToArray() is { Length: > 0 } having
                        && 2 * having.Length >= telling.Length && Array.TrueForAll(having, rule => rule.Fits(policy.Of(rule.config.Mask), length.Of(rule.config), shift.Of(rule.config, rule.config.ShiftOf(rule.head)))))
                        return $"{length.Words}{shift.Words}{policy.Words}";
        string[][] each = [.. telling.Where(rule => rule.config.Tokens <= LongText).Select(rule => rule.Nearest())];
        return each.Length > 0 && Array.TrueForAll(each, found => found.Length > 0) ? string.Join(", ", each.SelectMany(found => found).Distinct().Take(MostListed)) : "";
    }

    // The same at this size alone.
    private string[] Nearest()
    {
        int n = config.Tokens, asked = config.ShiftOf(head);
        return
        [
            .. (from mask in MaskPolicies.All.OrderBy(mask => mask != config.Mask)
                from g in Enumerable.Range(1, n).OrderBy(g => g != config.GroupSize)
                from s in Enumerable.Range(0, g).OrderBy(s => s != asked).ThenBy(s => s)
                where Fits(mask, g, s)
                select string.Create(CultureInfo.InvariantCulture, $"groups of {g} tokens shifted by {s}{(mask == config.Mask ? "" : $" under {mask}")} where G is {config.GroupSize} and its shift {asked}")).Take(1),
        ];
    }

    // A policy that needs whole groups says nothing of other sizes.
    private bool Has(MaskPolicy mask, int g) => g >= 1 && (config.Tokens % g == 0 || mask.CutsWrappedRun());

    private bool Fits(MaskPolicy mask, int g, int s)
    {
        int n = config.Tokens;
        return g >= 1 && g <= n && s >= 0 && s < g && (n % g == 0 || mask.CutsWrappedRun()) && sees.Cast<bool>().Contains(true) && Fits((t, u) => Visibility.Visible<Int, Bool>(mask, n, g, s, t, u));
    }

    /// <summary>How far away the keys stand that every row sees instead of those that it should, around the end; 0 where there is no such distance.</summary>
    public int Translation() => Enumerable.Range(1, config.Tokens - 1).FirstOrDefault(by =>
        Enumerable.Range(0, config.Tokens).All(t => Enumerable.Range(0, config.Tokens).All(u => should[t, u] == sees[t, (u + by) % config.Tokens])));

    /// <summary>The sizes.</summary>
    public S2Config Config => config;

    /// <summary>Whether one rule can be told from another here: in one group many look alike.</summary>
    public bool IsTelling => config.Tokens > config.GroupSize;

    /// <summary>Whether tokens that all stand in whole groups can be moved around the end.</summary>
    public bool IsRing => IsTelling && valid.Length == config.Tokens && config.Tokens % config.GroupSize == 0;

    /// <summary>"itself alone", "itself and the 3 tokens before it", "the tokens 4 apart from it"; empty where it is nothing of these.</summary>
    public string Other()
    {
        if (config.Tokens > LongText || !sees.Cast<bool>().Contains(true))
            return "";
        if (Fits((t, u) => t == u))
            return "itself alone";
        int back = Widest((t, u) => t - u), ahead = Widest((t, u) => u - t);
        if (back + 1 < config.Tokens && ahead + 1 < config.Tokens && Fits((t, u) => t - u <= back && u - t <= ahead))
            return ahead == 0 ? $"itself and the {back} before it" : $"the tokens from {back} before it to {ahead} behind it";
        foreach (int apart in Enumerable.Range(2, Math.Max(0, config.Tokens / 2 - 1)))
            foreach (bool causal in new[] { true, false })
                if (Fits((t, u) => (t - u) % apart == 0 && (!causal || u <= t)))
                    return string.Create(CultureInfo.InvariantCulture, $"the tokens a multiple of {apart} away from it{(causal ? ", and none behind it" : "")}");
        return "";
    }

    /// <summary>All that every row that differs has in common, the narrowest first: "does not see the last key that it should"; nothing where that is nothing.</summary>
    public IEnumerable<string> Common()
    {
        var rows = Enumerable.Range(0, config.Tokens).Select(t => (
            T: t,
            More: valid.Where(u => sees[t, u] && !should[t, u]).ToArray(),
            Missing: valid.Where(u => !sees[t, u] && should[t, u]).ToArray(),
            Should: valid.Where(u => should[t, u]).ToArray())).Where(row => row.More.Length + row.Missing.Length > 0).ToArray();
        bool noMore = rows.All(row => row.More.Length == 0), noneMissing = rows.All(row => row.Missing.Length == 0);
        (bool Holds, string Words)[] all = rows.Length == 0 ? [] :
        [
            (noMore && rows.All(row => row.Missing.SequenceEqual([row.T])), "does not see itself"),
            (noMore && rows.All(row => row.Missing.SequenceEqual([row.Should[0]])), "does not see the first key that it should"),
            (noMore && rows.All(row => row.Missing.SequenceEqual([row.Should[^1]])), "does not see the last key that it should"),
            (noMore && rows.All(row => row.Missing.SequenceEqual(row.Should)), "sees none of the keys that it should"),
            (noMore, "sees some of the keys that it should, and no others"),
            (noneMissing && rows.All(row => row.More.SequenceEqual([row.T])), "sees all that it should, and itself"),
            (noneMissing && rows.All(row => row.More.SequenceEqual([row.T + 1])), "sees all that it should, and the next token"),
            (noneMissing && rows.All(row => row.Should.Length > 0 && row.More.SequenceEqual([row.Should[0] - 1])), "sees all that it should, and the token before the first of these"),
            (noneMissing && rows.All(row => row.More.SequenceEqual(rows[0].More)), $"sees all that it should, and {Ranges.Of("token", rows[0].More)} too"),
            (noneMissing && rows.All(row => row.More.All(u => u > row.T)), "sees all that it should, and later tokens too"),
            (noneMissing && rows.All(row => row.More.All(u => u < row.T)), "sees all that it should, and earlier tokens too"),
            (noneMissing, "sees all that it should, and others too"),
            (rows.All(row => row.Missing.Length == row.Should.Length), "sees none of the keys that it should, but others"),
        ];
        return all.Where(item => item.Holds).Select(item => item.Words);
    }

    private int Widest(Func<int, int, int> distance)
    {
        int widest = 0;
        for (int t = 0; t < config.Tokens; t++)
            foreach (int u in valid.Where(u => sees[t, u]))
                widest = Math.Max(widest, distance(t, u));
        return widest;
    }

    private bool Fits(Func<int, int, bool> rule)
    {
        for (int t = 0; t < config.Tokens; t++)
            foreach (int u in valid)
                if (sees[t, u] != rule(t, u))
                    return false;
        return true;
    }
}
