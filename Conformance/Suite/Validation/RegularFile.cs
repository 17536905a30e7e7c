// How is a file read that anybody may have put there?
using System.Globalization;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace S2Attn.Conformance.Validation;

/// <summary>
/// Opens regular files only: a named pipe would wait for ever, a device may have no end. What is read is counted while it is read, because a file may
/// grow, and some that claim to be empty are not.
/// </summary>
public static class RegularFile
{
    /// <summary>The whole file.</summary>
    /// <param name="maxBytes">More bytes than this are refused.</param>
    /// <param name="path">The file.</param>
    /// <exception cref="IOException">There is no such file, it is no regular file, it is too long, or it cannot be read; the message names it.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be read.</exception>
    public static byte[] ReadAllBytes(long maxBytes, string path)
    {
        const int FirstBytes = 1 << 16;
        using FileStream stream = Open(maxBytes, path);
        using MemoryStream content = new((int)Math.Min(stream.Length, Array.MaxLength));
        byte[] buffer = new byte[FirstBytes];
        for (int count; (count = stream.Read(buffer)) > 0;)
        {
            if (content.Length + count > Math.Min(maxBytes, Array.MaxLength))
                throw TooLong(path, content.Length + count, maxBytes);
            content.Write(buffer, 0, count);
        }

        return content.ToArray();
    }

    /// <summary>The file, open for reading, of at most so many bytes when it was opened.</summary>
    /// <inheritdoc cref="ReadAllBytes" path="/param|/exception"/>
    public static FileStream Open(long maxBytes, string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        if (path.Contains('\0', StringComparison.Ordinal))
            throw new IOException($"{path}: a path must not hold the character NUL");
        FileStream stream = OperatingSystem.IsLinux() ? OpenOnLinux(path) : OpenElsewhere(path);
        if (stream.Length <= maxBytes)
            return stream;
        using (stream)
            throw TooLong(path, stream.Length, maxBytes);
    }

    private static IOException TooLong(string path, long bytes, long maxBytes) =>
        new(string.Create(CultureInfo.InvariantCulture, $"{path}: the file has at least {bytes} bytes, more than the {maxBytes} expected at most"));

    private static IOException NotRegular(string path) => new($"{path}: must be a regular file, not a folder, pipe or device");

    // Opening must not wait for a writer, and what was opened is asked what it is: a path may change in between.
    private static FileStream OpenOnLinux(string path)
    {
        SafeFileHandle handle = Linux.Open(path, Linux.ReadOnly | Linux.NonBlocking | Linux.CloseOnExec | Linux.NoTerminal);
        if (handle.IsInvalid)
        {
            int error = Marshal.GetLastPInvokeError();
            handle.Dispose();
            throw error switch
            {
                Linux.NoEntry => new FileNotFoundException($"{path}: there is no such file", path),
                Linux.NoAccess => new UnauthorizedAccessException($"{path}: may not be read"),
                _ => new IOException($"{path}: {Marshal.GetPInvokeErrorMessage(error)}"),
            };
        }

        if (Linux.KindOf(handle) is Linux.Regular)
            return new FileStream(handle, FileAccess.Read, bufferSize: 1 << 16);
        handle.Dispose();
        throw NotRegular(path);
    }

    private static FileStream OpenElsewhere(string path)
    {
        if (Directory.Exists(path))
            throw NotRegular(path);
        FileStream stream = new(path, FileMode.Open, FileAccess.Read, FileShare.Read);
        if (stream.CanSeek)
            return stream;
        stream.Dispose();
        throw NotRegular(path);
    }
}
