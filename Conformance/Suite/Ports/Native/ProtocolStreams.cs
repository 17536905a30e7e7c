// Where does a host speak the protocol when the code that it hosts may print?
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace S2Attn.Conformance.Ports;

/// <summary>The process's own stdin and stdout, kept for the protocol.</summary>
public static class ProtocolStreams
{
    private const int StandardOutput = 1, StandardError = 2;

    /// <summary>
    /// Takes stdout for the caller. On Unix everything else that is written to stdout from now on, by a printf in a loaded library for one, goes to stderr.
    /// </summary>
    public static Stream TakeOutput()
    {
        if (OperatingSystem.IsWindows())
            return Console.OpenStandardOutput();
        int own = Duplicate(StandardOutput);
        return own < 0 || DuplicateTo(StandardError, StandardOutput) < 0
            ? throw new IOException($"stdout cannot be kept for the protocol: error {Marshal.GetLastPInvokeError()}")
            : new FileStream(new SafeFileHandle(own, ownsHandle: true), FileAccess.Write, bufferSize: 0);
    }

    [DllImport("libc", EntryPoint = "dup", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int Duplicate(int descriptor);

    [DllImport("libc", EntryPoint = "dup2", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int DuplicateTo(int descriptor, int target);
}
