// How does the suite start a second s2attn?
using System.Collections.Immutable;
using System.Runtime.InteropServices;

namespace S2Attn.Conformance.Ports;

/// <summary>The command that runs the s2attn beside this library, whether it was built, installed as a tool, or copied next to a test.</summary>
internal static class SelfCommand
{
    private const string Assembly = "s2attn.dll";

    /// <summary>The command with these arguments.</summary>
    /// <exception cref="PortStartException">There is no s2attn beside this library.</exception>
    public static ImmutableArray<string> With(params ReadOnlySpan<string> arguments)
    {
        string assembly = Path.Combine(AppContext.BaseDirectory, Assembly);
        return File.Exists(assembly)
            ? [DotnetHost(), "exec", assembly, .. arguments]
            : throw new PortStartException($"Hosting a port in a process of its own needs {assembly}, which is part of the s2attn tool.");
    }

    // The runtime lives in ROOT/shared/Microsoft.NETCore.App/VERSION, and its host is ROOT/dotnet.
    private static string DotnetHost()
    {
        string name = OperatingSystem.IsWindows() ? "dotnet.exe" : "dotnet";
        string beside = Path.GetFullPath(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "..", "..", "..", name));
        return File.Exists(beside) ? beside : Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") is { Length: > 0 } host ? host : name;
    }
}
