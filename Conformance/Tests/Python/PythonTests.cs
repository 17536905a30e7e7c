// Do the tests that are written in Python pass, and does the Python package earn its levels as a port?
using System.Runtime.Intrinsics.X86;
using S2Attn.Tests.Ports;

namespace S2Attn.Tests.Python;

public sealed class PythonTests
{
    [RequiresPythonFact("pytest")]
    public void The_golden_vectors_can_be_checked_without_dotnet()
    {
        (int exitCode, string output) = PortTool.Run(PortTool.PythonWithTests, ["-m", "pytest", "-q", "-p", "no:cacheprovider", "golden/test_check.py"], Repository.Root);
        Assert.True(exitCode == 0, output);
        Assert.Matches("[1-9][0-9]* passed", output);
    }

    [RequiresPythonFact("torch")]
    public void The_wheel_passes_its_tests_outside_of_the_repository_and_earns_its_levels() => SamplePortTests.InTemporary(work =>
    {
        // The kernels of this processor's level are enough here; that the loader picks the right one is tested with the C interface.
        string level = !X86Base.IsSupported ? "" : Avx2.IsSupported ? "x86-64-v3" : "x86-64-v2";
        (int exitCode, string output) = PortTool.Run("env", [$"WORK={work}", $"S2ATTN_LEVELS={level}", $"S2ATTN_PYTHON={PortTool.PythonWithTorch}", "bash", "Conformance/Tests/Python/try-wheel.sh"], Repository.Root);
        Assert.True(exitCode == 0, output);
        Assert.Matches("[1-9][0-9]* passed", output);

        SamplePortTests.Check($"'{work}/venv/bin/python' -m s2attn.port", SamplePortTests.UpToGradients);
        SamplePortTests.Check($"'{work}/venv/bin/python' -m s2attn.port --through numpy", SamplePortTests.UpToGradients);
    });
}
