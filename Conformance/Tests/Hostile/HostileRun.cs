// How is the program run as a stranger's shell runs it: against a clock, with signals, and with a port that says anything?
using System.Diagnostics;
using System.Text.Json;

namespace S2Attn.Tests.Hostile;

/// <summary>What a command ended with.</summary>
internal sealed record Ended(int ExitCode, string Out, string Error, TimeSpan Time)
{
    public override string ToString() => $"exit code {ExitCode} after {Time.TotalSeconds:0.0} s\n{Out}\n{Error}";
}

internal static class HostileRun
{
    public static string Cli { get; } = Path.Combine(AppContext.BaseDirectory, "s2attn.dll");

    private static readonly string TalkingPort = Path.Combine(Repository.Root, "Conformance", "Tests", "Hostile", "talking_port.py");

    /// <summary>The command of a port that does what the script says.</summary>
    public static string Talker(object script) => $"python3 '{TalkingPort}' '{JsonSerializer.Serialize(script).Replace("'", "\\u0027", StringComparison.Ordinal)}'";

    /// <summary>Runs the program to its end; one that takes longer than a minute is ended and fails the test.</summary>
    public static Ended S2Attn(string directory, params string[] arguments) => Finish(Start(directory, arguments), Stopwatch.StartNew());

    /// <summary>Runs a line of a shell in which $s2attn is the program.</summary>
    public static Ended Shell(string directory, string line) => Finish(StartProgram(directory, "bash", ["-c", line]), Stopwatch.StartNew());

    /// <summary>Starts the program, with signals as an interactive shell leaves them.</summary>
    public static Process Start(string directory, params string[] arguments) => StartProgram(directory, "env", ["--default-signal=INT,TERM,HUP", "dotnet", Cli, .. arguments]);

    /// <summary>Waits for the end.</summary>
    public static Ended Finish(Process process, Stopwatch watch)
    {
        using (process)
        {
            Task<string> error = process.StandardError.ReadToEndAsync(), output = process.StandardOutput.ReadToEndAsync();
            if (!process.WaitForExit(TimeSpan.FromMinutes(2)))
            {
                process.Kill(entireProcessTree: true);
                throw new TimeoutException($"The command did not end:\n{output.Result}\n{error.Result}");
            }

            return new(process.ExitCode, output.Result, error.Result, watch.Elapsed);
        }
    }

    /// <summary>Reads what a program prints up to a line that begins so.</summary>
    public static void ReadTo(Process process, string text)
    {
        string? line;
        do
            line = process.StandardOutput.ReadLineAsync().WaitAsync(TimeSpan.FromMinutes(1)).GetAwaiter().GetResult();
        while (line is not null && !line.StartsWith(text, StringComparison.Ordinal));
        Assert.NotNull(line);
    }

    /// <summary>Sends a signal.</summary>
    public static void Signal(Process process, string signal) => Signal(process.Id, signal);

    /// <summary>Sends a signal.</summary>
    public static void Signal(int process, string signal)
    {
        using Process kill = Process.Start("kill", [$"-{signal}", $"{process}"])!;
        kill.WaitForExit();
    }

    /// <summary>The processes whose environment holds a text.</summary>
    public static string[] Carrying(string text) =>
        [.. Directory.EnumerateDirectories("/proc").Where(path => int.TryParse(Path.GetFileName(path), out _) && Read($"{path}/environ").Contains(text, StringComparison.Ordinal) && !Read($"{path}/stat").Contains(") Z ", StringComparison.Ordinal))];

    /// <summary>No process has the text in its environment. One that was killed is there until the system gets round to it; one that nobody ended stays.</summary>
    public static void AssertNoneCarries(string text)
    {
        SpinWait.SpinUntil(() => Carrying(text).Length == 0, TimeSpan.FromSeconds(30));
        Assert.Empty(Carrying(text).Select(path => $"{path}: {Read($"{path}/cmdline").Replace('\0', ' ')}"));
    }

    /// <summary>The processes whose command holds a text.</summary>
    public static string[] Commanded(string text) =>
        [.. Directory.EnumerateDirectories("/proc").Where(path => int.TryParse(Path.GetFileName(path), out _) && Read($"{path}/cmdline").Contains(text, StringComparison.Ordinal))];

    private static string Read(string path)
    {
        try
        {
            return File.ReadAllText(path);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return "";
        }
    }

    private static Process StartProgram(string directory, string program, IEnumerable<string> arguments)
    {
        ProcessStartInfo start = new(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true, WorkingDirectory = directory };
        start.Environment["TMPDIR"] = directory;
        start.Environment["s2attn"] = $"dotnet {Cli}";
        Process process = Process.Start(start)!;
        process.StandardInput.Close();
        return process;
    }
}
