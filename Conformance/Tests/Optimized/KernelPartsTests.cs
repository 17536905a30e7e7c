// Is a call the sum of its parts? Each sequence, and each kv head with the query heads that read it, has the bits of a small dense plan of its own.
using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using S2Attn.Conformance.Ports;
using S2Attn.Optimized;
using S2Attn.Spec;

namespace S2Attn.Tests.Optimized;

/// <summary>
/// Bounds are expensive and are checked for a few heads and sequences (KernelBorderTests). Here as many as a model has are taken apart into such small calls, in every face of the kernels, with every
/// tensor at strides of its own: numbers of heads, sequences and elements, formats and faces are crossed at little cost.
/// </summary>
public sealed unsafe class KernelPartsTests
{
    private enum Face
    {
        Spans,
        StoredGradients,
        Pointers,
        StoredGradientsByPointers,
        TensorSpans,
    }

    private static readonly int[] Lengths = [6, 1, 0, 9, 3, 12, 2, 0, 0, 15, 4, 5, 21, 7, 6, 18, 8, 24];

    public static TheoryData<ElementType> Types => [ElementType.F32, ElementType.F16, ElementType.BF16];

    /// <summary>The heads of models, each number with each kind of D; K, B, policies, faces and widths go round by numbers that share no divisor with those of the loops.</summary>
    [Theory]
    [MemberData(nameof(Types))]
    public void Many_heads_of_any_length_are_their_kv_heads_alone(ElementType type)
    {
        int seed = (int)type;
        foreach (int heads in new[] { 9, 17, 18, 24, 32, 40 })
            foreach (int dim in new[] { 1, 33, 65, 80, 96, 128, 129, 200, 256 })
            {
                int[] sharing = [.. new[] { 1, heads / 8, heads / 4, heads / 3, heads / 2, heads }.Where(kv => kv > 0 && heads % kv == 0).Distinct()];
                S2Request request = RequestOf(seed, tokens: 12, groupSize: 6) with { Batch = 1 + seed % 3, Heads = heads, KvHeads = sharing[^(1 + seed % sharing.Length)], HeadDim = dim };
                Check(type, new(request, [], (Face)(seed % 5), seed));
                seed += 7;
            }
    }

    /// <summary>Packed batches of up to 40 sequences of any lengths, some of no token, in each face that takes them.</summary>
    [Theory]
    [MemberData(nameof(Types))]
    public void Many_packed_sequences_are_each_sequence_alone(ElementType type)
    {
        int seed = 100 * (int)type;
        foreach (MaskPolicy mask in MaskPolicies.All)
            foreach (int sequences in new[] { 1, 5, 16, 17, 23, 32, 33, 40 })
            {
                // Under policies that do not cut, G divides every length that is greater.
                int unit = mask.CutsWrappedRun() ? 1 : 3;
                int[] starts = new int[sequences + 1];
                for (int i = 0; i < sequences; i++)
                {
                    int length = Lengths[(i + seed) % Lengths.Length];
                    starts[i + 1] = starts[i] + (length > 3 ? length / unit * unit : length);
                }

                int kvHeads = 1 + seed % 3;
                S2Request request = RequestOf(seed, starts[^1], groupSize: mask.CutsWrappedRun() ? 5 : 3) with { Mask = mask, Heads = kvHeads * (1 + seed % 4), KvHeads = kvHeads, HeadDim = 1 + seed % 11 };
                Check(type, new(request, starts, (Face)(seed % 4), seed));
                seed += 3;
            }
    }

    /// <summary>Both at once, and with D beyond a block of 64.</summary>
    [Theory]
    [MemberData(nameof(Types))]
    public void Many_heads_of_many_packed_sequences_are_their_parts(ElementType type)
    {
        int seed = 1000 * (int)type;
        foreach ((int heads, int kvHeads, int dim) in new[] { (32, 32, 5), (32, 4, 65), (24, 3, 96), (18, 9, 130) })
        {
            int[] starts = [0, .. Enumerable.Range(1, 20).Select(i => (i * 5) + (i % 3))];
            Check(type, new(RequestOf(seed, starts[^1], groupSize: 4) with { Mask = MaskPolicy.Split, Heads = heads, KvHeads = kvHeads, HeadDim = dim }, starts, (Face)(seed % 4), seed));
            seed += 5;
        }
    }

    private static S2Request RequestOf(int seed, int tokens, int groupSize) => new()
    {
        Tokens = tokens,
        HeadDim = 1,
        GroupSize = GroupSizeRule.Of(groupSize),
        Shift = 1 + seed % (groupSize - 1),
        Mask = MaskPolicies.All[seed % 5],
        ShiftedHeads = (seed % 4) switch { 0 => HeadShift.All, 1 or 2 => HeadShift.SecondHalf, _ => HeadShift.None },
    };

    private static void Check(ElementType type, Question question)
    {
        switch (type)
        {
            case ElementType.F16:
                CheckIn(question, value => (Half)value);
                break;
            case ElementType.BF16:
                CheckIn(question, value => (BFloat16)value);
                break;
            default:
                CheckIn(question, value => value);
                break;
        }
    }

    private static void CheckIn<T>(Question question, Func<float, T> narrow)
        where T : unmanaged, IEquatable<T>
    {
        if (question.Face is Face.StoredGradients or Face.StoredGradientsByPointers)
            CheckAs(question, narrow, narrow);
        else
            CheckAs(question, narrow, value => value);
    }

    private static void CheckAs<T, TGradient>(Question question, Func<float, T> narrow, Func<float, TGradient> narrowGradient)
        where T : unmanaged, IEquatable<T>
        where TGradient : unmanaged, IEquatable<TGradient>
    {
        Inputs<T> inputs = InputsOf(question, narrow);
        Answers<T, TGradient> expected = PartByPart<T, TGradient>(question, inputs), found = Together(question, inputs, narrow(7), narrowGradient(7));
        Same(expected.O, found.O, "o");
        Same(expected.Lse, found.Lse, "lse");
        Same(expected.Dq, found.Dq, "dq");
        Same(expected.Dk, found.Dk, "dk");
        Same(expected.Dv, found.Dv, "dv");

        void Same<TElement>(TElement[] alone, TElement[] together, string tensor)
            where TElement : unmanaged
        {
            int at = MemoryMarshal.AsBytes<TElement>(alone).CommonPrefixLength(MemoryMarshal.AsBytes<TElement>(together)) / sizeof(TElement);
            Assert.True(at == alone.Length, at < alone.Length ? $"{tensor}[{at}]: {together[at]}, alone {alone[at]}; {question}" : "");
        }
    }

    // Dense [B,N,H,D]; a packed batch is one sequence of tensors. Every third question has padded keys, which hold NaN; any byte but 0 is a real one, and all but tensor spans take a gradient of lse.
    private static Inputs<T> InputsOf<T>(Question question, Func<float, T> narrow)
        where T : unmanaged
    {
        S2Request request = question.Request;
        Random random = new(question.Seed);
        int tokens = request.Batch * request.Tokens, keyRow = request.KvHeads!.Value * request.HeadDim;
        byte[] valid = [.. Enumerable.Range(0, question.Seed % 3 == 0 ? tokens : 0).Select(_ => (byte)(random.Next(4) * random.Next(1, 86)))];
        return new(
            Noise(request.Heads * request.HeadDim), Keys(Noise(keyRow)), Keys(Noise(keyRow)), Noise(request.Heads * request.HeadDim),
            [.. Enumerable.Range(0, question.Face is Face.TensorSpans ? 0 : tokens * request.Heads).Select(_ => random.NextSingle() - 0.5f)], valid);

        T[] Noise(int row) => [.. Enumerable.Range(0, tokens * row).Select(_ => narrow(2 * random.NextSingle() - 1))];

        T[] Keys(T[] tensor) => valid.Length == 0 ? tensor : [.. tensor.Select((value, i) => valid[i / keyRow] == 0 ? narrow(float.NaN) : value)];
    }

    private static Answers<T, TGradient> PartByPart<T, TGradient>(Question question, Inputs<T> inputs)
        where T : unmanaged
        where TGradient : unmanaged
    {
        S2Request request = question.Request;
        int heads = request.Heads, kvHeads = request.KvHeads!.Value, share = heads / kvHeads, dim = request.HeadDim;
        Answers<T, TGradient> all = new(new T[inputs.Q.Length], new float[inputs.Q.Length / dim], new TGradient[inputs.Q.Length], new TGradient[inputs.K.Length], new TGradient[inputs.K.Length]);
        bool[] shifts = [.. Enumerable.Range(0, heads).Select(head => request.ShiftedHeads is HeadShift.AllHeads || (request.ShiftedHeads is HeadShift.UpperHalf && head >= heads / 2))];
        foreach ((int first, int length) in question.Sequences().Where(sequence => sequence.Length > 0))
        {
            int groupSize = Math.Min(((GroupSizeRule.Explicit)request.GroupSize).GroupSize, length);
            for (int kvHead = 0; kvHead < kvHeads; kvHead++)
            {
                S2Config alone = S2Config.Create(request with
                {
                    Batch = 1,
                    Tokens = length,
                    Heads = share,
                    KvHeads = 1,
                    GroupSize = GroupSizeRule.Of(groupSize),
                    Shift = request.Shift < length ? request.Shift : 0,
                    ShiftedHeads = HeadShift.Of(shifts[(kvHead * share)..((kvHead + 1) * share)]),
                });
                T[] o = new T[length * share * dim];
                float[] lse = new float[length * share];
                TGradient[] dq = new TGradient[o.Length], dk = new TGradient[length * dim], dv = new TGradient[dk.Length];
                T[] q = Part(inputs.Q, heads, share, dim), k = Part(inputs.K, kvHeads, 1, dim), v = Part(inputs.V, kvHeads, 1, dim);
                byte[] valid = inputs.Valid.Length == 0 ? [] : [.. inputs.Valid[first..(first + length)].Select(real => real == 0 ? (byte)0 : (byte)1)];
                float[] dlse = inputs.Dlse.Length == 0 ? [] : Part(inputs.Dlse, heads, share, 1);
                using S2AttentionPlan plan = new(alone, new() { Threads = 1, VectorWidth = question.Width });
                plan.Forward<T>(q, k, v, o, lse, valid);
                plan.Backward<T, TGradient>(q, k, v, o, lse, Part(inputs.Do, heads, share, dim), dq, dk, dv, valid, dlse);
                Put(o, all.O, heads, share, dim);
                Put(lse, all.Lse, heads, share, 1);
                Put(dq, all.Dq, heads, share, dim);
                Put(dk, all.Dk, kvHeads, 1, dim);
                Put(dv, all.Dv, kvHeads, 1, dim);

                // The elements of some heads of a token stand side by side.
                TElement[] Part<TElement>(TElement[] dense, int of, int some, int width) =>
                    [.. Enumerable.Range(first, length).SelectMany(t => dense[(((t * of) + (kvHead * some)) * width)..(((t * of) + ((kvHead + 1) * some)) * width)])];

                void Put<TElement>(TElement[] part, TElement[] dense, int of, int some, int width)
                {
                    for (int t = 0; t < length; t++)
                        part.AsSpan(t * some * width, some * width).CopyTo(dense.AsSpan((((first + t) * of) + (kvHead * some)) * width));
                }
            }
        }

        return all;
    }

    private static Answers<T, TGradient> Together<T, TGradient>(Question question, Inputs<T> inputs, T canary, TGradient gradientCanary)
        where T : unmanaged, IEquatable<T>
        where TGradient : unmanaged, IEquatable<TGradient>
    {
        S2Request request = question.Request;
        Random random = new(~question.Seed);
        bool inSpans = question.Face is Face.TensorSpans;
        int heads = request.Heads, kvHeads = request.KvHeads!.Value, dim = request.HeadDim;
        PlacedTensor<T> q = Of(heads, dim, canary).Fill(inputs.Q), k = Of(kvHeads, dim, canary).Fill(inputs.K), v = Of(kvHeads, dim, canary).Fill(inputs.V);
        PlacedTensor<T> o = Of(heads, dim, canary), dout = Of(heads, dim, canary).Fill(inputs.Do);
        PlacedTensor<float> dlse = Of(heads, 1, 7f).Fill(inputs.Dlse);
        PlacedTensor<float> lse = inSpans ? new(new(request.Tokens * heads, heads, 1), request.Batch, request.Tokens, heads, 1, 7) : Of(heads, 1, 7f);
        PlacedTensor<TGradient> dq = Of(heads, dim, gradientCanary), dk = Of(kvHeads, dim, gradientCanary), dv = Of(kvHeads, dim, gradientCanary);
        if (inSpans)
        {
            S2Config config = S2Config.Create(request);
            S2Attention.Forward<T>(config, View<T>(q, heads), View<T>(k, kvHeads), View<T>(v, kvHeads), View<T>(o, heads), lse.Memory, inputs.Valid);
            S2Attention.Backward<T>(
                config, View<T>(q, heads), View<T>(k, kvHeads), View<T>(v, kvHeads), View<T>(o, heads), lse.Memory, View<T>(dout, heads),
                View<float>(dq, heads), View<float>(dk, kvHeads), View<float>(dv, kvHeads), inputs.Valid);
        }
        else
        {
            S2AttentionOptions options = new()
            {
                Threads = 1 + question.Seed % 4,
                VectorWidth = question.Width,
                Query = q.Strides,
                Key = k.Strides,
                Value = v.Strides,
                Output = o.Strides,
                LogSumExp = lse.Strides,
                OutputGradient = dout.Strides,
                LogSumExpGradient = dlse.Strides,
                QueryGradient = dq.Strides,
                KeyGradient = dk.Strides,
                ValueGradient = dv.Strides,
            };
            using S2AttentionPlan plan = question.Starts.Length == 0 ? new(S2Config.Create(request), options) : S2AttentionPlan.Packed(request, question.Starts, options);
            if (question.Face is Face.Pointers or Face.StoredGradientsByPointers)
                fixed (T* query = q.Memory, key = k.Memory, value = v.Memory, output = o.Memory, outputGradient = dout.Memory)
                fixed (TGradient* queryGradient = dq.Memory, keyGradient = dk.Memory, valueGradient = dv.Memory)
                fixed (float* logSumExp = lse.Memory, logSumExpGradient = dlse.Memory)
                fixed (byte* valid = inputs.Valid)
                {
                    plan.ForwardPointers(query + q.Origin, key + k.Origin, value + v.Origin, output + o.Origin, logSumExp + lse.Origin, valid);
                    plan.BackwardPointers(
                        query + q.Origin, key + k.Origin, value + v.Origin, output + o.Origin, logSumExp + lse.Origin, outputGradient + dout.Origin,
                        queryGradient + dq.Origin, keyGradient + dk.Origin, valueGradient + dv.Origin, valid, logSumExpGradient + dlse.Origin);
                }
            else
            {
                plan.Forward<T>(q.Memory, k.Memory, v.Memory, o.Memory, lse.Memory, inputs.Valid);
                plan.Backward<T, TGradient>(q.Memory, k.Memory, v.Memory, o.Memory, lse.Memory, dout.Memory, dq.Memory, dk.Memory, dv.Memory, inputs.Valid, dlse.Memory);
            }
        }

        Assert.True(o.GapsAreUntouched() && lse.GapsAreUntouched() && dq.GapsAreUntouched() && dk.GapsAreUntouched() && dv.GapsAreUntouched(), $"between rows: {question}");
        return new(o.Read(), lse.Read(), dq.Read(), dk.Read(), dv.Read());

        PlacedTensor<TElement> Of<TElement>(int heads, int width, TElement canary)
            where TElement : unmanaged, IEquatable<TElement> =>
            new(AnyStrides.Of(random, request.Batch, request.Tokens, heads, width, backwards: !inSpans), request.Batch, request.Tokens, heads, width, canary);

        TensorSpan<TElement> View<TElement>(object placed, int heads)
            where TElement : unmanaged, IEquatable<TElement>
        {
            PlacedTensor<TElement> tensor = (PlacedTensor<TElement>)placed;
            nint[] lengths = [request.Batch, request.Tokens, heads, dim], strides = [(nint)tensor.Strides.Batch, (nint)tensor.Strides.Token, (nint)tensor.Strides.Head, 1];

            // A dimension of one element has stride 0 there.
            return new(tensor.Memory, lengths, [.. strides.Zip(lengths, (stride, length) => length == 1 ? 0 : stride)]);
        }
    }

    private sealed record Question(S2Request Request, int[] Starts, Face Face, int Seed)
    {
        // The face of tensor spans runs in the widest registers.
        public VectorWidth Width => Face is Face.TensorSpans ? VectorWidth.Widest : KernelPaths.Widths[Seed / 2 % KernelPaths.Widths.Length];

        public IEnumerable<(int First, int Length)> Sequences() => Starts.Length == 0
            ? Enumerable.Range(0, Request.Batch).Select(b => (b * Request.Tokens, Request.Tokens))
            : Starts.Zip(Starts.Skip(1), (start, end) => (start, end - start));

        public override string ToString() =>
            $"{Face} {Width} {Request.Mask} B={Request.Batch} N={Request.Tokens} {Request.GroupSize} S={Request.Shift} H={Request.Heads} K={Request.KvHeads} D={Request.HeadDim} {Request.ShiftedHeads} seed={Seed} [{string.Join(",", Starts)}]";
    }

    private sealed record Inputs<T>(T[] Q, T[] K, T[] V, T[] Do, float[] Dlse, byte[] Valid);

    private sealed record Answers<T, TGradient>(T[] O, float[] Lse, TGradient[] Dq, TGradient[] Dk, TGradient[] Dv);
}
