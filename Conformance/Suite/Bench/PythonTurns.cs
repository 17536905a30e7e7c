// An interpreter that takes a turn when it is told, and says how long it took.
using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;

namespace S2Attn.Conformance.Bench;

/// <summary>A program in Python that reads a number of calls from each line, and answers with the mean seconds of one.</summary>
internal sealed class PythonTurns : IKernelWay
{
    private const string KeptBytes = "1073741824";

    private readonly Process process;
    private readonly string name;

    private PythonTurns(Process process, string name) => (this.process, this.name) = (process, name);

    /// <summary>The kernel through PyTorch: `python3 -m s2attn.bench --turns`.</summary>
    /// <exception cref="InvalidOperationException">There is no such program.</exception>
    public static PythonTurns OfKernel(string python, ThroughCase item) =>
        Start(python, "-m s2attn.bench --turns: needs torch and the package s2attn", ["-m", "s2attn.bench", "--turns", Text(item.Tokens), Text(item.GroupSize), Text(item.Heads), Text(item.HeadDim), item.WithBackward ? "backward" : "forward"]);

    /// <summary>PyTorch's fused attention between rolls (torch_peer.py); none, and why, where the interpreter has none.</summary>
    /// <exception cref="InvalidOperationException">There is no such program.</exception>
    public static PythonTurns? OfFusedAttention(string python, BenchCase item, out string what)
    {
        using Stream script = typeof(PythonTurns).Assembly.GetManifestResourceStream("torch_peer.py") ?? throw new InvalidOperationException("torch_peer.py is not part of this build.");
        using StreamReader reader = new(script);
        PythonTurns turns = Start(
            python, "with torch 2 or later",
            ["-c", reader.ReadToEnd(), Text(item.Tokens), Text(item.GroupSize), Text(item.Heads), Text(item.HeadDim), Text(item.Threads), item.WithBackward ? "backward" : "forward"]);
        what = turns.process.StandardOutput.ReadLine() ?? "missing: it ended at once";
        if (what.StartsWith("torch ", StringComparison.Ordinal))
            return turns;
        turns.Dispose();
        return null;
    }

    /// <inheritdoc/>
    public double Seconds(int calls)
    {
        try
        {
            process.StandardInput.WriteLine(Text(calls));
            process.StandardInput.Flush();
        }
        catch (IOException)
        {
            // It ended; the line below says so.
        }

        string? line = process.StandardOutput.ReadLine();
        return double.TryParse(line, NumberStyles.Float, CultureInfo.InvariantCulture, out double seconds) && seconds > 0
            ? seconds
            : throw new InvalidOperationException($"{name}: must answer with seconds, not {line ?? "end of output"}");
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

    private static PythonTurns Start(string python, string what, string[] arguments)
    {
        ProcessStartInfo start = new(python, arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        };

        // As docs/using.md advises: glibc would return the memory of each call's results to the system, which then clears the pages of the next ones.
        start.Environment["MALLOC_MMAP_THRESHOLD_"] = start.Environment["MALLOC_TRIM_THRESHOLD_"] = KeptBytes;

        // And large tensors ask for large pages, as those of the kernel do here (PyTorch, c10/core/impl/alloc_cpu.cpp).
        start.Environment["THP_MEM_ALLOC_ENABLE"] = "1";
        try
        {
            return new(Process.Start(start)!, $"{python} {what}");
        }
        catch (Win32Exception error)
        {
            throw new InvalidOperationException($"{python}: {error.Message}", error);
        }
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
