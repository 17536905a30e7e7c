// What does a check look at where no port is named?
using System.Collections.Immutable;
using S2Attn.Conformance.Ports;
using S2Attn.Spec;

namespace S2Attn.Cli;

/// <summary>The project itself, or what a test puts in its place.</summary>
/// <param name="Theorems">The catalogue of theorems.</param>
/// <param name="Golden">The folders of golden tensors, asked for when the check begins.</param>
/// <param name="Ports">The ports by name.</param>
internal sealed record CheckSources(IReadOnlyList<Theorem> Theorems, Func<ImmutableArray<string>> Golden, IReadOnlyDictionary<string, Func<IAttentionPort>> Ports)
{
    /// <summary>The catalogue of Spec, the golden folder of the working directory or of the program, and the built-in ports.</summary>
    public static CheckSources Own { get; } = new(
        S2Attn.Spec.Theorems.Catalogue, Carried.Golden, PortFactory.BuiltIn);
}
