// Claims about heads in phases and about layers that differ (theorem 12).
using S2Attn.Spec.Algebra;

namespace S2Attn.Spec.Claims;

/// <summary>H, P, h, i: head h is at or behind floor(i H / P) exactly where i is at most its phase; and the last head is in the last phase at most.</summary>
public sealed record PhaseOfHead : IStatement
{
    /// <inheritdoc/>
    public B Assumes<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        ArgumentNullException.ThrowIfNull(values);
        return values[1] >= 1 & Regions.Contains<I, B>(0, values[0], values[2]) & Regions.Contains<I, B>(1, values[1] - 1, values[3]);
    }

    /// <inheritdoc/>
    public B Holds<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        ArgumentNullException.ThrowIfNull(values);
        (I heads, I phases, I h, I i) = (values[0], values[1], values[2], values[3]);
        I phase = Phases.OfHead<I, B>(heads, phases, h);
        return B.Iff(h >= i * heads / phases, i <= phase) & phase < phases;
    }
}

/// <summary>G, P, j, p: border j P + p is where the heads of phase p start their run j (or j + 1): j G + floor(G p / P), with floor(G p / P) in [0, G).</summary>
public sealed record PhaseBorders : IStatement
{
    /// <inheritdoc/>
    public B Assumes<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        ArgumentNullException.ThrowIfNull(values);
        return values[0] >= 1 & values[1] >= 1 & values[2] >= 0 & Regions.Contains<I, B>(0, values[1], values[3]);
    }

    /// <inheritdoc/>
    public B Holds<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        ArgumentNullException.ThrowIfNull(values);
        (I g, I phases, I j, I p) = (values[0], values[1], values[2], values[3]);
        I shift = Phases.Shift<I, B>(g, phases, p);
        return I.Equal(Phases.Border<I, B>(g, phases, j * phases + p), j * g + shift) & Regions.Contains<I, B>(0, g, shift);
    }
}

/// <summary>G, P, t: border Index(t) is the last one at or before token t.</summary>
public sealed record BorderOfToken : IStatement
{
    /// <inheritdoc/>
    public B Assumes<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        ArgumentNullException.ThrowIfNull(values);
        return values[0] >= 1 & values[1] >= 1 & values[2] >= 0;
    }

    /// <inheritdoc/>
    public B Holds<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        ArgumentNullException.ThrowIfNull(values);
        (I g, I phases, I t) = (values[0], values[1], values[2]);
        I index = Phases.Index<I, B>(g, phases, t);
        return Phases.Border<I, B>(g, phases, index) <= t & t < Phases.Border<I, B>(g, phases, index + 1) & index >= 0;
    }
}

/// <summary>G, P, x, y: y borders span at least floor(y G / P) tokens and at most one more.</summary>
public sealed record BordersSpan : IStatement
{
    /// <inheritdoc/>
    public B Assumes<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        ArgumentNullException.ThrowIfNull(values);
        return values[0] >= 1 & values[1] >= 1 & values[2] >= 0 & values[3] >= 0;
    }

    /// <inheritdoc/>
    public B Holds<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        ArgumentNullException.ThrowIfNull(values);
        (I g, I phases, I x, I y) = (values[0], values[1], values[2], values[3]);
        I span = Phases.Border<I, B>(g, phases, x + y) - Phases.Border<I, B>(g, phases, x), least = y * g / phases;
        return least <= span & span <= least + 1;
    }
}

/// <summary>G, P, p, t: the run of token t in the heads of phase p starts at or behind border Index(t) - (P - 1), or at 0.</summary>
public sealed record PhaseReach : IStatement
{
    /// <inheritdoc/>
    public B Assumes<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        ArgumentNullException.ThrowIfNull(values);
        return PhaseRegions.OfToken<I, B>(values);
    }

    /// <inheritdoc/>
    public B Holds<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        ArgumentNullException.ThrowIfNull(values);
        (I g, I phases, I p, I t) = (values[0], values[1], values[2], values[3]);
        return Phases.Earliest<I, B>(g, phases, 1, t) <= Slices.FirstKeyNeeded<I, B>(g, Phases.Shift<I, B>(g, phases, p), t);
    }
}

/// <summary>G, P, p, t: where p is the phase of the next border behind t, counted around, the run of t in its heads starts exactly at border Index(t) - (P - 1), or at 0.</summary>
public sealed record PhaseReachIsMet : IStatement
{
    /// <inheritdoc/>
    public B Assumes<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        ArgumentNullException.ThrowIfNull(values);
        return PhaseRegions.OfToken<I, B>(values);
    }

    /// <inheritdoc/>
    public B Holds<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        ArgumentNullException.ThrowIfNull(values);
        (I g, I phases, I p, I t) = (values[0], values[1], values[2], values[3]);
        I next = Phases.Index<I, B>(g, phases, t) + 1;
        return B.Implies(
            I.Equal(p, next - next / phases * phases),
            I.Equal(Slices.FirstKeyNeeded<I, B>(g, Phases.Shift<I, B>(g, phases, p), t), Phases.Earliest<I, B>(g, phases, 1, t)));
    }
}

/// <summary>G, P, k: for G &gt;= P each border is the last at or before itself, so that a layer from border k goes on from index k. With more phases than tokens in a group borders coincide.</summary>
public sealed record BordersAreApart : IStatement
{
    /// <inheritdoc/>
    public B Assumes<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        ArgumentNullException.ThrowIfNull(values);
        return values[1] >= 1 & values[1] <= values[0] & values[2] >= 0;
    }

    /// <inheritdoc/>
    public B Holds<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        ArgumentNullException.ThrowIfNull(values);
        (I g, I phases, I k) = (values[0], values[1], values[2]);
        return I.Equal(Phases.Index<I, B>(g, phases, Phases.Border<I, B>(g, phases, k)), k);
    }
}

/// <summary>G, S, k: from the border k G a layer of shifted heads reaches back G - S tokens, and from k G + S a layer of unshifted heads S: two layers in turn reach G.</summary>
public sealed record AlternateLayersReach : IStatement
{
    /// <inheritdoc/>
    public B Assumes<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        ArgumentNullException.ThrowIfNull(values);
        return values[1] > 0 & values[1] < values[0] & values[2] >= 1;
    }

    /// <inheritdoc/>
    public B Holds<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        ArgumentNullException.ThrowIfNull(values);
        (I g, I s, I k) = (values[0], values[1], values[2]);
        I border = k * g;
        return I.Equal(Slices.FirstKeyNeeded<I, B>(g, 0, border), border)
            & I.Equal(Slices.FirstKeyNeeded<I, B>(g, s, border), border - (g - s))
            & I.Equal(Slices.FirstKeyNeeded<I, B>(g, s, border + s), border + s)
            & I.Equal(Slices.FirstKeyNeeded<I, B>(g, 0, border + s), border);
    }
}

/// <summary>
/// M, a: for G = 4 M and two phases that are half a step later in every second layer, a layer of either kind reaches back exactly 3 M = 3 G / 4 tokens from where a run of the
/// other kind starts, and exactly 2 M = G / 2 from where one of its own starts. The borders of both kinds are the multiples of M; those before the token 4 a M are not looked at.
/// </summary>
public sealed record RotatedPhasesReach : IStatement
{
    /// <inheritdoc/>
    public B Assumes<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        ArgumentNullException.ThrowIfNull(values);
        return values[0] >= 1 & values[1] >= 1;
    }

    /// <inheritdoc/>
    public B Holds<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        ArgumentNullException.ThrowIfNull(values);
        (I quarter, I a) = (values[0], values[1]);
        I g = 4 * quarter;
        I Reached(int kind, I t) => I.Min(Slices.FirstKeyNeeded<I, B>(g, kind * quarter, t), Slices.FirstKeyNeeded<I, B>(g, (kind + 2) * quarter, t));
        B holds = B.Of(true);
        for (int i = 0; i < 4; i++)
        {
            I border = a * g + i * quarter;
            holds &= I.Equal(Reached(i % 2, border), border - 2 * quarter) & I.Equal(Reached(1 - i % 2, border), border - 3 * quarter);
        }

        return holds;
    }
}

/// <summary>
/// Two layers, each with unshifted heads and with heads that shift: by S in the first, by y in the second. From token x they reach back G tokens, or the start of the text.
/// True for y = S; false in general, although another shift in the next layer seems to mix more.
/// </summary>
public sealed record TwoShiftsReach(bool Same) : IClaim
{
    /// <inheritdoc/>
    public B Region<I, B>(Sizes<I> sizes)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => Regions.Valid<I, B>(sizes) & sizes.S > 0;

    /// <inheritdoc/>
    public B Holds<I, B>(Sizes<I> sizes, I x, I y)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        I second = Same ? sizes.S : y;
        I Earliest(I shift, I t) => I.Min(Slices.FirstKeyNeeded<I, B>(sizes.G, 0, t), Slices.FirstKeyNeeded<I, B>(sizes.G, shift, t));
        I reached = Earliest(second, Earliest(sizes.S, x));
        return B.Implies(0 < second & second < sizes.G, reached <= x - sizes.G | I.Equal(reached, 0));
    }
}

/// <summary>Split: a shifted head sees S (G - S) pairs less than an unshifted one, and LocalCausal as many: every pattern of shifts costs at most what none costs.</summary>
public sealed record CostOfShift : IClaim
{
    /// <inheritdoc/>
    public B Region<I, B>(Sizes<I> sizes)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => Regions.Valid<I, B>(sizes) & Regions.WholeGroups<I, B>(sizes);

    /// <inheritdoc/>
    public B Holds<I, B>(Sizes<I> sizes, I x, I y)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        I Pairs(MaskPolicy mask, I s) => Costs.VisiblePairs<I, B>(mask, sizes.N, sizes.G, s);
        return I.Equal(Pairs(MaskPolicy.Split, 0), Pairs(MaskPolicy.Split, sizes.S) + Costs.LeakingPairs<I, B>(sizes.G, sizes.S))
            & I.Equal(Pairs(MaskPolicy.LocalCausal, 0), Pairs(MaskPolicy.LocalCausal, sizes.S));
    }
}

/// <summary>
/// LocalCausal with both kinds of head: query x sees key y exactly where x is less than two borders of <see cref="Reach"/> further along the ring than the border before y.
/// So data moves forward around the ring of N tokens, and comes back from behind.
/// </summary>
public sealed record LeakStep : IClaim
{
    /// <inheritdoc/>
    public B Region<I, B>(Sizes<I> sizes)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => Regions.Valid<I, B>(sizes) & Regions.WholeGroups<I, B>(sizes) & sizes.S > 0;

    /// <inheritdoc/>
    public B Holds<I, B>(Sizes<I> sizes, I x, I y)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        B Sees(I shift) => Visibility.Visible<I, B>(MaskPolicy.LocalCausal, sizes.N, sizes.G, shift, x, y);
        I ahead = I.If(x >= y, x - y, x - y + sizes.N);
        return B.Iff(Sees(0) | Sees(sizes.S), y + ahead < Reach.Border<I, B>(sizes, Reach.Index<I, B>(sizes, y) + 2));
    }
}

/// <summary>
/// Around the ring once are 2 N / G borders: x counts them. With LeakStep, data of token y + 1 is back at y after 2 N / G - 1 layers where y + 1 is a border, after 2 N / G
/// elsewhere, and never before.
/// </summary>
public sealed record LeakRound : IClaim
{
    /// <inheritdoc/>
    public B Region<I, B>(Sizes<I> sizes)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => Regions.Valid<I, B>(sizes) & Regions.WholeGroups<I, B>(sizes) & sizes.S > 0;

    /// <inheritdoc/>
    public B Holds<I, B>(Sizes<I> sizes, I x, I y)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        I border = Reach.Border<I, B>(sizes, x);
        return I.Equal(Reach.Border<I, B>(sizes, x + 2 * (sizes.N / sizes.G)), border + sizes.N)
            & Reach.Border<I, B>(sizes, x + 1) > border
            & I.Equal(Reach.Index<I, B>(sizes, border), x);
    }
}

/// <summary>What the statements about one token of one phase share.</summary>
internal static class PhaseRegions
{
    /// <summary>G, P &gt;= 1, 0 &lt;= p &lt; P, t &gt;= 0.</summary>
    public static B OfToken<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => values[0] >= 1 & values[1] >= 1 & Regions.Contains<I, B>(0, values[1], values[2]) & values[3] >= 0;
}
