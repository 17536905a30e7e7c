// The algebra that computes: 64-bit integers and booleans.
namespace S2Attn.Spec.Algebra;

/// <summary>A computed truth value.</summary>
public readonly record struct Bool(bool Value) : IProposition<Bool>
{
    /// <inheritdoc/>
    public static Bool Of(bool value) => new(value);

    /// <summary>The boolean with this value.</summary>
    public static implicit operator bool(Bool value) => value.Value;

    /// <inheritdoc/>
    public static Bool operator &(Bool a, Bool b) => new(a.Value & b.Value);

    /// <inheritdoc/>
    public static Bool operator |(Bool a, Bool b) => new(a.Value | b.Value);

    /// <inheritdoc/>
    public static Bool operator !(Bool a) => new(!a.Value);

    /// <inheritdoc/>
    public static Bool Iff(Bool a, Bool b) => new(a.Value == b.Value);
}

/// <summary>A computed integer. Arithmetic is checked: a formula that leaves 64 bits throws instead of wrapping.</summary>
public readonly record struct Int(long Value) : IInteger<Int, Bool>
{
    /// <summary>The integer with this value.</summary>
    public static implicit operator Int(long value) => new(value);

    /// <summary>The value as a 32-bit index.</summary>
    /// <exception cref="OverflowException">The value leaves 32 bits.</exception>
    public int ToIndex() => checked((int)Value);

    /// <inheritdoc/>
    public static Int operator +(Int a, Int b) => new(checked(a.Value + b.Value));

    /// <inheritdoc/>
    public static Int operator -(Int a, Int b) => new(checked(a.Value - b.Value));

    /// <inheritdoc/>
    public static Int operator *(Int a, Int b) => new(checked(a.Value * b.Value));

    /// <inheritdoc/>
    /// <exception cref="DivideByZeroException">b is not positive: no formula of Spec may divide so.</exception>
    public static Int operator /(Int a, Int b)
    {
        if (b.Value <= 0)
            throw new DivideByZeroException($"Formulas divide by positive integers only, not by {b.Value}.");
        long quotient = a.Value / b.Value;
        return new(a.Value < quotient * b.Value ? quotient - 1 : quotient);
    }

    /// <inheritdoc/>
    public static Bool operator <=(Int a, Int b) => new(a.Value <= b.Value);

    /// <inheritdoc/>
    public static Bool operator >=(Int a, Int b) => new(a.Value >= b.Value);

    /// <inheritdoc/>
    public static Bool operator <(Int a, Int b) => new(a.Value < b.Value);

    /// <inheritdoc/>
    public static Bool operator >(Int a, Int b) => new(a.Value > b.Value);

    /// <inheritdoc/>
    public static Bool Equal(Int a, Int b) => new(a.Value == b.Value);

    /// <inheritdoc/>
    public static Int If(Bool condition, Int a, Int b) => condition.Value ? a : b;

    /// <inheritdoc/>
    public override string ToString() => Value.ToString(System.Globalization.CultureInfo.InvariantCulture);
}
