// s2attn experiment: what does a mask or a pattern do to a model? Lists, runs, resumes, repeats and draws experiments.
using System.Collections.Immutable;
using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Reflection;
using S2Attn.Cli.Rendering;
using S2Attn.Conformance.Safetensors;
using S2Attn.Experiments.Grid;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace S2Attn.Cli;

internal static class ExperimentCommand
{
    // A month and more: a timer takes no longer time than 49 days.
    private const int Differs = 1, MinutesOfHour = 60, MostMinutes = 50_000;

    public static Command Create()
    {
        Option<string> results = new("--results") { Description = "Folder of the results, one CSV for each experiment.", HelpName = "FOLDER", DefaultValueFactory = _ => Path.Combine("docs", "experiments") };
        Option<string> work = new("--work") { Description = "Folder of checkpoints.", HelpName = "FOLDER", DefaultValueFactory = _ => Path.Combine("artifacts", "experiments") };
        Command command = new("experiment", "Train small decoders to see what masks and patterns do to a model.")
        {
            List(results, work),
            Start("run", "Begin an experiment. Ctrl+C keeps what is done; resume goes on.", results, work, isResumed: false),
            Start("resume", "Go on with an experiment where it was stopped: the bits are those of one that was not.", results, work, isResumed: true),
            Repeat(results),
            Plot(results),
        };
        return command;
    }

    private static Command List(Option<string> results, Option<string> work)
    {
        Command command = new("list", "Each experiment with its state.") { results, work };
        command.SetAction(parsed => Guarded(() =>
        {
            Table table = new Table().Border(TableBorder.None).AddColumns("name", "state", "left", "question");
            foreach (Experiment experiment in Catalogue.All)
            {
                int count = experiment.WithoutRefused().Count;
                ImmutableArray<Result> done = Results.Read(Results.PathOf(parsed.GetValue(results)!, experiment.Name));
                string state = done.Length >= count ? "finished"
                    : Runner.HasBegun(experiment, parsed.GetValue(results)!, parsed.GetValue(work)!) ? $"{done.Length} of {count} runs"
                    : $"not begun, {count} runs";
                if (experiment.Missing.Length > 0)
                    state += $"; needs {experiment.Missing}";
                table.AddRow(new IRenderable[] { new Text(experiment.Name), new Text(state), new Text(Left(experiment, done, count)), new Text(experiment.Question) });
            }

            Page.Write(table);
            foreach (Experiment experiment in Catalogue.All)
                foreach (string refusal in experiment.Cells.Select(cell => (cell.Arm.Name, Refusal: experiment.RefusalOf(cell))).Where(pair => pair.Refusal.Length > 0).Select(pair => $"{pair.Name}: {pair.Refusal}").Distinct().Take(4))
                    Console.WriteLine($"{experiment.Name} leaves out {refusal}");
            return 0;
        }));
        return command;
    }

    private static Command Start(string name, string description, Option<string> results, Option<string> work, bool isResumed)
    {
        Argument<string> which = new("name") { Description = "The experiment." };
        Option<double?> minutes = new("--minutes") { Description = "Stop after this time; resume goes on." };
        Option<string> only = new("--only") { Description = "Only runs whose name contains this text, as \"s2-split N=256\".", HelpName = "TEXT", DefaultValueFactory = _ => "" };
        NumberRange.MustBeAbove0(MostMinutes, minutes);
        Command command = new(name, description) { which, results, work, minutes, only };
        command.SetAction((parsed, cancellation) => Task.Run(() => Guarded(() =>
        {
            Experiment experiment = Catalogue.Of(parsed.GetValue(which)!);
            (string resultsFolder, string workFolder) = (parsed.GetValue(results)!, parsed.GetValue(work)!);
            if (!isResumed && Runner.HasBegun(experiment, resultsFolder, workFolder))
                throw new ArgumentException($"{experiment.Name} has begun: s2attn experiment resume {experiment.Name} goes on; to begin anew, delete {Results.PathOf(resultsFolder, experiment.Name)} and {Path.Combine(workFolder, experiment.Name)}");
            using CancellationTokenSource stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
            if (parsed.GetValue(minutes) is { } time)
                stop.CancelAfter(TimeSpan.FromMinutes(time));
            try
            {
                WithProgress(report => new Runner(experiment, resultsFolder, workFolder, Commit(), report).GoOn(parsed.GetValue(only)!, stop.Token));
            }
            catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
            {
                Console.Error.WriteLine($"s2attn: the time is over; s2attn experiment resume {experiment.Name} goes on");
                return 0;
            }

            Console.Write(Tables.Of(experiment, Results.Read(Results.PathOf(resultsFolder, experiment.Name))));
            return 0;
        }), CancellationToken.None));
        return command;
    }

    private static Command Repeat(Option<string> results)
    {
        Argument<string> which = new("name") { Description = "The experiment." };
        Option<int> line = new("--line") { Description = "The line of its CSV; the first result is on line 2.", DefaultValueFactory = _ => 2 };
        Command command = new("repeat", "Do one run again, from nothing, and say whether its bits are those of the results. Exit code 1 means that they are not.") { which, line, results };
        command.SetAction((parsed, cancellation) => Task.Run(() => Guarded(() =>
        {
            Experiment experiment = Catalogue.Of(parsed.GetValue(which)!);
            ImmutableArray<Result> all = Results.Read(Results.PathOf(parsed.GetValue(results)!, experiment.Name));
            int number = parsed.GetValue(line);
            if (number < 2 || number > all.Length + 1)
                throw new ArgumentException($"--line {number}: must be from 2 to {all.Length + 1}");
            Result before = all[number - 2];
            string work = Directory.CreateTempSubdirectory("s2attn-experiment-").FullName;
            try
            {
                Result again = WithProgress(report => new Runner(experiment, work, work, Commit(), report).Repeat(before.Run, cancellation));
                Console.WriteLine($"{again.Run}");
                Console.WriteLine($"here:    parameters {again.Digest}, loss {again.Full.All:0.00000}, {again.Machine}");
                Console.WriteLine($"results: parameters {before.Digest}, loss {before.Full.All:0.00000}, {before.Machine}, {before.Commit}");
                Console.WriteLine(again.Digest == before.Digest ? "the same bits" : "other bits");
                return again.Digest == before.Digest ? 0 : Differs;
            }
            finally
            {
                Directory.Delete(work, recursive: true);
            }
        }), CancellationToken.None));
        return command;
    }

    private static Command Plot(Option<string> results)
    {
        Argument<string> which = new("name") { Description = "The experiment." };
        Command command = new("plot", "Print the results as tables of Markdown, and draw them as SVG beside the CSV.") { which, results };
        command.SetAction(parsed => Guarded(() =>
        {
            Experiment experiment = Catalogue.Of(parsed.GetValue(which)!);
            string folder = parsed.GetValue(results)!;
            ImmutableArray<Result> all = Results.Read(Results.PathOf(folder, experiment.Name));
            if (all.IsEmpty)
                throw new ArgumentException($"{experiment.Name} has no results in {folder}");
            Console.Write(Tables.All(experiment, all));
            (ImmutableArray<Experiment> grouped, int tokens) = Catalogue.ByGroup;
            ImmutableArray<string> across = grouped.Contains(experiment)
                ? Figures.DrawByGroup(grouped.Select(other => (other, (IReadOnlyCollection<Result>)Results.Read(Results.PathOf(folder, other.Name)))), tokens, folder)
                : [];
            foreach (string path in Figures.Draw(experiment, all, folder).Concat(across))
                Console.Error.WriteLine($"drawn: {path}");
            return 0;
        }));
        return command;
    }

    // What is wrong with a name, a folder or a file is told in one line.
    private static int Guarded(Func<int> action)
    {
        try
        {
            return action();
        }
        catch (Exception error) when (error is ArgumentException or FormatException or IOException or UnauthorizedAccessException or InvalidDataException or SafetensorsException)
        {
            Console.Error.WriteLine($"s2attn: {error.Message}");
            return ExitCode.Trouble;
        }
    }

    private static void WithProgress(Action<Action<RunProgress>> action) => WithProgress<int>(report =>
    {
        action(report);
        return 0;
    });

    private static T WithProgress<T>(Func<Action<RunProgress>, T> action)
    {
        const int SecondsBetweenLines = 60;
        if (!Console.IsErrorRedirected && !Console.IsOutputRedirected)
            return AnsiConsole.Progress().Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn()).Start(bars =>
            {
                ProgressTask bar = bars.AddTask("beginning");
                return action(progress =>
                {
                    bar.Value = 100 * progress.Share;
                    bar.Description = Markup.Escape(Text(progress));
                });
            });
        Stopwatch since = Stopwatch.StartNew();
        return action(progress =>
        {
            if (since.Elapsed.TotalSeconds < SecondsBetweenLines)
                return;
            since.Restart();
            Console.Error.WriteLine($"{100 * progress.Share:0.0} % {Text(progress)}");
        });

        static string Text(RunProgress progress) => string.Create(
            CultureInfo.InvariantCulture, $"run {progress.Number} of {progress.Count}, {progress.Run}, loss {progress.Loss:0.000}, {Duration(progress.Left)} left");
    }

    // From the minutes of what is done, where there is something.
    private static string Left(Experiment experiment, ImmutableArray<Result> done, int count) => done.Length >= count ? ""
        : Duration(TimeSpan.FromMinutes(done.IsEmpty ? experiment.EstimatedMinutes : done.Average(result => result.Minutes) * (count - done.Length))) + " of a core";

    private static string Duration(TimeSpan time) => time.TotalMinutes < MinutesOfHour
        ? string.Create(CultureInfo.InvariantCulture, $"{time.TotalMinutes:0.0} min")
        : string.Create(CultureInfo.InvariantCulture, $"{time.TotalHours:0.0} h");

    // As the build wrote it behind the version.
    private static string Commit()
    {
        const int Digits = 12;
        string version = typeof(ExperimentCommand).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "";
        string commit = version[(version.IndexOf('+', StringComparison.Ordinal) + 1)..];
        return commit.Length > Digits ? commit[..Digits] : commit;
    }
}
