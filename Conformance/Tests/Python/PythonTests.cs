// Do the tests that are written in Python pass?
using S2Attn.Tests.Ports;

namespace S2Attn.Tests.Python;

public sealed class PythonTests
{
    [RequiresPythonFact("pytest")]
    public void The_golden_vectors_can_be_checked_without_dotnet() => Pass("golden/test_check.py");

    private static void Pass(string tests)
    {
        (int exitCode, string output) = PortTool.Run(PortTool.PythonWithTests, ["-m", "pytest", "-q", "-p", "no:cacheprovider", tests], Repository.Root);
        Assert.True(exitCode == 0, output);
        Assert.Matches("[1-9][0-9]* passed", output);
    }
}
