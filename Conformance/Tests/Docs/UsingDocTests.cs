// Do the snippets of docs/using.md do what the page says, against the built files alone?
using S2Attn.Tests.Native;
using S2Attn.Tests.Ports;
using S2Attn.Tests.Tools;

namespace S2Attn.Tests.Docs;

public sealed class UsingDocTests
{
    [RequiresToolFact("gcc", "clang")]
    public void The_snippet_in_C_runs() => SamplePortTests.InTemporary(directory =>
    {
        string source = Snippet(directory, "c", "program.c"), program = Path.Combine(directory, "program");
        NativeBuild.Compile(program, source);
        Assert.Matches(@"^\S+ 0\.\d\d\d$", NativeBuild.Succeed(program));
    });

    [RequiresToolFact("g++", "clang")]
    public void The_snippet_in_Cpp_runs() => SamplePortTests.InTemporary(directory =>
    {
        string source = Snippet(directory, "cpp", "program.cpp"), program = Path.Combine(directory, "program"), prefix = NativeBuild.Prefix;
        NativeBuild.Succeed("g++", "-Wall", "-Wextra", "-Werror", $"-I{prefix}/include", source, "-o", program, $"-L{prefix}/lib", "-ls2attn", $"-Wl,-rpath,{prefix}/lib");
        Assert.Equal("0.500", NativeBuild.Succeed(program));
    });

    private static string Snippet(string directory, string language, string name)
    {
        string page = File.ReadAllText(Path.Combine(Repository.Root, "docs", "using.md")), fence = $"```{language}\n";
        int start = page.IndexOf(fence, StringComparison.Ordinal) + fence.Length;
        string path = Path.Combine(directory, name);
        File.WriteAllText(path, page[start..page.IndexOf("```", start, StringComparison.Ordinal)]);
        return path;
    }
}
