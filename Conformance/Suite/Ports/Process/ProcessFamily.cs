// Which processes did a port leave behind, and how are all of them ended?
using System.Diagnostics;
using System.Globalization;
using System.Text;

namespace S2Attn.Conformance.Ports;

/// <summary>
/// Every process that a port started, whether or not its parent still lives. On Linux a port leads its own session and carries a mark in its environment,
/// so that a child that was orphaned or that left the session is still found in /proc; elsewhere the tree below the port is ended.
/// </summary>
internal sealed class ProcessFamily(string mark)
{
    internal const string MarkName = "S2ATTN_PORT_RUN";
    private const string Setsid = "/usr/bin/setsid";
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(5);
    private readonly bool ownSession = OperatingSystem.IsLinux() && File.Exists(Setsid);

    /// <summary>Changes how a process is started so that its family can be found.</summary>
    public void Mark(ProcessStartInfo start)
    {
        start.Environment[MarkName] = mark;
        if (!ownSession)
            return;

        // setsid execs in place here, because a new child never leads a group: the process id stays that of the port.
        start.ArgumentList.Insert(0, start.FileName);
        start.FileName = Setsid;
    }

    /// <summary>Ends every process of the family and waits until none is left.</summary>
    public void Kill(Process leader)
    {
        TryKill(leader, entireProcessTree: true);
        KillMembers(mark, ownSession ? leader.Id : 0);
    }

    /// <summary>Ends every process that carries the mark of a run.</summary>
    public static void KillAll(string mark) => KillMembers(mark, session: 0);

    private static void KillMembers(string mark, int session)
    {
        if (!OperatingSystem.IsLinux())
            return;

        // A process may fork between being listed and being killed, so the list is taken again until it is empty. One that was killed needs a processor to end, and may wait for it.
        for (long begun = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(begun) < Limit;)
        {
            bool any = false;
            foreach (int id in Members(mark, session))
            {
                any = true;
                TryKill(id);
            }

            if (!any)
                return;
            Thread.Sleep(1);
        }
    }

    private static IEnumerable<int> Members(string mark, int session)
    {
        byte[] entry = Encoding.ASCII.GetBytes($"{MarkName}={mark}\0");
        foreach (string directory in Directory.EnumerateDirectories("/proc"))
            if (int.TryParse(Path.GetFileName(directory.AsSpan()), NumberStyles.None, CultureInfo.InvariantCulture, out int id)
                && id != Environment.ProcessId && IsMember(directory, session, entry))
                yield return id;
    }

    private static bool IsMember(string directory, int session, byte[] entry)
    {
        try
        {
            // pid (name) state parent group session ...; the name may hold spaces and parentheses, but no later field does.
            string stat = File.ReadAllText($"{directory}/stat");
            string[] fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
            if (fields[0] is "Z" or "X")
                return false;
            return (session > 0 && fields[3] == session.ToString(CultureInfo.InvariantCulture))
                || File.ReadAllBytes($"{directory}/environ").AsSpan().IndexOf(entry) >= 0;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            // It ended while being read, or belongs to another user and is none of ours.
            return false;
        }
    }

    private static void TryKill(int id)
    {
        try
        {
            using Process process = Process.GetProcessById(id);
            TryKill(process, entireProcessTree: false);
        }
        catch (ArgumentException)
        {
            // Ended in the meantime.
        }
    }

    private static void TryKill(Process process, bool entireProcessTree)
    {
        try
        {
            process.Kill(entireProcessTree);
        }
        catch (Exception error) when (error is InvalidOperationException or System.ComponentModel.Win32Exception or AggregateException)
        {
            // Ended in the meantime.
        }
    }
}
