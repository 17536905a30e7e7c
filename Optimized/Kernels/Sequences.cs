// Where do the sequences of a batch stand, and which G and S has each?
using S2Attn.Spec;

namespace S2Attn.Optimized.Kernels;

/// <summary>One sequence: where its tokens stand in the tensors, its N, G and S, and which queries are computed: all but of a slice.</summary>
internal readonly record struct Sequence(int Batch, int FirstToken, int Tokens, int GroupSize, int Shift, int QueryStart, int QueryEnd);

/// <summary>The sequences of a batch: alike and side by side, or packed one behind the other. Memory: nothing, or four bytes for each packed one.</summary>
internal sealed class Sequences
{
    private readonly Sequence alike;
    private readonly int[] starts;
    private readonly GroupSizeRule rule;
    private readonly int? shift;

    private Sequences(int count, Sequence alike, int[] starts, GroupSizeRule rule, int? shift)
    {
        Count = count;
        this.alike = alike;
        this.starts = starts;
        this.rule = rule;
        this.shift = shift;
    }

    public int Count { get; }

    /// <summary>Whether all sequences have one length.</summary>
    public bool AreAlike => starts.Length == 0;

    /// <summary>A dense batch.</summary>
    public static Sequences Alike(S2Config config, int batch) =>
        new(batch, new(0, 0, config.Tokens, config.GroupSize, config.Shift, 0, config.Tokens), [], GroupSizeRule.Of(config.GroupSize), config.Shift);

    /// <summary>A dense batch of slices. Where N is not known, queries see what they see in the text that ends with them.</summary>
    public static Sequences Of(S2Slice slice, int batch)
    {
        S2Config config = slice.Config;
        int tokens = slice.IsUnbounded ? slice.Queries.End : config.Tokens;
        return new(batch, new(0, 0, tokens, config.GroupSize, config.Shift, slice.Queries.Start, slice.Queries.End), [], GroupSizeRule.Of(config.GroupSize), config.Shift);
    }

    /// <summary>Sequence i has the tokens from starts[i] to starts[i + 1].</summary>
    public static Sequences Packed(S2Request request, int[] starts) => new(starts.Length - 1, default, starts, request.GroupSize, request.Shift);

    public Sequence this[int index]
    {
        get
        {
            if (AreAlike)
                return alike with { Batch = index };
            int length = starts[index + 1] - starts[index];
            (int groupSize, int shift) = rule.ResolvePacked(length, this.shift);
            return new(0, starts[index], length, groupSize, shift, 0, length);
        }
    }
}
