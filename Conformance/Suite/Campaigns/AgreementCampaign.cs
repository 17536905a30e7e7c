// How much of its error bound does a kernel use over many random cases, and what is the smallest case that leaves it?
using System.Collections.Immutable;
using FsCheck;
using FsCheck.Fluent;
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Conformance.Campaigns;

/// <summary>The largest share of the bound that a tensor used, and the case where it did.</summary>
public sealed record WorstShare(string Tensor, ElementType Type, double Ratio, AttentionCase Case)
{
    /// <summary>A bound of which no case uses this part is loose: an error a hundred times as large would pass.</summary>
    public const double Loose = 0.01;

    /// <summary>The smallest share that a case used which used any.</summary>
    public double Least { get; init; }

    /// <summary>Whether no case used a hundredth of the bound.</summary>
    public bool IsLoose => Ratio < Loose;
}

/// <summary>What a campaign found.</summary>
/// <param name="Cases">Cases that ran.</param>
/// <param name="Worst">For each tensor and format, the largest error / bound.</param>
/// <param name="Failures">Shrunk cases that disagree, with what they show.</param>
public sealed record CampaignReport(int Cases, ImmutableArray<WorstShare> Worst, ImmutableArray<string> Failures);

/// <summary>Random cases against Reference under a rounding model. The same seed gives the same cases.</summary>
public static class AgreementCampaign
{
    private const int MaxFailures = 5;

    /// <summary>Runs cases of up to so many tokens and elements of a vector, forward and where the port declares it backward.</summary>
    public static CampaignReport Run(IAttentionPort port, Func<S2Config, ElementType, RoundingModel> modelOf, int cases, int seed, int maxTokens, int maxDim)
    {
        ArgumentNullException.ThrowIfNull(port);
        ArgumentNullException.ThrowIfNull(modelOf);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(cases);
        ImmutableArray<ElementType> types = port.Description.Capabilities.ElementTypes;
        Dictionary<(string, ElementType), WorstShare> worst = [];
        List<string> failures = [];
        int ran = 0;
        foreach (AttentionCase item in CaseGenerator.Kernels(maxTokens, maxDim, [.. types]).Sample(cases, new Rnd((ulong)seed, (ulong)(2 * seed) + 1), 50))
        {
            ran++;
            TensorAgreement[] agreements = [.. Try(port, modelOf, item)];
            foreach (TensorAgreement agreement in agreements)
            {
                WorstShare own = new(agreement.Name, item.Type, agreement.WorstRatio, item) { Least = agreement.WorstRatio > 0 ? agreement.WorstRatio : double.PositiveInfinity };
                WorstShare share = worst.GetValueOrDefault((agreement.Name, item.Type), own);
                worst[(agreement.Name, item.Type)] = (share.Ratio < own.Ratio ? own : share) with { Least = Math.Min(share.Least, own.Least) };
            }

            if (agreements.All(agreement => agreement.Agrees))
                continue;
            AttentionCase shrunk = Shrunk(item, candidate => !Try(port, modelOf, candidate).All(agreement => agreement.Agrees));
            failures.Add($"{shrunk}: {string.Join("; ", Try(port, modelOf, shrunk).Where(agreement => !agreement.Agrees))}");
            if (failures.Count == MaxFailures)
                break;
        }

        return new(ran, [.. worst.Values.OrderByDescending(share => share.Ratio)], [.. failures]);
    }

    /// <summary>Every comparison of one case; a port that does not answer with tensors disagrees without bound.</summary>
    public static IEnumerable<TensorAgreement> Try(IAttentionPort port, Func<S2Config, ElementType, RoundingModel> modelOf, AttentionCase item)
    {
        ArgumentNullException.ThrowIfNull(port);
        ArgumentNullException.ThrowIfNull(modelOf);
        ArgumentNullException.ThrowIfNull(item);
        return Try(port, modelOf(item.Config, item.Type), item.Backward());
    }

    /// <summary>The same of a case with any tensors: both passes, of which the definition evaluates the rows once.</summary>
    internal static IEnumerable<TensorAgreement> Try(IAttentionPort port, RoundingModel model, PortCase backward)
    {
        ImmutableArray<PortOperation> operations = port.Description.Capabilities.Operations;
        Lazy<(BoundedOutput Output, BoundedGradients Gradients)> both = new(() => Agreement.Both(backward, model));
        foreach (PortOperation operation in operations)
        {
            PortCase portCase = operation is PortOperation.Forward ? backward with { OutputGradient = [] } : backward;
            PortAnswer answer = port.Run(portCase);
            if (answer is PortAnswer.Forward or PortAnswer.Backward)
                foreach (TensorAgreement agreement in operations.Contains(PortOperation.Backward)
                    ? Agreement.Compare(portCase, answer, () => both.Value.Output, () => both.Value.Gradients)
                    : Agreement.Compare(portCase, answer, model))
                    yield return agreement;
            else
                yield return new TensorAgreement($"{operation}: {answer}", double.PositiveInfinity, [], double.NaN, double.NaN, 0, 0);
        }
    }

    private static AttentionCase Shrunk(AttentionCase failing, Func<AttentionCase, bool> fails)
    {
        while (CaseShrinker.Simpler(failing).FirstOrDefault(fails) is { } smaller)
            failing = smaller;
        return failing;
    }
}
