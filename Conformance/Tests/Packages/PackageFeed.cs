// What does a stranger have who has only the packages? A folder of them, and an empty place to build in.
using S2Attn.Tests.Native;
using S2Attn.Tests.Ports;

namespace S2Attn.Tests.Packages;

/// <summary>All packages, packed once for the tests of this folder, and projects that see nothing else of this repository.</summary>
public sealed class PackageFeed : IDisposable
{
    private const string Closed = "closed", Open = "open";

    private readonly string root = Directory.CreateTempSubdirectory("s2attn-packages-").FullName;
    private readonly Lazy<string> feed;

    /// <summary>Where this machine keeps the packages that others made.</summary>
    public static string Machine { get; } =
        Environment.GetEnvironmentVariable("NUGET_PACKAGES") ?? System.IO.Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");

    /// <summary>Nothing is packed before someone asks.</summary>
    public PackageFeed() => feed = new(Pack);

    /// <summary>The folder of .nupkg and .snupkg files.</summary>
    public string Path => feed.Value;

    /// <summary>A new project of these files, outside of the repository; its packages come from the feed, and what those depend on from this machine's packages.</summary>
    public string Project(string name, params (string Name, string Text)[] files) => Project(Closed, name, files);

    /// <summary>The same where packages that this machine lacks may be fetched.</summary>
    public string OpenProject(string name, params (string Name, string Text)[] files) => Project(Open, name, files);

    /// <summary>Runs dotnet in a project; what it said, where it succeeds.</summary>
    public static string Dotnet(string folder, params string[] arguments)
    {
        (int exitCode, string output) = PortTool.Run("dotnet", arguments, folder);
        Assert.True(exitCode == 0, $"dotnet {string.Join(' ', arguments)} in {folder} ended with {exitCode}:\n{output}");
        return output;
    }

    /// <inheritdoc/>
    public void Dispose() => Directory.Delete(root, recursive: true);

    private string Project(string place, string name, (string Name, string Text)[] files)
    {
        _ = Path;
        string folder = Directory.CreateDirectory(System.IO.Path.Combine(root, place, name)).FullName;
        foreach ((string file, string text) in files)
            File.WriteAllText(System.IO.Path.Combine(folder, file), text);
        return folder;
    }

    private string Pack()
    {
        string folder = System.IO.Path.Combine(root, "feed");
        NativeBuild.Succeed("bash", System.IO.Path.Combine(Repository.Root, ".ci", "pack"), "--no-build", folder);
        Configure(Closed, "<clear />");
        Configure(Open, "");
        return folder;

        // Found above every project. A packages folder of its own: a package of the same version from an earlier run must not be taken for this one.
        void Configure(string place, string otherSources) => File.WriteAllText(
            System.IO.Path.Combine(Directory.CreateDirectory(System.IO.Path.Combine(root, place)).FullName, "NuGet.config"),
            $"""
            <configuration>
              <packageSources>{otherSources}<add key="feed" value="{folder}" /></packageSources>
              <config><add key="globalPackagesFolder" value="{root}/packages" /></config>
              <fallbackPackageFolders><clear /><add key="machine" value="{Machine}" /></fallbackPackageFolders>
            </configuration>
            """);
    }
}

/// <summary>Tests that share one packing.</summary>
[CollectionDefinition(Name)]
public sealed class PackageTestGroup : ICollectionFixture<PackageFeed>
{
    /// <summary>The name of the group.</summary>
    public const string Name = "packages";
}
