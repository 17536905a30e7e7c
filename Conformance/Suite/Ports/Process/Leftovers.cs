// What did runs leave behind that were killed, and how is it removed?
using System.Collections.Concurrent;
using System.Text.RegularExpressions;

namespace S2Attn.Conformance.Ports;

/// <summary>
/// A run that is killed by SIGKILL, or dies with its machine, cleans nothing up. The next one that makes a directory in the same place removes the directory of
/// each run whose lock nobody holds any more, and ends every process that carries its mark.
/// </summary>
internal static partial class Leftovers
{
    // A directory without a lock is one whose owner is about to make it, or has lost it to a hostile port.
    private static readonly TimeSpan Unowned = TimeSpan.FromHours(1);
    private static readonly ConcurrentDictionary<string, Lazy<bool>> Seen = new(StringComparer.Ordinal);

    /// <summary>Removes what dead runs left in a folder, once for each folder.</summary>
    public static void Remove(string folder) => _ = Seen.GetOrAdd(folder, path => new(() => RemoveNow(path))).Value;

    /// <summary>Removes what dead runs left in a folder.</summary>
    /// <returns>True.</returns>
    internal static bool RemoveNow(string folder)
    {
        try
        {
            foreach (DirectoryInfo directory in new DirectoryInfo(folder).EnumerateDirectories(RunDirectory.Prefix + "*"))
                if (RunName().IsMatch(directory.Name) && directory.LinkTarget is null && IsDead(directory))
                {
                    ProcessFamily.KillAll(directory.Name);
                    RunDirectory.Delete(directory.FullName);
                }
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            // Another run removes the same, or another user's directories are none of ours.
        }

        return true;
    }

    private static bool IsDead(DirectoryInfo directory)
    {
        string owner = Path.Combine(directory.FullName, RunDirectory.OwnerFile);
        try
        {
            if (!File.Exists(owner))
                return DateTime.UtcNow - directory.LastWriteTimeUtc > Unowned;
            using FileStream free = new(owner, FileMode.Open, FileAccess.ReadWrite, FileShare.None);
            return true;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    [GeneratedRegex("^s2attn-[0-9]+-[0-9a-f]{32}$")]
    private static partial Regex RunName();
}
