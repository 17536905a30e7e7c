// Which query heads are shifted?
using System.Collections.Immutable;

namespace S2Attn.Spec;

/// <summary>The set of QUERY heads that shift. Whether a key/value head is read shifted is decided by the query head that reads it.</summary>
public abstract record HeadShift
{
    private HeadShift() { }

    /// <summary>No head shifts: plain grouped attention.</summary>
    public sealed record NoHeads : HeadShift;

    /// <summary>Heads h &gt;= H / 2 shift, as in LongLoRA; for odd H the extra head is shifted.</summary>
    public sealed record UpperHalf : HeadShift;

    /// <summary>Every head shifts.</summary>
    public sealed record AllHeads : HeadShift;

    /// <summary>Head h shifts where Flags[h]; there must be H flags.</summary>
    public sealed record Given(ImmutableArray<bool> Flags) : HeadShift
    {
        /// <summary>Equality of the flags, not of the array's identity.</summary>
        public bool Equals(Given? other) => other is not null && Flags.AsSpan().SequenceEqual(other.Flags.AsSpan());

        /// <inheritdoc/>
        public override int GetHashCode() => Flags.Aggregate(Flags.Length, HashCode.Combine);
    }

    /// <summary>No head shifts.</summary>
    public static HeadShift None { get; } = new NoHeads();

    /// <summary>LongLoRA's choice: heads H / 2 and up.</summary>
    public static HeadShift SecondHalf { get; } = new UpperHalf();

    /// <summary>Every head shifts.</summary>
    public static HeadShift All { get; } = new AllHeads();

    /// <summary>Any set of heads, one flag for each query head.</summary>
    public static HeadShift Of(IEnumerable<bool> flags) => new Given([.. flags]);

    /// <summary>Whether query head <paramref name="head"/> of <paramref name="heads"/> shifts.</summary>
    public bool IsShifted(int head, int heads) => this switch
    {
        NoHeads => false,
        UpperHalf => head >= heads / 2,
        AllHeads => true,
        Given given => given.Flags[head],
        _ => throw new InvalidOperationException($"Unknown head shift {this}."),
    };

    /// <summary>The name used by reports and by the port protocol; the flags where they are given.</summary>
    // Sealed, because each derived record would otherwise print itself in its own way.
    public sealed override string ToString() => this switch
    {
        NoHeads => "None",
        UpperHalf => "SecondHalf",
        AllHeads => "All",
        Given given => $"[{string.Join(",", given.Flags.Select(flag => flag ? "true" : "false"))}]",
        _ => throw new InvalidOperationException("A head shift is one of the nested records."),
    };
}
