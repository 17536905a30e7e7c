// Which steps make up an implementation of attention over a grid of tokens, so that each can be right or wrong alone?
using System.Collections.Immutable;
using S2Attn.Spec;

namespace S2Attn.Reference.Upstream;

/// <summary>
/// An implementation over tokens on several axes as a sequence of small functions whose defaults are the definition's, in the steps of Swin's: roll on each axis, cut into windows, mask,
/// attend, join the windows, roll back. An axis is named by its number, the slowest 0, and by how many there are.
/// </summary>
public sealed record GridStages
{
    /// <summary>The axes that are used, from those that are asked for.</summary>
    public Func<ImmutableArray<GridAxis<int>>, ImmutableArray<GridAxis<int>>> Axes { get; init; } = axes => axes;

    /// <summary>Whether a query head shifts.</summary>
    public Func<S2Config, int, bool> Shifts { get; init; } = (config, head) => config.ShiftedHeads.IsShifted(head, config.Heads);

    /// <summary>The shift of an axis, which the rolls and the mask follow.</summary>
    public Func<ImmutableArray<GridAxis<int>>, int, int> Amount { get; init; } = (axes, axis) => axes[axis].Shift;

    /// <summary>By how much an axis is rolled: axis, axes, its shift. Position p holds token p + that.</summary>
    public Func<int, int, int, int> Rolled { get; init; } = (_, _, shift) => shift;

    /// <summary>By how much it is rolled back.</summary>
    public Func<int, int, int, int> Unrolled { get; init; } = (_, _, shift) => shift;

    /// <summary>Whether windows are cut as runs out of the rolled raster, without bringing what is of one window together first.</summary>
    public bool CutsRuns { get; init; }

    /// <summary>Whether windows are joined so.</summary>
    public bool JoinsRuns { get; init; }

    /// <summary>Whether what fills short last windows up is seen, as keys of score 0 and value 0.</summary>
    public bool SeesFill { get; init; }

    /// <summary>The policy that is applied, from the one that is asked for.</summary>
    public Func<MaskPolicy, MaskPolicy> Policy { get; init; } = mask => mask;

    /// <summary>Whether runs are compared on an axis, where the policy cuts: axis, axes.</summary>
    public Func<int, int, bool> ComparesRuns { get; init; } = (_, _) => true;

    /// <summary>Whether heads that do not shift are masked as those that do.</summary>
    public bool MasksEveryHead { get; init; }

    /// <summary>Whether the masks of the windows are dealt out over batch and windows as if entries of the batch stood together.</summary>
    public bool MixesMasks { get; init; }

    /// <summary>Whether a causal policy takes a key that is after the query on any axis for one that is after it.</summary>
    public bool OrdersEveryAxis { get; init; }

    /// <summary>Whether gradients are written where the rolled tokens stand.</summary>
    public bool LeavesGradients { get; init; }

    /// <summary>Whether dk has the shares of heads that shift alone.</summary>
    public bool DropsKeyGradients { get; init; }
}
