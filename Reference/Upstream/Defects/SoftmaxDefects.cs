// What goes wrong in which keys are read, in the scale, the softmax and the logsumexp?
using System.Collections.Immutable;

namespace S2Attn.Reference.Upstream;

internal static class SoftmaxDefects
{
    private const string TimesScale = "Multiply q.k by the scale once, by default 1 / sqrt(D).";

    public static ImmutableArray<Defect> All { get; } =
    [
        Walk("last-key-dropped", "The last visible key of a row is not read.", "Let the loop over keys include its upper end.", (i, count) => count > 1 && i == count - 1 ? 0 : 1),
        Walk("first-key-dropped", "The first visible key of a row is not read.", "Let the loop over keys begin at 0.", (i, count) => count > 1 && i == 0 ? 0 : 1),
        Walk("tile-border-dropped", "The last key of each tile of 32 keys is not read.", "Let tiles of keys meet: the next begins where the last one ends.", (i, _) => i % 32 == 31 ? 0 : 1),
        Walk("key-doubled", "The first key of a row counts twice.", "Read each key once, also where tiles of keys overlap.", (i, _) => i == 0 ? 2 : 1),
        .. InHeads("scale-missing", "Scores are not scaled", "Multiply q.k by the scale, by default 1 / sqrt(D).", (_, scale) => 1),
        .. InHeads("scale-squared", "The scale is applied twice", "Multiply q.k by the scale once, not q and k each.", (_, scale) => scale * scale),
        Scale("scale-zero", "The scale is 0, so that every visible key weighs the same.", "Give the attention function 1 / sqrt(D), or nothing where that is its default: 0 is a scale too.", (_, _) => 0)
            with { SeenIn = "fisalt/MS-Attention_draft, llama_attn_replace.py forward_flashattn: softmax_scale=0.0" },
        Scale("scale-inverted", "Scores are multiplied by sqrt(D) instead of divided.", "Multiply q.k by 1 / sqrt(D).", (_, scale) => scale == 0 ? 0 : 1 / scale),
        Scale("scale-fixed", "The scale is 1 / sqrt(D) whatever was asked for.", "Use the scale of the configuration, or declare fixed.scale = \"default\".", (site, _) => 1 / Math.Sqrt(site.Config.HeadDim)) with { SeenIn = "public ports" },
        Scale("scale-of-width", "The scale is 1 / sqrt(H D): that of the model's width, not of a head.", TimesScale, (site, scale) => scale / Math.Sqrt(site.Config.Heads)),
        Scale("scale-of-group", "The scale is 1 / sqrt(G) instead of 1 / sqrt(D).", TimesScale, (site, _) => 1 / Math.Sqrt(site.Config.GroupSize)),
        Scale("scale-of-tokens", "The scale is 1 / sqrt(N) instead of 1 / sqrt(D).", TimesScale, (site, _) => 1 / Math.Sqrt(site.Config.Tokens)),
        Scale("scale-of-heads", "The scale is 1 / sqrt(H) instead of 1 / sqrt(D).", TimesScale, (site, _) => 1 / Math.Sqrt(site.Config.Heads)),
        Scale("scale-of-width-squared", "The scale is 1 / D instead of 1 / sqrt(D).", TimesScale, (site, _) => 1.0 / site.Config.HeadDim),
        Scale("scale-fourth-root", "The scale is the root of what it should be: one of q and k is scaled, by D^(-1/4).", "Scale both q and k by D^(-1/4), or one of them by 1 / sqrt(D).", (_, scale) => Math.Sign(scale) * Math.Sqrt(Math.Abs(scale))),
        new("key-scaled-again-in-place", Stage.Scale, "k is scaled in place for each query head that reads it, so that the second head of a kv head finds it scaled twice, the third three times.", "Scale q, which one head alone reads, or scale k once before the loop over query heads.",
            stages => stages with { Scale = (site, head) => Math.Pow(stages.Scale(site, head), 1 + Enumerable.Range(0, head).Count(before => site.KvHead(before) == site.KvHead(head))) }),
        Scale("scale-negative", "The scale has the wrong sign.", TimesScale, (_, scale) => -scale),
        .. InHeads("softmax-base-2", "The exponential is taken in base 2", "Use exp, or multiply the scale by log2(e) before exp2.", (_, scale) => scale * Math.Log(2)),
        Softmax("mask-after-softmax", "The softmax runs over the whole group, and the mask then zeroes weights: rows do not sum to 1.", "Mask the scores before the softmax.", Normaliser.WholeGroup),
        Softmax("softmax-plus-one", "The sum of the softmax holds one more 1, as if there were a key of score 0.", "Divide by the sum of the exponentials of the visible scores alone.", Normaliser.OneMore),
        Softmax("softmax-over-queries", "The softmax runs over the queries that see a key instead of the keys that a query sees.", "Take the softmax along the last axis of the scores, the keys.", Normaliser.Queries),
        Softmax("softmax-over-heads", "The softmax runs over the heads.", "Take the softmax along the last axis of the scores, the keys.", Normaliser.Heads),
        Softmax("softmax-over-pairs", "The softmax runs over all pairs of a group instead of the keys that a query sees.", "Take the softmax along the last axis of the scores, the keys, alone.", Normaliser.Pairs),
        Softmax("softmax-over-groups", "The softmax runs over the groups.", "Take the softmax along the last axis of the scores, the keys.", Normaliser.Groups),
        Stale("accumulator-not-rescaled", 1, "key after key"),
        .. new[] { 16, 32, 64 }.Select(tile => Stale($"accumulator-not-rescaled-in-tiles-of-{tile}", tile, $"in tiles of {tile} keys")),
        LogSum("lse-base-2", "The logsumexp is in base 2.", "Multiply lse by ln 2.", LogSumKind.Base2),
        LogSum("lse-without-scale", "The logsumexp is that of the unscaled products.", "Take lse of scale q.k.", LogSumKind.Unscaled),
        LogSum("lse-without-max", "The greatest score is not added back to the logsumexp.", "Return max + log(sum), not log(sum).", LogSumKind.WithoutMaximum),
        LogSum("lse-not-unshifted", "The logsumexp of a shifted head is not rolled back; o is.", "Roll lse of the shifted heads back by +S, as o.", LogSumKind.Rolled),
        LogSum("lse-heads-first", "The logsumexp is [B,H,N] and returned as [B,N,H] without a transpose.", "Transpose lse to [B,N,H]: a reshape alone mixes heads and tokens.", LogSumKind.HeadsFirst),
        LogSum("empty-row-lse-zero", "The logsumexp of a row without keys is 0.", "Give lse = -infinity where no key is seen.", LogSumKind.ZeroWhereEmpty),
    ];

    private static Defect Walk(string name, string what, string fix, Func<int, int, int> times) => new(name, Stage.Walk, what, fix, stages => stages with { Times = times });

    private static Defect Scale(string name, string what, string fix, Func<Site, double, double> scale) => new(name, Stage.Scale, what, fix,
        stages => stages with { Scale = (site, head) => scale(site, stages.Scale(site, head)) });

    private static IEnumerable<Defect> InHeads(string name, string what, string fix, Func<Site, double, double> scale) =>
    [
        Scale(name, $"{what}.", fix, scale),
        new($"{name}-in-shifted-heads", Stage.Scale, $"{what} in the shifted heads.", $"{fix} Do the same in every head.",
            stages => stages with { Scale = (site, head) => stages.Scale(site, head) is var right && site.IsShifted(head) ? scale(site, right) : right }),
        new($"{name}-in-unshifted-heads", Stage.Scale, $"{what} in the heads that do not shift.", $"{fix} Do the same in every head.",
            stages => stages with { Scale = (site, head) => stages.Scale(site, head) is var right && !site.IsShifted(head) ? scale(site, right) : right }),
    ];

    private static Defect Softmax(string name, string what, string fix, Normaliser normaliser) => new(name, Stage.Softmax, what, fix, stages => stages with { Normaliser = normaliser });

    private static Defect Stale(string name, int tile, string walk) => new(name, Stage.Softmax, $"Keys are read {walk}, and where a greater score comes up the sum of exponentials is rescaled, but not what was summed up of v.",
        "Multiply the accumulator of o by exp(old max - new max) too, wherever the sum of exponentials is.", stages => stages with { StaleTile = tile });

    private static Defect LogSum(string name, string what, string fix, LogSumKind kind) => new(name, Stage.LogSum, what, fix, stages => stages with { LogSum = kind });
}
