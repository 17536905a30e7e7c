// Where is libs2attn, built from these sources? Built once for all tests that link it; build.sh does nothing where no source has changed.
using S2Attn.Tests.Ports;

namespace S2Attn.Tests.Native;

/// <summary>The library for this machine, and programs that link it.</summary>
internal static class NativeBuild
{
    private static readonly Lazy<string> Built = new(() => Succeed("bash", Source("build.sh"), "--levels", "x86-64-v2 x86-64-v3"));

    /// <summary>The folder with include and lib.</summary>
    public static string Prefix => Built.Value;

    /// <summary>The library that programs load.</summary>
    public static string Library => Path.Combine(Prefix, "lib", "libs2attn.so");

    /// <summary>A file beside the header.</summary>
    public static string Source(string name) => Path.Combine(Repository.Root, "Optimized", "Bindings", "Native", name);

    /// <summary>Compiles and links a C program or library against the built files alone.</summary>
    public static void Compile(string output, params string[] arguments) =>
        Succeed("gcc", ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O2", $"-I{Prefix}/include", "-o", output, .. arguments, $"-L{Prefix}/lib", "-ls2attn", "-lm", "-ldl", "-lpthread", $"-Wl,-rpath,{Prefix}/lib"]);

    /// <summary>Runs a program; the first line that it writes where it succeeds.</summary>
    public static string Succeed(string program, params string[] arguments)
    {
        (int exitCode, string output) = PortTool.Run(program, arguments);
        Assert.True(exitCode == 0, $"{program} {string.Join(' ', arguments)} ended with {exitCode}:\n{output}");
        return output.TrimEnd().Split('\n')[0];
    }
}
