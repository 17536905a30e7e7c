// Where is the checkout that the tests were built from?
namespace S2Attn.Tests;

/// <summary>The root of the repository: the folder that holds the solution.</summary>
internal static class Repository
{
    public static string Root { get; } = Find(new DirectoryInfo(AppContext.BaseDirectory));

    private static string Find(DirectoryInfo? directory) =>
        directory is null ? throw new DirectoryNotFoundException($"No S2Attn.Verified.sln above {AppContext.BaseDirectory}.")
        : File.Exists(Path.Combine(directory.FullName, "S2Attn.Verified.sln")) ? directory.FullName
        : Find(directory.Parent);
}
