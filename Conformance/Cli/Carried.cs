// What does the release of one file carry inside, and where does it lie while it is used?
using System.Collections.Immutable;
using System.IO.Compression;
using System.Runtime.InteropServices;
using System.Runtime.Loader;
using S2Attn.Conformance.Golden;
using S2Attn.Conformance.Ports;

namespace S2Attn.Cli;

/// <summary>
/// The release for people without .NET (.ci/release) holds the libraries of its platform and the golden tensors in an archive. Nothing of it is written anywhere before it is asked for, and
/// then into a directory that only this user can read and that ends with the run. In every other form of s2attn there is no archive, and these files lie beside the program.
/// </summary>
internal static class Carried
{
    private const string Archive = "carried.zip", Libraries = "native/", Tensors = "golden/";
    private static readonly Lock Once = new();
    private static readonly Dictionary<string, nint> Loaded = [];

    /// <summary>Answers for libraries that the system does not find.</summary>
    public static void Attach() => AssemblyLoadContext.Default.ResolvingUnmanagedDll += (_, name) => Load(name);

    /// <summary>The golden tensors of the working directory or of the program; else those that are carried, written out for the rest of the run; else none.</summary>
    public static ImmutableArray<string> Golden()
    {
        if (GoldenFolder.TryFind(out string folder))
            return [folder];
        using ZipArchive? archive = Open();
        if (archive is null)
            return [];
        RunDirectory directory = new(Path.GetTempPath());
        AppDomain.CurrentDomain.ProcessExit += (_, _) => directory.Dispose();
        foreach (ZipArchiveEntry entry in archive.Entries.Where(entry => entry.FullName.StartsWith(Tensors, StringComparison.Ordinal)))
        {
            string path = directory.File(entry.FullName);
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            entry.ExtractToFile(path);
        }

        return [directory.File(Tensors)];
    }

    private static nint Load(string name)
    {
        lock (Once)
        {
            if (Loaded.TryGetValue(name, out nint known))
                return known;
            using ZipArchive? archive = Open();
            if (archive?.Entries.FirstOrDefault(entry => entry.FullName.StartsWith(Libraries, StringComparison.Ordinal) && Plain(entry.Name) == Plain(name)) is not { } entry)
                return 0;
            RunDirectory directory = new(Path.GetTempPath());
            string path = directory.File(entry.Name);
            entry.ExtractToFile(path);
            nint library = NativeLibrary.Load(path);
            Loaded.Add(name, library);

            // What is loaded needs its name no more. Only Windows keeps the file, until the next run removes it.
            if (!OperatingSystem.IsWindows())
                directory.Dispose();
            return library;
        }
    }

    // onnxruntime, libonnxruntime and libonnxruntime.so are one library.
    private static string Plain(string name) => Path.GetFileNameWithoutExtension(name) is var plain && plain.StartsWith("lib", StringComparison.Ordinal) ? plain[3..] : plain;

    private static ZipArchive? Open() => typeof(Carried).Assembly.GetManifestResourceStream(Archive) is { } stream ? new ZipArchive(stream) : null;
}
