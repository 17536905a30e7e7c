// What goes wrong in the mask and at the edges of groups?
using System.Collections.Immutable;
using S2Attn.Conformance.Properties;
using S2Attn.Spec;
using S2Attn.Spec.Algebra;

namespace S2Attn.Conformance.Mutants;

internal static class MaskMutants
{
    public static ImmutableArray<Mutant> All { get; } =
    [
        new("mask-strict", "The causal mask hides the diagonal: a token does not see itself.", "Compare key <= query instead of key < query.", new()
        {
            Sees = (call, row, u) => Visibility.Visible(call.Config, row.H, row.T, u) && (u != row.T || !call.Config.Mask.IsCausal()),
        }),
        new("mask-next-token", "The causal mask shows the next token of the group.", "Compare key <= query instead of key <= query + 1 (triu with diagonal 1, tril with diagonal 0).", new()
        {
            Sees = (call, row, u) => Visibility.Visible(call.Config, row.H, row.T, u) || (u == row.T + 1 && call.Sees(MaskPolicy.BidirectionalSplit, row, u)),
        }),
        new("no-causal-mask", "The causal mask is not applied.", "Apply the causal mask of the policy inside each group.", new()
        {
            Sees = (call, row, u) => call.Sees(call.Config.Mask is MaskPolicy.Split ? MaskPolicy.BidirectionalSplit : WithoutOrder(call.Config.Mask), row, u),
        }),
        Confused("split-as-local-causal", MaskPolicy.Split, MaskPolicy.LocalCausal, "cut the wrapped run 0 .. S-1 off the last group, as with cu_seqlens 0, S, S+G, ..., N"),
        Confused("bidirectional-split-as-bidirectional", MaskPolicy.BidirectionalSplit, MaskPolicy.Bidirectional, "cut the wrapped run 0 .. S-1 off the last group"),
        Confused("local-causal-as-split", MaskPolicy.LocalCausal, MaskPolicy.Split, "let the wrapped run see the end of the text, or declare the policy Split"),
        Confused("position-causal-as-local-causal", MaskPolicy.PositionCausal, MaskPolicy.LocalCausal, "compare the original token indices, after rolling them as k"),
        Confused("bidirectional-as-causal", MaskPolicy.Bidirectional, MaskPolicy.LocalCausal, "drop the causal mask"),
        new("group-size-one-more", "A query also sees the last key before its group.", "Let groups begin at multiples of G, counted from 0.", new()
        {
            Sees = (call, row, u) => Visibility.Visible(call.Config, row.H, row.T, u)
                || (u < call.Config.Tokens - 1 && u < row.T && !Visibility.Visible(call.Config, row.H, row.T, u) && Visibility.Visible(call.Config, row.H, row.T, u + 1) && call.Sees(MaskPolicy.BidirectionalSplit, row, u + 1)),
        }),
        new("full-attention", "Groups are ignored: every head attends to the whole sequence.", "Cut the sequence into groups of G tokens before the scores are computed.", new()
        {
            Sees = (call, row, u) => !call.Config.Mask.IsCausal() || u <= row.T,
        }),
        new("last-key-dropped", "The last visible key of a row is not read.", "Let the loop over keys include its upper end.", new() { Walk = keys => keys.Length > 1 ? keys[..^1] : keys }),
        new("first-key-dropped", "The first visible key of a row is not read.", "Let the loop over keys begin at 0.", new() { Walk = keys => keys.Length > 1 ? keys[1..] : keys }),
        new("tile-border-dropped", "The last key of each tile of 32 keys is not read.", "Let tiles of keys meet: the next begins where the last one ends.", new()
        {
            Walk = keys => [.. keys.Where((_, i) => i % 32 != 31)],
        }),
        new("key-doubled", "The first key of a row counts twice.", "Read each key once, also where tiles of keys overlap.", new() { Walk = keys => [.. keys.Take(1), .. keys] }),
        new("ragged-tail-dropped", "Tokens past the last whole group are not computed and not seen.", "Compute the last, shorter segment too, or do not declare ragged.", new()
        {
            ResultOf = (call, row) => row.T < Whole(call) ? row : null,
            Sees = (call, row, u) => u < Whole(call) && Visibility.Visible(call.Config, row.H, row.T, u),
        }),
        new("ragged-tail-filled", "The last, shorter segment is filled up to G keys with those before it.", "Let the last segment hold only the tokens past the last whole group.", new() { Sees = SeesFilledTail }),
    ];

    private static Mutant Confused(string name, MaskPolicy asked, MaskPolicy given, string fix) => new(
        name, $"{asked} is computed as {given}.", $"Under {asked}, {fix}.", new()
        {
            Sees = (call, row, u) => call.Config.Mask == asked ? call.Sees(given, row, u) : Visibility.Visible(call.Config, row.H, row.T, u),
        });

    private static MaskPolicy WithoutOrder(MaskPolicy mask) => mask.IsCausal() ? MaskPolicy.Bidirectional : mask;

    private static int Whole(MutantCall call) => call.Config.Tokens / call.Config.GroupSize * call.Config.GroupSize;

    private static bool SeesFilledTail(MutantCall call, Row row, int u)
    {
        S2Config config = call.Config;
        int tail = config.Tokens - (config.Tokens - config.ShiftOf(row.H)) % config.GroupSize;
        bool causal = !config.Mask.IsCausal() || u <= row.T;
        return Visibility.Visible(config, row.H, row.T, u) || (row.T >= tail && u >= config.Tokens - config.GroupSize && config.Tokens % config.GroupSize != 0 && causal);
    }
}
