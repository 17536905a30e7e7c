// What goes wrong where tokens stand on several axes: which axes and heads, the rolls, the windows, their masks, and the way back?
using System.Collections.Immutable;
using S2Attn.Spec;

namespace S2Attn.Reference.Upstream;

internal static class GridDefects
{
    private const string RollAll = "Roll every axis by -S before the windows are cut, as torch.roll(x, shifts=(-s, -s), dims=(1, 2)).";
    private const string RollBackAll = "Roll every axis back by +S once the windows are joined, as torch.roll(x, shifts=(s, s), dims=(1, 2)).";
    private const string CutWindows = "Reshape [rows, columns] to [rows / g, g, columns / g, g] and transpose the inner two axes, so that the tokens of a window stand together, before it is reshaped to windows.";
    private const string MaskAll = "Hide what is of another run on any axis: number the regions on every axis, and compare them after the windows are cut.";

    public static ImmutableArray<Defect> All { get; } =
    [
        Axes("grid-axes-swapped", "Rows and columns are swapped: the axes are read in reversed order.", "View tokens as [B, rows, columns, ...]: the slowest axis is the first.",
            axes => [.. axes.Reverse()]),
        Axes("grid-windows-transposed", "Windows are transposed: each axis has the window and the shift of the axis at the other end.", "Give rows the first size of a window and columns the second, where windows are cut and where they are joined.",
            axes => [.. axes.Zip(axes.Reverse(), (axis, other) => axis with { GroupSize = other.GroupSize, Shift = other.Shift })]),
        Axes("grid-one-window-for-all-axes", "Every axis is cut by the window of the last one.", "Keep a window size for each axis.",
            axes => [.. axes.Select(axis => axis with { GroupSize = axes[^1].GroupSize, Shift = Math.Min(axis.Shift, axes[^1].GroupSize - 1) })]),
        Axes("grid-as-a-text", "The axes are not looked at: all tokens are one group.", "Cut the tokens into windows on every axis, by the axes of the request.",
            axes => [new(axes.Aggregate(1, (product, axis) => product * axis.Tokens), axes.Aggregate(1, (product, axis) => product * axis.Tokens), 0)]),
        Axes("grid-windows-of-the-raster", "Windows are runs of the raster, as many tokens as a window has, instead of parts of every axis.", "Cut every axis by its own window.",
            axes => [new(axes.Aggregate(1, (product, axis) => product * axis.Tokens), axes.Aggregate(1, (product, axis) => product * axis.GroupSize), 0)]),
        Heads("grid-heads-swapped", "What shifts and what does not are swapped: heads, or layers, that should stay in place shift, and those that should shift stay.",
            "Shift where it is asked for: in Swin's layers 1, 3, ... counted from 0, not in 0, 2, ...", (_, _, shifts) => !shifts),
        Heads("grid-every-head-shifts", "Every head shifts, also those that should stay in place.", "Shift only the heads, or the layers, for which it is asked.", (_, _, _) => true),
        Amount("grid-shift-by-window", "No window is shifted: the shift is missing, or is a whole window, which moves no border.", "Shift by S of each axis, half of its window, in the heads and layers that shift.", (_, _) => 0)
            with { Aliases = ["grid-never-shifts"] },
        Amount("grid-shift-is-half", "Each axis shifts by half of its window, whatever shift was asked for.", "Take the shift from the request, or declare \"fixed\":{\"shift\":\"half\"}.", (axes, axis) => axes[axis].GroupSize / 2),
        Amount("grid-shifts-one-axis", "The first axis alone is shifted: rolls and mask leave the others in place.", "Shift every axis by its own S, forward, in the mask and back.", (axes, axis) => axis == 0 ? axes[axis].Shift : 0),
        Amount("grid-shifts-last-axis", "The last axis alone is shifted: rolls and mask leave the others in place.", "Shift every axis by its own S, forward, in the mask and back.",
            (axes, axis) => axis == axes.Length - 1 ? axes[axis].Shift : 0),
        Amount("grid-one-shift-for-all-axes", "Every axis shifts by S of the first one.", "Keep a shift for each axis.", (axes, axis) => axes[0].Shift % axes[axis].GroupSize),
        Amount("grid-single-window-stays", "An axis that has a single window is not shifted.", "Shift it as the others, which cuts the window at S; or ask for S = 0 there, as Swin does.",
            (axes, axis) => axes[axis].Tokens <= axes[axis].GroupSize ? 0 : axes[axis].Shift)
            with { SeenIn = "Video-Swin-Transformer's get_window_size" },
        Amount("grid-single-window-stops-all", "Where an axis has a single window none is shifted.", "Shift every axis by its own S, a single window too; or ask for S = 0, as Swin does.",
            (axes, axis) => axes.Any(other => other.Tokens <= other.GroupSize) ? 0 : axes[axis].Shift)
            with { SeenIn = "Swin-Transformer's SwinTransformerBlock: if min(self.input_resolution) <= self.window_size" },
        Roll("grid-not-rolled", "Nothing is rolled before the windows are cut, yet the result is rolled back.", RollAll, (_, _, _) => 0),
        Roll("grid-rolled-on-first-axis", "The first axis alone is rolled before the windows are cut, all are rolled back.", RollAll, (axis, _, shift) => axis == 0 ? shift : 0),
        Roll("grid-rolled-on-last-axis", "The last axis alone is rolled before the windows are cut, all are rolled back.", RollAll, (axis, axes, shift) => axis == axes - 1 ? shift : 0),
        new("grid-rolled-forwards", Stage.GridRoll, "Axes are rolled by +S and back by -S, so that other tokens share a window than the mask was built for.", RollAll,
            stages => stages with { Grid = stages.Grid with { Rolled = (_, _, shift) => -shift, Unrolled = (_, _, shift) => -shift } }),
        Grid("grid-windows-without-transpose", Stage.GridCut, "Windows are cut and joined by reshapes without a transpose, so that a window is a run of the rolled raster.", CutWindows,
            grid => grid with { CutsRuns = true, JoinsRuns = true }),
        Grid("grid-cut-without-transpose", Stage.GridCut, "Windows are cut by a reshape without a transpose, and joined with one.", CutWindows, grid => grid with { CutsRuns = true }),
        Grid("grid-fill-is-seen", Stage.GridFill, "What fills short last windows up is seen: zeros count as keys of score 0 and value 0.", "Give what fills up a region of its own in the mask, in windows that are not shifted too.",
            grid => grid with { SeesFill = true })
            with { SeenIn = "Video-Swin-Transformer's forward_part1: F.pad before the windows are cut" },
        Policy("grid-mask-missing", "The mask of shifted windows is missing: tokens see each other over the wrapped border on every axis.", MaskAll,
            mask => mask switch { MaskPolicy.Split => MaskPolicy.PositionCausal, MaskPolicy.BidirectionalSplit => MaskPolicy.Bidirectional, _ => mask }),
        Mask("grid-mask-of-first-axis", "The mask compares runs on the first axis alone: tokens see each other over the wrapped borders of the others.", MaskAll, grid => grid with { ComparesRuns = (axis, _) => axis == 0 }),
        Mask("grid-mask-of-last-axis", "The mask compares runs on the last axis alone: tokens see each other over the wrapped borders of the others.", MaskAll, grid => grid with { ComparesRuns = (axis, axes) => axis == axes - 1 }),
        Mask("grid-mask-in-every-head", "Heads that do not shift get the mask of those that do.", "Use the mask of shifted windows only where the windows are shifted.", grid => grid with { MasksEveryHead = true }),
        Mask("grid-mask-of-another-window", "Where a batch holds several entries windows get the masks of others: the mask is laid over [windows, batch], the tensors are [batch, windows].",
            "View scores as [batch, windows, heads, tokens, tokens] before the mask [windows, tokens, tokens] is added.", grid => grid with { MixesMasks = true }),
        Order("grid-causal-by-windows", "Under PositionCausal what is rolled later counts as later, instead of what is later in the raster of tokens.", "Compare the places of the tokens before they were rolled.",
            grid => grid with { Policy = mask => grid.Policy(mask) is MaskPolicy.PositionCausal ? MaskPolicy.LocalCausal : grid.Policy(mask) }),
        Order("grid-causal-by-tokens", "Under LocalCausal what is later in the raster of tokens counts as later, instead of what is rolled later.", "Compare the rolled places, axis by axis.",
            grid => grid with { Policy = mask => grid.Policy(mask) is MaskPolicy.LocalCausal ? MaskPolicy.PositionCausal : grid.Policy(mask) }),
        Order("grid-causal-on-every-axis", "A causal policy hides what is after the query on any axis, instead of what is after it in raster order.", "Compare the places in raster order: an earlier row may hold later columns.",
            grid => grid with { OrdersEveryAxis = true }),
        Order("grid-not-causal", "Causal policies hide nothing: every token of a window is seen.", "Hide what is after the query in raster order.", grid => grid with
        {
            Policy = mask => grid.Policy(mask) switch { MaskPolicy.Split => MaskPolicy.BidirectionalSplit, var policy => policy.IsCausal() ? MaskPolicy.Bidirectional : policy },
        }),
        Grid("grid-joined-without-transpose", Stage.GridJoin, "Windows are cut with a transpose, and joined by a reshape without one.",
            "Join windows by the reverse of what cuts them: reshape to [rows / g, columns / g, g, g], transpose the inner two axes, reshape to [rows, columns].", grid => grid with { JoinsRuns = !grid.JoinsRuns }),
        Unroll("grid-not-rolled-back", "The result is not rolled back.", RollBackAll, (_, _, _) => 0),
        Unroll("grid-rolled-back-on-first-axis", "The result is rolled back on the first axis alone.", RollBackAll, (axis, _, shift) => axis == 0 ? shift : 0),
        Unroll("grid-rolled-back-on-last-axis", "The result is rolled back on the last axis alone.", RollBackAll, (axis, axes, shift) => axis == axes - 1 ? shift : 0),
        Unroll("grid-rolled-back-again", "The result is rolled by -S once more instead of back by +S.", RollBackAll, (_, _, shift) => -shift),
        Grid("grid-gradients-not-rolled-back", Stage.GridGradient, "dq, dk and dv stay where the rolled tokens stand.", "Roll dq, dk and dv back by +S on every axis, as o.", grid => grid with { LeavesGradients = true }),
        Grid("grid-dk-of-shifted-heads-only", Stage.GridGradient, "dk lacks what heads that do not shift give to it.", "Add dk over all query heads of a kv head, shifted or not.", grid => grid with { DropsKeyGradients = true }),
    ];

    private static Defect Grid(string name, Stage stage, string what, string fix, Func<GridStages, GridStages> change) => new(name, stage, what, fix, stages => stages with { Grid = change(stages.Grid) });

    private static Defect Axes(string name, string what, string fix, Func<ImmutableArray<GridAxis<int>>, ImmutableArray<GridAxis<int>>> axes) =>
        Grid(name, Stage.GridAxes, what, fix, grid => grid with { Axes = axes });

    private static Defect Heads(string name, string what, string fix, Func<S2Config, int, bool, bool> shifts) => Grid(name, Stage.GridHeads, what, fix,
        grid => grid with { Shifts = (config, head) => shifts(config, head, grid.Shifts(config, head)) });

    private static Defect Amount(string name, string what, string fix, Func<ImmutableArray<GridAxis<int>>, int, int> amount) => Grid(name, Stage.GridAmount, what, fix, grid => grid with { Amount = amount });

    private static Defect Roll(string name, string what, string fix, Func<int, int, int, int> rolled) => Grid(name, Stage.GridRoll, what, fix, grid => grid with { Rolled = rolled });

    private static Defect Policy(string name, string what, string fix, Func<MaskPolicy, MaskPolicy> policy) => Mask(name, what, fix, grid => grid with { Policy = policy });

    private static Defect Mask(string name, string what, string fix, Func<GridStages, GridStages> change) => Grid(name, Stage.GridMask, what, fix, change);

    private static Defect Order(string name, string what, string fix, Func<GridStages, GridStages> change) => Grid(name, Stage.GridOrder, what, fix, change);

    private static Defect Unroll(string name, string what, string fix, Func<int, int, int, int> unrolled) => Grid(name, Stage.GridUnroll, what, fix, grid => grid with { Unrolled = unrolled });
}
