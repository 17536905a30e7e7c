// A statement about other integers than sizes and tokens: tiles, offsets, lemmas.
using System.Collections.Immutable;
using S2Attn.Spec.Algebra;

namespace S2Attn.Spec.Claims;

/// <summary>A statement over any number of integers, written once for every algebra.</summary>
public interface IStatement
{
    /// <summary>Where the statement is claimed.</summary>
    B Assumes<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>;

    /// <summary>The statement at these values, in the order of <see cref="Statement.Variables"/>.</summary>
    B Holds<I, B>(IReadOnlyList<I> values)
        where I : IInteger<I, B>
        where B : IProposition<B>;
}

/// <summary>A named statement that holds, and its variables.</summary>
/// <param name="Name">A stable identifier, such as RowStaysInside.</param>
/// <param name="Text">The statement in words and symbols.</param>
/// <param name="Region">Where it is claimed, in words and symbols.</param>
/// <param name="Variables">The names of its integers.</param>
/// <param name="Claim">The statement over any algebra.</param>
public sealed record Statement(string Name, string Text, string Region, ImmutableArray<string> Variables, IStatement Claim)
{
    /// <summary>The first values in [from, to] for each variable at which the statement is claimed and fails; none where it holds.</summary>
    public ImmutableArray<long> Refutation(int from, int to)
    {
        long[] values = [.. Variables.Select(_ => (long)from)];
        for (int changed = 0; changed < values.Length;)
        {
            Int[] point = [.. values.Select(value => new Int(value))];
            if (Claim.Assumes<Int, Bool>(point).Value && !Claim.Holds<Int, Bool>(point).Value)
                return [.. values];
            for (changed = 0; changed < values.Length && ++values[changed] > to; changed++)
                values[changed] = from;
        }

        return [];
    }

    /// <inheritdoc/>
    public override string ToString() => Name;
}
