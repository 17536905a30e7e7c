// The truth values that go with Term: propositions as graphs.
using S2Attn.Spec.Algebra;

namespace S2Attn.Conformance.Proofs;

/// <summary>A proposition about <see cref="Term"/>s. Only the constants true and false are simplified away, so that scripts stay close to the formulas.</summary>
public abstract class Prop : IProposition<Prop>
{
    private Prop() { }

    /// <summary>True or false.</summary>
    public sealed class Constant(bool value) : Prop
    {
        /// <summary>Its value.</summary>
        public bool Value => value;
    }

    /// <summary>A comparison of two integers.</summary>
    public sealed class Comparison(string symbol, Term a, Term b) : Prop
    {
        /// <summary>&lt;=, &gt;=, &lt;, &gt; or =.</summary>
        public string Symbol => symbol;

        /// <summary>The left operand.</summary>
        public Term A => a;

        /// <summary>The right operand.</summary>
        public Term B => b;
    }

    /// <summary>a and b, a or b, a implies b, or a if and only if b.</summary>
    public sealed class Connective(string symbol, Prop a, Prop b) : Prop
    {
        /// <summary>and, or, =&gt; or =.</summary>
        public string Symbol => symbol;

        /// <summary>The left operand.</summary>
        public Prop A => a;

        /// <summary>The right operand.</summary>
        public Prop B => b;
    }

    /// <summary>Not a.</summary>
    public sealed class Negation(Prop a) : Prop
    {
        /// <summary>The operand.</summary>
        public Prop A => a;
    }

    private static Prop True { get; } = new Constant(true);

    private static Prop False { get; } = new Constant(false);

    /// <inheritdoc/>
    public static Prop Of(bool value) => value ? True : False;

    /// <inheritdoc/>
    public static Prop operator &(Prop a, Prop b) => (a, b) switch
    {
        (Constant { Value: var value }, _) => value ? b : a,
        (_, Constant { Value: var value }) => value ? a : b,
        _ => new Connective("and", a, b),
    };

    /// <inheritdoc/>
    public static Prop operator |(Prop a, Prop b) => (a, b) switch
    {
        (Constant { Value: var value }, _) => value ? a : b,
        (_, Constant { Value: var value }) => value ? b : a,
        _ => new Connective("or", a, b),
    };

    /// <inheritdoc/>
    public static Prop operator !(Prop a) => a is Constant { Value: var value } ? Of(!value) : new Negation(a);

    /// <inheritdoc/>
    public static Prop Iff(Prop a, Prop b) => (a, b) switch
    {
        (Constant { Value: var value }, _) => value ? b : !b,
        (_, Constant { Value: var value }) => value ? a : !a,
        _ => new Connective("=", a, b),
    };

    /// <inheritdoc/>
    public static Prop Implies(Prop a, Prop b) => a is Constant { Value: var value } ? (value ? b : True) : new Connective("=>", a, b);

    /// <summary>The conjunction of all, true where there is none.</summary>
    public static Prop All(IEnumerable<Prop> props) => props.Aggregate(True, (a, b) => a & b);
}
