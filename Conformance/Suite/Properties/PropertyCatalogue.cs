// Which properties are checked, in the order of reports?
using System.Collections.Immutable;

namespace S2Attn.Conformance.Properties;

/// <summary>Every property of a right implementation of S2-Attn.</summary>
public static class PropertyCatalogue
{
    /// <summary>All properties.</summary>
    public static ImmutableArray<Property> All { get; } =
    [
        .. AgreementProperties.All,
        .. VisibilityProperties.All,
        .. LeakageProperties.All,
        .. PlacementProperties.All,
        .. OracleProperties.All,
        .. InvarianceProperties.All,
        .. GradientProperties.All,
        .. MemoryProperties.All,
        .. SliceProperties.All,
        .. PhaseProperties.All,
        .. GridProperties.All,
        .. PrefixProperties.All,
    ];
}
