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

    [RequiresToolFact("gcc", "clang", "pkg-config")]
    public void The_command_with_pkg_config_compiles_the_snippet_in_C() => SamplePortTests.InTemporary(directory =>
    {
        Snippet(directory, "c", "program.c");
        string page = File.ReadAllText(Page), command = page[page.IndexOf("cc program.c ", StringComparison.Ordinal)..];
        NativeBuild.Succeed("env", "-C", directory, $"PREFIX={NativeBuild.Prefix}", "bash", "-ec", command[..command.IndexOf('\n', StringComparison.Ordinal)]);
        Assert.Matches(@"^\S+ 0\.\d\d\d$", NativeBuild.Succeed(Path.Combine(directory, "program")));
    });

    [RequiresToolFact("g++", "clang", "cmake")]
    public void The_snippet_for_CMake_finds_the_library_and_builds_the_snippet_in_Cpp() => SamplePortTests.InTemporary(directory =>
    {
        Snippet(directory, "cpp", "program.cpp");
        Snippet(directory, "cmake", "CMakeLists.txt");
        NativeBuild.Succeed("cmake", "-S", directory, "-B", directory + "/build", $"-DCMAKE_PREFIX_PATH={NativeBuild.Prefix}");
        NativeBuild.Succeed("cmake", "--build", directory + "/build");
        Assert.Equal("0.500", NativeBuild.Succeed(directory + "/build/program"));
    });

    private static string Page => Path.Combine(Repository.Root, "docs", "using.md");

    private static string Snippet(string directory, string language, string name)
    {
        string page = File.ReadAllText(Page), fence = $"```{language}\n";
        int start = page.IndexOf(fence, StringComparison.Ordinal) + fence.Length;
        string path = Path.Combine(directory, name);
        File.WriteAllText(path, page[start..page.IndexOf("```", start, StringComparison.Ordinal)]);
        return path;
    }
}
