// Which experiments are there?
using System.Collections.Immutable;
using S2Attn.Experiments.Data;
using S2Attn.Experiments.Model;

namespace S2Attn.Experiments.Grid;

/// <summary>Every experiment. Sizes and seeds were fixed before the first run.</summary>
internal static class Catalogue
{
    private const int LeakSymbols = 16, LeakTokens = 32;
    private const int RecallSymbols = 16, KeyLength = 4;

    // Tokens of a text; pretrained at Pretrained. L = 2N / G, so that reach is not the limit.
    private const int Pretrained = 64, Centre = 4 * Pretrained, HalfDepth = 4;

    private static readonly int[] Lengths = [2 * Pretrained, Centre, 8 * Pretrained];

    private static readonly DecoderShape RecallShape = new(RecallSymbols, Width: 64, Layers: 4, Heads: 4, Hidden: 128);

    // Nothing leaves a group where all heads shift alike (docs/reach.md), whatever its size: text and the synthetic tasks have the rows.
    private static IEnumerable<Arm> Moved => Arm.All.Where(arm => arm.Name != "all-shifted");

    // Alternate layers and other phases are where s2-split is in text: one of them stands for all.
    private static IEnumerable<Arm> Core => Moved.Where(arm => arm != Arm.Untrained && arm.Name is not ("alternate" or "phases-4" or "rotated-4"));

    /// <summary>The experiments, in the order of the page.</summary>
    public static ImmutableArray<Experiment> All { get; } =
    [
        new()
        {
            Name = "leak",
            Question = "Does a model learn to read the future where the mask lets it? The tail of a random text repeats its head; the figure is the loss on the head, of which nothing can be known.",
            Shape = new(LeakSymbols, Width: 64, Layers: 2, Heads: 4, Hidden: 128),
            Pretrained = LeakTokens,
            Steps = 400,
            BatchTokens = 512,
            EvaluationBatches = 16,
            LearningRates = [3e-3],
            Cells = Cells(Arm.All.Where(arm => arm.Name is not ("untrained" or "no-shift-gaps")), [LeakTokens], _ => [LeakTokens / 2], [RopeScaling.None], [Tuning.Full]),
            Checkpoints = 3,
            Seeds = 1,
            Bucket = 0,
            Task = () => new LeakTask(LeakSymbols, LeakTokens / 4),
        },
        Recall("copy", "At which distances does a model that copies within 32 tokens copy after training at 64 and 128, by arm? Distances are random; evaluated with full attention.", asksAtEnd: false),
        Recall("passkey", "The same with the question always at the end of the text, and the key at a random depth.", asksAtEnd: true),
        Text(
            "text",
            "How does the loss on an unseen novel depend on the attention of training, at 2, 4 and 8 times the length of pretraining? Groups of half the text, NTK, full fine-tuning, three orders of data.",
            HalfDepth,
            Cells(Arm.All, Lengths, tokens => [tokens / 2], [RopeScaling.Ntk], [Tuning.Full])),
        Text(
            "text-quarter",
            "The same with groups of a quarter of the text, at 4 times the length of pretraining, with as many layers as reach needs.",
            2 * HalfDepth,
            Cells(Moved, [Centre], tokens => [tokens / 4], [RopeScaling.Ntk], [Tuning.Full])),
        Text(
            "text-tuning",
            "The same as text with adapters alone (LoRA), and with norms and embedding trained beside them (LoRA+), at 4 times the length of pretraining.",
            HalfDepth,
            Cells(Core, [Centre], tokens => [tokens / 2], [RopeScaling.Ntk], [Tuning.Lora, Tuning.LoraPlus])),
        Text(
            "text-interpolated",
            "The same as text with position interpolation instead of NTK.",
            HalfDepth,
            Cells([Arm.Untrained, .. Core], Lengths, tokens => [tokens / 2], [RopeScaling.Interpolated], [Tuning.Full])),
        Text(
            "text-beyond",
            "What becomes of the loss where a text goes on beyond the length of training? Trained as text at 4 times the length of pretraining, evaluated at 16 times, in slices.",
            HalfDepth,
            Cells([Arm.Untrained, .. Core], [Centre], tokens => [tokens / 2], [RopeScaling.Ntk], [Tuning.Full])) with { EvaluatedTokens = 4 * Centre },
        Text(
            "text-eighth",
            "The same with groups of an eighth of the text, at 4 times the length of pretraining, with as many layers as reach needs.",
            4 * HalfDepth,
            Cells(Moved, [Centre], tokens => [tokens / 8], [RopeScaling.Ntk], [Tuning.Full])),
        Whole("text-grid-half", "Every length, scaling and tuning with every arm, groups of half the text: the whole grid, first part.", HalfDepth, 2),
        Whole("text-grid-quarter", "The whole grid with groups of a quarter.", 2 * HalfDepth, 4),
        Whole("text-grid-eighth", "The whole grid with groups of an eighth.", 4 * HalfDepth, 8),
    ];

    /// <summary>Those that differ in the size of groups, at so many tokens.</summary>
    public static (ImmutableArray<Experiment> Experiments, int Tokens) ByGroup => ([.. All.Where(experiment => experiment.Name is "text" or "text-quarter" or "text-eighth")], Centre);

    /// <summary>The experiment of a name.</summary>
    /// <exception cref="ArgumentException">There is none; the message names those that are.</exception>
    public static Experiment Of(string name) => All.FirstOrDefault(experiment => experiment.Name == name)
        ?? throw new ArgumentException($"{name}: must be one of {string.Join(", ", All.Select(experiment => experiment.Name))}");

    // Untrained and fully attended cells know no groups: they are there once for each length.
    private static ImmutableArray<Cell> Cells(IEnumerable<Arm> arms, int[] lengths, Func<int, int[]> groups, RopeScaling[] scalings, Tuning[] tunings) =>
    [
        .. from tokens in lengths
           from scaling in scalings
           from tuning in tunings
           from arm in arms
           where arm != Arm.Untrained || tuning == Tuning.Full
           from grouped in arm.IsFull ? groups(tokens)[..1] : groups(tokens)
           select new Cell(arm, tokens, arm.IsFull ? tokens : grouped, scaling, tuning),
    ];

    private static Experiment Recall(string name, string question, bool asksAtEnd) => new()
    {
        Name = name,
        Question = question,
        Shape = RecallShape,
        Pretrained = 32,
        PretrainingSteps = 500,
        Steps = 80,
        BatchTokens = 1024,
        EvaluationBatches = 16,
        LearningRates = [1e-3],
        Cells = Cells(Arm.All, [64, 128], tokens => [tokens / 2], [RopeScaling.Ntk], [Tuning.Full]),
        Checkpoints = 3,
        Seeds = 1,
        ShowsAccuracy = true,
        Task = () => new RecallTask(RecallSymbols, KeyLength, asksAtEnd),
    };

    // Three orders of data are in the other experiments: here one, so that the whole is affordable.
    private static Experiment Whole(string name, string question, int layers, int groups) => Text(
        name,
        question,
        layers,
        Cells(Moved, Lengths, tokens => [tokens / groups], [RopeScaling.Interpolated, RopeScaling.Ntk], [Tuning.Full, Tuning.Lora, Tuning.LoraPlus]),
        seeds: 1);

    private static Experiment Text(string name, string question, int layers, ImmutableArray<Cell> cells, int seeds = 3) => new()
    {
        Name = name,
        Question = question,
        Shape = new(256, Width: 64, layers, Heads: 4, Hidden: 128),
        Pretrained = Pretrained,
        PretrainingSteps = 1200,
        Steps = 100,
        BatchTokens = 1024,
        EvaluationBatches = 16,
        LearningRates = [5e-4, 1.5e-3, 4e-3],
        AdapterRates = [1.5e-3, 4e-3, 1e-2],
        Cells = cells,
        Checkpoints = 3,
        Seeds = seeds,
        Task = Corpus.Task,
        Package = Corpus.Package,
    };
}
