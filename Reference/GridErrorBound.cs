// How far may a rounded computation over a grid of tokens lie from the definition? As far as each of its windows may, and what their sums add.
using S2Attn.Spec;

namespace S2Attn.Reference;

/// <summary>The bounds of <see cref="ErrorBound"/> and <see cref="GradientErrorBound"/> over a grid: each window of each query head is a text of one group (<see cref="GridAttention.Parts"/>).</summary>
public static class GridErrorBound
{
    /// <summary>o [B,N,H,D], logsumexp [B,N,H] and their bounds.</summary>
    /// <exception cref="ArgumentException">A tensor does not have the shape that the grid asks for.</exception>
    public static BoundedOutput Forward(S2Grid grid, AttentionInput<double> input, RoundingModel model)
    {
        ArgumentNullException.ThrowIfNull(grid);
        S2Config all = grid.Tokens;
        double[] bound = new double[all.Batch * all.Tokens * all.Heads * all.HeadDim], lseBound = new double[all.Batch * all.Tokens * all.Heads];
        foreach (WindowPart part in GridAttention.Parts(grid, input))
        {
            AttentionOutput<double> of = ErrorBound.Forward(part.Config, part.Input, model).Bound;
            GridAttention.Scatter(of.Output, part.Window, part.Head, all.Heads, bound);
            GridAttention.Scatter(GridAttention.RowsOf(of.LogSumExp), part.Window, part.Head, all.Heads, lseBound);
        }

        return new(
            GridAttention.Forward(grid, input),
            new(Tensor<double>.Of([all.Batch, all.Tokens, all.Heads, all.HeadDim], bound), Tensor<double>.Of([all.Batch, all.Tokens, all.Heads], lseBound)));
    }

    /// <summary>dq, dk, dv and their bounds for do [B,N,H,D] and dlse [B,N,H].</summary>
    /// <remarks>
    /// Query heads of one kv head add to the same rows of dk and dv. While the sums of one head grow, what the heads before it gave is rounded once for each term: at most
    /// gamma_n (|g| + bound) of each head's share g, n the terms of all; and once for each head where the model sums them in storage. The bounds of the shares themselves add up;
    /// a sum that storage may not hold has none, though each share has.
    /// </remarks>
    /// <exception cref="ArgumentException">A tensor does not have the shape that the grid asks for.</exception>
    public static BoundedGradients Backward(S2Grid grid, AttentionInput<double> input, Tensor<double> outputGradient, Tensor<double> logSumExpGradient, RoundingModel model)
    {
        ArgumentNullException.ThrowIfNull(grid);
        ArgumentNullException.ThrowIfNull(outputGradient);
        ArgumentNullException.ThrowIfNull(logSumExpGradient);
        ArgumentNullException.ThrowIfNull(model);
        S2Config all = grid.Tokens;
        int sharing = all.Heads / all.KvHeads;
        double terms = grid.Axes.Aggregate((double)sharing, (product, axis) => product * axis.GroupSize);
        double gamma = sharing == 1 ? 0 : model.Gamma(terms) + (model.StoresWeights ? RoundingModel.Gamma(sharing, model.Storage.Unit) : 0);
        double largest = model.Storage.Largest;
        Whole dq = new(all, all.Heads, largest), dk = new(all, all.KvHeads, largest), dv = new(all, all.KvHeads, largest);
        foreach (WindowPart part in GridAttention.Parts(grid, input))
        {
            int kvHead = all.KvHeadOf(part.Head);
            Tensor<double> dlse = GridAttention.NumbersOf(GridAttention.Gather(GridAttention.RowsOf(logSumExpGradient), part.Window, part.Head));
            BoundedGradients of = GradientErrorBound.Backward(part.Config, part.Input, GridAttention.Gather(outputGradient, part.Window, part.Head), dlse, model);
            dq.Add(of.Exact.Query, of.Bound.Query, part.Window, part.Head, 0);
            dk.Add(of.Exact.Key, of.Bound.Key, part.Window, kvHead, gamma);
            dv.Add(of.Exact.Value, of.Bound.Value, part.Window, kvHead, gamma);
        }

        return new(new(dq.Exact, dk.Exact, dv.Exact), new(dq.Bound, dk.Bound, dv.Bound));
    }

    // A gradient of all windows and its bound.
    private sealed class Whole(S2Config all, int heads, double largest)
    {
        private readonly double[] exact = new double[all.Batch * all.Tokens * heads * all.HeadDim];
        private readonly double[] bound = new double[all.Batch * all.Tokens * heads * all.HeadDim];

        public Tensor<double> Exact => Tensor<double>.Of([all.Batch, all.Tokens, heads, all.HeadDim], exact);

        public Tensor<double> Bound => Tensor<double>.Build([all.Batch, all.Tokens, heads, all.HeadDim], i => bound[i] + Math.Abs(exact[i]) > largest ? double.PositiveInfinity : bound[i]);

        public void Add(Tensor<double> share, Tensor<double> shareBound, GridWindow window, int head, double gamma)
        {
            GridAttention.Scatter(share, window, head, heads, exact);
            GridAttention.Scatter(Tensor<double>.Build(share.Shape.AsSpan(), BoundOf), window, head, heads, bound);

            // What is not finite has no bound.
            double BoundOf(int i) => double.IsFinite(share.Elements[i]) && double.IsFinite(shareBound.Elements[i]) ? shareBound.Elements[i] + gamma * (Math.Abs(share.Elements[i]) + shareBound.Elements[i]) : double.PositiveInfinity;
        }
    }
}
