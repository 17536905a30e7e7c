// What is the output of S2-Attn over a grid of tokens, and what are its gradients? Each window alone, as one group of a text.
using S2Attn.Spec;

namespace S2Attn.Reference;

/// <summary>One window of one query head: the tensors of its tokens, in the order of its policy, and the configuration under which they are a text of one group.</summary>
/// <param name="Head">The query head.</param>
/// <param name="Window">The tokens.</param>
/// <param name="Config">One head, N = G = the tokens of the window, S = 0; Split where the policy is causal, else BidirectionalSplit.</param>
/// <param name="Input">q, k, v [B,n,1,D] and valid [B,n].</param>
public sealed record WindowPart(int Head, GridWindow Window, S2Config Config, AttentionInput<double> Input);

/// <summary>S2-Attn over tokens on several axes (<see cref="S2Grid"/>).</summary>
public static class GridAttention
{
    /// <summary>The parts into which attention over a grid falls: no query of one sees a key of another.</summary>
    /// <exception cref="ArgumentException">A tensor does not have the shape that the grid asks for.</exception>
    public static IEnumerable<WindowPart> Parts(S2Grid grid, AttentionInput<double> input)
    {
        ArgumentNullException.ThrowIfNull(grid);
        ArgumentNullException.ThrowIfNull(input);
        S2Config all = grid.Tokens;
        input.CheckShapes(all);
        return from head in Enumerable.Range(0, all.Heads)
               from window in grid.Windows(head)
               select new WindowPart(head, window, ConfigOf(all, window), new(
                   Gather(input.Query, window, head),
                   Gather(input.Key, window, all.KvHeadOf(head)),
                   Gather(input.Value, window, all.KvHeadOf(head)),
                   Tensor<bool>.Build([all.Batch, window.Tokens.Length], i => input.Valid[i / window.Tokens.Length, window.Tokens[i % window.Tokens.Length]])));
    }

    /// <summary>o [B,N,H,D] and logsumexp [B,N,H], tokens in raster order.</summary>
    /// <exception cref="ArgumentException">A tensor does not have the shape that the grid asks for.</exception>
    public static AttentionOutput<double> Forward(S2Grid grid, AttentionInput<double> input)
    {
        ArgumentNullException.ThrowIfNull(grid);
        S2Config all = grid.Tokens;
        double[] o = new double[all.Batch * all.Tokens * all.Heads * all.HeadDim], lse = new double[all.Batch * all.Tokens * all.Heads];
        foreach (WindowPart part in Parts(grid, input))
        {
            AttentionOutput<double> of = Attention.Forward(part.Config, part.Input);
            Scatter(of.Output, part.Window, part.Head, all.Heads, o);
            for (int b = 0; b < all.Batch; b++)
                for (int i = 0; i < part.Window.Tokens.Length; i++)
                    lse[Layout.Row(all.Tokens, all.Heads, 1, b, part.Window.Tokens[i], part.Head)] = of.LogSumExp[b, i, 0];
        }

        return new(Tensor<double>.Of([all.Batch, all.Tokens, all.Heads, all.HeadDim], o), Tensor<double>.Of([all.Batch, all.Tokens, all.Heads], lse));
    }

    /// <summary>dq, dk and dv for do [B,N,H,D].</summary>
    /// <exception cref="ArgumentException">A tensor does not have the shape that the grid asks for.</exception>
    public static Gradients<double> Backward(S2Grid grid, AttentionInput<double> input, Tensor<double> outputGradient)
    {
        ArgumentNullException.ThrowIfNull(grid);
        return Backward(grid, input, outputGradient, Tensor<double>.Build([grid.Tokens.Batch, grid.Tokens.Tokens, grid.Tokens.Heads], _ => 0));
    }

    /// <summary>The same where lse has a gradient dlse [B,N,H] too.</summary>
    /// <exception cref="ArgumentException">A tensor does not have the shape that the grid asks for.</exception>
    public static Gradients<double> Backward(S2Grid grid, AttentionInput<double> input, Tensor<double> outputGradient, Tensor<double> logSumExpGradient)
    {
        ArgumentNullException.ThrowIfNull(grid);
        ArgumentNullException.ThrowIfNull(outputGradient);
        ArgumentNullException.ThrowIfNull(logSumExpGradient);
        S2Config all = grid.Tokens;
        double[] dq = new double[all.Batch * all.Tokens * all.Heads * all.HeadDim], dk = new double[all.Batch * all.Tokens * all.KvHeads * all.HeadDim], dv = new double[dk.Length];
        foreach (WindowPart part in Parts(grid, input))
        {
            Gradients<double> of = AttentionGradients.Backward(
                S2Slice.Whole(part.Config), part.Input, Gather(outputGradient, part.Window, part.Head), NumbersOf(Gather(RowsOf(logSumExpGradient), part.Window, part.Head)));
            Scatter(of.Query, part.Window, part.Head, all.Heads, dq);
            Scatter(of.Key, part.Window, all.KvHeadOf(part.Head), all.KvHeads, dk);
            Scatter(of.Value, part.Window, all.KvHeadOf(part.Head), all.KvHeads, dv);
        }

        int[] keys = [all.Batch, all.Tokens, all.KvHeads, all.HeadDim];
        return new(Tensor<double>.Of([all.Batch, all.Tokens, all.Heads, all.HeadDim], dq), Tensor<double>.Of(keys, dk), Tensor<double>.Of(keys, dv));
    }

    /// <summary>The rows of a head's tokens of a window: [B,n,1,D] of [B,N,heads,D].</summary>
    public static Tensor<double> Gather(Tensor<double> tensor, GridWindow window, int head)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        ArgumentNullException.ThrowIfNull(window);
        int count = window.Tokens.Length, dim = tensor.Shape[3];
        return Tensor<double>.Build([tensor.Shape[0], count, 1, dim], i => tensor[i / (count * dim), window.Tokens[i / dim % count], head, i % dim]);
    }

    /// <summary>[B,n,heads] as rows of one element, and back.</summary>
    internal static Tensor<double> RowsOf(Tensor<double> numbers) => Tensor<double>.Of([.. numbers.Shape.AsSpan(), 1], numbers.Elements);

    internal static Tensor<double> NumbersOf(Tensor<double> rows) => Tensor<double>.Of(rows.Shape.AsSpan()[..3], rows.Elements);

    private static S2Config ConfigOf(S2Config all, GridWindow window) => S2Config.Create(new()
    {
        Batch = all.Batch,
        Tokens = window.Tokens.Length,
        HeadDim = all.HeadDim,
        GroupSize = GroupSizeRule.Of(window.Tokens.Length),
        Shift = 0,
        Mask = all.Mask.IsCausal() ? MaskPolicy.Split : MaskPolicy.BidirectionalSplit,
        ShiftedHeads = HeadShift.None,
        Scale = all.Scale,
    });

    /// <summary>Adds rows [B,n,1,D] to those of a head's tokens of a window in [B,N,heads,D], given as its elements.</summary>
    public static void Scatter(Tensor<double> part, GridWindow window, int head, int heads, double[] whole)
    {
        ArgumentNullException.ThrowIfNull(part);
        ArgumentNullException.ThrowIfNull(window);
        ArgumentNullException.ThrowIfNull(whole);
        int batch = part.Shape[0], dim = part.Shape[3], tokens = whole.Length / (batch * heads * dim);
        for (int b = 0; b < batch; b++)
            for (int i = 0; i < window.Tokens.Length; i++)
            {
                int row = Layout.Row(tokens, heads, dim, b, window.Tokens[i], head);
                for (int d = 0; d < dim; d++)
                    whole[row + d] += part[b, i, 0, d];
            }
    }
}
