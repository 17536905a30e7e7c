// Does an experiment that is stopped anywhere and resumed leave the results of one that was not?
using System.Collections.Immutable;
using S2Attn.Experiments.Data;
using S2Attn.Experiments.Grid;
using S2Attn.Experiments.Model;

namespace S2Attn.Tests.Experiments;

public sealed class RunnerTests : IDisposable
{
    private static readonly Experiment Small = new()
    {
        Name = "small",
        Question = "",
        Shape = new(Vocabulary: 16, Width: 32, Layers: 1, Heads: 2, Hidden: 32),
        Pretrained = 8,
        PretrainingSteps = 5,
        Steps = 6,
        BatchTokens = 32,
        EvaluationBatches = 1,
        LearningRates = [1e-3, 1e-2],
        Cells = [.. new[] { Arm.Untrained, Arm.Split, Arm.NoShift }.Select(arm => new Cell(arm, 16, arm.IsFull ? 16 : 8, RopeScaling.Ntk, Tuning.LoraPlus))],
        Checkpoints = 2,
        Seeds = 1,
        Task = () => new LeakTask(16, 4),
    };

    private readonly string folder = Directory.CreateTempSubdirectory("s2attn-experiments-").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public void A_stop_at_any_step_costs_no_result_and_changes_none()
    {
        int steps = 0;
        New("whole", _ => steps++).GoOn("", default);
        Assert.Equal(Small.Checkpoints * Small.PretrainingSteps + (Small.Count - 2) * Small.Steps, steps);
        int stops = 0, stopAfter = 1;
        while (true)
        {
            using CancellationTokenSource stop = new();
            int here = 0;
            try
            {
                New("stopped", _ =>
                {
                    if (++here == stopAfter)
                        stop.Cancel();
                }).GoOn("", stop.Token);
                break;
            }
            catch (OperationCanceledException)
            {
                stops++;
                stopAfter = 1 + stops % 4;
            }
        }

        Assert.True(stops > 10);
        ImmutableArray<Result> whole = Read("whole"), stopped = Read("stopped");
        Assert.Equal(Small.Count, whole.Length);
        Assert.Equal(whole.Select(Line), stopped.Select(Line));

        static string Line(Result result) => $"{result.Run} {result.Digest} {result.Validation} {result.Full.All} {string.Join(' ', result.Curve)} {string.Join(' ', result.Accuracy)}";
    }

    [Fact]
    public void A_run_repeats_its_bits_without_the_folder_of_work()
    {
        New("whole", _ => { }).GoOn("", default);
        Result before = Read("whole")[^1];
        Assert.Equal(before.Digest, New("again", _ => { }).Repeat(before.Run, default).Digest);
    }

    [Fact]
    public void Experiments_on_the_same_texts_share_their_checkpoints()
    {
        List<string> begun = [];
        foreach (string name in new[] { "first", "second" })
        {
            Experiment experiment = Small with { Name = name, Package = "texts" };
            new Runner(experiment, folder, Path.Combine(folder, "work"), "commit", progress => begun.Add($"{name}: {progress.Run}")).GoOn("", default);
        }

        Assert.Equal(Small.Checkpoints * Small.PretrainingSteps, begun.Count(run => run.StartsWith("first: pretraining", StringComparison.Ordinal)));
        Assert.DoesNotContain(begun, run => run.StartsWith("second: pretraining", StringComparison.Ordinal));
        ImmutableArray<Result> first = Results.Read(Results.PathOf(folder, "first")), second = Results.Read(Results.PathOf(folder, "second"));
        Assert.Equal(first.Select(result => result.Digest), second.Select(result => result.Digest));
    }

    [Fact]
    public void Each_cell_takes_the_rate_that_validates_best_for_its_other_runs()
    {
        New("whole", _ => { }).GoOn("", default);
        ImmutableArray<Result> results = Read("whole");
        foreach (Cell cell in Small.Cells.Where(cell => cell.Arm != Arm.Untrained))
        {
            double best = results.Where(result => result.Run.Cell == cell && result.Run.Checkpoint == 1).MinBy(result => result.Validation)!.Run.LearningRate;
            Assert.Equal([best], results.Where(result => result.Run.Cell == cell && result.Run.Checkpoint == 2).Select(result => result.Run.LearningRate));
        }
    }

    [Fact]
    public void Runs_can_be_chosen_by_name_but_not_before_their_learning_rate()
    {
        New("part", _ => { }).GoOn("s2-split", default);
        Assert.All(Read("part"), result => Assert.Equal("s2-split", result.Run.Cell.Arm.Name));
        Assert.Equal(3, Read("part").Length);
        Assert.Contains("no run of small has this in its name", Assert.Throws<ArgumentException>(() => New("part", _ => { }).GoOn("nobody", default)).Message, StringComparison.Ordinal);
        Assert.Contains("has not chosen its learning rate yet", Assert.Throws<ArgumentException>(() => New("part", _ => { }).GoOn("no-shift N=16 G=8 Ntk LoraPlus checkpoint 2", default)).Message, StringComparison.Ordinal);
        New("part", _ => { }).GoOn("", default);
        Assert.Equal(Small.Count, Read("part").Length);
    }

    [Fact]
    public void Results_that_could_not_be_written_end_an_experiment_before_its_first_step()
    {
        string taken = Path.Combine(folder, "taken");
        File.WriteAllText(taken, "");
        bool hasStepped = false;
        Assert.ThrowsAny<IOException>(() => new Runner(Small, taken, Path.Combine(folder, "work"), "commit", _ => hasStepped = true).GoOn("", default));
        Assert.False(hasStepped);
    }

    [Fact]
    public void An_arm_that_the_kernel_refuses_is_left_out_and_named()
    {
        Cell odd = new(Arm.PositionCausal, 16, 5, RopeScaling.None, Tuning.Full);
        Experiment experiment = Small with { Cells = Small.Cells.Add(odd) };
        Assert.Contains("GroupSize = 5", experiment.RefusalOf(odd), StringComparison.Ordinal);
        Assert.Equal(Small.Cells.AsEnumerable(), experiment.WithoutRefused().Cells.AsEnumerable());
    }

    [Theory]
    [InlineData("", "its first line must be")]
    [InlineData("full,1", "line 2: it has 2 fields")]
    [InlineData("nobody,16,8,Ntk,Full,1,1,0.001,1,1,1,1,1,1,1,ab,cd,here,1", "line 2: arm nobody is not known")]
    [InlineData("full,16,8,Ntk,Full,1,1,0.001,1,x,1,1,1,1,1,ab,cd,here,1", "line 2: The input string 'x'")]
    [InlineData("full,0,8,Ntk,Full,1,1,0.001,1,1,1,1,1,1,1,ab,cd,here,1", "line 2: 0 must be at least 1")]
    [InlineData("full,16,8,7,Full,1,1,0.001,1,1,1,1,1,1,1,ab,cd,here,1", "line 2: 7 must be one of None, ")]
    [InlineData("full,16,8,Ntk,Full,1,1,0.001,1,1,1 1,1,1 1,1,1,ab,cd,here,1", "line 2: there must be as many figures in full_by_bucket, own_by_bucket and accuracy_by_bucket, but there are 2, 2 and 1")]
    [InlineData("full,16,8,Ntk,Full,1,1,0.001,1,1,1,1,1,1,1,ab,cd,here,1\nfull,16,8,Ntk,Full,1,1,0.001,1,1,1,1,1,1,1,ab,cd,here,1", "line 3: full N=16 G=8 Ntk Full checkpoint 1 seed 1 rate 0.001 stands there twice")]
    public void A_broken_line_of_results_is_named(string line, string expected)
    {
        string path = Path.Combine(folder, "broken.csv");
        Results.Write(path, []);
        File.WriteAllText(path, line.Length == 0 ? "" : File.ReadAllText(path) + line + "\n");
        Assert.Contains(expected, Assert.Throws<FormatException>(() => Results.Read(path)).Message, StringComparison.Ordinal);
    }

    private Runner New(string name, Action<RunProgress> report) => new(Small, Path.Combine(folder, name), Path.Combine(folder, name, "work"), "commit", report);

    private ImmutableArray<Result> Read(string name) => Results.Read(Results.PathOf(Path.Combine(folder, name), Small.Name));
}
