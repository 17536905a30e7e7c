// What do the tests of grids and of prefixes have in common?
using System.Collections.Immutable;
using S2Attn.Conformance.Mutants;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Xray;
using S2Attn.Reference;
using S2Attn.Reference.Upstream;
using S2Attn.Spec;

namespace S2Attn.Tests.Xray;

internal static class PartDiagnosis
{
    // `s2attn mutants --pairs 1000 --filter grid-`, or prefix-, looks at all.
    private const int PairsInTests = 80;

    /// <summary>None of some pairs is missed, and a share of them is named exactly.</summary>
    public static void AssertExplained(IEnumerable<Composition> all, double named)
    {
        ImmutableArray<Composition> pairs = PairRun.Spread([.. all], PairsInTests);
        PairResult[] results = [.. PairRun.Of(pairs)];
        Assert.Equal(pairs.Length, results.Length);
        Assert.Empty(results.Where(result => result.Outcome is PairOutcome.Missed).Select(result => $"{result.Pair}: {result.Said}"));
        Assert.True(results.Count(result => result.Outcome is PairOutcome.Named) >= named * pairs.Length, string.Join("\n", results.Where(result => result.Outcome is not PairOutcome.Named).Select(result => $"{result.Pair}: {result.Outcome}: {result.Said}")));
    }

    public static XrayReport Take(IAttentionPort port)
    {
        PortCapabilities capabilities = port.Description.Capabilities;
        return Xrays.Take(port, Xrays.Probes(capabilities, capabilities.Masks, S2Config.Create(Xrays.Widened(capabilities, Xrays.Fitting(capabilities, capabilities.Masks[0])))));
    }

    /// <summary>What is wrong with a mutant comes first, what to change second, and what is right stands behind.</summary>
    /// <param name="name">The mutant's name, without "mutant:".</param>
    /// <param name="what">How what is said of the port goes on behind its name.</param>
    /// <param name="fix">How what to change begins.</param>
    public static void AssertSaidFirst(string name, string what, string fix)
    {
        using IAttentionPort port = PortFactory.Create(new(), $"mutant:{name}");
        Diagnosis diagnosis = Diagnosis.Of(port);
        Assert.Equal([name], diagnosis.Names.ToArray());
        Assert.StartsWith($"{port.Description.Name} is {name.Replace("+", " + ", StringComparison.Ordinal)} {what}", diagnosis.Sentences[0], StringComparison.Ordinal);
        Assert.StartsWith($"To fix: {fix}", diagnosis.Sentences[1], StringComparison.Ordinal);
        Assert.Contains(diagnosis.Sentences, sentence => sentence.Contains("it equals the definition at all", StringComparison.Ordinal));
    }

    /// <summary>A port of one defect that claims less than others.</summary>
    public static CompositionPort Of(Defect defect, Func<PortCapabilities, PortCapabilities> claim) => Of(Composition.Of(defect), claim);

    /// <summary>The same of several, or none.</summary>
    public static CompositionPort Of(Composition composition, Func<PortCapabilities, PortCapabilities> claim)
    {
        using CompositionPort whole = new("few", composition);
        return new("few", composition) { Description = whole.Description with { Capabilities = claim(whole.Description.Capabilities) } };
    }

    /// <summary>Every token sees itself alone in the first kv head, which no defect of a part does.</summary>
    public static PortAnswer Alone(PortCase item) => item.Operation is PortOperation.Backward
        ? new PortAnswer.Failed(PortFailureKind.Error, "forward only")
        : new PortAnswer.Forward(Tensor<double>.Build(item.Input.Query.Shape.AsSpan(), i => item.Input.Value[i / item.Config.HeadDim / item.Config.Heads / item.Config.Tokens, i / item.Config.HeadDim / item.Config.Heads % item.Config.Tokens, 0, i % item.Config.HeadDim]), []);
}
