// What a truth value must offer for a formula of Spec to be written over it.
namespace S2Attn.Spec.Algebra;

/// <summary>Truth values over which the index formulas are written: they are computed (<see cref="Bool"/>) or printed for a solver.</summary>
/// <remarks>Operators do not short-circuit, because a symbolic operand has no value to decide on.</remarks>
public interface IProposition<TSelf>
    where TSelf : IProposition<TSelf>
{
    /// <summary>The constant true or false.</summary>
    static abstract TSelf Of(bool value);

    /// <summary>Conjunction.</summary>
    static abstract TSelf operator &(TSelf a, TSelf b);

    /// <summary>Disjunction.</summary>
    static abstract TSelf operator |(TSelf a, TSelf b);

    /// <summary>Negation.</summary>
    static abstract TSelf operator !(TSelf a);

    /// <summary>a if and only if b.</summary>
    static abstract TSelf Iff(TSelf a, TSelf b);

    /// <summary>If a, then b.</summary>
    static virtual TSelf Implies(TSelf a, TSelf b) => !a | b;
}
