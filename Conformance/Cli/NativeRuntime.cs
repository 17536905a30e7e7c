// Where does the one-file release find ONNX Runtime?
using System.Reflection;
using System.Runtime.InteropServices;
using System.Runtime.Loader;
using S2Attn.Conformance.Ports;

namespace S2Attn.Cli;

/// <summary>
/// The release for people without .NET is one file, which holds ONNX Runtime's library as a resource. It is written out where a model is first asked for, into a
/// directory that only this user can read, and is gone when the run is.
/// </summary>
internal static class NativeRuntime
{
    private const string Folder = "native/";
    private static readonly Lock Once = new();
    private static readonly List<RunDirectory> Written = [];

    /// <summary>Answers for libraries that the system does not find.</summary>
    public static void Attach() => AssemblyLoadContext.Default.ResolvingUnmanagedDll += (_, name) => Load(name);

    private static nint Load(string name)
    {
        Assembly assembly = typeof(NativeRuntime).Assembly;
        string wanted = Path.GetFileNameWithoutExtension(name);
        string? resource = assembly.GetManifestResourceNames().FirstOrDefault(
            held => held.StartsWith(Folder, StringComparison.Ordinal) && Path.GetFileNameWithoutExtension(held).TrimStart('l', 'i', 'b') == wanted.TrimStart('l', 'i', 'b'));
        if (resource is null)
            return 0;
        lock (Once)
        {
            RunDirectory directory = new(Path.GetTempPath());
            Written.Add(directory);
            string path = directory.File(resource[Folder.Length..]);
            using (Stream held = assembly.GetManifestResourceStream(resource)!)
            using (FileStream file = new(path, FileMode.CreateNew, FileAccess.Write))
                held.CopyTo(file);
            nint library = NativeLibrary.Load(path);

            // A library that is loaded needs its name no more, but for Windows, where the next run removes it.
            if (!OperatingSystem.IsWindows())
                directory.Dispose();
            return library;
        }
    }
}
