// Does anything reach a query that it may not see?
using System.Collections.Immutable;
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Conformance.Properties;

/// <summary>Perturbation: k and v are changed where a query does not look, and its output must keep every bit.</summary>
public static class LeakageProperties
{
    private static readonly double[] Poisons = [double.NaN, double.PositiveInfinity, double.NegativeInfinity];

    /// <summary>The properties of this file.</summary>
    public static ImmutableArray<Property> All { get; } =
    [
        new(
            "NoLeakage.Future", "other k, v at every u > c leave o[t] and lse[t] of every t <= c bitwise unchanged", "Split, PositionCausal, N >= 2",
            ["NoLeakage.Split", "NoLeakage.PositionCausal"],
            item => item with
            {
                Config = item.Config.With(request => request with
                {
                    Mask = item.Config.Mask is MaskPolicy.Split || (item.Config.Mask != MaskPolicy.PositionCausal && item.Seed % 2 == 0) ? MaskPolicy.Split : MaskPolicy.PositionCausal,
                }),
            },
            item => item.Config.Mask is MaskPolicy.Split or MaskPolicy.PositionCausal && item.Config.Tokens >= 2, [PortOperation.Forward], Future),
        new(
            "NoLeakage.Invisible", "other k, v at one token leave every query that does not see it bitwise unchanged", "everywhere, N >= 2", [],
            item => item, item => item.Config.Tokens >= 2, [PortOperation.Forward],
            probe => Invisible(probe, old => probe.Round(3 - 2 * old), old => probe.Round(old + 16))),
        new(
            "NoLeakage.Poison", "NaN or infinity in k, v of one token leaves every query that does not see it bitwise unchanged", "everywhere, N >= 2", [],
            item => item, item => item.Config.Tokens >= 2, [PortOperation.Forward], Poison)
        {
            IsEvidence = true, IsIsolation = true,
        },
        new(
            "Leak.LocalCausal", "LocalCausal leaks, and only so: other v at every u > c change o[t], t <= c, exactly where t < S", "LocalCausal, no padding, N >= 2", ["LeakIsConfined", "LeakStep", "LeakRound"],
            item => item with
            {
                Kind = TensorKind.EqualScores, Padding = PaddingPattern.None, Config = item.Config.With(request => request with { Mask = MaskPolicy.LocalCausal }),
            },
            item => item.Config.Mask is MaskPolicy.LocalCausal && !item.IsPadded && item.Kind is TensorKind.EqualScores && item.Config.Tokens is >= 2 and <= 64,
            [PortOperation.Forward], Leak),
    ];

    private static IEnumerable<string> Future(Probe probe)
    {
        int cut = probe.Choices().Next(probe.Config.Tokens - 1);
        AttentionInput<double> changed = Rows.ChangeKeys(probe.Input, (_, u) => u > cut, old => probe.Round(3 - 2 * old), old => probe.Round(old + 16));
        return from change in Rows.Changed(probe.Config, probe.Answer, probe.Forward(probe.Config, changed))
               where change.Row.T <= cut
               select $"k, v of the tokens after {cut} were changed, and {change.Difference} in a head with shift {probe.Config.ShiftOf(change.Row.H)}";
    }

    private static IEnumerable<string> Invisible(Probe probe, Func<double, double> key, Func<double, double> value)
    {
        Random choices = probe.Choices();
        for (int trial = 0; trial < 2; trial++)
        {
            int b = choices.Next(probe.Config.Batch), u = choices.Next(probe.Config.Tokens);
            AttentionInput<double> changed = Rows.ChangeKeys(probe.Input, (entry, token) => entry == b && token == u, key, value);
            foreach ((Row row, string difference) in Rows.Changed(probe.Config, probe.Answer, probe.Forward(probe.Config, changed)))
                if (!Rows.Sees(probe, row, b, u))
                    yield return FormattableString.Invariant(
                        $"k, v of token {u} of batch entry {b}{(probe.Input.Valid[b, u] ? "" : " (padded)")} became {key(1)}, {value(1)} and the like, and {difference}, though that query does not see it");
        }
    }

    private static IEnumerable<string> Poison(Probe probe)
    {
        Random choices = probe.Choices();
        double poison = Poisons[choices.Next(Poisons.Length)];
        int where = choices.Next(3);
        _ = probe.Answer;
        return Probe.Answered(Invisible(probe, old => where == 0 ? old : poison, old => where == 1 ? old : poison), FormattableString.Invariant($"with {poison} in {KeyOrValue(where)} of one token"));
    }

    private static string KeyOrValue(int where) => where == 0 ? "v" : where == 1 ? "k" : "k, v";

    private static IEnumerable<string> Leak(Probe probe)
    {
        // 128 over at most 64 keys shows in every format; sums stay below 256, which bf16 holds exactly.
        const double Visible = 128;
        S2Config config = probe.Config;
        int cut = probe.Choices().Next(config.Tokens - 1);
        AttentionInput<double> changed = Rows.ChangeKeys(probe.Input, (_, u) => u > cut, old => old, old => old + Visible);
        HashSet<Row> rows = [.. Rows.Changed(config, probe.Answer, probe.Forward(config, changed)).Select(change => change.Row)];
        return from row in Rows.Of(config)
               where row.T <= cut
               let leaks = row.T < config.ShiftOf(row.H)
               where rows.Contains(row) != leaks
               select $"v of the tokens after {cut} was changed, and o{row} {(leaks ? "did not change" : "changed")} in a head with shift {config.ShiftOf(row.H)}: LocalCausal leaks exactly into t < S";
    }
}
