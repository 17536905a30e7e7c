// Does a part of a sequence give what the whole gives, with no more keys than the theorems ask for?
using System.Collections.Immutable;
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Reference;
using S2Attn.Spec;
using S2Attn.Spec.Algebra;

namespace S2Attn.Conformance.Properties;

/// <summary>
/// The theorems about slices, observed: what streaming, chunked prefill and sequences that are cut over machines rest on. Answers are held against the definition of the
/// whole sequence. Asked of ports that declare slice, and lseGradient.
/// </summary>
public static class SliceProperties
{
    private const string Region = "ports that declare slice", Bound = "within the derived error bound";
    private const int MostSteps = 4;

    /// <summary>The properties of this file.</summary>
    public static ImmutableArray<Property> All { get; } =
    [
        new(
            "Slice.Output", $"a part of the queries, with the keys that it needs and perhaps more, gives its rows of the whole's o and lse, {Bound}", Region, ["SlicesCompose", "KeysNeeded.*"], item => item, _ => true,
            [PortOperation.Forward], Declared(Output)),
        new(
            "Slice.PrefixStable", $"under Split a part of a text that may still grow gives its rows of the whole's o and lse, {Bound}", Region + "; Split", ["PrefixStable.Split", "SplitIsUnbounded"], Stable, IsStable,
            [PortOperation.Forward], Declared(PrefixStable)),
        new(
            "Slice.CacheBounded", $"under Split one query after the other, each with the at most G keys that are alive, gives the whole's o and lse, {Bound}", Region + "; Split", ["CacheBounded"], Stable, IsStable,
            [PortOperation.Forward], Declared(CacheBounded)),
        new(
            "Slice.Compose", $"slices that make up the sequence give together the whole's o and lse, {Bound}", Region, ["SlicesCompose", "KeysNeeded.*"], item => item, _ => true,
            [PortOperation.Forward], Declared(Compose)),
        new(
            "Slice.HaloSuffices", $"under Split a part from a multiple of G on needs before it the last G - S keys, and of kv heads that no shifted head reads none: its rows of o, dq and its shares of dk, dv, {Bound}",
            Region + "; Split, several groups, S > 0", ["HaloSuffices"], Cut, IsCut, [PortOperation.Forward], Declared(HaloSuffices)),
        new(
            "Slice.HaloIsNeeded", "under Split the query at a multiple of G changes with v of the first of the last G - S keys before it, in each head that shifts", Region + "; Split, several groups, S > 0",
            ["HaloIsNeeded"], item => Cut(item) with { Padding = PaddingPattern.None, Kind = TensorKind.EqualScores }, item => IsCut(item) && !item.IsPadded && item.Kind is TensorKind.EqualScores,
            [PortOperation.Forward], Declared(HaloIsNeeded)),
        new(
            "Slice.SharesAddUp", $"the dk and dv of slices that make up the sequence add up to the whole's, and their dq are its rows, {Bound}", Region + ", with a backward pass", ["SlicesCompose"], item => item, _ => true,
            [PortOperation.Backward], Declared(SharesAddUp)),
        new(
            "LogSumExp.Gradient", $"with a gradient of lse too dq, dk, dv are the derivatives of sum(o do) + sum(lse dlse), {Bound}", "ports that declare lseGradient, with a backward pass; of slices where they declare those",
            [], item => item, _ => true, [PortOperation.Backward], LogSumExpGradient),
    ];

    // A slice that is the whole could be asked of any port.
    private static Func<Probe, IEnumerable<string>> Declared(Func<Probe, IEnumerable<string>> check) =>
        probe => probe.Capabilities.Slices ? check(probe) : throw new ProbeEndedException(new Verdict.Unsupported("slice"));

    private static AttentionCase Stable(AttentionCase item) => item with { Config = item.Config.With(request => request with { Mask = MaskPolicy.Split }) };

    private static bool IsStable(AttentionCase item) => item.Config.Mask.IsPrefixStable();

    // Two groups at least, of two tokens at least, and a head that shifts.
    private static AttentionCase Cut(AttentionCase item) => item with
    {
        Config = item.Config.With(request =>
        {
            int tokens = Math.Max(4, request.Tokens), group = Math.Clamp(item.Config.GroupSize, 2, tokens / 2);
            return request with
            {
                Mask = MaskPolicy.Split,
                Tokens = tokens,
                GroupSize = GroupSizeRule.Of(group),
                Shift = Math.Clamp(item.Config.Shift, 1, group - 1),
                ShiftedHeads = Enumerable.Range(0, item.Config.Heads).Any(h => item.Config.ShiftOf(h) > 0) ? request.ShiftedHeads : HeadShift.SecondHalf,
            };
        }),
    };

    private static bool IsCut(AttentionCase item) =>
        IsStable(item) && item.Config.Tokens > item.Config.GroupSize && Enumerable.Range(0, item.Config.Heads).Any(h => item.Config.ShiftOf(h) > 0);

    private static IEnumerable<string> Output(Probe probe)
    {
        Random choices = probe.Choices();
        for (int i = 0; i < 2; i++)
        {
            int first = choices.Next(probe.Config.Tokens), end = choices.Next(first, probe.Config.Tokens) + 1;
            foreach (string violation in RowsOfWhole(probe, probe.Input, Wider(probe.Config, first, end, choices)))
                yield return violation;
        }
    }

    // The configuration's own N says nothing of a text that may still grow: it is the shortest that there is.
    private static IEnumerable<string> PrefixStable(Probe probe)
    {
        Random choices = probe.Choices();
        int first = choices.Next(probe.Config.Tokens), end = choices.Next(first, probe.Config.Tokens) + 1;
        return RowsOfWhole(probe, probe.Input, Growing(probe.Config, first, end));
    }

    private static IEnumerable<string> CacheBounded(Probe probe)
    {
        // Neighbours, so that a cache that keeps a row too long or drops it too early has one to mix up; from the middle of the last group on, so that it has run full.
        S2Config config = probe.Config;
        int start = probe.Choices().Next(Math.Max(1, config.Tokens - MostSteps + 1));
        return Enumerable.Range(start, Math.Min(MostSteps, config.Tokens - start)).SelectMany(t => RowsOfWhole(probe, probe.Input, Growing(config, t, t + 1)));
    }

    private static IEnumerable<string> Compose(Probe probe)
    {
        Random choices = probe.Choices();
        return Cuts(probe.Config, choices).SelectMany(part => RowsOfWhole(probe, probe.Input, Wider(probe.Config, part.Start, part.End, choices)));
    }

    private static IEnumerable<string> HaloSuffices(Probe probe)
    {
        S2Config config = probe.Config;
        int group = config.GroupSize, halo = Slices.Halo<Int, Bool>(group, config.Shift).ToIndex(), groups = (config.Tokens - 1) / group;
        Random choices = probe.Choices();
        for (int i = 0; i < 2; i++)
        {
            int cut = group * choices.Next(1, groups + 1), end = choices.Next(cut, config.Tokens) + 1;
            S2Slice rank = S2Slice.Create(config, new() { FirstQuery = cut, EndQuery = end, FirstKey = cut - halo, EndKey = end });

            // What the other kv heads hold in the halo is of no concern.
            bool[] shifted = [.. Enumerable.Range(0, config.KvHeads).Select(kvHead => Enumerable.Range(0, config.Heads).Any(h => config.KvHeadOf(h) == kvHead && config.ShiftOf(h) > 0))];
            AttentionInput<double> input = probe.Input with { Key = Foreign(probe.Input.Key), Value = Foreign(probe.Input.Value) };
            foreach (string violation in RowsOfWhole(probe, input, rank))
                yield return violation;
            if (!probe.Capabilities.Operations.Contains(PortOperation.Backward))
                continue;
            PortCase asked = SliceCase.Of(new(config, probe.Case.Type, input, [probe.OutputGradient]), rank);
            PortAnswer answer = probe.Ask(asked);
            foreach (string violation in probe.InTime(() => Agreement.Compare(asked, answer, probe.Model)).Where(tensor => !tensor.Agrees).Select(tensor => $"{tensor}{Of(rank)}"))
                yield return violation;

            Tensor<double> Foreign(Tensor<double> tensor)
            {
                int dim = config.HeadDim;
                return Tensor<double>.Build(tensor.Shape.AsSpan(), at => at / dim / config.KvHeads % config.Tokens < cut && !shifted[at / dim % config.KvHeads] ? probe.Round(3 - tensor.Elements[at]) : tensor.Elements[at]);
            }
        }
    }

    private static IEnumerable<string> HaloIsNeeded(Probe probe)
    {
        S2Config config = probe.Config;
        Random choices = probe.Choices();
        int group = config.GroupSize, cut = group * choices.Next(1, (config.Tokens - 1) / group + 1), first = cut - Slices.Halo<Int, Bool>(group, config.Shift).ToIndex();
        S2Slice query = S2Slice.Create(config, new() { FirstQuery = cut, EndQuery = cut + 1, FirstKey = first, EndKey = cut + 1 });
        const double Far = 1024;
        PortCase asked = new(config, probe.Case.Type, probe.Input);
        PortCase changed = new(config, probe.Case.Type, Rows.ChangeKeys(probe.Input, (_, u) => u == first, old => old, _ => Far));
        PortAnswer.Forward before = (PortAnswer.Forward)probe.Ask(SliceCase.Of(asked, query)), after = (PortAnswer.Forward)probe.Ask(SliceCase.Of(changed, query));
        for (int b = 0; b < config.Batch; b++)
            for (int h = 0; h < config.Heads; h++)
                if (config.ShiftOf(h) > 0 && Rows.FirstDifference(before.Output.Row(b, 0, h), after.Output.Row(b, 0, h)) < 0)
                    yield return $"o of query {cut}, head {h}, batch entry {b} is the same though v of key {first} changed, the first of its halo";
    }

    private static IEnumerable<string> SharesAddUp(Probe probe)
    {
        S2Config config = probe.Config;
        Random choices = probe.Choices();
        PortCase whole = new(config, probe.Case.Type, probe.Input, [probe.OutputGradient]);
        double[] dk = new double[probe.Input.Key.Elements.Length], dv = new double[dk.Length], dkBound = new double[dk.Length], dvBound = new double[dk.Length];
        Gradients<double> exact = AttentionGradients.Backward(config, probe.Input, probe.OutputGradient);
        foreach (TokenRange<int> part in Cuts(config, choices))
        {
            S2Slice slice = Wider(config, part.Start, part.End, choices);
            PortCase asked = SliceCase.Of(whole, slice);
            Gradients<double> share = ((PortAnswer.Backward)probe.Ask(asked)).Gradients;
            BoundedGradients bounds = probe.InTime(() => GradientErrorBound.Backward(slice, asked.Input, asked.OutputGradient[0], asked.LogSumExpGradientOrZero, probe.Model));
            TensorAgreement dq = Agreement.Compare("dq", share.Query, SliceCase.Cut(exact.Query, slice.Queries), bounds.Bound.Query);
            if (!dq.Agrees)
                yield return $"{dq}{Of(slice)}";
            SliceCase.AddShare(share.Key, dk, config.Tokens, slice.Keys.Start);
            SliceCase.AddShare(share.Value, dv, config.Tokens, slice.Keys.Start);
            SliceCase.AddShare(bounds.Bound.Key, dkBound, config.Tokens, slice.Keys.Start);
            SliceCase.AddShare(bounds.Bound.Value, dvBound, config.Tokens, slice.Keys.Start);
        }

        foreach ((string name, double[] sum, Tensor<double> expected, double[] bound) in new[] { ("dk", dk, exact.Key, dkBound), ("dv", dv, exact.Value, dvBound) })
        {
            TensorAgreement agreement = Agreement.Compare(name, Whole(sum), expected, Whole(bound));
            if (!agreement.Agrees)
                yield return $"the sum of the slices' shares: {agreement}";
        }

        Tensor<double> Whole(double[] elements) => Tensor<double>.Of(probe.Input.Key.Shape.AsSpan(), elements);
    }

    private static IEnumerable<string> LogSumExpGradient(Probe probe)
    {
        S2Config config = probe.Config;
        Random choices = probe.Choices();
        PortCase whole = new(config, probe.Case.Type, probe.Input, [probe.OutputGradient])
        {
            LogSumExpGradient = [Tensor<double>.Build([config.Batch, config.Tokens, config.Heads], _ => (float)(4 * choices.NextDouble() - 2))],
        };
        int first = choices.Next(config.Tokens), end = choices.Next(first, config.Tokens) + 1;
        PortCase asked = probe.Capabilities.Slices && probe.Case.Seed % 2 == 0 ? SliceCase.Of(whole, Wider(config, first, end, choices)) : whole;
        PortAnswer answer = probe.Ask(asked);
        return probe.InTime(() => Agreement.Compare(asked, answer, probe.Model)).Where(tensor => !tensor.Agrees).Select(tensor => $"{tensor}{Of(asked.Part)}");
    }

    // The answer to a slice, with the whole's rows and their bounds.
    private static IEnumerable<string> RowsOfWhole(Probe probe, AttentionInput<double> input, S2Slice slice)
    {
        PortAnswer.Forward answer = (PortAnswer.Forward)probe.Ask(SliceCase.Of(new(probe.Config, probe.Case.Type, input), slice));
        AttentionOutput<double> exact = probe.Definition.Exact, bound = probe.Definition.Bound;
        return new[] { Compared("o", answer.Output, exact.Output, bound.Output) }
            .Concat(answer.LogSumExp.Select(lse => Compared("lse", lse, exact.LogSumExp, bound.LogSumExp)))
            .Where(tensor => !tensor.Agrees).Select(tensor => $"{tensor}{Of(slice)}");

        TensorAgreement Compared(string name, Tensor<double> rows, Tensor<double> whole, Tensor<double> allowed) =>
            Agreement.Compare(name, rows, SliceCase.Cut(whole, slice.Queries), SliceCase.Cut(allowed, slice.Queries));
    }

    private static string Of(S2Slice slice) =>
        $", of queries [{slice.Queries.Start},{slice.Queries.End}) with keys [{slice.Keys.Start},{slice.Keys.End}){(slice.IsUnbounded ? " of a text that may grow" : "")}, both counted from the start of the sequence";

    private static S2Slice Growing(S2Config config, int first, int end) =>
        S2Slice.Create(config.With(request => request with { Tokens = config.GroupSize }), new() { FirstQuery = first, EndQuery = end, IsUnbounded = true });

    // The needed keys, and at either end as many more as chance wants: none in half of the cases.
    private static S2Slice Wider(S2Config config, int first, int end, Random choices)
    {
        TokenRange<int> needed = Slices.KeysNeeded(config, first, end);
        return S2Slice.Create(config, new()
        {
            FirstQuery = first,
            EndQuery = end,
            FirstKey = choices.Next(2) == 0 ? needed.Start : choices.Next(needed.Start + 1),
            EndKey = choices.Next(2) == 0 ? needed.End : choices.Next(needed.End, config.Tokens + 1),
        });
    }

    // Two to four parts where there are as many tokens; in half of the cases cut at multiples of G.
    private static IEnumerable<TokenRange<int>> Cuts(S2Config config, Random choices)
    {
        int step = choices.Next(2) == 0 ? 1 : config.GroupSize, places = (config.Tokens - 1) / step;
        int[] cuts = [0, .. Enumerable.Range(0, places == 0 ? 0 : choices.Next(1, 4)).Select(_ => step * choices.Next(1, places + 1)).Distinct().Order(), config.Tokens];
        return cuts.Zip(cuts.Skip(1), (start, end) => new TokenRange<int>(start, end));
    }
}
