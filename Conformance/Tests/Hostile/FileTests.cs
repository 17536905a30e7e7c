// Is a file that is none (a pipe, a device, a folder), or one without end, refused at once by whoever reads it? Is a report kept whatever becomes of another?
using S2Attn.Conformance.Validation;
using S2Attn.Tests.Ports;
using S2Attn.Tests.Tools;

namespace S2Attn.Tests.Hostile;

public sealed class FileTests
{
    private const string QuickCheck = "$s2attn check --port reference --filter Determinism --cases 2 --seed 1";

    [RequiresToolTheory("bash", "mkfifo")]
    [InlineData("mkfifo f && $s2attn compare f f", "must be a regular file")]
    [InlineData("$s2attn compare /dev/zero /dev/zero", "must be a regular file")]
    [InlineData("$s2attn compare . .", "must be a regular file")]
    [InlineData("ln -s /dev/zero f && $s2attn compare f f", "must be a regular file")]
    [InlineData("mkfifo f && $s2attn reproduce f --port reference", "must be a regular file")]
    [InlineData("$s2attn reproduce /dev/zero --port reference", "must be a regular file")]
    [InlineData("truncate -s 100G f && $s2attn reproduce f --port reference", "more than")]
    [InlineData("truncate -s 100G f && $s2attn compare f f", "more than")]
    [InlineData("mkfifo manifest.json && $s2attn golden --dir .", "must be a regular file")]
    [InlineData("ln -s /dev/zero manifest.json && $s2attn golden --dir .", "must be a regular file")]
    [InlineData("mkdir manifest.json && $s2attn golden --dir .", "must be a regular file")]
    [InlineData("truncate -s 10G manifest.json && $s2attn golden --dir .", "more than")]
    [InlineData("mkfifo f && $s2attn describe --onnx f", "must be a regular file")]
    [InlineData("$s2attn describe --onnx /dev/zero", "must be a regular file")]
    [InlineData("mkfifo f && $s2attn describe --native f", "must be a regular file")]
    [InlineData("$s2attn describe --native /dev/zero", "must be a regular file")]
    [InlineData("mkfifo leak.csv && $s2attn experiment plot leak --results .", "must be a regular file")]
    [InlineData("mkfifo f && $s2attn describe --port reference --port-log f", "named pipe")]
    public void What_is_no_file_is_refused_by_whoever_reads_it(string line, string rule) => In(directory =>
    {
        Ended ended = HostileRun.Shell(directory, line);
        Assert.True(ended.ExitCode == 2 && ended.Error.Contains(rule, StringComparison.Ordinal) && !ended.Error.Contains("   at ", StringComparison.Ordinal), $"{ended}");
    });

    [RequiresToolTheory("bash", "mkfifo")]
    [InlineData(QuickCheck + " --json /dev/full --html keep", 2, "--json /dev/full was not written: No space left", "keep")]
    [InlineData(QuickCheck + " --html /dev/full --junit keep --badge keep2", 2, "--html /dev/full was not written", "keep keep2")]
    [InlineData("$s2attn check --port \"sh -c 'echo words >&2; exec $s2attn serve --port reference'\" --filter Determinism --cases 2 --json keep --port-log /dev/full", 2, "--port-log /dev/full was not written to its end: No space left", "keep")]
    [InlineData(QuickCheck + " --json keep > /dev/full", 2, "stdout could not be written", "keep")]
    [InlineData(QuickCheck + " --json keep | head -1", 0, "", "keep")]
    [InlineData(QuickCheck + " --json keep >&-", 2, "stdout could not be written", "keep")]
    [InlineData(QuickCheck + " --json /dev/stdout > keep", 0, "", "keep")]
    [InlineData(QuickCheck + " --json >(cat > keep); sleep 1", 0, "", "keep")]
    [InlineData("ln -s keep link; echo old > keep; " + QuickCheck + " --json link; test -L link", 0, "", "keep")]
    public void A_report_is_kept_whatever_becomes_of_another(string line, int exitCode, string said, string kept) => In(directory =>
    {
        Ended ended = HostileRun.Shell(directory, line);
        Assert.True(ended.ExitCode == exitCode && ended.Error.Contains(said, StringComparison.Ordinal), $"{ended}");
        Assert.All(kept.Split(' '), name => Assert.True(new FileInfo(Path.Combine(directory, name)) is { Exists: true, Length: > 300 }, $"{name} is not there\n{ended}"));
        Assert.Empty(Directory.EnumerateFiles(directory, "*.tmp"));
    });

    /// <summary>A limit on the size of files, in the place of a full disk: what was written so far is removed, and an old report stays as it was.</summary>
    [RequiresToolFact("bash")]
    public void A_report_for_which_there_is_no_room_leaves_nothing_behind() => In(directory =>
    {
        Ended run = HostileRun.Shell(directory, "echo old > a; trap '' XFSZ; ulimit -f 1; DOTNET_EnableWriteXorExecute=0 " + QuickCheck + " --json a --html b");
        Assert.Contains("was not written", run.Error, StringComparison.Ordinal);
        Assert.Equal(2, run.ExitCode);
        Assert.Equal("old\n", File.ReadAllText(Path.Combine(directory, "a")));
        Assert.Equal(["a"], Directory.EnumerateFiles(directory).Select(Path.GetFileName));
    });

    [RequiresToolTheory("bash", "mkfifo")]
    [InlineData(QuickCheck + " --json a --html a", "--json and --html both name")]
    [InlineData(QuickCheck + " --json a --junit ./a", "--json and --junit both name")]
    [InlineData(QuickCheck + " --json a --junit b --html a", "--json and --html both name")]
    [InlineData(QuickCheck + " --json a --junit b --html c --badge a", "--json and --badge both name")]
    [InlineData("touch a; ln -s a b; " + QuickCheck + " --html a --junit b", "both name")]
    [InlineData("mkdir d; ln -s d e; " + QuickCheck + " --html d/a --junit e/a", "both name")]
    [InlineData(QuickCheck + " --json no/such/folder/a", "no/such/folder")]
    [InlineData("mkdir a; " + QuickCheck + " --json a", "a")]
    [InlineData("mkfifo a; " + QuickCheck + " --json a", "named pipe")]
    [InlineData("echo x > a; " + QuickCheck + " --json a/b", "a/b")]
    public void A_path_that_cannot_be_a_report_is_refused_before_the_run(string line, string said) => In(directory =>
    {
        Ended ended = HostileRun.Shell(directory, line);
        Assert.True(ended.ExitCode == 2 && ended.Error.Contains(said, StringComparison.Ordinal) && ended.Out.Length == 0, $"{ended}");
    });

    [Fact]
    public void Writing_replaces_the_whole_file_and_keeps_its_rights() => In(directory =>
    {
        string path = Path.Combine(directory, "report");
        File.WriteAllText(path, "the old report");
        if (!OperatingSystem.IsWindows())
            File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.OtherRead);
        WholeFile.Write(path, "new \ud800");
        Assert.Equal("new \uFFFD", File.ReadAllText(path));
        Assert.Single(Directory.EnumerateFileSystemEntries(directory));
        if (!OperatingSystem.IsWindows())
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.OtherRead, File.GetUnixFileMode(path));
    });

    [Fact]
    public void A_file_that_claims_to_be_empty_is_counted_while_it_is_read()
    {
        if (!OperatingSystem.IsLinux())
            return;
        Assert.NotEmpty(RegularFile.ReadAllBytes(1 << 20, "/proc/self/status"));
        Assert.Contains("more than the 10 expected", Assert.Throws<IOException>(() => RegularFile.ReadAllBytes(10, "/proc/self/status")).Message, StringComparison.Ordinal);
        Assert.Contains("NUL", Assert.Throws<IOException>(() => RegularFile.ReadAllBytes(10, "a\0b")).Message, StringComparison.Ordinal);
    }

    private static void In(Action<string> test) => SamplePortTests.InTemporary(test);
}
