// The kernel through PyTorch: an interpreter that takes a turn when it is told, and says how long it took.
using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;

namespace S2Attn.Conformance.Bench;

/// <summary>`python3 -m s2attn.bench --turns`: reads a number of calls from each line, and answers with the mean seconds of one.</summary>
internal sealed class PythonWay : IKernelWay
{
    private const string KeptBytes = "1073741824";

    private readonly Process process;

    private PythonWay(Process process) => this.process = process;

    /// <summary>Starts the interpreter on the case.</summary>
    /// <exception cref="InvalidOperationException">There is no such program.</exception>
    public static PythonWay Open(string python, ThroughCase item)
    {
        string[] sizes = [.. new[] { item.Tokens, item.GroupSize, item.Heads, item.HeadDim }.Select(size => size.ToString(CultureInfo.InvariantCulture))];
        ProcessStartInfo start = new(python, ["-m", "s2attn.bench", "--turns", .. sizes, item.WithBackward ? "backward" : "forward"])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        };

        // As docs/using.md advises: glibc would return the memory of each call's results to the system, which then clears the pages of the next ones.
        start.Environment["MALLOC_MMAP_THRESHOLD_"] = start.Environment["MALLOC_TRIM_THRESHOLD_"] = KeptBytes;
        try
        {
            return new(Process.Start(start)!);
        }
        catch (Win32Exception error)
        {
            throw new InvalidOperationException($"{python}: {error.Message}", error);
        }
    }

    /// <inheritdoc/>
    public double Seconds(int calls)
    {
        try
        {
            process.StandardInput.WriteLine(calls.ToString(CultureInfo.InvariantCulture));
            process.StandardInput.Flush();
        }
        catch (IOException)
        {
            // It ended; the line below says so.
        }

        string? line = process.StandardOutput.ReadLine();
        return double.TryParse(line, NumberStyles.Float, CultureInfo.InvariantCulture, out double seconds) && seconds > 0
            ? seconds
            : throw new InvalidOperationException($"{process.StartInfo.FileName} -m s2attn.bench --turns: must answer with seconds, not {line ?? "end of output"}; it needs torch and the package s2attn");
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        // Its input ends, and so does it.
        process.StandardInput.Close();
        if (!process.WaitForExit(5000))
            process.Kill(entireProcessTree: true);
        process.Dispose();
    }
}
