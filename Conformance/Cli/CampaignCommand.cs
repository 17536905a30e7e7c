// s2attn campaign: long runs of the kernels against Reference, its error bound and double.
using System.Collections.Immutable;
using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using S2Attn.Conformance.Campaigns;
using S2Attn.Conformance.Ports;
using S2Attn.Optimized;
using S2Attn.Spec;

namespace S2Attn.Cli;

internal static class CampaignCommand
{
    public static Command Create() => new("campaign", "Try the kernels longer than tests do. Exit code 1 means that something disagreed.")
    {
        Agreement(),
        Exponential(),
        Hostile(),
        Longest(),
        Paths(),
        Soak(),
    };

    private static Command Agreement()
    {
        Option<int> cases = Positive("--cases", "Random cases for each register width.", 300);
        Option<int> seed = new("--seed") { Description = "The same seed gives the same cases.", DefaultValueFactory = _ => 1 };
        Option<int> maxTokens = Positive("--max-tokens", "The largest N.", 512);
        Option<int> maxDim = Positive("--max-dim", "The largest D.", 256);
        Command command = new("agreement", "Random shapes, masks, formats and values, forward and backward, within the error bound.") { cases, seed, maxTokens, maxDim };
        command.SetAction(result =>
        {
            Console.WriteLine(KernelPaths.Describe());
            return EachHolds(KernelPaths.Widths, width =>
            {
                using OptimizedPort port = new(new S2AttentionOptions { VectorWidth = width, Threads = 2 });
                CampaignReport report = AgreementCampaign.Run(
                    port, OptimizedPort.ModelOf, result.GetValue(cases), result.GetValue(seed), result.GetValue(maxTokens), result.GetValue(maxDim));
                Console.WriteLine($"{width}: {report.Cases} cases, {report.Failures.Length} outside of the bound; the least and the largest error / bound:");
                foreach (WorstShare share in report.Worst)
                    Console.WriteLine(FormattableString.Invariant($"  {share.Tensor,-3} {share.Type,-4} {share.Least:0.0e-0} {share.Ratio:0.000}  {share.Case}{(share.IsLoose ? $"  LOOSE: never used to {WorstShare.Loose}" : "")}"));
                foreach (string failure in report.Failures)
                    Console.WriteLine($"  FAILED {failure}");
                return report.Failures.IsEmpty && !report.Worst.Any(share => share.IsLoose);
            });
        });
        return command;
    }

    private static Command Exponential()
    {
        Option<bool> all = new("--all") { Description = "Every float from -150 to 0, not only the reduced arguments of magnitude 2^-12 and more." };
        Command command = new("exp", "The relative error of the kernels' 2^x, float by float.") { all };
        command.SetAction(result =>
        {
            Console.WriteLine(KernelPaths.Describe());
            return EachHolds(KernelPaths.Widths, width =>
            {
                ExponentialReport report = result.GetValue(all)
                    ? ExponentialCampaign.Measure(width, ExponentialCampaign.Lowest, 0)
                    : ExponentialCampaign.Measure(width, -1.5f, -MathF.ScaleB(1, -12));
                Console.WriteLine(FormattableString.Invariant(
                    $"{width}: {report.Arguments} floats, relative error at most {report.WorstRelative:G4} (at {report.WorstArgument:R}; the bound assumes {OptimizedPort.PowerOfTwoError:G4}), below the normal range {report.WorstAbsolute:G3} absolute"));
                return report.WorstRelative <= OptimizedPort.PowerOfTwoError && report.WorstAbsolute <= Math.ScaleB(1, -126);
            });
        });
        return command;
    }

    private static Command Hostile()
    {
        Option<int> cases = Positive("--cases", "Inputs of each kind.", 20_000);
        Option<int> seed = new("--seed") { Description = "The same seed gives the same inputs.", DefaultValueFactory = _ => 1 };
        Command command = new("hostile", "Replies, declarations, manifests and reports that somebody broke: read, or refused in words.") { cases, seed };
        command.SetAction(result => EachHolds(HostileCampaign.Run(result.GetValue(cases), result.GetValue(seed)), report =>
        {
            Console.WriteLine($"{report.Input,-26} {report.Tried} tried, {report.Accepted} read, {report.Tried - report.Accepted} refused");
            foreach (string failure in report.Failures)
                Console.WriteLine($"  FAILED {failure}");
            return report.Failures.IsEmpty;
        }));
        return command;
    }

    private static Command Longest()
    {
        Option<int> tokens = Positive("--tokens", "N; a multiple of 4, in groups of a quarter.", 100_000);
        Option<int> rows = Positive("--rows", "Rows that are compared with Reference, beside those at the borders.", 40);
        Option<MaskPolicy> mask = new("--mask") { Description = "The mask policy.", DefaultValueFactory = _ => MaskPolicy.LocalCausal };
        Option<bool> backward = new("--backward") { Description = "Also the backward pass, checked by adjoint identities." };
        Command command = new("longest", "The paper's longest sequence: H = 4, D = 128, sampled rows against Reference.") { tokens, rows, mask, backward };
        command.SetAction(result =>
        {
            switch (S2Config.TryCreate(new() { Tokens = result.GetValue(tokens), Heads = 4, HeadDim = 128, GroupSize = GroupSizeRule.LongLora, Mask = result.GetValue(mask) }))
            {
                case ConfigResult.Valid valid:
                    LongestReport report = LongestCampaign.Run(valid.Config, result.GetValue(rows), result.GetValue(backward), seed: 1);
                    Console.WriteLine(FormattableString.Invariant(
                        $"{valid.Config.Mask} N={valid.Config.Tokens} G={valid.Config.GroupSize}: forward {report.ForwardSeconds:0.0} s, {report.Rows} rows, error / bound at most {report.WorstRatio:G3}, adjoint defect {report.WorstAdjoint:G3}"));
                    return report.WorstRatio <= 1 && report.WorstAdjoint <= LongestCampaign.AdjointTolerance ? 0 : 1;
                case var invalid:
                    Console.Error.WriteLine($"s2attn campaign longest: --tokens {result.GetValue(tokens)}, in groups of a quarter: {invalid}");
                    return 2;
            }
        });
        return command;
    }

    private static Command Paths()
    {
        Option<int> cases = Positive("--cases", "Random cases for each path and width.", 60);
        Option<int> maxTokens = Positive("--max-tokens", "The largest N.", 64);
        Command command = new("paths", "agreement and exp once more under each switch of the runtime that selects another path.") { cases, maxTokens };
        command.SetAction(result =>
        {
            string[][] campaigns = [["agreement", "--cases", $"{result.GetValue(cases)}", "--max-tokens", $"{result.GetValue(maxTokens)}"], ["exp"]];
            return EachHolds(KernelPaths.Switches.SelectMany(_ => campaigns, (path, arguments) => (path, arguments)), item =>
            {
                Console.WriteLine($"== {item.path}: {string.Join(" ", item.arguments)}");
                return RunAgain(item.path, item.arguments) == ExitCode.Holds;
            });
        });
        return command;
    }

    private static Command Soak()
    {
        Option<double> minutes = new("--minutes") { Description = "How long.", DefaultValueFactory = _ => 10 };
        NumberRange.MustBeAbove0(10_000, minutes);
        Option<int> threads = Positive("--threads", "Threads that use plans at once.", 6);
        Option<int> seed = new("--seed") { Description = "The same seed draws the same operations.", DefaultValueFactory = _ => 1 };
        Command command = new("soak", "Plans created, called, cancelled, interrupted, disposed of and abandoned on many threads; ends with the threads and memory it began with.") { minutes, threads, seed };
        command.SetAction(result =>
        {
            SoakReport report = SoakCampaign.Run(TimeSpan.FromMinutes(result.GetValue(minutes)), result.GetValue(threads), result.GetValue(seed));
            foreach ((string name, long count) in report.Operations)
                Console.WriteLine(FormattableString.Invariant($"{count,10} {name}"));
            foreach ((string name, SoakHoldings held) in new[] { ("began", report.Before), ("half way", report.Middle), ("ended", report.After) })
                Console.WriteLine(FormattableString.Invariant(
                    $"{name,-8} with {held.Threads} threads, {held.PlanBytes} bytes of plans, {held.ManagedBytes / 1048576.0:0.0} MiB of managed and {held.ResidentBytes / 1048576.0:0.0} MiB of resident memory"));
            foreach (string failure in report.Failures)
                Console.WriteLine($"FAILED {failure}");
            if (!report.LevelsOff)
                Console.WriteLine("FAILED memory went on to grow in the second half");
            return report.EndsAsItBegan ? 0 : 1;
        });
        return command;
    }

    /// <summary>Runs every part of a campaign, also behind one that does not hold, so that all is told that disagrees.</summary>
    internal static int EachHolds<T>(IEnumerable<T> parts, Func<T, bool> holds)
    {
        bool[] held = [.. parts.Select(holds)];
        return held.Contains(false) ? ExitCode.DoesNotHold : ExitCode.Holds;
    }

    private static int RunAgain(PathSwitch path, string[] arguments)
    {
        ImmutableArray<string> command = SelfCommand.With(["campaign", .. arguments]);
        ProcessStartInfo start = new(command[0], command[1..]);
        if (path.Variable.Length > 0)
            start.Environment[path.Variable] = path.Value;
        using Process child = Process.Start(start) ?? throw new InvalidOperationException($"{command[0]} did not start.");
        child.WaitForExit();
        return child.ExitCode;
    }

    private static Option<int> Positive(string name, string description, int value)
    {
        Option<int> option = new(name) { Description = description, DefaultValueFactory = _ => value };
        NumberRange.MustBe(1, int.MaxValue, option);
        return option;
    }
}
