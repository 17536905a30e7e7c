// What an integer must offer for a formula of Spec to be written over it.
namespace S2Attn.Spec.Algebra;

/// <summary>
/// Unbounded integers over which the index formulas are written once. <see cref="Int"/> computes them; a symbolic type turns
/// the same C# text into proof obligations.
/// </summary>
/// <typeparam name="TSelf">The integer type.</typeparam>
/// <typeparam name="TBool">The truth values that its comparisons yield.</typeparam>
public interface IInteger<TSelf, TBool>
    where TSelf : IInteger<TSelf, TBool>
    where TBool : IProposition<TBool>
{
    /// <summary>The integer with this value.</summary>
    static abstract implicit operator TSelf(long value);

    /// <summary>Sum.</summary>
    static abstract TSelf operator +(TSelf a, TSelf b);

    /// <summary>Difference.</summary>
    static abstract TSelf operator -(TSelf a, TSelf b);

    /// <summary>Product.</summary>
    static abstract TSelf operator *(TSelf a, TSelf b);

    /// <summary>Floor of a / b for b &gt; 0. Formulas of Spec divide only by positive integers.</summary>
    static abstract TSelf operator /(TSelf a, TSelf b);

    /// <summary>a at most b.</summary>
    static abstract TBool operator <=(TSelf a, TSelf b);

    /// <summary>a at least b.</summary>
    static abstract TBool operator >=(TSelf a, TSelf b);

    /// <summary>a less than b.</summary>
    static abstract TBool operator <(TSelf a, TSelf b);

    /// <summary>a greater than b.</summary>
    static abstract TBool operator >(TSelf a, TSelf b);

    /// <summary>a equals b.</summary>
    static abstract TBool Equal(TSelf a, TSelf b);

    /// <summary>a where the condition holds, else b.</summary>
    static abstract TSelf If(TBool condition, TSelf a, TSelf b);

    /// <summary>The lesser of the two.</summary>
    static virtual TSelf Min(TSelf a, TSelf b) => TSelf.If(a <= b, a, b);
}
