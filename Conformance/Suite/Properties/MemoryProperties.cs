// Does it matter where the tensors lie: head-major, behind strides, or as sequences packed one behind the other?
using System.Collections.Immutable;
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Conformance.Properties;

/// <summary>The same numbers elsewhere in memory give the same answer, and nothing is written but rows. Asked of ports that declare layouts, packed or strides.</summary>
public static class MemoryProperties
{
    private const string Bound = "within the derived error bound of its element type";

    /// <summary>The properties of this file.</summary>
    public static ImmutableArray<Property> All { get; } =
    [
        new(
            "Layout.Output", $"q, k, v as [B,H,N,D] give the definition's o [B,H,N,D] and lse, {Bound}", "ports that declare layouts BHND", [], item => item, _ => true,
            [PortOperation.Forward], probe => Asked(probe, PortOperation.Forward, new() { HeadMajor = true }, probe.Input, probe.OutputGradient)),
        new(
            "Layout.Gradients", $"q, k, v, do as [B,H,N,D] give the definition's dq, dk, dv as [B,H,N,D], {Bound}", "ports that declare layouts BHND, with a backward pass", [], item => item, _ => true,
            [PortOperation.Backward], probe => Asked(probe, PortOperation.Backward, new() { HeadMajor = true }, probe.Input, probe.OutputGradient)),
        new(
            "Packed.Output", $"packed sequences, of no tokens and of fewer than G too, give the o and lse of each alone, {Bound}", "ports that declare packed; B = 1", [], OneEntry, item => item.Config.Batch == 1,
            [PortOperation.Forward], probe => Packed(probe, PortOperation.Forward)),
        new(
            "Packed.Gradients", $"packed sequences, of no tokens and of fewer than G too, give the dq, dk, dv of each alone, {Bound}", "ports that declare packed, with a backward pass; B = 1", [], OneEntry, item => item.Config.Batch == 1,
            [PortOperation.Backward], probe => Packed(probe, PortOperation.Backward)),
        new(
            "Strides.Output", $"rows that stand apart, backwards or for all give the definition's o and lse, {Bound}; nothing is read or written between them", "ports that declare strides", [], item => item, _ => true,
            [PortOperation.Forward], probe => Strided(probe, PortOperation.Forward)),
        new(
            "Strides.Gradients", $"rows that stand apart, backwards or for all give the definition's dq, dk, dv, {Bound}; nothing is read or written between them", "ports that declare strides, with a backward pass", [], item => item, _ => true,
            [PortOperation.Backward], probe => Strided(probe, PortOperation.Backward)),
    ];

    // Three groups and more, so that sequences of one, of several and of less than one have room.
    private static AttentionCase OneEntry(AttentionCase item)
    {
        S2Config config = item.Config;
        int tokens = Math.Max(config.Tokens, 6), group = tokens >= 3 * config.GroupSize ? config.GroupSize : tokens / 3 / 2 * 2;
        return item with
        {
            Config = config.With(request => request with
            {
                Batch = 1,
                Tokens = config.Mask.CutsWrappedRun() ? tokens : tokens / group * group,
                GroupSize = GroupSizeRule.Of(group),
                Shift = Math.Min(config.Shift, group - 1),
            }),
        };
    }

    private static IEnumerable<string> Packed(Probe probe, PortOperation operation)
    {
        Random choices = probe.Choices();
        ImmutableArray<int> starts = MemoryCases.Starts(probe.Capabilities, probe.Config, choices);
        if (probe.Case.Seed % 2 == 0 || !probe.Capabilities.Strides.Contains(StrideKind.Gapped))
            return Asked(probe, operation, new() { Starts = starts }, probe.Input, probe.OutputGradient);
        return Strided(probe, operation, choices, starts);
    }

    private static IEnumerable<string> Strided(Probe probe, PortOperation operation) => Strided(probe, operation, probe.Choices(), []);

    private static IEnumerable<string> Strided(Probe probe, PortOperation operation, Random choices, ImmutableArray<int> starts)
    {
        CaseMemory memory = MemoryCases.Strided(probe.Capabilities, probe.Config, operation, choices) with { Starts = starts };
        AttentionInput<double> input = probe.Input with
        {
            Query = MemoryCases.Repeated(memory, "q", probe.Input.Query),
            Key = MemoryCases.Repeated(memory, "k", probe.Input.Key),
            Value = MemoryCases.Repeated(memory, "v", probe.Input.Value),
        };
        return Asked(probe, operation, memory, input, MemoryCases.Repeated(memory, "do", probe.OutputGradient));
    }

    private static IEnumerable<string> Asked(Probe probe, PortOperation operation, CaseMemory memory, AttentionInput<double> input, Tensor<double> outputGradient)
    {
        PortCase asked = new(probe.Config, probe.Case.Type, input, operation is PortOperation.Backward ? [outputGradient] : []) { Memory = memory };
        PortAnswer answer = probe.Ask(asked);
        if (memory.Starts.IsEmpty)
            return Apart(probe, asked, answer, "");
        return PackedCase.Sequences(asked).Zip(PackedCase.Parted(asked, answer))
            .SelectMany(pair => Apart(probe, pair.First, pair.Second, $", in the sequence of {pair.First.Config.Tokens} tokens of cu_seqlens {string.Join(",", memory.Starts)}"));
    }

    private static IEnumerable<string> Apart(Probe probe, PortCase asked, PortAnswer answer, string where) =>
        Agreement.Compare(asked, answer, probe.Model).Where(tensor => !tensor.Agrees).Select(tensor => tensor + where);
}
