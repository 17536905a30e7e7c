// s2attn check: does an implementation compute S2-Attn, and if not, what is the smallest case that shows it?
using System.Collections.Immutable;
using System.CommandLine;
using System.Diagnostics;
using S2Attn.Cli.Rendering;
using S2Attn.Conformance.Golden;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Reports;
using S2Attn.Conformance.Reproducers;
using S2Attn.Conformance.Running;
using S2Attn.Conformance.Validation;

namespace S2Attn.Cli;

internal static class CheckCommand
{
    /// <param name="own">What is looked at where no port is named.</param>
    public static Command Create(CheckSources own)
    {
        Option<int?> seed = new("--seed") { Description = "Decides every random case. Without it a new one is drawn in each run, and printed.", HelpName = "NUMBER" };
        Option<int> cases = new("--cases") { Description = "Random cases for each property.", HelpName = "NUMBER", DefaultValueFactory = _ => new SuiteOptions().Cases };
        Option<string> filter = new("--filter") { Description = "Only theorems and properties whose name contains this text.", HelpName = "TEXT", DefaultValueFactory = _ => "" };
        Option<double> rowLimit = new("--row-limit") { Description = "Seconds that the suite's own work may take for one row, besides the port; cases beyond are left out.", HelpName = "SECONDS", DefaultValueFactory = _ => new SuiteOptions().RowLimit.TotalSeconds };
        Option<FileInfo?> json = new("--json") { Description = "Write the report as JSON, in the form of report.schema.json.", HelpName = "FILE" };
        Option<bool> schema = new("--schema") { Description = "Check nothing; print report.schema.json, the JSON Schema of what --json writes." };
        Option<FileInfo?> junit = new("--junit") { Description = "Write the report as JUnit XML.", HelpName = "FILE" };
        Option<FileInfo?> html = new("--html") { Description = "Write the report as one HTML file, with the masks of each port drawn beside the definition's.", HelpName = "FILE" };
        Option<FileInfo?> badge = new("--badge") { Description = "Write the levels that the one port earned as an SVG badge.", HelpName = "FILE" };
        Option<DirectoryInfo?> reproducers = new("--reproducers") { Description = "For each failing row of a port, write a bug report, the smallest tensors and a Python unit test into this folder.", HelpName = "DIR" };
        Option<bool> verbose = new("--verbose") { Description = "Print every row, not only those that fail; files always have all." };
        Command command = new(
            "check",
            "Check ports against the definition; without a port, check this project itself. Exit code: 0 nothing that was asked speaks against it, 1 something does, 2 trouble that is not the port's, 130 after Ctrl-C.")
        {
            seed, cases, filter, rowLimit, json, junit, html, badge, reproducers, verbose, schema,
        };
        PortOptions ports = new(command, exactlyOne: false);
        PortOptions.MustBeSeconds(rowLimit);
        NumberRange.MustBe(1, 1_000_000, cases);
        command.Validators.Add(result =>
        {
            if (result.GetResult(badge) is { Implicit: false } && ports.Named(result) is var named and not 1)
                result.AddError($"--badge: a badge is of exactly one port, but {(named == 0 ? "none is" : $"{named} are")} named by --port, --native and --onnx");
        });
        command.SetAction((parsed, cancellation) => Task.Run(
            () =>
            {
                try
                {
                    if (parsed.GetValue(schema))
                    {
                        Console.Write(JsonReport.Schema());
                        return ExitCode.Holds;
                    }

                    return Run(
                        own, new SuiteOptions { Seed = parsed.GetValue(seed) ?? Random.Shared.Next(), Cases = parsed.GetValue(cases), RowLimit = TimeSpan.FromSeconds(parsed.GetValue(rowLimit)) }, parsed.GetValue(filter) ?? "",
                        new(parsed.GetValue(json), parsed.GetValue(junit), parsed.GetValue(html), parsed.GetValue(badge)), parsed.GetValue(reproducers), parsed.GetValue(verbose), () => ports.OpenAll(parsed), ports.Arguments(parsed), cancellation);
                }
                catch (Exception error) when (error is PortStartException or GoldenException or FormatException or IOException or UnauthorizedAccessException)
                {
                    Console.Error.WriteLine($"s2attn: {error.Message}");
                    return ExitCode.Trouble;
                }
            },
            CancellationToken.None));
        return command;
    }

    private static int Run(
        CheckSources sources, SuiteOptions options, string filter, ReportFiles files, DirectoryInfo? reproducers, bool verbose,
        Func<IEnumerable<IAttentionPort>> open, ImmutableArray<string> arguments, CancellationToken cancellation)
    {
        files.CheckWritable();
        if (reproducers is not null)
            ReportFiles.Try("--reproducers", reproducers.FullName, ReproducerFolder.Prepare);
        Stopwatch watch = Stopwatch.StartNew();
        List<IAttentionPort> ports = [];
        try
        {
            ports.AddRange(open());
            bool own = ports.Count == 0;
            if (own)
                ports.AddRange(sources.Ports.Values.Select(create => create()));
            ImmutableArray<string> subjects = CheckRun.Subjects(ports.Select(port => port.Description.Name));
            List<CheckPart> parts = [.. ports.Select((port, i) => CheckRun.Properties(options, filter, subjects[i], port))];
            if (own)
                parts.Insert(0, CheckRun.Theorems(options, filter, sources.Theorems));
            if (own)
                parts.AddRange(sources.Golden().Select(folder => GoldenSuite.Part(folder, filter)));
            if (parts.All(part => part.Rows == 0))
                throw new FormatException($"--filter {filter}: no theorem or property has this in its name");

            Page.Write($"seed {options.Seed}, {options.Cases} cases for each property; checking {string.Join(", ", parts.Select(part => part.Subject))}");
            (IReadOnlyList<PropertyResult> results, IReadOnlyList<SuiteEvent.Troubled> troubled) = CheckView.Show(verbose, parts, CheckRun.Run(parts, Environment.ProcessorCount, cancellation));
            List<string> troubles = [.. troubled.Select(trouble => $"{trouble.Subject}: {trouble.Reason}")];
            ImmutableArray<ReportVariant> variants = own ? Kept<ImmutableArray<ReportVariant>>(troubles, [], () => [.. VariantRun.Run(options, filter, cancellation)]) : [];
            bool complete = !cancellation.IsCancellationRequested && troubles.Count == 0;
            ImmutableArray<ReportPort> checkedPorts =
            [
                .. ports.Select((port, i) => ReportPort.Of(subjects[i], port.Description, results, complete && filter.Length == 0))
                    .Zip(ports, (item, port) => Kept(troubles, item, () => CheckView.Explaining(item.Subject, () => item.Diagnosed(port, results, cancellation))))
                    .Zip(ports, (item, port) => files.Html is null ? item : Kept(troubles, item, () => item.Portrayed(port, results, cancellation))),
            ];
            Report report = new(
                $"s2attn {typeof(CheckCommand).Assembly.GetName().Version!.ToString(3)}", options.Seed, options.Cases, filter, complete, watch.Elapsed,
                [.. parts.SelectMany(part => results.Where(result => result.Subject == part.Subject))],
                checkedPorts,
                variants)
            {
                Arguments = arguments,
            };
            CheckView.Summarise(verbose, report);
            troubles.AddRange(files.Write(report));
            if (reproducers is not null)
            {
                if (own)
                    arguments = [.. sources.Ports.Keys.Select(name => $"--port {name}")];
                _ = Kept(troubles, 0, () => ShowReproducers(reproducers, ReproducerFolder.Write(
                    reproducers.FullName, options, report.Results, [.. ports.Select((port, i) => new ReproducedPort(subjects[i], port, arguments[i]))], cancellation)));
            }

            foreach (string trouble in troubles)
                Console.Error.WriteLine($"s2attn: {trouble}");
            return troubles.Count > 0 || !complete ? ExitCode.Trouble : report.Conforms ? ExitCode.Holds : ExitCode.DoesNotHold;
        }
        finally
        {
            foreach (IAttentionPort port in ports)
                port.Dispose();
        }
    }

    // What comes after the rows must not cost them.
    private static T Kept<T>(List<string> troubles, T without, Func<T> work)
    {
        try
        {
            return work();
        }
        catch (Exception error) when (error is TroubleException or IOException or UnauthorizedAccessException)
        {
            troubles.Add(error.Message);
        }
        catch (Exception fault)
        {
            troubles.Add($"this is a fault of s2attn itself, please report it: {fault}");
        }

        return without;
    }

    private static int ShowReproducers(DirectoryInfo folder, IEnumerable<string> files)
    {
        int count = 0;
        foreach (string file in files)
        {
            if (count++ == 0)
            {
                Console.WriteLine();
                Console.WriteLine("reproducers:");
                Console.WriteLine();
            }

            Console.WriteLine($"  {file}");
        }

        if (count == 0)
            Console.WriteLine($"\nno reproducers in {folder}: no row of a port fails");
        return count;
    }
}
