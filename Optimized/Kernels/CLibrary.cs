// Which functions of the C library are called here that .NET does not offer?
using System.Runtime.InteropServices;

namespace S2Attn.Optimized.Kernels;

/// <summary>Linux's C library, which is in every process.</summary>
internal static class CLibrary
{
    /// <summary>The address of a function; 0 where the system is another one, or has no such function.</summary>
    public static nint AddressOf(string function) =>
        OperatingSystem.IsLinux() && NativeLibrary.TryLoad("libc.so.6", out nint library) && NativeLibrary.TryGetExport(library, function, out nint address) ? address : 0;
}
