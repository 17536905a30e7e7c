// Where do the files of a run live, and when are they gone?
using System.Collections.Immutable;
using System.Globalization;

namespace S2Attn.Conformance.Ports;

/// <summary>
/// A fresh directory for the files that pass between suite and port; deleted with everything in it. While its owner lives it holds a lock on a file in it, so that
/// the next run finds what a killed run left behind, on whatever machine or in whatever container that was: see <see cref="Leftovers"/>. What is killed
/// alone is followed by its <see cref="Reaper"/> at once.
/// </summary>
public sealed class RunDirectory : IDisposable
{
    internal const string Prefix = "s2attn-", OwnerFile = ".owner";
    private readonly FileStream owner;
    private readonly IDisposable registration;
    private readonly ImmutableArray<Reaper> reaper;

    /// <summary>Makes the directory, after it has removed what dead runs left beside it.</summary>
    /// <param name="parent">Where it is made.</param>
    /// <exception cref="IOException">It cannot be made.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be made.</exception>
    /// <exception cref="OperationCanceledException">A signal ends the program, and has removed it again.</exception>
    public RunDirectory(string parent)
    {
        string folder = Path.GetFullPath(parent);
        Leftovers.Remove(folder);
        FullPath = Path.Combine(folder, string.Create(CultureInfo.InvariantCulture, $"{Prefix}{Environment.ProcessId}-{Guid.NewGuid():N}"));
        registration = Interruption.Opening(() =>
        {
            if (OperatingSystem.IsWindows())
                Directory.CreateDirectory(FullPath);
            else
                Directory.CreateDirectory(FullPath, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            return Interruption.Register(() => Delete(FullPath));
        });
        try
        {
            owner = new(File(OwnerFile), FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException error) when (Interruption.IsExiting)
        {
            throw new OperationCanceledException("A signal came before the folder of the run was made.", error, Interruption.Token);
        }

        reaper = [.. Reaper.Of(ProcessFamily.MarkName, Mark, FullPath)];
    }

    /// <summary>The directory, as an absolute path.</summary>
    public string FullPath { get; }

    /// <summary>What the processes of its ports carry in their environment.</summary>
    internal string Mark => Path.GetFileName(FullPath);

    /// <summary>The file of that name.</summary>
    public string File(string name) => Path.Combine(FullPath, name);

    /// <inheritdoc/>
    public void Dispose()
    {
        Delete(FullPath);
        owner.Dispose();
        registration.Dispose();
        foreach (Reaper one in reaper)
            one.Dispose();
    }

    /// <summary>Deletes a run's directory, whatever a port has made of it.</summary>
    internal static void Delete(string path)
    {
        // A process that was just killed may have been creating a file; the second pass finds it.
        for (int attempt = 0; attempt < 3; attempt++)
        {
            try
            {
                if (Directory.Exists(path))
                    Directory.Delete(path, recursive: true);
                else
                    System.IO.File.Delete(path);
                return;
            }
            catch (Exception error) when (error is IOException or UnauthorizedAccessException)
            {
                Unlock(path);
                Thread.Sleep(20);
            }
        }
    }

    // A port may have taken its own rights to what it made.
    private static void Unlock(string path)
    {
        if (OperatingSystem.IsWindows())
            return;
        try
        {
            System.IO.File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            foreach (DirectoryInfo directory in new DirectoryInfo(path).EnumerateDirectories().Where(directory => directory.LinkTarget is null))
                Unlock(directory.FullName);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            // Not ours to change.
        }
    }
}
