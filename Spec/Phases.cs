// By how much does a head of P phases shift, and how far do layers with such heads look back?
using S2Attn.Spec.Algebra;

namespace S2Attn.Spec;

/// <summary>
/// Heads in P phases: the heads of phase p shift by floor(G p / P). P = 1 is no shift and P = 2 is S2-Attn with S = floor(G / 2). The starts of the runs of all phases, merged in
/// order, are the borders floor(k G / P): from a token a layer sees back to the border P - 1 before the one at or before it, in the head whose run starts there.
/// </summary>
public static class Phases
{
    /// <summary>The phase of query head h of H: how many i in 1 .. P - 1 have h &gt;= floor(i H / P). Statement "PhaseOfHead".</summary>
    public static I OfHead<I, B>(I heads, I phases, I h)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => (phases * (h + 1) - 1) / heads;

    /// <summary>The shift of phase p, 0 &lt;= p &lt; P: floor(G p / P).</summary>
    public static I Shift<I, B>(I g, I phases, I p)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => Border<I, B>(g, phases, p);

    /// <summary>Border k: floor(k G / P), where a run of phase k mod P starts.</summary>
    public static I Border<I, B>(I g, I phases, I k)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => k * g / phases;

    /// <summary>The index of the last border at or before token t.</summary>
    public static I Index<I, B>(I g, I phases, I t)
        where I : IInteger<I, B>
        where B : IProposition<B>
        => (phases * (t + 1) - 1) / g;

    /// <summary>The first token that t reaches through L layers of P phases under Split, for P &lt;= G or L = 1: with more phases than tokens in a group borders coincide.</summary>
    public static I Earliest<I, B>(I g, I phases, I layers, I t)
        where I : IInteger<I, B>
        where B : IProposition<B>
    {
        I border = Index<I, B>(g, phases, t) - layers * (phases - 1);
        return I.If(border >= 0, Border<I, B>(g, phases, border), 0);
    }
}
