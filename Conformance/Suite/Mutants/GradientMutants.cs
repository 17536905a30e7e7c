// What goes wrong in the backward pass alone?
using System.Collections.Immutable;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Conformance.Mutants;

internal static class GradientMutants
{
    public static ImmutableArray<Mutant> All { get; } =
    [
        new("dk-last-head-wins", "dk holds what the last query head of a kv head gives, not the sum.", "Add dk over the query heads that share a kv head.", new() { JoinKeyGradients = (_, next) => next }),
        new("dq-without-scale", "dq lacks the scale.", "Multiply dq by the scale.", new() { QueryGradientScale = _ => 1 }),
        new("delta-missing", "ds = p dp: the term sum p dp is not subtracted.", "Subtract delta = sum(o do) of the row from dp.", new() { Delta = _ => 0 }),
        new("dv-unnormalised", "dv uses exp(score - max) instead of the weights.", "Divide the exponentials by their sum, as exp(score - lse), before dv.", new()
        {
            ValueGradientWeights = (row, weights) => weights.Length == 0 || !row.Seen.Contains(true)
                ? weights
                : [.. row.Scores.Select((score, i) => row.Seen[i] ? Math.Exp(score - MutablePipeline.Max(row.Seen, row.Scores)) : 0)],
        }),
        new("dq-unshifted-wrongly", "dq of a shifted head is rolled back the wrong way.", "Roll dq back by +S, as o.", new()
        {
            QueryGradientAt = (call, row) => row with { T = (row.T + 2 * (call.Config.Tokens - call.Config.ShiftOf(row.H))) % call.Config.Tokens },
        }),
        new("dq-dk-swapped", "dq and dk are returned in each other's place.", "Return dq, dk, dv in this order.", new()
        {
            FinishGradients = gradients => new Gradients<double>(gradients.Key, gradients.Query, gradients.Value),
        })
        { GroupedQuery = false },
        new("dv-of-greatest-weight", "dv is counted for one key of a row only, the greatest weight.", "Add weight times do to dv of every visible key.", new()
        {
            ValueGradientWeights = (_, weights) => [.. weights.Select(weight => weight == weights.Max() ? weight : 0)],
        }),
    ];
}
