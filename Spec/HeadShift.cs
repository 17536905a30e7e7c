// Which query heads are shifted, and by how much?
using System.Collections.Immutable;
using S2Attn.Spec.Algebra;

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

    /// <summary>
    /// Heads in P phases (<see cref="Phases"/>): the heads of phase p shift by floor(G p / P), or half a step more, floor(G (2p + 1) / 2P), where rotated. P = 2, not rotated, is
    /// the upper half with S = floor(G / 2).
    /// </summary>
    public sealed record InPhases(int Count, bool IsRotated) : HeadShift;

    /// <summary>Head h shifts by Shifts[h]; there must be H of them, each in [0, G).</summary>
    public sealed record ByEach(ImmutableArray<int> Shifts) : HeadShift
    {
        /// <summary>Equality of the shifts, not of the array's identity.</summary>
        public bool Equals(ByEach? other) => other is not null && Shifts.AsSpan().SequenceEqual(other.Shifts.AsSpan());

        /// <inheritdoc/>
        public override int GetHashCode() => Shifts.Aggregate(Shifts.Length, HashCode.Combine);
    }

    /// <summary>No head shifts.</summary>
    public static HeadShift None { get; } = new NoHeads();

    /// <summary>LongLoRA's choice: heads H / 2 and up.</summary>
    public static HeadShift SecondHalf { get; } = new UpperHalf();

    /// <summary>Every head shifts.</summary>
    public static HeadShift All { get; } = new AllHeads();

    /// <summary>Any set of heads, one flag for each query head.</summary>
    public static HeadShift Of(IEnumerable<bool> flags) => new Given([.. flags]);

    /// <summary>P phases of heads, in order of the heads; half a step later where rotated.</summary>
    public static HeadShift Phased(int count, bool isRotated = false) => new InPhases(count, isRotated);

    /// <summary>One shift for each query head.</summary>
    public static HeadShift Each(IEnumerable<int> shifts) => new ByEach([.. shifts]);

    /// <summary>Whether the heads say themselves by how much they shift; else all that shift do so by S.</summary>
    public bool HasOwnShifts => this is InPhases or ByEach;

    /// <summary>By how much query head <paramref name="head"/> of <paramref name="heads"/> shifts, for groups of <paramref name="groupSize"/> and S = <paramref name="shift"/>.</summary>
    public int ShiftOf(int head, int heads, int groupSize, int shift) => this switch
    {
        InPhases phased => Phases.Shift<Int, Bool>(
            groupSize,
            phased.IsRotated ? 2L * phased.Count : phased.Count,
            Phases.OfHead<Int, Bool>(heads, phased.Count, head) * (phased.IsRotated ? 2 : 1) + (phased.IsRotated ? 1 : 0)).ToIndex(),
        ByEach each => each.Shifts[head],
        _ => IsShifted(head, heads) ? shift : 0,
    };

    /// <summary>Whether query head <paramref name="head"/> of <paramref name="heads"/> shifts.</summary>
    public bool IsShifted(int head, int heads) => this switch
    {
        NoHeads => false,
        UpperHalf => head >= heads / 2,
        AllHeads => true,
        Given given => given.Flags[head],
        InPhases phased => phased.IsRotated || Phases.OfHead<Int, Bool>(heads, phased.Count, head).Value > 0,
        ByEach each => each.Shifts[head] > 0,
        _ => throw new InvalidOperationException($"Unknown head shift {this}."),
    };

    /// <summary>The name used by reports and by the port protocol; the flags where they are given.</summary>
    // Sealed, because each derived record would otherwise print itself in its own way.
    public sealed override string ToString() => this switch
    {
        NoHeads => "None",
        UpperHalf => "SecondHalf",
        AllHeads => "All",
        InPhases phased => $"{(phased.IsRotated ? "Rotated" : "Phases")}({phased.Count})",
        ByEach each => $"[{string.Join(",", each.Shifts)}]",
        Given given => $"[{string.Join(",", given.Flags.Select(flag => flag ? "true" : "false"))}]",
        _ => throw new InvalidOperationException("A head shift is one of the nested records."),
    };
}
