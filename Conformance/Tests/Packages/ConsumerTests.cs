// Do the packages work for someone who has nothing but them: from C# and F#, compiled just in time, trimmed, and ahead of time?
using System.Collections.Immutable;
using System.Runtime.Intrinsics.X86;
using System.Text.RegularExpressions;
using System.Xml.Linq;
using S2Attn.Tests.Ports;
using S2Attn.Tests.Tools;

namespace S2Attn.Tests.Packages;

[Collection(PackageTestGroup.Name)]
public sealed partial class ConsumerTests(PackageFeed feed)
{
    private static readonly string[] Pages = ["README.md", "docs/using.md", "Spec/README.md", "Reference/README.md", "Optimized/README.md", "Conformance/Suite/README.md"];

    [RequiresToolFact("gcc", "clang", "aarch64-linux-gnu-gcc")]
    public void Every_snippet_in_CSharp_runs_from_the_packages()
    {
        ImmutableArray<Snippet> snippets = [.. Pages.SelectMany(page => Snippet.Of(page, "csharp"))];
        Assert.True(snippets.Length >= 8, $"only {snippets.Length} snippets");
        string folder = feed.Project(
            "csharp",
            [
                ("csharp.csproj", ProjectFile("Exe", "S2Attn.Conformance", "S2Attn.Native", "Microsoft.ML.OnnxRuntime")),
                ("Program.cs", string.Join('\n', snippets.Select(snippet => $"Console.WriteLine(\"== {snippet.Name}\");\n{snippet.Name}.Run();"))),
                .. snippets.Select(snippet => (snippet.Name + ".cs", snippet.AsCSharp())),
            ]);
        PackageFeed.Dotnet(folder, "build", "-c", "Release", "-v", "quiet", "-warnaserror");

        // The page on ONNX Runtime says how its model is made.
        (int exitCode, string said) = PortTool.Run("dotnet", [Path.Combine(AppContext.BaseDirectory, "s2attn.dll"), .. GraphCommand().Match(File.ReadAllText(Path.Combine(Repository.Root, "docs", "using.md"))).Groups[1].Value.Split(' ')], folder);
        Assert.True(exitCode == 0, said);
        string output = PackageFeed.Dotnet(folder, "bin/Release/net10.0/csharp.dll");
        Assert.All(snippets, snippet => snippet.CheckOutput(output));
    }

    [RequiresToolFact("gcc", "clang", "aarch64-linux-gnu-gcc")]
    public void Every_snippet_in_FSharp_runs_from_the_packages()
    {
        ImmutableArray<Snippet> snippets = [.. Pages.SelectMany(page => Snippet.Of(page, "fsharp"))];
        Assert.True(snippets.Length >= 3, $"only {snippets.Length} snippets");
        string compile = string.Concat(snippets.Select(snippet => $"<Compile Include=\"{snippet.Name}.fs\" />"));
        string folder = feed.Project(
            "fsharp",
            [
                ("fsharp.fsproj", ProjectFile("Exe", "S2Attn.Reference", "S2Attn.Optimized").Replace("<ItemGroup>", $"<ItemGroup>{compile}<Compile Include=\"Program.fs\" />", StringComparison.Ordinal)),
                ("Program.fs", "[<EntryPoint>]\nlet main _ =\n" + string.Concat(snippets.Select(snippet => $"    printfn \"== {snippet.Name}\"\n    {snippet.Name}.run ()\n")) + "    0\n"),
                .. snippets.Select(snippet => (snippet.Name + ".fs", snippet.AsFSharp())),
            ]);
        PackageFeed.Dotnet(folder, "build", "-c", "Release", "-v", "quiet", "-warnaserror");
        string output = PackageFeed.Dotnet(folder, "bin/Release/net10.0/fsharp.dll");
        Assert.All(snippets, snippet => snippet.CheckOutput(output));
    }

    [RequiresToolFact("gcc", "clang", "aarch64-linux-gnu-gcc")]
    public void A_program_compiled_ahead_of_time_has_the_width_that_it_named_and_is_warned_where_it_named_none()
    {
        Snippet snippet = Snippet.Of("docs/using.md", "csharp")[0];
        string folder = feed.Project("ahead", ("ahead.csproj", ProjectFile("Exe", "S2Attn.Optimized", "S2Attn.Reference")), ("Program.cs", snippet.Text));
        string rid = X86Base.IsSupported ? "linux-x64" : "linux-arm64";
        string[] ahead = ["-r", rid, "-p:PublishAot=true", "-v", "minimal"], named = ["-p:IlcInstructionSet=x86-64-v3"];
        PackageFeed.Dotnet(folder, ["restore", .. ahead]);

        // Alone, this step ends in an error of the SDK's, which wants the steps before it; the question is asked before it begins, and that is what is looked at.
        string warned = PortTool.Run("dotnet", ["build", "--no-restore", "-c", "Release", "-t:PrepareForILLink", .. ahead], folder).Output;
        Assert.Equal(X86Base.IsSupported, warned.Contains("S2ATTN001", StringComparison.Ordinal));

        // Trimming and compilation themselves may not warn either.
        string published = PackageFeed.Dotnet(folder, ["publish", "--no-restore", "-c", "Release", "-o", "aot", "-warnaserror", .. ahead, .. X86Base.IsSupported ? named : []]);
        Assert.DoesNotContain("S2ATTN001", published, StringComparison.Ordinal);
        Assert.Contains(!X86Base.IsSupported ? "Bits128" : "Bits256", Run(Path.Combine(folder, "aot", "ahead")), StringComparison.Ordinal);
    }

    [RequiresToolFact("gcc", "clang", "aarch64-linux-gnu-gcc")]
    public void A_trimmed_program_runs_and_no_warning_is_given()
    {
        Snippet snippet = Snippet.Of("docs/using.md", "csharp")[0];
        string folder = feed.Project("trimmed", ("trimmed.csproj", ProjectFile("Exe", "S2Attn.Optimized", "S2Attn.Reference")), ("Program.cs", snippet.Text));
        string rid = X86Base.IsSupported ? "linux-x64" : "linux-arm64";
        string published = PackageFeed.Dotnet(folder, "publish", "-c", "Release", "-o", "out", "-warnaserror", "-r", rid, "--self-contained", "-p:PublishTrimmed=true", "-v", "minimal");
        Assert.DoesNotContain("S2ATTN001", published, StringComparison.Ordinal);
        Assert.Contains("Bits", Run(Path.Combine(folder, "out", "trimmed")), StringComparison.Ordinal);
    }

    /// <summary>Compiled, not run: its libtorch is a download of 600 MB.</summary>
    [RequiresToolFact("gcc", "clang", "aarch64-linux-gnu-gcc")]
    public void The_snippet_for_TorchSharp_compiles_from_the_packages()
    {
        Snippet snippet = Snippet.Of("docs/using.md", "csharp torchsharp").Single();
        string folder = feed.OpenProject("torch", ("torch.csproj", ProjectFile("Exe", "S2Attn.Optimized", "TorchSharp")), ("Program.cs", snippet.Text));
        PackageFeed.Dotnet(folder, "build", "-c", "Release", "-v", "quiet", "-warnaserror");
    }

    private const string TorchSharpVersion = "0.107.0";

    private static string Run(string program)
    {
        (int exitCode, string output) = PortTool.Run(program, []);
        Assert.True(exitCode == 0, output);
        return output;
    }

    internal static string ProjectFile(string outputType, params string[] packages) => $"""
        <Project Sdk="Microsoft.NET.Sdk">
          <PropertyGroup>
            <TargetFramework>net10.0</TargetFramework>
            <OutputType>{outputType}</OutputType>
            <Nullable>enable</Nullable>
            <ImplicitUsings>enable</ImplicitUsings>
            <SatelliteResourceLanguages>en</SatelliteResourceLanguages>
          </PropertyGroup>
          <ItemGroup>
            {string.Join("\n    ", packages.Select(id => $"<PackageReference Include=\"{id}\" Version=\"{VersionOf(id)}\" />"))}
          </ItemGroup>
        </Project>
        """;

    // Ours as they are packed; others as this repository pins them, so that the machine has them.
    private static string VersionOf(string id) => id == "TorchSharp" ? TorchSharpVersion : id.StartsWith("S2Attn.", StringComparison.Ordinal)
        ? XDocument.Load(Path.Combine(Repository.Root, "Directory.Build.props")).Descendants("Version").Single().Value
        : XDocument.Load(Path.Combine(Repository.Root, "Directory.Packages.props")).Descendants("PackageVersion").Single(item => item.Attribute("Include")!.Value == id).Attribute("Version")!.Value;

    [GeneratedRegex("^s2attn (graph --custom-op .*)$", RegexOptions.Multiline)]
    private static partial Regex GraphCommand();
}
