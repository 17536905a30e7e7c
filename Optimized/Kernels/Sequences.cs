// Where do the sequences of a batch stand, and which G and S has each?
using S2Attn.Spec;

namespace S2Attn.Optimized.Kernels;

/// <summary>
/// One sequence: where its tokens stand in the tensors, its N, G and S, and which queries are computed: all but of a slice. Sequences of one kind differ only in where they stand.
/// </summary>
internal readonly record struct Sequence(int Batch, int FirstToken, int Tokens, int GroupSize, int Shift, int QueryStart, int QueryEnd, int Kind = 0)
{
    /// <summary>P of its own first tokens.</summary>
    public int Prefix { get; init; }

    public bool IsPrefixWhole { get; init; }
}

/// <summary>
/// The sequences of a batch: alike and side by side, or packed one behind the other, or in each entry of the batch the windows of a grid. Memory: nothing, or eight bytes for each packed
/// one or window and a few numbers for each length.
/// </summary>
internal sealed class Sequences
{
    private readonly Sequence[] kinds;
    private readonly int[] starts, kindOf, classOfKind;

    /// <param name="batch">Entries of the batch, each with the same sequences.</param>
    /// <param name="kinds">The sequences that differ in more than where they stand.</param>
    /// <param name="starts">The first token of each sequence of an entry; empty where an entry is one sequence.</param>
    /// <param name="kindOf">The kind of each.</param>
    /// <param name="classOfKind">The class of heads that attends each kind; empty where all classes attend all.</param>
    public Sequences(int batch, Sequence[] kinds, int[] starts, int[] kindOf, int[] classOfKind)
    {
        Batch = batch;
        this.kinds = kinds;
        this.starts = starts;
        this.kindOf = kindOf;
        this.classOfKind = classOfKind;
    }

    /// <summary>Entries of the batch.</summary>
    public int Batch { get; }

    /// <summary>Sequences of an entry.</summary>
    public int OfEntry => AreAlike ? 1 : kindOf.Length;

    /// <summary>Whether each entry is one sequence, of one length.</summary>
    public bool AreAlike => starts.Length == 0;

    /// <summary>G of the sequence that has the largest.</summary>
    public int LargestGroup => kinds.Length == 0 ? 0 : kinds.Max(kind => kind.GroupSize);

    /// <summary>P of the sequence that has the largest.</summary>
    public int LargestPrefix => kinds.Length == 0 ? 0 : kinds.Max(kind => kind.Prefix);

    /// <summary>Whether a class of heads attends the sequences of a kind.</summary>
    public bool AreAttendedBy(int of, int kind) => classOfKind.Length == 0 || classOfKind[kind] == of;

    /// <summary>The kind of a sequence of each entry.</summary>
    public int KindOf(int index) => AreAlike ? 0 : kindOf[index];

    /// <summary>How many lengths there are.</summary>
    public int Kinds => kinds.Length;

    /// <summary>A sequence of a kind; where it stands is not said.</summary>
    public Sequence OfKind(int kind) => kinds[kind];

    /// <summary>A dense batch.</summary>
    public static Sequences Alike(S2Config config, int batch) =>
        new(batch, [new(0, 0, config.Tokens, config.GroupSize, config.Shift, 0, config.Tokens) { Prefix = config.Prefix, IsPrefixWhole = config.IsPrefixWhole }], [], [], []);

    /// <summary>A dense batch of slices. Where N is not known, queries see what they see in the text that ends with them.</summary>
    public static Sequences Of(S2Slice slice, int batch)
    {
        S2Config config = slice.Config;
        int tokens = slice.IsUnbounded ? Math.Max(slice.Queries.End, config.Prefix) : config.Tokens;
        return new(batch, [new(0, 0, tokens, config.GroupSize, config.Shift, slice.Queries.Start, slice.Queries.End) { Prefix = config.Prefix, IsPrefixWhole = config.IsPrefixWhole }], [], [], []);
    }

    /// <summary>Sequence i has the tokens from starts[i] to starts[i + 1].</summary>
    public static Sequences Packed(S2Request request, int[] starts)
    {
        List<Sequence> kinds = [];
        Dictionary<int, int> kindOfLength = [];
        int[] kindOf = new int[starts.Length - 1];
        for (int i = 0; i < kindOf.Length; i++)
        {
            int length = starts[i + 1] - starts[i];
            if (!kindOfLength.TryGetValue(length, out kindOf[i]))
            {
                kindOfLength.Add(length, kindOf[i] = kinds.Count);
                (int groupSize, int shift) = request.GroupSize.ResolvePacked(length, request.Shift);
                kinds.Add(new(0, 0, length, groupSize, shift, 0, length, kindOf[i]) { Prefix = Math.Min(request.Prefix, length), IsPrefixWhole = request.IsPrefixWhole });
            }
        }

        return new(1, [.. kinds], starts, kindOf, []);
    }

    /// <summary>A sequence of an entry of the batch.</summary>
    public Sequence this[int batch, int index] => AreAlike ? kinds[0] with { Batch = batch } : kinds[kindOf[index]] with { Batch = batch, FirstToken = starts[index] };
}
