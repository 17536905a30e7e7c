// s2attn mutants: does the suite find what is known to be wrong, with which property, and how fast?
using System.Collections.Immutable;
using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using S2Attn.Cli.Rendering;
using S2Attn.Conformance.Mutants;
using S2Attn.Conformance.Running;
using S2Attn.Reference.Upstream;
using Spectre.Console;

namespace S2Attn.Cli;

internal static class MutantsCommand
{
    private const int SomeSurvive = 1, BadUsage = 2;

    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true, PropertyNamingPolicy = JsonNamingPolicy.CamelCase };

    public static Command Create()
    {
        Option<int> seed = new("--seed") { Description = "Decides every random case.", HelpName = "NUMBER", DefaultValueFactory = _ => new SuiteOptions().Seed };
        Option<int> cases = new("--cases") { Description = "Random cases for each property.", HelpName = "NUMBER", DefaultValueFactory = _ => new SuiteOptions().Cases };
        Option<string> filter = new("--filter") { Description = "Only mutants whose name contains this text; with --pairs, only pairs of which one does, or contains one of several texts with commas between.", HelpName = "TEXT", DefaultValueFactory = _ => "" };
        Option<bool> json = new("--json") { Description = "Print JSON." };
        Option<int?> pairs = new("--pairs") { Description = "Diagnose this many pairs of defects, spread evenly over all, instead (all, where there are fewer): is each named from its answers alone? What is not named is listed.", HelpName = "NUMBER" };
        Option<string?> shard = new("--shard") { Description = "With --pairs, only this part of them, as 3/8: all parts together are the whole, whatever machine each runs on.", HelpName = "PART/PARTS" };
        shard.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<string?>() is { } text && ShardOf(text) is null)
                result.AddError($"--shard {text}: must be PART/PARTS with 1 <= PART <= PARTS, as 3/8");
        });
        Option<int?> leaveOneOut = new("--leave-one-out") { Description = "Take this many defects, spread evenly over all, out of the catalogue, one at a time, and print what is said of a port that has one, instead (a quarter of a minute each). With --filter, only defects whose name contains the text.", HelpName = "NUMBER" };
        Command command = new("mutants", "Run the properties against ports that are wrong on purpose. Exit code: 0 all are found, 1 some survive, 2 bad usage.") { seed, cases, filter, json, pairs, shard, leaveOneOut };
        NumberRange.MustBe(1, 1_000_000, cases);
        NumberRange.MustBe(1, int.MaxValue, pairs);
        NumberRange.MustBe(1, int.MaxValue, leaveOneOut);
        command.Validators.Add(result =>
        {
            if (result.GetResult(shard) is { Implicit: false } && result.GetResult(pairs) is not { Implicit: false })
                result.AddError("--shard: parts are of pairs, so --pairs must be given too");
        });
        command.SetAction((parsed, cancellation) => Task.Run(
            () => parsed.GetValue(leaveOneOut) is { } left ? RunLeaveOneOut(left, parsed.GetValue(filter) ?? "", cancellation) : parsed.GetValue(pairs) is { } count ? RunPairs(count, ShardOf(parsed.GetValue(shard) ?? "1/1")!.Value, parsed.GetValue(filter) ?? "", cancellation) : Run(
                new SuiteOptions { Seed = parsed.GetValue(seed), Cases = parsed.GetValue(cases) },
                parsed.GetValue(filter) ?? "",
                parsed.GetValue(json),
                cancellation),
            CancellationToken.None));
        return command;
    }

    private static (int Part, int Parts)? ShardOf(string text) =>
        text.Split('/') is [var first, var second] && int.TryParse(first, NumberStyles.None, CultureInfo.InvariantCulture, out int part) && int.TryParse(second, NumberStyles.None, CultureInfo.InvariantCulture, out int parts) && part >= 1 && part <= parts
            ? (part, parts)
            : null;

    private static int RunPairs(int count, (int Part, int Parts) shard, string filter, CancellationToken cancellation)
    {
        ImmutableArray<Composition> all = PairRun.With(filter);
        if (all.IsEmpty)
        {
            Console.Error.WriteLine($"s2attn: --filter {filter}: no defect has this in its name");
            return BadUsage;
        }

        ImmutableArray<Composition> pairs = PairRun.Shard(PairRun.Spread(all, count), shard.Part, shard.Parts);
        int[] outcomes = new int[Enum.GetValues<PairOutcome>().Length];
        try
        {
            foreach (PairResult result in PairRun.Of(pairs, cancellation))
            {
                outcomes[(int)result.Outcome]++;
                if (Console.IsErrorRedirected is false)
                    Console.Error.Progress($"{outcomes.Sum()} of {pairs.Length} ");
                if (result.Outcome is PairOutcome.Missed)
                    Console.WriteLine($"{result.Pair}: {result.Said}");
            }
        }
        catch (OperationCanceledException)
        {
            // What is through is said below, and the exit code that it is not all.
        }

        if (Console.IsErrorRedirected is false)
            Console.Error.Progress($"");
        int asked = outcomes.Sum(), missed = outcomes[(int)PairOutcome.Missed];
        Console.WriteLine(
            $"{asked - missed} of {asked} pairs of defects named ({all.Length} pairs {(filter.Length == 0 ? "in all" : $"with {filter}")}): {outcomes[(int)PairOutcome.Named]} exactly, "
            + $"{outcomes[(int)PairOutcome.NamedAmongOthers]} among others that give the same answers, {outcomes[(int)PairOutcome.SameAsOthers]} by as few or fewer defects that give the same answers");
        return asked < pairs.Length ? BadUsage : missed == 0 ? 0 : SomeSurvive;
    }

    private static int RunLeaveOneOut(int count, string filter, CancellationToken cancellation)
    {
        ImmutableArray<Defect> all = [.. DefectCatalogue.All.Where(defect => CheckRun.Matches(filter, defect.Name))];
        if (all.IsEmpty)
        {
            Console.Error.WriteLine($"s2attn: --filter {filter}: no defect that shows in a text has this in its name");
            return BadUsage;
        }

        int chosen = Math.Min(count, all.Length), looked = 0, named = 0, partly = 0;
        try
        {
            foreach (LeftOut left in LeaveOneOut.Of([.. Enumerable.Range(0, chosen).Select(i => all[(int)((long)i * all.Length / chosen)])], cancellation))
            {
                looked++;
                named += left.IsNamed ? 1 : 0;
                partly += left.IsNamedInPart ? 1 : 0;
                Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{left.Defect.Name} ({left.Elapsed.TotalSeconds:0} s): {string.Join(" ", left.Report.Verdict.Take(2))}"));
            }
        }
        catch (OperationCanceledException)
        {
            // What is through is said below, and the exit code that it is not all.
        }

        Console.WriteLine($"{looked} of {all.Length} defects left out: {named} called by other names at all sizes, {partly} at some, {looked - named - partly} described");
        return looked < chosen ? BadUsage : named == 0 ? 0 : SomeSurvive;
    }

    private static int Run(SuiteOptions options, string filter, bool json, CancellationToken cancellation)
    {
        ImmutableArray<Mutant> mutants = [.. MutantCatalogue.All.Where(mutant => CheckRun.Matches(filter, mutant.Name))];
        if (mutants.IsEmpty)
        {
            Console.Error.WriteLine($"s2attn: --filter {filter}: no mutant has this in its name");
            return BadUsage;
        }

        List<MutantResult> results = [];
        foreach (MutantResult result in MutationRun.UntilKilled(options, mutants, cancellation))
        {
            results.Add(result);
            if (!json && Console.IsErrorRedirected is false)
                Console.Error.Progress($"{results.Count} of {mutants.Length} ");
        }

        if (!json && Console.IsErrorRedirected is false)
            Console.Error.Progress($"");
        if (json)
            Console.Write(JsonSerializer.Serialize(
                results.Select(result => new
                {
                    result.Mutant.Name,
                    result.Mutant.Defect,
                    result.Mutant.Fix,
                    result.Mutant.SeenIn,
                    KilledBy = result.KilledBy.FirstOrDefault(""),
                    result.Cases,
                    Seconds = result.Elapsed.TotalSeconds,
                }),
                Indented) + "\n");
        else
            Show(options, results);
        return results.Count < mutants.Length ? BadUsage : results.All(result => !result.KilledBy.IsEmpty) ? 0 : SomeSurvive;
    }

    private static void Show(SuiteOptions options, List<MutantResult> results)
    {
        Table table = new Table().Border(TableBorder.Simple).AddColumns("mutant", "killed by", "cases", "ms");
        foreach (MutantResult result in results)
            table.AddRow(
                Markup.Escape(result.Mutant.Name),
                result.KilledBy.IsEmpty ? "[red]survives[/]" : Markup.Escape(result.KilledBy[0]),
                result.Cases.ToString(CultureInfo.InvariantCulture),
                result.Elapsed.TotalMilliseconds.ToString("F0", CultureInfo.InvariantCulture));
        Page.Write(table);
        Console.WriteLine(
            $"{results.Count(result => !result.KilledBy.IsEmpty)} of {results.Count} mutants killed; seed {options.Seed}, {options.Cases} cases for each property");
    }
}
