// Keeps a generated block of a document equal to what generates it.
namespace S2Attn.Tests.Docs;

/// <summary>
/// A block between the comments "NAME:begin" and "NAME:end" of a Markdown file. With S2ATTN_UPDATE_DOCS=1 a test rewrites the block; else it compares.
/// </summary>
internal static class GeneratedBlock
{
    public static string Read(string relativePath, string name)
    {
        string text = File.ReadAllText(Path.Combine(Repository.Root, relativePath));
        (int begin, int end) = Find(text, name);
        return text[begin..end];
    }

    public static void AssertEqualOrUpdate(string relativePath, string name, string expected)
    {
        string path = Path.Combine(Repository.Root, relativePath);
        string text = File.ReadAllText(path);
        (int begin, int end) = Find(text, name);
        if (Environment.GetEnvironmentVariable("S2ATTN_UPDATE_DOCS") == "1")
            File.WriteAllText(path, text[..begin] + expected + text[end..]);
        else
            TextChanges.AssertSame($"{relativePath}, block '{name}',", text[begin..end], expected);
    }

    private static (int Begin, int End) Find(string text, string name) => (
        text.IndexOf("-->\n", text.IndexOf($"<!-- {name}:begin", StringComparison.Ordinal), StringComparison.Ordinal) + 4,
        text.IndexOf($"<!-- {name}:end", StringComparison.Ordinal));
}
