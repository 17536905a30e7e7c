// Keeps a recorded file of "name: value" lines equal to what is found, and says which name changed.
namespace S2Attn.Tests.Docs;

/// <summary>A recorded table with a name on each line. With S2ATTN_UPDATE_DOCS=1 a test rewrites it; else it compares, name by name.</summary>
internal static class RecordedLines
{
    public static void AssertEqualOrUpdate(string relativePath, string title, IEnumerable<(string Name, string Value)> lines)
    {
        string path = Path.Combine(Repository.Root, relativePath);
        string text = $"# {title} Written by the tests with S2ATTN_UPDATE_DOCS=1.\n" + string.Concat(lines.Select(line => $"{line.Name}: {line.Value}\n"));
        if (Environment.GetEnvironmentVariable("S2ATTN_UPDATE_DOCS") == "1")
            File.WriteAllText(path, text);
        TextChanges.AssertSame(relativePath, File.ReadAllText(path), text);
    }
}
