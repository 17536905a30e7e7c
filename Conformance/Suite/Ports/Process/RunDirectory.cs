// Where do the tensor files of a run live, and when are they gone?
namespace S2Attn.Conformance.Ports;

/// <summary>A fresh directory for the files that pass between suite and port; deleted with everything in it.</summary>
internal sealed class RunDirectory : IDisposable
{
    private readonly IDisposable registration;

    public RunDirectory(string parent)
    {
        FullPath = Path.Combine(Path.GetFullPath(parent), $"s2attn-{Environment.ProcessId}-{Guid.NewGuid():N}");
        if (OperatingSystem.IsWindows())
            Directory.CreateDirectory(FullPath);
        else
            Directory.CreateDirectory(FullPath, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        registration = ExitCleanup.Register(Delete);
    }

    /// <summary>The directory, as an absolute path.</summary>
    public string FullPath { get; }

    /// <summary>The file of that name.</summary>
    public string File(string name) => Path.Combine(FullPath, name);

    /// <inheritdoc/>
    public void Dispose()
    {
        Delete();
        registration.Dispose();
    }

    private void Delete()
    {
        // A process that was just killed may have been creating a file; the second pass finds it.
        for (int attempt = 0; attempt < 3 && Directory.Exists(FullPath); attempt++)
        {
            try
            {
                Directory.Delete(FullPath, recursive: true);
            }
            catch (Exception error) when (error is IOException or UnauthorizedAccessException)
            {
                Thread.Sleep(20);
            }
        }
    }
}
