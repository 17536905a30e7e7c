// What must happen when the suite itself is ended, by Ctrl-C for one?
using System.Collections.Concurrent;
using System.Runtime.InteropServices;

namespace S2Attn.Conformance.Ports;

/// <summary>Runs the clean-up of everything that is still open when the process exits or is told to end by SIGINT, SIGTERM, SIGHUP or SIGQUIT.</summary>
internal static class ExitCleanup
{
    private static readonly ConcurrentDictionary<Registration, Action> Open = new();
    private static readonly Lazy<SignalHandlers> Handlers = new(() => new());
    private static volatile bool exiting;

    /// <summary>Whether the clean-up has begun, after which nothing new may be opened.</summary>
    public static bool IsExiting => exiting;

    /// <summary>Runs the action at exit, unless the result is disposed first. The action may run more than once.</summary>
    public static IDisposable Register(Action cleanup)
    {
        _ = Handlers.Value;
        Registration registration = new();
        Open[registration] = cleanup;
        if (exiting)
            cleanup();
        return registration;
    }

    private static void CleanUp()
    {
        exiting = true;
        foreach (Action cleanup in Open.Values)
        {
            try
            {
                cleanup();
            }
            catch (Exception error) when (error is IOException or InvalidOperationException or UnauthorizedAccessException)
            {
                // The others must still be cleaned up.
            }
        }
    }

    private sealed class Registration : IDisposable
    {
        public void Dispose() => Open.TryRemove(this, out _);
    }

    private sealed class SignalHandlers
    {
        // Held for ever: a collected registration would no longer be called.
        private readonly PosixSignalRegistration[] signals;

        public SignalHandlers()
        {
            AppDomain.CurrentDomain.ProcessExit += (_, _) => CleanUp();
            signals =
            [
                .. new[] { PosixSignal.SIGINT, PosixSignal.SIGTERM, PosixSignal.SIGHUP, PosixSignal.SIGQUIT }
                    .Select(signal => PosixSignalRegistration.Create(signal, _ => CleanUp())),
            ];
            GC.KeepAlive(signals);
        }
    }
}
