// s2attn golden: are the golden tensors the ones that the manifest names, and does Reference agree with them?
using System.CommandLine;
using S2Attn.Cli.Rendering;
using S2Attn.Conformance.Golden;
using S2Attn.Conformance.Running;
using S2Attn.Conformance.Validation;

namespace S2Attn.Cli;

internal static class GoldenCommand
{
    private const long MaxFileBytes = 1 << 28;

    private static readonly string[] ForReaders = ["check.py", "README.md"];

    public static Command Create()
    {
        Option<DirectoryInfo?> dir = new("--dir") { Description = "A folder in the format of golden/README.md; the project's own where not given.", HelpName = "DIR" };
        Option<string> filter = new("--filter") { Description = "Only cases whose name contains this text.", HelpName = "TEXT", DefaultValueFactory = _ => "" };
        Option<DirectoryInfo?> write = new("--write") { Description = "Verify nothing; write the tensors into this folder, with check.py, which puts them to a port in Python and needs NumPy alone.", HelpName = "DIR" };
        Command command = new("golden", "Verify golden tensors: hashes, and agreement with Reference in the profile that each case claims. Exit code: 0 agree, 1 do not, 2 bad usage or input.") { dir, filter, write };
        command.SetAction((parsed, cancellation) => Task.Run(
            () =>
            {
                try
                {
                    string folder = parsed.GetValue(dir)?.FullName
                        ?? Carried.Golden().FirstOrDefault() ?? throw new GoldenException("golden", "no golden/manifest.json above the working directory; name a folder with --dir");
                    return parsed.GetValue(write) is { } target ? Write(folder, target.FullName) : Verify(folder, parsed.GetValue(filter) ?? "", cancellation);
                }
                catch (Exception error) when (error is GoldenException or IOException or UnauthorizedAccessException)
                {
                    Console.Error.WriteLine($"s2attn golden: {error.Message}");
                    return ExitCode.Trouble;
                }
            },
            CancellationToken.None));
        return command;
    }

    private static int Verify(string folder, string filter, CancellationToken cancellation)
    {
        CheckPart part = GoldenSuite.Part(folder, filter);
        if (part.Rows == 0)
            throw new GoldenException(folder, $"no case has {filter} in its name");
        (IReadOnlyList<PropertyResult> results, IReadOnlyList<SuiteEvent.Troubled> troubles) = CheckView.Show(false, [part], CheckRun.Run([part], Environment.ProcessorCount, cancellation));
        int stopped = results.Count(result => result.Outcome is Outcome.Interrupted);
        foreach (PropertyResult bad in results.Where(result => result.Outcome is not (Outcome.Holds or Outcome.Interrupted)))
            Console.WriteLine($"{bad.Name} ({bad.Statement}; {bad.Region}): {bad.Counterexample.FirstOrDefault()?.Reason ?? bad.Outcome.ToString()}");
        Console.WriteLine($"{results.Count(result => result.Outcome is Outcome.Holds)} of {part.Rows} cases agree{(stopped > 0 ? $", {stopped} were not looked at" : "")}, in {results.Sum(result => result.Elapsed.TotalSeconds):F1} s");
        foreach (SuiteEvent.Troubled trouble in troubles)
            Console.Error.WriteLine($"s2attn golden: {trouble.Reason}");
        return troubles.Count > 0 ? ExitCode.Trouble : results.Count == part.Rows && results.All(result => result.Outcome is Outcome.Holds) ? ExitCode.Holds : ExitCode.DoesNotHold;
    }

    // What the manifests name, the manifests, and what is for readers: not the exporters that lie beside them in the repository.
    private static int Write(string folder, string target)
    {
        string[] files =
        [
            .. GoldenFolder.ReadAll(folder).SelectMany(golden => new[] { golden.Path, Path.Combine(Path.GetDirectoryName(golden.Path)!, "manifest.json") }).Distinct(),
            .. ForReaders.Select(name => Path.Combine(folder, name)).Where(File.Exists),
        ];
        string Copy(string file) => Path.Combine(target, Path.GetRelativePath(folder, file));
        ReportFiles.Try("--write", target, _ => NewFiles.Write([.. files.Select(file => (Copy(file), (Func<Stream>)(() => RegularFile.Open(MaxFileBytes, file))))]));
        Console.WriteLine($"{files.Length} files in {target}; python3 {Path.Combine(target, "check.py")} --help says how a port is checked with them");
        return ExitCode.Holds;
    }
}
