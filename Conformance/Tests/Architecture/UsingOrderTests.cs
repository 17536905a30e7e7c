// Do using directives stand in the order that dotnet format gives them? CI checks whitespace alone with it: the whole of it takes two minutes.

namespace S2Attn.Tests.Architecture;

public sealed class UsingOrderTests
{
    [Fact]
    public void Using_directives_stand_in_order() =>
        Assert.All(
            Directory.EnumerateFiles(Repository.Root, "*.cs", SearchOption.AllDirectories)
                .Select(path => Path.GetRelativePath(Repository.Root, path))
                .Where(path => !path.Split(Path.DirectorySeparatorChar).Any(part => part is "obj" or "bin" || part.StartsWith('.'))),
            path => Assert.True(AreInOrder(File.ReadLines(Path.Combine(Repository.Root, path))), path));

    [Theory]
    [InlineData("using System;", "using System.Text;", "using FsCheck;", "using S2Attn.Spec;", true)]
    [InlineData("using System.Text;", "using System;", "using FsCheck;", "using S2Attn.Spec;", false)]
    [InlineData("using System;", "using S2Attn.Spec;", "using FsCheck;", "using Xunit;", false)]
    [InlineData("using FsCheck;", "using System;", "using S2Attn.Spec;", "using Xunit;", false)]
    public void A_directive_out_of_place_is_seen(string a, string b, string c, string d, bool expected) => Assert.Equal(expected, AreInOrder(["// What?", a, b, c, d, "namespace N;", "using Late;"]));

    // System before others, then by name; static imports and aliases come behind and are few.
    private static bool AreInOrder(IEnumerable<string> lines)
    {
        string[] names = [.. lines.TakeWhile(line => line.Length == 0 || line.StartsWith("//", StringComparison.Ordinal) || line.StartsWith("using ", StringComparison.Ordinal) || line.StartsWith('#'))
            .Where(line => line.StartsWith("using ", StringComparison.Ordinal) && !line.Contains('=') && !line.StartsWith("using static ", StringComparison.Ordinal))
            .Select(line => line["using ".Length..].TrimEnd(';'))];
        return names.SequenceEqual(names.OrderBy(name => name != "System" && !name.StartsWith("System.", StringComparison.Ordinal)).ThenBy(name => name, StringComparer.OrdinalIgnoreCase));
    }
}
