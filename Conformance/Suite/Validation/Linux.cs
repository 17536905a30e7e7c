// What does the base library not ask of Linux: is this a regular file, and where does a path lead?
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace S2Attn.Conformance.Validation;

/// <summary>open(2), realpath(3), and statx(2), whose structure is the same on every architecture.</summary>
internal static class Linux
{
    public const int ReadOnly = 0, NoTerminal = 0x100, NonBlocking = 0x800, CloseOnExec = 0x80000;
    public const int NoEntry = 2, NoAccess = 13;

    /// <summary>Kinds of file, the upper four bits of a mode.</summary>
    public const int Pipe = 0x1000, Regular = 0x8000;

    private const int KindBits = 0xF000, EmptyPath = 0x1000, CurrentFolder = -100;
    private const uint AskKind = 1;

    [DllImport("libc", EntryPoint = "open", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    public static extern SafeFileHandle Open([MarshalAs(UnmanagedType.LPUTF8Str)] string path, int flags);

    /// <summary>What an open file is; 0 where it cannot be asked.</summary>
    public static int KindOf(SafeFileHandle handle)
    {
        bool added = false;
        try
        {
            handle.DangerousAddRef(ref added);
            return StatX((int)handle.DangerousGetHandle(), "", EmptyPath, AskKind, out FileStatus status) == 0 ? status.Mode & KindBits : 0;
        }
        finally
        {
            if (added)
                handle.DangerousRelease();
        }
    }

    /// <summary>What a path leads to; 0 where it leads nowhere.</summary>
    public static int KindOf(string path) => StatX(CurrentFolder, path, 0, AskKind, out FileStatus status) == 0 ? status.Mode & KindBits : 0;

    /// <summary>A path without links; as it is where it leads nowhere.</summary>
    public static string RealPath(string path)
    {
        nint real = RealPath(path, 0);
        if (real == 0)
            return path;
        string text = Marshal.PtrToStringUTF8(real) ?? path;
        Marshal.FreeHGlobal(real);
        return text;
    }

    [DllImport("libc", EntryPoint = "realpath", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern nint RealPath([MarshalAs(UnmanagedType.LPUTF8Str)] string path, nint buffer);

    [DllImport("libc", EntryPoint = "statx", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int StatX(int folder, [MarshalAs(UnmanagedType.LPUTF8Str)] string path, int flags, uint mask, out FileStatus status);

    [StructLayout(LayoutKind.Explicit, Size = 256)]
    private readonly struct FileStatus
    {
        [FieldOffset(28)]
        public readonly ushort Mode;
    }
}
