// Which mistakes about tokens on several axes must the properties see?
using System.Collections.Immutable;
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Reference;
using S2Attn.Spec;
using S2Attn.Spec.Algebra;

namespace S2Attn.Tests.Properties;

/// <summary>The definition with one mistake about grids: right for texts, and for what the mistake does not touch.</summary>
internal static class GridMutants
{
    private static readonly ReferencePort Right = new();

    public static ImmutableArray<IAttentionPort> All() =>
    [
        Of("grid-axes-swapped", item => Right.Run(item with { Grid = S2Grid.Create(item.Config, item.Grid!.Axes.Reverse()) })),
        Of("grid-as-a-text", item => Right.Run(item with { Grid = S2Grid.Create(item.Config, new GridAxis<int>(item.Config.Tokens, item.Config.Tokens, 0)) })),
        Of("grid-shifts-one-axis", item => Right.Run(item with { Grid = S2Grid.Create(item.Config, item.Grid!.Axes.Select((axis, i) => i == 0 ? axis : axis with { Shift = 0 })) })),
        Seen("grid-run-of-the-last-axis", (grid, axes, t, u, visible) => !grid.Tokens.Mask.CutsWrappedRun() ? visible
            : Visible(MaskPolicy.Bidirectional, axes, t, u) && (!grid.Tokens.Mask.IsCausal() || NotAfter(u, t)) && Visible(MaskPolicy.BidirectionalSplit, axes[^1..], t[^1..], u[^1..])),
        Seen("grid-causal-by-windows", (grid, axes, t, u, visible) => grid.Tokens.Mask is MaskPolicy.PositionCausal ? Visible(MaskPolicy.LocalCausal, axes, t, u) : visible),
        Seen("grid-causal-on-every-axis", (grid, _, t, u, visible) => visible && (!grid.Tokens.Mask.IsCausal() || grid.Tokens.Mask is MaskPolicy.LocalCausal || t.Zip(u).All(pair => pair.Second.Value <= pair.First.Value))),
        Of("grid-dk-of-shifted-heads-only", item => Right.Run(item) is PortAnswer.Backward { Gradients: { } gradients } && Unshifted(item) is PortAnswer.Backward { Gradients: { } less }
            ? new PortAnswer.Backward(gradients with { Key = less.Key }) : Right.Run(item)),
    ];

    private static MutantPort Of(string name, Func<PortCase, PortAnswer> change) => new(name, item => item.Grid is null ? Right.Run(item) : change(item))
    {
        Description = Right.Description with { Name = name, Capabilities = Right.Description.Capabilities with { Slices = false, LogSumExpGradient = false, Prefixes = false } },
    };

    // What a query sees is another set of keys; the backward pass stays right.
    private static MutantPort Seen(string name, Func<S2Grid, GridAxis<Int>[], Int[], Int[], bool, bool> sees) => Of(name, item => item.Operation is PortOperation.Backward
        ? Right.Run(item)
        : MutantPort.Variant(item, visible: (head, t, u) =>
        {
            S2Grid grid = item.Grid!;
            bool shifts = grid.Tokens.ShiftedHeads.IsShifted(head, grid.Tokens.Heads);
            return sees(grid, [.. grid.Axes.Select(axis => new GridAxis<Int>(axis.Tokens, axis.GroupSize, shifts ? axis.Shift : 0))], Places(grid, t), Places(grid, u), grid.Visible(head, t, u));
        }));

    private static PortAnswer Unshifted(PortCase item) => Right.Run(item with
    {
        OutputGradient = [Tensor<double>.Build(item.OutputGradient[0].Shape.AsSpan(), i => item.Config.ShiftedHeads.IsShifted(i / item.Config.HeadDim % item.Config.Heads, item.Config.Heads) ? item.OutputGradient[0].Elements[i] : 0)],
    });

    private static bool Visible(MaskPolicy mask, GridAxis<Int>[] axes, Int[] t, Int[] u) => Grids.Visible<Int, Bool>(mask, axes, t, u).Value;

    private static bool NotAfter(Int[] u, Int[] t) => u.Zip(t).Select(pair => pair.First.Value.CompareTo(pair.Second.Value)).FirstOrDefault(order => order != 0) <= 0;

    private static Int[] Places(S2Grid grid, int token)
    {
        Int[] places = new Int[grid.Axes.Length];
        for (int axis = places.Length - 1; axis >= 0; axis--)
            (token, places[axis]) = (token / grid.Axes[axis].Tokens, token % grid.Axes[axis].Tokens);
        return places;
    }
}
