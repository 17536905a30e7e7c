// Which grid of tokens? Axes, validated once, and the windows into which they fall.
using System.Collections.Immutable;
using System.Globalization;
using S2Attn.Spec.Algebra;

namespace S2Attn.Spec;

/// <summary>Tokens that see each other, as indices in raster order of the grid: all of them, or under a causal policy each those at or before it in this order.</summary>
public sealed record GridWindow(ImmutableArray<int> Tokens);

/// <summary>A validated grid: q [B,N,H,D], k and v [B,N,K,D] with N the product of the axes, tokens in raster order, the last axis fastest.</summary>
public sealed record S2Grid
{
    /// <summary>The most axes: frames, rows and columns.</summary>
    public const int MaxAxes = 3;

    private S2Grid(S2Config tokens, ImmutableArray<GridAxis<int>> axes) => (Tokens, Axes) = (tokens, axes);

    /// <summary>Heads, which of them shift, D, mask and scale; its N is that of all tokens, its G and S say nothing.</summary>
    public S2Config Tokens { get; }

    /// <summary>The axes, the slowest first.</summary>
    public ImmutableArray<GridAxis<int>> Axes { get; }

    /// <summary>The grid of these axes.</summary>
    /// <param name="tokens">Heads, which of them shift, D, mask and scale, and N: the product of the axes.</param>
    /// <param name="axes">One to three axes, the slowest first: each 0 &lt;= S &lt; G &lt;= N, and G divides N unless the policy cuts the wrapped run.</param>
    /// <exception cref="InvalidConfigException">An axis breaks a rule; the message names field, value and rule.</exception>
    public static S2Grid Create(S2Config tokens, params IEnumerable<GridAxis<int>> axes)
    {
        ArgumentNullException.ThrowIfNull(tokens);
        ArgumentNullException.ThrowIfNull(axes);
        ImmutableArray<GridAxis<int>> all = [.. axes];
        ImmutableArray<ConfigError> errors = [.. Errors(tokens, all)];
        return errors.IsEmpty ? new(tokens, all) : throw new InvalidConfigException(errors);
    }

    /// <summary>Whether query t of a head sees key u, both in raster order, without key padding.</summary>
    public bool Visible(int head, int t, int u) =>
        Grids.Visible<Int, Bool>(Tokens.Mask, AxesOf(head), CoordinatesOf(t), CoordinatesOf(u));

    /// <summary>Visible pairs of a head.</summary>
    /// <exception cref="OverflowException">They leave 64 bits.</exception>
    public long VisiblePairs(int head) => Grids.VisiblePairs<Int, Bool>(Tokens.Mask, AxesOf(head)).Value;

    /// <summary>
    /// The windows of a head: every token is in one of them. On each axis a window is a run of <see cref="Segments"/>, or where the policy does not cut, a group with what the wrap joins to it;
    /// its tokens are runs of neighbours on the last axis, one for each place on the others.
    /// </summary>
    public IEnumerable<GridWindow> Windows(int head)
    {
        bool shifts = Tokens.ShiftedHeads.IsShifted(head, Tokens.Heads);
        return Axes.Aggregate(
            (IEnumerable<ImmutableArray<int>>)[[0]],
            (windows, axis) => from window in windows
                               from places in PlacesOf(axis, shifts)
                               select (ImmutableArray<int>)[.. from token in window from place in places select token * axis.Tokens + place])
            .Select(window => new GridWindow(window));
    }

    /// <summary>The axes, not their array's identity.</summary>
    public bool Equals(S2Grid? other) => other is not null && Tokens == other.Tokens && Axes.AsSpan().SequenceEqual(other.Axes.AsSpan());

    /// <inheritdoc/>
    public override int GetHashCode() => Axes.Aggregate(Tokens.GetHashCode(), HashCode.Combine);

    /// <inheritdoc/>
    public override string ToString() => $"{Tokens.Mask} over {string.Join(" x ", Axes.Select(axis => string.Create(CultureInfo.InvariantCulture, $"{axis.Tokens} (G={axis.GroupSize}, S={axis.Shift})")))}";

    // What is of one window on an axis, in the order of its policy.
    private IEnumerable<ImmutableArray<int>> PlacesOf(GridAxis<int> axis, bool shifts)
    {
        int shift = shifts ? axis.Shift : 0;
        if (Tokens.Mask.CutsWrappedRun())
            return Enumerable.Range(0, Segments.Count<Int, Bool>(axis.Tokens, axis.GroupSize, shift).ToIndex())
                .Select(k => Segments.Run(Tokens.Mask, axis.Tokens, axis.GroupSize, shift, k))
                .Select(run => (ImmutableArray<int>)[.. Enumerable.Range(run.Start, run.Length)]);
        return Enumerable.Range(0, axis.Tokens / axis.GroupSize)
            .Select(group => Enumerable.Range(group * axis.GroupSize, axis.GroupSize).Select(position => IndexMaps.Token<Int, Bool>(axis.Tokens, shift, position).ToIndex()))
            .Select(places => (ImmutableArray<int>)[.. Tokens.Mask is MaskPolicy.LocalCausal ? places : places.Order()]);
    }

    private GridAxis<Int>[] AxesOf(int head)
    {
        bool shifts = Tokens.ShiftedHeads.IsShifted(head, Tokens.Heads);
        return [.. Axes.Select(axis => new GridAxis<Int>(axis.Tokens, axis.GroupSize, shifts ? axis.Shift : 0))];
    }

    private Int[] CoordinatesOf(int token)
    {
        Int[] coordinates = new Int[Axes.Length];
        for (int axis = Axes.Length - 1; axis >= 0; axis--)
            (token, coordinates[axis]) = (token / Axes[axis].Tokens, token % Axes[axis].Tokens);
        return coordinates;
    }

    private static IEnumerable<ConfigError> Errors(S2Config tokens, ImmutableArray<GridAxis<int>> axes)
    {
        if (axes.Length is < 1 or > MaxAxes)
        {
            yield return Error(nameof(Axes), axes.Length, $"must be from 1 to {MaxAxes} axes");
            yield break;
        }

        if (tokens.ShiftedHeads.HasOwnShifts)
            yield return new(nameof(tokens.ShiftedHeads), $"{tokens.ShiftedHeads}", "must not give heads shifts of their own: each axis has one for all heads that shift");
        if (tokens.Prefix > 0)
            yield return Error(nameof(tokens.Prefix), tokens.Prefix, "must be 0: a grid has no prefix");
        Int128 product = 1;
        for (int i = 0; i < axes.Length; i++)
        {
            (int n, int g, int s) = (axes[i].Tokens, axes[i].GroupSize, axes[i].Shift);
            if (n < 1)
                yield return Error($"Axes[{i}].Tokens", n, "must be at least 1");
            else if (g < 1 || g > n)
                yield return Error($"Axes[{i}].GroupSize", g, $"must be from 1 to Tokens = {n}");
            else if (!tokens.Mask.CutsWrappedRun() && n % g != 0)
                yield return Error($"Axes[{i}].GroupSize", g, $"must divide Tokens = {n} under {tokens.Mask}");
            if (s < 0 || s >= g)
                yield return Error($"Axes[{i}].Shift", s, $"must be from 0 to GroupSize - 1 = {g - 1}");
            product *= n;
        }

        if (product != tokens.Tokens)
            yield return Error(nameof(Axes), product, $"must have Tokens = {tokens.Tokens} places in all");
    }

    private static ConfigError Error(string field, Int128 value, string rule) => new(field, value.ToString(CultureInfo.InvariantCulture), rule);
}
