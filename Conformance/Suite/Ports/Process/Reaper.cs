// Who cleans up at once after a run that was killed by a signal which nobody can catch?
using System.Diagnostics;

namespace S2Attn.Conformance.Ports;

/// <summary>
/// A shell that sleeps on a pipe whose other end only the run holds. Where the run ends without a word, the shell ends every process that carries its mark and
/// removes its directory. It leads a session of its own, so that what is sent to the run's whole group does not reach it. Elsewhere than on Linux the next run does the same,
/// see <see cref="Leftovers"/>.
/// </summary>
internal sealed class Reaper : IDisposable
{
    private const string Shell = "/bin/sh", Setsid = "/usr/bin/setsid";

    // A child may be forked between two looks, so it looks until a look finds none; nothing is written, since nobody may listen any more.
    private const string Script = """
        trap '' INT HUP TERM QUIT PIPE
        read -r word && exit 0
        for round in 1 2 3 4 5 6 7 8 9 10; do
            found=
            for process in /proc/[0-9]*; do
                if [ "${process#/proc/}" != $$ ] && grep -qsF "$1=$2" "$process/environ"; then
                    kill -KILL "${process#/proc/}" && found=1
                fi
            done
            [ -n "$found" ] || break
        done
        rm -rf -- "$3"
        """;

    private readonly Process process;

    private Reaper(Process process) => this.process = process;

    /// <summary>Starts it for a run's directory, where the system has what it needs.</summary>
    public static IEnumerable<Reaper> Of(string markName, string mark, string directory)
    {
        if (!OperatingSystem.IsLinux() || !File.Exists(Shell))
            yield break;
        string[] command = [.. File.Exists(Setsid) ? [Setsid] : Array.Empty<string>(), Shell, "-c", Script, "s2attn-reaper", markName, mark, directory];
        ProcessStartInfo start = new(command[0], command[1..]) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = "/" };
        Process? started = null;
        try
        {
            started = Process.Start(start);
        }
        catch (System.ComponentModel.Win32Exception)
        {
            // No process is left in the system; what the next run does has to do.
        }

        if (started is not null)
            yield return new(started);
    }

    /// <summary>Tells it that the run has cleaned up itself.</summary>
    public void Dispose()
    {
        try
        {
            process.StandardInput.Write("done\n");
            process.StandardInput.Close();
            process.WaitForExit(TimeSpan.FromSeconds(1));
        }
        catch (IOException)
        {
            // It was killed.
        }

        process.Dispose();
    }
}
