// Which snippets stand on a page, and how does each become a file of a program?
using System.Collections.Immutable;
using System.Text.RegularExpressions;

namespace S2Attn.Tests.Packages;

/// <summary>A fenced block of a page. A line of it that ends with "// prints X", or "// prints X: and why", must print X.</summary>
internal sealed partial record Snippet(string Page, string Language, string Text, int Number)
{
    /// <summary>The blocks of a page in one language, as "csharp", in order.</summary>
    public static ImmutableArray<Snippet> Of(string page, string language) =>
        [.. Fence().Matches(File.ReadAllText(System.IO.Path.Combine(Repository.Root, page))).Where(match => match.Groups[1].Value == language).Select((match, i) => new Snippet(page, language, match.Groups[2].Value, i))];

    /// <summary>A name that no other snippet of the language has.</summary>
    public string Name => $"{NoLetters().Replace(Page, "_")}_{Number}";

    /// <summary>What it must print, in order.</summary>
    public ImmutableArray<string> Prints => [.. Expected().Matches(Text).Select(match => match.Groups[1].Value.Trim())];

    /// <summary>The snippet as a class with a method Run: using directives stay outside.</summary>
    public string AsCSharp()
    {
        string[] lines = Text.Split('\n');
        return string.Join('\n', [.. lines.Where(line => Using().IsMatch(line)), $"internal static class {Name}", "{", "public static void Run()", "{", .. lines.Where(line => !Using().IsMatch(line)), "}", "}", ""]);
    }

    /// <summary>The snippet as a module with a function run: what it opens stays outside.</summary>
    public string AsFSharp()
    {
        string[] lines = Text.Split('\n');
        return string.Join('\n', [$"module {Name}", .. lines.Where(Opens), "let run () =", .. lines.Where(line => !Opens(line)).Select(line => "    " + line), "    ()", ""]);

        static bool Opens(string line) => line.StartsWith("open ", StringComparison.Ordinal);
    }

    /// <summary>Holds that what was printed behind the snippet's name has its lines in order.</summary>
    public void CheckOutput(string output)
    {
        int from = output.IndexOf($"== {Name}\n", StringComparison.Ordinal);
        Assert.True(from >= 0, $"{Page}, {Language} snippet {Number} did not run:\n{output}");
        int to = output.IndexOf("\n== ", from, StringComparison.Ordinal);
        Queue<string> printed = new(output[from..(to < 0 ? output.Length : to)].Split('\n').Select(line => line.Trim()));
        foreach (string line in Prints)
        {
            while (printed.Count > 0 && printed.Peek() != line)
                printed.Dequeue();
            Assert.True(printed.Count > 0, $"{Page}, {Language} snippet {Number} did not print {line}:\n{output}");
        }
    }

    [GeneratedRegex("^```([^\n]+)\n(.*?)^```", RegexOptions.Singleline | RegexOptions.Multiline)]
    private static partial Regex Fence();

    [GeneratedRegex("// prints (.*?)(?=: |$)", RegexOptions.Multiline)]
    private static partial Regex Expected();

    [GeneratedRegex(@"^using (static )?[\w.]+( = [\w.<>]+)?;$")]
    private static partial Regex Using();

    [GeneratedRegex("[^A-Za-z0-9]+")]
    private static partial Regex NoLetters();
}
