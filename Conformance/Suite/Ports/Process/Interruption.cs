// Was the program told to end, and what must happen then?
using System.Collections.Concurrent;
using System.Runtime.InteropServices;

namespace S2Attn.Conformance.Ports;

/// <summary>
/// The one owner of SIGINT, SIGTERM, SIGHUP and SIGQUIT. Whatever is open then (processes of ports, folders of runs) is ended; a program that winds down by itself is
/// told first, so that nobody takes the end of a port for its fault. A signal that is ignored when the program starts stays ignored.
/// </summary>
public static class Interruption
{
    private static readonly ConcurrentDictionary<Registration, Action> Open = new();
    private static readonly Lazy<SignalHandlers> Handlers = new(() => new());
    private static readonly CancellationTokenSource Stop = new();
    private static readonly TimeSpan OpeningLimit = TimeSpan.FromSeconds(10);
    private static readonly Lock Gate = new();
    private static TimeSpan? grace;
    private static volatile int exitCode;
    private static volatile bool exiting;

    /// <summary>Cancelled by the first signal.</summary>
    public static CancellationToken Token => Stop.Token;

    /// <summary>128 + the number of the signal that ended the program, as a shell has it; 0 where none did.</summary>
    public static int ExitCode => exitCode;

    /// <summary>Whether the clean-up has begun, after which nothing new may be opened.</summary>
    internal static bool IsExiting => exiting;

    /// <summary>
    /// To be called by a program, not by a library: the first signal cancels <see cref="Token"/>, and the program ends by itself with <see cref="ExitCode"/>;
    /// a second signal, or more time than this, ends it.
    /// </summary>
    /// <param name="time">How long it may take to keep what it has found.</param>
    public static void WindDown(TimeSpan time)
    {
        grace = time;
        _ = Handlers.Value;
    }

    /// <summary>
    /// Makes what has to be cleaned up and registers it. A clean-up that begins meanwhile waits, or the program could end between the two and leave behind what nobody knows of yet.
    /// </summary>
    internal static T Opening<T>(Func<T> open)
    {
        lock (Gate)
            return open();
    }

    /// <summary>Runs the action at exit, unless the result is disposed first. The action may run more than once.</summary>
    internal static IDisposable Register(Action cleanup)
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

        // Whatever is being opened is registered by then, and sees that the end has begun; but no start that hangs may keep the program from ending.
        if (Gate.TryEnter(OpeningLimit))
            Gate.Exit();
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

    private static void Handle(PosixSignalContext context)
    {
        if (grace is not { } time)
        {
            CleanUp();
            return;
        }

        context.Cancel = true;
        bool first = Interlocked.CompareExchange(ref exitCode, SignalBase + Number(context.Signal), 0) == 0;
        if (first)
            Stop.Cancel();
        CleanUp();
        if (first && time > TimeSpan.Zero)
            new Thread(() =>
            {
                Thread.Sleep(time);
                Environment.Exit(exitCode);
            })
            { IsBackground = true, Name = "end of the time to wind down" }.Start();
        else
            Environment.Exit(exitCode);
    }

    private const int SignalBase = 128;

    private static int Number(PosixSignal signal) => signal switch
    {
        PosixSignal.SIGHUP => 1,
        PosixSignal.SIGINT => 2,
        PosixSignal.SIGQUIT => 3,
        _ => 15,
    };

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
                    .Select(signal => PosixSignalRegistration.Create(signal, Handle)),
            ];
            GC.KeepAlive(signals);
        }
    }
}
