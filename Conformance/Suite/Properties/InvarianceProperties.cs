// What may change without changing the answer, and what must be obeyed?
using System.Collections.Immutable;
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Conformance.Properties;

/// <summary>Relations between several answers of one port.</summary>
public static class InvarianceProperties
{
    /// <summary>The properties of this file.</summary>
    public static ImmutableArray<Property> All { get; } =
    [
        new(
            "Convexity", "each element of o lies between the least and the greatest visible v, up to the error bound", "everywhere", [], item => item, _ => true,
            [PortOperation.Forward], Convexity),
        new(
            "ScoreConstant", "adding one vector c to every key of a head adds scale q.c to each of a row's scores: o stays, lse moves by it", "small integers in q, k", [],
            item => item with { Kind = TensorKind.Ties }, item => item.Kind is TensorKind.Ties, [PortOperation.Forward], ScoreConstant),
        new(
            "Scale", "half the scale with q doubled gives the same scores, so the same answer: the given scale is used", "ports whose scale is free, scale != 0", [],
            item => item.Config.Scale != 0 ? item : item with { Config = item.Config.With(request => request with { Scale = null }) },
            item => item.Config.Scale != 0, [PortOperation.Forward], Scale),
        new(
            "Batch.Order", "batch entries in reverse order give the answers in reverse order, bitwise", "B >= 2", [],
            TwoEntries, item => item.Config.Batch >= 2, [PortOperation.Forward], BatchOrder),
        new(
            "Batch.Alone", "a batch entry alone gives what it gives in company: no entry uses another's tokens or padding", "B >= 2", [],
            TwoEntries, item => item.Config.Batch >= 2, [PortOperation.Forward], BatchAlone),
        new(
            "Split.IsVarlen", "Split is causal attention inside each of [0,S), [S,S+G), ...: each segment alone gives the same", "Split, no padding", ["SplitIsVarlen"],
            item => item with { Padding = PaddingPattern.None, Config = item.Config.With(request => request with { Mask = MaskPolicy.Split }) },
            item => !item.IsPadded && item.Config.Mask is MaskPolicy.Split, [PortOperation.Forward], Varlen),
        new(
            "Split.AfterShift", "LocalCausal and Split give the same o for every t >= S", "N = nG, ports with both policies", ["LocalCausalIsSplitAfterShift"],
            item => item with { Config = item.Config.With(request => request with { Mask = MaskPolicy.LocalCausal }) },
            item => item.Config.Mask is MaskPolicy.LocalCausal, [PortOperation.Forward], AfterShift),
        new(
            "EmptyRows", "a query that sees no key has o = 0 and lse = -infinity exactly", "padding", [],
            item => item with { Padding = item.Padding is PaddingPattern.None ? PaddingPattern.WholeSequence : item.Padding }, item => item.IsPadded, [PortOperation.Forward], EmptyRows),
        new(
            "Determinism", "the same case gives the same bits again, also after a case of another shape", "everywhere", [], item => item, _ => true,
            [PortOperation.Forward], Determinism),
    ];

    private static AttentionCase TwoEntries(AttentionCase item) =>
        item.Config.Batch >= 2 ? item : item with { Config = item.Config.With(request => request with { Batch = 2 }) };

    private static IEnumerable<string> Convexity(Probe probe)
    {
        S2Config config = probe.Config;

        // A row of other weights than the definition's, over the same keys, is a mean of them too.
        double ofMean = UnknownRowBound.OfMean(config, probe.Input, probe.Model);
        foreach (Row row in Rows.Of(config))
        {
            int[] keys = [.. Rows.Keys(probe, row)];
            int kvHead = config.KvHeadOf(row.H);
            for (int d = 0; d < config.HeadDim && keys.Length > 0; d++)
            {
                double least = keys.Min(u => probe.Input.Value[row.B, u, kvHead, d]), greatest = keys.Max(u => probe.Input.Value[row.B, u, kvHead, d]);
                double o = probe.Answer.Output[row.B, row.T, row.H, d], bound = Math.Max(probe.Definition.Bound.Output[row.B, row.T, row.H, d], ofMean);
                if (!(o >= least - bound && o <= greatest + bound) && !double.IsPositiveInfinity(bound))
                    yield return FormattableString.Invariant($"o[{row.B},{row.T},{row.H},{d}] = {o:R} lies outside of the visible values [{least:R}, {greatest:R}] by more than {bound:G3}");
            }
        }
    }

    private static IEnumerable<string> ScoreConstant(Probe probe)
    {
        S2Config config = probe.Config;
        Random choices = probe.Choices();
        int[] constant = [.. Enumerable.Range(0, config.HeadDim).Select(_ => choices.Next(-2, 3))];
        AttentionInput<double> moved = probe.Input with { Key = Rows.Change(probe.Input.Key, (_, _, _, d, old) => old + constant[d]) };
        PortAnswer.Forward answer = probe.Forward(config, moved);
        string what = $"after adding ({string.Join(",", constant)}) to every key";
        (Tensor<double> bound, Tensor<double> lseBound) = UnknownRowBound.Tensors(probe, config, probe.Input);
        (Tensor<double> movedBound, Tensor<double> movedLseBound) = UnknownRowBound.Tensors(probe, config, moved);
        IEnumerable<string> output = Rows.Apart("o", probe.Answer.Output, answer.Output, bound, movedBound, what);
        if (probe.Answer.LogSumExp.IsEmpty || answer.LogSumExp.IsEmpty)
            return output;
        double[] expected = [.. Rows.Of(config).Select(row => probe.Answer.LogSumExp[0][row.B, row.T, row.H] + config.Scale * Enumerable.Range(0, config.HeadDim).Sum(d => constant[d] * probe.Input.Query[row.B, row.T, row.H, d]))];
        Tensor<double> slack = movedLseBound.Map(value => value + 1e-13 * (1 + config.HeadDim));
        return output.Concat(Rows.Apart("lse + scale q.c", Tensor<double>.Of(answer.LogSumExp[0].Shape.AsSpan(), expected), answer.LogSumExp[0], lseBound, slack, what));
    }

    private static IEnumerable<string> Scale(Probe probe)
    {
        S2Config halved = S2Config.Create(probe.Config.ToRequest() with { Scale = probe.Config.Scale / 2 });
        PortAnswer.Forward answer = probe.Forward(halved, probe.Input with { Query = probe.Input.Query.Map(value => 2 * value) });
        (Tensor<double> bound, Tensor<double> lseBound) = UnknownRowBound.Tensors(probe, probe.Config, probe.Input);
        IEnumerable<string> output = Rows.Apart("o", probe.Answer.Output, answer.Output, bound, bound, "with half the scale and q doubled");
        return probe.Answer.LogSumExp.IsEmpty || answer.LogSumExp.IsEmpty
            ? output
            : output.Concat(Rows.Apart("lse", probe.Answer.LogSumExp[0], answer.LogSumExp[0], lseBound, lseBound, "with half the scale and q doubled"));
    }

    private static AttentionInput<double> Entries(AttentionInput<double> input, params int[] entries)
    {
        return new(Pick(input.Query), Pick(input.Key), Pick(input.Value), Tensor<bool>.Build([entries.Length, input.Valid.Shape[1]], i => input.Valid[entries[i / input.Valid.Shape[1]], i % input.Valid.Shape[1]]));

        Tensor<double> Pick(Tensor<double> tensor) =>
            Rows.Change(Tensor<double>.Build([entries.Length, .. tensor.Shape.AsSpan()[1..]], _ => 0), (b, t, h, d, _) => tensor[entries[b], t, h, d]);
    }

    private static IEnumerable<string> BatchOrder(Probe probe)
    {
        int last = probe.Config.Batch - 1;
        PortAnswer.Forward reversed = probe.Forward(probe.Config, Entries(probe.Input, [.. Enumerable.Range(0, last + 1).Reverse()]));
        return from row in Rows.Of(probe.Config)
               let d = Rows.FirstDifference(probe.Answer.Output.Row(row.B, row.T, row.H), reversed.Output.Row(last - row.B, row.T, row.H))
               where d >= 0
               select FormattableString.Invariant($"o[{row.B},{row.T},{row.H},{d}] = {probe.Answer.Output[row.B, row.T, row.H, d]:R}, and {reversed.Output[last - row.B, row.T, row.H, d]:R} as entry {last - row.B} of the reversed batch");
    }

    private static IEnumerable<string> BatchAlone(Probe probe)
    {
        int b = probe.Choices().Next(probe.Config.Batch);
        S2Config one = probe.Config.With(request => request with { Batch = 1 });
        PortAnswer.Forward alone = probe.Forward(one, Entries(probe.Input, b));
        Tensor<double> bound = Pick(UnknownRowBound.Tensors(probe, probe.Config, probe.Input).Output);
        return Rows.Apart($"o of batch entry {b}", Pick(probe.Answer.Output), alone.Output, bound, bound, "alone");

        Tensor<double> Pick(Tensor<double> tensor) => Rows.Change(alone.Output, (_, t, h, d, _) => tensor[b, t, h, d]);
    }

    private static IEnumerable<string> Varlen(Probe probe)
    {
        S2Config config = probe.Config;
        foreach (int h in new[] { 0, config.Heads - 1 }.Distinct())
        {
            int start = 0, index = 0;
            int pick = probe.Choices().Next(Segments.Count(config, h));
            for (int end = config.ShiftOf(h) > 0 ? config.ShiftOf(h) : config.GroupSize; start < config.Tokens; (start, end, index) = (end, end + config.GroupSize, index + 1))
            {
                // One segment of a head for each case; the many cases see them all.
                if (index != pick)
                    continue;
                int from = start, length = Math.Min(end, config.Tokens) - start;
                S2Config segment = config.With(request => request with { Tokens = length, GroupSize = GroupSizeRule.Of(length), Shift = 0, ShiftedHeads = request.ShiftedHeads.HasOwnShifts ? HeadShift.None : request.ShiftedHeads });
                AttentionInput<double> input = new(Cut(probe.Input.Query), Cut(probe.Input.Key), Cut(probe.Input.Value));
                Tensor<double> alone = Head(probe.Forward(segment, input).Output);
                Tensor<double> bound = Head(Cut(UnknownRowBound.Tensors(probe, config, probe.Input).Output));
                foreach (string violation in Rows.Apart($"o of head {h}, tokens {from}..{from + length - 1},", Head(Cut(probe.Answer.Output)), alone, bound, bound, "as causal attention of the segment alone"))
                    yield return violation;

                Tensor<double> Cut(Tensor<double> tensor) =>
                    Rows.Change(Tensor<double>.Build([tensor.Shape[0], length, tensor.Shape[2], tensor.Shape[3]], _ => 0), (b, t, head, d, _) => tensor[b, from + t, head, d]);
                Tensor<double> Head(Tensor<double> tensor) =>
                    Rows.Change(Tensor<double>.Build([tensor.Shape[0], length, 1, tensor.Shape[3]], _ => 0), (b, t, _, d, _) => tensor[b, t, h, d]);
            }
        }
    }

    private static IEnumerable<string> AfterShift(Probe probe)
    {
        S2Config config = probe.Config;
        PortAnswer.Forward split = probe.Forward(config.With(request => request with { Mask = MaskPolicy.Split }), probe.Input);
        Tensor<double> bound = Rows.Change(UnknownRowBound.Tensors(probe, config, probe.Input).Output, (_, t, h, _, old) => t >= config.ShiftOf(h) ? old : double.PositiveInfinity);
        return Rows.Apart("o", probe.Answer.Output, split.Output, bound, bound, "under Split, at a token t >= S");
    }

    private static IEnumerable<string> EmptyRows(Probe probe)
    {
        foreach (Row row in Rows.Of(probe.Config).Where(row => !Rows.Keys(probe, row).Any()))
        {
            if (probe.Answer.Output.Row(row.B, row.T, row.H).IndexOfAnyExcept(0.0) is >= 0 and int d)
                yield return FormattableString.Invariant($"o[{row.B},{row.T},{row.H},{d}] = {probe.Answer.Output[row.B, row.T, row.H, d]:R} though the query sees no key; it must be 0");
            if (!probe.Answer.LogSumExp.IsEmpty && !double.IsNegativeInfinity(probe.Answer.LogSumExp[0][row.B, row.T, row.H]))
                yield return FormattableString.Invariant($"lse{row} = {probe.Answer.LogSumExp[0][row.B, row.T, row.H]:R} though the query sees no key; it must be -infinity");
        }
    }

    private static IEnumerable<string> Determinism(Probe probe)
    {
        S2Config config = probe.Config;
        PortAnswer.Forward first = probe.Answer;
        foreach ((Row _, string difference) in Rows.Changed(config, first, probe.Forward(config, probe.Input)))
            yield return $"asked the same again, {difference}";

        // Another shape between the two: a buffer that is kept from it would show. A port whose batch is fixed is only asked twice.
        AttentionCase other = probe.Case with { Config = config.With(request => request with { Batch = config.Batch + 1 }), Seed = probe.Case.Seed ^ 1 };
        if (!probe.Claims(other.Config))
            yield break;
        probe.Forward(other.Config, other.BuildInput());
        foreach ((Row _, string difference) in Rows.Changed(config, first, probe.Forward(config, probe.Input)))
            yield return $"asked the same after another shape, {difference}";
    }
}
