// How is a port's process started, spoken to and ended?
using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.Text;

namespace S2Attn.Conformance.Ports;

/// <summary>A running process of a port: lines in, lines out, and no survivor when it is disposed.</summary>
internal sealed class PortProcess : IDisposable
{
    private readonly Process process;
    private readonly ProcessFamily family;
    private readonly LineReader lines;
    private readonly TailReader stderr;
    private readonly IDisposable registration;
    private readonly Lock ending = new();

    // Set before the process is let go of: whoever uses it meanwhile learns why it cannot.
    private volatile bool ended;

    private PortProcess(Process process, ProcessFamily family, ProcessPortOptions options)
    {
        this.process = process;
        this.family = family;
        lines = new(process.StandardOutput.BaseStream, options.MaxLineBytes);
        stderr = new(process.StandardError.BaseStream, options.StderrTailBytes, options.Log);
        registration = Interruption.Register(Dispose);
    }

    /// <summary>The end of stderr so far.</summary>
    public string StderrTail => stderr.Text;

    /// <summary>Starts the command.</summary>
    /// <exception cref="PortStartException">There is no such program, or the system cannot start it.</exception>
    /// <param name="mark">What its processes carry in their environment.</param>
    /// <param name="command">Program and arguments.</param>
    /// <param name="options">Limits.</param>
    public static PortProcess Start(string mark, IReadOnlyList<string> command, ProcessPortOptions options)
    {
        ProcessStartInfo start = new(FindProgram(command[0], options.WorkingDirectory), command.Skip(1))
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            UseShellExecute = false,
            CreateNoWindow = true,
            WorkingDirectory = options.WorkingDirectory,
        };
        ProcessFamily family = new(mark);
        family.Mark(start);
        try
        {
            return Interruption.Opening(() => Interruption.IsExiting
                ? throw new PortStartException("No port is started any more: the suite is ending.")
                : new PortProcess(ProcessStarter.Start(start), family, options));
        }
        catch (Exception error) when (error is Win32Exception or InvalidOperationException or IOException)
        {
            throw new PortStartException($"The port cannot be started: {command[0]}: {error.Message}", error);
        }
    }

    /// <summary>Sends a line.</summary>
    /// <returns>False where the port has closed its stdin, has ended, or does not read within the limit.</returns>
    public bool TryWriteLine(string line, TimeSpan limit)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(line + "\n");
        try
        {
            Stream stdin = process.StandardInput.BaseStream;

            // A pipe whose reader sleeps blocks the writer once it is full, so the limit must be kept from outside; and by a thread of its own,
            // or a port would be blamed for the time that the pool needs to find one.
            Task write = Task.Factory.StartNew(
                () =>
                {
                    stdin.Write(bytes);
                    stdin.Flush();
                },
                CancellationToken.None,
                TaskCreationOptions.LongRunning,
                TaskScheduler.Default);
            return write.Wait(limit);
        }
        catch (Exception error) when (error is AggregateException or IOException or InvalidOperationException)
        {
            return false;
        }
    }

    /// <summary>What comes next on stdout.</summary>
    public LineEvent NextLine(TimeSpan limit) => lines.Next(limit);

    /// <summary>Closes stdin and waits for the end.</summary>
    /// <returns>The exit code, or none where the process still runs, or a signal has ended it with the run.</returns>
    public int? WaitForExit(TimeSpan limit)
    {
        try
        {
            process.StandardInput.Close();
        }
        catch (Exception error) when (error is IOException or InvalidOperationException)
        {
            // The port closed it first.
        }

        try
        {
            return process.WaitForExit(limit) ? process.ExitCode : null;
        }
        catch (InvalidOperationException) when (ended)
        {
            return null;
        }
    }

    /// <summary>How the process ended, in words, given that its stdout has ended.</summary>
    public string DescribeEnd()
    {
        // stdout ends a moment before the process does.
        const int SignalBase = 128;
        TimeSpan grace = TimeSpan.FromSeconds(1);
        int code;
        try
        {
            if (!process.WaitForExit(grace))
                return "closed its stdout";
            stderr.WaitForEnd(TimeSpan.FromMilliseconds(200));
            code = process.ExitCode;
        }
        catch (InvalidOperationException) when (ended)
        {
            return "was ended with the run";
        }

        string signal = (code - SignalBase) switch
        {
            4 => " (SIGILL)",
            6 => " (SIGABRT)",
            8 => " (SIGFPE)",
            9 => Interruption.IsExiting ? " (SIGKILL: the run was stopped)" : " (SIGKILL: perhaps out of memory)",
            11 => " (SIGSEGV)",
            15 => " (SIGTERM)",
            _ => "",
        };
        return code == 0
            ? "ended by itself (with code 0, though it was not told to shut down and its stdin was open: let it read requests until its stdin ends, and look for an exit in what it calls)"
            : string.Create(CultureInfo.InvariantCulture, $"exited with code {code}{(OperatingSystem.IsWindows() ? "" : signal)}");
    }

    /// <summary>Ends the process and everything that it started. Who comes second waits for the first: a signal must not end the program in the midst of it.</summary>
    public void Dispose()
    {
        lock (ending)
        {
            if (ended)
                return;
            ended = true;
            family.Kill(process);
            process.WaitForExit(TimeSpan.FromSeconds(5));
            lines.Dispose();
            stderr.WaitForEnd(TimeSpan.FromSeconds(1));
            registration.Dispose();
            process.Dispose();
        }
    }

    // The program is looked for here because the helper that opens the session would fail later and in other words.
    private static string FindProgram(string program, string workingDirectory)
    {
        if (OperatingSystem.IsWindows())
            return program;
        if (program.Contains('/', StringComparison.Ordinal))
        {
            string path = Path.GetFullPath(program, workingDirectory.Length == 0 ? Environment.CurrentDirectory : Path.GetFullPath(workingDirectory));
            return File.Exists(path)
                ? Executable(path) ? path : throw new PortStartException($"The port cannot be started: {path} is not executable; run chmod +x, or name its interpreter.")
                : throw new PortStartException($"The port cannot be started: there is no file {path}.");
        }

        return (Environment.GetEnvironmentVariable("PATH") ?? "")
            .Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries)
            .Select(directory => Path.Combine(directory, program))
            .FirstOrDefault(path => File.Exists(path) && Executable(path))
            ?? throw new PortStartException($"The port cannot be started: no program {program} is on the PATH.");

        static bool Executable(string path) =>
            OperatingSystem.IsWindows() || (File.GetUnixFileMode(path) & (UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute)) != 0;
    }
}
