// What goes wrong in scores, softmax, logsumexp and rounding?
using System.Collections.Immutable;
using S2Attn.Conformance.Ports;
using S2Attn.Spec;

namespace S2Attn.Conformance.Mutants;

internal static class SoftmaxMutants
{
    public static ImmutableArray<Mutant> All { get; } =
    [
        new("scale-missing", "Scores are not scaled.", "Multiply q.k by the scale, by default 1 / sqrt(D).", new() { Scale = _ => 1 }),
        new("scale-squared", "Scores are scaled twice: by 1 / D.", "Multiply q.k by the scale once, not q and k each.", new() { Scale = config => config.Scale * config.Scale }),
        new("scale-inverted", "Scores are multiplied by sqrt(D) instead of divided.", "Multiply q.k by 1 / sqrt(D).", new() { Scale = config => config.Scale == 0 ? 0 : 1 / config.Scale }),
        new("scale-fixed", "The scale is 1 / sqrt(D) whatever was asked for.", "Use the scale of the configuration.", new() { Scale = config => 1 / Math.Sqrt(config.HeadDim) }),
        new("mask-after-softmax", "The softmax runs over the whole group, and the mask then zeroes weights: rows do not sum to 1.", "Mask the scores before the softmax.", new()
        {
            AlsoReads = (call, row, u) => call.Sees(MaskPolicy.Bidirectional, row, u) && call.Input.Valid[row.B, u],
            Weights = (_, row) =>
            {
                double[] all = MutablePipeline.Softmax(row with { Seen = [.. row.Seen.Select(_ => true)] });
                return [.. all.Select((weight, i) => row.Seen[i] ? weight : 0)];
            },
        }),
        new("softmax-without-max", "exp is taken of the scores themselves and overflows.", "Subtract the greatest score of the row before exp.", new()
        {
            Weights = (call, row) =>
            {
                double[] powers = [.. row.Scores.Select((score, i) => row.Seen[i] ? call.Type is ElementType.F64 ? Math.Exp(score) : MathF.Exp((float)score) : 0.0)];
                return [.. powers.Select(power => power / powers.Sum())];
            },
        }),
        new("softmax-plus-one", "The sum of the softmax holds one more 1, as if there were a key of score 0.", "Divide by the sum of the exponentials of the visible scores alone.", new()
        {
            Weights = (_, row) => [.. MutablePipeline.Softmax(row).Select(weight => weight / (1 + Math.Exp(-MutablePipeline.LogOfSum(row.Seen, row.Scores))))],
        }),
        new("lse-base-2", "The logsumexp is in base 2.", "Multiply lse by ln 2.", new() { LogSumExp = (_, row) => MutablePipeline.LogOfSum(row.Seen, row.Scores) / Math.Log(2) }),
        new("lse-without-scale", "The logsumexp is that of the unscaled products.", "Take lse of scale q.k.", new() { LogSumExp = (_, row) => MutablePipeline.LogOfSum(row.Seen, row.Products) }),
        new("lse-without-max", "The greatest score is not added back to the logsumexp.", "Return max + log(sum), not log(sum).", new()
        {
            LogSumExp = (_, row) => row.Seen.Contains(true)
                ? MutablePipeline.LogOfSum(row.Seen, row.Scores) - MutablePipeline.Max(row.Seen, row.Scores)
                : double.NegativeInfinity,
        }),
        new("accumulates-in-f16", "o is summed up in binary16.", "Accumulate in f32 at least.", new() { Accumulator = sum => (double)(Half)sum }),
        new("weights-in-bf16", "The weights are rounded to bfloat16.", "Keep the weights in f32 until they have met v, or declare bf16 only.", new()
        {
            Weights = (_, row) => [.. MutablePipeline.Softmax(row).Select(weight => ElementType.BF16.Round(weight))],
        }),
        new("nondeterministic", "The same call gives other bits now and then.", "Sum in an order that does not depend on the schedule.", new()
        {
            Finish = (memory, call, _, output) => output with
            {
                Output = [.. output.Output.Select(value => value * (1 + memory.Random.Next(-1, 2) * 2 * call.Type.UnitRoundoff()))],
            },
        }),
    ];
}
