// The second meaning of Spec's formulas: not a number but the formula itself, kept as a graph.
using S2Attn.Spec.Algebra;

namespace S2Attn.Conformance.Proofs;

/// <summary>
/// An integer expression. The generic formulas of Spec, called with Term for I and <see cref="Prop"/> for B, return the expression that
/// they would compute; only sums and products with known operands are simplified. Equality is identity; <see cref="SmtScript"/> finds the subexpressions that are written alike.
/// </summary>
public abstract class Term : IInteger<Term, Prop>
{
    private Term() { }

    /// <summary>A free integer.</summary>
    public sealed class Variable(string name) : Term
    {
        /// <summary>Its name in the scripts.</summary>
        public string Name => name;
    }

    /// <summary>A constant.</summary>
    public sealed class Constant(long value) : Term
    {
        /// <summary>Its value.</summary>
        public long Value => value;
    }

    /// <summary>a + b, a - b or a * b.</summary>
    public sealed class Operation(string symbol, Term a, Term b) : Term
    {
        /// <summary>+, - or *.</summary>
        public string Symbol => symbol;

        /// <summary>The left operand.</summary>
        public Term A => a;

        /// <summary>The right operand.</summary>
        public Term B => b;
    }

    /// <summary>Floor of a / b, for b &gt; 0.</summary>
    public sealed class Quotient(Term a, Term b) : Term
    {
        /// <summary>The dividend.</summary>
        public Term A => a;

        /// <summary>The divisor.</summary>
        public Term B => b;
    }

    /// <summary>a where the condition holds, else b.</summary>
    public sealed class Choice(Prop condition, Term a, Term b) : Term
    {
        /// <summary>The condition.</summary>
        public Prop Condition => condition;

        /// <summary>The value where it holds.</summary>
        public Term A => a;

        /// <summary>The value where it does not.</summary>
        public Term B => b;
    }

    /// <summary>The constant with this value.</summary>
    public static implicit operator Term(long value) => new Constant(value);

    /// <inheritdoc/>
    public static Term operator +(Term a, Term b) => (a, b) switch
    {
        (Constant { Value: var x }, Constant { Value: var y }) => checked(x + y),
        (Constant { Value: 0 }, _) => b,
        (_, Constant { Value: 0 }) => a,
        _ => new Operation("+", a, b),
    };

    /// <inheritdoc/>
    public static Term operator -(Term a, Term b) => (a, b) switch
    {
        (Constant { Value: var x }, Constant { Value: var y }) => checked(x - y),
        (_, Constant { Value: 0 }) => a,
        _ => new Operation("-", a, b),
    };

    /// <inheritdoc/>
    public static Term operator *(Term a, Term b) => (a, b) switch
    {
        (Constant { Value: var x }, Constant { Value: var y }) => checked(x * y),
        (Constant { Value: 0 or 1 } factor, _) => factor.Value == 0 ? factor : b,
        (_, Constant { Value: 0 or 1 } factor) => factor.Value == 0 ? factor : a,
        _ => new Operation("*", a, b),
    };

    /// <inheritdoc/>
    public static Term operator /(Term a, Term b) => new Quotient(a, b);

    /// <inheritdoc/>
    public static Prop operator <=(Term a, Term b) => new Prop.Comparison("<=", a, b);

    /// <inheritdoc/>
    public static Prop operator >=(Term a, Term b) => new Prop.Comparison(">=", a, b);

    /// <inheritdoc/>
    public static Prop operator <(Term a, Term b) => new Prop.Comparison("<", a, b);

    /// <inheritdoc/>
    public static Prop operator >(Term a, Term b) => new Prop.Comparison(">", a, b);

    /// <inheritdoc/>
    public static Prop Equal(Term a, Term b) => new Prop.Comparison("=", a, b);

    /// <inheritdoc/>
    public static Term If(Prop condition, Term a, Term b)
    {
        ArgumentNullException.ThrowIfNull(condition);
        return condition is Prop.Constant constant ? (constant.Value ? a : b) : new Choice(condition, a, b);
    }
}
