// Which values of one size does a port take?
using System.Collections.Immutable;
using System.Globalization;

namespace S2Attn.Conformance.Protocol;

/// <summary>The values of a size that a port takes: a range, the multiples of a number, a list, or what is in all of them. The default takes every value.</summary>
public readonly record struct SizeRule
{
    private readonly int step;
    private readonly int beyond;
    private readonly ImmutableArray<int> values;

    /// <summary>Every value.</summary>
    public static SizeRule Free => default;

    /// <summary>The least value.</summary>
    public int Min { get; init; }

    /// <summary>The greatest value.</summary>
    public int Max { get => int.MaxValue - beyond; init => beyond = int.MaxValue - value; }

    /// <summary>Every value is a multiple of this.</summary>
    public int MultipleOf { get => Math.Max(step, 1); init => step = value > 1 ? value : 0; }

    /// <summary>The only values, in rising order; empty where the other rules say all.</summary>
    public ImmutableArray<int> OneOf
    {
        get => values.IsDefault ? [] : values;
        init => values = value.IsDefaultOrEmpty ? default : [.. value.Distinct().Order()];
    }

    /// <summary>Exactly this value.</summary>
    public static SizeRule Exactly(int value) => new() { OneOf = [value] };

    /// <summary>Exactly this value.</summary>
    public static implicit operator SizeRule(int value) => Exactly(value);

    /// <summary>Whether every value is taken.</summary>
    public bool IsFree => Equals(Free);

    /// <summary>Whether this value is taken.</summary>
    public bool Allows(int value) => value >= Min && value <= Max && value % MultipleOf == 0 && (values.IsDefault || values.Contains(value));

    /// <summary>A value that is taken: the wanted one, else the largest below it, else the smallest above it.</summary>
    /// <param name="wanted">What one would like.</param>
    /// <param name="low">Nothing below this.</param>
    /// <param name="high">Nothing above this.</param>
    /// <param name="divisor">Only multiples of this.</param>
    /// <param name="value">The value; <paramref name="wanted"/> where none is.</param>
    /// <returns>Whether there is one.</returns>
    public bool TryFit(int wanted, int low, int high, int divisor, out int value)
    {
        value = wanted;
        SizeRule rule = this;
        (long from, long to) = (Math.Max(low, Min), Math.Min(high, Max));
        IEnumerable<long> found;
        if (values.IsDefault)
        {
            // The two multiples on either side of the wanted value, within the bounds.
            long multiple = LeastCommonMultiple(MultipleOf, divisor), near = Math.Clamp(wanted, from, Math.Max(from, to));
            found = new[] { Floor(near, multiple), Floor(near, multiple) + multiple };
        }
        else
        {
            found = values.Where(item => item % divisor == 0 && rule.Allows(item)).Select(item => (long)item);
        }

        long[] inside = [.. found.Where(item => item >= from && item <= to).OrderBy(item => item > wanted).ThenBy(item => Math.Abs(item - wanted)).Take(1)];
        if (inside.Length > 0)
            value = (int)inside[0];
        return inside.Length > 0;
    }

    /// <summary>A value of at least 1 that is taken, as near to the wanted one as <see cref="TryFit"/> finds it; the wanted one where none is.</summary>
    public int Fit(int wanted) => TryFit(wanted, 1, int.MaxValue, 1, out int value) ? value : wanted;

    /// <summary>The rules that a value breaks, as "=4", ">=2", "&lt;=8", "=even"; empty where it is taken.</summary>
    public ImmutableArray<string> Broken(int value) =>
    [
        .. values.IsDefault || values.Contains(value) ? [] : new[] { "=" + string.Join('|', values) },
        .. value >= Min ? [] : new[] { FormattableString.Invariant($">={Min}") },
        .. value <= Max ? [] : new[] { FormattableString.Invariant($"<={Max}") },
        .. value % MultipleOf == 0 ? [] : new[] { MultipleOf == 2 ? "=even" : FormattableString.Invariant($"=multiple of {MultipleOf}") },
    ];

    /// <inheritdoc/>
    public bool Equals(SizeRule other) =>
        Min == other.Min && Max == other.Max && MultipleOf == other.MultipleOf && OneOf.AsSpan().SequenceEqual(other.OneOf.AsSpan());

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Min, Max, MultipleOf, OneOf.Length);

    /// <inheritdoc/>
    public override string ToString() => IsFree ? "any" : string.Join(
        ", ",
        new[]
        {
            OneOf.IsEmpty ? "" : string.Join('|', OneOf.Select(item => item.ToString(CultureInfo.InvariantCulture))),
            Min == 0 ? "" : FormattableString.Invariant($">={Min}"),
            beyond == 0 ? "" : FormattableString.Invariant($"<={Max}"),
            step == 0 ? "" : FormattableString.Invariant($"multiple of {MultipleOf}"),
        }.Where(part => part.Length > 0));

    private static long Floor(long value, long multiple) => value >= 0 ? value / multiple * multiple : -((-value + multiple - 1) / multiple * multiple);

    private static long LeastCommonMultiple(long a, long b)
    {
        (long x, long y) = (a, b);
        while (y != 0)
            (x, y) = (y, x % y);
        return a / x * b;
    }
}
