// Which mutants are there?
using System.Collections.Immutable;

namespace S2Attn.Conformance.Mutants;

/// <summary>Wrong ports, each in one way. The suite is right about them where some property of the default run fails on each.</summary>
public static class MutantCatalogue
{
    /// <summary>All mutants, in the order of the pipeline's steps.</summary>
    public static ImmutableArray<Mutant> All { get; } =
    [
        .. ShiftMutants.All,
        .. MaskMutants.All,
        .. PaddingMutants.All,
        .. SoftmaxMutants.All,
        .. GradientMutants.All,
    ];
}
