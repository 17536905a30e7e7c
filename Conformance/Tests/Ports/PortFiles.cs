// Where are the files that the tests of ports use?
using System.Runtime.CompilerServices;

namespace S2Attn.Tests.Ports;

internal static class PortFiles
{
    /// <summary>The root of the repository: the nearest directory above this source file that holds the solution.</summary>
    public static string Repository { get; } = FindRepository();

    /// <summary>A file of the repository.</summary>
    public static string InRepository(params string[] parts) => Path.Combine([Repository, .. parts]);

    private static string FindRepository([CallerFilePath] string here = "")
    {
        for (DirectoryInfo? directory = new(Path.GetDirectoryName(here)!); directory is not null; directory = directory.Parent)
            if (File.Exists(Path.Combine(directory.FullName, "S2Attn.Verified.sln")))
                return directory.FullName;
        throw new DirectoryNotFoundException($"No directory above {here} holds S2Attn.Verified.sln.");
    }
}
