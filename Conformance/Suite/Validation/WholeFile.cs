// How is a file written so that nobody ever sees half of it, and a failure costs no other file?
namespace S2Attn.Conformance.Validation;

/// <summary>
/// Writes beside the final place and renames, so that a reader sees the old file or the whole new one. What is no regular file (a terminal, /dev/null, the pipe of
/// a shell's process substitution) is written to directly, and so is a file in a folder where none can be made.
/// </summary>
public static class WholeFile
{
    /// <summary>Writes text as UTF-8 without a byte order mark; a lone surrogate becomes U+FFFD.</summary>
    /// <exception cref="IOException">It cannot be written; the message names it.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be written.</exception>
    public static void Write(string path, string text) => Write(path, System.Text.Encoding.UTF8.GetBytes(text));

    /// <summary>Writes bytes.</summary>
    /// <inheritdoc cref="Write(string, string)" path="/exception"/>
    public static void Write(string path, ReadOnlySpan<byte> bytes)
    {
        string target = Target(path);
        if (IsSpecial(target) || !TryBeside(target, bytes))
            Directly(target, bytes);
    }

    /// <summary>Sees that the file can be written, and leaves everything as it was.</summary>
    /// <inheritdoc cref="Write(string, string)" path="/exception"/>
    public static void CheckWritable(string path)
    {
        string target = Target(path);
        if (IsPipeWithoutReader(target))
            throw new IOException($"{path}: is a named pipe, for which writing waits");
        if (IsSpecial(target))
        {
            if (Directory.Exists(target))
                throw new IOException($"{path}: is a folder");
            using FileStream open = new(target, FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
            return;
        }

        bool existed = File.Exists(target);
        using (new FileStream(target, FileMode.OpenOrCreate, FileAccess.Write, FileShare.ReadWrite))
        {
        }

        if (!existed)
            File.Delete(target);
    }

    /// <summary>Whether two paths lead to one file of which the second writer would leave nothing of the first. Devices and pipes take both.</summary>
    public static bool AreOne(string path, string other) =>
        string.Equals(Target(path), Target(other), OperatingSystem.IsWindows() ? StringComparison.OrdinalIgnoreCase : StringComparison.Ordinal) && !IsSpecial(Target(path));

    // Renaming onto a link would replace the link. A path that cannot be followed is told when it is opened.
    private static string Target(string path)
    {
        string full = Path.GetFullPath(path);
        if (IsOfTheSystem(full))
            return full;
        try
        {
            string target = new FileInfo(full).LinkTarget is null ? full : File.ResolveLinkTarget(full, returnFinalTarget: true)?.FullName ?? full;
            return OperatingSystem.IsLinux() && Path.GetDirectoryName(target) is { Length: > 0 } folder ? Path.Combine(Linux.RealPath(folder), Path.GetFileName(target)) : target;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return full;
        }
    }

    // /dev/stdout is a link to whatever the shell opened, which must be written to and not be replaced; /dev/shm holds ordinary files.
    private static bool IsOfTheSystem(string full) =>
        !OperatingSystem.IsWindows()
        && (full.StartsWith("/proc/", StringComparison.Ordinal) || (full.StartsWith("/dev/", StringComparison.Ordinal) && !full.StartsWith("/dev/shm/", StringComparison.Ordinal)));

    private static bool IsSpecial(string target) => IsOfTheSystem(target) || (OperatingSystem.IsLinux() && Linux.KindOf(target) is not (0 or Linux.Regular));

    private static bool IsPipeWithoutReader(string target) => OperatingSystem.IsLinux() && !IsOfTheSystem(target) && Linux.KindOf(target) is Linux.Pipe;

    private static bool TryBeside(string target, ReadOnlySpan<byte> bytes)
    {
        string temporary = $"{target}.{Guid.NewGuid():N}.tmp";
        FileStream stream;
        try
        {
            stream = new(temporary, FileMode.CreateNew, FileAccess.Write);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return false;
        }

        try
        {
            using (stream)
            {
                stream.Write(bytes);
                stream.Flush(flushToDisk: false);
            }

            if (!OperatingSystem.IsWindows() && File.Exists(target))
                File.SetUnixFileMode(temporary, File.GetUnixFileMode(target));
            File.Move(temporary, target, overwrite: true);
            return true;
        }
        catch
        {
            File.Delete(temporary);
            throw;
        }
    }

    private static void Directly(string target, ReadOnlySpan<byte> bytes)
    {
        // Opened again, a file behind stdout would be written to from its beginning, over what stands there.
        using Stream stream = target is "/dev/stdout" or "/dev/fd/1" or "/proc/self/fd/1" ? Console.OpenStandardOutput()
            : new FileStream(target, IsSpecial(target) ? FileMode.Open : FileMode.Create, FileAccess.Write, FileShare.ReadWrite);
        stream.Write(bytes);
    }
}
