// s2attn prove: shows with an SMT-LIB solver that the theorems hold for all sizes, and that the false claims do not.
using System.Collections.Immutable;
using System.CommandLine;
using System.Globalization;
using S2Attn.Cli.Rendering;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Proofs;
using S2Attn.Conformance.Validation;
using Spectre.Console;

namespace S2Attn.Cli;

/// <summary>The command <c>prove</c>.</summary>
public static class ProveCommand
{
    private const int Bad = 1, Usage = 2;

    /// <summary>The command with its options.</summary>
    public static Command Create()
    {
        Option<string[]> solvers = new("--solver")
        {
            Description = "z3, cvc5, or the path of any SMT-LIB 2 solver that takes a script's path; repeat it to ask further solvers where the first gives up. "
                + "Default: every known solver on PATH.",
            DefaultValueFactory = _ => [],
        };
        Option<string> folder = new("--out")
        {
            Description = "Folder for the .smt2 scripts, to check them without this program. Default: a temporary folder.",
            DefaultValueFactory = _ => "",
        };
        Option<double> timeout = new("--timeout") { Description = "Seconds for one question to one solver.", DefaultValueFactory = _ => 30 };
        Option<string> filter = new("--filter") { Description = "Only names that contain this text.", DefaultValueFactory = _ => "" };
        Option<int> jobs = new("--jobs") { Description = "Solver processes at once. Default: the number of cores.", DefaultValueFactory = _ => Environment.ProcessorCount };
        Option<string> json = new("--json") { Description = "File for the results.", DefaultValueFactory = _ => "" };
        Option<string> markdown = new("--markdown") { Description = "File for the tables of docs/trust.md.", DefaultValueFactory = _ => "" };
        Command command = new("prove", "Prove the theorems for all sizes and refute the false claims. Exit code: 0 all shown, 1 not all, 2 bad usage or no solver.")
        {
            solvers, folder, timeout, filter, jobs, json, markdown,
        };
        command.SetAction((parsed, cancellation) => RunAsync(
            parsed.GetValue(solvers) ?? [],
            parsed.GetValue(folder) ?? "",
            parsed.GetValue(timeout),
            parsed.GetValue(filter) ?? "",
            parsed.GetValue(jobs),
            parsed.GetValue(json) ?? "",
            parsed.GetValue(markdown) ?? "",
            cancellation));
        return command;
    }

    private static async Task<int> RunAsync(
        string[] solverNames, string folder, double timeout, string filter, int jobs, string json, string markdown, CancellationToken cancellation)
    {
        if (!(timeout is > 0 and <= 86400))
            return Complain($"--timeout {timeout.ToString(CultureInfo.InvariantCulture)}: must be from above 0 to 86400 seconds.");
        if (jobs is < 1 or > 1024)
            return Complain(FormattableString.Invariant($"--jobs {jobs}: must be from 1 to 1024."));
        foreach (string name in solverNames)
            if (name.Length == 0 || !Solver.TryFind(name, out _))
                return Complain($"--solver {name}: no such program. {Solver.InstallHint}");
        ImmutableArray<Solver> solvers =
            [.. solverNames.Length == 0 ? Solver.OnPath() : solverNames.SelectMany(name => Solver.TryFind(name, out Solver solver) ? [solver] : Array.Empty<Solver>())];
        if (solvers.IsEmpty)
            return Complain($"No SMT-LIB solver is on PATH (looked for {string.Join(", ", Solver.Known)}). {Solver.InstallHint}");
        ImmutableArray<Subject> subjects = [.. Plan.Everything().Where(subject => subject.Name.Contains(filter, StringComparison.OrdinalIgnoreCase))];
        if (subjects.IsEmpty)
            return Complain($"--filter {filter}: no theorem, claim or lemma has this in its name.");

        bool keep = folder.Length > 0;
        using RunDirectory temporary = new(Path.GetTempPath());
        string scripts = keep ? folder : temporary.FullPath;
        try
        {
            if (keep)
                ReportFiles.Try("--out", scripts, path => Directory.CreateDirectory(path));
            foreach ((string option, string path) in new[] { ("--json", json), ("--markdown", markdown) })
                if (path.Length > 0)
                    ReportFiles.Try(option, path, WholeFile.CheckWritable);
            DateTime start = DateTime.UtcNow;
            ProofOptions options = new(solvers, scripts, TimeSpan.FromSeconds(timeout), jobs);
            ImmutableArray<SubjectResult> results = await WithProgressAsync(subjects, options, cancellation);
            Show(results, DateTime.UtcNow - start, keep ? scripts : "");
            if (json.Length > 0)
                WholeFile.Write(json, Report.Json(results));
            if (results.Length < subjects.Length)
                return Complain($"stopped: {results.Length} of {subjects.Length} statements were looked at{(markdown.Length > 0 ? $"; --markdown {markdown} is of all, and was not written" : "")}.");
            if (markdown.Length > 0)
                WholeFile.Write(markdown, Report.Markdown(results));
            return results.All(result => result.IsGood) ? 0 : Bad;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return Complain(exception.Message);
        }

    }

    private static async Task<ImmutableArray<SubjectResult>> WithProgressAsync(IReadOnlyList<Subject> subjects, ProofOptions options, CancellationToken cancellation) =>
        await AnsiConsole.Progress().AutoClear(true).StartAsync(async context =>
        {
            ProgressTask task = context.AddTask($"{subjects.Count} statements, {string.Join(" then ", options.Solvers.Select(solver => solver.Name))}", maxValue: subjects.Count);
            return await ProofRun.RunAsync(subjects, options, _ => task.Increment(1), cancellation);
        });

    private static void Show(ImmutableArray<SubjectResult> results, TimeSpan time, string scripts)
    {
        Table table = new Table().Border(TableBorder.Minimal).AddColumns("statement", "outcome", "solver", "scripts", "s");
        foreach (SubjectResult result in results)
        {
            string detail = result.Detail.Length > 0 ? $"\n  {result.Detail}" : "";
            table.AddRow(
                new Text(result.Subject.Name + detail),
                new Text(Report.Word(result.Outcome), new Style(result.IsGood ? Color.Green : Color.Red)),
                new Text(string.Join(' ', result.Solvers)),
                new Text(result.Scripts.ToString(CultureInfo.InvariantCulture)),
                new Text(result.Time.TotalSeconds.ToString("0.00", CultureInfo.InvariantCulture)));
        }

        Page.Write(table);
        string counts = string.Join(", ", results.GroupBy(result => result.Outcome).OrderBy(group => group.Key).Select(group => $"{group.Count()} {Report.Word(group.Key)}"));
        AnsiConsole.WriteLine(FormattableString.Invariant($"{counts}; {results.Sum(result => result.Scripts)} scripts in {time.TotalSeconds:0.0} s."));
        if (scripts.Length > 0)
            AnsiConsole.WriteLine($"Scripts: {scripts}");
    }

    private static int Complain(string message)
    {
        Console.Error.WriteLine($"s2attn prove: {message}");
        return Usage;
    }
}
