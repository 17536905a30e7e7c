// Is every snippet of README.md code that is compiled here, and does it run?
using System.Text.RegularExpressions;

namespace S2Attn.Tests.Docs;

public sealed partial class ReadmeTests
{
    [Theory]
    [InlineData("csharp", "Conformance/Tests/Docs/ReadmeSnippets.cs", 2)]
    [InlineData("fsharp", "Conformance/FSharp/Walkthrough.fs", 1)]
    public void Snippets_stand_in_a_file_that_is_compiled(string language, string path, int count)
    {
        string readme = File.ReadAllText(Path.Combine(Repository.Root, "README.md"));
        HashSet<string> compiled = [.. Lines(File.ReadAllText(Path.Combine(Repository.Root, path)))];
        string[] snippets = [.. Snippet().Matches(readme).Where(match => match.Groups[1].Value == language).Select(match => match.Groups[2].Value)];
        Assert.Equal(count, snippets.Length);
        Assert.All(snippets.SelectMany(Lines), line => Assert.True(compiled.Contains(line), $"README.md: not in {path}: {line}"));
    }

    [Fact]
    public void The_kernel_snippet_counts_the_keys_of_the_last_query() => Assert.Equal(Math.Log(1024), ReadmeSnippets.Kernel()[^1], 1e-5);

    [Fact]
    public void The_reference_snippet_sees_the_leak() => Assert.True(ReadmeSnippets.Reference().Leaks);

    private static IEnumerable<string> Lines(string text) => text.Split('\n').Select(line => line.Trim()).Where(line => line.Length > 0);

    [GeneratedRegex("```(csharp|fsharp)\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex Snippet();
}
