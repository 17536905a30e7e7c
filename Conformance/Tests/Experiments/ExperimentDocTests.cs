// Are the tables of docs/experiments.md those of the results beside it?
using S2Attn.Experiments.Grid;
using S2Attn.Experiments.Model;
using S2Attn.Tests.Docs;

namespace S2Attn.Tests.Experiments;

public sealed class ExperimentDocTests
{
    private const string Page = "docs/experiments.md";

    private static readonly string Folder = Path.Combine(Repository.Root, "docs", "experiments");

    public static TheoryData<string> Names => [.. Catalogue.All.Select(experiment => experiment.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public void The_tables_are_those_of_the_results(string name)
    {
        Experiment experiment = Catalogue.Of(name);
        var results = Results.Read(Results.PathOf(Folder, name));
        GeneratedBlock.AssertEqualOrUpdate(Page, $"experiment-{name}", Tables.All(experiment, results));
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Results_are_of_runs_that_the_experiment_has_and_none_is_there_twice(string name)
    {
        Experiment experiment = Catalogue.Of(name);
        Run[] done = [.. Results.Read(Results.PathOf(Folder, name)).Select(result => result.Run)];
        Assert.Equal(done, done.Distinct());
        Assert.All(done, run => Assert.True(
            experiment.Cells.Contains(run.Cell) && experiment.RatesOf(run.Cell).Contains(run.LearningRate) && run.Checkpoint <= experiment.Checkpoints && run.Seed <= experiment.Seeds, $"{run}"));
    }

    [Fact]
    public void The_table_of_shares_is_that_of_the_results()
    {
        // In the order of the table: the masks, and what else closes a gap.
        Arm[] arms = [Arm.LocalCausal, Arm.Split, Arm.PositionCausal, .. Arm.All.Where(arm => arm.Name is "sinks-4" or "no-shift-gaps")];
        var all = Catalogue.All.Where(experiment => experiment.Bucket < 0).Select(experiment => (experiment, (IReadOnlyCollection<Result>)Results.Read(Results.PathOf(Folder, experiment.Name))));
        GeneratedBlock.AssertEqualOrUpdate(Page, "experiment-shares", Tables.Shares(all, arms));
    }

    [Fact]
    public void Where_two_experiments_have_a_run_in_common_it_has_the_same_bits()
    {
        var beyond = Results.Read(Results.PathOf(Folder, "text-beyond")).ToDictionary(result => result.Run, result => result.Digest);
        var shared = Results.Read(Results.PathOf(Folder, "text")).Where(result => beyond.ContainsKey(result.Run)).ToList();
        Assert.All(shared, result => Assert.Equal(result.Digest, beyond[result.Run]));
    }

    [Fact]
    public void What_the_page_says_of_the_leak_is_in_its_results()
    {
        Experiment leak = Catalogue.Of("leak");
        double chance = Math.Log(leak.Shape.Vocabulary);
        foreach (Result result in Results.Read(Results.PathOf(Folder, "leak")))
        {
            double own = result.Own.Of(leak.Bucket), full = result.Full.Of(leak.Bucket);
            Assert.True(result.Run.Cell.Arm == Arm.LocalCausal ? own < 0.1 * chance : own > 0.99 * chance, $"{result.Run}: {own} under its own mask");
            Assert.True(full > 0.99 * chance, $"{result.Run}: {full} with full attention");
        }
    }
}
