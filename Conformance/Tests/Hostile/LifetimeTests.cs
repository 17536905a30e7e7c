// Does whatever a port or a signal does to a run end in a result, with nothing lost, nobody blamed for it and nothing left behind?
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using S2Attn.Conformance.Ports;
using S2Attn.Tests.Ports;
using S2Attn.Tests.Tools;

namespace S2Attn.Tests.Hostile;

public sealed class LifetimeTests
{
    [RequiresToolTheory("python3")]
    [InlineData("rmdir")]
    [InlineData("file")]
    [InlineData("link")]
    [InlineData("directories")]
    public void A_port_that_spoils_the_folder_of_its_files_costs_cases_and_not_the_run(string deed) => In(directory =>
    {
        string json = Path.Combine(directory, "report.json");
        Ended ended = HostileRun.S2Attn(directory, "check", "--port", HostileRun.Talker(new { deed }), "--filter", "Agreement", "--cases", "6", "--json", json);
        Assert.True(ended.ExitCode == 1 && !ended.Error.Contains("   at ", StringComparison.Ordinal), $"{ended}");
        Assert.True(JsonDocument.Parse(File.ReadAllText(json)).RootElement.GetProperty("complete").GetBoolean());
        if (deed != "directories")
            Assert.Contains("removed or changed the folder of its files", ended.Out, StringComparison.Ordinal);
        Assert.Empty(Left(directory));
    });

    /// <summary>Properties may hold every thread of the pool, and no time that the suite waits for one is a port's.</summary>
    [RequiresPythonFact("numpy")]
    public void A_port_is_not_blamed_where_the_pool_has_no_thread() => In(directory =>
    {
        string port = $"--port \"{PortTool.PythonWithNumpy} '{SamplePortTests.Sample("numpy", "numpy_port.py")}'\"";
        Ended ended = HostileRun.Shell(directory, $"export DOTNET_ThreadPool_ForceMaxWorkerThreads=1; exec $s2attn check {port} {port} --filter Agreement.Output --cases 2 --case-limit 20");
        Assert.True(ended.ExitCode == 0, $"{ended}");
    });

    /// <summary>A signal ends ports from a thread of its own, while others still speak to them.</summary>
    [RequiresToolFact("sleep")]
    public void A_port_that_was_ended_by_another_thread_is_no_fault_of_the_suite()
    {
        PortProcess process = PortProcess.Start("ended", ["sleep", "1000"], new());
        process.Dispose();
        Assert.False(process.TryWriteLine("{}", TimeSpan.FromSeconds(1)));
        Assert.Null(process.WaitForExit(TimeSpan.FromSeconds(1)));
        Assert.Equal("was ended with the run", process.DescribeEnd());
        Assert.IsType<LineEvent.End>(process.NextLine(TimeSpan.FromSeconds(1)));
        Assert.Equal("", process.StderrTail);
    }

    [RequiresToolFact("python3")]
    public void A_port_cannot_forge_lines_or_steer_the_terminal() => In(directory =>
    {
        const string Forged = "x\nconforms: 99 of 99 rows hold\u001b[2J\u202e <script>alert(1)</script> \U0001F600";
        string html = Path.Combine(directory, "r.html"), junit = Path.Combine(directory, "r.xml"), badge = Path.Combine(directory, "r.svg"), reproducers = Path.Combine(directory, "kept");
        string port = HostileRun.Talker(new { describe = new { name = Forged, version = Forged, language = Forged }, answer = new { ok = false, error = Forged } });
        Ended ended = HostileRun.S2Attn(
            directory, "check", "--port", port, "--filter", "Agreement", "--cases", "3", "--html", html, "--junit", junit, "--badge", badge, "--reproducers", reproducers);
        Assert.True(ended.ExitCode == 1, $"{ended}");
        string[] everything = [ended.Out, ended.Error, .. new[] { html, junit, badge }.Select(File.ReadAllText), .. Directory.EnumerateFiles(reproducers).Where(file => !file.EndsWith(".safetensors", StringComparison.Ordinal)).Select(File.ReadAllText)];
        Assert.True(everything.Length >= 6, string.Join(", ", Directory.EnumerateFiles(reproducers)));
        Assert.All(everything, text => Assert.DoesNotContain(text, c => c is '\u001b' or '\u202e'));
        Assert.DoesNotContain(everything[0].Split('\n'), line => line.StartsWith("conforms", StringComparison.Ordinal));

        // In Python's docstring it is a text like any other.
        Assert.All(everything.Skip(2).Where(text => !text.StartsWith("\"\"\"", StringComparison.Ordinal)), text => Assert.DoesNotContain("<script", text, StringComparison.Ordinal));
        Assert.Contains("\U0001F600", everything[0], StringComparison.Ordinal);
        Assert.Contains("&#128512;", everything[2], StringComparison.Ordinal);
        ended = HostileRun.S2Attn(directory, "describe", "--port", port);
        Assert.True(ended.ExitCode == 0 && ended.Out.StartsWith("x conforms: 99 of 99 rows hold\uFFFD[2J\uFFFD <script>", StringComparison.Ordinal), $"{ended}");
    });

    [RequiresToolFact("python3")]
    public void A_name_of_a_megabyte_makes_a_small_report() => In(directory =>
    {
        string html = Path.Combine(directory, "r.html"), script = Path.Combine(directory, "port.py");
        File.WriteAllText(script, """
            import json, sys
            for line in sys.stdin:
                request = json.loads(line)
                if request["op"] == "describe":
                    print(json.dumps({"id": request["id"], "ok": True, "name": "n" * 900000, "capabilities": {"ops": ["forward"], "dtypes": ["f32"], "masks": ["Split"]}}), flush=True)
                elif request["op"] != "shutdown":
                    print(json.dumps({"id": request["id"], "ok": False, "error": "e" * 900000}), flush=True)
            """);
        Ended ended = HostileRun.S2Attn(directory, "check", "--port", $"python3 {script}", "--filter", "Agreement", "--cases", "3", "--html", html);
        Assert.True(ended.ExitCode == 1 && ended.Out.Length < 100_000, $"{ended.ExitCode}, {ended.Out.Length} characters");
        Assert.InRange(new FileInfo(html).Length, 1000, 200_000);
    });

    [RequiresToolTheory("python3")]
    [InlineData("INT", 130)]
    [InlineData("TERM", 143)]
    [InlineData("HUP", 129)]
    public void A_stopped_check_keeps_its_rows_blames_nobody_and_leaves_nothing(string signal, int exitCode) => In(directory =>
    {
        string ready = Path.Combine(directory, "ready"), json = Path.Combine(directory, "report.json");
        Stopwatch watch = Stopwatch.StartNew();
        Process process = HostileRun.Start(directory, "check", "--port", "reference", "--port", HostileRun.Talker(new { deed = "sleep", ready }), "--filter", "Determinism", "--cases", "2", "--json", json);
        Wait(() => File.Exists(ready));
        HostileRun.ReadTo(process, "reference: 1 of 1 rows hold");
        HostileRun.Signal(process, signal);
        Ended ended = HostileRun.Finish(process, watch);
        Assert.True(ended.ExitCode == exitCode, $"{ended}");
        Assert.DoesNotContain("SIGKILL", ended.Out, StringComparison.Ordinal);
        Assert.Contains("the results are partial", ended.Out, StringComparison.Ordinal);
        JsonElement report = JsonDocument.Parse(File.ReadAllText(json)).RootElement;
        Assert.False(report.GetProperty("complete").GetBoolean());
        Assert.Contains(report.GetProperty("results").EnumerateArray(), row => row.GetProperty("outcome").GetString() == "holds");
        Assert.DoesNotContain(report.GetProperty("results").EnumerateArray(), row => row.GetProperty("outcome").GetString() is "fails" or "portFailed");
        AssertNothingIsLeft(directory);
    });

    [RequiresToolFact("python3")]
    public void What_a_killed_run_leaves_ends_with_it_or_is_removed_by_the_next() => In(directory =>
    {
        if (!OperatingSystem.IsLinux())
            return;
        Process process = StartWithChildren(directory);

        // Whoever would clean up at once is killed first.
        foreach (string reaper in HostileRun.Commanded("s2attn-reaper").Intersect(HostileRun.Carrying($"TMPDIR={directory}")))
            HostileRun.Signal(int.Parse(Path.GetFileName(reaper), CultureInfo.InvariantCulture), "KILL");
        HostileRun.Signal(process, "KILL");
        HostileRun.Finish(process, Stopwatch.StartNew());
        Assert.NotEmpty(Left(directory));
        string mark = Path.GetFileName(Left(directory)[0]);
        HostileRun.S2Attn(directory, "describe", "--port", HostileRun.Talker(new { }));
        Assert.Empty(Left(directory));
        HostileRun.AssertNoneCarries($"S2ATTN_PORT_RUN={mark}");
    });

    [RequiresToolFact("python3")]
    public void A_killed_run_leaves_neither_a_process_nor_a_directory() => In(directory =>
    {
        if (!OperatingSystem.IsLinux())
            return;
        Process process = StartWithChildren(directory);
        Assert.Contains(HostileRun.Carrying($"TMPDIR={directory}"), path => File.ReadAllText($"{path}/cmdline").StartsWith("sleep\0", StringComparison.Ordinal));
        HostileRun.Signal(process, "KILL");
        HostileRun.Finish(process, Stopwatch.StartNew());
        Wait(() => Left(directory).Length == 0 && HostileRun.Carrying($"TMPDIR={directory}").Length == 0);
    });

    private static Process StartWithChildren(string directory)
    {
        string ready = Path.Combine(directory, "ready");
        string port = $"sh -c 'sleep 1000 & setsid sleep 1000 & exec {HostileRun.Talker(new { deed = "sleep", ready }).Replace("'", "'\\''", StringComparison.Ordinal)}'";
        Process process = HostileRun.Start(directory, "check", "--port", port, "--filter", "Determinism", "--cases", "2");
        Wait(() => File.Exists(ready));
        return process;
    }

    [RequiresToolFact("python3")]
    public void A_run_that_lives_keeps_its_files_while_another_begins() => In(directory =>
    {
        string ready = Path.Combine(directory, "ready");
        Process process = HostileRun.Start(directory, "check", "--port", HostileRun.Talker(new { deed = "sleep", ready }), "--filter", "Determinism", "--cases", "2");
        Wait(() => File.Exists(ready));
        HostileRun.S2Attn(directory, "describe", "--port", HostileRun.Talker(new { }));
        Assert.Single(Left(directory));
        HostileRun.Signal(process, "TERM");
        HostileRun.Finish(process, Stopwatch.StartNew());
        AssertNothingIsLeft(directory);
    });

    /// <summary>While prove plans, before it has a folder: it called the missing folder a fault of its own.</summary>
    [RequiresToolTheory("z3")]
    [InlineData(0.5)]
    [InlineData(0.9)]
    public void A_signal_that_comes_early_is_no_fault_of_s2attn(double seconds) => In(directory =>
    {
        if (OperatingSystem.IsWindows())
            return;
        Process process = HostileRun.Start(directory, "prove");
        Thread.Sleep(TimeSpan.FromSeconds(seconds));
        HostileRun.Signal(process, "INT");
        Ended ended = HostileRun.Finish(process, Stopwatch.StartNew());
        Assert.True(ended.ExitCode == 130 && !ended.Error.Contains("fault", StringComparison.Ordinal), $"{ended}");
    });

    [Theory]
    [InlineData("INT", 130)]
    [InlineData("KILL", 137)]
    public void A_stopped_bench_keeps_the_rows_that_it_measured(string signal, int exitCode) => In(directory =>
    {
        if (OperatingSystem.IsWindows())
            return;
        string json = Path.Combine(directory, "bench.json");
        Process process = HostileRun.Start(directory, "bench", "--alone", "--rounds", "1", "--threads", "1", "--json", json);
        Wait(() => Rows().Length > 0);
        string first = Rows()[0].GetRawText();
        HostileRun.Signal(process, signal);
        Ended ended = HostileRun.Finish(process, Stopwatch.StartNew());
        Assert.True(ended.ExitCode == exitCode, $"{ended}");
        if (signal == "INT")
            Assert.Contains($"stopped: {Rows().Length} of ", ended.Error, StringComparison.Ordinal);
        Assert.Equal(first, Rows()[0].GetRawText());

        // It is made empty, to see whether it can be; from then on it is whole at any moment.
        JsonElement[] Rows() => File.Exists(json) && new FileInfo(json).Length > 0 ? [.. JsonDocument.Parse(File.ReadAllText(json)).RootElement.GetProperty("results").EnumerateArray()] : [];
    });

    [RequiresToolFact("bash", "mount")]
    public void A_full_disk_is_trouble_of_the_machine_and_not_of_the_port() => In(directory =>
    {
        string small = Path.Combine(directory, "small");
        Directory.CreateDirectory(small);
        if (!OperatingSystem.IsLinux() || PortTool.Run("mount", ["-t", "tmpfs", "-o", "size=256k", "tmpfs", small]).ExitCode != 0)
            return;
        try
        {
            string json = Path.Combine(directory, "report.json"), fill = $"head -c 1000000 /dev/zero > {small}/fill 2>/dev/null";
            Ended ended = HostileRun.Shell(
                directory,
                $"export TMPDIR={small}; (sleep 2; {fill}) & exec $s2attn check --port {Quoted(HostileRun.Talker(new { }))} --filter Agreement --cases 1000 --json {json}");
            Assert.True(ended.ExitCode == 2 && ended.Error.Contains("cannot be written", StringComparison.Ordinal), $"{ended}");
            Assert.False(JsonDocument.Parse(File.ReadAllText(json)).RootElement.GetProperty("complete").GetBoolean());
        }
        finally
        {
            PortTool.Run("umount", ["-l", small]);
        }

        static string Quoted(string text) => $"'{text.Replace("'", "'\\''", StringComparison.Ordinal)}'";
    });

    /// <summary>The folder of the run and what describes the port fit, and the first question does not.</summary>
    [RequiresToolFact("bash", "mount")]
    public void A_question_for_which_there_is_no_room_is_no_fault_of_s2attn() => In(directory =>
    {
        string small = Path.Combine(directory, "small");
        Directory.CreateDirectory(small);
        if (!OperatingSystem.IsLinux() || PortTool.Run("mount", ["-t", "tmpfs", "-o", "size=32k", "tmpfs", small]).ExitCode != 0)
            return;
        try
        {
            Ended ended = HostileRun.Shell(directory, $"TMPDIR={small} exec $s2attn xray --only --tokens 64 --group-size 16 --head-dim 64 --port \"python3 '{Repository.Root}/Conformance/Tests/Hostile/talking_port.py' {{}}\"");
            Assert.True(ended.ExitCode == 2 && ended.Error.StartsWith("s2attn: the inputs of a case cannot be written: ", StringComparison.Ordinal), $"{ended}");
        }
        finally
        {
            PortTool.Run("umount", ["-l", small]);
        }
    });

    private static string[] Left(string directory) => Directory.GetDirectories(directory, "s2attn-*-*");

    private static void AssertNothingIsLeft(string directory)
    {
        Assert.Empty(Left(directory));
        HostileRun.AssertNoneCarries($"TMPDIR={directory}");
    }

    private static void Wait(Func<bool> until) => Assert.True(SpinWait.SpinUntil(until, TimeSpan.FromMinutes(1)), "it did not come to this within a minute");

    private static void In(Action<string> test) => SamplePortTests.InTemporary(test);
}
