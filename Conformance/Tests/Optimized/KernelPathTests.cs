// Does every code path that this machine can run agree with Reference, not only the one that it would choose?
using System.Diagnostics;
using S2Attn.Conformance.Campaigns;
using S2Attn.Conformance.Ports;
using S2Attn.Optimized;

namespace S2Attn.Tests.Optimized;

public sealed class KernelPathTests
{
    public static TheoryData<int> Switches() => [.. Enumerable.Range(0, KernelPaths.Switches.Length)];

    public static TheoryData<int> Others() => [.. Enumerable.Range(1, KernelPaths.Switches.Length - 1)];

    [Theory]
    [MemberData(nameof(Switches))]
    public void Each_path_agrees_in_a_process_of_its_own(int index)
    {
        PathSwitch path = KernelPaths.Switches[index];
        (int exitCode, string output) = Run(path, "campaign", "agreement", "--cases", "25", "--max-tokens", "48", "--max-dim", "48", "--seed", $"{index + 3}");
        Assert.True(exitCode == 0, output);
        VectorWidth expected = path.Widest < KernelPaths.Widest ? path.Widest : KernelPaths.Widest;
        Assert.Contains($"registers up to {expected}", output, StringComparison.Ordinal);
    }

    /// <summary>Each path other cases, but that which this processor takes as it is: PropertyTests asks 80 of it.</summary>
    [Theory]
    [MemberData(nameof(Others))]
    public void Each_path_has_every_property_in_a_process_of_its_own(int index)
    {
        (int exitCode, string output) = Run(KernelPaths.Switches[index], "check", "--port", "optimized", "--cases", "20", "--seed", $"{index + 6}");
        Assert.True(exitCode == 0, output);
    }

    /// <summary>Without FMA the polynomial rounds twice a step: a path of its own.</summary>
    [Fact]
    public void The_exponential_is_as_exact_without_fused_multiply_add()
    {
        (int exitCode, string output) = Run(new PathSwitch("DOTNET_EnableAVX2", "0", VectorWidth.Bits128), "campaign", "exp");
        Assert.True(exitCode == 0, output);
    }

    private static (int ExitCode, string Output) Run(PathSwitch path, params string[] arguments)
    {
        ProcessStartInfo start = new("dotnet", [Path.Combine(AppContext.BaseDirectory, "s2attn.dll"), .. arguments]) { RedirectStandardOutput = true };
        if (path.Variable.Length > 0)
            start.Environment[path.Variable] = path.Value;
        using Process child = Process.Start(start) ?? throw new InvalidOperationException("dotnet did not start.");
        string output = child.StandardOutput.ReadToEnd();
        child.WaitForExit();
        return (child.ExitCode, output);
    }
}
