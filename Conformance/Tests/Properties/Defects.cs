// Which wrong implementations are known?
using System.Collections.Immutable;
using S2Attn.Conformance.Ports;
using S2Attn.Reference.Upstream;

namespace S2Attn.Tests.Properties;

/// <summary>The deviations that were seen in other code, and mutants of the definition.</summary>
internal static class Defects
{
    public static ImmutableArray<IAttentionPort> All() => [.. UpstreamProfiles.All.Select(profile => new ProfilePort(profile)), .. MutantPort.All()];

    public static IAttentionPort Named(string name) => All().Single(defect => defect.Description.Name == name);
}
