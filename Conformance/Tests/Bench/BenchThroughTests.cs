// Does `s2attn bench --through` measure each way, and does it judge?
using System.Text.Json;
using S2Attn.Conformance.Bench;
using S2Attn.Tests.Native;
using S2Attn.Tests.Ports;
using S2Attn.Tests.Tools;

namespace S2Attn.Tests.Bench;

public sealed class BenchThroughTests
{
    [RequiresToolFact("gcc", "clang")]
    public void C_and_ONNX_Runtime_are_measured_beside_direct_calls()
    {
        (int exitCode, string output) = Bench("--through", "C", "Onnx", "--library", NativeBuild.Library, "--max-tokens", "256", "--seconds", "0");
        Assert.True(exitCode == 0, output);
        Assert.Matches("c +. forward +.*\n.*c +. forward.backward", output);
        Assert.Contains("onnx", output, StringComparison.Ordinal);
    }

    [RequiresToolFact("gcc", "clang")]
    public void What_was_measured_before_something_went_wrong_is_kept() => SamplePortTests.InTemporary(directory =>
    {
        string json = Path.Combine(directory, "through.json");
        (int exitCode, string output) = Bench("--through", "C", "Python", "--library", NativeBuild.Library, "--python", "no-such-program", "--max-tokens", "256", "--seconds", "0", "--json", json);
        Assert.Equal(2, exitCode);
        Assert.Contains("no-such-program", output, StringComparison.Ordinal);
        Assert.Equal(2, JsonDocument.Parse(File.ReadAllText(json)).RootElement.GetProperty("results").GetArrayLength());
    });

    [Theory]
    [InlineData("--library", "nothing.so")]
    [InlineData("--least", "1.5")]
    [InlineData("--max-tokens", "17")]
    public void What_cannot_be_measured_is_named(string option, string value)
    {
        (int exitCode, string output) = Bench("--through", "C", option, value);
        Assert.Equal(2, exitCode);
        Assert.Contains(value, output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(1024, 1.0, true)]
    [InlineData(1024, 1.1, false)]
    [InlineData(256, 1.1, true)]
    public void A_slow_way_is_found_where_the_work_is_large(int tokens, double seconds, bool reaches) => Assert.Equal(
        reaches,
        new ThroughResult { Way = "c", Pass = "forward", Tokens = tokens, GroupSize = tokens / 4, Rounds = 5, DirectSeconds = 1, Seconds = seconds }.Reaches(0.95));

    private static (int ExitCode, string Output) Bench(params string[] arguments) => PortTool.Run("dotnet", [Path.Combine(AppContext.BaseDirectory, "s2attn.dll"), "bench", .. arguments]);
}
