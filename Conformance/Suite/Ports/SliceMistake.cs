// What do ports do wrong that are right for whole sequences, when a part of one is asked?
using System.Collections.Immutable;
using S2Attn.Reference;
using S2Attn.Spec;
using S2Attn.Spec.Algebra;

namespace S2Attn.Conformance.Ports;

/// <summary>One mistake about slices: how the definition's question or answer is changed by it.</summary>
/// <param name="Name">Its name in reports, and behind "mutant:".</param>
/// <param name="What">What is wrong, in one sentence.</param>
/// <param name="Fix">What the author is to change, in one sentence.</param>
/// <param name="SeenIn">Where it was seen.</param>
/// <param name="Start">A fresh port that has it: what it answers to one question after another.</param>
public sealed record SliceMistake(string Name, string What, string Fix, string SeenIn, Func<Func<PortCase, PortAnswer>> Start)
{
    private const string Constructed = Reference.Upstream.Defect.Constructed;

    private static readonly ReferencePort Definition = new();

    /// <summary>All mistakes that the suite knows.</summary>
    public static ImmutableArray<SliceMistake> All { get; } =
    [
        new(
            "slice-stale-cache-row", "The first row of the cache keeps the key and value that the question before had there.", "Overwrite the whole row, of k and of v, when the ring comes round.", Constructed, StaleRow),
        Changed(
            "slice-trimmed-early", "The cache drops the first key that a new query still needs.", "Keep from the start of the current run of every head on: Slices.FirstKeyNeeded.", Constructed,
            item => item.Part.QueryCount == 1 ? WithoutFirstKey(item) : item),
        Changed(
            "slice-halo-short", "A part from a multiple of G on gets the last G - S - 1 keys before it.", "Send the last G - S keys: the shifted run that is cut began there.", Constructed,
            item => item.Part.Queries.Start % item.Config.GroupSize == 0 ? WithoutFirstKey(item) : item),
        Changed(
            "slice-aligned-at-start", "With fewer queries than keys the first query is taken for the first key's token.", "Count queries and keys from the start of the sequence, or align their ends.",
            "FlashAttention before 2.1, causal with seqlen_q < seqlen_k", item => item with { Part = Moved(item, item.Part.Keys.Start - item.Part.Queries.Start, 0) }),
        new(
            "slice-shifted-from-first-key", "Runs of shifted heads are counted from the first key that is there.", "Count runs from the start of the sequence, not of the slice.", Constructed,
            () => item => item.Part.IsUnbounded && item.Operation is PortOperation.Forward && item.Part.Keys.Start > 0 ? ShiftedFromFirstKey(item) : Definition.Run(item)),
        OfHalo("slice-halo-gradients-dropped", "dk and dv of keys before the first query are 0.", "Send the gradients of the halo back to the rank that owns its keys, and add them.", 0),
        OfHalo("slice-halo-gradients-twice", "dk and dv of keys before the first query are counted twice.", "Add the gradients of the halo once: either the owner does, or the reduction.", 2),
        Changed("lse-gradient-dropped", "The gradient of lse is ignored.", "ds = p (do.v - delta) with delta = do.o - dlse.", Constructed, item => item with { LogSumExpGradient = [] }),
    ];

    /// <inheritdoc/>
    public override string ToString() => Name;

    private static SliceMistake Changed(string name, string what, string fix, string seenIn, Func<PortCase, PortCase> change) =>
        new(name, what, fix, seenIn, () => item => Definition.Run(item.IsSlice || !item.LogSumExpGradient.IsEmpty ? change(item) : item));

    private static SliceMistake OfHalo(string name, string what, string fix, double factor) => new(name, what, fix, Constructed, () => item =>
    {
        PortAnswer answer = Definition.Run(item);
        if (answer is not PortAnswer.Backward { Gradients: var gradients } || item.Part.Queries.Start <= item.Part.Keys.Start)
            return answer;
        int own = item.Part.Queries.Start - item.Part.Keys.Start, row = item.Config.KvHeads * item.Config.HeadDim;
        return new PortAnswer.Backward(gradients with { Key = Scaled(gradients.Key), Value = Scaled(gradients.Value) });

        Tensor<double> Scaled(Tensor<double> tensor) =>
            Tensor<double>.Build(tensor.Shape.AsSpan(), i => tensor.Elements[i] * (i / row % item.Part.KeyCount < own ? factor : 1));
    });

    private static Func<PortCase, PortAnswer> StaleRow()
    {
        ImmutableArray<PortCase> last = [];
        return item =>
        {
            PortCase asked = item;
            if (item.IsSlice && last is [{ } before] && before.Input.Key.Shape[0] == item.Config.Batch && before.Input.Key.Shape.AsSpan()[2..].SequenceEqual(item.Input.Key.Shape.AsSpan()[2..]))
                asked = item with { Input = item.Input with { Key = First(before.Input.Key, item.Input.Key), Value = First(before.Input.Value, item.Input.Value) } };
            last = item.IsSlice ? [item] : last;
            return Definition.Run(asked);
        };

        static Tensor<double> First(Tensor<double> from, Tensor<double> to)
        {
            int row = to.Shape[2] * to.Shape[3];
            return Tensor<double>.Build(to.Shape.AsSpan(), i => i / row % to.Shape[1] == 0 ? from.Elements[i / row / to.Shape[1] * from.Shape[1] * row + i % row] : to.Elements[i]);
        }
    }

    private static PortCase WithoutFirstKey(PortCase item)
    {
        int needed = item.Part.IsUnbounded
            ? Enumerable.Range(0, item.Config.KvHeads).Min(kvHead => Slices.FirstKeyNeeded(item.Config, kvHead, item.Part.Queries.Start))
            : Slices.KeysNeeded(item.Config, item.Part.Queries.Start, item.Part.Queries.End).Start;
        return needed >= item.Part.Queries.Start ? item : item with
        {
            Input = item.Input with { Valid = Tensor<bool>.Build(item.Input.Valid.Shape.AsSpan(), i => item.Input.Valid.Elements[i] && i % item.Part.KeyCount != needed - item.Part.Keys.Start) },
        };
    }

    // A slice of as many queries and keys elsewhere in the sequence; where it cannot be there, the slice as it is.
    private static S2Slice Moved(PortCase item, int queries, int keys) => S2Slice.TryCreate(item.Config, new()
    {
        FirstQuery = item.Part.Queries.Start + queries,
        EndQuery = item.Part.Queries.End + queries,
        FirstKey = item.Part.Keys.Start + keys,
        EndKey = item.Part.Keys.End + keys,
        IsUnbounded = item.Part.IsUnbounded,
    }) is SliceResult.Valid valid ? valid.Slice : item.Part;

    private static PortAnswer.Forward ShiftedFromFirstKey(PortCase item)
    {
        PortAnswer.Forward plain = (PortAnswer.Forward)Definition.Run(item);
        PortAnswer.Forward moved = (PortAnswer.Forward)Definition.Run(item with { Part = Moved(item, -item.Part.Keys.Start, -item.Part.Keys.Start) });
        int dim = item.Config.HeadDim, heads = item.Config.Heads;
        return new PortAnswer.Forward(
            Tensor<double>.Build(plain.Output.Shape.AsSpan(), i => (item.Config.ShiftOf(i / dim % heads) > 0 ? moved : plain).Output.Elements[i]),
            [Tensor<double>.Build(plain.LogSumExp[0].Shape.AsSpan(), i => (item.Config.ShiftOf(i % heads) > 0 ? moved : plain).LogSumExp[0].Elements[i])]);
    }
}

/// <summary>The definition with one mistake about slices, behind the interface of a port.</summary>
/// <param name="name">Its name.</param>
/// <param name="mistake">The mistake.</param>
public sealed class SliceMistakePort(string name, SliceMistake mistake) : IAttentionPort
{
    private readonly Func<PortCase, PortAnswer> run = mistake.Start();

    /// <inheritdoc/>
    public PortDescription Description { get; } = Declared(name);

    /// <inheritdoc/>
    public PortAnswer Run(PortCase portCase) => run(portCase);

    /// <inheritdoc/>
    public void Dispose()
    {
    }

    private static PortDescription Declared(string name)
    {
        using ReferencePort reference = new();
        return reference.Description with { Name = name, Capabilities = reference.Description.Capabilities with { HeadMajor = false, Packed = false, Strides = [], Prefixes = false } };
    }
}
