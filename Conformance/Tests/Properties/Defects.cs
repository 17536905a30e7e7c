// Which wrong implementations are known?
using System.Collections.Immutable;
using S2Attn.Conformance.Ports;

namespace S2Attn.Tests.Properties;

/// <summary>The mutants of the definition.</summary>
internal static class Defects
{
    public static ImmutableArray<IAttentionPort> All() => MutantPort.All();

    public static IAttentionPort Named(string name) => All().Single(defect => defect.Description.Name == name);
}
