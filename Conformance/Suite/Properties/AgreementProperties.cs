// Does a port compute what the definition computes, as exactly as its arithmetic allows?
using System.Collections.Immutable;
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Spec;

namespace S2Attn.Conformance.Properties;

/// <summary>Agreement of o, logsumexp and gradients with Reference, within the bound that docs/error-bounds.md derives.</summary>
public static class AgreementProperties
{
    private const string Bound = "the derived error bound of its element type";

    /// <summary>The properties of this file.</summary>
    public static ImmutableArray<Property> All { get; } =
    [
        new(
            "Agreement.Output", $"o equals the definition within {Bound}", "everywhere", [], Plain, _ => true,
            [PortOperation.Forward], Output) { IsEvidence = true },
        new(
            "Agreement.LogSumExp", $"lse equals log sum exp of the visible scores within {Bound}", "ports that return lse", [], item => item, _ => true,
            [PortOperation.Forward], LogSumExp) { IsEvidence = true },
        new(
            "Agreement.Gradients", $"dq, dk, dv equal the derivatives of the definition within {Bound}", "ports with a backward pass", [], item => item, _ => true,
            [PortOperation.Backward], Gradients) { IsEvidence = true },
        new(
            "Agreement.LargeScores", "scores past the range of a naive exp give no overflow, no NaN and the definition's o", "everywhere", [],
            item => Plain(item) with { Kind = TensorKind.LargeScores }, item => item.Kind is TensorKind.LargeScores, [PortOperation.Forward], Output) { IsEvidence = true },
        new(
            "Agreement.Ties", "tied scores share their weight equally", "everywhere", [],
            item => Plain(item) with { Kind = TensorKind.Ties }, item => item.Kind is TensorKind.Ties, [PortOperation.Forward], Output) { IsEvidence = true },
        new(
            "Borders.Output", $"o and lse equal the definition within {Bound} one, two and three blocks of the port long, less one and one more, with a padded key; with one NaN where the port claims isolation", "everywhere; at 16, 32 and 64 where a port does not say its tiles", [],
            item => item, _ => true, [PortOperation.Forward], probe => Output(probe).Concat(LogSumExpWhereGiven(probe)))
        {
            AtBorders = true,
            IsEvidence = true,
        },
        new(
            "Borders.Gradients", $"dq, dk, dv equal the derivatives within {Bound} one, two and three blocks of the port long, less one and one more, with a padded key; with one NaN where the port claims isolation", "ports with a backward pass; at 16, 32 and 64 where a port does not say its tiles", [],
            item => item, _ => true, [PortOperation.Backward], Gradients)
        {
            AtBorders = true,
            IsEvidence = true,
        },
    ];

    // Every level rests on level 1: a third of the cases are plain ones with a shift, and half of those with a shift whose direction shows, so that few are enough to judge it.
    private static AttentionCase Plain(AttentionCase item)
    {
        if (item.Seed % 3 != 0)
            return item;
        int group = Math.Max(4, item.Config.GroupSize / 2 * 2), groups = Math.Max(2, item.Config.Tokens / group);
        return item with
        {
            Type = ElementType.F32,
            Padding = PaddingPattern.None,
            Config = item.Config.With(request => request with
            {
                Tokens = groups * group,
                GroupSize = GroupSizeRule.Of(group),
                KvHeads = request.Heads,
                ShiftedHeads = HeadShift.SecondHalf,
                Shift = item.Seed % 2 == 0 ? group / 2 : 1 + item.Seed / 6 % (group / 2 - 1),
                Mask = item.Config.Mask.CutsWrappedRun() ? MaskPolicy.Split : MaskPolicy.LocalCausal,
            }),
        };
    }

    private static IEnumerable<string> Output(Probe probe) =>
        Violations(Agreement.Compare("o", probe.Answer.Output, probe.Definition.Exact.Output, probe.Definition.Bound.Output));

    private static IEnumerable<string> LogSumExp(Probe probe) => probe.Answer.LogSumExp.IsEmpty
        ? throw new ProbeEndedException(new Verdict.Unsupported("lse"))
        : Violations(Agreement.Compare("lse", probe.Answer.LogSumExp[0], probe.Definition.Exact.LogSumExp, probe.Definition.Bound.LogSumExp));

    private static IEnumerable<string> LogSumExpWhereGiven(Probe probe) => probe.Answer.LogSumExp.IsEmpty ? [] : LogSumExp(probe);

    private static IEnumerable<string> Gradients(Probe probe)
    {
        PortCase portCase = new(probe.Config, probe.Case.Type, probe.Input, [probe.OutputGradient]);
        PortAnswer answer = new PortAnswer.Backward(probe.Backward(probe.Config, probe.Input, probe.OutputGradient));
        return probe.InTime(() => Agreement.Compare(portCase, answer, probe.Model)).SelectMany(Violations);
    }

    private static IEnumerable<string> Violations(TensorAgreement agreement) => agreement.Agrees ? [] : [agreement.ToString()];
}
