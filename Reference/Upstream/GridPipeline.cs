// What does an implementation over a grid of tokens compute, from its stages?
using System.Collections.Immutable;
using S2Attn.Spec;
using S2Attn.Spec.Algebra;

namespace S2Attn.Reference.Upstream;

/// <summary>What one row of o reads, as tokens in raster order.</summary>
/// <param name="Query">The query; -1 where none is read and the row is 0.</param>
/// <param name="Keys">The keys and values, padded ones too.</param>
public sealed record GridRow(int Query, ImmutableArray<int> Keys)
{
    /// <summary>How many keys of score 0 and value 0 it also sees: zeros that fill up.</summary>
    public int Zeros { get; init; }

    // Where the gradients of these are written; -1 for nowhere.
    internal int QueryGradient { get; init; }

    internal ImmutableArray<int> KeyGradients { get; init; } = [];
}

/// <summary>Stages over one grid.</summary>
public sealed class GridPipeline
{
    private readonly S2Grid grid;
    private readonly GridStages stages;
    private readonly ImmutableArray<GridAxis<int>> axes;
    private readonly int[] rings, shifts, slotOf, windowed;
    private readonly int size;
    private readonly Dictionary<(int Entry, bool Shifts, int Token), GridRow> rows = [];

    /// <summary>Puts stages to a grid.</summary>
    public GridPipeline(S2Grid grid, GridStages stages)
    {
        ArgumentNullException.ThrowIfNull(grid);
        ArgumentNullException.ThrowIfNull(stages);
        (this.grid, this.stages) = (grid, stages);
        axes = stages.Axes(grid.Axes);
        rings = [.. axes.Select(axis => IndexMaps.Ring<Int, Bool>(axis.Tokens, axis.GroupSize).ToIndex())];
        shifts = [.. Enumerable.Range(0, axes.Length).Select(axis => stages.Amount(axes, axis))];
        size = axes.Aggregate(1, (product, axis) => product * axis.GroupSize);

        // The windows one behind the other, in each of them its places: which slot of the raster stands there, and the reverse.
        int slots = rings.Aggregate(1, (product, ring) => product * ring);
        (slotOf, windowed) = (new int[slots], new int[slots]);
        for (int slot = 0; slot < slots; slot++)
        {
            int window = 0, place = 0;
            foreach ((int at, GridAxis<int> axis, int ring) in Places(slot).Zip(axes, rings))
                (window, place) = (window * (ring / axis.GroupSize) + at / axis.GroupSize, place * axis.GroupSize + at % axis.GroupSize);
            windowed[slot] = window * size + place;
            slotOf[windowed[slot]] = slot;
        }
    }

    /// <summary>What o[entry, token, head] reads.</summary>
    public GridRow Row(int entry, int token, int head)
    {
        // Entries of a batch differ only where masks are mixed up over them.
        (int Entry, bool Shifts, int Token) kind = (stages.MixesMasks ? entry : 0, stages.Shifts(grid.Tokens, head), token);
        return rows.TryGetValue(kind, out GridRow? known) ? known : rows[kind] = Read(entry, kind.Shifts, token);
    }

    /// <summary>o [B,N,H,D] and logsumexp [B,N,H].</summary>
    public AttentionOutput<double> Forward(AttentionInput<double> input)
    {
        ArgumentNullException.ThrowIfNull(input);
        S2Config config = grid.Tokens;
        double[] o = new double[input.Query.Elements.Length], lse = new double[o.Length / config.HeadDim];
        Array.Fill(lse, double.NegativeInfinity);
        Each(input, (b, t, h, _, keys, weights, total) =>
        {
            int row = Layout.Row(config.Tokens, config.Heads, 1, b, t, h);
            lse[row] = total;
            for (int i = 0; i < keys.Length; i++)
                AddScaled(weights[i], input.Value.Row(b, keys[i].Token, config.KvHeadOf(h)), o.AsSpan(row * config.HeadDim));
        });
        return new(Tensor<double>.Of(input.Query.Shape.AsSpan(), o), Tensor<double>.Of(input.Query.Shape.AsSpan()[..3], lse));
    }

    /// <summary>dq, dk and dv for do [B,N,H,D].</summary>
    public Gradients<double> Backward(AttentionInput<double> input, Tensor<double> outputGradient)
    {
        ArgumentNullException.ThrowIfNull(input);
        ArgumentNullException.ThrowIfNull(outputGradient);
        S2Config config = grid.Tokens;
        int dim = config.HeadDim;
        double[] dq = new double[input.Query.Elements.Length], dk = new double[input.Key.Elements.Length], dv = new double[dk.Length];
        Each(input, (b, t, h, row, keys, weights, _) =>
        {
            int kvHead = config.KvHeadOf(h);
            double[] products = [.. keys.Select(key => Dot(outputGradient.Row(b, t, h), input.Value.Row(b, key.Token, kvHead)))];
            double mean = products.Zip(weights, (product, weight) => product * weight).Sum();
            for (int i = 0; i < keys.Length; i++)
            {
                double ds = config.Scale * weights[i] * (products[i] - mean);
                if (row.QueryGradient >= 0)
                    AddScaled(ds, input.Key.Row(b, keys[i].Token, kvHead), dq.AsSpan(Layout.Row(config.Tokens, config.Heads, dim, b, row.QueryGradient, h)));
                if (keys[i].Gradient < 0)
                    continue;
                int key = Layout.Row(config.Tokens, config.KvHeads, dim, b, keys[i].Gradient, kvHead);
                AddScaled(stages.DropsKeyGradients && !stages.Shifts(config, h) ? 0 : ds, input.Query.Row(b, row.Query, h), dk.AsSpan(key));
                AddScaled(weights[i], outputGradient.Row(b, t, h), dv.AsSpan(key));
            }
        });
        return new(Tensor<double>.Of(input.Query.Shape.AsSpan(), dq), Tensor<double>.Of(input.Key.Shape.AsSpan(), dk), Tensor<double>.Of(input.Key.Shape.AsSpan(), dv));
    }

    // Every row that sees a key: its valid keys, their weights, behind them those of zeros, and the logsumexp.
    private void Each(AttentionInput<double> input, Action<int, int, int, GridRow, (int Token, int Gradient)[], double[], double> row)
    {
        S2Config config = grid.Tokens;
        for (int b = 0; b < config.Batch; b++)
            for (int t = 0; t < config.Tokens; t++)
                for (int h = 0; h < config.Heads; h++)
                {
                    GridRow read = Row(b, t, h);
                    (int Token, int Gradient)[] keys = [.. read.Keys.Zip(read.KeyGradients).Where(key => input.Valid[b, key.First])];
                    if (read.Query < 0 || keys.Length + read.Zeros == 0)
                        continue;
                    double[] weights = [.. keys.Select(key => config.Scale * Dot(input.Query.Row(b, read.Query, h), input.Key.Row(b, key.Token, config.KvHeadOf(h)))), .. new double[read.Zeros]];
                    double lse = Normalise(weights);
                    row(b, t, h, read, keys, weights, lse);
                }
    }

    /// <summary>Makes scores, at least one, into weights; returns their logsumexp.</summary>
    public static double Normalise(Span<double> scores)
    {
        double top = double.NegativeInfinity, sum = 0;
        foreach (double score in scores)
            top = Math.Max(top, score);
        foreach (ref double score in scores)
            sum += score = Math.Exp(score - top);
        foreach (ref double score in scores)
            score /= sum;
        return top + Math.Log(sum);
    }

    private GridRow Read(int entry, bool shifts, int token)
    {
        int[] at = new int[axes.Length];
        for (int axis = axes.Length - 1; axis >= 0; axis--)
            (token, at[axis]) = (token / axes[axis].Tokens, token % axes[axis].Tokens);
        int slot = SlotAt(axis => IndexMaps.Position<Int, Bool>(rings[axis], Site.Modulo(By(stages.Unrolled, axis), rings[axis]), at[axis]).ToIndex());

        // The element of the windows whose result becomes the row, and the others of its window.
        int element = stages.JoinsRuns ? slot : windowed[slot], first = element - element % size;
        if (TokenOf(Held(element)) < 0)
            return new(-1, []);
        ILookup<bool, int> seen = Enumerable.Range(first, size).Where(other => Sees(entry, shifts, element, other)).Select(Held).ToLookup(other => TokenOf(other) >= 0);
        int[] keys = [.. seen[true]];
        return new(TokenOf(Held(element)), [.. keys.Select(TokenOf)])
        {
            Zeros = stages.SeesFill ? seen[false].Count() : 0,
            QueryGradient = Written(Held(element)),
            KeyGradients = [.. keys.Select(Written)],
        };

        int Held(int other) => stages.CutsRuns ? other : slotOf[other];

        int By(Func<int, int, int, int> roll, int axis) => shifts ? roll(axis, axes.Length, shifts ? this.shifts[axis] : 0) : 0;

        // The token that the roll brings to a slot; -1 where the ring has none.
        int TokenOf(int other)
        {
            int[] places = Places(other);
            return Raster(axis => IndexMaps.Token<Int, Bool>(rings[axis], Site.Modulo(By(stages.Rolled, axis), rings[axis]), places[axis]).ToIndex());
        }

        int Written(int other)
        {
            int[] places = Places(other);
            return stages.LeavesGradients ? Raster(axis => places[axis]) : TokenOf(other);
        }
    }

    // The mask is that of the slots: which token a right roll by the shift has there. Where masks are mixed up it is that of the same places in another window.
    private bool Sees(int entry, bool shifts, int query, int key)
    {
        int window = query / size;
        if (stages.MixesMasks)
            window = (entry * (slotOf.Length / size) + window) / grid.Tokens.Batch;
        MaskPolicy policy = stages.Policy(grid.Tokens.Mask);
        Int[] t = Masked(query), u = Masked(key);
        GridAxis<Int>[] whole =
        [
            .. Enumerable.Range(0, axes.Length).Select(axis => new GridAxis<Int>(
                rings[axis], rings[axis], policy.CutsWrappedRun() && !stages.ComparesRuns(axis, axes.Length) ? 0 : MaskShift(axis))),
        ];
        return Exists(t) && (stages.SeesFill || Exists(u)) && Grids.Visible<Int, Bool>(policy, whole, t, u).Value
            && !(stages.OrdersEveryAxis && policy.IsCausal() && u.Zip(t).Any(pair => pair.First.Value > pair.Second.Value));

        Int[] Masked(int element)
        {
            int other = window * size + element % size;
            int[] places = Places(stages.CutsRuns ? other : slotOf[other]);
            return [.. places.Select((place, axis) => IndexMaps.Token<Int, Bool>(rings[axis], MaskShift(axis), place))];
        }

        int MaskShift(int axis) => shifts || stages.MasksEveryHead ? this.shifts[axis] : 0;

        bool Exists(Int[] coordinates) => coordinates.Zip(axes).All(pair => pair.First.Value < pair.Second.Tokens);
    }

    // Coordinates of a slot of the rings.
    private int[] Places(int slot)
    {
        int[] places = new int[rings.Length];
        for (int axis = rings.Length - 1; axis >= 0; axis--)
            (slot, places[axis]) = (slot / rings[axis], slot % rings[axis]);
        return places;
    }

    private int SlotAt(Func<int, int> place) => Enumerable.Range(0, rings.Length).Aggregate(0, (slot, axis) => slot * rings[axis] + place(axis));

    // The token at these coordinates; -1 where one of them is past the end of its axis.
    private int Raster(Func<int, int> place)
    {
        int token = 0;
        for (int axis = 0; axis < axes.Length; axis++)
        {
            int at = place(axis);
            if (at >= axes[axis].Tokens)
                return -1;
            token = token * axes[axis].Tokens + at;
        }

        return token;
    }

    private static void AddScaled(double factor, ReadOnlySpan<double> vector, Span<double> sum)
    {
        for (int i = 0; i < vector.Length; i++)
            sum[i] += factor * vector[i];
    }

    private static double Dot(ReadOnlySpan<double> a, ReadOnlySpan<double> b)
    {
        double sum = 0;
        for (int i = 0; i < a.Length; i++)
            sum += a[i] * b[i];
        return sum;
    }
}
