// Whose business is a model that is checked?
using System.Runtime.InteropServices;

namespace S2Attn.Conformance.Ports;

/// <summary>
/// From 1.29 on, the published builds of ONNX Runtime tell their maker of every session, with names and hashes of the model, and keep a device number in the user's cache folder, unless
/// ORT_DISABLE_TELEMETRY is set before its environment is made. A check says nothing to anybody but who ran it, and leaves nothing behind.
/// </summary>
internal static class OnnxTelemetry
{
    private const string Variable = "ORT_DISABLE_TELEMETRY", On = "1";

    static OnnxTelemetry()
    {
        // For processes that are started from here; the runtime keeps a copy of the environment, which native code does not see.
        Environment.SetEnvironmentVariable(Variable, On);
        if (!OperatingSystem.IsWindows())
            _ = SetVariable(Variable, On, overwrite: 1);
    }

    /// <summary>To be called before the first use of ONNX Runtime.</summary>
    public static void TurnOff()
    {
    }

    [DllImport("libc", EntryPoint = "setenv")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int SetVariable([MarshalAs(UnmanagedType.LPUTF8Str)] string name, [MarshalAs(UnmanagedType.LPUTF8Str)] string value, int overwrite);
}
