// What goes wrong in the backward pass alone?
using System.Collections.Immutable;

namespace S2Attn.Reference.Upstream;

internal static class GradientDefects
{
    public static ImmutableArray<Defect> All { get; } =
    [
        Map("dq-not-unshifted", "dq of a shifted head is not rolled back.", "Roll dq of the shifted heads back by +S, as o.", (_, _, token) => token, Operand.Query),
        Map("dk-not-unshifted", "dk of a shifted head is not rolled back.", "Roll dk of the shifted heads back by +S.", (_, _, token) => token, Operand.Key),
        Map("dv-not-unshifted", "dv of a shifted head is not rolled back.", "Roll dv of the shifted heads back by +S.", (_, _, token) => token, Operand.Value),
        Map("dkv-not-unshifted", "dk and dv of a shifted head are not rolled back.", "Roll dk and dv of the shifted heads back by +S.", (_, _, token) => token, Operand.Key, Operand.Value),
        Map("gradients-not-unshifted", "dq, dk and dv of a shifted head are not rolled back.", "Roll the gradients of the shifted heads back by +S.", (_, _, token) => token, Operand.Query, Operand.Key, Operand.Value),
        Map("dq-unshifted-wrongly", "dq of a shifted head is rolled back the wrong way.", "Roll dq back by +S, as o.", (site, shift, token) => site.OnRing(token + shift), Operand.Query),
        Map("dkv-unshifted-wrongly", "dk and dv of a shifted head are rolled back the wrong way.", "Roll dk and dv back by +S.", (site, shift, token) => site.OnRing(token + shift), Operand.Key, Operand.Value),
        Map("dq-unshifted-in-group", "dq of a shifted head is rolled back inside each group.", "Join the groups before dq is rolled back.", (site, shift, token) => site.InGroup(token, -shift), Operand.Query),
        Map("dkv-unshifted-in-group", "dk and dv of a shifted head are rolled back inside each group.", "Join the groups before dk and dv are rolled back.", (site, shift, token) => site.InGroup(token, -shift), Operand.Key, Operand.Value),
        new("do-not-rolled", Stage.BackwardMap, "do of a shifted head is not rolled before the backward pass.", "Roll do of the shifted heads by -S, as q.",
            stages => Backward(stages, backward => backward with { LeavesOutputGradient = (site, head) => site.Shift(head) > 0 })),
        new("dq-dk-swapped", Stage.BackwardMap, "dq and dk are returned in each other's place.", "Return dq, dk, dv in this order.", stages => Backward(stages, backward => backward with { Swaps = true })),
        new("shifted-heads-detached", Stage.BackwardMap, "No gradient flows through the shifted heads.", "Roll and join the shifted heads by operations that carry gradients.",
            stages => Backward(stages, backward => backward with { Detaches = (site, _, head) => site.IsShifted(head) })),
        Detached("dq-detached", "dq is 0: no gradient reaches q.", Operand.Query),
        Detached("dk-detached", "dk is 0: no gradient reaches k.", Operand.Key),
        Detached("dv-detached", "dv is 0: no gradient reaches v.", Operand.Value),
        Detached("dkv-detached", "dk and dv are 0: no gradient reaches k and v.", Operand.Key, Operand.Value),
        Detached("all-detached", "All gradients are 0.", Operand.Query, Operand.Key, Operand.Value),
        Scale("dq-without-scale", "dq lacks the scale.", "Multiply dq by the scale.", (_, _) => 1, Operand.Query),
        Scale("dk-without-scale", "dk lacks the scale.", "Multiply dk by the scale.", (_, _) => 1, Operand.Key),
        Scale("dq-dk-without-scale", "dq and dk lack the scale.", "Multiply dq and dk by the scale.", (_, _) => 1, Operand.Query, Operand.Key),
        Scale("dq-dk-scaled-twice", "dq and dk hold the scale twice.", "Multiply dq and dk by the scale once.", (_, scale) => scale * scale, Operand.Query, Operand.Key),
        Scale("dq-scaled-twice", "dq holds the scale twice.", "Multiply dq by the scale once: where k, or what is kept of ds, is scaled already, not again.", (_, scale) => scale * scale, Operand.Query),
        Scale("dk-scaled-twice", "dk holds the scale twice.", "Multiply dk by the scale once: where the q that was kept is scaled already, not again.", (_, scale) => scale * scale, Operand.Key),
        Scale("dq-without-scale-in-shifted-heads", "dq lacks the scale in the shifted heads.", "Multiply dq by the scale in every head.", (shifted, scale) => shifted ? 1 : scale, Operand.Query),
        new("delta-missing", Stage.BackwardScale, "ds = p dp: the term sum p dp is not subtracted.", "Subtract delta = sum(o do) of the row from dp.", stages => Backward(stages, backward => backward with { Delta = 0 })),
        new("delta-not-rolled", Stage.BackwardScale, "The term sum(o do) that is subtracted from dp is not rolled in the shifted heads, so that a row gets another token's: dq and dk are wrong, dv is right.", "Roll delta = sum(o do) of the shifted heads by -S, as do, or sum p dp of the row instead.",
            stages => Backward(stages, backward => backward with { LeavesDelta = (site, head) => site.Shift(head) > 0 })),
        new("delta-over-queries", Stage.BackwardScale, "The term sum p dp that is subtracted from dp is taken over the queries of a key instead of over the keys of a query: dq and dk are wrong, dv is right.", "Sum weight times dp along the keys, the last axis of [G queries, G keys], as the softmax does.",
            stages => Backward(stages, backward => backward with { SumsOverQueries = true })),
        new("dv-of-another-head", Stage.BackwardScale, "dv multiplies the weights of a query head by do of the head whose number is that of its kv head.", "Multiply by do of the query head itself, and add that to dv of kv head h / (H / K): do is indexed by query heads.",
            stages => Backward(stages, backward => backward with { ValueHead = (site, head) => site.KvHead(head) })),
        new("dv-unnormalised", Stage.BackwardScale, "dv uses exp(score - max) instead of the weights.", "Divide the exponentials by their sum, as exp(score - lse), before dv.",
            stages => Backward(stages, backward => backward with { Value = ValueGradientKind.Unnormalised })),
        new("dv-of-greatest-weight", Stage.BackwardScale, "dv is counted for one key of a row only, the greatest weight.", "Add weight times do to dv of every visible key.",
            stages => Backward(stages, backward => backward with { Value = ValueGradientKind.Greatest })),
        Join("dk-last-head-wins", "dk holds what the last query head of a kv head gives, not the sum.", "Add dk over the query heads that share a kv head.", KvJoin.Last, Operand.Key),
        Join("dv-last-head-wins", "dv holds what the last query head of a kv head gives, not the sum.", "Add dv over the query heads that share a kv head.", KvJoin.Last, Operand.Value),
        Join("dkv-last-head-wins", "dk and dv hold what the last query head of a kv head gives, not the sum.", "Add dk and dv over the query heads that share a kv head.", KvJoin.Last, Operand.Key, Operand.Value),
        Join("dkv-first-head-wins", "dk and dv hold what the first query head of a kv head gives, not the sum.", "Add dk and dv over the query heads that share a kv head.", KvJoin.First, Operand.Key, Operand.Value),
        Join("dkv-summed-over-tiled-heads", "dk and dv of a kv head are summed over the query heads h with the same h mod K, not over those that read it.", "Sum dk and dv over the H / K query heads that follow each other: reshape H to [K, H / K], not to [H / K, K], and sum over the second axis.", KvJoin.Tiled, Operand.Key, Operand.Value),
        Join("dkv-averaged", "dk and dv are the mean over the query heads that share a kv head, not the sum.", "Add dk and dv over the query heads that share a kv head.", KvJoin.Mean, Operand.Key, Operand.Value),
        Recomputed("gradients-without-padding", "The backward pass computes the weights again without the padding mask.", "Hide padded keys in the backward pass too, as in the forward pass.", stages => stages with { IsValid = (_, _, _, _) => true }),
        Recomputed("gradients-without-causal-mask", "The backward pass computes the weights again without the causal mask.", "Apply the causal mask in the backward pass too, as in the forward pass.", MaskDefects.WithoutOrder),
        Recomputed("gradients-without-cut", "The backward pass computes the weights again without cutting the wrapped run off.", "Cut the wrapped run off in the backward pass too, as in the forward pass.", MaskDefects.WithoutCut),
        Recomputed("gradients-without-roll", "The backward pass takes every head as one that does not shift.", "Roll q, k, v and do of the shifted heads by -S in the backward pass too, and dq, dk and dv back by +S.", stages => stages with { Shifts = (_, _) => false }),
    ];

    private static Defect Recomputed(string name, string what, string fix, Func<Stages, Stages> forward) => new(name, Stage.BackwardMap, what, fix, stages => Backward(stages, backward => backward with { Recomputed = forward }));

    private static Stages Backward(Stages stages, Func<BackwardStages, BackwardStages> change) => stages with { Backward = change(stages.Backward) };

    private static Defect Map(string name, string what, string fix, Func<Site, int, int, int> unroll, params Operand[] operands) => new(name, Stage.BackwardMap, what, fix,
        stages => Backward(stages, backward => backward with
        {
            Unroll = (site, operand, shift, token) => operands.Contains(operand) ? unroll(site, shift, token) : backward.Unroll(site, operand, shift, token),
        }));

    private static Defect Detached(string name, string what, params Operand[] operands) => new(name, Stage.BackwardMap, what, "Look for detach, no_grad or .data on the way to it, and for a gradient that is never returned.",
        stages => Backward(stages, backward => backward with { Detaches = (site, operand, head) => operands.Contains(operand) || backward.Detaches(site, operand, head) }));

    private static Defect Scale(string name, string what, string fix, Func<bool, double, double> scale, params Operand[] operands) => new(name, Stage.BackwardScale, what, fix,
        stages => Backward(stages, backward => backward with
        {
            Scale = (site, operand, head, right) => operands.Contains(operand) ? scale(site.IsShifted(head), right) : right,
        }));

    private static Defect Join(string name, string what, string fix, KvJoin join, params Operand[] operands) => new(name, Stage.BackwardJoin, what, fix,
        stages => Backward(stages, backward => backward with { Join = operand => operands.Contains(operand) ? join : KvJoin.Sum }));
}
