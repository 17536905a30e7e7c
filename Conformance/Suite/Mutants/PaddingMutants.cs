// What goes wrong with padded keys, and with rows that see none?
using System.Collections.Immutable;
using S2Attn.Conformance.Properties;
using S2Attn.Spec;

namespace S2Attn.Conformance.Mutants;

internal static class PaddingMutants
{
    public static ImmutableArray<Mutant> All { get; } =
    [
        new("padding-ignored", "Padded keys are seen.", "Hide key u of batch entry b where valid[b,u] is 0.", new() { IsValid = (_, _, _) => true }),
        new("padding-past-first-group-ignored", "Padding is only obeyed in the first group.", "Cut the padding mask into groups as k, instead of repeating its first G columns.", new()
        {
            IsValid = (call, row, u) => u >= call.Config.GroupSize || call.Input.Valid[row.B, u],
        }),
        new("padding-inverted", "The padding mask is read as 1 = padded.", "Read valid as 1 = real key.", new()
        {
            IsValid = (call, row, u) => call.Input.Valid[row.B, u] != call.Input.Valid.Elements.Contains(false),
        }),
        new("padding-batch-head-swapped", "The padding mask is repeated in the order (head, batch) beside tensors in the order (batch, head).", "Repeat each batch entry's mask H times in place (repeat_interleave) instead of tiling the batch.", new()
        {
            IsValid = (call, row, u) => call.Input.Valid[(row.B * call.Config.Heads + row.H) % call.Config.Batch, u],
        }),
        new("padding-not-rolled", "The padding mask is not rolled with k.", "Roll the padding mask of the shifted heads as k.", new()
        {
            IsValid = (call, row, u) => call.Input.Valid[row.B, (u - call.Config.ShiftOf(row.H) + call.Config.Tokens) % call.Config.Tokens],
        }),
        new("empty-row-uniform", "A row that sees no key is the average over the padded ones.", "Give o = 0 and lse = -infinity where no key is seen.", new()
        {
            AlsoReads = (call, row, u) => !Enumerable.Range(0, call.Config.Tokens).Any(key => Visibility.Visible(call.Config, row.H, row.T, key) && call.Input.Valid[row.B, key])
                && Visibility.Visible(call.Config, row.H, row.T, u),
            Weights = (_, row) => row.Seen.Contains(true) ? MutablePipeline.Softmax(row) : [.. row.Seen.Select(_ => 1.0 / row.Seen.Length)],
        }),
        new("mask-adds-10000", "Hidden keys are masked by adding -10000 to their scores.", "Mask by selection: leave hidden keys out of maximum, sum and product.", new()
        {
            AlsoReads = (_, _, _) => true,
            Weights = (_, row) => MutablePipeline.Softmax(Lowered(row)),
            LogSumExp = (_, row) => MutablePipeline.LogOfSum(Lowered(row).Seen, Lowered(row).Scores),
        }),
        new("masked-nan-spreads", "Hidden values are multiplied by a weight of 0, so NaN and infinity in them reach o.", "Leave hidden values out of the sum instead of multiplying them by 0.", new() { AlsoReads = (_, _, _) => true }),
        new("stale-empty-rows", "A row that sees no key keeps what the output buffer held.", "Write 0 to the rows that see no key.", new()
        {
            Finish = (memory, call, row, output) => output.SeesKeys || memory.LastOutput.Length != call.Input.Query.Elements.Length
                ? output
                : output with { Output = memory.LastOutput[Layout.Row(call.Config.Tokens, call.Config.Heads, call.Config.HeadDim, row.B, row.T, row.H)..][..call.Config.HeadDim] },
        }),
        new("empty-row-lse-zero", "The logsumexp of a row without keys is 0.", "Give lse = -infinity where no key is seen.", new()
        {
            Finish = (_, _, _, output) => output.SeesKeys ? output : output with { LogSumExp = 0 },
        }),
    ];

    private static ScoreRow Lowered(ScoreRow row) => row with
    {
        Seen = [.. row.Seen.Select(_ => true)],
        Scores = [.. row.Scores.Select((score, i) => row.Seen[i] ? score : score - 10000)],
    };
}
