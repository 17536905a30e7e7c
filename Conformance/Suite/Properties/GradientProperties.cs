// Are the gradients the derivatives of the port's own forward pass, and exactly zero where nothing flows?
using System.Collections.Immutable;
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Conformance.Properties;

/// <summary>Statements about the backward pass that need no reference gradients.</summary>
public static class GradientProperties
{
    /// <summary>The properties of this file.</summary>
    public static ImmutableArray<Property> All { get; } =
    [
        new(
            "Gradients.Invisible", "where do is 0 at every query that sees a token, its dk, dv are exactly 0 and its k, v change no bit of the other queries' dq", "ports with a backward pass", [],
            item => item, _ => true, [PortOperation.Backward], Invisible),
        new(
            "Gradients.Padding", "dk, dv of padded keys and dq of queries without keys are exactly 0", "padding, ports with a backward pass", [],
            Padded, item => item.IsPadded, [PortOperation.Backward], Padding),
        new(
            "Gradients.Poison", "NaN or infinity in padded k, v change no bit of any gradient", "padding, ports with a backward pass", [],
            Padded, item => item.IsPadded, [PortOperation.Backward], Poison)
        {
            IsEvidence = true, IsIsolation = true,
        },
        new(
            "Gradients.Differences", "dq, dk, dv along random directions equal central differences of sum(o do)", "f64 ports with both passes, scores of moderate size", [],
            item => item with
            {
                Type = ElementType.F64,
                Kind = item.Kind is TensorKind.LargeScores ? TensorKind.Normal : item.Kind,
                Config = item.Config.With(request => request with { HeadDim = Math.Min(request.HeadDim, 8) }),
            },
            item => item.Type is ElementType.F64 && item.Kind is not TensorKind.LargeScores, [PortOperation.Forward, PortOperation.Backward], Differences) { IsEvidence = true },
        new(
            "Gradients.Adjoint", "<do, o> = <dv, v> since o is linear in v, and <q, dq> = <k, dk> since scores are bilinear", "ports with both passes", [],
            item => item with { Kind = item.Kind is TensorKind.LargeScores ? TensorKind.Normal : item.Kind, PadsAreNaN = false }, item => item.Kind is not TensorKind.LargeScores,
            [PortOperation.Forward, PortOperation.Backward], Adjoint),
    ];

    private static IEnumerable<string> Invisible(Probe probe)
    {
        S2Config config = probe.Config;
        Random choices = probe.Choices();
        int b = choices.Next(config.Batch), u = choices.Next(config.Tokens);
        Tensor<double> dout = Rows.Change(probe.OutputGradient, (entry, t, h, _, old) => Rows.Sees(probe, new(entry, t, h), b, u) ? 0 : old);
        Gradients<double> gradients = probe.Backward(config, probe.Input, dout);
        foreach (string violation in Zero(gradients, config, b, u, "no query with do other than 0 sees it"))
            yield return violation;

        AttentionInput<double> changed = Rows.ChangeKeys(
            probe.Input, (entry, t) => entry == b && t == u, old => probe.Round(1 - old), old => probe.Round(old + 2));
        Gradients<double> after = probe.Backward(config, changed, dout);
        foreach (Row row in Rows.Of(config).Where(row => !Rows.Sees(probe, row, b, u)))
            if (Rows.FirstDifference(gradients.Query.Row(row.B, row.T, row.H), after.Query.Row(row.B, row.T, row.H)) is >= 0 and int d)
                yield return FormattableString.Invariant(
                    $"dq[{row.B},{row.T},{row.H},{d}] was {gradients.Query[row.B, row.T, row.H, d]:R} and became {after.Query[row.B, row.T, row.H, d]:R} when k, v of token {u} of batch entry {b} changed, which that query does not see");
    }

    private static AttentionCase Padded(AttentionCase item) =>
        item.IsPadded ? item : item with { Padding = item.Seed % 2 == 0 ? PaddingPattern.Scattered : PaddingPattern.Right };

    private static IEnumerable<string> Padding(Probe probe)
    {
        S2Config config = probe.Config;
        Gradients<double> clean = probe.Backward(config, probe.Input, probe.OutputGradient);
        foreach (Row row in Rows.Of(config).Where(row => !Rows.Keys(probe, row).Any()))
            if (clean.Query.Row(row.B, row.T, row.H).IndexOfAnyExcept(0.0) is >= 0 and int d)
                yield return FormattableString.Invariant($"dq[{row.B},{row.T},{row.H},{d}] = {clean.Query[row.B, row.T, row.H, d]:R} though the query sees no key");
        foreach ((int b, int u) in PaddedTokens(probe))
            foreach (string violation in Zero(clean, config, b, u, "the key is padded"))
                yield return violation;
    }

    private static IEnumerable<string> Poison(Probe probe)
    {
        double poison = new[] { double.NaN, double.PositiveInfinity, double.NegativeInfinity }[probe.Choices().Next(3)];
        string question = FormattableString.Invariant($"with {poison} in padded k, v");
        Gradients<double> clean = probe.Backward(probe.Config, probe.Input, probe.OutputGradient);
        return Probe.Answered(Violations(), question);

        IEnumerable<string> Violations()
        {
            Gradients<double> poisoned = probe.Backward(
                probe.Config, Rows.ChangeKeys(probe.Input, (b, u) => !probe.Input.Valid[b, u], _ => poison, _ => poison), probe.OutputGradient);
            foreach ((string name, Tensor<double> before, Tensor<double> after) in new[]
            {
                ("dq", clean.Query, poisoned.Query), ("dk", clean.Key, poisoned.Key), ("dv", clean.Value, poisoned.Value),
            })
                if (Rows.FirstDifference(before.Elements, after.Elements) is >= 0 and int i)
                    yield return FormattableString.Invariant($"element {i} of {name} was {before.Elements[i]:R} and became {after.Elements[i]:R} {question}");
        }
    }

    private static IEnumerable<(int B, int U)> PaddedTokens(Probe probe) =>
        from b in Enumerable.Range(0, probe.Config.Batch)
        from u in Enumerable.Range(0, probe.Config.Tokens)
        where !probe.Input.Valid[b, u]
        select (b, u);

    private static IEnumerable<string> Zero(Gradients<double> gradients, S2Config config, int b, int u, string why)
    {
        for (int kvHead = 0; kvHead < config.KvHeads; kvHead++)
        {
            if (gradients.Key.Row(b, u, kvHead).IndexOfAnyExcept(0.0) is >= 0 and int k)
                yield return FormattableString.Invariant($"dk[{b},{u},{kvHead},{k}] = {gradients.Key[b, u, kvHead, k]:R}, not 0, though {why}");
            if (gradients.Value.Row(b, u, kvHead).IndexOfAnyExcept(0.0) is >= 0 and int v)
                yield return FormattableString.Invariant($"dv[{b},{u},{kvHead},{v}] = {gradients.Value[b, u, kvHead, v]:R}, not 0, though {why}");
        }
    }

    private static IEnumerable<string> Differences(Probe probe)
    {
        // One Richardson step leaves an error of h^4; the tolerance is that of a sum of moderate terms, far below any wrong derivative.
        const double Step = 1e-3, Tolerance = 1e-6;
        S2Config config = probe.Config;
        AttentionInput<double> input = probe.Input;
        Tensor<double> dout = probe.OutputGradient;
        Gradients<double> gradients = probe.Backward(config, input, dout);
        double scale = Tolerance * (1 + Sum(dout, dout.Map(value => (double)Math.Sign(value))) * (1 + input.Value.Elements.ToArray().Max(Math.Abs)));
        Random choices = probe.Choices();
        foreach ((string name, Tensor<double> gradient, Func<Tensor<double>, AttentionInput<double>> with, Tensor<double> at) in new (string, Tensor<double>, Func<Tensor<double>, AttentionInput<double>>, Tensor<double>)[]
        {
            ("dq", gradients.Query, tensor => input with { Query = tensor }, input.Query),
            ("dk", gradients.Key, tensor => input with { Key = tensor }, input.Key),
            ("dv", gradients.Value, tensor => input with { Value = tensor }, input.Value),
        })
        {
            double length = Math.Sqrt(config.HeadDim);
            Tensor<double> direction = at.Map(_ => (2 * choices.NextDouble() - 1) / length);
            double claimed = Sum(gradient, direction);
            double coarse = Slope(Step), fine = Slope(Step / 2);
            double measured = (4 * fine - coarse) / 3;
            if (!(Math.Abs(claimed - measured) <= scale))
                yield return FormattableString.Invariant($"{name} gives the slope {claimed:R} along a random direction; central differences of sum(o do) give {measured:R}, tolerance {scale:G3}");

            double Slope(double h) => (Loss(h) - Loss(-h)) / (2 * h);
            double Loss(double h)
            {
                int i = 0;
                double[] along = [.. direction.Elements];
                return Sum(probe.Forward(config, with(at.Map(value => value + h * along[i++]))).Output, dout);
            }
        }
    }

    // Where the bounds are finite, so must the answers be: a NaN on either side is a violation.
    private static IEnumerable<string> Adjoint(Probe probe) =>
        from identity in Identities(probe)
        where double.IsFinite(identity.Bound) && !(Math.Abs(identity.Left - identity.Right) <= identity.Bound + 1e-13 * identity.Terms)
        select FormattableString.Invariant($"{identity.Claim}: the left side is {identity.Left:R}, the right side {identity.Right:R}; the error bounds allow {identity.Bound + 1e-13 * identity.Terms:G3}");

    /// <summary>Both sides of each identity, the magnitudes of the terms that are added up on them, and what rounding may set them apart by.</summary>
    internal static IEnumerable<(string Claim, double Left, double Right, double Terms, double Bound)> Identities(Probe probe)
    {
        AttentionInput<double> input = probe.Input;
        Tensor<double> dout = probe.OutputGradient;
        Gradients<double> gradients = probe.Backward(probe.Config, input, dout);
        RoundingModel model = probe.Model;
        UnknownGradientBound bounds = probe.InTime(() => UnknownGradientBound.Of(probe.Config, input, dout, model));
        double output = UnknownRowBound.Of(probe.Config, input, model).Output;
        yield return Identity("<do, o> = <dv, v>", dout, probe.Answer.Output, input.Value, gradients.Value, Absolute(dout, dout.Map(_ => output)) + ByColumn(input.Value, gradients.Value, bounds.Value));
        yield return Identity(
            "<q, dq> = <k, dk>", input.Query, gradients.Query, input.Key, gradients.Key, Absolute(input.Query, Stored(gradients.Query, bounds.Query)) + ByColumn(input.Key, gradients.Key, bounds.Key));

        Tensor<double> Stored(Tensor<double> given, double before) => UnknownGradientBound.OfStored(given, before, model);

        // What all elements of a column can be off by together counts once, with the greatest factor.
        double ByColumn(Tensor<double> factors, Tensor<double> given, double column) =>
            probe.Config.HeadDim * UnknownWeights.Largest(factors) * column * (1 + model.Storage.Unit) + Absolute(factors, Stored(given, 0));

        static (string, double, double, double, double) Identity(string claim, Tensor<double> left, Tensor<double> leftGiven, Tensor<double> right, Tensor<double> rightGiven, double bound) =>
            (claim, Sum(left, leftGiven), Sum(right, rightGiven), Absolute(left, leftGiven) + Absolute(right, rightGiven), bound);

        static double Absolute(Tensor<double> a, Tensor<double> b) => Sum(a.Map(Math.Abs), b.Map(Math.Abs));
    }

    private static double Sum(Tensor<double> a, Tensor<double> b)
    {
        double sum = 0;
        for (int i = 0; i < a.Elements.Length; i++)
            sum += a.Elements[i] * b.Elements[i];
        return sum;
    }
}
