// What is there to do for a few queries at the end of each sequence, and how do the parts become the results?
using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using S2Attn.Spec;
using S2Attn.Spec.Algebra;

namespace S2Attn.Optimized.Kernels;

/// <summary>A query row of a kv head: which token and head, and the keys that it sees.</summary>
internal readonly record struct DecodeRow(int Token, int Head, int FirstKey, int EndKey);

/// <summary>
/// The last <see cref="Tokens"/> queries of each sequence against its cache. A work item is a part of the keys of one kv head, for all rows that read it; its maxima, sums and
/// unnormalised outputs are merged afterwards in the order of the keys, so that results do not depend on who computed what.
/// </summary>
internal sealed unsafe class DecodeWork<T> : IDisposable
    where T : unmanaged
{
    /// <summary>Keys of a work item: enough that merging costs little, few enough that several threads share one kv head.</summary>
    public const int KeysOfPart = 1024;

    // Enough that a worker which is slower than the others leaves them little to wait for.
    private const int ClaimsOfWorker = 8;

    private readonly CacheRing<T>[] rings;
    private readonly int share, rowFloats;
    private readonly int[] headsByShift, shifts, shiftOfHead;

    // Of each sequence, query and shift; they are asked for more often than a formula over Spec's algebra should be computed.
    private int[] firstKeys = [];
    private float* partials;
    private nuint capacity;
    private int parts, prefixParts;

    public DecodeWork(S2Config config, CacheRing<T>[] rings)
    {
        Config = config;
        this.rings = rings;
        share = config.Heads / config.KvHeads;
        rowFloats = config.HeadDim + 2;
        headsByShift = [.. Enumerable.Range(0, config.Heads).OrderBy(config.KvHeadOf).ThenBy(config.ShiftOf)];
        shifts = [.. Enumerable.Range(0, config.Heads).Select(config.ShiftOf).Distinct()];
        shiftOfHead = [.. Enumerable.Range(0, config.Heads).Select(head => Array.IndexOf(shifts, config.ShiftOf(head)))];
    }

    ~DecodeWork() => NativeMemory.Free(partials);

    public S2Config Config { get; }

    /// <summary>Queries of each sequence.</summary>
    public int Tokens { get; private set; }

    /// <summary>Rows of a kv head.</summary>
    public int Rows => Tokens * share;

    /// <summary>The first of the sequences at work.</summary>
    public int FirstSequence { get; private set; }

    public int SequenceCount { get; private set; }

    public long Items => (long)SequenceCount * Config.KvHeads * parts;

    /// <summary>q [sequences, Tokens, H, D].</summary>
    public Rows<T> Query { get; private set; }

    public void Begin(Rows<T> query, int firstSequence, int sequenceCount, int tokens)
    {
        (Query, FirstSequence, SequenceCount, Tokens) = (query, firstSequence, sequenceCount, tokens);
        int count = sequenceCount * tokens * shifts.Length, most = 0;
        if (firstKeys.Length < count)
            firstKeys = new int[count];
        for (int i = 0; i < count; i++)
        {
            (int sequence, int token, int shift) = (i / shifts.Length / tokens, i / shifts.Length % tokens, i % shifts.Length);
            firstKeys[i] = Slices.FirstKeyNeeded<Int, Bool>(Config.GroupSize, shifts[shift], TokenOf(sequence, token)).ToIndex();
        }

        for (int sequence = 0; sequence < sequenceCount; sequence++)
            for (int kvHead = 0; kvHead < Config.KvHeads; kvHead++)
            {
                TokenRange<int> keys = KeysOf(sequence, kvHead);
                most = Math.Max(most, keys.End - keys.Start);
            }

        // A prefix has parts of its own: between it and the other keys there may be some that are dead.
        prefixParts = (Config.Prefix + KeysOfPart - 1) / KeysOfPart;
        parts = prefixParts + (most - 1) / KeysOfPart + 1;
        nuint floats = checked((nuint)Items * (nuint)Rows * (nuint)rowFloats);
        if (floats <= capacity)
            return;
        partials = (float*)NativeMemory.Realloc(partials, floats * sizeof(float));
        capacity = floats;
    }

    public CacheRing<T> RingOf(int sequence) => rings[FirstSequence + sequence];

    /// <summary>The keys of one part; empty where the sequence is shorter than others.</summary>
    public (int Sequence, int KvHead, TokenRange<int> Keys) Item(long item)
    {
        (long of, int part) = ((item / parts), (int)(item % parts));
        (int sequence, int kvHead) = ((int)(of / Config.KvHeads), (int)(of % Config.KvHeads));
        TokenRange<int> keys = part < prefixParts ? new(0, Math.Min(Config.Prefix, RingOf(sequence).Length)) : KeysOf(sequence, kvHead);
        int start = (int)Math.Min((long)keys.Start + (long)(part < prefixParts ? part : part - prefixParts) * KeysOfPart, keys.End);
        return (sequence, kvHead, new(start, (int)Math.Min((long)start + KeysOfPart, keys.End)));
    }

    /// <summary>Where the first key of an item stands; null where it has none.</summary>
    public Pointer<T> PlaceOfFirstKey(long item)
    {
        (int sequence, int kvHead, TokenRange<int> keys) = Item(item);
        return keys.End > keys.Start ? RingOf(sequence).Keys.At(0, keys.Start, kvHead) : default;
    }

    /// <summary>How many items a worker claims at a time: within a claim it asks for the keys of the next item while it computes with the last values of this one.</summary>
    public int ItemsOfClaim(int workers) => (int)Math.Clamp(Items / ((long)ClaimsOfWorker * workers), 1, parts);

    /// <summary>Row r of a kv head, with the keys that it sees of a prefix or behind it: heads that shift by less before those that shift by more, so that neighbours see the same keys.</summary>
    public DecodeRow RowOf(int sequence, int kvHead, int row, bool ofPrefix)
    {
        int head = headsByShift[kvHead * share + row / Tokens], token = row % Tokens, end = TokenOf(sequence, token) + 1;
        return ofPrefix
            ? new(token, head, 0, Config.IsPrefixWhole ? Config.Prefix : Math.Min(Config.Prefix, end))
            : new(token, head, Math.Max(FirstKeyOf(sequence, token, head), Config.Prefix), end);
    }

    /// <summary>Whether a part of the keys is one of a prefix.</summary>
    public bool IsOfPrefix(TokenRange<int> part) => part.Start < Config.Prefix;

    /// <summary>Maximum, sum and unnormalised output of a row over one part.</summary>
    public Pointer<float> Partial(long item, int row) => new(partials + (item * Rows + row) * rowFloats, rowFloats);

    /// <summary>o = sum w o_i / sum w l_i with w = 2^(m_i - m), and lse = (m + log2 sum) ln 2, for every row.</summary>
    public void Merge<TStorage>(Rows<T> output, Rows<float> logSumExp)
        where TStorage : struct, IStorage<T>
    {
        Span<float> sum = Config.HeadDim <= 1024 ? stackalloc float[Config.HeadDim] : new float[Config.HeadDim];
        fixed (float* sums = sum)
            for (int sequence = 0; sequence < SequenceCount; sequence++)
                for (int kvHead = 0; kvHead < Config.KvHeads; kvHead++)
                    for (int r = 0; r < Rows; r++)
                    {
                        DecodeRow row = RowOf(sequence, kvHead, r, ofPrefix: false);
                        double lse = Merge(((long)sequence * Config.KvHeads + kvHead) * parts, r, sum);
                        TStorage.Narrow<Vector128<float>, Lanes128>(new(sums, Config.HeadDim), output.At(sequence, row.Token, row.Head), Config.HeadDim);
                        if (!logSumExp.IsAbsent)
                            logSumExp.At(sequence, row.Token, row.Head)[0] = (float)lse;
                    }
    }

    public void Dispose()
    {
        NativeMemory.Free(partials);
        partials = null;
        capacity = 0;
        GC.SuppressFinalize(this);
    }

    private double Merge(long firstItem, int row, Span<float> output)
    {
        float max = float.NegativeInfinity;
        for (int part = 0; part < parts; part++)
            max = Math.Max(max, Partial(firstItem + part, row)[0]);
        output.Clear();
        double total = 0;
        for (int part = 0; part < parts; part++)
        {
            double weight = WeightOf(part);
            total += weight * Partial(firstItem + part, row)[1];
            TensorPrimitives.MultiplyAdd((Partial(firstItem + part, row) + 2).Span(output.Length), (float)weight, output, output);
        }

        if (total == 0)
        {
            output.Clear();
            return double.NegativeInfinity;
        }

        TensorPrimitives.Multiply(output, (float)(1 / total), output);
        return (max + Math.Log2(total)) * Math.Log(2);

        // A part whose only score is NaN has a sum of NaN and no maximum.
        double WeightOf(int part)
        {
            Pointer<float> partial = Partial(firstItem + part, row);
            return !float.IsNegativeInfinity(partial[0]) ? Math.Pow(2, (double)partial[0] - max) : partial[1] == 0 ? 0 : 1;
        }
    }

    // A query never needs a key that an earlier one did not; those of a prefix stand apart.
    private TokenRange<int> KeysOf(int sequence, int kvHead)
    {
        int first = int.MaxValue;
        for (int i = kvHead * share; i < (kvHead + 1) * share; i++)
            first = Math.Min(first, FirstKeyOf(sequence, 0, headsByShift[i]));
        int length = RingOf(sequence).Length;
        return new(Math.Min(Math.Max(first, Config.Prefix), length), length);
    }

    private int FirstKeyOf(int sequence, int token, int head) => firstKeys[(sequence * Tokens + token) * shifts.Length + shiftOfHead[head]];

    private int TokenOf(int sequence, int token) => RingOf(sequence).Length - Tokens + token;
}
