// What is a defect? One stage of S2-Attn, wrong in one named way.
using System.Collections.Immutable;

namespace S2Attn.Reference.Upstream;

/// <summary>The stages, in the order in which defects of several are put together.</summary>
public enum Stage
{
    /// <summary>How q, k and v become heads.</summary>
    Entry,

    /// <summary>Which heads shift.</summary>
    Heads,

    /// <summary>By how much they shift, forward and back.</summary>
    Amount,

    /// <summary>Which shift the kv heads get.</summary>
    KvShift,

    /// <summary>How q, k and v are rolled.</summary>
    Roll,

    /// <summary>Which of q, k and v are rolled.</summary>
    Rolled,

    /// <summary>How the halves of the heads of q, k and v are joined after the roll.</summary>
    Halves,

    /// <summary>Which kv head and batch entry a query head reads.</summary>
    KvHead,

    /// <summary>How the rolled tensors are cut into groups.</summary>
    Regroup,

    /// <summary>Which policy the mask applies.</summary>
    Policy,

    /// <summary>Where the mask begins and ends.</summary>
    Edge,

    /// <summary>Which keys count as padded.</summary>
    Padding,

    /// <summary>What a row that sees no key is.</summary>
    Empty,

    /// <summary>Which visible keys are read.</summary>
    Walk,

    /// <summary>The factor of q.k.</summary>
    Scale,

    /// <summary>Over what the softmax runs.</summary>
    Softmax,

    /// <summary>How the groups are joined again.</summary>
    Ungroup,

    /// <summary>How o is rolled back.</summary>
    Unshift,

    /// <summary>How the heads become o.</summary>
    Join,

    /// <summary>Which rows are written.</summary>
    Rows,

    /// <summary>The logsumexp.</summary>
    LogSum,

    /// <summary>Where gradients are written.</summary>
    BackwardMap,

    /// <summary>The factors of gradients.</summary>
    BackwardScale,

    /// <summary>How gradients of shared kv heads are joined.</summary>
    BackwardJoin,

    /// <summary>Of a grid of tokens: on which axes they stand.</summary>
    GridAxes,

    /// <summary>Of a grid: which heads shift.</summary>
    GridHeads,

    /// <summary>Of a grid: by how much each axis shifts, forward, in the mask and back.</summary>
    GridAmount,

    /// <summary>Of a grid: how it is rolled.</summary>
    GridRoll,

    /// <summary>Of a grid: how it is cut into windows.</summary>
    GridCut,

    /// <summary>Of a grid: what becomes of what fills short last windows up.</summary>
    GridFill,

    /// <summary>Of a grid: what the mask of shifted windows hides.</summary>
    GridMask,

    /// <summary>Of a grid: which token counts as later.</summary>
    GridOrder,

    /// <summary>Of a grid: how windows are joined.</summary>
    GridJoin,

    /// <summary>Of a grid: how o is rolled back.</summary>
    GridUnroll,

    /// <summary>Of a grid: where gradients are written.</summary>
    GridGradient,

    /// <summary>Of a prefix: which heads have one.</summary>
    PrefixHeads,

    /// <summary>Of a prefix: how many tokens it has.</summary>
    PrefixLength,

    /// <summary>Of a prefix: which tokens it has.</summary>
    PrefixPlace,

    /// <summary>Of a prefix: which queries see which of its tokens.</summary>
    PrefixOrder,

    /// <summary>Of a prefix: which of its keys count as padded.</summary>
    PrefixPadding,

    /// <summary>Of a prefix: how often a key counts that the policy shows too.</summary>
    PrefixCount,

    /// <summary>Of a prefix: what flows back through it.</summary>
    PrefixGradient,
}

/// <summary>One way in which one stage goes wrong. Adding a value to a file of the folder Defects adds its port, its diagnosis, its advice and its row in docs/mutants.md.</summary>
/// <param name="Name">Its name in reports, and behind "mutant:".</param>
/// <param name="Stage">The stage.</param>
/// <param name="What">What is wrong, in one sentence.</param>
/// <param name="Fix">What the author of such a port is to change, in one sentence.</param>
/// <param name="Apply">The wrong stage, put into stages that may be wrong elsewhere.</param>
public sealed record Defect(string Name, Stage Stage, string What, string Fix, Func<Stages, Stages> Apply)
{
    /// <summary>What stands for the source of a defect that was seen nowhere.</summary>
    public const string Constructed = "constructed";

    /// <summary>Where it was seen; else it is made up from what the definition makes easy to get wrong.</summary>
    public string SeenIn { get; init; } = Constructed;

    /// <summary>Other names of the same.</summary>
    public ImmutableArray<string> Aliases { get; init; } = [];

    /// <summary>Whether it was seen in code that people use.</summary>
    public bool IsSeen => SeenIn != Constructed;

    /// <summary>Whether it only shows where some key is padded.</summary>
    public bool NeedsPadding => Stage is Stage.Padding or Stage.Empty;

    /// <summary>Whether it only shows in the gradients.</summary>
    public bool IsBackward => Stage is >= Stage.BackwardMap and <= Stage.BackwardJoin or Stage.GridGradient or Stage.PrefixGradient;

    /// <summary>Whether it only shows where tokens stand on several axes.</summary>
    public bool IsOfGrids => Stage is >= Stage.GridAxes and <= Stage.GridGradient;

    /// <summary>Whether it only shows where the text has a prefix.</summary>
    public bool IsOfPrefixes => Stage >= Stage.PrefixHeads;

    /// <inheritdoc/>
    public override string ToString() => Name;
}

/// <summary>Defects of different stages, together.</summary>
public sealed record Composition
{
    private readonly Lazy<Stages> stages;

    private Composition(ImmutableArray<Defect> defects) =>
        (Defects, stages) = (defects, new(() => defects.Aggregate(Stages.Definition, (stages, defect) => defect.Apply(stages))));

    /// <summary>Nothing is wrong.</summary>
    public static Composition Definition { get; } = new([]);

    /// <summary>In the order of the stages.</summary>
    public ImmutableArray<Defect> Defects { get; }

    /// <summary>The names, joined by +.</summary>
    public string Name => Defects.IsEmpty ? "definition" : string.Join("+", Defects.Select(defect => defect.Name));

    /// <summary>Puts defects together.</summary>
    /// <exception cref="ArgumentException">Two are of one stage.</exception>
    public static Composition Of(params IEnumerable<Defect> defects) => TryOf(defects, out Composition composition)
        ? composition
        : throw new ArgumentException($"Two of {string.Join(", ", defects)} are of one stage.", nameof(defects));

    /// <summary>Puts defects together, unless two are of one stage.</summary>
    public static bool TryOf(IEnumerable<Defect> defects, out Composition composition)
    {
        ArgumentNullException.ThrowIfNull(defects);
        ImmutableArray<Defect> ordered = [.. defects.OrderBy(defect => defect.Stage)];
        composition = new(ordered);
        for (int i = 1; i < ordered.Length; i++)
            if (ordered[i - 1].Stage == ordered[i].Stage)
                return false;
        return true;
    }

    /// <summary>The stages of the definition with the defects in their places.</summary>
    public Stages Build() => stages.Value;

    /// <inheritdoc/>
    public override string ToString() => Name;
}
