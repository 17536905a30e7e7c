// How does a process end when the suite that started it is killed?
using System.Collections.Concurrent;
using System.Diagnostics;
using System.Runtime.ExceptionServices;

namespace S2Attn.Conformance.Ports;

/// <summary>
/// Starts processes from one thread that lives as long as the program. Linux can send a signal to a child when its parent dies, and takes for the parent the
/// thread that started it: one of a pool would end the port when it retires.
/// </summary>
internal static class ProcessStarter
{
    private const string Setpriv = "/usr/bin/setpriv";
    private static readonly string[] DieWithParent = ["--pdeathsig", "KILL"];
    private static readonly BlockingCollection<Action> Work = [];
    private static readonly Lazy<Thread> Starter = new(Begin);
    private static readonly Lazy<bool> CanDieWithParent = new(Probe);

    /// <summary>Starts a process that ends with this one where the system can do that.</summary>
    public static Process Start(ProcessStartInfo start)
    {
        if (CanDieWithParent.Value)
        {
            // It execs in place, so the process id stays that of the program.
            start.ArgumentList.Insert(0, start.FileName);
            for (int i = DieWithParent.Length - 1; i >= 0; i--)
                start.ArgumentList.Insert(0, DieWithParent[i]);
            start.FileName = Setpriv;
        }

        return OnStarter(() => Process.Start(start)!);
    }

    private static Process OnStarter(Func<Process> start)
    {
        _ = Starter.Value;
        using ManualResetEventSlim done = new();
        Process? started = null;
        ExceptionDispatchInfo? failure = null;
        Work.Add(() =>
        {
            try
            {
                started = start();
            }
            catch (Exception error)
            {
                failure = ExceptionDispatchInfo.Capture(error);
            }

            done.Set();
        });
        done.Wait();
        failure?.Throw();
        return started!;
    }

    private static Thread Begin()
    {
        Thread thread = new(() =>
        {
            foreach (Action work in Work.GetConsumingEnumerable())
                work();
        })
        { IsBackground = true, Name = "starts ports" };
        thread.Start();
        return thread;
    }

    // Older versions of setpriv do not know the option.
    private static bool Probe()
    {
        if (!OperatingSystem.IsLinux() || !File.Exists(Setpriv))
            return false;
        using Process probe = Process.Start(new ProcessStartInfo(Setpriv, [.. DieWithParent, "true"]) { RedirectStandardError = true, RedirectStandardOutput = true })!;
        probe.WaitForExit();
        return probe.ExitCode == 0;
    }
}
