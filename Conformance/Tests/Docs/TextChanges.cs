// What changed between a recorded table and a new one? The names of its rows, not the table.
namespace S2Attn.Tests.Docs;

/// <summary>Compares tables whose rows begin with a name: "name: value", or "| name | ... |" of Markdown.</summary>
internal static class TextChanges
{
    private const int MaxShown = 12;

    /// <summary>Fails with the rows that are new, gone or different, each by its name.</summary>
    public static void AssertSame(string where, string recorded, string found)
    {
        if (recorded == found)
            return;
        string[] changes = [.. Changes(recorded, found)];
        string more = changes.Length > MaxShown ? $"\n  and {changes.Length - MaxShown} more" : "";
        Assert.Fail(
            $"{where} is not what the code gives. Where the change is meant, run this test once with S2ATTN_UPDATE_DOCS=1.\n  "
            + string.Join("\n  ", changes.Take(MaxShown)) + more);
    }

    /// <summary>One sentence for each row that changed.</summary>
    public static IEnumerable<string> Changes(string recorded, string found)
    {
        (string Name, string Row)[] before = [.. Rows(recorded)], after = [.. Rows(found)];
        Dictionary<string, string> old = Numbered(before), now = Numbered(after);
        foreach ((string name, string row) in old)
            if (!now.TryGetValue(name, out string? other))
                yield return $"{name}: gone; it was {Rest(row)}";
            else if (other != row)
                yield return $"{name}: {Difference(row, other)}";
        foreach ((string name, string row) in now)
            if (!old.ContainsKey(name))
                yield return $"{name}: new; {Rest(row)}";
        if (old.Count == now.Count && old.All(pair => now.TryGetValue(pair.Key, out string? row) && row == pair.Value))
            yield return $"the same rows in another order: {before.Zip(after).Where(pair => pair.First != pair.Second).Select(pair => pair.Second.Name).FirstOrDefault("")} stands elsewhere";
    }

    private static IEnumerable<(string Name, string Row)> Rows(string text) =>
        text.Split('\n').Where(line => line.Length > 0).Select(line => (NameOf(line), line));

    private static string NameOf(string line) => line.StartsWith("| ", StringComparison.Ordinal)
        ? line[2..].Split(" |", 2)[0].Trim()
        : line.Split(": ", 2)[0];

    // Rows of one name are told apart by their number.
    private static Dictionary<string, string> Numbered(IEnumerable<(string Name, string Row)> rows)
    {
        Dictionary<string, string> numbered = [];
        foreach ((string name, string row) in rows)
        {
            string key = name;
            for (int i = 2; !numbered.TryAdd(key, row); i++)
                key = $"{name} (row {i} of this name)";
        }

        return numbered;
    }

    private static string Rest(string row)
    {
        const int MaxLength = 200;
        return row.Length <= MaxLength ? row : row[..MaxLength] + "...";
    }

    // Lists and cells are compared part by part.
    private static string Difference(string before, string after)
    {
        string separator = before.StartsWith('|') ? " | " : ", ";
        string[] old = Parts(before), now = Parts(after);
        if (before.StartsWith('|') && old.Length == now.Length)
            return string.Join("; ", Enumerable.Range(0, old.Length).Where(i => old[i] != now[i]).Select(i => $"column {i + 1} was \"{old[i]}\", is \"{now[i]}\""));
        string[] gone = [.. old.Except(now)], added = [.. now.Except(old)];
        return $"{(gone.Length > 0 ? $"lost {string.Join(", ", gone)}" : "")}{(gone.Length > 0 && added.Length > 0 ? "; " : "")}{(added.Length > 0 ? $"gained {string.Join(", ", added)}" : "")}";

        string[] Parts(string row) => [.. (row.StartsWith('|') ? row.Trim('|') : row[(row.IndexOf(": ", StringComparison.Ordinal) + 2)..]).Split(separator).Select(part => part.Trim())];
    }
}
