// Is every bad argument refused, by name and rule, before anything is written?
using System.Runtime.InteropServices;
using S2Attn.Optimized;
using S2Attn.Optimized.Kernels;
using S2Attn.Spec;

namespace S2Attn.Tests.Optimized;

public sealed class KernelArgumentTests
{
    private const int Tokens = 8, HeadDim = 3, Vectors = Tokens * HeadDim;
    private const float Untouched = 7;

    private static readonly S2Request Request = new() { Tokens = Tokens, HeadDim = HeadDim, GroupSize = GroupSizeRule.Of(4), Mask = MaskPolicy.Split };

    private readonly float[] q = new float[Vectors], k = new float[Vectors], v = new float[Vectors], outputGradient = new float[Vectors], lse = Fresh(Tokens);
    private readonly float[] o = Fresh(Vectors), dq = Fresh(Vectors), dk = Fresh(Vectors), dv = Fresh(Vectors);
    private readonly byte[] valid = [1, 1, 1, 1, 1, 1, 1, 1];

    private static float[] Fresh(int length) => [.. Enumerable.Repeat(Untouched, length)];

    [Theory]
    [InlineData("query")]
    [InlineData("key")]
    [InlineData("value")]
    [InlineData("output")]
    [InlineData("logSumExp")]
    [InlineData("valid")]
    public void Forward_refuses_a_short_span(string name)
    {
        using S2AttentionPlan plan = new(S2Config.Create(Request));
        Refused<ArgumentException>(name, $"{name} has", () => plan.Forward<float>(
            Short(q, "query"), Short(k, "key"), Short(v, "value"), Short(o, "output"), Short(lse, "logSumExp"), Short(valid, "valid")));

        T[] Short<T>(T[] full, string argument) => argument == name ? full[..^1] : full;
    }

    [Theory]
    [InlineData("query")]
    [InlineData("key")]
    [InlineData("value")]
    [InlineData("output")]
    [InlineData("logSumExp")]
    [InlineData("outputGradient")]
    [InlineData("queryGradient")]
    [InlineData("keyGradient")]
    [InlineData("valueGradient")]
    [InlineData("valid")]
    [InlineData("logSumExpGradient")]
    public void Backward_refuses_a_short_span(string name)
    {
        using S2AttentionPlan plan = new(S2Config.Create(Request));
        Refused<ArgumentException>(name, $"{name} has", () => plan.Backward<float>(
            Short(q, "query"), Short(k, "key"), Short(v, "value"), Short(o, "output"), Short(lse, "logSumExp"), Short(outputGradient, "outputGradient"),
            Short(dq, "queryGradient"), Short(dk, "keyGradient"), Short(dv, "valueGradient"), Short(valid, "valid"), Short(lse, "logSumExpGradient")));

        T[] Short<T>(T[] full, string argument) => argument == name ? full[..^1] : full;
    }

    /// <summary>One array holds every tensor, and the written one is moved over each of the others by all but one element.</summary>
    [Theory]
    [InlineData("output", 0)]
    [InlineData("output", 1)]
    [InlineData("output", 2)]
    [InlineData("logSumExp", 0)]
    [InlineData("logSumExp", 1)]
    [InlineData("logSumExp", 2)]
    [InlineData("logSumExp", 3)]
    public void Forward_refuses_outputs_that_overlap(string name, int other)
    {
        using S2AttentionPlan plan = new(S2Config.Create(Request));
        float[] memory = Fresh(6 * Vectors);
        Refused<ArgumentException>(name, "overlap", () => plan.Forward<float>(
            At(0, Vectors), At(1, Vectors), At(2, Vectors), name == "output" ? Moved(Vectors) : At(3, Vectors), name == "logSumExp" ? Moved(Tokens) : At(4, Tokens)));
        Assert.All(memory, value => Assert.Equal(Untouched, value));

        Span<float> At(int tensor, int length) => memory.AsSpan(tensor * Vectors, length);

        Span<float> Moved(int length) => memory.AsSpan((other + 1) * Vectors - 1, length);
    }

    [Theory]
    [InlineData("queryGradient")]
    [InlineData("keyGradient")]
    [InlineData("valueGradient")]
    public void Backward_refuses_gradients_that_overlap(string name)
    {
        using S2AttentionPlan plan = new(S2Config.Create(Request));
        float[] memory = Fresh(12 * Vectors);
        string[] tensors = ["query", "key", "value", "output", "logSumExp", "outputGradient", "queryGradient", "keyGradient", "valueGradient"];
        for (int other = 0; other < tensors.Length; other++)
            if (tensors[other] != name)
            {
                // Where two gradients overlap, either may be named.
                ArgumentException error = Assert.ThrowsAny<ArgumentException>(() => plan.Backward<float>(
                    At(0), At(1), At(2), At(3), At(4), At(5), At(6), At(7), At(8)));
                Assert.Contains("overlap", error.Message, StringComparison.Ordinal);
                Assert.All(memory, value => Assert.Equal(Untouched, value));

                Span<float> At(int tensor) => tensors[tensor] == name
                    ? memory.AsSpan(other * Vectors + (tensors[other] == "logSumExp" ? Tokens : Vectors) - 1, Vectors)
                    : memory.AsSpan(tensor * Vectors, Vectors);
            }
    }

    /// <summary>What is written may not be the padding mask either, nor the gradient of logsumexp, by one byte at either end.</summary>
    [Theory]
    [InlineData("output")]
    [InlineData("logSumExp")]
    [InlineData("queryGradient")]
    [InlineData("keyGradient")]
    [InlineData("valueGradient")]
    public void Nothing_is_written_over_the_padding_mask_or_the_gradient_of_logsumexp(string name)
    {
        using S2AttentionPlan plan = new(S2Config.Create(Request));
        float[] memory = Fresh(12 * Vectors);
        int length = name == "logSumExp" ? Tokens : Vectors;
        foreach (int last in new[] { 0, length - 1 + Tokens - 1 })
        {
            Refused(MemoryMarshal.AsBytes(memory.AsSpan()).Slice((4 * Vectors) + (last == 0 ? 1 - Tokens : (4 * length) - 1), Tokens), []);
            if (name.EndsWith("Gradient", StringComparison.Ordinal))
                Refused([], memory.AsSpan(Vectors + last + 1 - Tokens, Tokens));
        }

        void Refused(ReadOnlySpan<byte> mask, ReadOnlySpan<float> logSumExpGradient)
        {
            Span<float> over = memory.AsSpan(Vectors, length);
            string message = "";
            try
            {
                if (name is "output" or "logSumExp")
                    plan.Forward<float>(q, k, v, name == "output" ? over : o, name == "logSumExp" ? over : lse, mask);
                else
                    plan.Backward<float>(q, k, v, o, lse, outputGradient, name == "queryGradient" ? over : dq, name == "keyGradient" ? over : dk, name == "valueGradient" ? over : dv, mask, logSumExpGradient);
            }
            catch (ArgumentException error) when (error.ParamName == name)
            {
                message = error.Message;
            }

            Assert.Contains($"{name} overlaps {(mask.IsEmpty ? "logSumExpGradient" : "valid")}", message, StringComparison.Ordinal);
            Assert.All(memory, value => Assert.Equal(Untouched, value));
        }
    }

    [Fact]
    public void A_storage_type_without_kernels_is_named()
    {
        using S2AttentionPlan plan = new(S2Config.Create(Request));
        double[] wide = new double[Vectors], output = [.. Enumerable.Repeat(7.0, Vectors)];
        NotSupportedException error = Assert.Throws<NotSupportedException>(() => plan.Forward<double>(wide, wide, wide, output));
        Assert.Contains("System.Double", error.Message, StringComparison.Ordinal);
        Assert.All(output, value => Assert.Equal(7, value));

        // Gradients are stored as the tensors are, or in f32.
        BFloat16[] tensor = new BFloat16[Vectors];
        Assert.Contains("TGradient = System.Half", Assert.Throws<NotSupportedException>(() => plan.Backward<BFloat16, Half>(
            tensor, tensor, tensor, tensor, lse, tensor, new Half[Vectors], new Half[Vectors], new Half[Vectors])).Message, StringComparison.Ordinal);
    }

    /// <summary>That a plan is closed is said before what else is wrong with a call.</summary>
    [Fact]
    public unsafe void A_call_on_a_disposed_plan_is_refused_whatever_its_arguments_are()
    {
        S2AttentionPlan plan = new(S2Config.Create(Request));
        plan.Dispose();
        Assert.Throws<ObjectDisposedException>(() => plan.Forward<float>([], [], [], []));
        Assert.Throws<ObjectDisposedException>(() => plan.Backward<float>([], [], [], [], [], [], [], [], []));
        Assert.Throws<ObjectDisposedException>(() => plan.ForwardPointers<float>(null, null, null, null, null, null));
    }

    /// <summary>Of a tensor that is not given there is no first element either, wherever in its span that would be.</summary>
    [Fact]
    public void A_logsumexp_that_is_not_wanted_may_have_any_strides()
    {
        using S2AttentionPlan plan = new(S2Config.Create(Request), new() { LogSumExp = new(0, -1, 0) });
        Array.Fill(v, 2);
        plan.Forward<float>(q, k, v, o);
        Assert.All(o, value => Assert.Equal(2, value));
    }

    [Fact]
    public void The_workspace_is_counted_in_bytes()
    {
        using S2AttentionPlan plan = new(S2Config.Create(Request), new() { VectorWidth = VectorWidth.Bits128 });
        IEngines engines = Engines.For(VectorWidth.Bits128);
        Assert.Equal(4 * engines.WorkspaceFloats(new(HeadDim, engines.TileRows, engines.TileColumns)), plan.WorkspaceBytesPerThread);
    }

    /// <summary>The configuration of a packed batch is that of its longest sequence, wherever that stands.</summary>
    [Theory]
    [InlineData(0, 3, 8)]
    [InlineData(0, 5, 8)]
    [InlineData(0, 0, 1, 1, 6, 8)]
    public void A_packed_batch_has_the_configuration_of_its_longest_sequence(params int[] cumulativeLengths)
    {
        using S2AttentionPlan plan = S2AttentionPlan.Packed(Request, cumulativeLengths);
        Assert.Equal(5, plan.Config.Tokens);
    }

    /// <summary>One key is padded: no row is touched by it, in a text as in a grid.</summary>
    [Fact]
    public void A_padded_key_is_no_part_of_a_mean()
    {
        S2Config config = S2Config.Create(Request);
        using S2AttentionPlan text = new(config), grid = S2AttentionPlan.OfGrid(S2Grid.Create(config, new GridAxis<int>(Tokens, 4, 2)));
        Array.Fill(v, 2);
        Array.Fill(v, 100, HeadDim, HeadDim);
        valid[1] = 0;
        foreach (S2AttentionPlan plan in new[] { text, grid })
        {
            plan.Forward<float>(q, k, v, o, default, valid);
            Assert.All(o, value => Assert.Equal(2, value));
        }
    }

    /// <summary>The first group is no part of what the second sees: its share of dk and dv is 0, whatever was there.</summary>
    [Fact]
    public void A_key_that_no_query_of_a_slice_sees_has_a_gradient_of_zero()
    {
        S2Config config = S2Config.Create(Request with { Shift = 0 });
        using S2AttentionPlan plan = S2AttentionPlan.OfSlice(S2Slice.Create(config, new() { FirstQuery = 4, EndQuery = Tokens, FirstKey = 0, EndKey = Tokens }));
        const int Seen = 4 * HeadDim;
        Array.Fill(outputGradient, 1);
        plan.Forward<float>(q.AsSpan(Seen), k, v, o.AsSpan(Seen), lse.AsSpan(4));
        plan.Backward<float>(q.AsSpan(Seen), k, v, o.AsSpan(Seen), lse.AsSpan(4), outputGradient.AsSpan(Seen), dq.AsSpan(Seen), dk, dv);
        Assert.All(dk[..Seen].Concat(dv[..Seen]), value => Assert.Equal(0, value));
        Assert.All(dv[Seen..], value => Assert.True(value > 0));
    }

    [Fact]
    public void Each_storage_type_has_kernels_of_its_own()
    {
        using S2AttentionPlan plan = new(S2Config.Create(Request));
        Means((Half)2);
        Means((BFloat16)2);
        Means(2f);

        void Means<T>(T number)
            where T : unmanaged
        {
            T[] zeros = new T[Vectors], output = new T[Vectors];
            plan.Forward<T>(zeros, zeros, [.. Enumerable.Repeat(number, Vectors)], output);
            Assert.All(output, value => Assert.Equal(number, value));
        }
    }

    [Fact]
    public void Options_are_checked()
    {
        Refused<ArgumentOutOfRangeException>("options.Threads", "0", () => Plan(new() { Threads = 0 }));
        Refused<ArgumentOutOfRangeException>("options.Threads", "4097", () => Plan(new() { Threads = 4097 }));
        Refused<ArgumentOutOfRangeException>("options.Batch", "-1", () => Plan(new() { Batch = -1 }));
        Refused<ArgumentOutOfRangeException>("config", "HeadDim", () => new S2AttentionPlan(S2Config.Create(Request with { HeadDim = 65537 })).Dispose());
        Refused<ArgumentOutOfRangeException>("options.Layout", "7", () => Plan(new() { Layout = (TensorLayout)7 }));
        Refused<ArgumentOutOfRangeException>("options.Output", "stride", () => Plan(new() { Output = new(1000, HeadDim - 1, 1000) }));
        Refused<ArgumentOutOfRangeException>("options.Output", "stride", () => Plan(new() { Output = new(1000, 1 - HeadDim, 1000) }));
        Refused<ArgumentOutOfRangeException>("options.LogSumExp", "stride", () => Plan(new() { LogSumExp = new(1000, 0, 1000) }));
        Refused<ArgumentOutOfRangeException>("options.QueryGradient", "stride", () => Plan(new() { QueryGradient = new(1000, 0, 1000) }));
        Refused<ArgumentOutOfRangeException>("options.KeyGradient", "stride", () => Plan(new() { KeyGradient = new(1000, 2, 1000) }));
        Refused<ArgumentOutOfRangeException>("options.ValueGradient", "stride", () => Plan(new() { ValueGradient = new(1000, 2, 1000) }));
        Refused<ArgumentOutOfRangeException>("options.Query", "reach", () => Plan(new() { Query = new(1000, long.MaxValue, 1000) }));
        Refused<ArgumentOutOfRangeException>("options.Value", "reach", () => Plan(new() { Value = new(1000, long.MinValue, 1000) }));
    }

    private static void Plan(S2AttentionOptions options)
    {
        using S2AttentionPlan plan = new(S2Config.Create(Request), options);
    }

    [Fact]
    public void Packed_lengths_are_checked()
    {
        foreach (int[] lengths in new int[][] { [], [0], [1, 8], [0, 7], [0, 9], [0, 6, 4, 8], [0, -1, 8] })
            Refused<ArgumentException>("cumulativeLengths", "cumulativeLengths", () => S2AttentionPlan.Packed(Request, lengths));
        Refused<ArgumentException>("cumulativeLengths", "Sequence 1 has 5 tokens: GroupSize = 4: must divide Tokens = 5", () => S2AttentionPlan.Packed(Request with { Mask = MaskPolicy.LocalCausal }, [0, 3, 8]));
        Refused<ArgumentException>("request", "Batch", () => S2AttentionPlan.Packed(Request with { Batch = 2 }, [0, 8]));
        foreach (int batch in new[] { 0, 2 })
            Refused<ArgumentOutOfRangeException>("options.Batch", "must be 1", () => S2AttentionPlan.Packed(Request, [0, 8], new() { Batch = batch }));
        S2AttentionPlan.Packed(Request, [0, 8], new() { Batch = 1 }).Dispose();
        S2AttentionPlan.Packed(Request with { Tokens = 0 }, [0]).Dispose();
        Refused<ArgumentException>("cumulativeLengths", "Sequence 1 has 3 tokens: GroupSize = 0", () => S2AttentionPlan.Packed(Request with { GroupSize = GroupSizeRule.LongLora }, [0, 4, 7, 8]));
        Assert.Contains("Shift = 4", Assert.Throws<InvalidConfigException>(() => S2AttentionPlan.Packed(Request with { Shift = 4 }, [0, 2, 8])).Message, StringComparison.Ordinal);
        Assert.Contains("ShiftedHeads", Assert.Throws<InvalidConfigException>(() => S2AttentionPlan.Packed(Request with { ShiftedHeads = HeadShift.Of([true, false]) }, [0, 8])).Message, StringComparison.Ordinal);
        Assert.Contains("GroupSize = null", Assert.Throws<InvalidConfigException>(() => S2AttentionPlan.Packed(Request with { GroupSize = null! }, [0, 8])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Widths_and_blocks_are_those_of_registers()
    {
        Assert.Equal((128, 256, 512), (VectorWidths.Bits(VectorWidth.Bits128), VectorWidths.Bits(VectorWidth.Bits256), VectorWidths.Bits(VectorWidth.Bits512)));
        Assert.Equal(VectorWidths.Bits(VectorWidths.InUse), VectorWidths.Bits(VectorWidth.Widest));
        Refused<ArgumentOutOfRangeException>("width", "must be one of VectorWidth", () => VectorWidths.Bits((VectorWidth)4));
        Refused<ArgumentOutOfRangeException>("headDim", "0", () => KernelTiles.Of(0));
        Assert.Equal([2, 3, 5, 7], new KernelTiles(5, 3, 7, 5, 2, 3).Lengths.AsSpan());
    }

    /// <summary>B N H D elements, products of which leave 32 bits.</summary>
    [Theory]
    [InlineData(TensorLayout.TokenMajor, 5, 3, 8, 120, 24, 8)]
    [InlineData(TensorLayout.HeadMajor, 5, 3, 8, 120, 8, 40)]
    [InlineData(TensorLayout.TokenMajor, 1 << 10, 1 << 20, 1 << 12, 1L << 42, 1L << 32, 1 << 12)]
    [InlineData(TensorLayout.HeadMajor, 1 << 20, 1 << 10, 1 << 12, 1L << 42, 1 << 12, 1L << 32)]
    public void Dense_strides(TensorLayout layout, int tokens, int heads, int headDim, long batch, long token, long head) =>
        Assert.Equal(new TensorStrides(batch, token, head), TensorStrides.Dense(layout, tokens, heads, headDim));

    /// <summary>The upper half of the bits of a float: half a step is rounded to even, more than half up, the largest number to infinity; NaN stays NaN though its upper half is that of infinity.</summary>
    [Theory]
    [InlineData(0x3F800000u, 0x3F80)]
    [InlineData(0x3F808000u, 0x3F80)]
    [InlineData(0x3F808001u, 0x3F81)]
    [InlineData(0x3F817FFFu, 0x3F81)]
    [InlineData(0x3F818000u, 0x3F82)]
    [InlineData(0x80000000u, 0x8000)]
    [InlineData(0x7F7FFFFFu, 0x7F80)]
    [InlineData(0x7F800001u, 0x7FC0)]
    [InlineData(0xFFC00000u, 0xFFC0)]
    public void A_bfloat16_is_the_nearest(uint bits, int expected)
    {
        BFloat16 number = (BFloat16)BitConverter.UInt32BitsToSingle(bits);
        Assert.Equal(expected, number.Bits);
        Assert.Equal((uint)expected << 16, BitConverter.SingleToUInt32Bits((float)number));
    }

    [Fact]
    public void What_is_null_is_named()
    {
        Refused<ArgumentNullException>("config", "", () => new S2AttentionPlan(null!).Dispose());
        Refused<ArgumentNullException>("request", "", () => S2AttentionPlan.Packed(null!, [0, 8]).Dispose());
        Refused<ArgumentNullException>("slice", "", () => S2AttentionPlan.OfSlice(null!).Dispose());
        Refused<ArgumentNullException>("grid", "", () => S2AttentionPlan.OfGrid(null!).Dispose());
        Refused<ArgumentNullException>("config", "", () => new KeyValueCache<float>(null!).Dispose());
    }

    /// <summary>Threads, and a batch of two for which the tensors of one do not suffice.</summary>
    [Fact]
    public void Options_reach_every_kind_of_plan()
    {
        S2Config config = S2Config.Create(Request);
        S2AttentionOptions two = new() { Threads = 3, Batch = 2 };
        using S2AttentionPlan packed = S2AttentionPlan.Packed(Request, [0, 3, 8], new() { Threads = 3 }), most = new(config, new() { Threads = 4096 });
        Assert.Equal((3, 4096), (packed.Threads, most.Threads));
        using S2AttentionPlan own = new(config);
        Assert.Equal(Math.Min(Environment.ProcessorCount, 4096), own.Threads);
        using S2AttentionPlan slice = S2AttentionPlan.OfSlice(S2Slice.Whole(config), two), grid = S2AttentionPlan.OfGrid(S2Grid.Create(config, new GridAxis<int>(Tokens, 4, 2)), two);
        foreach (S2AttentionPlan plan in new[] { slice, grid })
        {
            Assert.Equal(3, plan.Threads);
            Refused<ArgumentException>("query", $"query has {Vectors}", () => plan.Forward<float>(q, k, v, o));
        }
    }

    /// <summary>A scheduler that is given runs the workers, also where the number of threads is left open.</summary>
    [Fact]
    public void A_given_scheduler_is_called()
    {
        foreach (int? threads in new int?[] { null, 2 })
        {
            Turns scheduler = new();
            using S2AttentionPlan plan = new(S2Config.Create(Request), new() { Threads = threads, Scheduler = scheduler });
            plan.Forward<float>(q, k, v, o);
            Assert.True(scheduler.Calls > 0);
            Assert.Equal(Math.Min(2, plan.Threads), Math.Min(2, scheduler.Workers));
        }
    }

    private sealed class Turns : IWorkScheduler
    {
        public int Calls { get; private set; }

        public int Workers { get; private set; }

        public void Run(int workers, Action<int> body)
        {
            Calls++;
            Workers = workers;
            for (int worker = 0; worker < workers; worker++)
                body(worker);
        }
    }

    private void Refused<TException>(string name, string rule, Action call)
        where TException : ArgumentException
    {
        TException error = Assert.ThrowsAny<TException>(call);
        Assert.Equal(name, error.ParamName);
        Assert.Contains(rule, error.Message, StringComparison.Ordinal);
        foreach (float[] written in new[] { o, lse, dq, dk, dv })
            Assert.All(written, value => Assert.Equal(Untouched, value));
    }
}
