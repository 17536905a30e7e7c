// How is measured what only another process can show: another instruction set, and the first call of a process?
using System.Collections.Immutable;
using System.Diagnostics;
using System.Text.Json;
using S2Attn.Conformance.Bench;
using S2Attn.Conformance.Ports;

namespace S2Attn.Cli;

/// <summary>Runs this program's bench in a process of its own, and reads what it measured.</summary>
internal static class BenchChild
{
    /// <summary>What a child measured.</summary>
    /// <param name="arguments">Arguments of s2attn bench.</param>
    /// <param name="variable">A variable of the child's environment; the runtime reads its switches there.</param>
    /// <param name="cancellation">Ends the child.</param>
    /// <exception cref="IOException">The child failed, or wrote nothing that can be read.</exception>
    public static BenchFile Run(IEnumerable<string> arguments, (string Name, string Value)? variable, CancellationToken cancellation)
    {
        string answer = Path.GetTempFileName();
        try
        {
            ImmutableArray<string> command = SelfCommand.With(["bench", "--child", "--json", answer, .. arguments]);
            ProcessStartInfo start = new(command[0], command[1..])
            {
                RedirectStandardOutput = true,
            };
            if (variable is { } given)
                start.Environment[given.Name] = given.Value;
            using Process child = Process.Start(start) ?? throw new IOException($"{start.FileName} did not start");
            using CancellationTokenRegistration ends = cancellation.Register(() => child.Kill(entireProcessTree: true));
            child.StandardOutput.ReadToEnd();
            child.WaitForExit();
            cancellation.ThrowIfCancellationRequested();
            if (child.ExitCode != ExitCode.Holds)
                throw new IOException($"a process of its own for {string.Join(' ', arguments)} ended with exit code {child.ExitCode}");
            return BenchFile.Parse(File.ReadAllBytes(answer));
        }
        catch (Exception error) when (error is JsonException or System.ComponentModel.Win32Exception)
        {
            throw new IOException($"a process of its own for {string.Join(' ', arguments)}: {error.Message}", error);
        }
        finally
        {
            File.Delete(answer);
        }
    }
}
