// s2attn golden: are the golden tensors the ones that the manifest names, and does Reference agree with them?
using System.CommandLine;
using S2Attn.Cli.Rendering;
using S2Attn.Conformance.Golden;
using S2Attn.Conformance.Running;

namespace S2Attn.Cli;

internal static class GoldenCommand
{
    private const int Disagrees = 1, BadUsage = 2;

    public static Command Create()
    {
        Option<DirectoryInfo?> dir = new("--dir") { Description = "A folder in the format of golden/README.md; the project's own where not given.", HelpName = "DIR" };
        Option<string> filter = new("--filter") { Description = "Only cases whose name contains this text.", HelpName = "TEXT", DefaultValueFactory = _ => "" };
        Command command = new("golden", "Verify golden tensors: hashes, and agreement with Reference in the profile that each case claims. Exit code: 0 agree, 1 do not, 2 bad usage or input.") { dir, filter };
        command.SetAction((parsed, cancellation) => Task.Run(() => Run(parsed.GetValue(dir), parsed.GetValue(filter) ?? "", cancellation), CancellationToken.None));
        return command;
    }

    private static int Run(DirectoryInfo? dir, string filter, CancellationToken cancellation)
    {
        try
        {
            string folder = dir?.FullName ?? (GoldenFolder.TryFind(out string found) ? found : throw new GoldenException("golden", "no golden/manifest.json above the working directory; name a folder with --dir"));
            CheckPart part = GoldenSuite.Part(folder, filter);
            if (part.Rows == 0)
                throw new GoldenException(folder, $"no case has {filter} in its name");
            (IReadOnlyList<PropertyResult> results, IReadOnlyList<SuiteEvent.Troubled> troubles) = CheckView.Show(false, [part], CheckRun.Run([part], Environment.ProcessorCount, cancellation));
            foreach (PropertyResult bad in results.Where(result => result.Outcome is not Outcome.Holds))
                Console.WriteLine($"{bad.Name} ({bad.Statement}; {bad.Region}): {bad.Counterexample.FirstOrDefault()?.Reason ?? bad.Outcome.ToString()}");
            Console.WriteLine($"{results.Count(result => result.Outcome is Outcome.Holds)} of {part.Rows} cases agree, in {results.Sum(result => result.Elapsed.TotalSeconds):F1} s");
            foreach (SuiteEvent.Troubled trouble in troubles)
                Console.Error.WriteLine($"s2attn golden: {trouble.Reason}");
            return troubles.Count > 0 ? BadUsage : results.Count == part.Rows && results.All(result => result.Outcome is Outcome.Holds) ? 0 : Disagrees;
        }
        catch (GoldenException error)
        {
            Console.Error.WriteLine($"s2attn golden: {error.Message}");
            return BadUsage;
        }
    }
}
