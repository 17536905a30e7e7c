// Do the commands that start ports tell what is wrong, and leave nothing behind when they are interrupted?
using System.Diagnostics;
using S2Attn.Tests.Tools;

namespace S2Attn.Tests.Ports;

public sealed class CliTests
{
    private static readonly string Cli = Path.Combine(AppContext.BaseDirectory, "s2attn.dll");
    private static readonly string HostilePort = Path.Combine(Repository.Root, "Conformance", "Tests", "Ports", "hostile_port.py");

    [Theory]
    [InlineData("describe --port reference", 0, "level 5, gradients: claimed")]
    [InlineData("describe --onnx Conformance/Ports/onnx/s2attn-Split-g4.onnx", 0, "level 2, masks and padding: not claimed, lacks masks:LocalCausal,")]
    [InlineData("describe --onnx Conformance/Ports/onnx/s2attn-Split-g4.onnx --onnx-config shift=1 name=mine", 0, "\"shift\":1")]
    [InlineData("describe", 2, "exactly one of --port, --native and --onnx")]
    [InlineData("describe --port reference --native x.so", 2, "exactly one of --port, --native and --onnx")]
    [InlineData("describe --port no-such-program", 2, "no program no-such-program is on the PATH")]
    [InlineData("describe --port ./README.none", 2, "there is no file")]
    [InlineData("describe --port ./LICENSE", 2, "is not executable")]
    [InlineData("describe --port false", 2, "exited with code 1")]
    [InlineData("describe --port reference --case-limit 0", 2, "must be more than 0")]
    [InlineData("describe --native LICENSE", 2, "cannot be loaded")]
    [InlineData("serve", 2, "--native")]
    [InlineData("graph --mask Bidirectional --group-size 4 --output x.onnx", 2, "s2attn graph: --mask Bidirectional: must be LocalCausal or Split, or stand beside --custom-op")]
    [InlineData("graph --mask Split --group-size 65536 --output x.onnx", 2, "--group-size 65536: must be at most 8192, or stand beside --custom-op")]
    [InlineData("graph --mask Split --group-size 4 --shift 4 --output x.onnx", 2, "--shift 4: must be from 0 to 3, less than --group-size 4")]
    [InlineData("graph --mask Split --group-size 4 --shifted-heads All --output x.onnx", 2, "--shifted-heads: needs --axis")]
    public void A_command_says_what_it_found_or_what_is_wrong(string arguments, int exitCode, string expected)
    {
        (int code, string output) = PortTool.Run("dotnet", [Cli, .. arguments.Split(' ')], Repository.Root);
        Assert.True(code == exitCode && output.Contains(expected, StringComparison.Ordinal), $"exit code {code}:\n{output}");
        Assert.DoesNotContain("Unhandled exception", output, StringComparison.Ordinal);
    }

    [RequiresToolTheory("python3")]
    [InlineData("INT", 130)]
    [InlineData("TERM", 143)]
    [InlineData("HUP", 129)]
    public void An_interrupted_command_takes_its_port_and_its_files_along(string signal, int exitCode) => SamplePortTests.InTemporary(directory =>
    {
        if (OperatingSystem.IsWindows())
            return;
        string ready = Path.Combine(directory, "ready");

        // A shell starts what is behind an & with SIGINT ignored, and children inherit that: the tests may run so.
        ProcessStartInfo start = new(
            "env", ["--default-signal=INT,TERM,HUP", "dotnet", Cli, "describe", "--port", $"env S2ATTN_TEST={directory} sh -c \"touch '{ready}'; (sleep 1000 &); exec python3 '{HostilePort}' slow-start\""])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment["TMPDIR"] = directory;
        using Process process = Process.Start(start)!;
        SpinWait.SpinUntil(() => File.Exists(ready) && Survivors(directory).Length >= 2);
        Assert.Equal(0, PortTool.Run("kill", [$"-{signal}", $"{process.Id}"]).ExitCode);
        process.WaitForExit();
        Assert.Equal(exitCode, process.ExitCode);
        Assert.Empty(Survivors(directory));
        Assert.Empty(Directory.EnumerateDirectories(directory, "s2attn-*"));
    });

    private static string[] Survivors(string directory) =>
        [.. Process.GetProcesses().Select(process => process.Id).Where(id => Environment(id).Contains($"S2ATTN_TEST={directory}", StringComparison.Ordinal)).Select(id => $"{id}")];

    private static string Environment(int id)
    {
        try
        {
            return File.ReadAllText($"/proc/{id}/environ");
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return "";
        }
    }
}
