// Does Reference, in the profile that each case claims, equal what upstream computed?
using System.Collections.Immutable;
using System.Diagnostics;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Running;
using S2Attn.Conformance.Safetensors;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Conformance.Golden;

/// <summary>Verifies golden cases.</summary>
public static class GoldenSuite
{
    /// <summary>The subject of golden rows in reports.</summary>
    public const string Subject = "golden";

    /// <summary>f64 cases agree within this part of the largest number of a tensor, besides the bound: gradients that cancel to 0 have no larger number.</summary>
    public const double DoubleTolerance = 1e-12;

    /// <summary>The cases of a folder, and of the folders in it, whose name contains the filter, as a part of a check.</summary>
    /// <exception cref="GoldenException">The manifest is missing or breaks a rule.</exception>
    public static CheckPart Part(string folder, string filter)
    {
        GoldenCase[] chosen = [.. GoldenFolder.ReadAll(folder).Where(golden => CheckRun.Matches(filter, golden.Name))];
        return new(Subject, chosen.Length, cancellation => Run(chosen, cancellation));
    }

    private static IEnumerable<SuiteEvent> Run(GoldenCase[] cases, CancellationToken cancellation)
    {
        foreach (GoldenCase golden in cases)
            yield return new SuiteEvent.Started(Subject, golden.Name, 1);
        foreach (PropertyResult result in cases.AsParallel().AsOrdered().WithMergeOptions(ParallelMergeOptions.NotBuffered).Select(VerifyUnlessStopped))
            yield return new SuiteEvent.Finished(result);

        // The longest case may take longer than a stopped program has to wind down: what is through must not wait for it.
        PropertyResult VerifyUnlessStopped(GoldenCase golden)
        {
            try
            {
                cancellation.ThrowIfCancellationRequested();
                return Task.Factory.StartNew(() => Verify(golden), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default).WaitAsync(cancellation).GetAwaiter().GetResult();
            }
            catch (OperationCanceledException)
            {
                return Row(golden, Outcome.Interrupted, TimeSpan.Zero);
            }
        }
    }

    /// <summary>Verifies one case.</summary>
    public static PropertyResult Verify(GoldenCase golden)
    {
        ArgumentNullException.ThrowIfNull(golden);
        Stopwatch watch = Stopwatch.StartNew();
        try
        {
            string? failure = Failures(golden, GoldenFolder.Load(golden)).FirstOrDefault();
            return failure is null ? Row(golden, Outcome.Holds, watch.Elapsed) : Row(golden, Outcome.Fails, watch.Elapsed, failure);
        }
        catch (GoldenException error)
        {
            return Row(golden, Outcome.Fails, watch.Elapsed, error.Message);
        }
    }

    internal static IEnumerable<string> Failures(GoldenCase golden, SafetensorsFile file)
    {
        if (golden.Grid is { } grid)
        {
            foreach (string failure in GoldenGrid.Failures(golden, grid, file))
                yield return failure;
            yield break;
        }

        if (golden.Family == "layer")
            foreach (string failure in GoldenLayer.Failures(golden, file))
                yield return failure;
        if (golden.Family == "layer" && !file.TryGet("q", out _))
            yield break;

        AttentionInput<double> input = InputOf(golden, file);
        Tensor<double> o = Values(golden, file, "o"), dout = Values(golden, file, "do");
        GoldenProfile profile = new(golden, input);
        Gradients<double> gradients = profile.Backward(dout);
        GoldenBound bound = GoldenBound.Of(golden, profile, input, dout);
        double relative = golden.ToleranceClass == "f64" ? DoubleTolerance : 0;
        string?[] disagreements =
        [
            Disagreement("o", o, bound.ExactOutput, bound.Output, relative),
            Disagreement("dq", Values(golden, file, "dq"), gradients.Query, bound.Gradients.Query, relative),
            Disagreement("dk", Values(golden, file, "dk"), gradients.Key, bound.Gradients.Key, relative),
            Disagreement("dv", Values(golden, file, "dv"), gradients.Value, bound.Gradients.Value, relative),
        ];
        foreach (string failure in disagreements.OfType<string>())
            yield return failure;

        if (golden.Defects.IsEmpty || golden.ToleranceClass != "f64" || golden.Family != "core")
            yield break;
        int differing = RowsDiffering(golden.Config, o, Attention.Forward(golden.Config, input).Output);
        if (differing == 0 || differing != golden.RowsDiffering)
            yield return $"the definition differs in {differing} rows of o; the manifest says {golden.RowsDiffering}";
    }

    internal static AttentionInput<double> InputOf(GoldenCase golden, SafetensorsFile file)
    {
        AttentionInput<double> input = new(Values(golden, file, "q"), Values(golden, file, "k"), Values(golden, file, "v"));
        input = file.TryGet("valid", out SafetensorsTensor? valid) ? input with { Valid = valid.Values.Map(value => value != 0) } : input;
        try
        {
            input.CheckShapes(golden.Config);
        }
        catch (ArgumentException error)
        {
            throw new GoldenException(golden.Path, error.Message);
        }

        return input;
    }

    internal static Tensor<double> Values(GoldenCase golden, SafetensorsFile file, string name) =>
        file.TryGet(name, out SafetensorsTensor? tensor) ? tensor.Values : throw new GoldenException(golden.Path, $"tensor {name} is missing");

    /// <summary>The worst element that is further off than its bound and a part of the tensor's largest number; null where all agree.</summary>
    internal static string? Disagreement(string name, Tensor<double> computed, Tensor<double> exact, Tensor<double> bound, double relative)
    {
        if (!computed.Shape.AsSpan().SequenceEqual(exact.Shape.AsSpan()))
            return $"{name} is {computed}, Reference gives {exact}";
        double floor = relative * Largest(exact);
        TensorAgreement agreement = Agreement.Compare(name, computed, exact, bound.Map(element => element + floor));
        return agreement.Agrees ? null : agreement.ToString();
    }

    private static double Largest(Tensor<double> tensor) => tensor.Elements.ToArray().Select(Math.Abs).DefaultIfEmpty().Max();

    private static int RowsDiffering(S2Config config, Tensor<double> computed, Tensor<double> definition)
    {
        double tolerance = DoubleTolerance * Largest(definition);
        return (from b in Enumerable.Range(0, config.Batch)
                from t in Enumerable.Range(0, config.Tokens)
                from h in Enumerable.Range(0, config.Heads)
                where Differs(b, t, h)
                select 0).Count();

        bool Differs(int b, int t, int h)
        {
            ReadOnlySpan<double> ours = definition.Row(b, t, h), theirs = computed.Row(b, t, h);
            for (int d = 0; d < ours.Length; d++)
                if (Math.Abs(ours[d] - theirs[d]) > tolerance)
                    return true;
            return false;
        }
    }

    private static PropertyResult Row(GoldenCase golden, Outcome outcome, TimeSpan elapsed, params ImmutableArray<string> reasons) => new(
        Subject,
        golden.Name,
        golden.Function,
        golden.Defects.IsEmpty ? $"the definition, {golden.Config.Mask}, {golden.ToleranceClass}" : $"{string.Join(" and ", golden.Defects)}, {golden.ToleranceClass}",
        outcome,
        outcome is Outcome.Interrupted ? 0 : 1,
        ImmutableSortedDictionary<string, int>.Empty,
        [.. reasons.Select(reason => new Counterexample(golden.Path, reason, golden.Path, 0))],
        [],
        elapsed);
}
