// Which program answers, and how is it asked? One process for each script, with a limit on time and output.
using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.Text;

namespace S2Attn.Conformance.Proofs;

/// <summary>What a solver said.</summary>
/// <param name="Verdict">Unknown where the reason says why.</param>
/// <param name="Values">The values of the variables, where the script asks for them and the verdict is sat.</param>
/// <param name="Reason">Why the verdict is unknown; empty else.</param>
/// <param name="Elapsed">Wall-clock time.</param>
public sealed record Answer(Verdict Verdict, IReadOnlyDictionary<string, long> Values, string Reason, TimeSpan Elapsed);

/// <summary>An SMT-LIB 2 solver: any program that takes a script's path as its last argument and prints sat, unsat or unknown.</summary>
/// <param name="Name">The name for reports.</param>
/// <param name="Path">The program.</param>
public sealed record Solver(string Name, string Path)
{
    private static readonly string[] Extensions = ["", ".exe"];
    private const int MaxOutputCharacters = 1 << 20;

    /// <summary>The solvers that are looked for where none is named, in this order.</summary>
    public static IReadOnlyList<string> Known { get; } = ["cvc5", "z3"];

    /// <summary>What to do where no solver is found.</summary>
    public static string InstallHint => "Install one, such as the package z3 or cvc5 of your distribution, or name a program with --solver PATH.";

    /// <summary>The known solvers on PATH.</summary>
    public static IReadOnlyList<Solver> OnPath() => [.. Known.SelectMany(name => TryFind(name, out Solver solver) ? [solver] : Array.Empty<Solver>())];

    /// <summary>The solver of this name on PATH, or at this path.</summary>
    public static bool TryFind(string nameOrPath, out Solver solver)
    {
        ArgumentException.ThrowIfNullOrEmpty(nameOrPath);
        IEnumerable<string> places = nameOrPath.Contains(System.IO.Path.DirectorySeparatorChar, StringComparison.Ordinal)
            ? [nameOrPath]
            : (Environment.GetEnvironmentVariable("PATH") ?? "").Split(System.IO.Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries)
                .SelectMany(folder => Extensions.Select(extension => System.IO.Path.Combine(folder, nameOrPath + extension)));
        string path = places.FirstOrDefault(File.Exists) ?? "";
        solver = new(System.IO.Path.GetFileNameWithoutExtension(nameOrPath), path);
        return path.Length > 0;
    }

    /// <summary>Asks about the script in a file. A solver that fails, hangs or prints something else gives Unknown and the reason.</summary>
    /// <remarks>The process is gone when the task ends; if this program is killed, a known solver stops at its own time limit.</remarks>
    public async Task<Answer> AskAsync(string file, TimeSpan timeout, CancellationToken cancellation)
    {
        Stopwatch watch = Stopwatch.StartNew();
        Answer Unknown(string reason) => new(Verdict.Unknown, new Dictionary<string, long>(), reason, watch.Elapsed);
        using Process process = new() { StartInfo = StartInfo(file, timeout) };
        try
        {
            process.Start();
        }
        catch (Win32Exception exception)
        {
            return Unknown($"{Path} does not start: {exception.Message}");
        }

        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(timeout + TimeSpan.FromSeconds(1));
        try
        {
            process.StandardInput.Close();
            Task<string> errors = ReadAsync(process.StandardError, limit.Token);
            string output = await ReadAsync(process.StandardOutput, limit.Token);
            string error = await errors;
            await process.WaitForExitAsync(limit.Token);
            return Understand(output, error, process.ExitCode) is { Verdict: not Verdict.Unknown } understood
                ? understood with { Elapsed = watch.Elapsed }
                : Unknown(watch.Elapsed >= timeout ? TimedOut(timeout) : Understand(output, error, process.ExitCode).Reason);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            return Unknown(TimedOut(timeout));
        }
        catch (InvalidDataException exception)
        {
            return Unknown(exception.Message);
        }
        finally
        {
            Stop(process);
        }
    }

    /// <summary>Reads a verdict, and values where there are some, from what a solver printed.</summary>
    public static Answer Understand(string output, string error, int exitCode)
    {
        ArgumentNullException.ThrowIfNull(output);
        ArgumentNullException.ThrowIfNull(error);
        string[] lines = output.Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        string first = lines.Length > 0 ? lines[0] : "";
        Verdict verdict = first switch
        {
            "sat" => Verdict.Sat,
            "unsat" => Verdict.Unsat,
            _ => Verdict.Unknown,
        };
        string reason = verdict is not Verdict.Unknown ? "" : first switch
        {
            "unknown" => "the solver gave up",
            "" => FormattableString.Invariant($"the solver printed nothing and exited with {exitCode}: {Shorten(error)}"),
            _ => FormattableString.Invariant($"the solver printed '{Shorten(first)}' and exited with {exitCode}"),
        };
        return new(verdict, verdict is Verdict.Sat ? Values(string.Join(' ', lines.Skip(1))) : new Dictionary<string, long>(), reason, TimeSpan.Zero);
    }

    private ProcessStartInfo StartInfo(string file, TimeSpan timeout)
    {
        ProcessStartInfo start = new(Path) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true, UseShellExecute = false };
        if (Name == "z3")
            start.ArgumentList.Add(FormattableString.Invariant($"-T:{Math.Max(1, (int)Math.Ceiling(timeout.TotalSeconds))}"));
        if (Name == "cvc5")
            start.ArgumentList.Add(FormattableString.Invariant($"--tlimit={(int)timeout.TotalMilliseconds}"));
        start.ArgumentList.Add(file);
        return start;
    }

    private static async Task<string> ReadAsync(StreamReader reader, CancellationToken cancellation)
    {
        StringBuilder text = new();
        char[] buffer = new char[4096];
        for (int read; (read = await reader.ReadAsync(buffer, cancellation)) > 0;)
        {
            text.Append(buffer, 0, read);
            if (text.Length > MaxOutputCharacters)
                throw new InvalidDataException(FormattableString.Invariant($"the solver printed more than {MaxOutputCharacters} characters"));
        }

        return text.ToString();
    }

    // ((N 4) (x (- 1))): a list of names with values.
    private static Dictionary<string, long> Values(string text)
    {
        string[] tokens = text.Replace("(", " ", StringComparison.Ordinal).Replace(")", " ", StringComparison.Ordinal)
            .Split(' ', StringSplitOptions.RemoveEmptyEntries);
        Dictionary<string, long> values = [];
        for (int i = 0; i + 1 < tokens.Length;)
        {
            int sign = tokens[i + 1] == "-" ? 1 : 0;
            if (i + 1 + sign >= tokens.Length || !long.TryParse(tokens[i + 1 + sign], NumberStyles.None, CultureInfo.InvariantCulture, out long value))
                return [];
            values[tokens[i]] = sign == 1 ? -value : value;
            i += 2 + sign;
        }

        return values;
    }

    private static void Stop(Process process)
    {
        if (process.HasExited)
            return;
        try
        {
            process.Kill(entireProcessTree: true);
            process.WaitForExit();
        }
        catch (InvalidOperationException)
        {
            // It exited in between.
        }
    }

    private static string TimedOut(TimeSpan timeout) => FormattableString.Invariant($"no answer within {timeout.TotalSeconds:0.#} s");

    private static string Shorten(string text) => text.Length <= 200 ? text.Trim() : text[..200].Trim() + "...";
}
