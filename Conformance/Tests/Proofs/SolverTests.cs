// Is a solver that is missing, crashes, hangs, babbles or lies handled?
using S2Attn.Conformance.Proofs;

namespace S2Attn.Tests.Proofs;

public sealed class SolverTests
{
    [Theory]
    [InlineData("exit 3", "exited with 3")]
    [InlineData("echo boom >&2; exit 1", "boom")]
    [InlineData("echo hello", "'hello'")]
    [InlineData("echo '(error \"line 1\")'; echo unsat", "error")]
    [InlineData("echo unknown", "gave up")]
    [InlineData("kill -9 $$", "printed nothing")]
    [InlineData("yes", "more than 1048576 characters")]
    public async Task Bad_answers_are_unknown_with_a_reason(string body, string reason)
    {
        Answer answer = await Ask(body, TimeSpan.FromSeconds(30));
        Assert.Equal(Verdict.Unknown, answer.Verdict);
        Assert.Contains(reason, answer.Reason, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_solver_that_hangs_is_stopped_with_its_children()
    {
        string mark = Path.Combine(Path.GetTempPath(), $"s2attn-hang-{Guid.NewGuid():N}");
        try
        {
            Answer answer = await Ask($"sleep 600 & echo $! > {mark}; wait", TimeSpan.FromSeconds(5));
            Assert.Equal(Verdict.Unknown, answer.Verdict);
            Assert.Contains("no answer within 5 s", answer.Reason, StringComparison.Ordinal);
            int child = int.Parse(await File.ReadAllTextAsync(mark), System.Globalization.CultureInfo.InvariantCulture);
            Assert.True(IsGone(child), $"process {child} is still there");
        }
        finally
        {
            File.Delete(mark);
        }
    }

    [Fact]
    public async Task Verdicts_and_values_are_read()
    {
        Assert.Equal(Verdict.Unsat, (await Ask("echo unsat", TimeSpan.FromSeconds(30))).Verdict);
        Answer sat = Solver.Understand("sat\n((N 2)\n (x (- 1)))\n", "", 0);
        Assert.Equal(Verdict.Sat, sat.Verdict);
        Assert.Equal((2, -1), (sat.Values["N"], sat.Values["x"]));
        Assert.Empty(Solver.Understand("sat\n((N 2) (x 1.5))\n", "", 0).Values);
        Assert.Empty(Solver.Understand("sat\n((N 99999999999999999999))\n", "", 0).Values);
    }

    [Fact]
    public async Task A_solver_that_cannot_start_is_unknown()
    {
        string file = Path.GetTempFileName();
        Answer answer = await new Solver("text", file).AskAsync(file, TimeSpan.FromSeconds(5), CancellationToken.None);
        File.Delete(file);
        Assert.Equal(Verdict.Unknown, answer.Verdict);
        Assert.Contains("does not start", answer.Reason, StringComparison.Ordinal);
    }

    [Fact]
    public void A_solver_that_is_not_there_is_not_found() => Assert.False(Solver.TryFind("no-such-solver", out _));

    [Fact]
    public async Task A_solver_that_always_says_unsat_proves_nothing()
    {
        string folder = Directory.CreateTempSubdirectory("s2attn-proofs-").FullName;
        string path = Path.Combine(folder, "liar");
        try
        {
            await File.WriteAllTextAsync(path, "#!/bin/sh\necho unsat\n");
            if (!OperatingSystem.IsWindows())
                File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserExecute);
            ProofOptions options = new([new("liar", path)], folder, TimeSpan.FromSeconds(30), 2);
            foreach (SubjectResult result in await ProofRun.RunAsync([.. Plan.Everything()], options, _ => { }, CancellationToken.None))
                Assert.False(result.IsGood, $"{result.Subject} is {result.Outcome}");
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    // The shell stands for the solver and the script for what it does.
    private static async Task<Answer> Ask(string body, TimeSpan timeout)
    {
        string path = Path.GetTempFileName();
        try
        {
            await File.WriteAllTextAsync(path, body + "\n");
            return await new Solver("script", "/bin/sh").AskAsync(path, timeout, CancellationToken.None);
        }
        finally
        {
            File.Delete(path);
        }
    }

    // A stopped child stays a zombie until the system reaps it.
    private static bool IsGone(int child) => SpinWait.SpinUntil(
        () =>
        {
            try
            {
                return File.ReadAllText($"/proc/{child}/stat").Contains(") Z ", StringComparison.Ordinal);
            }
            catch (IOException)
            {
                return true;
            }
        },
        TimeSpan.FromSeconds(30));
}
