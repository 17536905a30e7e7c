// Does s2attn prove say what it did, and what is wrong with its arguments?
using System.Diagnostics;
using System.Text.Json;
using S2Attn.Cli;
using S2Attn.Conformance.Proofs;
using S2Attn.Tests.Ports;
using S2Attn.Tests.Tools;

namespace S2Attn.Tests.Proofs;

public sealed class ProveCommandTests
{
    [Theory]
    [InlineData("--timeout", "0", "--timeout 0")]
    [InlineData("--timeout", "NaN", "--timeout NaN")]
    [InlineData("--jobs", "0", "--jobs 0")]
    [InlineData("--solver", "no-such-solver", "--solver no-such-solver")]
    [InlineData("--filter", "no such theorem", "--filter no such theorem")]
    public async Task Bad_usage_is_explained_and_exits_with_2(string option, string value, string message)
    {
        (int exit, string error) = await RunAlone(["/bin"], option, value, "--solver", "/bin/sh");
        Assert.Equal(2, exit);
        Assert.Contains(message, error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Without_a_solver_it_says_what_to_install_and_exits_with_2()
    {
        (int exit, string error) = await RunAlone([]);
        Assert.Equal(2, exit);
        Assert.Contains("No SMT-LIB solver is on PATH", error, StringComparison.Ordinal);
        Assert.Contains("package z3 or cvc5", error, StringComparison.Ordinal);
    }

    [RequiresAnyToolFact("cvc5", "z3")]
    public async Task Scripts_and_results_are_written()
    {
        string folder = Directory.CreateTempSubdirectory("s2attn-prove-test-").FullName;
        try
        {
            string json = Path.Combine(folder, "results.json");
            Assert.Equal(0, await ProveCommand.Create().Parse(["--filter", "NoLeakage", "--out", folder, "--json", json]).InvokeAsync());
            using JsonDocument results = JsonDocument.Parse(await File.ReadAllTextAsync(json));
            Assert.Equal(["Proved", "Proved", "Refuted"], results.RootElement.EnumerateArray().Select(result => result.GetProperty("outcome").GetString()));
            Assert.Contains("(check-sat)", await File.ReadAllTextAsync(Path.Combine(folder, "NoLeakage.Split.smt2")), StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public async Task A_solver_that_decides_nothing_exits_with_1_and_leaves_no_scripts()
    {
        string before = Scripts();
        Assert.Equal(1, await ProveCommand.Create().Parse(["--filter", "NoLeakage", "--solver", "/bin/true"]).InvokeAsync());
        Assert.Equal(before, Scripts());

        static string Scripts() => string.Join('\n', Directory.GetDirectories(Path.GetTempPath(), "s2attn-prove-??????"));
    }

    /// <summary>One statement that is not shown among others that are: a solver that gives up on its scripts alone.</summary>
    [RequiresToolFact("z3")]
    public async Task One_statement_that_is_not_shown_is_enough_to_exit_with_1()
    {
        if (OperatingSystem.IsWindows())
            return;
        string folder = Directory.CreateTempSubdirectory("s2attn-prove-test-").FullName;
        try
        {
            string solver = Path.Combine(folder, "solver");
            await File.WriteAllTextAsync(solver, $"#!/bin/sh\ncase \"$1\" in *Diagonal.PositionCausal.smt2) echo unknown ;; *) exec {Tool.PathOf("z3")} -T:20 \"$1\" ;; esac\n");
            File.SetUnixFileMode(solver, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            Assert.Equal(1, await ProveCommand.Create().Parse(["--filter", "Diagonal", "--solver", solver]).InvokeAsync());
            Assert.Equal(0, await ProveCommand.Create().Parse(["--filter", "Diagonal.Split", "--solver", solver]).InvokeAsync());
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [RequiresToolFact("z3")]
    public async Task A_stopped_run_keeps_what_was_through()
    {
        string folder = Directory.CreateTempSubdirectory("s2attn-prove-").FullName;
        try
        {
            Assert.True(Solver.TryFind("z3", out Solver z3));
            using CancellationTokenSource stop = new();
            ProofOptions options = new([z3], folder, TimeSpan.FromSeconds(20), 1);
            Assert.Single(await ProofRun.RunAsync([.. Plan.Everything().Where(subject => subject.Name.StartsWith("Diagonal", StringComparison.Ordinal))], options, _ => stop.Cancel(), stop.Token));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>A signal finds prove waiting for a solver: it ends the solver, says that it was stopped, and leaves no folder behind.</summary>
    [Fact]
    public void A_signal_ends_the_solver_and_is_told()
    {
        if (OperatingSystem.IsWindows())
            return;
        string folder = Directory.CreateTempSubdirectory("s2attn-prove-test-").FullName;
        try
        {
            string solver = Path.Combine(folder, "solver"), told = Path.Combine(folder, "pid"), temporary = Directory.CreateDirectory(Path.Combine(folder, "tmp")).FullName;
            File.WriteAllText(solver, $"#!/bin/sh\necho $$ > {told}.new && mv {told}.new {told}\nexec sleep 100\n");
            File.SetUnixFileMode(solver, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            ProcessStartInfo start = new("dotnet", [typeof(ProveCommand).Assembly.Location, "prove", "--solver", solver, "--filter", "Diagonal.Split", "--jobs", "1"]) { RedirectStandardError = true, RedirectStandardOutput = true };
            start.Environment["TMPDIR"] = temporary;
            using Process process = Process.Start(start)!;
            Assert.True(SpinWait.SpinUntil(() => File.Exists(told) || process.HasExited, TimeSpan.FromMinutes(2)), "the solver was not asked");
            Assert.Equal(0, PortTool.Run("kill", ["-TERM", $"{process.Id}"]).ExitCode);
            string error = process.StandardError.ReadToEnd();
            process.WaitForExit();
            Assert.Equal(143, process.ExitCode);
            Assert.Contains("stopped: ", error, StringComparison.Ordinal);
            Assert.NotEqual(0, PortTool.Run("kill", ["-0", File.ReadAllText(told).Trim()]).ExitCode);
            Assert.Empty(Directory.EnumerateDirectories(temporary, "*s2attn*"));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    // A process of its own, because PATH belongs to the process.
    private static async Task<(int Exit, string Error)> RunAlone(string[] path, params string[] arguments)
    {
        ProcessStartInfo start = new(Tool.PathOf("dotnet")) { RedirectStandardError = true, RedirectStandardOutput = true };
        start.Environment["PATH"] = string.Join(Path.PathSeparator, path);
        foreach (string argument in (string[])[typeof(ProveCommand).Assembly.Location, "prove", .. arguments])
            start.ArgumentList.Add(argument);
        using Process process = Process.Start(start) ?? throw new InvalidOperationException("dotnet does not start.");
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        string error = await process.StandardError.ReadToEndAsync();
        await output;
        await process.WaitForExitAsync();
        return (process.ExitCode, error);
    }
}
