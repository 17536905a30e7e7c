// How does s2attn start a second s2attn?
using System.Collections.Immutable;
using System.Reflection;
using System.Runtime.InteropServices;

namespace S2Attn.Conformance.Ports;

/// <summary>The command that runs s2attn again, whether it is one file that needs no .NET, was built, was installed as a tool, or was copied next to a test.</summary>
public static class SelfCommand
{
    private const string Program = "s2attn", Host = "dotnet";

    /// <summary>The command with these arguments: the program that runs now where that is s2attn by whatever name its file has, else the s2attn beside this library on the runtime that runs now.</summary>
    /// <exception cref="PortStartException">There is no s2attn beside this library.</exception>
    public static ImmutableArray<string> With(params ReadOnlySpan<string> arguments)
    {
        if (Assembly.GetEntryAssembly()?.GetName().Name == Program && Environment.ProcessPath is { } self && Path.GetFileNameWithoutExtension(self) != Host)
            return [self, .. arguments];
        string library = Path.Combine(AppContext.BaseDirectory, Program + ".dll");
        return File.Exists(library)
            ? [DotnetHost(), "exec", library, .. arguments]
            : throw new PortStartException($"Hosting a port in a process of its own needs {library}, which is part of the s2attn tool.");
    }

    // The runtime lives in ROOT/shared/Microsoft.NETCore.App/VERSION, and its host is ROOT/dotnet.
    private static string DotnetHost()
    {
        string name = OperatingSystem.IsWindows() ? Host + ".exe" : Host;
        string beside = Path.GetFullPath(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "..", "..", "..", name));
        return File.Exists(beside) ? beside : Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") is { Length: > 0 } host ? host : name;
    }
}
