// Which runs make up an experiment?
using System.Collections.Immutable;
using System.Globalization;
using S2Attn.Experiments.Data;
using S2Attn.Experiments.Model;
using S2Attn.Experiments.Training;
using S2Attn.Spec;

namespace S2Attn.Experiments.Grid;

/// <summary>A way to go on from a checkpoint: what is compared with other ways.</summary>
internal sealed record Cell(Arm Arm, int Tokens, int Group, RopeScaling Scaling, Tuning Tuning)
{
    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Arm.Name} N={Tokens} G={Group} {Scaling} {Tuning}");
}

/// <summary>A cell, the seeds of its checkpoint and of its data, and a learning rate.</summary>
internal sealed record Run(Cell Cell, int Checkpoint, int Seed, double LearningRate)
{
    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Cell} checkpoint {Checkpoint} seed {Seed} rate {LearningRate:R}");

    /// <summary>Whether two runs differ at most in their learning rate.</summary>
    public bool IsLike(Run other) => (Cell, Checkpoint, Seed) == (other.Cell, other.Checkpoint, other.Seed);
}

/// <summary>An experiment, as data. Every run is decided by it to the last bit.</summary>
internal sealed record Experiment
{
    /// <summary>As on the command line.</summary>
    public required string Name { get; init; }

    /// <summary>What it asks.</summary>
    public required string Question { get; init; }

    /// <summary>The decoder.</summary>
    public required DecoderShape Shape { get; init; }

    /// <summary>P, tokens of a sequence in pretraining.</summary>
    public required int Pretrained { get; init; }

    /// <summary>Steps of pretraining with full attention; 0 where cells begin with a decoder that knows nothing.</summary>
    public int PretrainingSteps { get; init; }

    /// <summary>The learning rate of pretraining.</summary>
    public double PretrainingRate { get; init; } = 3e-3;

    /// <summary>Steps of each run.</summary>
    public required int Steps { get; init; }

    /// <summary>Tokens of a batch, whatever N is.</summary>
    public required int BatchTokens { get; init; }

    /// <summary>Batches of each evaluation.</summary>
    public required int EvaluationBatches { get; init; }

    /// <summary>Tokens of a text with full attention, read in slices of N; 0 where they are N. The figures with full attention are then about these texts, those with an arm's own about N.</summary>
    public int EvaluatedTokens { get; init; }

    /// <summary>The learning rates from which each cell chooses on validation, with the first checkpoint and seed.</summary>
    public required ImmutableArray<double> LearningRates { get; init; }

    /// <summary>The same of cells that train adapters, which begin at nothing and take larger steps.</summary>
    public ImmutableArray<double> AdapterRates { get; init; } = [];

    /// <summary>What is compared.</summary>
    public required ImmutableArray<Cell> Cells { get; init; }

    /// <summary>Checkpoints, by seed from 1.</summary>
    public required int Checkpoints { get; init; }

    /// <summary>Orders of the data for each checkpoint, by seed from 1.</summary>
    public required int Seeds { get; init; }

    /// <summary>The share of a cell's targets that its figure is about, as an index of the task's buckets; all where negative.</summary>
    public int Bucket { get; init; } = -1;

    /// <summary>Whether how often the likeliest token is right is what the experiment is about.</summary>
    public bool ShowsAccuracy { get; init; }

    /// <summary>Minutes of a core for all of it, before anything is measured: at what a Zen 3 core did for 2e6 operations of training a token, 13 000 tokens a second.</summary>
    public double EstimatedMinutes
    {
        get
        {
            const double OperationsPerMinute = 60 * 13_000 * 2e6;
            double perToken = 6.0 * DecoderParameters.Drawn(Shape, 0).Count;
            return perToken * BatchTokens * (Checkpoints * (double)PretrainingSteps + WithoutRefused().Count * (Steps + EvaluationBatches)) / OperationsPerMinute;
        }
    }

    /// <summary>The data of pretraining and of the cells.</summary>
    public required Func<ITask> Task { get; init; }

    /// <summary>A Debian package that the data are read from; empty where they are made.</summary>
    public string Package { get; init; } = "";

    /// <summary>The name of a package that is missing; empty where nothing is.</summary>
    public string Missing => Package.Length > 0 && !Corpus.IsInstalled ? Package : "";

    /// <summary>The learning rates that a cell chooses from.</summary>
    public ImmutableArray<double> RatesOf(Cell cell) => cell.Tuning == Tuning.Full || AdapterRates.IsEmpty ? LearningRates : AdapterRates;

    /// <summary>Every run that is needed for learning rates to be chosen: all rates, the first checkpoint and seed.</summary>
    public IEnumerable<Run> Choices => from cell in Cells
                                       from rate in IsUntrained(cell) ? LearningRates.Take(1) : RatesOf(cell)
                                       select new Run(cell, 1, 1, rate);

    /// <summary>Every run, where each cell has chosen the rate that <paramref name="chosen"/> gives. Whole rounds of all cells come one after the other.</summary>
    public IEnumerable<Run> Runs(Func<Cell, double> chosen) =>
        Choices.Concat(
            from seed in Enumerable.Range(1, Seeds)
            from checkpoint in Enumerable.Range(1, Checkpoints)
            where (checkpoint, seed) != (1, 1)
            from cell in Cells
            where !IsUntrained(cell) || seed == 1
            select new Run(cell, checkpoint, seed, IsUntrained(cell) ? LearningRates[0] : chosen(cell)));

    /// <summary>How many runs there are.</summary>
    public int Count => Runs(_ => LearningRates[0]).Count();

    /// <summary>Why the kernel cannot run a cell; empty where it can.</summary>
    public string RefusalOf(Cell cell)
    {
        try
        {
            using AttentionLayers layers = new(cell.Arm, Shape, 1, cell.Tokens, cell.Group);
            return "";
        }
        catch (ArgumentException error)
        {
            return error.Message;
        }
    }

    /// <summary>The runs of this experiment that the kernel can run.</summary>
    public Experiment WithoutRefused() => this with { Cells = [.. Cells.Where(cell => RefusalOf(cell).Length == 0)] };

    public TrainingSetup Setup(Run run) => new()
    {
        Shape = Shape,
        Arm = run.Cell.Arm,
        Tokens = run.Cell.Tokens,
        Group = run.Cell.Group,
        Pretrained = Pretrained,
        Scaling = run.Cell.Scaling,
        Tuning = run.Cell.Tuning,
        Batch = Math.Max(1, BatchTokens / run.Cell.Tokens),
        Steps = IsUntrained(run.Cell) ? 0 : Steps,
        LearningRate = run.LearningRate,
        Seed = 1000 * run.Checkpoint + run.Seed,
    };

    public TrainingSetup PretrainingSetup(int checkpoint) => new()
    {
        Shape = Shape,
        Arm = Arm.Full,
        Tokens = Pretrained,
        Group = Pretrained,
        Pretrained = Pretrained,
        Batch = Math.Max(1, BatchTokens / Pretrained),
        Steps = PretrainingSteps,
        WarmUp = 50,
        LearningRate = PretrainingRate,
        Seed = checkpoint,
    };

    private static bool IsUntrained(Cell cell) => cell.Arm == Arm.Untrained;
}
