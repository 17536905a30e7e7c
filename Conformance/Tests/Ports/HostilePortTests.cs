// Does the suite survive a port that misbehaves, say what happened, and leave nothing behind?
using S2Attn.Conformance.Ports;
using S2Attn.Tests.Hostile;
using S2Attn.Tests.Tools;

namespace S2Attn.Tests.Ports;

public sealed class HostilePortTests : IDisposable
{
    private readonly string temporary = Directory.CreateTempSubdirectory("s2attn-hostile-").FullName;

    public void Dispose() => Directory.Delete(temporary, recursive: true);

    [RequiresToolTheory("python3")]
    [InlineData("hang", PortFailureKind.Timeout, "no answer within")]
    [InlineData("hang-ignoring-signals", PortFailureKind.Timeout, "no answer within")]
    [InlineData("exit", PortFailureKind.Crash, "exited with code 3")]
    [InlineData("exit", PortFailureKind.Crash, "the last words")]
    [InlineData("segfault", PortFailureKind.Crash, "SIGSEGV")]
    [InlineData("partial-line", PortFailureKind.Crash, "no line end")]
    [InlineData("orphan", PortFailureKind.Crash, "with code 0")]
    [InlineData("flood", PortFailureKind.Protocol, "longer than")]
    [InlineData("flood-lines", PortFailureKind.Protocol, "no id")]
    [InlineData("garbage", PortFailureKind.Protocol, "no JSON: Loading model... 100%")]
    [InlineData("binary", PortFailureKind.Protocol, "must be JSON")]
    [InlineData("surrogate", PortFailureKind.Protocol, "valid Unicode")]
    [InlineData("deep", PortFailureKind.Protocol, "no JSON")]
    [InlineData("array", PortFailureKind.Protocol, "must be an object")]
    [InlineData("wrong-id", PortFailureKind.Protocol, "has id 2, but 1 was asked")]
    [InlineData("text-id", PortFailureKind.Protocol, "id must be an integer")]
    [InlineData("no-ok", PortFailureKind.Protocol, "has no ok")]
    [InlineData("no-reason", PortFailureKind.Protocol, "unsupported")]
    [InlineData("error", PortFailureKind.Error, "ValueError: q_len 7")]
    [InlineData("flood-stderr", PortFailureKind.Error, "after 13 MB")]
    [InlineData("litter", PortFailureKind.Error, "left files behind")]
    [InlineData("unsupported", PortFailureKind.Declaration, "odd moons")]
    [InlineData("no-file", PortFailureKind.Output, "wrote no output file")]
    [InlineData("empty-file", PortFailureKind.Output, "at least 8 bytes")]
    [InlineData("directory", PortFailureKind.Output, "must be a regular file")]
    [InlineData("fifo", PortFailureKind.Output, "must be a regular file")]
    [InlineData("device", PortFailureKind.Output, "must be a regular file")]
    [InlineData("truncated", PortFailureKind.Output, "out of range")]
    [InlineData("huge-header", PortFailureKind.Output, "header claims 107374182400 bytes")]
    [InlineData("huge-file", PortFailureKind.Output, "more than")]
    [InlineData("wrong-shape", PortFailureKind.Output, "o has shape [1,1,4,2], but must have [1,4,1,2]")]
    [InlineData("wrong-dtype", PortFailureKind.Output, "o is F64, but must be F32")]
    [InlineData("wrong-name", PortFailureKind.Output, "no tensor o; it has out")]
    public void A_failed_case_is_an_answer_and_the_next_case_is_asked(string mode, PortFailureKind kind, string message)
    {
        using (ProcessPort port = Start(mode))
        {
            PortAnswer.Failed failed = Assert.IsType<PortAnswer.Failed>(port.Run(PortCases.Plain(tokens: 4)));
            Assert.Equal(kind, failed.Kind);
            Assert.Contains(message, failed.Message, StringComparison.Ordinal);
            Assert.IsType<PortAnswer.Forward>(port.Run(PortCases.Plain(tokens: 8)));
            Assert.Equal(kind is PortFailureKind.Error or PortFailureKind.Declaration ? 0 : 1, port.Restarts);
        }

        AssertNothingIsLeft();
    }

    [RequiresToolFact("python3")]
    public void A_port_that_closes_its_stdin_fails_the_next_case_and_is_started_again()
    {
        using (ProcessPort port = Start("close-stdin"))
        {
            Assert.IsType<PortAnswer.Failed>(port.Run(PortCases.Plain(tokens: 4)));
            PortAnswer.Failed failed = Assert.IsType<PortAnswer.Failed>(port.Run(PortCases.Plain(tokens: 8)));
            Assert.Contains("closed its stdin", failed.Message, StringComparison.Ordinal);
            Assert.IsType<PortAnswer.Forward>(port.Run(PortCases.Plain(tokens: 8)));
        }

        AssertNothingIsLeft();
    }

    [RequiresToolTheory("python3")]
    [InlineData("two-lines", PortFailureKind.Protocol)]
    [InlineData("exits-silently-between-cases", PortFailureKind.Crash)]
    public void What_happens_after_an_answer_is_reported_with_the_next_case(string mode, PortFailureKind kind)
    {
        using (ProcessPort port = Start(mode))
        {
            Assert.IsType<PortAnswer.Forward>(port.Run(PortCases.Plain(tokens: 4)));
            Assert.Equal(kind, Assert.IsType<PortAnswer.Failed>(port.Run(PortCases.Plain(tokens: 8))).Kind);
            Assert.IsType<PortAnswer.Forward>(port.Run(PortCases.Plain(tokens: 8)));
        }

        AssertNothingIsLeft();
    }

    [RequiresToolTheory("python3")]
    [InlineData("slow-start", "no answer within")]
    [InlineData("dies-at-start", "no module named torch")]
    [InlineData("bad-declaration", "gqa must be true or false, not \"yes\"")]
    [InlineData("no-capabilities", "must have \"capabilities\"")]
    public void A_port_that_does_not_describe_itself_is_refused(string mode, string message)
    {
        PortStartException refused = Assert.Throws<PortStartException>(() => Start(mode, startupSeconds: mode == "slow-start" ? 1 : 30));
        Assert.Contains(message, refused.Message, StringComparison.Ordinal);
        AssertNothingIsLeft();
    }

    [RequiresToolFact("python3")]
    public void A_port_that_can_no_longer_be_started_is_given_up_after_three_attempts()
    {
        string starts = Path.Combine(temporary, "starts");
        using (ProcessPort port = Start($"starts-once '{starts}'"))
            for (int i = 0; i < 6; i++)
                Assert.Equal(PortFailureKind.Crash, Assert.IsType<PortAnswer.Failed>(port.Run(PortCases.Plain(tokens: 8))).Kind);

        Assert.Equal(4, new FileInfo(starts).Length);
        File.Delete(starts);
        AssertNothingIsLeft();
    }

    [RequiresToolTheory("python3")]
    [InlineData("ignores-shutdown")]
    [InlineData("orphan-at-start")]
    public void Nothing_outlives_the_port(string mode)
    {
        using (ProcessPort port = Start(mode))
            Assert.IsType<PortAnswer.Forward>(port.Run(PortCases.Plain(tokens: 8)));

        AssertNothingIsLeft();
    }

    [RequiresToolFact("python3")]
    public void What_is_not_declared_is_not_asked()
    {
        using ProcessPort port = Start("exit");
        PortCase padded = PortCases.Draw(PortCases.Plain(tokens: 4).Config, ElementType.BF16, backward: true, padded: true, seed: 2);
        Assert.Equal("ops:backward, dtypes:bf16, padding", Assert.IsType<PortAnswer.Unsupported>(port.Run(padded)).Reason);
    }

    [RequiresToolFact("python3")]
    public void Stderr_is_passed_on_and_only_its_end_is_kept()
    {
        StringWriter log = new();
        using (ProcessPort port = Start("flood-stderr", log: log))
        {
            Assert.IsType<PortAnswer.Failed>(port.Run(PortCases.Plain(tokens: 4)));
            Assert.InRange(port.StderrTail.Length, 1, 4096);
        }

        Assert.Equal(200 * 65536, log.ToString().Length);
    }

    /// <summary>The last bytes, in their order, whether they come one by one or more at once than are kept.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(7)]
    [InlineData(63)]
    [InlineData(64)]
    [InlineData(100)]
    public void Of_stderr_the_last_bytes_are_kept_however_they_come(int bytesOfRead)
    {
        string text = string.Concat(Enumerable.Range(0, 90).Select(i => FormattableString.Invariant($"{i:00}.")));
        foreach (string written in new[] { text, text[..100], text[..30] })
        {
            StringWriter log = new();
            using MemoryStream stream = new SlowStream(written, bytesOfRead);
            TailReader reader = new(stream, 64, log);
            reader.WaitForEnd(TimeSpan.FromMinutes(1));
            Assert.Equal((written[Math.Max(0, written.Length - 64)..], written), (reader.Text, log.ToString()));
        }
    }

    /// <summary>On a full disk the port's next words would fill the pipe, and it would be blamed for the time that it waits.</summary>
    [RequiresToolFact("python3")]
    public void A_log_that_takes_no_more_does_not_block_the_port()
    {
        using ProcessPort port = Start("flood-stderr", log: new FullLog());
        Assert.Contains("after 13 MB of stderr", Assert.IsType<PortAnswer.Failed>(port.Run(PortCases.Plain(tokens: 4))).Message, StringComparison.Ordinal);
    }

    private sealed class FullLog : TextWriter
    {
        public override System.Text.Encoding Encoding => System.Text.Encoding.UTF8;

        public override void Write(char value) => throw new IOException("No space left on device");
    }

    private sealed class SlowStream(string text, int most) : MemoryStream(System.Text.Encoding.ASCII.GetBytes(text))
    {
        public override int Read(byte[] buffer, int offset, int count) => base.Read(buffer, offset, Math.Min(count, most));

        public override int Read(Span<byte> buffer) => base.Read(buffer[..Math.Min(buffer.Length, most)]);
    }

    private ProcessPort Start(string mode, double startupSeconds = 30, TextWriter? log = null) => ProcessPort.Start(
        $"env 'S2ATTN_TEST={temporary}' python3 '{Path.Combine(Repository.Root, "Conformance", "Tests", "Ports", "hostile_port.py")}' {mode}",
        new ProcessPortOptions
        {
            StartupLimit = TimeSpan.FromSeconds(startupSeconds),
            CaseLimit = TimeSpan.FromSeconds(mode.StartsWith("hang", StringComparison.Ordinal) || mode is "close-stdin" ? 3 : 30),
            ShutdownLimit = TimeSpan.FromMilliseconds(200),
            TemporaryDirectory = temporary,
            Log = log ?? TextWriter.Null,
        });

    private void AssertNothingIsLeft()
    {
        Assert.Empty(Directory.EnumerateFileSystemEntries(temporary));

        // The ports of other tests run at the same time; those of this one, and their children, carry this test's directory in their environment.
        if (OperatingSystem.IsLinux())
            HostileRun.AssertNoneCarries($"S2ATTN_TEST={temporary}");
    }
}
